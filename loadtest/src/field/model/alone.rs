//! What a box decides with nobody to ask, by what it was told last and what it has done since.

use super::{Grant, Identity, MINUTE_MS, Model, Pass, Pin, Shown, Slip, Verdict};

/// Codes of a list beyond the one that comes next that are taken too.
const LOOK_AHEAD: u32 = 10;
/// This many wrong codes in a row close the keypad.
const WRONG_CODES: u32 = 5;
const LONGEST_MS: u64 = 60 * MINUTE_MS;

/// What digits mean.
enum Means {
    Person(usize),
    Booking(Grant),
    Key(usize),
    Slip(Slip),
}

type Decided<T> = Result<T, &'static str>;

impl Model {
    /// Somebody wants this key.
    pub fn takes_alone(&mut self, shown: Shown<'_>, pin: Pin, key: usize, at_ms: u64) -> Verdict {
        let (key, person) = match self.may_take(shown, key, at_ms) {
            Ok(Ok(who)) => who,
            Ok(Err(opened)) => return opened,
            Err(why) => return Verdict::No(why),
        };
        let Some(bin) = self.belief.iter().position(|held| *held == Some(key)) else {
            return Verdict::No("not_here");
        };
        if self.is_closed(bin) {
            return Verdict::No("bin_closed");
        }
        if let Err(why) = self.types_pin(person, pin, at_ms) {
            return Verdict::No(why);
        }
        if let Shown::Pass(pass) = shown {
            self.used_passes.insert(pass.number);
        }
        Verdict::Opens { bin, key, person }
    }

    /// Whoever has no PIN, or is not named, cannot take a key where one is wanted.
    fn types_pin(&mut self, person: Option<usize>, pin: Pin, at_ms: u64) -> Decided<()> {
        if !self.known.setup.wants_pin {
            return Ok(());
        }
        if pin == Pin::None || !person.is_some_and(|person| self.has_pin(person)) {
            return Err("pin_needed");
        }
        if at_ms < self.closed_until_ms {
            return Err("throttled");
        }
        if pin == Pin::Wrong {
            return Err(self.count_wrong(at_ms));
        }
        (self.wrong_codes, self.closed_until_ms) = (0, 0);
        Ok(())
    }

    /// Which key, and for whom; or what an offline code has opened.
    fn may_take(
        &mut self,
        shown: Shown<'_>,
        key: usize,
        at_ms: u64,
    ) -> Decided<Result<(usize, Option<usize>), Verdict>> {
        Ok(Ok(match shown {
            Shown::Pass(pass) => (self.holds_pass(pass, key, at_ms)?, Some(pass.person)),
            Shown::Badge(person) => {
                let person = self.of_this_box(person).ok_or("unknown")?;
                (self.permitted(person, key, at_ms)?, Some(person))
            }
            Shown::Identity(identity) => {
                let person = self.is_signed(identity, at_ms)?;
                (self.permitted(person, key, at_ms)?, Some(person))
            }
            Shown::Nothing => return Err("person_needed"),
            Shown::AccessCode(_) | Shown::Digits(_) | Shown::Slip(_) => match self.typed(shown, at_ms)? {
                Means::Slip(slip) => return Ok(Err(self.opens_by(slip))),
                Means::Key(own) => (own, None),
                Means::Person(person) => (self.permitted(person, key, at_ms)?, Some(person)),
                Means::Booking(grant) => (within(&grant, key, at_ms)?, Some(grant.person)),
            },
        }))
    }

    /// Somebody leaves this key; the end of an access keeps nobody from it.
    pub fn leaves_alone(&mut self, shown: Shown<'_>, key: usize, at_ms: u64) -> Verdict {
        let person = match shown {
            Shown::Pass(pass) => {
                self.holds_signature(pass.organisation, pass.signer).map(|()| Some(self.person(pass.who)))
            }
            Shown::Nothing if self.known.setup.named_only => Err("person_needed"),
            Shown::Nothing => Ok(None),
            Shown::Badge(person) => self.of_this_box(person).map(Some).ok_or("unknown"),
            Shown::Identity(identity) => self.is_signed(identity, at_ms).map(Some),
            Shown::AccessCode(_) | Shown::Digits(_) | Shown::Slip(_) => match self.typed(shown, at_ms) {
                Ok(Means::Slip(slip)) => return self.opens_by(slip),
                Ok(Means::Key(own)) if own != key => Err("not_permitted"),
                Ok(Means::Key(_)) => Ok(None),
                Ok(Means::Person(person)) => Ok(Some(person)),
                Ok(Means::Booking(grant)) => Ok(Some(grant.person)),
                Err(why) => Err(why),
            },
        };
        let empty = |bin: &usize| self.belief[*bin].is_none() && self.physical[*bin].is_none();
        let free = || (0..self.belief.len()).filter(|bin| empty(bin) && !self.is_closed(*bin));
        match (person, self.known.setup.smallest(free(), key)) {
            (Err(why), _) => Verdict::No(why),
            (_, None) => Verdict::No(if free().next().is_some() { "too_small" } else { "no_free_bin" }),
            (Ok(person), Some(bin)) => Verdict::Opens { bin, key, person },
        }
    }

