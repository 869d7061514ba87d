//! Targets that no decent client sends: each is answered with a clean 400, and the server goes on.

use crate::iuv::{ask, parameter, register, rig, shop};

#[test]
fn n14_what_cannot_be_read_is_a_400_and_never_a_500() {
    let rig = rig();
    let shop = shop(&rig);
    let start = "/WebStore/Security/AuthenticateUser.aspx?";
    let name = |value: &[u8]| {
        let query = format!("{start}account={}&key={}&academic_statuses=students&username=", shop.account, shop.key);
        ask(&rig, "GET", &[query.as_bytes(), value].concat(), "192.0.2.7")
    };
    for unreadable in [&b"%FF"[..], b"a%00b", b"%C3", b"%0d%0aX-Evil:%201"] {
        name(unreadable).refused(&[&parameter("username")]);
    }
    name(b"100%").url();
    for (what, filler) in [("64 KiB", "a".repeat(64 << 10)), ("10,000 parameters", "&a=1".repeat(10_000))] {
        let heard = ask(&rig, "GET", format!("{start}{}", shop.query(&filler)).as_bytes(), "192.0.2.7");
        assert!(matches!(heard.status, 400 | 414), "{what}: {heard:?}");
    }
    let many = shop.query(&"&a=1".repeat(300));
    assert_eq!(register(&rig, &many).status, 400);
    for query in ["", "=", "&&&", "?", "a", "%", "+", "=&=", "username", "%00=%00"] {
        assert_eq!(register(&rig, query).status, 400, "{query}");
        let heard = ask(&rig, "GET", format!("/WebStore/Security/IntegratedSignIn.aspx?{query}").as_bytes(), "::1");
        assert_eq!(heard.status, 403, "{query}");
    }
}

/// What the HTTP reader itself refuses, as far as it does.
#[test]
fn raw_blanks_quotes_and_latin_1_are_a_clean_400_or_are_read() {
    let rig = rig();
    let shop = shop(&rig);
    let start = format!(
        "/WebStore/Security/AuthenticateUser.aspx?account={}&key={}&academic_statuses=students&username=",
        shop.account, shop.key
    );
    for raw in [
        &b"John Smith"[..],
        b"\"John\"",
        b"<John>",
        b"J\xfcrgen",
        b"J\x01",
        b"J\x7f",
        b"a\\b",
        b"a^b",
        b"a`b",
        b"{a|b}",
        b"a\tb",
        "Jürgen".as_bytes(),
        "Жанна".as_bytes(),
    ] {
        let heard = ask(&rig, "GET", &[start.as_bytes(), raw].concat(), "192.0.2.7");
        assert!(matches!(heard.status, 200 | 400), "{raw:?}: {heard:?}");
        assert!(heard.head.starts_with("HTTP/1.1 "), "{heard:?}");
    }
    for text in ["Jürgen", "Жанна", "a@b"] {
        ask(&rig, "GET", format!("{start}{text}").as_bytes(), "192.0.2.7").url();
    }
    let heard = ask(&rig, "GET", format!("{start}John Smith").as_bytes(), "192.0.2.7");
    assert_eq!(heard.status, 400, "{heard:?}");
    let heard = ask(&rig, "GET", &[start.as_bytes(), b"J\xfcrgen"].concat(), "192.0.2.7");
    assert_eq!(heard.status, 400, "{heard:?}");
    shop.register(&rig);
}
