//! Configurations out of templates: built in, replaceable file by file. All are tried with sample data when they are
//! loaded, so that a broken one is found at the start and not when a phone asks.

use super::{
    Account, Credential, File, Model, Pbx, Phone, Trust, Vendor, Wanted,
    escape::{self, Format},
    seen::{Seen, SeenMac},
};
use crate::{
    devices::Mac,
    orgs::Language,
    templates::{self, BuiltIn, TemplateError},
};
use minijinja::Environment;
use serde::Serialize;
use std::path::Path;

macro_rules! built_in {
    ($($name:literal),* $(,)?) => {
        const BUILT_IN: &BuiltIn = &[
            $(($name, include_str!(concat!("../../../config/templates/phones/", $name)))),*
        ];
    };
}

built_in![
    "aastra.device.colon.j2",
    "aastra.master.colon.j2",
    "cisco.device.xml.j2",
    "cisco.master.xml.j2",
    "fanvil.device.xml.j2",
    "gigaset.device.xmlquoted.j2",
    "grandstream.device.xml.j2",
    "htek.device.xml.j2",
    "panasonic.device.quoted.j2",
    "panasonic.master.quoted.j2",
    "patton.device.words.j2",
    "polycom.device.xml.j2",
    "polycom.empty.xml.j2",
    "polycom.master.xml.j2",
    "snom.device.xml.j2",
    "snom.master.xml.j2",
    "yealink.device.equals.j2",
    "yealink.empty.equals.j2",
    "yealink.master.equals.j2",
];

const KEY: &str = "provisioning.templates_dir";

/// Why a file cannot be made. Holds no value of the phone's.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// Not one of the files that are made here.
    #[error("there is no such file for {0}")]
    NoFile(Vendor),
    #[error("{0}")]
    Template(String),
    #[error("{0} cannot be read")]
    Value(&'static str),
}

/// A file for a phone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    pub content_type: &'static str,
    pub body: Vec<u8>,
}

