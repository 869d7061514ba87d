//! What each vendor's phones get, byte by byte, and that a reader of their format finds in it what was meant.

use super::{CREDENTIAL, MINIMAL, TEMPLATES, accounts, formats, mac_of, render};
use crate::devices::provisioning::{File, Trust, Vendor, Wanted};
use std::{fs, path::PathBuf};

/// Where a vendor's phones look for what matters.
pub(super) struct Places {
    pub user: &'static str,
    pub authentication_user: &'static str,
    pub password: &'static str,
    pub name: &'static str,
    /// Host, or host and port.
    registrar: &'static str,
    credential: [&'static str; 2],
    /// What is said instead of the numbers that a phone may not dial.
    dial: (&'static str, &'static str),
    poll: (&'static str, &'static str),
    /// Where a second account is switched on or off.
    second: Option<(&'static str, &'static str, &'static str)>,
}

pub(super) fn places(vendor: Vendor) -> Option<Places> {
    Some(match vendor {
        Vendor::Snom => Places {
            user: "phone-settings/user_name[1]",
            authentication_user: "phone-settings/user_pname[1]",
            password: "phone-settings/user_pass[1]",
            name: "phone-settings/user_idle_text[1]",
            registrar: "phone-settings/user_outbound[1]",
            credential: ["phone-settings/http_client_user", "phone-settings/http_client_pass"],
            dial: ("phone-settings/user_dp_str[1]", r"|^(112|118|\*55)$|sip:\1@\d|d |^.+$|sip:*55@\d|"),
            poll: ("phone-settings/settings_refresh_timer", "60"),
            second: Some(("phone-settings/user_active[2]", "on", "off")),
        },
        Vendor::Yealink => Places {
            user: "account.1.user_name",
            authentication_user: "account.1.auth_name",
            password: "account.1.password",
            name: "account.1.label",
            registrar: "account.1.sip_server.1.address",
            credential: ["static.auto_provision.server.username", "static.auto_provision.server.password"],
            dial: ("dialplan.digitmap.string", "112|118|*55"),
            poll: ("static.auto_provision.repeat.minutes", "1"),
            second: Some(("account.2.enable", "1", "0")),
        },
        Vendor::Grandstream => Places {
            user: "config/P35",
            authentication_user: "config/P36",
            password: "config/P34",
            name: "config/P270",
            registrar: "config/P47",
            credential: ["config/P1360", "config/P1361"],
            dial: ("config/P290", "{ 112 | 118 | *55 }"),
            poll: ("config/P193", "60"),
            second: Some(("config/P401", "1", "0")),
        },
        Vendor::Cisco => Places {
            user: "User_ID_1_",
            authentication_user: "Auth_ID_1_",
            password: "Password_1_",
            name: "Short_Name_1_",
            registrar: "Proxy_1_",
            credential: ["", ""],
            dial: ("Dial_Plan_1_", "(112S0|118S0|*55S0)"),
            poll: ("Resync_Periodic", "60"),
            second: Some(("Line_Enable_2_", "Yes", "No")),
        },
        Vendor::Polycom => Places {
            user: "reg.1.address",
            authentication_user: "reg.1.auth.userId",
            password: "reg.1.auth.password",
            name: "reg.1.label",
            registrar: "reg.1.server.1.address",
            credential: ["device.prov.user", "device.prov.password"],
            dial: ("dialplan.digitmap", "112|118|*55"),
            poll: ("prov.polling.period", "3601"),
            second: Some(("reg.2.address", "202", "")),
        },
        Vendor::Aastra => Places {
            user: "sip line1 user name",
            authentication_user: "sip line1 auth name",
            password: "sip line1 password",
            name: "sip line1 screen name",
            registrar: "sip line1 registrar ip",
            credential: ["http digest username", "http digest password"],
            dial: ("sip dial plan", "112|118|*55"),
            poll: ("auto resync mode", "1"),
            second: Some(("sip line2 user name", "202", "")),
        },
        Vendor::Gigaset => Places {
            user: "BS_IP_Data1.aucS_SIP_USER_ID",
            authentication_user: "BS_IP_Data3.aucS_SIP_LOGIN_ID",
            password: "BS_IP_Data1.aucS_SIP_PASSWORD",
            name: "BS_AE_Subscriber.stMtDat[0].aucTlnName",
            registrar: "BS_IP_Data1.aucS_SIP_REGISTRAR",
            credential: ["", ""],
            dial: ("", ""),
            poll: ("BS_IP_Data.ucB_AUTO_UPDATE_PROFILE", "0x1"),
            second: Some(("BS_IP_Data1.ucB_SIP_ACCOUNT_IS_ACTIVE_2", "0x1", "0x0")),
        },
        Vendor::Panasonic => Places {
            user: "PHONE_NUMBER_1",
            authentication_user: "SIP_AUTHID_1",
            password: "SIP_PASS_1",
            name: "DISPLAY_NAME_1",
            registrar: "SIP_RGSTR_ADDR_1",
            credential: ["", ""],
            dial: ("DIAL_PLAN_1", "112|118|*55"),
            poll: ("CFG_CYCLIC_INTVL", "1"),
            second: Some(("LINE_ENABLE_2", "Enabled", "Disabled")),
        },
        Vendor::Fanvil => Places {
            user: "sip/line[1]/PhoneNumber",
            authentication_user: "sip/line[1]/RegisterUser",
            password: "sip/line[1]/RegisterPswd",
            name: "sip/line[1]/DisplayName",
            registrar: "sip/line[1]/RegisterAddr",
            credential: ["ap/DefaultUsername", "ap/DefaultPassword"],
            dial: ("", ""),
            poll: ("ap/FlashInterval", "1"),
            second: Some(("sip/line[2]/EnableReg", "1", "0")),
        },
        Vendor::Htek => Places {
            user: "config/P35",
            authentication_user: "config/P36",
            password: "config/P34",
            name: "config/P20000",
            registrar: "config/P47",
            credential: ["config/P1360", "config/P1361"],
            dial: ("config/P4200", "{112 | 118 | *55}"),
            poll: ("config/P193", "1"),
            second: None,
        },
        // A command line has no places: see below.
        Vendor::Patton => return None,
    })
}

/// Compares with the golden file; with `CASTELLAN_GOLDEN=write` in the environment it is written anew.
fn golden(name: &str, body: &[u8]) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/phones").join(name);
    if std::env::var_os("CASTELLAN_GOLDEN").is_some_and(|value| value == "write") {
        fs::write(&path, body).unwrap();
    }
    let expected = fs::read(&path).unwrap_or_default();
    assert_eq!(String::from_utf8_lossy(body), String::from_utf8_lossy(&expected), "{} differs", path.display());
}

fn ending(content_type: &str) -> &'static str {
    if content_type.starts_with("text/xml") { "xml" } else { "cfg" }
}

