//! People at boxes: what they type or show, what they want, and whether they get it.

use super::{
    Tally, add,
    clock::Clock,
    model::{Identity, Pass, Pin, STRANGERS, Shown, Slip, Verdict, What},
    site::{Person, Site},
};
use crate::{
    chance::Chance,
    client::Target,
    report::LoadError,
    vbox::{
        self, Attempt, Refusal,
        online::{Online, Road},
    },
    wire::Kind,
};

/// Nobody has been given these.
const NOBODYS: [&str; 3] = ["999990", "9999991", "00000000"];
const NOBODYS_PIN: &str = "0000";
/// As many as make a server tired of them.
const IN_A_ROW: usize = 11;
/// What was signed last is tried more often than what is old.
const RECENT: usize = 8;

/// What people carry that was signed, and where the text stands.
#[derive(Default)]
pub struct Carried {
    pub passes: Vec<(Pass, String)>,
    pub identities: Vec<(Identity, String)>,
}

pub struct Crowd<'a> {
    pub people: &'a [Person],
    pub carried: &'a Carried,
}

/// Somebody's hand: what the model is told, what the box is, and which key it is for, as far as that is known.
struct Hand<'a> {
    kind: &'static str,
    shown: Shown<'a>,
    real: Option<vbox::Shown<'a>>,
    wants: Option<usize>,
}

/// A printed code, and a code that was given to a booking or a key once.
pub type Printed = (Slip, String);
pub type Given = (&'static str, String, usize);

impl<'a> Crowd<'a> {
    fn by_badge(&self, person: usize) -> Hand<'a> {
        let real = Some(vbox::Shown::Badge(&self.people[person].badge));
        Hand { kind: "badge", shown: Shown::Badge(person), real, wants: None }
    }

    fn by_code(&self, person: usize) -> Hand<'a> {
        let real = Some(vbox::Shown::Digits(&self.people[person].code));
        Hand { kind: "access_code", shown: Shown::AccessCode(person), real, wants: None }
    }

    /// One of this box's people, rarely somebody else of the organisation.
    fn somebody(&self, site: &Site, chance: &mut Chance) -> usize {
        if chance.happens(0.06) { chance.index(self.people.len()) } else { site.staff[chance.index(site.staff.len())] }
    }

    fn pass(&self, site: &Site, chance: &mut Chance) -> Option<Hand<'a>> {
        let (here, lot) = (&site.model.here, chance.below(10));
        let fits = |pass: &Pass| match lot {
            0..=6 => pass.site == here.site,
            7..=8 => pass.organisation == here.organisation && pass.site != here.site,
            _ => pass.organisation != here.organisation,
        };
        let recent: Vec<_> = self.carried.passes.iter().rev().filter(|(pass, _)| fits(pass)).take(RECENT).collect();
        let (pass, text) = chance.pick(&recent)?;
        Some(Hand { kind: "pass", shown: Shown::Pass(pass), real: Some(vbox::Shown::Qr(text)), wants: pass.key })
    }

    fn identity(&self, site: &Site, chance: &mut Chance) -> Option<Hand<'a>> {
        let (here, lot) = (&site.model.here, chance.below(10));
        let fits = |identity: &Identity| match lot {
            0..=7 => identity.organisation == here.organisation && here.staff.contains(&identity.person),
            8 => identity.organisation == here.organisation,
            _ => identity.organisation != here.organisation,
        };
        let recent = self.carried.identities.iter().rev().filter(|(identity, _)| fits(identity)).take(RECENT);
        let recent: Vec<_> = recent.collect();
        let (identity, text) = chance.pick(&recent)?;
        let (shown, real) = (Shown::Identity(identity), Some(vbox::Shown::Qr(text)));
        Some(Hand { kind: "personal_qr", shown, real, wants: None })
    }
}

fn digits<'a>(given: &'a [Given], chance: &mut Chance) -> Option<Hand<'a>> {
    let recent = given.len().saturating_sub(RECENT);
    let (kind, code, key) = chance.pick(&given[recent..])?;
    let wants = chance.happens(0.8).then_some(*key);
    Some(Hand { kind, shown: Shown::Digits(code), real: Some(vbox::Shown::Digits(code)), wants })
}