#[derive(Debug)]
pub struct Templates(Environment<'static>);

impl Templates {
    /// The built-in ones, and what the folder has instead of them.
    pub fn load(folder: &Path) -> Result<Self, TemplateError> {
        let mut environment = templates::environment();
        environment.set_keep_trailing_newline(true);
        // Or errors would show the values around them.
        environment.set_debug(false);
        environment.set_auto_escape_callback(escape::auto_escape);
        environment.set_formatter(escape::write);
        for filter in ["safe", "escape", "e"] {
            environment.remove_filter(filter);
        }
        environment.add_filter("regex", regex_literal);
        environment.add_filter("hex", hex);
        templates::load(&mut environment, BUILT_IN, KEY, folder)?;
        let templates = Self(environment);
        templates.try_all()?;
        Ok(templates)
    }

    fn try_all(&self) -> Result<(), TemplateError> {
        for (name, _) in BUILT_IN {
            let (vendor, format) = named(name).ok_or_else(|| {
                TemplateError::new(KEY, *name, "is not named <vendor>.<device|master|empty>.<format>.j2")
            })?;
            let tried = if name.contains(".device.") {
                self.try_device(name, vendor, format)
            } else {
                [None, Some(SAMPLE_MAC)]
                    .into_iter()
                    .try_for_each(|mac| self.fill(name, format, SeenBy::of(mac, "https://phones.example/p/")).map(drop))
            };
            tried.map_err(|error| TemplateError::new(KEY, *name, error))?;
        }
        Ok(())
    }

    fn try_device(&self, name: &str, vendor: Vendor, format: Format) -> Result<(), RenderError> {
        let accounts: Vec<Account> = (201..).map(sample_account).take(vendor.accounts_max()).collect();
        let credential = Credential { user: "000413abcdef", password: "sample" };
        let emergency_numbers = ["112".to_owned(), "118".to_owned()];
        let pbx = Pbx {
            registrar: "pbx.example",
            registrar_port: 5060,
            emergency_numbers: &emergency_numbers,
            authentication_number: "*55",
        };
        let base_url = "https://phones.example/provisioning/sample/";
        let trusts = [
            Trust::Full { accounts: &accounts, credential },
            Trust::Full { accounts: &[], credential },
            Trust::Minimal { user: "m000413abcdef", password: "sample" },
        ];
        for trust in trusts {
            for language in Language::ALL {
                for zone in ["Europe/Rome", "UTC", "America/New_York"] {
                    let phone =
                        Phone { mac: SAMPLE_MAC, label: "Desk", language, zone, base_url, poll_s: 60, pbx, trust };
                    self.fill(name, format, Seen::of(vendor, None, &phone, format)?)?;
                }
            }
        }
        Ok(())
    }

    /// The device's own configuration, full or minimal.
    pub fn device(&self, vendor: Vendor, model: Option<&Model>, phone: &Phone<'_>) -> Result<Rendered, RenderError> {
        let (name, format) = template(vendor, "device").ok_or(RenderError::NoFile(vendor))?;
        if model.is_some_and(|model| !vendor.serves(model)) {
            return Err(RenderError::NoFile(vendor));
        }
        self.fill(name, format, Seen::of(vendor, model, phone, format)?)
    }

    /// A file without secrets: `File::Master` and `File::Empty`.
    pub fn common(&self, wanted: &Wanted, base_url: &str) -> Result<Rendered, RenderError> {
        let kind = match wanted.file {
            File::Master => "master",
            File::Empty => "empty",
            File::Device(_) | File::Absent | File::Upload => return Err(RenderError::NoFile(wanted.vendor)),
        };
        let (name, format) = template(wanted.vendor, kind).ok_or(RenderError::NoFile(wanted.vendor))?;
        self.fill(name, format, SeenBy::of(wanted.mac, base_url))
    }

    fn fill(&self, name: &str, format: Format, seen: impl Serialize) -> Result<Rendered, RenderError> {
        let filled = self.0.get_template(name).and_then(|template| template.render(seen));
        let filled = filled.map_err(|error| RenderError::Template(error.to_string()))?;
        Ok(Rendered { content_type: format.content_type(), body: format.with_line_ends(filled).into_bytes() })
    }
}

/// What a file sees that every phone may have.
#[derive(Serialize)]
struct SeenBy<'a> {
    mac: Option<SeenMac>,
    base_url: &'a str,
}

impl<'a> SeenBy<'a> {
    fn of(mac: Option<Mac>, base_url: &'a str) -> Self {
        Self { mac: mac.map(SeenMac::of), base_url }
    }
}

/// Whether a vendor's phones can be told such a user or password: their formats cannot hold everything.
pub fn fits(vendor: Vendor, value: &str) -> bool {
    let format = template(vendor, "device").map(|(_, format)| format);
    !value.is_empty() && format.is_some_and(|format| format.escaped(value).is_some())
}

/// The name of a vendor's file, and its format.
fn template(vendor: Vendor, kind: &str) -> Option<(&'static str, Format)> {
    let start = format!("{}.{kind}.", vendor.word());
    let name = BUILT_IN.iter().map(|(name, _)| *name).find(|name| name.starts_with(&start))?;
    Some((name, Format::of(name)?))
}

/// What a name of a template says.
fn named(name: &str) -> Option<(Vendor, Format)> {
    Some((name.split_once('.')?.0.parse().ok()?, Format::of(name)?))
}

/// A number as a regular expression that means itself.
fn regex_literal(number: &str) -> String {
    number.chars().flat_map(|c| (!c.is_ascii_alphanumeric()).then_some('\\').into_iter().chain([c])).collect()
}

/// As Gigaset has numbers.
fn hex(number: u32) -> String {
    format!("{number:#x}")
}

const SAMPLE_MAC: Mac = Mac([0x00, 0x04, 0x13, 0xab, 0xcd, 0xef]);

fn sample_account(number: u32) -> Account {
    Account {
        display_name: "Anna Rossi".to_owned(),
        user: number.to_string(),
        authentication_user: None,
        password: "sample".to_owned(),
        registrar: None,
    }
}