#[test]
fn every_vendor_has_a_full_and_a_minimal_configuration() {
    for vendor in Vendor::ALL {
        let accounts = accounts(vendor);
        let full = render(vendor, Trust::Full { accounts: &accounts, credential: CREDENTIAL }, |_| ()).unwrap();
        let minimal = render(vendor, MINIMAL, |_| ()).unwrap();
        golden(&format!("{}.full.{}", vendor.word(), ending(full.content_type)), &full.body);
        golden(&format!("{}.minimal.{}", vendor.word(), ending(minimal.content_type)), &minimal.body);

        let told = |body: &[u8]| formats::read(vendor, body).unwrap_or_else(|error| panic!("{vendor}: {error}"));
        let (full, minimal) = (told(&full.body), told(&minimal.body));
        let Some(places) = places(vendor) else { continue };
        let at = |settings: &formats::Settings, place: &str| {
            settings.get(place).unwrap_or_else(|| panic!("{vendor} has no {place}: {settings:#?}")).clone()
        };
        let expect = |settings, place: &str, value: &str| assert_eq!(at(settings, place), value, "{vendor}: {place}");

        expect(&full, places.user, "201");
        expect(&full, places.authentication_user, "rossi-201");
        expect(&full, places.password, "pX7!kq=2");
        expect(&full, places.name, "Anna Rossi");
        assert!(["pbx.example", "pbx.example:5060"].contains(&at(&full, places.registrar).as_str()), "{vendor}");
        expect(&minimal, places.user, "p4f7a1c");
        expect(&minimal, places.password, "dGh1c2lz");
        expect(&minimal, places.name, "Authentifizierung erforderlich");
        expect(&minimal, places.poll.0, places.poll.1);
        if let Some((place, on, off)) = places.second {
            expect(&full, place, on);
            expect(&minimal, place, off);
        }
        if !places.dial.0.is_empty() {
            expect(&minimal, places.dial.0, places.dial.1);
            assert_ne!(full.get(places.dial.0), Some(&places.dial.1.to_owned()), "{vendor}");
        }
        let [user, password] = places.credential;
        if !user.is_empty() {
            expect(&full, user, CREDENTIAL.user);
            expect(&full, password, CREDENTIAL.password);
        }
    }
}

