//! The start sequences of `tests/golden/phones/requests.txt`, and what no phone asks for.

use crate::devices::{
    Mac,
    provisioning::{File, Unknown, Vendor, Wanted},
};
use proptest::prelude::*;

const REQUESTS: &str = include_str!("../../../../tests/golden/phones/requests.txt");

fn parse(target: &str, agent: Option<&str>) -> Result<Wanted, Unknown> {
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    Wanted::parse(path, query, agent)
}

fn word(file: File) -> &'static str {
    match file {
        File::Master => "master",
        File::Device(_) => "device",
        File::Empty => "empty",
        File::Absent => "absent",
        File::Upload => "upload",
    }
}

#[test]
fn every_phones_start_is_understood() {
    let mut seen = Vec::new();
    for line in REQUESTS.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let fields: Vec<&str> = line.split(" | ").collect();
        let [vendor, agent, target, file, mac, model] = fields[..] else { panic!("six fields: {line}") };
        let known = |text: &'static str| Some(text).filter(|text| *text != "-");
        let wanted = parse(target, known(agent)).unwrap_or_else(|error| panic!("{line}: {error}"));
        assert_eq!((wanted.vendor.word(), word(wanted.file)), (vendor, file), "{line}");
        let expected: Option<Mac> = known(mac).map(|mac| mac.parse().unwrap());
        assert_eq!(wanted.mac, expected, "{line}");
        if let File::Device(mac) = wanted.file {
            assert_eq!(Some(mac), expected, "{line}");
        }
        assert_eq!(wanted.model, known(model).map(|model| model.parse().unwrap()), "{line}");
        seen.push((wanted.vendor, word(wanted.file)));
    }
    for vendor in Vendor::ALL {
        assert!(seen.contains(&(vendor, "device")), "no device's file of {vendor}");
    }
}

#[test]
fn case_and_leading_slash_do_not_matter() {
    for target in ["805EC0ABCDEF.CFG", "/805ec0abcdef.cfg", "//805ec0ABCDEF.cfg"] {
        let wanted = parse(target, None).unwrap();
        assert_eq!((wanted.vendor, word(wanted.file)), (Vendor::Yealink, "device"), "{target}");
    }
}

#[test]
fn what_no_phone_asks_for_is_refused() {
    let yealink = Some("Yealink SIP-T46S 66.86.0.15 80:5e:c0:ab:cd:ef");
    let long = format!("/{}.cfg", "a".repeat(10_000));
    for (target, agent) in [
        ("/../../etc/passwd", yealink),
        ("/..%2f..%2fetc%2fpasswd", yealink),
        ("/%2e%2e/805ec0abcdef.cfg", yealink),
        ("/..", yealink),
        ("/.git/config", yealink),
        ("/805ec0abcdef.cfg%00.xml", yealink),
        ("/805ec0abcdef.cfg\0", yealink),
        ("/805ec0%61bcdef.cfg", yealink),
        ("/805ec0abcdef\\x.cfg", yealink),
        ("/805ec0 abcdef.cfg", yealink),
        ("/{mac}.cfg", yealink),
        ("/é.cfg", yealink),
        (&long, yealink),
        (&long, None),
        ("/?mac=", yealink),
        ("/?mac=hello", yealink),
        ("/?mac=000000000000", yealink),
        ("/?mac=ffffffffffff", yealink),
        // Nobody's name, nobody's agent, nobody's block of addresses.
        ("/index.html", None),
        ("/index.html", Some("Mozilla/5.0 (X11; Linux x86_64)")),
        ("/aabbccddee00.cfg", None),
        ("/aabbccddee00.cfg", Some("curl/8.1.2")),
        ("/", None),
        ("", None),
    ] {
        assert_eq!(parse(target, agent), Err(Unknown::Name), "{target:.80} {agent:?}");
    }
    let query = format!("mac=805ec0abcdef&x={}", "y".repeat(10_000));
    assert_eq!(Wanted::parse("/", Some(&query), yealink), Err(Unknown::Name));
}