/// Mostly the one that comes next.
fn slip<'a>(printed: &'a [Printed], site: &Site, chance: &mut Chance) -> Option<Hand<'a>> {
    let newest = printed.iter().map(|(slip, _)| slip.sheet).max();
    let next = |(slip, _): &&Printed| {
        Some(slip.sheet) == newest && (0..3).contains(&slip.counter.wrapping_sub(site.model.next_counter(slip.bin)))
    };
    let near: Vec<_> = printed.iter().filter(next).collect();
    let printed = if chance.happens(0.7) { chance.pick(&near).copied() } else { chance.pick(printed) };
    let (slip, code) = printed?;
    let real = Some(vbox::Shown::Digits(code));
    Some(Hand { kind: "offline_code", shown: Shown::Slip(*slip), real, wants: None })
}

fn nobodys(chance: &mut Chance) -> Hand<'static> {
    let code = NOBODYS[chance.index(NOBODYS.len())];
    Hand { kind: "nobodys_code", shown: Shown::Digits(code), real: Some(vbox::Shown::Digits(code)), wants: None }
}

fn nothing() -> Hand<'static> {
    Hand { kind: "nothing", shown: Shown::Nothing, real: None, wants: None }
}

/// What somebody types who is asked for a PIN, as the model is told it and as it is.
fn pin<'a>(site: &Site, crowd: &Crowd<'a>, shown: Shown<'_>, chance: &mut Chance) -> (Pin, Option<&'a str>) {
    let here = site.organisation;
    let who = match shown {
        Shown::AccessCode(person) | Shown::Badge(person) => Some(person),
        Shown::Pass(pass) => (pass.organisation == here).then_some(pass.who),
        Shown::Identity(identity) => (identity.organisation == here).then_some(identity.person),
        Shown::Digits(digits) => {
            let booked = site.model.grants.iter().find(|grant| grant.booking.as_deref() == Some(digits));
            booked.map(|grant| site.staff[grant.person])
        }
        Shown::Slip(_) | Shown::Nothing => None,
    };
    let own = who.and_then(|person| crowd.people[person].pin.as_deref());
    match (chance.below(10), own) {
        (0, _) => (Pin::None, None),
        (1, _) | (_, None) => (Pin::Wrong, Some(NOBODYS_PIN)),
        (_, own) => (Pin::Own, own),
    }
}

/// Which key, and whether it comes back.
fn wish(site: &Site, hand: &Hand<'_>, leaves: f64, chance: &mut Chance) -> (usize, Kind) {
    let out: Vec<usize> = (0..site.fobs.len()).filter(|key| !site.model.physical.contains(&Some(*key))).collect();
    match chance.pick(&out) {
        Some(key) if chance.happens(leaves) => (*key, Kind::DropOff),
        // What was signed elsewhere may be for a key of which there are not so many here.
        _ => {
            let wanted = hand.wants.filter(|key| *key < site.fobs.len());
            (wanted.unwrap_or_else(|| chance.index(site.fobs.len())), Kind::PickUp)
        }
    }
}

/// At a box that asks nobody: its road is cut, or it does not use it.
pub fn alone(
    site: &mut Site,
    crowd: &Crowd<'_>,
    clock: &Clock,
    tally: &Tally,
    chance: &mut Chance,
) -> Result<(), LoadError> {
    let (given, printed) = (std::mem::take(&mut site.given), std::mem::take(&mut site.printed));
    let who = crowd.somebody(site, chance);
    let lot = chance.below(100);
    let hand = match lot {
        0..=9 => None,
        10..=14 => Some(nothing()),
        15..=26 => Some(crowd.by_badge(who)),
        27..=46 => crowd.pass(site, chance),
        47..=62 => crowd.identity(site, chance),
        63..=82 => digits(&given, chance),
        83..=91 => slip(&printed, site, chance),
        _ => Some(nobodys(chance)),
    };
    let hand = hand.unwrap_or_else(|| crowd.by_code(who));
    let tries = if lot >= 98 { IN_A_ROW / 2 } else { 1 };
    for _ in 0..tries {
        attempt(site, crowd, &hand, clock, tally, chance)?;
    }
    // Photographed, or used once more.
    if matches!(hand.shown, Shown::Pass(_) | Shown::Slip(_)) && chance.happens(0.4) || tries > 1 {
        let again = if tries > 1 { crowd.by_code(who) } else { hand };
        attempt(site, crowd, &again, clock, tally, chance)?;
    }
    (site.given, site.printed) = (given, printed);
    Ok(())
}