/// Nothing of an account or of the credential stands in what a phone gets that is not trusted, nor the PBX's other data.
#[test]
fn a_minimal_configuration_holds_no_secret_but_its_own() {
    for vendor in Vendor::ALL {
        let body = String::from_utf8(render(vendor, MINIMAL, |_| ()).unwrap().body).unwrap();
        for secret in [CREDENTIAL.user, CREDENTIAL.password, "rossi", "pX7", "Empfang"] {
            assert!(!body.contains(secret), "{vendor}: {secret}");
        }
        // Said on the display, in each language; an adapter has none.
        for (language, notice) in [("It", "Autenticazione necessaria"), ("En", "Authentication needed")]
            .into_iter()
            .filter(|_| vendor != Vendor::Patton)
        {
            let language = if language == "It" { crate::orgs::Language::It } else { crate::orgs::Language::En };
            let body = render(vendor, MINIMAL, |phone| phone.language = language).unwrap().body;
            assert!(String::from_utf8(body).unwrap().contains(notice), "{vendor}");
        }
    }
}

#[test]
fn credentials_that_ride_in_other_values() {
    let full = |vendor| {
        let accounts = accounts(vendor);
        let body = render(vendor, Trust::Full { accounts: &accounts, credential: CREDENTIAL }, |_| ()).unwrap().body;
        formats::read(vendor, &body).unwrap()
    };
    let credential = format!("{}:{}@", CREDENTIAL.user, CREDENTIAL.password);
    assert_eq!(
        full(Vendor::Cisco)["Profile_Rule"],
        format!(
            "[--uid {} --pwd {}]https://phones.example:8443/provisioning/k3v9/$MA.xml",
            CREDENTIAL.user, CREDENTIAL.password
        )
    );
    assert_eq!(
        full(Vendor::Panasonic)["CFG_STANDARD_FILE_PATH"],
        format!("https://{credential}phones.example:8443/provisioning/k3v9/Config{{MAC}}.cfg")
    );
    let patton = full(Vendor::Patton);
    // Its address has to hold the credential.
    let location = "location 1 https://phones.example:8443/provisioning/k3v9/$(system.mac).cfg";
    let location = format!("profile provisioning PF_CONFIG / {location}");
    for command in [
        location.as_str(),
        "authentication-service AUTH / username rossi-201 password pX7!kq=2",
        "location-service LOC0 / identity 201 / registration outbound / registrar pbx.example 5060",
        "location-service LOC1 / identity 202 / registration outbound / registrar other.example 5080",
        "context cs switch / routing-table called-e164 RT_FROM_FXS0 / route .T dest-interface IF_SIP0",
    ] {
        assert!(patton.contains_key(command), "{command}: {patton:#?}");
    }
    let minimal = formats::read(Vendor::Patton, &render(Vendor::Patton, MINIMAL, |_| ()).unwrap().body).unwrap();
    let routes = minimal.keys().filter(|command| command.contains("RT_FROM_FXS0 / route "));
    let routes: Vec<_> = routes.map(|command| command.rsplit(" / ").next().unwrap()).collect();
    let to = "dest-interface IF_SIP0";
    assert_eq!(routes, [format!("route 112 {to}"), format!("route 118 {to}"), format!(r"route \*55 {to}")]);
}

#[test]
fn files_for_all_name_the_files_of_each() {
    let base_url = "https://phones.example/provisioning/k3v9/";
    let common = |vendor, file, mac| {
        let wanted = Wanted { vendor, model: None, mac, file };
        TEMPLATES.common(&wanted, base_url).unwrap()
    };
    for (vendor, place, for_one, for_all) in [
        (Vendor::Yealink, "include:config", Some("001565abcdef.cfg"), "$MAC.cfg"),
        (Vendor::Polycom, "CONFIG_FILES", Some("device-0004f2abcdef.cfg"), "device-[PHONE_MAC_ADDRESS].cfg"),
        (Vendor::Cisco, "Profile_Rule", None, "https://phones.example/provisioning/k3v9/$MA.xml"),
        (Vendor::Panasonic, "CFG_STANDARD_FILE_PATH", None, "https://phones.example/provisioning/k3v9/Config{MAC}.cfg"),
    ] {
        let file = common(vendor, File::Master, None);
        golden(&format!("{}.master.{}", vendor.word(), ending(file.content_type)), &file.body);
        let settings = formats::read(vendor, &file.body).unwrap();
        assert_eq!(settings[place], for_all, "{vendor}");
        let one = formats::read(vendor, &common(vendor, File::Master, Some(mac_of(vendor))).body).unwrap();
        assert_eq!(one[place], for_one.unwrap_or(for_all), "{vendor}");
    }
    for (vendor, file) in [
        (Vendor::Snom, File::Master),
        (Vendor::Aastra, File::Master),
        (Vendor::Yealink, File::Empty),
        (Vendor::Polycom, File::Empty),
    ] {
        assert!(formats::read(vendor, &common(vendor, file, None).body).is_ok(), "{vendor} {file:?}");
    }
    let none = Wanted { vendor: Vendor::Htek, model: None, mac: None, file: File::Master };
    assert!(TEMPLATES.common(&none, base_url).is_err());
}
