//! What a shopper does in a store: looks around, orders, waits for the codes, signs out.

use super::{
    crowd::{Crowd, Done, ask},
    model::{COOKIE, Model, encode},
};
use crate::{
    chance::Chance,
    client::{Connection, Target, write_request},
    course::Course,
    fleet::gather,
    report::{Latencies, LoadError},
    screen::bar,
};
use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    time::{Duration, Instant},
};

/// How long a code may take to come: it travels by message.
const CODES_WITHIN: Duration = Duration::from_secs(20);
/// Share of the shoppers who try to order what is not for them.
const PRESUMPTUOUS: f64 = 0.1;

pub async fn all(crowd: &Crowd, model: &Rc<RefCell<Model>>, chance: &Chance) -> Result<Done, LoadError> {
    let count = model.borrow().shoppers.len();
    let progress = bar("shoppers", count as u64);
    let next = Rc::new(Cell::new(0));
    let tally = Rc::new(Tally { answers: Cell::new(0), latencies: RefCell::new(Latencies::new()?) });
    let began = Instant::now();
    let browsers = (0..crowd.connections.min(count)).map(|number| {
        let (model, next, progress, tally) = (model.clone(), next.clone(), progress.clone(), tally.clone());
        let (target, course, mut chance) =
            (crowd.target.clone(), crowd.course.clone(), chance.fork(500 + number as u64));
        async move {
            let mut link = None;
            while next.get() < count {
                let index = next.replace(next.get() + 1);
                let mut browser = Browser::new(&mut link, &target, &course, &tally, &model, index);
                if let Err(words) = browser.shop(&model, index, &mut chance).await {
                    let name = model.borrow().shoppers[index].name.clone();
                    model.borrow_mut().wrong(format!("{name}: {words}"));
                }
                progress.inc(1);
            }
            Ok(Vec::<(usize, ())>::new())
        }
    });
    gather(browsers).await?;
    progress.finish_and_clear();
    let seconds = began.elapsed().as_secs_f64();
    let tally = Rc::try_unwrap(tally).map_err(|_| LoadError::Unfit("a browser outlived its shopping".to_owned()))?;
    Ok(Done { answers: tally.answers.get(), seconds, latencies: tally.latencies.into_inner() })
}

struct Tally {
    answers: Cell<u64>,
    latencies: RefCell<Latencies>,
}

struct Page {
    status: u16,
    location: Option<String>,
    text: String,
}

struct Browser<'a> {
    link: &'a mut Option<Connection>,
    target: &'a Target,
    course: &'a Course,
    tally: &'a Tally,
    cookies: BTreeMap<String, String>,
    address: String,
    /// The store's path.
    home: String,
    request: Vec<u8>,
}

/// What stands between two texts.
fn between<'t>(text: &'t str, from: &str, to: &str) -> Option<&'t str> {
    text.split_once(from)?.1.split_once(to).map(|(found, _)| found)
}

/// The token of a page's forms.
fn token(page: &Page) -> Result<String, String> {
    let found = between(&page.text, "name=\"token\" value=\"", "\"");
    found.map(str::to_owned).ok_or_else(|| format!("a page without forms: {} {}", page.status, page.text))
}

/// Products that a catalogue lets its reader put into the cart.
fn orderable(page: &Page) -> BTreeSet<String> {
    let items = page.text.split("<li data-product=\"").skip(1);
    let items = items.filter(|item| item.split("</li>").next().is_some_and(|item| item.contains("<form")));
    items.filter_map(|item| item.split('"').next()).map(str::to_owned).collect()
}

fn encoded(value: &str) -> String {
    let mut text = String::new();
    encode(&mut text, value);
    text
}

impl<'a> Browser<'a> {
    fn new(
        link: &'a mut Option<Connection>,
        target: &'a Target,
        course: &'a Course,
        tally: &'a Tally,
        model: &Rc<RefCell<Model>>,
        index: usize,
    ) -> Self {
        let model = model.borrow();
        let shopper = &model.shoppers[index];
        let cookies = shopper.cookie.iter().map(|cookie| (COOKIE.to_owned(), cookie.clone())).collect();
        let home = format!("/WebStore/{}/", model.stores[shopper.store].guid);
        Self { link, target, course, tally, cookies, address: shopper.address.clone(), home, request: Vec::new() }
    }

    async fn send(&mut self, method: &str, path: &str, form: &str) -> Result<Page, String> {
        let path = if path.starts_with('/') { path.to_owned() } else { format!("{}{path}", self.home) };
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let cookies = cookies.join("; ");
        let headers = [
            ("X-Forwarded-For", self.address.as_str()),
            ("X-Forwarded-Proto", "https"),
            ("Cookie", &cookies),
            ("Content-Type", "application/x-www-form-urlencoded"),
        ];
        self.request.clear();
        let headers = &headers[..if form.is_empty() { 3 } else { 4 }];
        write_request(&mut self.request, self.target, method, &path, None, headers, form.as_bytes());
        let began = Instant::now();
        let page = ask(self.link, self.target, &self.request, |answer| {
            answer.map(|answer| {
                let cookies: Vec<String> = answer.headers("set-cookie").map(str::to_owned).collect();
                let location = answer.headers("location").next().map(str::to_owned);
                let text = String::from_utf8_lossy(answer.body).into_owned();
                (Page { status: answer.status, location, text }, cookies)
            })
        });
        let Some((page, cookies)) = page.await else { return Err(format!("{method} {path}: no answer")) };
        self.tally.answers.set(self.tally.answers.get() + 1);
        self.tally.latencies.borrow_mut().record(began.elapsed());
        self.course.answered("shop", began.elapsed());
        for line in cookies {
            if let Some((name, value)) = line.split(';').next().and_then(|pair| pair.split_once('=')) {
                self.cookies.insert(name.trim().to_owned(), value.to_owned());
            }
        }
        Ok(page)
    }

