//! Why an exchange of the month was flagged or ignored: from what had happened and what was known when it was judged.

use super::{drive::Note, world::Spot};
use crate::model::{Gap, Judged, Outcome, Reason};
use std::collections::{BTreeSet, HashMap, HashSet};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// The permission was withdrawn before the pick-up.
    Withdrawn,
    /// The key may only be dropped at its home.
    HomeOnly,
    /// Two records of the month say that the key was with two people.
    OverlappingTrips,
    /// An administrator's correction came first: the box was offline.
    CorrectedMeanwhile,
    /// Another box, or a correction, told of something later that happened to the key.
    HeardOutOfOrder,
    /// Something earlier that happened to the key stands in the journal of a box that has not been heard yet.
    NotYetHeard,
    /// The bin or the key was in an earlier conflict or gap and had not been put right.
    FollowsAnother,
    /// None of these: nobody should ever see it.
    Unexplained,
}

impl Cause {
    pub fn name(self) -> &'static str {
        match self {
            Self::Withdrawn => "withdrawn",
            Self::HomeOnly => "home_only",
            Self::OverlappingTrips => "overlapping_trips",
            Self::CorrectedMeanwhile => "corrected_meanwhile",
            Self::HeardOutOfOrder => "heard_out_of_order",
            Self::NotYetHeard => "not_yet_heard",
            Self::FollowsAnother => "follows_another",
            Self::Unexplained => "unexplained",
        }
    }

    pub fn says(self) -> &'static str {
        match self {
            Self::Withdrawn => "the permission had been withdrawn before the pick-up",
            Self::HomeOnly => "the key may only be dropped at its home",
            Self::OverlappingTrips => "two trips of the month say that the key was with two people",
            Self::CorrectedMeanwhile => "an administrator's correction came before the journal: the box was offline",
            Self::HeardOutOfOrder => "something later that happened to the key was heard first: this box was offline",
            Self::NotYetHeard => "something earlier that happened to the key was not heard yet: another box is offline",
            Self::FollowsAnother => "the key or the bin was in an earlier conflict that was not yet put right",
            Self::Unexplained => "none of the known causes",
        }
    }
}

/// An entry that was not simply applied.
#[derive(Clone, Copy, Debug)]
pub struct Explained {
    pub place: usize,
    /// Into the box's judged entries.
    pub number: usize,
    pub cause: Cause,
}

/// What has to be remembered to explain.
#[derive(Debug)]
pub struct Lookback {
    corrected_bins: HashMap<Spot, u64>,
    corrected_keys: Vec<u64>,
    /// Per key: the latest thing that the server has heard of it.
    heard_keys: Vec<u64>,
    /// Per key: what happened and was not heard yet.
    unheard_keys: Vec<BTreeSet<u64>>,
    /// Why a key is not where it is believed.
    troubled_keys: Vec<Option<Cause>>,
    troubled_bins: HashSet<Spot>,
}

impl Lookback {
    pub fn new(keys: usize) -> Self {
        Self {
            corrected_bins: HashMap::new(),
            corrected_keys: vec![0; keys],
            heard_keys: vec![0; keys],
            unheard_keys: vec![BTreeSet::new(); keys],
            troubled_keys: vec![None; keys],
            troubled_bins: HashSet::new(),
        }
    }

    /// `before`: what the bin was believed to hold.
    pub fn corrected(&mut self, spot: Spot, key: Option<usize>, before: Option<usize>, order: u64) {
        self.corrected_bins.insert(spot, order);
        self.troubled_bins.remove(&spot);
        for key in key.into_iter().chain(before) {
            self.corrected_keys[key] = order;
            self.heard_keys[key] = self.heard_keys[key].max(order);
        }
    }

    /// Something happened to a key.
    pub fn happened(&mut self, key: usize, order: u64) {
        self.unheard_keys[key].insert(order);
    }

    /// A pick-up that never came.
    pub fn gap(&mut self, gap: &Gap) -> Cause {
        self.troubled_bins.insert(Spot { place: gap.place, bin: gap.bin });
        *self.troubled_keys[gap.key].get_or_insert(Cause::Unexplained)
    }

    /// `None` for what was simply applied.
    pub fn judged(&mut self, spot: Spot, judged: &Judged, note: &Note, overlapping: bool) -> Option<Cause> {
        let key = judged.entry.key;
        self.unheard_keys[key].remove(&note.order);
        let corrected = self.corrected_bins.get(&spot).is_some_and(|&order| order > note.order)
            || self.corrected_keys[key] > note.order;
        let order = if overlapping {
            Some(Cause::OverlappingTrips)
        } else if corrected {
            Some(Cause::CorrectedMeanwhile)
        } else if self.heard_keys[key] > note.order {
            Some(Cause::HeardOutOfOrder)
        } else if self.unheard_keys[key].first().is_some_and(|&earlier| earlier < note.order) {
            Some(Cause::NotYetHeard)
        } else {
            None
        };
        let troubled = self.troubled_keys[key].is_some() || self.troubled_bins.contains(&spot);
        let follows = troubled.then_some(Cause::FollowsAnother);
        let cause = match (judged.verdict.outcome, judged.verdict.reason) {
            (Outcome::Applied | Outcome::Duplicate, _) => None,
            (_, Some(Reason::NotPermitted)) => Some(Cause::Withdrawn),
            _ => order.or(follows).or(Some(Cause::Unexplained)),
        };
        self.heard_keys[key] = self.heard_keys[key].max(note.order);
        let refused = matches!(judged.verdict.outcome, Outcome::Ignored | Outcome::Rejected);
        let trouble = if refused { cause } else { order };
        if trouble.is_some() {
            self.troubled_keys[key] = trouble;
            self.troubled_bins.insert(spot);
        } else {
            self.troubled_bins.remove(&spot);
        }
        cause
    }
}
