//! What a connected box is told by the server: by what the server knows itself.

use super::{
    MINUTE_MS, Model, Pass, Pin, Shown, UNSURE_MS, Verdict, What,
    alone::{in_time, within},
};

/// Wrong codes in a row that the server takes, and how long it takes to forget one.
const WRONG_CODES: u64 = 10;
const FORGOTTEN_MS: u64 = 10 * MINUTE_MS;

impl Model {
    /// The bin that the server names to whoever wants this key.
    pub fn takes_online(&mut self, shown: Shown<'_>, pin: Pin, key: usize, at_ms: u64) -> Verdict {
        let let_in = self.let_in(shown, Some(key), key, at_ms);
        let person = match let_in.and_then(|person| self.judges_pin(person, pin, at_ms)) {
            Ok(person) => person,
            Err(why) => return Verdict::No(why),
        };
        match self.bins.iter().position(|bin| bin.key == Some(key)) {
            Some(bin) if self.closed[bin] => Verdict::No("bin_closed"),
            Some(bin) => {
                // The box stores it too, if it knows by whom it was signed.
                if let Shown::Pass(pass) = shown
                    && pass.signer == self.known.signer
                {
                    self.used_passes.insert(pass.number);
                }
                Verdict::Opens { bin, key, person }
            }
            None => Verdict::No("not_here"),
        }
    }

    /// Whoever is not named needs none.
    fn judges_pin(&mut self, person: Option<usize>, pin: Pin, at_ms: u64) -> Result<Option<usize>, &'static str> {
        let Some(person) = person.filter(|_| self.setup.wants_pin) else { return Ok(person) };
        match pin {
            Pin::None => Err("pin_needed"),
            _ if !self.has_pin(person) => Err("pin_needed"),
            Pin::Own => Ok(Some(person)),
            Pin::Wrong => Err(self.nobodys(at_ms)),
        }
    }

    /// The same for who leaves it: the smallest bin that is empty and large enough, one that nobody is sure of last.
    pub fn leaves_online(&mut self, shown: Shown<'_>, key: usize, at_ms: u64) -> Verdict {
        let person = match self.let_in(shown, None, key, at_ms) {
            Ok(person) => person,
            Err(why) => return Verdict::No(why),
        };
        if self.bins.iter().any(|bin| bin.key == Some(key)) {
            return Verdict::No("in_a_bin");
        }
        let empty: Vec<usize> = (0..self.bins.len()).filter(|bin| self.bins[*bin].key.is_none()).collect();
        let open = || empty.iter().copied().filter(|bin| !self.closed[*bin]);
        let sure = open().filter(|bin| self.bins[*bin].doubtful_ms.is_none());
        match self.setup.smallest(sure, key).or_else(|| self.setup.smallest(open(), key)) {
            Some(bin) => Verdict::Opens { bin, key, person },
            None if open().next().is_some() => Verdict::No("too_small"),
            None if empty.is_empty() => Verdict::No("no_free_bin"),
            None => Verdict::No("only_protected_left"),
        }
    }

    /// For whom it counts; `taken`: the key that must be permitted.
    fn let_in(
        &mut self,
        shown: Shown<'_>,
        taken: Option<usize>,
        key: usize,
        at_ms: u64,
    ) -> Result<Option<usize>, &'static str> {
        if self.wrong_until_ms > at_ms + (WRONG_CODES - 1) * FORGOTTEN_MS {
            return Err("throttled");
        }
        match shown {
            Shown::AccessCode(person) | Shown::Badge(person) => {
                let person = self.person(person);
                let mine = |key: usize| {
                    let mut grants = self.grants.iter().filter(|grant| grant.covers(person, key));
                    grants.any(|grant| grant.holds(at_ms)).then_some(Some(person))
                };
                taken.map_or(Some(Some(person)), mine).ok_or("not_permitted")
            }
            Shown::Digits(digits) => {
                if let Some(grant) = self.grants.iter().find(|grant| grant.booking.as_deref() == Some(digits)) {
                    taken.map_or(Ok(key), |key| within(grant, key, at_ms))?;
                    return Ok(Some(grant.person));
                }
                match self.key_codes.iter().position(|code| code.as_deref() == Some(digits)) {
                    Some(own) if own == key => Ok(None),
                    Some(_) => Err("not_permitted"),
                    None => Err(self.nobodys(at_ms)),
                }
            }
            Shown::Pass(pass) => {
                self.is_ours(pass.organisation, pass.signer, at_ms)?;
                if taken.is_some() {
                    self.opens_online(pass, key, at_ms)?;
                }
                Ok(Some(self.person(pass.who)))
            }
            Shown::Identity(identity) => {
                self.is_ours(identity.organisation, identity.signer, at_ms)?;
                in_time(identity.from_s, identity.until_s, at_ms)?;
                self.let_in(Shown::Badge(identity.person), taken, key, at_ms)
            }
            Shown::Slip(_) => Err(self.nobodys(at_ms)),
            Shown::Nothing if taken.is_some() || self.setup.named_only => Err("person_needed"),
            Shown::Nothing => Ok(None),
        }
    }

    /// What this organisation has not signed, or with a key that is not trusted any more, is a wrong code.
    fn is_ours(&mut self, organisation: usize, signer: u32, at_ms: u64) -> Result<(), &'static str> {
        if organisation == self.here.organisation && signer == self.signer {
            return Ok(());
        }
        self.nobodys(at_ms);
        Err(if organisation == self.here.organisation { "other_signer" } else { "other_organisation" })
    }

    /// The server knows whether the access still stands, and whether the pass has opened before.
    fn opens_online(&self, pass: &Pass, key: usize, at_ms: u64) -> Result<(), &'static str> {
        in_time(pass.from_s, pass.until_s, at_ms)?;
        if pass.site != self.here.site {
            return Err("other_box");
        }
        if pass.key.is_some_and(|own| own != key) {
            return Err("not_permitted");
        }
        let grant = &self.grants[pass.grant];
        if grant.revoked_ms.is_some() {
            return Err("withdrawn");
        }
        within(grant, key, at_ms)?;
        if self.spent.contains(&pass.number) { Err("used") } else { Ok(()) }
    }

    fn nobodys(&mut self, at_ms: u64) -> &'static str {
        self.wrong_until_ms = self.wrong_until_ms.max(at_ms) + FORGOTTEN_MS;
        "unknown"
    }

    /// Whether the server remembers no wrong code: then the moments of those that follow at once are all that counts.
    pub fn has_forgotten(&self, at_ms: u64) -> bool {
        self.wrong_until_ms <= at_ms
    }

    /// Whether the server may or may not be tired of wrong codes.
    pub fn is_unsure(&self, at_ms: u64) -> bool {
        self.wrong_until_ms.abs_diff(at_ms + (WRONG_CODES - 1) * FORGOTTEN_MS) < UNSURE_MS
    }

    /// An exchange that the server has decided and heard the end of: the box's own stored state knows nothing of it.
    pub fn exchanged(&mut self, bin: usize, what: What, at_ms: u64) {
        self.physical[bin] = match what {
            What::DropOff { key, .. } => Some(key),
            What::PickUp { .. } | What::Opened { .. } => None,
        };
        self.judge(&super::Entry { bin: Some(bin), what, at_ms }, at_ms);
    }
}
