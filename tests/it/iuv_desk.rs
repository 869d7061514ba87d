//! The administration's pages, as an administrator uses them: through the store, and at `/admin`.

use crate::{
    iuv::{self, BASE, NO_STORE, SERVER, register_from},
    rig::{Rig, eventually},
    shop::{Browser, Page, Store},
};
use serde_json::{Value, json};

fn rig() -> Rig {
    iuv::rig_with(&[
        ("LIMITS__UNAUTHENTICATED_REQUESTS_PER_MINUTE", "1000000"),
        ("IUV__SIGN_INS_PER_MINUTE_PER_SOURCE", "1000000"),
        ("IUV__SUPPORT_EMAIL", "help@castle.example"),
        ("PASSWORDS__MEMORY_KIB", "64"),
        ("PASSWORDS__ITERATIONS", "1"),
    ])
}

/// An administrator at his desk.
struct Desk<'a> {
    browser: Browser<'a>,
    root: String,
}

fn administrator(rig: &Rig, store: &Store, name: &str, role: &str) -> String {
    let shopper = store.user(rig, name, &[]);
    store.client.post(&store.path(&format!("/shoppers/{shopper}/roles")), &json!({ "role": role })).is(200);
    shopper
}

impl<'a> Desk<'a> {
    fn neutral(rig: &'a Rig, store: &Store, name: &str) -> Self {
        let mut browser = Browser::new(rig);
        let fields = [("account", &*store.account), ("username", name), ("password", "correct horse")];
        assert_eq!(browser.post("/admin", "/admin", &fields).leads_to(), "/admin");
        Self { browser, root: "/admin".to_owned() }
    }

    fn through(rig: &'a Rig, store: &Store, name: &str) -> Self {
        Self { browser: store.sign_in(rig, name), root: format!("{}admin", store.home()) }
    }

    fn get(&mut self, page: &str) -> Page {
        self.browser.get(&format!("{}{page}", self.root))
    }

    #[track_caller]
    fn send(&mut self, page: &str, fields: &[(&str, &str)]) -> Page {
        let token = self.get("").token();
        self.browser.post_with(&token, &format!("{}{page}", self.root), fields)
    }

    /// Sends what is taken, and looks at the page that says so.
    #[track_caller]
    fn saves(&mut self, page: &str, fields: &[(&str, &str)]) -> (String, Page) {
        let to = self.send(page, fields).leads_to();
        let page = self.browser.get(&to);
        assert!(page.status == 200 && page.html.contains("id=\"said\""), "{to}: {}", page.html);
        (to.split('?').next().unwrap().strip_prefix(&self.root).unwrap().to_owned(), page)
    }
}

fn between<'t>(text: &'t str, from: &str, to: &str) -> &'t str {
    text.split(from).nth(1).unwrap_or_else(|| panic!("{from}: {text}")).split(to).next().unwrap()
}

fn shown(store: &Store) -> Value {
    store.client.get(&store.path("")).is(200)
}

/// Sets an IUV verification type up as the guide says, by the pages alone; gives its page and its key.
fn sets_iuv_up(desk: &mut Desk<'_>, store: &Store) -> (String, String) {
    let (page, _) = desk.saves("/verifications", &[("kind", "iuv")]);
    let number: usize = page.strip_prefix("/verifications/").unwrap().parse().unwrap();
    desk.send(&format!("{page}/state"), &[("state", "active")]).is(409, "admin-verification");
    let of = |store: &Store| {
        let all = shown(store)["verifications"].as_array().unwrap().clone();
        all.into_iter().find(|one| one["verification"] == number).unwrap()
    };
    let wrong = [("external_url", "nowhere"), ("callers", "192.0.2.0/24\n300.1.1.1"), ("administrators", "x")];
    let told = desk.send(&format!("{page}/settings"), &wrong).is(400, "admin-verification");
    assert_eq!(
        told.html.split("id=\"wrong\"").nth(1).unwrap().split("</ul>").next().unwrap().matches("<li>").count(),
        3
    );
    assert!(told.html.contains("300.1.1.1"), "what was typed stays");
    assert_eq!(of(store)["external_url"], json!(null));
    let right = [
        ("external_url", "https://www.example.edu/login"),
        ("callers", "192.0.2.7\r\n\r\n2001:db8::/64"),
        ("administrators", "iuv@example.edu"),
        ("italian_action", "1"),
    ];
    desk.saves(&format!("{page}/settings"), &right);
    let set = of(store);
    assert_eq!((&set["callers"], &set["italian_action"]), (&json!(["192.0.2.7/32", "2001:db8::/64"]), &json!(true)));
    assert_eq!((&set["administrators"], &set["check_shopper_ip"]), (&json!(["iuv@example.edu"]), &json!(false)));
    desk.saves(&format!("{page}/details"), &[("sector", "Università"), ("expires_in_days", "365")]);
    assert_eq!(of(store)["expires_in_days"], 365);
    // Generated is not saved.
    let generated = desk.send(&format!("{page}/key"), &[("action", "generate")]).is(200, "admin-verification");
    let field = between(&generated.html, "id=\"key\" name=\"key\"", ">");
    let key = between(field, "value=\"", "\"").to_owned();
    assert!(key.len() == 32 && of(store)["key"] == json!(null), "{key}");
    desk.send(&format!("{page}/key"), &[("action", "save"), ("key", "short")]).is(400, "admin-verification");
    desk.saves(&format!("{page}/key"), &[("action", "save"), ("key", &key), ("overlap_h", "0")]);
    let html = desk.get(&page).is(200, "admin-verification").html;
    assert!(!html.contains(&key), "a key is shown only to whoever asks for it");
    let html = desk.send(&format!("{page}/key"), &[("action", "show")]).is(200, "admin-verification").html;
    assert!(html.contains(&key));
    assert_eq!(store.client.get("/audit?type=stores.key_shown").is(200)["items"].as_array().unwrap().len(), 1);
    desk.saves(&format!("{page}/state"), &[("state", "active")]);
    assert_eq!(of(store)["state"], "active");
    (page, key)
}

