//! Every event can be shown, and nothing that is shown is secret.

use super::golden::samples;
use crate::{boxes::api::events, kernel::*};
use std::collections::BTreeSet;

const PAGE: &str = include_str!("../../../docs/events.md");

#[test]
fn every_event_is_shown_under_a_documented_name_and_tells_no_secret() {
    let mut names = BTreeSet::new();
    let stamp = Stamp { at: UnixMillis(1_767_225_600_000), revision: 9 };
    let samples = samples();
    for (sample, event) in &samples {
        let view = events::view(event, stamp);
        assert!(view.name.starts_with("boxes.") && view.data.is_object(), "{sample}: {view:?}");
        assert!(PAGE.contains(&format!("| `{}` |", view.name)), "docs/events.md does not know {}", view.name);
        names.insert(view.name);
        let told = view.data.to_string();
        // Hashes and verifiers of the samples are runs of one byte; the text of an unreadable entry is "?".
        for secret in ["hash", "verifier", "01010101", "02020202", "07070707", "08080808", "AQEB", "BwcH", "CAgI"] {
            assert!(!told.to_lowercase().contains(&secret.to_lowercase()), "{sample} tells {secret}: {told}");
        }
        for list in ["1,1,1", "2,2,2", "7,7,7", "8,8,8", "\"?\"", "3735928559"] {
            assert!(!told.contains(list), "{sample} tells {list}: {told}");
        }
    }
    assert!(names.len() >= samples.len() - 10, "events share names: {names:?}");
}

#[test]
fn what_the_journal_says_has_the_fields_of_the_history() {
    let samples = samples();
    let of = |name: &str| {
        let (_, event) = samples.iter().find(|(known, _)| *known == name).unwrap();
        events::view(event, Stamp { at: UnixMillis(1_767_225_600_000), revision: 9 })
    };
    let kept = of("entry_judged");
    assert_eq!((kept.name, kept.outcome), ("boxes.conflict.entry", EventOutcome::Refused));
    assert_eq!((&kept.data["outcome"], &kept.data["reason"]), (&"ignored".into(), &"bin_occupied".into()));
    assert_eq!((&kept.data["seq"], &kept.data["kind"]), (&56.into(), &"drop_off".into()));
    let suspended = of("suspended");
    assert_eq!((&suspended.data["why"], &suspended.data["seq"]), (&"sequence_reused".into(), &56.into()));
    assert_eq!(of("access_granted").data["key"], KeyId(2).to_string());
}
