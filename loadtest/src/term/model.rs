//! What must be true of the term, out of what was sent and what was answered; knows nothing of the server's own code.

use super::{crowd::Heard, stores::Store};
use crate::{
    chance::Chance,
    client::{Target, write_request},
    report::Report,
};
use std::{collections::HashMap, fmt::Write as _};

pub const GROUPS: [&str; 3] = ["students", "faculty", "staff"];
/// The address of the stores' server, as browsers know it.
const BASE: &str = "https://stores.example";
const REDEEM: &str = "https://stores.example/WebStore/Security/IntegratedSignIn.aspx?token=";
/// The cookie of a session.
pub const COOKIE: &str = "ws_session";
/// Lines about what is wrong that are kept of each kind.
const WORDS: usize = 10;

pub struct Shopper {
    pub store: usize,
    pub name: String,
    first: String,
    last: String,
    pub group: &'static str,
    /// Where its browser is.
    pub address: String,
    /// Path and query of the newest token.
    path: Option<String>,
    welcomes: u64,
    pub cookie: Option<String>,
    /// Products of its orders: in the number of codes that must come.
    pub ordered: Vec<usize>,
}

/// Where a code belongs, and who has got it.
struct Code {
    store: usize,
    product: usize,
    given: Option<usize>,
}

pub struct Model {
    pub stores: Vec<Store>,
    pub shoppers: Vec<Shopper>,
    codes: HashMap<String, Code>,
    pub registrations: u64,
    pub redemptions: u64,
    double_redemptions: u64,
    codes_given_twice: u64,
    codes_given: u64,
    orders: u64,
    errors: u64,
    wrong_states: u64,
    words: Vec<String>,
}

/// As a careful client encodes a value.
pub fn encode(into: &mut String, value: &str) {
    for byte in value.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => into.push(char::from(byte)),
            other => {
                let _ = write!(into, "%{other:02X}");
            }
        }
    }
}

fn person(index: usize, chance: &mut Chance) -> (String, String, String) {
    let firsts = ["Anna", "Zoë", "Борис", "José María", "Grace", "Łukasz", "Mei"];
    let lasts = ["Rossi", "Müller", "Иванова", "O'Neil & Sons", "d’Arco", "Nguyễn", "+1"];
    let (first, last) = (firsts[chance.index(firsts.len())], lasts[chance.index(lasts.len())]);
    let name = match index % 4 {
        0 => format!("u{index}"),
        1 => format!("u{index}@campus.example"),
        2 => format!("Ünser {index}"),
        _ => format!("CAMPUS\\u{index}"),
    };
    (name, first.to_owned(), last.to_owned())
}

impl Model {
    pub fn new(stores: Vec<Store>, count: usize, chance: &Chance) -> Self {
        let mut chance = chance.fork(11);
        let shoppers = (0..count).map(|index| {
            let (name, first, last) = person(index, &mut chance);
            let address = format!("10.{}.{}.{}", index >> 16 & 255, index >> 8 & 255, index & 255);
            let store = index % stores.len();
            let group = GROUPS[0];
            let (path, cookie, ordered) = (None, None, Vec::new());
            Shopper { store, name, first, last, group, address, path, welcomes: 0, cookie, ordered }
        });
        let shoppers = shoppers.collect();
        let mut codes = HashMap::new();
        for (at, store) in stores.iter().enumerate() {
            for (number, product) in store.products.iter().enumerate() {
                for code in &product.codes {
                    codes.insert(code.clone(), Code { store: at, product: number, given: None });
                }
            }
        }
        Self {
            stores,
            shoppers,
            codes,
            registrations: 0,
            redemptions: 0,
            double_redemptions: 0,
            codes_given_twice: 0,
            codes_given: 0,
            orders: 0,
            errors: 0,
            wrong_states: 0,
            words: Vec::new(),
        }
    }

    fn says(&mut self, words: String) {
        if self.words.len() < WORDS {
            self.words.push(words);
        }
    }

    pub fn error(&mut self, words: String) {
        self.errors += 1;
        self.says(words);
    }

    pub fn wrong(&mut self, words: String) {
        self.wrong_states += 1;
        self.says(words);
    }

    /// At each sign-in everybody is in another group, and what was registered before is forgotten.
    pub fn regroup(&mut self, round: usize) {
        for (index, shopper) in self.shoppers.iter_mut().enumerate() {
            shopper.group = GROUPS[(index / 7 + round) % GROUPS.len()];
            (shopper.path, shopper.welcomes) = (None, 0);
        }
    }

