//! Templates of mails: text and HTML in three languages, built in, replaceable from a folder. Whatever is loaded is
//! tried with sample data, so that a broken one is found at the start and not when a mail is due.

use super::kinds;
use crate::{
    orgs::Language,
    templates::{self, BuiltIn, TemplateError},
};
use jiff::{Timestamp, tz::TimeZone};
use minijinja::{AutoEscape, Environment, ErrorKind, State};
use serde::Serialize;
use serde_json::Value;
use std::path::Path;

macro_rules! built_in {
    ($($name:literal),* $(,)?) => {
        const BUILT_IN: &BuiltIn = &[
            ("layout.html", include_str!("../../../config/templates/mail/layout.html")),
            $(
                (concat!($name, ".it.txt"), include_str!(concat!("../../../config/templates/mail/", $name, ".it.txt"))),
                (concat!($name, ".it.html"), include_str!(concat!("../../../config/templates/mail/", $name, ".it.html"))),
                (concat!($name, ".de.txt"), include_str!(concat!("../../../config/templates/mail/", $name, ".de.txt"))),
                (concat!($name, ".de.html"), include_str!(concat!("../../../config/templates/mail/", $name, ".de.html"))),
                (concat!($name, ".en.txt"), include_str!(concat!("../../../config/templates/mail/", $name, ".en.txt"))),
                (concat!($name, ".en.html"), include_str!(concat!("../../../config/templates/mail/", $name, ".en.html"))),
            )*
        ];
    };
}

built_in![
    "box_alerts",
    "box_key_codes",
    "box_return_reminder",
    "box_plan_advised",
    "box_stolen",
    "codes_replaced",
    "box_conflicts",
    "box_guarantee_broken",
    "box_guarantee_kept",
    "box_suspended",
    "iuv_sign_in",
    "iuv_password",
    "iuv_pool_low",
    "iuv_role_transfer",
    "iuv_trouble",
    "recovery_validation",
    "recovery_reset",
    "recovery_done",
    "recovery_changed",
    "recovery_glass",
    "recovery_glass_reset",
    "webhook_paused",
];

const KEY: &str = "mail.templates_dir";

#[derive(Debug)]
pub(super) struct Templates(Environment<'static>);

/// What a template sees besides `language`.
pub(super) struct About<'a> {
    pub organisation: &'a str,
    pub recipient: &'a str,
    pub data: Value,
}

#[derive(Serialize)]
struct Seen<'a> {
    language: &'static str,
    organisation: &'a str,
    recipient: &'a str,
    #[serde(flatten)]
    data: Value,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Rendered {
    pub subject: String,
    pub text: String,
    pub html: String,
}

/// What the first line of a text begins with.
const SUBJECT: &str = "Subject:";

impl Templates {
    /// The built-in ones, and what the folder has instead of them.
    pub fn load(folder: &Path) -> Result<Self, TemplateError> {
        let mut environment = templates::environment();
        environment.set_auto_escape_callback(
            |name| {
                if name.ends_with(".html") { AutoEscape::Html } else { AutoEscape::None }
            },
        );
        environment.add_filter("time", local_time);
        templates::load(&mut environment, BUILT_IN, KEY, folder)?;
        let templates = Self(environment);
        templates.try_all()?;
        Ok(templates)
    }

    fn try_all(&self) -> Result<(), TemplateError> {
        for kind in kinds() {
            for language in Language::ALL {
                let about = About { organisation: "Rossi & Söhne", recipient: "Anna Rossi", data: (kind.sample)() };
                let tried = self.render(kind.template, language, about);
                let file = format!("{}.{}", kind.template, language.tag());
                tried.map_err(|reason| TemplateError::new(KEY, file, reason))?;
            }
        }
        Ok(())
    }

    pub fn render(&self, template: &str, language: Language, about: About<'_>) -> Result<Rendered, String> {
        let About { organisation, recipient, data } = about;
        let seen = Seen { language: language.tag(), organisation, recipient, data };
        let part = |ending: &str| {
            let name = format!("{template}.{}.{ending}", language.tag());
            let rendered = self.0.get_template(&name).and_then(|template| template.render(&seen));
            rendered.map_err(|error| format!("{name}: {error:#}"))
        };
        let (whole, html) = (part("txt")?, part("html")?);
        let (first, text) = whole.split_once('\n').unwrap_or((&whole, ""));
        let subject = first.strip_prefix(SUBJECT).map(str::trim).filter(|subject| !subject.is_empty());
        let subject = subject.ok_or_else(|| format!("{template}: the text's first line must be `{SUBJECT} …`"))?;
        Ok(Rendered { subject: subject.to_owned(), text: text.trim_start_matches('\n').to_owned(), html })
    }
}

/// `{{ at_ms | time(zone) }}`: local time with the zone's name, in the manner of the mail's language.
fn local_time(state: &State<'_, '_>, at_ms: i64, zone: &str) -> Result<minijinja::Value, minijinja::Error> {
    let wrong = |what: &str| minijinja::Error::new(ErrorKind::InvalidOperation, format!("{what} cannot be read"));
    let at = Timestamp::from_millisecond(at_ms).map_err(|_| wrong("a time"))?;
    let at = at.to_zoned(TimeZone::get(zone).map_err(|_| wrong("a time zone"))?);
    let language = state.lookup("language");
    let form = match language.as_ref().and_then(|language| language.as_str()) {
        Some("it") => "%d/%m/%Y, %H:%M:%S",
        Some("de") => "%d.%m.%Y, %H:%M:%S",
        _ => "%d %b %Y, %H:%M:%S",
    };
    // A zone that is known has no character that HTML would have to escape.
    Ok(minijinja::Value::from_safe_string(format!("{} ({zone})", at.strftime(form))))
}