fn attempt(
    site: &mut Site,
    crowd: &Crowd<'_>,
    hand: &Hand<'_>,
    clock: &Clock,
    tally: &Tally,
    chance: &mut Chance,
) -> Result<(), LoadError> {
    let now_ms = clock.now_ms();
    let leaves = if matches!(hand.shown, Shown::Pass(_) | Shown::Slip(_)) { 0.03 } else { 0.5 };
    let (key, kind) = wish(site, hand, leaves, chance);
    let (typed, real_pin) = pin(site, crowd, hand.shown, chance);
    let fob = &site.fobs[key];
    let (verdict, attempt) = match (kind, hand.real) {
        (Kind::PickUp, Some(real)) => {
            let verdict = site.model.takes_alone(hand.shown, typed, key, now_ms);
            (verdict, site.vbox.take(real, fob, real_pin, now_ms)?)
        }
        // A key that is asked for by nobody.
        (Kind::PickUp, None) => return Ok(()),
        (_, real) => (site.model.leaves_alone(hand.shown, key, now_ms), site.vbox.leave(real, &**fob, now_ms)?),
    };
    add(&tally.decisions, 1);
    add(&tally.offline_decisions, u64::from(!site.online));
    tally.count(if site.online { "alone" } else { "offline" }, hand.kind, ended(verdict));
    if let Shown::Pass(pass) = hand.shown
        && pass.site == site.model.here.site
    {
        let (known, withdrawn) = site.model.stands(pass.grant);
        if !known {
            tally.count("access_unknown_to_the_box", hand.kind, ended(verdict));
        }
        if withdrawn {
            tally.count("access_withdrawn", hand.kind, ended(verdict));
        }
    }
    if !is_right(site, crowd.people, verdict, &attempt) {
        tally.wrong(&tally.wrong_decisions, || {
            let id = site.vbox.id();
            format!("box {id}: {kind:?} of key {key} at {now_ms} by {:?}: {attempt:?}, not {verdict:?}", hand.shown)
        });
    }
    let (bin, what) = match (attempt, verdict) {
        (Attempt::Done(done), Verdict::Opens { key, person, .. }) => {
            let bin = site.bins.iter().position(|bin| *bin == done.bin);
            (bin, moved(kind, key, person, false, hand.shown))
        }
        (Attempt::Opened(_), Verdict::Opened(bin)) => (bin, What::Opened { sheet: sheet_of(hand.shown) }),
        _ => return Ok(()),
    };
    site.model.did(bin, what, now_ms);
    Ok(())
}

/// Whether a box that asked nobody did what it had to do.
pub fn is_right(site: &Site, people: &[Person], verdict: Verdict, attempt: &Attempt) -> bool {
    let named = |person: Option<usize>| person.map(|person| &*people[numbered(site, person)].id);
    match (verdict, attempt) {
        (Verdict::Opens { bin, key, person }, Attempt::Done(done)) => {
            done.bin == site.bins[bin] && done.fob == site.fob(key) && done.person.as_deref() == named(person)
        }
        // A box that believes in a key that is not there opens an empty bin: that is nobody's decision.
        (Verdict::Opens { bin, .. }, Attempt::NothingInside(opened)) => {
            *opened == site.bins[bin] && site.model.physical[bin].is_none()
        }
        (Verdict::Opened(Some(bin)), Attempt::Opened(opened)) => *opened == [site.bins[bin].clone()],
        (Verdict::Opened(None), Attempt::Opened(opened)) => opened.len() == site.bins.len(),
        (Verdict::No(why), Attempt::Refused(refusal)) => says(*refusal, why),
        _ => false,
    }
}

