//! What a caller expects of the object that a command changes, by the revisions that its entity tag shows.

/// Revisions that a caller names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Named {
    /// Whatever it is, as long as it is there.
    Any,
    OneOf(Box<[u64]>),
}

impl Named {
    fn includes(&self, tag: Option<u64>) -> bool {
        match (self, tag) {
            (_, None) => false,
            (Self::Any, Some(_)) => true,
            (Self::OneOf(revisions), Some(tag)) => revisions.contains(&tag),
        }
    }
}

/// `If-Match` and `If-None-Match`, judged in the entity's own turn before it decides.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Condition {
    pub only: Option<Named>,
    pub not: Option<Named>,
}

impl Condition {
    /// `tag`: what `Machine::tag` says; `None` if the object is not there.
    pub fn holds(&self, tag: Option<u64>) -> bool {
        self.only.as_ref().is_none_or(|only| only.includes(tag))
            && !self.not.as_ref().is_some_and(|not| not.includes(tag))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_matches_nothing() {
        let one_of = |revisions: &[u64]| Some(Named::OneOf(revisions.into()));
        let only = |only| Condition { only, not: None };
        let not = |not| Condition { only: None, not };
        assert!(only(one_of(&[3, 4])).holds(Some(4)) && !only(one_of(&[3, 4])).holds(Some(5)));
        assert!(only(Some(Named::Any)).holds(Some(1)) && !only(Some(Named::Any)).holds(None));
        assert!(!only(one_of(&[])).holds(Some(0)));
        assert!(not(one_of(&[3])).holds(Some(4)) && !not(one_of(&[3])).holds(Some(3)));
        assert!(not(Some(Named::Any)).holds(None) && !not(Some(Named::Any)).holds(Some(3)));
        assert!(Condition::default().holds(None) && Condition::default().holds(Some(1)));
    }
}
