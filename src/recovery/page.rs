//! The pages that mails lead to, in three languages, without script: a button, a code, new credentials.

use super::policy::Weak;
use crate::orgs::Language;
use askama::Template;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha2::{Digest, Sha256};

/// What a page shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Page {
    /// The button of a validation mail.
    Validate {
        installation: Box<str>,
    },
    /// The button of a reset mail.
    StartReset {
        installation: Box<str>,
    },
    Code {
        installation: Box<str>,
        wrong: Option<u8>,
    },
    NewCredentials {
        installation: Box<str>,
        name: String,
        wrong: Option<Unfit>,
    },
    /// The button that stops a reset which the operator has started.
    Stop {
        installation: Box<str>,
    },
    Stopped,
    Validated,
    ResetDone,
    Expired,
    /// The form was sent from somewhere else.
    Foreign,
    Busy,
    /// The directory does not accept the installation's account, or says nothing.
    Directory {
        refused: bool,
    },
}

/// Why credentials are not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfit {
    Name,
    NameTaken,
    Different,
    Old,
    Weak(Weak),
}

impl Page {
    pub fn status(&self) -> u16 {
        match self {
            Self::Validate { .. } | Self::StartReset { .. } | Self::Validated | Self::ResetDone => 200,
            Self::Stop { .. } | Self::Stopped => 200,
            Self::Code { wrong: None, .. } | Self::NewCredentials { wrong: None, .. } => 200,
            Self::Code { wrong: Some(_), .. } | Self::NewCredentials { wrong: Some(_), .. } => 422,
            Self::Expired => 410,
            Self::Foreign => 403,
            Self::Busy | Self::Directory { refused: false } => 503,
            Self::Directory { refused: true } => 409,
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Validate { .. } => "validate",
            Self::StartReset { .. } => "start_reset",
            Self::Code { wrong: None, .. } => "code",
            Self::Code { wrong: Some(_), .. } => "code_wrong",
            Self::NewCredentials { wrong: None, .. } => "credentials",
            Self::NewCredentials { wrong: Some(_), .. } => "credentials_wrong",
            Self::Stop { .. } => "stop",
            Self::Stopped => "stopped",
            Self::Validated => "validated",
            Self::ResetDone => "reset_done",
            Self::Expired => "expired",
            Self::Foreign => "foreign",
            Self::Busy => "busy",
            Self::Directory { .. } => "directory",
        }
    }
}

struct Field {
    name: &'static str,
    label: &'static str,
    kind: &'static str,
    complete: &'static str,
    value: String,
    numeric: bool,
}

struct Form {
    fields: Vec<Field>,
    button: &'static str,
}