#[test]
fn macs_that_contradict_are_refused_and_told() {
    let mac = |text: &str| text.parse::<Mac>().unwrap();
    let agent = Some("Yealink SIP-T46S 66.86.0.15 80:5e:c0:ab:cd:ef");
    for (target, agent, asked, told) in [
        ("/805ec0000001.cfg", agent, "805ec0000001", "805ec0abcdef"),
        ("/805ec0000001.boot", agent, "805ec0000001", "805ec0abcdef"),
        ("/snom320-000413123456.htm?mac=000413999999", None, "000413123456", "000413999999"),
        ("/?mac=000413123456&mac=000413999999", None, "000413123456", "000413999999"),
        (
            "/snom320.htm?mac=000413123456",
            Some("Mozilla/4.0 (compatible; snom320-SIP 8.7.5.35 1.1.5 000413999999)"),
            "000413123456",
            "000413999999",
        ),
        ("/8843e1abcdef.xml", Some("Cisco/SPA504G-7.4.9c (8843E1000001)(CBT141100HR)"), "8843e1abcdef", "8843e1000001"),
    ] {
        let expected = Unknown::Contradiction { asked: mac(asked), told: mac(told) };
        assert_eq!(parse(target, agent), Err(expected), "{target}");
    }
    // The same MAC in other words is none.
    assert!(parse("/?mac=00:04:13:12:34:56&mac=000413123456", Some("snom")).is_ok());
    assert!(parse("/?mac=00%3A04%3a13%3A12%3A34%3A56", Some("snom")).is_ok());
    // A Linksys shows its serial number, which may look like a MAC.
    assert!(parse("/000e08abcdef.xml", Some("Linksys/SPA-942-6.1.5(a) (88019FA42805)")).is_ok());
}

/// One vendor's phone that asks for another's file gets nothing of it.
#[test]
fn a_phone_gets_its_own_vendors_files_alone() {
    let htek = Some("Htek UC903 2.0.4.2 00:1f:c1:1c:22:a9");
    for target in ["/snom320.htm", "/y000000000000.boot", "/000000000000.cfg", "/aastra.cfg", "/KX-HDV130.cfg"] {
        let wanted = parse(target, htek).unwrap();
        assert_eq!((wanted.vendor, word(wanted.file)), (Vendor::Htek, "absent"), "{target}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn parse_never_panics(path in any::<String>(), query in any::<Option<String>>(), agent in any::<Option<String>>()) {
        let _ = Wanted::parse(&path, query.as_deref(), agent.as_deref());
    }

    /// Near what phones say: cut and patched.
    #[test]
    fn parse_never_panics_near_the_mark(line in 0..200_usize, at in 0..120_usize, patch in "[ -~é]{0,4}", other in 0..200_usize) {
        let lines: Vec<&str> = REQUESTS.lines().filter(|line| line.contains(" | ")).collect();
        let (line, other) = (lines[line % lines.len()], lines[other % lines.len()]);
        let fields = |line: &str| { let mut parts = line.split(" | ").skip(1); (parts.next().unwrap_or("").to_owned(), parts.next().unwrap_or("").to_owned()) };
        let ((mut agent, _), (_, mut target)) = (fields(line), fields(other));
        for text in [&mut agent, &mut target] {
            let cut = text.char_indices().map(|(index, _)| index).nth(at).unwrap_or(text.len());
            text.insert_str(cut, &patch);
        }
        if let Ok(wanted) = parse(&target, Some(&agent)) && let File::Device(mac) = wanted.file {
            prop_assert_eq!(wanted.mac, Some(mac));
        }
        let cut = target.char_indices().map(|(index, _)| index).nth(at).unwrap_or(target.len());
        let _ = parse(&target[..cut], Some(&agent));
    }
}