    pub fn write_registration(&self, index: usize, target: &Target, request: &mut Vec<u8>) {
        let shopper = &self.shoppers[index];
        let store = &self.stores[shopper.store];
        let mut path = String::with_capacity(400);
        path.push_str("/WebStore/Security/AuthenticateUser.aspx?account=");
        path.push_str(&store.account);
        for (name, value) in [
            ("username", shopper.name.as_str()),
            ("key", &store.key),
            ("academic_statuses", shopper.group),
            ("first_name", &shopper.first),
            ("last_name", &shopper.last),
        ] {
            path.push('&');
            path.push_str(name);
            path.push('=');
            encode(&mut path, value);
        }
        let headers = [("X-Forwarded-For", store.caller.as_str()), ("X-Forwarded-Proto", "https")];
        write_request(request, target, "GET", &path, None, &headers, b"");
    }

    pub fn registered(&mut self, index: usize, heard: &Heard<'_>) {
        let guid = &self.stores[self.shoppers[index].store].guid;
        let text = heard.text();
        let is_right = heard.status == 200
            && text
                .strip_prefix(REDEEM)
                .and_then(|rest| rest.strip_suffix(guid.as_str()))
                .is_some_and(|token| token.ends_with("&ws=") && !token.contains(['+', ' ', '\n', '\r']));
        if !is_right {
            let words = format!("registration of {}: {} {text}", self.shoppers[index].name, heard.status);
            return self.error(words);
        }
        self.shoppers[index].path = Some(text[BASE.len()..].to_owned());
        self.registrations += 1;
    }

    pub fn write_redemption(&self, index: usize, method: &str, target: &Target, request: &mut Vec<u8>) {
        let shopper = &self.shoppers[index];
        let path = shopper.path.as_deref().unwrap_or("/WebStore/Security/IntegratedSignIn.aspx");
        let headers = [("X-Forwarded-For", shopper.address.as_str()), ("X-Forwarded-Proto", "https")];
        write_request(request, target, method, path, None, &headers, b"");
    }

    pub fn redeemed(&mut self, index: usize, method: &str, heard: &Heard<'_>) {
        let cookie = heard.cookie(COOKIE).map(str::to_owned);
        let guid = &self.stores[self.shoppers[index].store].guid;
        let goes_home = heard.location.is_some_and(|to| to.ends_with(&format!("/WebStore/{guid}/")));
        match (method, heard.status, cookie) {
            ("GET", 302 | 303, Some(cookie)) if goes_home => {
                self.shoppers[index].cookie = Some(cookie);
                self.shoppers[index].welcomes += 1;
            }
            (_, 200 | 400..=499, None) if heard.location.is_none() => {}
            (_, status, cookie) => {
                let cookie = cookie.is_some();
                let words = format!("{method} of a token: {status}, cookie {cookie}, to {:?}", heard.location);
                self.error(words);
            }
        }
    }

    /// Every token that was registered opened one session.
    pub fn count_redemptions(&mut self) {
        for index in 0..self.shoppers.len() {
            match self.shoppers[index].welcomes {
                1 => self.redemptions += 1,
                0 if self.shoppers[index].path.is_none() => {}
                0 => {
                    let words = format!("{} was never let in", self.shoppers[index].name);
                    self.error(words);
                }
                more => {
                    self.redemptions += 1;
                    self.double_redemptions += more - 1;
                }
            }
        }
    }

    /// Which products of its store a shopper may order.
    pub fn eligible(&self, index: usize) -> Vec<usize> {
        let shopper = &self.shoppers[index];
        let products = self.stores[shopper.store].products.iter().enumerate();
        let may = products.filter(|(_, product)| product.groups.is_empty() || product.groups.contains(&shopper.group));
        may.map(|(number, _)| number).filter(|number| !shopper.ordered.contains(number)).collect()
    }

    pub fn ordered(&mut self, index: usize, products: &[usize]) {
        self.orders += 1;
        self.shoppers[index].ordered.extend_from_slice(products);
    }

    /// A code stands on somebody's order.
    pub fn given(&mut self, index: usize, code: &str) -> Option<usize> {
        let store = self.shoppers[index].store;
        let Some(known) = self.codes.get_mut(code) else {
            self.wrong(format!("a code that nobody has put into a pool: {code}"));
            return None;
        };
        let (product, is_ours) = (known.product, known.store == store);
        match known.given {
            Some(other) if other != index => {
                self.codes_given_twice += 1;
                self.says(format!("{code} was given to shoppers {other} and {index}"));
            }
            _ => {
                known.given = Some(index);
                self.codes_given += 1;
            }
        }
        if !is_ours {
            self.wrong(format!("{code} belongs to another store"));
        }
        Some(product)
    }

