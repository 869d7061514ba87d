//! An operator's own templates: single files, checked when they are loaded.

use super::{CREDENTIAL, accounts, mac_of};
use crate::{
    devices::provisioning::{Pbx, Phone, Templates, Trust, Vendor},
    orgs::Language,
};
use std::path::Path;

fn load_with(file: &str, text: &str) -> Result<Templates, String> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(file), text).unwrap();
    Templates::load(folder.path()).map_err(|error| error.to_string())
}

#[test]
fn one_file_replaces_one_file() {
    let templates = load_with("snom.device.xml.j2", "<settings><x>{{ label }}</x></settings>\n").unwrap();
    let pbx =
        Pbx { registrar: "pbx.example", registrar_port: 5060, emergency_numbers: &[], authentication_number: "9" };
    let phone = |vendor, accounts| Phone {
        mac: mac_of(vendor),
        label: "a<b>",
        language: Language::En,
        zone: "UTC",
        base_url: "http://phones.example/p/",
        poll_s: 60,
        pbx,
        trust: Trust::Full { accounts, credential: CREDENTIAL },
    };
    let snom = accounts(Vendor::Snom);
    let made = templates.device(Vendor::Snom, None, &phone(Vendor::Snom, &snom)).unwrap();
    assert_eq!(String::from_utf8(made.body).unwrap(), "<settings><x>a&lt;b&gt;</x></settings>\n");
    let made = templates.device(Vendor::Yealink, None, &phone(Vendor::Yealink, &snom)).unwrap();
    assert!(made.body.starts_with(b"#!version:1.0.0.1\n"));
}

#[test]
fn what_is_wrong_with_a_template_is_said_with_file_and_line() {
    for (file, text, says) in [
        ("snom.device.xml.j2", "<a>\n{% if %}</a>", "snom.device.xml.j2:2"),
        ("snom.device.xml.j2", "<a>\n\n{{ lable }}</a>", "snom.device.xml.j2:3"),
        ("yealink.device.equals.j2", "#!version:1.0.0.1\n{{ label | nothing }}\n", "yealink.device.equals.j2:2"),
        // There is no way around the escaping.
        ("snom.device.xml.j2", "{{ label | safe }}", "snom.device.xml.j2:1"),
        ("snom.device.xml.j2", "{{ label | e }}", "snom.device.xml.j2:1"),
        ("snom.device.xml.j2", "{% autoescape false %}{{ label }}{% endautoescape %}", "snom.device.xml.j2:1"),
        ("snom.device.xml.j2", "{% autoescape 'html' %}{{ label }}{% endautoescape %}", "snom.device.xml.j2:1"),
        ("snom.device.xml.j2", "{{ none }}", "snom.device.xml.j2:1"),
        ("snom.devise.xml.j2", "", "replaces nothing"),
        ("snom.device.equals.j2", "", "replaces nothing"),
    ] {
        let error = load_with(file, text).err().unwrap_or_else(|| panic!("{file}: {text:?} was taken"));
        assert!(error.starts_with("provisioning.templates_dir: ") && error.contains(says), "{text:?}: {error}");
    }
    assert!(Templates::load(Path::new("/nowhere/at/all")).is_err());
    assert!(load_with(".notes", "").is_ok());
}
