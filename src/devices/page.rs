//! The small page on which the person at a phone enters MAC and PAP: three languages, no script, and no word about which
//! devices there are.

use crate::{
    kernel::{KeyedHash, UnixMillis},
    orgs::Language,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use minijinja::{AutoEscape, Environment, context};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::{sync::OnceLock, time::Duration};
use subtle::ConstantTimeEq;

/// What the page says of what was entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    Nothing,
    Accepted,
    /// Wrong, locked, unknown, not needed: all alike.
    Refused,
    /// No MAC, or no six digits.
    Invalid,
    /// The form is too old, or was not ours.
    Expired,
    TooMany,
}

impl Said {
    pub fn word(self) -> &'static str {
        match self {
            Self::Nothing => "",
            Self::Accepted => "accepted",
            Self::Refused => "refused",
            Self::Invalid => "invalid",
            Self::Expired => "expired",
            Self::TooMany => "too_many",
        }
    }

    pub fn status(self) -> u16 {
        match self {
            Self::Nothing | Self::Accepted | Self::Refused => 200,
            Self::Invalid => 400,
            Self::Expired => 403,
            Self::TooMany => 429,
        }
    }
}

/// How long a form may be filled in.
pub const FORM_LIVES: Duration = Duration::from_secs(3600);
/// An answer takes at least so long, whatever it says.
pub const ANSWER_TAKES: Duration = Duration::from_millis(300);

/// What proves that a form is ours and belongs to this browser.
pub fn form_token(keys: &dyn KeyedHash, path: &str, cookie: &str, now: UnixMillis) -> String {
    let seal = keys.keyed_hash("devices.form", &[path.as_bytes(), cookie.as_bytes(), &now.0.to_be_bytes()]);
    format!("{:x}.{}", now.0, super::words::letters(&seal, 26).as_str())
}

pub fn is_form_token(keys: &dyn KeyedHash, path: &str, cookie: &str, token: &str, now: UnixMillis) -> bool {
    let at = token.split('.').next().and_then(|at| u64::from_str_radix(at, 16).ok()).map(UnixMillis);
    at.is_some_and(|at| {
        let right = form_token(keys, path, cookie, at);
        bool::from(right.as_bytes().ct_eq(token.as_bytes()))
            && at <= now
            && now.0 - at.0 < FORM_LIVES.as_millis() as u64
    })
}

/// The first language of `Accept-Language` that there is a page in.
pub fn preferred(accept: Option<&str>) -> Option<Language> {
    let mut wanted: Vec<(f32, &str)> = accept?
        .split(',')
        .take(20)
        .map(|part| {
            let (tag, rest) = part.split_once(';').unwrap_or((part, ""));
            let weight = rest.trim().strip_prefix("q=").map_or(Some(1.0), |weight| weight.parse().ok());
            (weight.unwrap_or(0.0), tag.trim())
        })
        .filter(|(weight, _)| *weight > 0.0)
        .collect();
    wanted.sort_by(|one, other| other.0.total_cmp(&one.0));
    wanted.iter().find_map(|(_, tag)| named(tag.split('-').next().unwrap_or_default()))
}

pub fn named(tag: &str) -> Option<Language> {
    Language::ALL.into_iter().find(|language| language.tag().eq_ignore_ascii_case(tag))
}