#[derive(Template)]
#[template(path = "recovery.html")]
struct Html<'a> {
    language: &'static str,
    title: &'static str,
    page: &'static str,
    style: &'static str,
    said: String,
    about: Vec<String>,
    form: Option<Form>,
    languages: &'a [(&'static str, &'static str)],
}

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:30rem;padding:0 1rem}\
label,input,button{display:block;width:100%;box-sizing:border-box}input,button{font:inherit;padding:.5rem;margin:0 0 1rem}\
[role=status]{padding:.75rem;border:2px solid #b42318}.validated,.reset_done,.stopped{border-color:#1a7f37}nav{margin-top:2rem}";

const LANGUAGES: [(&str, &str); 3] = [("it", "Italiano"), ("de", "Deutsch"), ("en", "English")];

/// What a browser may do with the page.
pub fn content_security_policy() -> String {
    let style = STANDARD.encode(Sha256::digest(STYLE));
    format!(
        "default-src 'none'; style-src 'sha256-{style}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
}

/// Three languages of one text.
type Three = [&'static str; 3];

fn in_language(language: Language, three: Three) -> &'static str {
    match language {
        Language::It => three[0],
        Language::De => three[1],
        Language::En => three[2],
    }
}

pub fn render(language: Language, page: &Page, characters_min: usize) -> Result<String, askama::Error> {
    let t = |three: Three| in_language(language, three);
    let filled = |three: Three, value: &str| t(three).replace("{}", value);
    let field = |name, label: Three, kind, complete, value: &str| Field {
        name,
        label: t(label),
        kind,
        complete,
        value: value.to_owned(),
        numeric: name == "code",
    };
    let (mut said, mut about, mut form) = (String::new(), Vec::new(), None);
    let title = match page {
        Page::Validate { installation } => {
            about.push(filled(VALIDATE, installation));
            form = Some(Form { fields: Vec::new(), button: t(VALIDATE_BUTTON) });
            VALIDATE_TITLE
        }
        Page::StartReset { installation } => {
            about.push(filled(START, installation));
            form = Some(Form { fields: Vec::new(), button: t(START_BUTTON) });
            RESET_TITLE
        }
        Page::Code { installation, wrong } => {
            if let Some(left) = wrong {
                said = filled(CODE_WRONG, &left.to_string());
            }
            about.push(filled(CODE, installation));
            let fields = vec![field("code", CODE_LABEL, "text", "one-time-code", "")];
            form = Some(Form { fields, button: t(SEND) });
            CODE_TITLE
        }
        Page::NewCredentials { installation, name, wrong } => {
            if let Some(unfit) = wrong {
                said = filled(unfit.says(), &characters_min.to_string());
            }
            about.push(filled(NEW, installation));
            about.push(filled(POLICY, &characters_min.to_string()));
            let fields = vec![
                field("name", NAME_LABEL, "text", "username", name),
                field("password", PASSWORD_LABEL, "password", "new-password", ""),
                field("again", AGAIN_LABEL, "password", "new-password", ""),
            ];
            form = Some(Form { fields, button: t(SAVE) });
            RESET_TITLE
        }
        Page::Stop { installation } => {
            about.push(filled(STOP, installation));
            form = Some(Form { fields: Vec::new(), button: t(STOP_BUTTON) });
            STOP_TITLE
        }
        Page::Stopped => {
            said = t(STOPPED).to_owned();
            STOP_TITLE
        }
        Page::Validated => {
            said = t(VALIDATED).to_owned();
            VALIDATE_TITLE
        }
        Page::ResetDone => {
            said = t(RESET_DONE).to_owned();
            RESET_TITLE
        }
        Page::Expired => {
            said = t(EXPIRED).to_owned();
            EXPIRED_TITLE
        }
        Page::Foreign => {
            said = t(FOREIGN).to_owned();
            EXPIRED_TITLE
        }
        Page::Busy => {
            said = t(BUSY).to_owned();
            BUSY_TITLE
        }
        Page::Directory { refused } => {
            said = t(if *refused { DIRECTORY_REFUSED } else { DIRECTORY_UNAVAILABLE }).to_owned();
            if *refused { DIRECTORY_TITLE } else { BUSY_TITLE }
        }
    };
    Html {
        language: language.tag(),
        title: t(title),
        page: page.name(),
        style: STYLE,
        said,
        about,
        form,
        languages: &LANGUAGES,
    }
    .render()
}

impl Unfit {
    fn says(self) -> Three {
        match self {
            Self::Name => [
                "Il nome utente deve avere da 1 a 80 caratteri, senza spazi agli estremi.",
                "Der Benutzername hat 1 bis 80 Zeichen, ohne Leerzeichen an den Enden.",
                "A user name has 1 to 80 characters, without blanks at its ends.",
            ],
            Self::NameTaken => [
                "Un altro utente ha già questo nome.",
                "Ein anderer Benutzer hat diesen Namen schon.",
                "Another user has this name.",
            ],
            Self::Different => [
                "Le due password non sono uguali.",
                "Die beiden Passwörter sind verschieden.",
                "The two passwords differ.",
            ],
            Self::Old => [
                "Questa è la password di prima: sceglierne un'altra.",
                "Das ist das Passwort von vorher: Wählen Sie ein anderes.",
                "This is the password of before: choose another.",
            ],
            Self::Weak(Weak::Short) => [
                "La password deve avere almeno {} caratteri.",
                "Das Passwort hat mindestens {} Zeichen.",
                "A password has at least {} characters.",
            ],
            Self::Weak(Weak::Long) => [
                "La password deve avere al massimo 256 caratteri.",
                "Das Passwort hat höchstens 256 Zeichen.",
                "A password has at most 256 characters.",
            ],
            Self::Weak(Weak::Known) => [
                "È una delle password che tutti provano per prime.",
                "Das ist eines der Passwörter, die alle zuerst versuchen.",
                "This is one of the passwords that everybody tries first.",
            ],
            Self::Weak(Weak::Name) => [
                "La password contiene poco oltre al nome utente.",
                "Das Passwort besteht fast nur aus dem Benutzernamen.",
                "The user's name is most of this password.",
            ],
        }
    }
}

const VALIDATE_TITLE: Three = ["Convalida dell'indirizzo", "Adresse bestätigen", "Validate the address"];
const VALIDATE: Three = [
    "Con questo pulsante l'indirizzo diventa il contatto di recupero dell'installazione «{}».",
    "Mit diesem Knopf wird die Adresse zum Kontakt für die Wiederherstellung der Installation «{}».",
    "With this button the address becomes the recovery contact of the installation “{}”.",
];
const VALIDATE_BUTTON: Three = ["Convalidare", "Bestätigen", "Validate"];
const RESET_TITLE: Three = ["Reimpostare le credenziali", "Zugangsdaten neu setzen", "Reset the credentials"];
const START: Three = [
    "Con questo pulsante si apre il terminale che reimposta nome e password dell'amministratore 1 dell'installazione «{}».",
    "Dieser Knopf öffnet das Terminal, das Name und Passwort von Administrator 1 der Installation «{}» neu setzt.",
    "This button opens the terminal that resets name and password of administrator 1 of the installation “{}”.",
];
const START_BUTTON: Three = ["Aprire il terminale", "Terminal öffnen", "Open the terminal"];
const CODE_TITLE: Three = ["Codice ricevuto per SMS", "Code aus der SMS", "Code from the text message"];
const CODE: Three = [
    "Al telefono dell'installazione «{}» viene inviato un codice di sei cifre. Inserirlo qui; la pagina si può ricaricare.",
    "An das Telefon der Installation «{}» geht ein Code aus sechs Ziffern. Geben Sie ihn hier ein; die Seite darf neu geladen werden.",
    "A code of six digits is being sent to the telephone of the installation “{}”. Enter it here; the page may be reloaded.",
];
const CODE_LABEL: Three = ["Codice", "Code", "Code"];
const CODE_WRONG: Three = [
    "Il codice è sbagliato. Tentativi rimasti: {}.",
    "Der Code ist falsch. Verbleibende Versuche: {}.",
    "The code is wrong. Attempts left: {}.",
];
const SEND: Three = ["Inviare", "Senden", "Send"];
const NEW: Three = [
    "Inserire il nuovo nome utente e la nuova password dell'amministratore 1 dell'installazione «{}».",
    "Geben Sie den neuen Benutzernamen und das neue Passwort von Administrator 1 der Installation «{}» ein.",
    "Enter the new user name and the new password of administrator 1 of the installation “{}”.",
];
const POLICY: Three = [
    "La password: almeno {} caratteri, non tra quelle più note, non quella di prima.",
    "Das Passwort: mindestens {} Zeichen, keines der bekanntesten, nicht das von vorher.",
    "The password: at least {} characters, not among the best known, not the one of before.",
];
const NAME_LABEL: Three = ["Nome utente", "Benutzername", "User name"];
const PASSWORD_LABEL: Three = ["Nuova password", "Neues Passwort", "New password"];
const AGAIN_LABEL: Three = ["Ancora la nuova password", "Neues Passwort noch einmal", "New password again"];
const SAVE: Three = ["Salvare", "Speichern", "Save"];
const VALIDATED: Three = [
    "L'indirizzo è convalidato: da ora le credenziali si possono recuperare.",
    "Die Adresse ist bestätigt: Von jetzt an lassen sich die Zugangsdaten wiederherstellen.",
    "The address is validated: from now on the credentials can be recovered.",
];
const RESET_DONE: Three = [
    "Le credenziali sono reimpostate. Accedere ora dal terminale con il nuovo nome e la nuova password.",
    "Die Zugangsdaten sind neu gesetzt. Melden Sie sich nun am Terminal mit dem neuen Namen und Passwort an.",
    "The credentials are reset. Now log in at the terminal with the new name and password.",
];
const STOP_TITLE: Three = ["Fermare la reimpostazione", "Zurücksetzen anhalten", "Stop the reset"];
const STOP: Three = [
    "Il gestore del server ha avviato la reimpostazione delle credenziali dell'amministratore 1 dell'installazione «{}» verso un nuovo indirizzo. Se non l'avete chiesta voi, fermatela con questo pulsante.",
    "Der Betreiber des Servers hat begonnen, die Zugangsdaten von Administrator 1 der Installation «{}» an eine neue Adresse zurückzusetzen. Haben Sie das nicht verlangt, halten Sie es mit diesem Knopf an.",
    "Whoever runs the server has started a reset of the credentials of administrator 1 of the installation “{}” to a new address. If you did not ask for it, stop it with this button.",
];
const STOP_BUTTON: Three = ["Fermare", "Anhalten", "Stop it"];
const STOPPED: Three = [
    "La reimpostazione è fermata: le credenziali restano quelle di prima.",
    "Das Zurücksetzen ist angehalten: Die Zugangsdaten bleiben, wie sie sind.",
    "The reset is stopped: the credentials stay as they are.",
];
const EXPIRED_TITLE: Three = ["Link scaduto", "Link abgelaufen", "The link has expired"];
const EXPIRED: Three = [
    "Questo link è scaduto o è già stato usato. Richiedere una nuova mail dal terminale.",
    "Dieser Link ist abgelaufen oder wurde schon benutzt. Verlangen Sie am Terminal eine neue E-Mail.",
    "This link has expired or was used already. Ask for a new mail at the terminal.",
];
const FOREIGN: Three = [
    "Questo modulo è stato inviato da un'altra pagina. Aprire il link della mail.",
    "Dieses Formular kam von einer anderen Seite. Öffnen Sie den Link der E-Mail.",
    "This form came from another page. Open the link of the mail.",
];
const BUSY_TITLE: Three = ["Riprovare tra poco", "Gleich noch einmal", "Try again soon"];
const BUSY: Three = [
    "Il server è occupato. Nulla è cambiato: ricaricare la pagina e inviare di nuovo.",
    "Der Server ist beschäftigt. Nichts wurde geändert: Laden Sie die Seite neu und senden Sie noch einmal.",
    "The server is busy. Nothing has changed: reload the page and send again.",
];
const DIRECTORY_TITLE: Three = ["Account non accettato", "Konto nicht angenommen", "Account not accepted"];
const DIRECTORY_REFUSED: Three = [
    "I servizi non accettano l'account di questa installazione. Nulla è cambiato: rivolgersi a chi gestisce il server.",
    "Das Verzeichnis nimmt das Konto dieser Installation nicht an. Nichts wurde geändert: Wenden Sie sich an den Betreiber des Servers.",
    "The directory does not accept the account of this installation. Nothing has changed: ask whoever runs the server.",
];
const DIRECTORY_UNAVAILABLE: Three = [
    "I servizi non rispondono. Nulla è cambiato e il link vale ancora: riprovare più tardi.",
    "Das Verzeichnis antwortet nicht. Nichts wurde geändert, und der Link gilt noch: Versuchen Sie es später noch einmal.",
    "The directory does not answer. Nothing has changed, and the link is still good: try again later.",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_speaks_every_language_and_nothing_breaks_out() {
        let installation: Box<str> = "<script>\"&".into();
        let new = |wrong| Page::NewCredentials { installation: installation.clone(), name: "\"><b".to_owned(), wrong };
        let mut pages = vec![
            Page::Validate { installation: installation.clone() },
            Page::StartReset { installation: installation.clone() },
            Page::Code { installation: installation.clone(), wrong: None },
            Page::Code { installation: installation.clone(), wrong: Some(3) },
            new(None),
            Page::Stop { installation: installation.clone() },
            Page::Stopped,
            Page::Validated,
            Page::ResetDone,
            Page::Expired,
            Page::Foreign,
            Page::Busy,
            Page::Directory { refused: true },
            Page::Directory { refused: false },
        ];
        for unfit in [Unfit::Name, Unfit::NameTaken, Unfit::Different, Unfit::Old, Unfit::Weak(Weak::Short)] {
            pages.push(new(Some(unfit)));
        }
        for language in Language::ALL {
            for page in &pages {
                let html = render(language, page, 12).unwrap();
                assert!(html.contains(&format!("lang=\"{}\"", language.tag())) && html.contains(STYLE), "{html}");
                assert!(!html.contains("<script") && !html.contains("><b") && !html.contains("{}"), "{html}");
            }
        }
    }
}
