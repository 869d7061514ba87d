//! What a customer's server is told when it is refused. The Italian is to the letter what existing customers know; the
//! others are translations.

use crate::{iuv::stores::state::Why, orgs::Language};
use std::borrow::Cow;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Message {
    /// Of a parameter: missing, empty, too long, unreadable, or there several times and not the same.
    Parameter(Cow<'static, str>),
    Store,
    Key,
    Group,
    Class,
}

impl Message {
    pub fn number(&self) -> u8 {
        match self {
            Self::Parameter(_) => 1,
            Self::Store => 2,
            Self::Key => 3,
            Self::Group => 4,
            Self::Class => 5,
        }
    }

    pub fn why(&self) -> Why {
        match self {
            Self::Parameter(_) => Why::Parameter,
            Self::Store => Why::Store,
            Self::Key => Why::Key,
            Self::Group => Why::Group,
            Self::Class => Why::Class,
        }
    }

    pub fn text(&self, language: Language) -> Cow<'static, str> {
        let fixed = match (self, language) {
            (Self::Parameter(name), Language::It) => {
                return format!(
                    "Parametro richiesto [{name}] mancante o presente più volte nella stringa query con valori diversi."
                )
                .into();
            }
            (Self::Parameter(name), Language::De) => {
                return format!(
                    "Der verlangte Parameter [{name}] fehlt oder steht mehrmals mit verschiedenen Werten im Query-String."
                )
                .into();
            }
            (Self::Parameter(name), Language::En) => {
                return format!(
                    "Required parameter [{name}] is missing or present several times in the query string with different values."
                )
                .into();
            }
            (Self::Store, Language::It) => {
                "WebStore non trovato. Verificare l'indirizzo IP del chiamante e il nome di sistema del WebStore (se passato)."
            }
            (Self::Store, Language::De) => {
                "WebStore nicht gefunden. Prüfen Sie die IP-Adresse des Aufrufers und den Systemnamen des WebStores (falls übergeben)."
            }
            (Self::Store, Language::En) => {
                "WebStore not found. Check the caller's IP address and the system name of the WebStore (if it was passed)."
            }
            (Self::Key, Language::It) => "La chiave inviata non corrisponde a quella configurata per il WebStore.",
            (Self::Key, Language::De) => {
                "Der gesendete Schlüssel ist nicht der, der für den WebStore eingerichtet ist."
            }
            (Self::Key, Language::En) => "The key that was sent does not match the one configured for the WebStore.",
            (Self::Group, Language::It) => "Uno o più gruppi utenti specificati nella stringa query non esiste.",
            (Self::Group, Language::De) => "Eine oder mehrere Benutzergruppen im Query-String gibt es nicht.",
            (Self::Group, Language::En) => "One or more user groups in the query string do not exist.",
            (Self::Class, Language::It) => {
                "Una o più classi di gruppi utenti specificati nella stringa query non esiste."
            }
            (Self::Class, Language::De) => {
                "Eine oder mehrere Klassen von Benutzergruppen im Query-String gibt es nicht."
            }
            (Self::Class, Language::En) => "One or more user-group classes in the query string do not exist.",
        };
        fixed.into()
    }
}

/// As they stand in an answer.
pub fn joined(messages: &[Message], language: Language) -> String {
    let texts: Vec<_> = messages.iter().map(|message| message.text(language)).collect();
    texts.join("|")
}

/// What a browser sees that is not let in, whatever the reason.
pub fn cannot_sign_in(language: Language) -> &'static str {
    match language {
        Language::It => "Impossibile accedere al negozio. Riprovare.",
        Language::De => "Die Anmeldung im Shop ist nicht möglich. Bitte versuchen Sie es noch einmal.",
        Language::En => "Unable to sign in to the store. Please try again.",
    }
}

/// To whoever comes over plain HTTP.
pub fn only_over_tls(language: Language) -> &'static str {
    match language {
        Language::It => "La chiamata deve essere effettuata tramite SSL (https). Generare una nuova chiave.",
        Language::De => "Der Aufruf muss über SSL (https) erfolgen. Erzeugen Sie einen neuen Schlüssel.",
        Language::En => "The call must be made over SSL (https). Generate a new key.",
    }
}

/// To a caller who has shown too many wrong keys.
pub fn too_many(language: Language) -> &'static str {
    match language {
        Language::It => "Troppe chiavi errate da questo indirizzo. Riprovare più tardi.",
        Language::De => "Zu viele falsche Schlüssel von dieser Adresse. Bitte versuchen Sie es später.",
        Language::En => "Too many wrong keys from this address. Try again later.",
    }
}

/// When it is our fault.
pub fn our_fault(language: Language) -> &'static str {
    match language {
        Language::It => "Errore del server. Riprovare più tardi.",
        Language::De => "Fehler des Servers. Bitte versuchen Sie es später.",
        Language::En => "Server error. Try again later.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_italian_is_that_of_the_guide() {
        let all = [Message::Parameter("username".into()), Message::Store, Message::Key, Message::Group, Message::Class];
        let guide = [
            "Parametro richiesto [username] mancante o presente più volte nella stringa query con valori diversi.",
            "WebStore non trovato. Verificare l'indirizzo IP del chiamante e il nome di sistema del WebStore (se passato).",
            "La chiave inviata non corrisponde a quella configurata per il WebStore.",
            "Uno o più gruppi utenti specificati nella stringa query non esiste.",
            "Una o più classi di gruppi utenti specificati nella stringa query non esiste.",
        ];
        assert_eq!(joined(&all, Language::It), guide.join("|"));
        assert_eq!(cannot_sign_in(Language::It), "Impossibile accedere al negozio. Riprovare.");
        for message in &all {
            for language in Language::ALL {
                assert!(!message.text(language).contains('|'));
            }
        }
    }
}
