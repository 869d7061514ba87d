//! Templates and messages without a mail server: what is rendered, what is refused, what goes over the line.

use super::{message::Sender, templates::*, *};
use crate::{
    kernel::{BoxId, MailName, OrgId, UnixMillis},
    orgs::Language,
};
use std::path::Path;

fn built_in() -> Templates {
    Templates::load(Path::new("")).unwrap()
}

fn rendered(template: &str, language: Language) -> Rendered {
    let kind = kind_of(template).unwrap();
    let about = About { organisation: "Müller & <Söhne>", recipient: "Anna Rossi", data: (kind.sample)() };
    built_in().render(template, language, about).unwrap()
}

#[test]
fn every_mail_says_it_in_three_languages_and_escapes_html() {
    for kind in kinds() {
        for language in Language::ALL {
            let Rendered { subject, text, html } = rendered(kind.template, language);
            let which = format!("{} {}\n{text}", kind.template, language.tag());
            assert!(!subject.trim().is_empty() && !subject.contains('\n'), "{which}");
            // What goes to a person of the organisation; stores and installations speak in their own names.
            if !["iuv_", "recovery_"].iter().any(|theirs| kind.template.starts_with(theirs)) {
                assert!(text.contains("Müller & <Söhne>"), "{which}");
                assert!(text.contains("Anna Rossi") && text.contains("(Europe/Rome)"), "{which}");
                assert!(html.contains("Müller &amp; &lt;Söhne&gt;") && html.contains("(Europe/Rome)"), "{html}");
            }
            if kind.template.starts_with("box_") {
                assert!(subject.starts_with("Portineria: "), "{which}");
            }
            assert!(html.contains(&format!("<html lang=\"{}\">", language.tag())));
            for left in ["{{", "{%", "none", "undefined"] {
                assert!(!text.contains(left) && !html.contains(left), "`{left}` in {which}");
            }
            assert!(!text.contains("\n\n\n"), "holes in {which}");
            assert!(!text.lines().any(|line| line.ends_with(' ') && line != "-- "), "blanks in {which}");
        }
    }
}

#[test]
fn the_conflict_mail_tells_both_versions_and_what_to_do() {
    let text = rendered("box_conflicts", Language::De).text;
    for part in [
        "Öffnen Sie alle Fächer",
        "Fach: A-3",
        "Schlüssel: Panda <1> (Anhänger 04A2F1)",
        "Person: Bruno Müller",
        "Person: gelöschte Person",
        "Wann: 21.09.2026, 16:13:20 (Europe/Rome)",
        "im Fach liegt Anhänger 04A2F2",
        "den Schlüssel hat Carla (seit 21.09.2026, 16:13:20 (Europe/Rome))",
        "Und 3 weitere",
        "Der Eintrag: {not an entry}",
    ] {
        assert!(text.contains(part), "`{part}` is missing in:\n{text}");
    }
    assert!(rendered("box_conflicts", Language::It).text.contains("Quando: 21/09/2026, 16:13:20 (Europe/Rome)"));
    assert!(rendered("box_conflicts", Language::En).text.contains("When: 21 Sep 2026, 16:13:20 (Europe/Rome)"));
}

fn sender() -> Sender {
    let config = crate::config::Mail {
        from: "Schlüsselwart <castellan@castle.example>".to_owned(),
        ..crate::config::Mail::default()
    };
    Sender::new(&config).unwrap()
}

fn name() -> MailName {
    MailName { from: BoxId(9).at(OrgId(7)), revision: 57, n: 1, at: UnixMillis(1_790_000_000_000) }
}

#[test]
fn a_header_takes_nothing_but_its_own_line() {
    let to = Addressee {
        name: "Eve\r\nBcc: all@evil.example".to_owned(),
        email: "eve@rossi.example".to_owned(),
        language: Language::En,
    };
    let evil = Rendered { subject: "a\r\nX-Evil: 1\u{0}".to_owned(), text: "ä".to_owned(), html: "ö".to_owned() };
    let message = sender().message(&name(), to.mailbox().unwrap(), Language::It, evil).unwrap();
    let bytes = String::from_utf8(message.formatted()).unwrap();
    let (head, _) = bytes.split_once("\r\n\r\n").unwrap();
    for line in head.lines() {
        assert!(!line.starts_with("Bcc") && !line.starts_with("X-Evil"), "{head}");
    }
    assert_eq!(message.envelope().to().len(), 1);
    assert!(head.is_ascii(), "{head}");
    let address = |email: &str| {
        Addressee { name: "x".to_owned(), email: email.to_owned(), language: Language::En }.mailbox().is_err()
    };
    assert!(address("eve@rossi.example>\r\nRCPT TO:<all@evil.example") && address("no address") && address(""));
}

#[test]
fn the_same_mail_is_the_same_bytes() {
    let build = || {
        let to =
            Addressee {
                name: "Zoë Müßig".to_owned(), email: "zoe@rossi.example".to_owned(), language: Language::En
            };
        let mail = rendered("box_conflicts", Language::De);
        sender().message(&name(), to.mailbox().unwrap(), Language::De, mail).unwrap().formatted()
    };
    let bytes = String::from_utf8(build()).unwrap();
    assert_eq!(bytes.as_bytes(), build());
    assert!(bytes.contains("Message-ID: <box_00000000000000000000000009.57.1.1a0c4506c00@castle.example>"), "{bytes}");
    assert!(bytes.contains("Date: Mon, 21 Sep 2026 14:13:20 +0000"), "{bytes}");
    assert!(bytes.contains("Content-Type: text/plain; charset=utf-8"), "{bytes}");
}

#[test]
fn a_dead_letter_shows_ids_and_nothing_else() {
    for (name, trouble) in MailTrouble::ALL.iter().map(|trouble| (trouble.name(), *trouble)) {
        assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'));
        assert!(!(trouble.is_final() && trouble.is_of_the_server()), "{name}");
    }
    let mail = MailCopy { name: name(), template: "no_such".into(), to: Recipient::Owner, about: vec![1] };
    assert_eq!(ids_in(&mail), Value::Null);
    assert_eq!(ids_in(&MailCopy { template: "box_conflicts".into(), ..mail }), Value::Null, "unreadable");
}
