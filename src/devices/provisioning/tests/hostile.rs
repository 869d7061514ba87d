//! Whatever people write as names and passwords, no value leaves its place.

use super::{CREDENTIAL, MINIMAL, accounts, formats, golden::places, render};
use crate::devices::provisioning::{Account, RenderError, Rendered, Trust, Vendor, fits};
use proptest::prelude::*;

const HOSTILE: [&str; 22] = [
    "a\nb",
    "a\rb",
    "x\r\naccount.1.password = stolen",
    "x\nsip line1 password: stolen",
    "x\"\r\nSIP_PASS_1=\"stolen",
    "a\"b",
    "\"",
    "a'b",
    "]]>",
    "<P34>stolen</P34>",
    "\" reg.1.auth.password=\"stolen",
    "&lt;&amp;&",
    "a=b # c",
    "#",
    "%NULL%",
    " blanks ",
    "Grüße, 漢字 🙂",
    "\u{0}",
    "\u{fffe}",
    "{{ user }}{% if %}{# #}",
    "$USER $(system.mac) %s",
    "\u{85}next",
];

fn full(vendor: Vendor, accounts: &[Account], label: &str) -> Result<Rendered, RenderError> {
    // The label has to live as long as the phone.
    let label: &'static str = Box::leak(label.to_owned().into_boxed_str());
    render(vendor, Trust::Full { accounts, credential: CREDENTIAL }, |phone| phone.label = label)
}

fn try_texts(vendor: Vendor, text: &str) {
    let plain = formats::read(vendor, &full(vendor, &accounts(vendor), "Desk").unwrap().body).unwrap();
    // Names are made to fit.
    let mut named = accounts(vendor);
    named[0].display_name = text.to_owned();
    let body = full(vendor, &named, text).unwrap_or_else(|error| panic!("{vendor}, {text:?}: {error}")).body;
    let read = formats::read(vendor, &body).unwrap_or_else(|error| panic!("{vendor}, {text:?}: {error}"));
    assert_eq!(plain.keys().collect::<Vec<_>>(), read.keys().collect::<Vec<_>>(), "{vendor}, {text:?}");
    let Some(places) = places(vendor) else { return };
    assert!(read[places.name].chars().count() <= 64, "{vendor}, {text:?}");
    assert_eq!(read[places.password], plain[places.password], "{vendor}, {text:?}");

    // Users and passwords stand there to the letter, or the file is not made.
    for secret in [places.user, places.authentication_user, places.password] {
        let mut changed = accounts(vendor);
        match secret {
            place if place == places.user => changed[0].user = text.to_owned(),
            place if place == places.password => changed[0].password = text.to_owned(),
            _ => changed[0].authentication_user = Some(text.to_owned()),
        }
        let made = full(vendor, &changed, "Desk");
        assert_eq!(made.is_ok(), fits(vendor, text), "{vendor}, {text:?}");
        let Ok(made) = made else { continue };
        let read = formats::read(vendor, &made.body).unwrap_or_else(|error| panic!("{vendor}, {text:?}: {error}"));
        assert_eq!(read[secret], text, "{vendor}: {secret}");
        assert_eq!(plain.keys().collect::<Vec<_>>(), read.keys().collect::<Vec<_>>(), "{vendor}, {text:?}");
    }
}

#[test]
fn hostile_values_stay_in_their_place() {
    let long = "x".repeat(500);
    for vendor in Vendor::ALL {
        for text in HOSTILE.into_iter().chain([long.as_str(), ""]) {
            try_texts(vendor, text);
        }
    }
}

#[test]
fn an_error_shows_no_secret() {
    let mut hostile = accounts(Vendor::Yealink);
    hostile[0].password = "hunter2\n".to_owned();
    let error = full(Vendor::Yealink, &hostile, "Desk").unwrap_err();
    let shown = format!("{error} {error:?}");
    assert!(!shown.contains("hunter2") && !shown.contains("rossi"), "{shown}");
    assert!(shown.contains("yealink.device.equals.j2") && shown.contains("cannot hold"), "{shown}");
}

#[test]
fn what_stands_in_addresses_and_dial_plans_is_plain() {
    for vendor in Vendor::ALL {
        for url in [
            "phones.example/p/",
            "ftp://phones.example/p/",
            "https://phones.example/p",
            "https://phones.example/p\"/",
            "https://phones.example/p x/",
            "https://a@phones.example/p/",
            "https:///p/",
            "https://phones.example:70000/p/",
        ] {
            assert!(render(vendor, MINIMAL, |phone| phone.base_url = url).is_err(), "{vendor} {url}");
        }
        for number in ["", "112x", "1|2", "112)", "1 1", "#"] {
            assert!(render(vendor, MINIMAL, |phone| phone.pbx.authentication_number = number).is_err(), "{number}");
        }
        for registrar in ["", "pbx example", "pbx\"", "[::1", "[pbx]", "pbx:5060"] {
            assert!(render(vendor, MINIMAL, |phone| phone.pbx.registrar = registrar).is_err(), "{registrar}");
        }
        assert!(render(vendor, MINIMAL, |phone| phone.zone = "Mars/Olympus").is_err());
        let odd = Trust::Minimal { user: "a b", password: "x" };
        assert!(render(vendor, odd, |_| ()).is_err());
        let many = vec![accounts(vendor)[0].clone(); vendor.accounts_max() + 1];
        assert!(full(vendor, &many, "Desk").is_err(), "{vendor}");
        assert!(full(vendor, &many[1..], "Desk").is_ok(), "{vendor}");
        assert!(full(vendor, &[], "Desk").is_ok(), "{vendor}");
    }
}

#[test]
fn zones_are_told_where_a_phone_can_know_them() {
    let told = |zone| {
        let body = render(Vendor::Panasonic, MINIMAL, |phone| phone.zone = zone).unwrap().body;
        let read = formats::read(Vendor::Panasonic, &body).unwrap();
        read.get("LOCAL_TIME_ZONE_POSIX").cloned()
    };
    assert_eq!(told("Europe/Rome").as_deref(), Some("STD-01:00DST,M3.5.0/2,M10.5.0/3"));
    assert_eq!(told("Europe/London").as_deref(), Some("STD00:00DST,M3.5.0/1,M10.5.0/2"));
    assert_eq!(told("Asia/Kolkata").as_deref(), Some("STD-05:30"));
    assert_eq!(told("America/Bogota").as_deref(), Some("STD05:00"));
    assert_eq!(told("UTC").as_deref(), Some("STD00:00"));
    // A rule that is not Europe's: the phone keeps its own.
    assert_eq!(told("America/New_York"), None);
    assert_eq!(told("Australia/Sydney"), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_text_stays_in_its_place(text in "\\PC{0,12}[\\s\\S]{0,12}", which in 0..Vendor::ALL.len()) {
        try_texts(Vendor::ALL[which], &text);
    }
}