    async fn look(&mut self, path: &str) -> Result<Page, String> {
        match self.send("GET", path, "").await? {
            page if page.status == 200 => Ok(page),
            page => Err(format!("GET {path}: {} to {:?} {}", page.status, page.location, page.text)),
        }
    }

    /// Sends a form; where the answer leads.
    async fn press(&mut self, path: &str, form: &str) -> Result<String, String> {
        match self.send("POST", path, form).await? {
            Page { status: 302 | 303, location: Some(location), .. } => Ok(location),
            page => Err(format!("POST {path}: {} {}", page.status, page.text)),
        }
    }

    async fn shop(&mut self, model: &Rc<RefCell<Model>>, index: usize, chance: &mut Chance) -> Result<(), String> {
        let home = self.look("").await?;
        if !home.text.contains("id=\"user\"") {
            return Err("is not signed in".to_owned());
        }
        let catalogue = self.look("catalogue").await?;
        let (eligible, all) = {
            let model = model.borrow();
            let products = &model.stores[model.shoppers[index].store].products;
            let all: Vec<String> = products.iter().map(|product| product.id.clone()).collect();
            (model.eligible(index), all)
        };
        let expected: BTreeSet<String> = eligible.iter().map(|number| all[*number].clone()).collect();
        if orderable(&catalogue) != expected {
            return Err(format!("is offered {:?}, not {expected:?}", orderable(&catalogue)));
        }
        let token = token(&catalogue)?;
        if chance.happens(PRESUMPTUOUS)
            && let Some(other) = all.iter().find(|product| !expected.contains(*product))
        {
            let form = format!("token={}&product={other}", encoded(&token));
            if let Ok(to) = self.press("cart", &form).await {
                return Err(format!("put {other} into the cart, which is not for it, and came to {to}"));
            }
        }
        let wanted = if chance.happens(0.4) { eligible } else { eligible.into_iter().take(1).collect() };
        for number in &wanted {
            self.press("cart", &format!("token={}&product={}", encoded(&token), all[*number])).await?;
        }
        let order = self.press("order", &format!("token={}", encoded(&token))).await?;
        let order = order.rsplit("/orders/").next().map(|number| format!("orders/{number}")).unwrap_or_default();
        model.borrow_mut().ordered(index, &wanted);
        self.codes(model, index, &order, &wanted).await?;
        if self.look("catalogue").await.map(|page| orderable(&page).len()) != Ok(expected.len() - wanted.len()) {
            return Err("may order once more what it has ordered".to_owned());
        }
        let away = self.press("signout", &format!("token={}", encoded(&token))).await?;
        if !away.starts_with("https://campus.example/") || !away.contains("action=signout") {
            return Err(format!("signed out to {away}"));
        }
        let cookie = model.borrow().shoppers[index].cookie.clone().unwrap_or_default();
        self.cookies.insert(COOKIE.to_owned(), cookie);
        if self.look("").await?.text.contains("id=\"user\"") {
            return Err("is signed in although it has signed out".to_owned());
        }
        Ok(())
    }

    /// Waits until each product of an order has its code.
    async fn codes(
        &mut self,
        model: &Rc<RefCell<Model>>,
        index: usize,
        order: &str,
        wanted: &[usize],
    ) -> Result<(), String> {
        let began = Instant::now();
        loop {
            let page = self.look(order).await?;
            let codes: Vec<&str> =
                page.text.split("<code>").skip(1).filter_map(|part| part.split('<').next()).collect();
            if codes.len() == wanted.len() {
                let products: BTreeSet<Option<usize>> =
                    codes.iter().map(|code| model.borrow_mut().given(index, code)).collect();
                return match products == wanted.iter().copied().map(Some).collect() {
                    true => Ok(()),
                    false => Err(format!("has codes of {products:?} for {wanted:?}")),
                };
            }
            if began.elapsed() > CODES_WITHIN {
                return Err(format!("{order}: {} of {} codes after {CODES_WITHIN:?}", codes.len(), wanted.len()));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_catalogue_is_read() {
        let text = "<input type=\"hidden\" name=\"token\" value=\"a.b\"><ul><li data-product=\"prd_1\"><form></form></li>\
                    <li data-product=\"prd_2\"><p>no</p></li>\n<li data-product=\"prd_3\"><form></form></li></ul>";
        let page = Page { status: 200, location: None, text: text.to_owned() };
        assert_eq!(orderable(&page).into_iter().collect::<Vec<_>>(), ["prd_1", "prd_3"]);
        assert_eq!(token(&page).as_deref(), Ok("a.b"));
        assert_eq!(encoded("a/b+c"), "a%2Fb%2Bc");
    }
}