    fn is_closed(&self, bin: usize) -> bool {
        self.known.closed.get(bin) == Some(&true)
    }

    fn of_this_box(&self, person: usize) -> Option<usize> {
        self.here.staff.iter().position(|known| *known == person)
    }

    fn permitted(&self, person: usize, key: usize, at_ms: u64) -> Decided<usize> {
        let mut why = "not_permitted";
        for grant in self.known.grants.iter().filter(|grant| grant.covers(person, key)) {
            match within(grant, key, at_ms) {
                Ok(key) => return Ok(key),
                Err(nearer) => why = nearer,
            }
        }
        Err(why)
    }

    /// A wrong one is counted, and enough of them close the keypad for longer and longer, for right ones too.
    fn typed(&mut self, shown: Shown<'_>, at_ms: u64) -> Decided<Means> {
        if at_ms < self.closed_until_ms {
            return Err("throttled");
        }
        if let Some(means) = self.means(shown) {
            // Where a PIN is wanted only that ends a row of wrong ones.
            if !self.known.setup.wants_pin {
                (self.wrong_codes, self.closed_until_ms) = (0, 0);
            }
            return Ok(means);
        }
        Err(self.count_wrong(at_ms))
    }

    fn count_wrong(&mut self, at_ms: u64) -> &'static str {
        self.wrong_codes += 1;
        if self.wrong_codes >= WRONG_CODES {
            let doubled = (self.wrong_codes - WRONG_CODES).min(10);
            self.closed_until_ms = at_ms + (MINUTE_MS << doubled).min(LONGEST_MS);
        }
        "unknown"
    }

    fn means(&self, shown: Shown<'_>) -> Option<Means> {
        match shown {
            Shown::AccessCode(person) => self.of_this_box(person).map(Means::Person),
            Shown::Digits(digits) => {
                let booked = self.known.grants.iter().find(|grant| grant.booking.as_deref() == Some(digits));
                let of_key = || self.known.key_codes.iter().position(|code| code.as_deref() == Some(digits));
                booked.cloned().map(Means::Booking).or_else(|| of_key().map(Means::Key))
            }
            Shown::Slip(slip) => {
                let next = self.next_counter(slip.bin);
                let near = (next..next + LOOK_AHEAD).contains(&slip.counter);
                (slip.sheet == self.known.sheet && near).then_some(Means::Slip(slip))
            }
            Shown::Badge(_) | Shown::Pass(_) | Shown::Identity(_) | Shown::Nothing => None,
        }
    }

    /// Of the sheet that the box knows.
    pub fn next_counter(&self, bin: Option<usize>) -> u32 {
        let (sheet, counters) = &self.counters;
        if *sheet == self.known.sheet { counters.get(&bin).copied().unwrap_or(0) } else { 0 }
    }

    fn opens_by(&mut self, slip: Slip) -> Verdict {
        if self.counters.0 != slip.sheet {
            self.counters = (slip.sheet, Default::default());
        }
        self.counters.1.insert(slip.bin, slip.counter + 1);
        Verdict::Opened(slip.bin)
    }

    /// Which key a pass is good for, asked for this one.
    fn holds_pass(&self, pass: &Pass, key: usize, at_ms: u64) -> Decided<usize> {
        self.holds_signature(pass.organisation, pass.signer)?;
        in_time(pass.from_s, pass.until_s, at_ms)?;
        if pass.site != self.here.site {
            return Err("other_box");
        }
        if self.used_passes.contains(&pass.number) {
            return Err("used");
        }
        Ok(pass.key.unwrap_or(key))
    }

    fn is_signed(&self, identity: &Identity, at_ms: u64) -> Decided<usize> {
        self.holds_signature(identity.organisation, identity.signer)?;
        in_time(identity.from_s, identity.until_s, at_ms)?;
        Ok(self.person(identity.person))
    }

    fn holds_signature(&self, organisation: usize, signer: u32) -> Decided<()> {
        if organisation != self.here.organisation {
            return Err("other_organisation");
        }
        if signer == self.known.signer { Ok(()) } else { Err("other_signer") }
    }
}

/// Whole seconds; the last one is outside.
pub(super) fn in_time(from_s: u64, until_s: u64, at_ms: u64) -> Decided<()> {
    match at_ms / 1000 {
        now if now < from_s => Err("not_yet"),
        now if now >= until_s => Err("over"),
        _ => Ok(()),
    }
}

pub(super) fn within(grant: &Grant, key: usize, at_ms: u64) -> Decided<usize> {
    if grant.key.is_some_and(|covered| covered != key) {
        return Err("not_permitted");
    }
    if grant.from_ms.is_some_and(|from| at_ms < from) {
        return Err("not_yet");
    }
    if at_ms < grant.end_ms() { Ok(key) } else { Err("over") }
}