/// Whether a box's word for a refusal is one for this reason.
fn says(refusal: Refusal, why: &str) -> bool {
    let words: &[&str] = match refusal {
        Refusal::UnknownCode => &["unknown"],
        Refusal::NotPermitted => &["not_permitted", "other_box"],
        // Of several accesses one may be over and one not have begun.
        Refusal::NotYetValid | Refusal::Expired => &["not_yet", "over"],
        Refusal::KeyNotHere => &["not_here"],
        Refusal::NoFreeBin => &["no_free_bin"],
        Refusal::BinsTooSmall => &["too_small"],
        Refusal::PersonNeeded => &["person_needed"],
        Refusal::PinNeeded => &["pin_needed"],
        Refusal::Throttled => &["throttled"],
        Refusal::NotSigned => &["other_organisation", "other_signer"],
        Refusal::PassUsed => &["used"],
        Refusal::BinClosed => &["bin_closed"],
        Refusal::NoState | Refusal::UnknownKey => &[],
    };
    words.contains(&why)
}

/// The same for the server's.
fn server_says(code: &str, why: &str) -> bool {
    let words: &[&str] = match code {
        "exchanges.code_unknown" => &["unknown", "other_organisation", "other_signer"],
        "exchanges.not_permitted" => &["not_permitted", "not_yet", "over", "other_box", "withdrawn"],
        "passes.used" => &["used"],
        "exchanges.key_not_here" => &["not_here"],
        "exchanges.key_in_bin" => &["in_a_bin"],
        "exchanges.no_free_bin" => &["no_free_bin"],
        "exchanges.bins_too_small" => &["too_small"],
        "exchanges.person_needed" => &["person_needed"],
        "exchanges.second_factor_needed" => &["pin_needed"],
        "exchanges.only_protected_left" => &["only_protected_left"],
        "exchanges.bin_closed" => &["bin_closed"],
        "exchanges.throttled" => &["throttled"],
        _ => &[],
    };
    words.contains(&why)
}

fn moved(kind: Kind, key: usize, person: Option<usize>, decided: bool, shown: Shown<'_>) -> What {
    let pass = if let Shown::Pass(pass) = shown { Some(pass.number) } else { None };
    match kind {
        Kind::PickUp => What::PickUp { key, person, decided, pass },
        _ => What::DropOff { key, person },
    }
}

fn sheet_of(shown: Shown<'_>) -> u32 {
    if let Shown::Slip(slip) = shown { slip.sheet } else { 0 }
}

pub fn ended(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Opens { .. } | Verdict::Opened(_) => "opened",
        Verdict::No(why) => why,
    }
}

/// By their number in the organisation.
fn numbered(site: &Site, person: usize) -> usize {
    if person >= STRANGERS { person - STRANGERS } else { site.staff[person] }
}

/// At a connected box: the server decides, and hears of the end at once, or from the journal.
pub async fn with_the_server(
    site: &mut Site,
    crowd: &Crowd<'_>,
    target: &Target,
    clock: &Clock,
    tally: &Tally,
    chance: &mut Chance,
) -> Result<(), LoadError> {
    let given = std::mem::take(&mut site.given);
    let who = crowd.somebody(site, chance);
    let lot = chance.below(100);
    let hand = match lot {
        0..=24 => Some(crowd.by_badge(who)),
        25..=49 => digits(&given, chance),
        50..=64 => crowd.pass(site, chance),
        65..=72 => crowd.identity(site, chance),
        73..=79 => Some(nothing()),
        95..=99 => Some(nobodys(chance)),
        _ => None,
    };
    let hand = hand.unwrap_or_else(|| crowd.by_code(who));
    let tries = if lot == 99 { IN_A_ROW } else { 1 };
    let forgotten = site.model.has_forgotten(clock.now_ms());
    for _ in 0..tries {
        if !forgotten && site.model.is_unsure(clock.now_ms()) {
            break;
        }
        asked(site, crowd, &hand, target, clock, tally, chance).await?;
        if site.model.has_unsent() {
            break;
        }
    }
    site.given = given;
    Ok(())
}