    /// How many codes of a product are not given out.
    pub fn left(&self, store: usize, product: usize) -> u64 {
        let of_it = self.codes.values().filter(|code| (code.store, code.product) == (store, product));
        of_it.filter(|code| code.given.is_none()).count() as u64
    }

    pub fn conclude(self, report: &mut Report) {
        report.errors = Some(self.errors);
        report.wrong_states = Some(self.wrong_states);
        report.double_redemptions = Some(self.double_redemptions);
        report.codes_given_twice = Some(self.codes_given_twice);
        report.must_be_zero("errors", self.errors);
        report.must_be_zero("double_redemptions", self.double_redemptions);
        report.must_be_zero("codes_given_twice", self.codes_given_twice);
        report.must_be_zero("wrong_states", self.wrong_states);
        for (name, count) in [
            ("stores", self.stores.len() as u64),
            ("shoppers", self.shoppers.len() as u64),
            ("registrations", self.registrations),
            ("redemptions", self.redemptions),
            ("orders", self.orders),
            ("codes_given", self.codes_given),
        ] {
            report.detail(name, count);
        }
        report.broken.extend(self.words);
    }
}

#[cfg(test)]
mod tests {
    use super::{super::stores::Product, *};

    fn model() -> Model {
        let product = |code: &str, groups: &[&'static str]| Product {
            id: "prd_1".into(),
            groups: groups.to_vec(),
            codes: vec![code.to_owned()],
        };
        let store = |guid: &str, code: &str| Store {
            token: String::new(),
            id: "ws_1".into(),
            guid: guid.into(),
            account: "100001111".into(),
            key: "k".into(),
            caller: "192.0.2.1".into(),
            products: vec![product(code, &[]), product(&format!("{code}-f"), &["faculty"])],
        };
        Model::new(vec![store("g1", "A"), store("g2", "B")], 4, &Chance::seeded(1))
    }

    fn heard<'a>(status: u16, location: Option<&'a str>, cookies: &[&'a str]) -> Heard<'a> {
        Heard { status, location, cookies: cookies.to_vec(), body: b"" }
    }

    #[test]
    fn two_welcomes_for_one_token_are_counted() {
        let mut model = model();
        let url = format!("{REDEEM}abc%3d&ws=g1");
        model.registered(0, &Heard { body: url.as_bytes(), ..heard(200, None, &[]) });
        assert_eq!((model.registrations, model.errors), (1, 0));
        let welcome = || heard(303, Some("https://stores.example/WebStore/g1/"), &["ws_session=s; Secure"]);
        model.redeemed(0, "GET", &welcome());
        model.redeemed(0, "GET", &heard(403, None, &[]));
        model.count_redemptions();
        assert_eq!((model.redemptions, model.double_redemptions, model.errors), (1, 0, 0));
        model.redeemed(0, "GET", &welcome());
        model.count_redemptions();
        assert_eq!(model.double_redemptions, 1);
        model.redeemed(0, "HEAD", &welcome());
        assert_eq!(model.errors, 1, "HEAD redeems nothing");
    }

    #[test]
    fn what_is_no_url_is_an_error() {
        let mut model = model();
        for body in ["", "https://other.example/", &format!("{REDEEM}a+b&ws=g1"), &format!("{REDEEM}a&ws=g2")] {
            model.registered(0, &Heard { body: body.as_bytes(), ..heard(200, None, &[]) });
        }
        assert_eq!((model.errors, model.registrations), (4, 0));
    }

    #[test]
    fn a_code_has_one_owner() {
        let mut model = model();
        assert_eq!((model.given(0, "A"), model.given(0, "A")), (Some(0), Some(0)), "the same page again");
        assert_eq!(model.codes_given_twice, 0);
        model.given(2, "A");
        assert_eq!((model.codes_given_twice, model.wrong_states), (1, 0));
        model.given(0, "B");
        model.given(0, "C");
        assert_eq!(model.wrong_states, 2, "of another store; of none");
        assert_eq!((model.left(0, 0), model.left(1, 1)), (0, 1));
    }

    #[test]
    fn who_may_order_what() {
        let mut model = model();
        model.regroup(0);
        assert_eq!(model.eligible(0), [0]);
        model.regroup(1);
        assert_eq!(model.eligible(0), [0, 1]);
        model.ordered(0, &[0]);
        assert_eq!(model.eligible(0), [1]);
    }
}
