//! Groups of keys by name. Which keys are in one stands with the keys, who may take them with the boxes' accesses: a
//! group is an id there.

use super::organisation;
use crate::kernel::{GroupId, Stamp};
use minicbor::{Decode, Encode};

/// Of one organisation.
pub const GROUPS_MAX: usize = 1_000;

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Group {
    #[n(0)]
    pub id: GroupId,
    /// Unique in the organisation, upper and lower case alike.
    #[n(1)]
    pub name: Box<str>,
    /// Of its last change.
    #[n(2)]
    pub revision: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(transparent)]
pub struct Groups(#[n(0)] Vec<Group>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupsCommand {
    Make { id: GroupId, name: Box<str> },
    Rename { id: GroupId, name: Box<str> },
    Delete { id: GroupId },
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum GroupsEvent {
    #[n(0)]
    Made {
        #[n(0)]
        id: GroupId,
        #[n(1)]
        name: Box<str>,
    },
    #[n(1)]
    Renamed {
        #[n(0)]
        id: GroupId,
        #[n(1)]
        name: Box<str>,
    },
    #[n(2)]
    Deleted {
        #[n(0)]
        id: GroupId,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupsRefusal {
    NotFound,
    /// The id is in use with another name.
    AlreadyExists,
    NameTaken,
    Full,
}

impl From<GroupsRefusal> for organisation::Refusal {
    fn from(refusal: GroupsRefusal) -> Self {
        match refusal {
            GroupsRefusal::NotFound => Self::GroupNotFound,
            GroupsRefusal::AlreadyExists => Self::AlreadyExists,
            GroupsRefusal::NameTaken => Self::GroupNameTaken,
            GroupsRefusal::Full => Self::TooManyGroups,
        }
    }
}

impl GroupsCommand {
    pub fn group(&self) -> GroupId {
        match self {
            Self::Make { id, .. } | Self::Rename { id, .. } | Self::Delete { id } => *id,
        }
    }
}

impl Groups {
    pub fn list(&self) -> &[Group] {
        &self.0
    }

    pub fn get(&self, id: GroupId) -> Option<&Group> {
        self.0.iter().find(|group| group.id == id)
    }

    fn is_taken(&self, name: &str, by_other_than: GroupId) -> bool {
        let name = name.to_lowercase();
        self.0.iter().any(|group| group.id != by_other_than && group.name.to_lowercase() == name)
    }

    pub fn decide(&self, command: &GroupsCommand) -> Result<Option<GroupsEvent>, GroupsRefusal> {
        let (id, known) = (command.group(), self.get(command.group()));
        Ok(match (command, known) {
            (GroupsCommand::Make { name, .. }, Some(known)) if known.name == *name => None,
            (GroupsCommand::Make { .. }, Some(_)) => return Err(GroupsRefusal::AlreadyExists),
            (GroupsCommand::Make { name, .. } | GroupsCommand::Rename { name, .. }, _) if self.is_taken(name, id) => {
                return Err(GroupsRefusal::NameTaken);
            }
            (GroupsCommand::Make { .. }, None) if self.0.len() >= GROUPS_MAX => return Err(GroupsRefusal::Full),
            (GroupsCommand::Make { name, .. }, None) => Some(GroupsEvent::Made { id, name: name.clone() }),
            (GroupsCommand::Rename { .. } | GroupsCommand::Delete { .. }, None) => return Err(GroupsRefusal::NotFound),
            (GroupsCommand::Rename { name, .. }, Some(known)) => {
                (known.name != *name).then(|| GroupsEvent::Renamed { id, name: name.clone() })
            }
            (GroupsCommand::Delete { .. }, Some(_)) => Some(GroupsEvent::Deleted { id }),
        })
    }

    pub fn apply(&mut self, event: &GroupsEvent, stamp: Stamp) {
        match event {
            GroupsEvent::Made { id, name } => {
                self.0.push(Group { id: *id, name: name.clone(), revision: stamp.revision });
            }
            GroupsEvent::Renamed { id, name } => {
                for group in self.0.iter_mut().filter(|group| group.id == *id) {
                    group.name = name.clone();
                    group.revision = stamp.revision;
                }
            }
            GroupsEvent::Deleted { id } => self.0.retain(|group| group.id != *id),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::UnixMillis;

    fn done(groups: &mut Groups, command: GroupsCommand) -> Result<bool, GroupsRefusal> {
        let event = groups.decide(&command)?;
        let stamp = Stamp { at: UnixMillis(1), revision: groups.0.len() as u64 + 7 };
        event.iter().for_each(|event| groups.apply(event, stamp));
        Ok(event.is_some())
    }

    fn make(id: u128, name: &str) -> GroupsCommand {
        GroupsCommand::Make { id: GroupId(id), name: name.into() }
    }

    fn rename(id: u128, name: &str) -> GroupsCommand {
        GroupsCommand::Rename { id: GroupId(id), name: name.into() }
    }

    #[test]
    fn a_name_is_one_groups_alone_until_that_group_is_gone() {
        let mut groups = Groups::default();
        assert_eq!(done(&mut groups, make(1, "Vans")), Ok(true));
        assert_eq!(done(&mut groups, make(1, "Vans")), Ok(false), "a repeat makes nothing");
        assert_eq!(done(&mut groups, make(1, "Cars")), Err(GroupsRefusal::AlreadyExists));
        assert_eq!(done(&mut groups, make(2, "VANS")), Err(GroupsRefusal::NameTaken));
        assert_eq!(done(&mut groups, make(2, "Cars")), Ok(true));
        assert_eq!(done(&mut groups, rename(2, "vans")), Err(GroupsRefusal::NameTaken));
        assert_eq!(done(&mut groups, rename(1, "VANS")), Ok(true), "its own name in other letters");
        assert_eq!(done(&mut groups, rename(1, "VANS")), Ok(false));
        assert_eq!(done(&mut groups, rename(3, "Lofts")), Err(GroupsRefusal::NotFound));
        assert_eq!(done(&mut groups, GroupsCommand::Delete { id: GroupId(1) }), Ok(true));
        assert_eq!(done(&mut groups, GroupsCommand::Delete { id: GroupId(1) }), Err(GroupsRefusal::NotFound));
        assert_eq!(done(&mut groups, rename(2, "Vans")), Ok(true));
        assert_eq!(groups.list().iter().map(|group| (group.id.0, &*group.name)).collect::<Vec<_>>(), [(2, "Vans")]);
    }

    #[test]
    fn an_organisation_has_a_bounded_number_of_groups() {
        let mut groups = Groups::default();
        for number in 0..GROUPS_MAX {
            assert_eq!(done(&mut groups, make(number as u128, &format!("group {number}"))), Ok(true));
        }
        assert_eq!(done(&mut groups, make(u128::MAX, "one more")), Err(GroupsRefusal::Full));
        assert_eq!(done(&mut groups, rename(0, "another")), Ok(true));
        let stored = minicbor::to_vec(&groups).unwrap();
        assert_eq!(minicbor::decode::<Groups>(&stored).unwrap(), groups);
    }
}
