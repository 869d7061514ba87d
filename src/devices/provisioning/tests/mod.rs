//! What phones ask for and what they get.

mod formats;
mod golden;
mod hostile;
mod overrides;
mod requests;

use super::*;
use crate::{devices::Mac, orgs::Language};
use std::{path::Path, sync::LazyLock};

pub(super) fn mac_of(vendor: Vendor) -> Mac {
    let mac = match vendor {
        Vendor::Snom => "000413abcdef",
        Vendor::Yealink => "001565abcdef",
        Vendor::Grandstream => "000b82abcdef",
        Vendor::Cisco => "8843e1abcdef",
        Vendor::Polycom => "0004f2abcdef",
        Vendor::Aastra => "00085dabcdef",
        Vendor::Gigaset => "7c2f80abcdef",
        Vendor::Panasonic => "0080f0abcdef",
        Vendor::Fanvil => "0c383eabcdef",
        Vendor::Patton => "00a0baabcdef",
        Vendor::Htek => "001fc1abcdef",
    };
    mac.parse().unwrap()
}

/// Two accounts, where the phone may have two.
pub(super) fn accounts(vendor: Vendor) -> Vec<Account> {
    let first = Account {
        display_name: "Anna Rossi".to_owned(),
        user: "201".to_owned(),
        authentication_user: Some("rossi-201".to_owned()),
        password: "pX7!kq=2".to_owned(),
        registrar: None,
    };
    let second = Account {
        display_name: "Werkstatt Söhne".to_owned(),
        user: "202".to_owned(),
        authentication_user: None,
        password: "9vB.Tz4".to_owned(),
        registrar: Some(("other.example".to_owned(), 5080)),
    };
    [first, second].into_iter().take(vendor.accounts_max()).collect()
}

/// What a phone of such a vendor gets, in Bolzano.
pub(super) fn render(
    vendor: Vendor,
    trust: Trust<'_>,
    change: impl FnOnce(&mut Phone<'_>),
) -> Result<Rendered, RenderError> {
    let emergency_numbers = ["112".to_owned(), "118".to_owned()];
    let pbx = Pbx {
        registrar: "pbx.example",
        registrar_port: 5060,
        emergency_numbers: &emergency_numbers,
        authentication_number: "*55",
    };
    let mut phone = Phone {
        mac: mac_of(vendor),
        label: "Empfang & Büro",
        language: Language::De,
        zone: "Europe/Rome",
        base_url: "https://phones.example:8443/provisioning/k3v9/",
        poll_s: if matches!(trust, Trust::Full { .. }) { 86_400 } else { 60 },
        pbx,
        trust,
    };
    change(&mut phone);
    TEMPLATES.device(vendor, None, &phone)
}

pub(super) static TEMPLATES: LazyLock<Templates> = LazyLock::new(|| Templates::load(Path::new("")).unwrap());

pub(super) const CREDENTIAL: Credential<'static> = Credential { user: "d-7k2m9", password: "Zk3.vQ-8tRw_1xYs" };
pub(super) const MINIMAL: Trust<'static> = Trust::Minimal { user: "p4f7a1c", password: "dGh1c2lz" };

#[test]
fn vendors_are_known_by_word_name_and_old_name() {
    for (number, vendor) in Vendor::ALL.into_iter().enumerate() {
        for text in [vendor.word(), vendor.name(), &vendor.name().to_uppercase()] {
            assert_eq!(text.parse(), Ok(vendor), "{text}");
        }
        assert_eq!(serde_json::to_value(vendor).unwrap(), vendor.word());
        // Stored: the bytes stay as they are.
        assert_eq!(minicbor::to_vec(vendor).unwrap(), [u8::try_from(number).unwrap()]);
        assert_eq!(Vendor::of_mac(mac_of(vendor)), Some(vendor));
    }
    assert_eq!(("Mitel".parse(), "linksys".parse()), (Ok(Vendor::Aastra), Ok(Vendor::Cisco)));
    assert_eq!("nortel".parse::<Vendor>(), Err(VendorError));
}

#[test]
fn a_model_is_a_short_plain_name() {
    for good in ["D385", "SIP-T46S", "KX-HDV130", "N510 IP PRO", "6865i", "GXP2160+", " D385 "] {
        let model: Model = good.parse().unwrap();
        assert_eq!(model.as_str(), good.trim());
    }
    assert_eq!("d385".parse::<Model>(), "D385".parse());
    for bad in ["", "-D385", "D385-", "Ä1", "<b>", "a/b", &"x".repeat(33)] {
        assert_eq!(bad.parse::<Model>(), Err(ModelError), "{bad:?}");
    }
}