#[test]
fn a_verification_type_is_set_up_tried_and_taken_away_by_pages_alone() {
    let rig = rig();
    let store = Store::of(&rig.org(), "desk", "it");
    let boss = administrator(&rig, &store, "boss", "store_admin");
    let mut desk = Desk::neutral(&rig, &store, "boss");
    let (page, key) = sets_iuv_up(&mut desk, &store);
    // Who did it stands in the audit.
    let audit = store.client.get("/audit?type=stores&limit=200").is(200).to_string();
    assert!(audit.contains(&boss), "{audit}");
    let query = format!("account={}&username=x&key={key}", store.account);
    register_from(&rig, &query, SERVER).url();
    // The tester explains, and takes the whole address too.
    let whole = format!("{BASE}/WebStore/Security/AuthenticateUser.aspx?{query}&academic_statuses=nobody");
    let told = desk.send("/tester", &[("query", &whole), ("caller", SERVER)]).is(200, "admin-tester");
    assert!(told.html.contains("id=\"answer\">400<") && told.html.contains("Non superato"), "{}", told.html);
    let told = desk.send("/tester", &[("query", &query), ("caller", SERVER)]).is(200, "admin-tester");
    assert!(told.html.contains("id=\"answer\">200<") && told.html.contains("<strong>x ("), "{}", told.html);
    desk.send("/tester", &[("query", &query), ("caller", "here")]).is(400, "admin-tester");
    // A caller that was refused, and the one click.
    register_from(&rig, &query, "203.0.113.5").refused(&[NO_STORE]);
    let mut is_seen = || desk.get(&page).html.contains("value=\"203.0.113.5\"");
    eventually("the caller is seen", &mut is_seen);
    let (_, told) = desk.saves(&format!("{page}/callers"), &[("network", "203.0.113.5")]);
    assert!(!told.html.contains("value=\"203.0.113.5\""), "he is on the list now");
    register_from(&rig, &query, "203.0.113.5").url();
    // Another single sign-on is tried, and the kinds that are there once are not offered again.
    let html = desk.get("/verifications").is(200, "admin-verifications").html;
    assert!(html.contains("<option value=\"shibboleth\">") && !html.contains("<option value=\"user_import\">"));
    desk.send("/verifications", &[("kind", "user_import")]).is(409, "admin-verifications");
    let (shibboleth, _) = desk.saves("/verifications", &[("kind", "shibboleth")]);
    let headers = ["user_name", "email", "last_name", "first_name", "groups"].map(|name| format!("header_{name}"));
    let mut fields: Vec<_> = headers.iter().map(|name| (name.as_str(), "x-attribute")).collect();
    fields.extend([("callers", "127.0.0.1"), ("groups", "staff\nacademic_statuses:faculty")]);
    desk.saves(&format!("{shibboleth}/settings"), &fields);
    let last = shown(&store)["verifications"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((&last["state"], &last["headers"]["email"]), (&json!("test"), &json!("x-attribute")));
    assert_eq!(last["groups"][0], json!({"class": "academic_statuses", "group": "staff"}));
    // Deleted only by whoever says that he is sure.
    desk.send(&format!("{shibboleth}/delete"), &[]).is(400, "admin-verification");
    assert_eq!(desk.saves(&format!("{shibboleth}/delete"), &[("sure", "1")]).0, "/verifications");
    desk.get(&shibboleth).is(404, "message");
    desk.saves(&format!("{page}/state"), &[("state", "inactive")]);
    register_from(&rig, &query, SERVER).refused(&[NO_STORE]);
    for path in ["/verifications/99", "/verifications/x", "/nowhere", "/verifications/1/nothing"] {
        desk.get(path).is(404, "message");
        desk.send(path, &[]).is(404, "message");
    }
}

#[test]
fn the_shop_is_filled_by_pages_alone() {
    let rig = rig();
    let store = Store::of(&rig.org(), "desk", "en");
    administrator(&rig, &store, "boss", "store_admin");
    let mut desk = Desk::through(&rig, &store, "boss");
    let html = desk.browser.get(&store.home()).is(200, "home").html;
    assert!(html.contains(&format!("href=\"{}\"", desk.root)), "the store leads to its administration");
    desk.saves("/groups", &[("code", "department"), ("groups", "law, Faculty of Law\nart\n")]);
    let classes = shown(&store)["classes"].clone();
    let law = json!([{"group": "law", "name": "Faculty of Law"}, {"group": "art", "name": "art"}]);
    assert_eq!(classes[1], json!({"class": "department", "groups": law}));
    for code in ["a b", "", "username", "../x"] {
        desk.send("/groups", &[("code", code), ("groups", "x")]).is(400, "admin-groups");
    }
    desk.send("/groups", &[("code", "x"), ("groups", "a\na")]).is(400, "admin-groups");
    desk.saves("/members", &[("code", "OrgA"), ("name", "School of <Nursing>")]);
    assert_eq!(shown(&store)["members"][0]["name"], "School of <Nursing>");
    desk.send("/members/delete", &[("code", "OrgA")]).is(400, "admin-members");
    desk.saves("/members/delete", &[("code", "OrgA"), ("sure", "1")]);
    desk.send("/members/delete", &[("code", "OrgA"), ("sure", "1")]).is(404, "admin-members");
    let fields = [("name", "Editor"), ("groups", "department:law"), ("per_shopper", "2"), ("listed", "1")];
    let (product, _) = desk.saves("/products", &fields);
    desk.send("/products", &[("name", ""), ("per_shopper", "many")]).is(400, "admin-products");
    let (_, page) = desk.saves(&format!("{product}/codes"), &[("codes", "AAAA-1\r\n\r\n AAAA-2 \r\n")]);
    assert_eq!(between(&page.html, "id=\"left\">", "<"), "2");
    desk.send(&format!("{product}/codes"), &[("codes", "BBBB-1\nAAAA-1")]).is(409, "admin-product");
    desk.saves(&product, &[("name", "Editor 2"), ("per_shopper", "1"), ("alert_below", "0")]);
    let shown = store.show_product(product.strip_prefix("/products/").unwrap());
    assert_eq!((&shown["name"], &shown["listed"], &shown["groups"]), (&json!("Editor 2"), &json!(false), &json!([])));
    assert_eq!((&shown["codes_left"], &shown["alert_below"]), (&json!(2), &json!(0)));
    desk.get("/products/x").is(404, "message");
    desk.get("/report").is(200, "admin-report");
    // Leaving lands on the neutral page, with what support asks for.
    let left = desk.send("/leave", &[]).is(200, "admin-signin").html;
    assert!(left.contains("Rossi Auto") && left.contains("mailto:help@castle.example?body="), "{left}");
}

#[test]
fn roles_are_seen_given_and_moved() {
    let rig = rig();
    let store = Store::of(&rig.org(), "desk", "de");
    let boss = administrator(&rig, &store, "boss", "store_admin");
    let anna = store.user(&rig, "anna", &[]);
    let mut desk = Desk::neutral(&rig, &store, "boss");
    let roles = |shopper: &str| store.client.get(&store.path(&format!("/shoppers/{shopper}"))).is(200)["roles"].clone();
    assert!(!desk.get("/roles").is(200, "admin-roles").html.contains("<h3>anna</h3>"));
    assert!(desk.get("/roles?username=anna").is(200, "admin-roles").html.contains("<h3>anna</h3>"));
    desk.get("/roles?username=nobody").is(404, "admin-roles");
    desk.send("/roles", &[("username", "nobody"), ("action", "grant")]).is(404, "admin-roles");
    desk.send("/roles", &[("username", "anna"), ("action", "grant")]).is(200, "admin-roles");
    assert_eq!(roles(&anna), json!(["iuv_admin"]));
    // An IUV administrator sees verification types and nothing else.
    let mut other = Desk::neutral(&rig, &store, "anna");
    other.get("/verifications").is(200, "admin-verifications");
    other.get("/tester").is(200, "admin-tester");
    for path in ["/groups", "/members", "/products", "/roles", "/report", "/products/x/codes"] {
        other.get(path).is(403, "message");
        other.send(path, &[("username", "anna"), ("action", "grant")]).is(403, "message");
    }
    // The role of a store's administrator only moves, and only when it is confirmed.
    desk.send("/roles", &[("username", "boss"), ("action", "revoke"), ("role", "store_admin")]).is(409, "admin-roles");
    desk.send("/roles", &[("username", "boss"), ("action", "invite")]).is(200, "admin-roles");
    let fields = [("username", "boss"), ("action", "transfer"), ("role", "store_admin"), ("to", "anna")];
    let told = desk.send("/roles", &fields).is(200, "admin-roles");
    assert!(told.html.contains("→ anna"), "{}", told.html);
    let missing = [("username", "boss"), ("action", "transfer"), ("role", "iuv_admin"), ("to", "anna")];
    desk.send("/roles", &missing).is(409, "admin-roles");
    assert_eq!((roles(&boss), roles(&anna)), (json!(["store_admin"]), json!(["iuv_admin"])));
    desk.send("/roles", &[("username", "anna"), ("action", "revoke"), ("role", "iuv_admin")]).is(200, "admin-roles");
    assert_eq!(roles(&anna), json!([]));
    other.get("").is(200, "admin-signin");
    let told = desk.send("/roles", &[("username", "anna"), ("action", "invite")]).is(200, "admin-roles");
    assert!(told.html.contains("/signin/set-password?shopper="));
    let confirmed = store.path(&format!("/shoppers/{boss}/transfer/confirmation"));
    store.client.post(&confirmed, &json!({"confirmed": true})).is(200);
    eventually("the role has moved", || roles(&anna) == json!(["store_admin"]));
    desk.get("/roles").is(403, "admin-signin");
}

#[test]
fn forms_of_others_change_nothing_and_every_page_is_in_the_stores_language() {
    let rig = rig();
    let org = rig.org();
    for (language, word) in [("it", "Opzioni di prova"), ("de", "Testoptionen"), ("en", "Test options")] {
        let store = Store::of(&org, &format!("desk-{language}"), language);
        administrator(&rig, &store, "boss", "store_admin");
        let mut desk = Desk::through(&rig, &store, "boss");
        for page in [
            "",
            "/verifications",
            "/verifications/1",
            "/tester",
            "/groups",
            "/members",
            "/products",
            "/roles",
            "/report",
        ] {
            let shown = desk.get(page);
            assert_eq!((shown.status, shown.header("content-language")), (200, Some(language)), "{page}");
            assert!(!shown.html.contains("<script") && shown.html.matches("<h1>").count() == 1, "{page}");
            let policy = shown.header("content-security-policy").unwrap();
            assert!(policy.starts_with("default-src 'none'"), "{policy}");
        }
        assert!(desk.get("/verifications").html.contains(word));
        let before = shown(&store);
        let token = desk.get("").token();
        for root in [desk.root.clone(), "/admin".to_owned()] {
            let page = format!("{root}/verifications");
            assert_eq!(desk.browser.post_with("1.x", &page, &[("kind", "iuv")]).status, 403, "{root}");
            desk.browser.headers = vec![("Origin".to_owned(), "https://evil.example".to_owned())];
            assert_eq!(desk.browser.post_with(&token, &page, &[("kind", "iuv")]).status, 403, "{root}");
            desk.browser.headers.clear();
            assert_eq!(Browser::new(&rig).send("POST", &page, Some("kind=iuv")).status, 403, "{root}");
        }
        assert_eq!(shown(&store), before);
    }
}

#[test]
fn support_is_told_what_is_known_before_anybody_is_signed_in() {
    let rig = rig();
    let store = Store::of(&rig.org(), "desk", "it");
    let mut browser = Browser::new(&rig);
    let page = browser.get(&format!("/admin?account={}", store.account)).is(200, "admin-signin");
    assert_eq!(between(&page.html, "id=\"support-account\">", "<"), store.account);
    assert!(between(&page.html, "id=\"support-description\">", "<").contains(&format!("{BASE}/admin")));
    let fields = [("account", &*store.account), ("username", "anna@uni.example"), ("password", "wrong horse")];
    let page = browser.post("/admin", "/admin", &fields).is(403, "admin-signin");
    assert_eq!(between(&page.html, "id=\"support-name\">", "<"), "anna@uni.example");
    assert_eq!(between(&page.html, "id=\"support-email\">", "<"), "anna@uni.example");
    assert!(page.html.contains("mailto:help@castle.example?body=") && !page.html.contains("wrong horse"));
    assert!(!page.html.contains("Rossi Auto"), "whose number it is is not said");
}