#[derive(Serialize)]
struct Words {
    title: &'static str,
    about: &'static str,
    mac: &'static str,
    pap: &'static str,
    send: &'static str,
    #[serde(skip)]
    said: [&'static str; 5],
}

const fn words(language: Language) -> Words {
    match language {
        Language::It => Words {
            title: "Autenticare il telefono",
            about: "Inserisca l'indirizzo MAC, che sta sull'etichetta del telefono, e il PIN a sei cifre (PAP) ricevuto dall'amministratore.",
            mac: "Indirizzo MAC",
            pap: "PIN del telefono (PAP)",
            send: "Inviare",
            said: [
                "Fatto: il telefono riceve la sua configurazione alla prossima richiesta. Se non si muove, lo riavvii.",
                "Non è stato accettato. Controlli l'indirizzo MAC e il PIN; dopo tre tentativi sbagliati il telefono resta bloccato per 30 minuti. Se non riesce, chieda all'amministratore.",
                "Servono un indirizzo MAC di 12 cifre esadecimali e un PIN di sei cifre.",
                "Questo modulo non è più valido. Lo compili di nuovo.",
                "Troppi tentativi sbagliati da qui. Riprovi più tardi o chieda all'amministratore.",
            ],
        },
        Language::De => Words {
            title: "Telefon authentifizieren",
            about: "Geben Sie die MAC-Adresse ein, die auf dem Etikett des Telefons steht, und die sechsstellige PIN (PAP), die Sie vom Administrator haben.",
            mac: "MAC-Adresse",
            pap: "PIN des Telefons (PAP)",
            send: "Senden",
            said: [
                "Erledigt: Das Telefon erhält seine Konfiguration bei der nächsten Anfrage. Geschieht nichts, starten Sie es neu.",
                "Das wurde nicht angenommen. Prüfen Sie MAC-Adresse und PIN; nach drei falschen Versuchen ist das Telefon 30 Minuten gesperrt. Gelingt es nicht, fragen Sie den Administrator.",
                "Es braucht eine MAC-Adresse aus 12 hexadezimalen Ziffern und eine PIN aus sechs Ziffern.",
                "Dieses Formular gilt nicht mehr. Bitte füllen Sie es noch einmal aus.",
                "Zu viele falsche Versuche von hier. Versuchen Sie es später oder fragen Sie den Administrator.",
            ],
        },
        Language::En => Words {
            title: "Authenticate a phone",
            about: "Enter the MAC address from the phone's label and the six-digit PIN (PAP) that your administrator gave you.",
            mac: "MAC address",
            pap: "The phone's PIN (PAP)",
            send: "Send",
            said: [
                "Done: the phone gets its configuration when it next asks. If nothing happens, restart it.",
                "This was not accepted. Check the MAC address and the PIN; after three wrong ones the phone is locked for 30 minutes. If it does not work, ask your administrator.",
                "A MAC address has 12 hexadecimal digits, a PIN six digits.",
                "This form is no longer valid. Please fill it in again.",
                "Too many wrong ones from here. Try later, or ask your administrator.",
            ],
        },
    }
}

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:28rem;padding:0 1rem}\
label,input,button{display:block;width:100%;box-sizing:border-box}input,button{font:inherit;padding:.5rem;margin:0 0 1rem}\
[role=status]{padding:.75rem;border:2px solid}.accepted{border-color:#1a7f37}.refused,.invalid,.expired,.too_many{border-color:#b42318}\
nav{margin-top:2rem}";

/// What a browser may do with the page.
pub fn content_security_policy() -> String {
    let style = STANDARD.encode(Sha256::digest(STYLE));
    format!(
        "default-src 'none'; style-src 'sha256-{style}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
}

#[derive(Serialize)]
struct Other {
    tag: &'static str,
    name: &'static str,
}

/// The page as HTML.
pub fn render(language: Language, said: Said, token: &str) -> Result<String, minijinja::Error> {
    static PAGE: OnceLock<Environment<'static>> = OnceLock::new();
    let page = PAGE.get_or_init(|| {
        let mut environment = Environment::new();
        environment.set_auto_escape_callback(|_| AutoEscape::Html);
        environment
    });
    let t = words(language);
    let said_in_words = match said {
        Said::Nothing => "",
        Said::Accepted => t.said[0],
        Said::Refused => t.said[1],
        Said::Invalid => t.said[2],
        Said::Expired => t.said[3],
        Said::TooMany => t.said[4],
    };
    let languages = [("it", "Italiano"), ("de", "Deutsch"), ("en", "English")].map(|(tag, name)| Other { tag, name });
    page.render_str(
        include_str!("../../config/templates/pages/phone.html"),
        context! { language => language.tag(), outcome => said.word(), said => said_in_words, style => STYLE, token, t, languages },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_language_says_everything_and_nothing_breaks_out() {
        for language in Language::ALL {
            for said in [Said::Nothing, Said::Accepted, Said::Refused, Said::Invalid, Said::Expired, Said::TooMany] {
                let page = render(language, said, "\"><script>").unwrap();
                assert!(page.contains(&format!("data-outcome=\"{}\"", said.word())), "{page}");
                assert!(!page.contains("<script") && page.contains(&format!("lang=\"{}\"", language.tag())));
                assert!(page.contains(STYLE));
            }
        }
    }

    #[test]
    fn the_language_is_the_one_that_is_liked_best() {
        for (accept, language) in [
            ("de-CH,de;q=0.9,en;q=0.8", Some(Language::De)),
            ("fr, it;q=0.3, en;q=0.5", Some(Language::En)),
            ("fr", None),
            ("it;q=0", None),
            ("", None),
            (";;;q=x,,", None),
        ] {
            assert_eq!(preferred(Some(accept)), language, "{accept}");
        }
    }
}
