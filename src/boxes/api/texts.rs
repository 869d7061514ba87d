//! What people are told of their own codes, by mail or by text. The codes are read when it is sent.

use super::mails::{self, box_seen, sample_box};
use crate::{
    boxes::{BookingPlain, BoxMail, CodesReplaced, CredentialsPlain, TextedCode},
    delivery::mail::{MailKind, Reader},
    kernel::{Codec, UnixMillis, VaultField},
};
use serde_json::{Value, json};

pub(crate) static KINDS: [MailKind; 1] =
    [MailKind { template: CodesReplaced::MAIL, wanted: |_| true, data, ids, sample }];
pub(crate) static TEXTS: [MailKind; 3] = [
    MailKind {
        template: BoxMail::REMINDER_TEXT,
        wanted: |_| true,
        data: mails::data,
        ids: mails::ids,
        sample: mails::sample_reminder,
    },
    MailKind { template: CodesReplaced::TEXT, wanted: |_| true, data, ids, sample },
    MailKind { template: TextedCode::TEXT, wanted: |_| true, data: texted, ids: texted_ids, sample },
];

fn data(reader: &Reader<'_>, about: &[u8]) -> Result<Value, String> {
    let CodesReplaced { person, smart_box, code, pin, accesses, at } = CodesReplaced::decode_from(about)?;
    let sealed: Option<CredentialsPlain> = reader.sealed(person.at(reader.org()), VaultField::Credentials)?;
    let known = sealed.unwrap_or_default();
    let told = |booking: &BookingPlain| accesses.contains(&booking.access);
    let mut bookings: Vec<_> = known.bookings.into_iter().filter(told).map(|booking| booking.code).collect();
    bookings.sort_unstable();
    bookings.dedup();
    Ok(json!({
        "box": box_seen(reader, smart_box)?, "at": at, "code": known.code.filter(|_| code), "pin": known.pin.filter(|_| pin),
        "bookings": bookings,
    }))
}

fn ids(about: &[u8]) -> Value {
    match CodesReplaced::decode_from(about) {
        Ok(replaced) => json!({"box": replaced.smart_box, "person": replaced.person}),
        Err(_) => Value::Null,
    }
}

fn sample() -> Value {
    json!({
        "box": sample_box(), "at": UnixMillis(1_790_000_000_000), "code": "240117", "pin": "2468",
        "bookings": ["7301942", "7301943"],
    })
}

fn texted(reader: &Reader<'_>, about: &[u8]) -> Result<Value, String> {
    let about = TextedCode::decode_from(about)?;
    Ok(json!({"box": box_seen(reader, about.smart_box)?, "once": about.code(reader.keyed_hash())}))
}

fn texted_ids(about: &[u8]) -> Value {
    match TextedCode::decode_from(about) {
        Ok(about) => json!({"box": about.smart_box, "person": about.texted.person}),
        Err(_) => Value::Null,
    }
}

/// Whether this text is in the place of a mail: who has an address gets that, and one that finds no way is nobody's
/// trouble.
pub(crate) fn stands_in(template: &str) -> bool {
    template == BoxMail::REMINDER_TEXT
}

/// Whether nobody needs this text any more.
pub(crate) fn is_over(template: &str, about: &[u8], now: UnixMillis) -> Result<bool, String> {
    Ok(template == TextedCode::TEXT && TextedCode::decode_from(about)?.texted.until <= now)
}

/// A text, in letters of the short alphabet.
pub(crate) fn words(language: &str, data: &Value) -> String {
    if let Some(once) = data["once"].as_str() {
        let name = data["box"]["name"].as_str().unwrap_or_default();
        return match language {
            "it" => format!("{once} e' il codice per lo SmartBox {name}. Vale una volta, per cinque minuti."),
            "de" => format!("{once} ist der Code fuer die SmartBox {name}. Er gilt einmal, fuenf Minuten lang."),
            _ => format!("{once} is the code for the SmartBox {name}. It holds once, for five minutes."),
        };
    }
    if data.get("key").is_some() {
        let (name, key) = (data["box"]["name"].as_str().unwrap_or_default(), data["key"].as_str().unwrap_or_default());
        return match language {
            "it" => format!("Ricordati di riportare la chiave {key} allo SmartBox {name}."),
            "de" => format!("Bitte bringen Sie den Schluessel {key} zur SmartBox {name} zurueck."),
            _ => format!("Please bring the key {key} back to the SmartBox {name}."),
        };
    }
    let value = |name: &str| data.get(name).and_then(Value::as_str);
    let bookings: Vec<_> = data["bookings"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let name = data["box"]["name"].as_str().unwrap_or_default();
    let (stolen, code, booking) = match language {
        "it" => ("rubato, nuovi codici", "accesso", "prenotazione"),
        "de" => ("gestohlen, neue Codes", "Zugang", "Buchung"),
        _ => ("stolen, new codes", "access", "booking"),
    };
    let mut parts: Vec<String> = Vec::new();
    parts.extend(value("code").map(|digits| format!("{code} {digits}")));
    parts.extend(value("pin").map(|digits| format!("PIN {digits}")));
    parts.extend(bookings.iter().map(|digits| format!("{booking} {digits}")));
    format!("SmartBox {name}: {stolen}. {}", parts.join(", "))
}