/// Whether the server may read its clock on the other side of a limit.
fn near_a_limit(shown: Shown<'_>, at_ms: u64) -> bool {
    let limits = match shown {
        Shown::Pass(pass) => [pass.from_s, pass.until_s],
        Shown::Identity(identity) => [identity.from_s, identity.until_s],
        _ => return false,
    };
    limits.into_iter().any(|limit| at_ms.abs_diff(limit * 1000) < 5_000)
}

async fn asked(
    site: &mut Site,
    crowd: &Crowd<'_>,
    hand: &Hand<'_>,
    target: &Target,
    clock: &Clock,
    tally: &Tally,
    chance: &mut Chance,
) -> Result<(), LoadError> {
    let now_ms = clock.now_ms();
    if near_a_limit(hand.shown, now_ms) {
        return Ok(());
    }
    add(&tally.decisions, 1);
    add(&tally.decided_online, 1);
    let (key, kind) = wish(site, hand, if matches!(hand.shown, Shown::Pass(_)) { 0.1 } else { 0.5 }, chance);
    let (typed, real_pin) = pin(site, crowd, hand.shown, chance);
    let shown = (hand.real, real_pin.filter(|_| kind == Kind::PickUp));
    let verdict = match kind {
        Kind::PickUp => site.model.takes_online(hand.shown, typed, key, now_ms),
        _ => site.model.leaves_online(hand.shown, key, now_ms),
    };
    tally.count("with_server", hand.kind, ended(verdict));
    let mut road = Road { kept: &mut site.link, target, cut: chance.happens(0.15) };
    let ended = site.vbox.exchange(&mut road, kind, shown, &site.fobs[key], now_ms).await;
    let ended = ended.map_err(|error| LoadError::Unfit(format!("{}: {error:?}", site.vbox.id())))?;
    let fits = |bin: usize| site.model.physical[bin] == (kind == Kind::PickUp).then_some(key);
    // What has moved.
    let before = |bin: Option<usize>| bin.map(|key| site.fob(key));
    let mut bins = site.bins.iter().zip(&site.model.physical);
    let changed = bins.position(|(label, held)| site.vbox.physically_in(label) != before(*held));
    let right = match (&ended, verdict) {
        (Online::Done { person, .. }, Verdict::Opens { bin, person: who, .. }) => {
            let id = who.map(|who| &*crowd.people[numbered(site, who)].id);
            fits(bin) && changed == Some(bin) && person.as_deref() == id
        }
        // Somebody was wrong about what is in it.
        (Online::Cancelled(decided), Verdict::Opens { bin, .. }) => {
            !fits(bin) && changed.is_none() && decided.bin == site.bins[bin]
        }
        (Online::Refused(code), Verdict::No(why)) => changed.is_none() && server_says(code, why),
        _ => false,
    };
    if !right {
        tally.wrong(&tally.wrong_decisions, || {
            let id = site.vbox.id();
            format!("box {id}: {kind:?} of key {key} at {now_ms} by {:?}: {ended:?}, not {verdict:?}", hand.shown)
        });
    }
    let (Some(bin), Verdict::Opens { key, person, .. }) = (changed, verdict) else { return Ok(()) };
    match ended {
        Online::Done { told: true, .. } => {
            site.model.exchanged(bin, moved(kind, key, person, true, hand.shown), now_ms)
        }
        Online::Done { told: false, .. } | Online::Alone(_) => {
            site.model.did(Some(bin), moved(kind, key, person, true, hand.shown), now_ms);
        }
        Online::Cancelled(_) | Online::Refused(_) => {}
    }
    Ok(())
}
