//! Who gets a place at a socket. The uid at the other end is known before a byte is read, so that no account of this machine
//! takes the places of the others: mapped uids have a share each, and those that act as no user, who are only ever told so,
//! have few, and few together (one account can be many uids: subuid(5)). The operator could end the daemon anyway.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Connections at once of one mapped uid.
const OF_A_USER: usize = 32;
/// Connections at once of one uid that acts as no user.
const OF_A_STRANGER: usize = 4;
/// Connections at once of all uids that act as no user.
const OF_STRANGERS: usize = 32;

/// What a uid is here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// The daemon's own uid, or root.
    Operator,
    /// Acts as a user.
    User,
    /// Acts as nobody.
    Stranger,
}

/// The places that are taken at one socket by each uid, or at the port by each user.
#[derive(Debug)]
pub(crate) struct Places<Who>(Mutex<Taken<Who>>);

#[derive(Debug)]
struct Taken<Who> {
    by_each: HashMap<Who, usize>,
    by_strangers: usize,
}

impl<Who> Default for Places<Who> {
    fn default() -> Self {
        Self(Mutex::new(Taken { by_each: HashMap::new(), by_strangers: 0 }))
    }
}

/// A place, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place<Who: Copy + Eq + Hash> {
    places: Arc<Places<Who>>,
    who: Who,
    standing: Standing,
}

impl<Who: Copy + Eq + Hash> Places<Who> {
    /// A place for one more connection of theirs; none when they have their share.
    pub(crate) fn take(self: &Arc<Self>, who: Who, standing: Standing) -> Option<Place<Who>> {
        let mut taken = self.taken();
        let own = taken.by_each.get(&who).copied().unwrap_or(0);
        let free = match standing {
            Standing::Operator => true,
            Standing::User => own < OF_A_USER,
            Standing::Stranger => own < OF_A_STRANGER && taken.by_strangers < OF_STRANGERS,
        };
        if !free {
            return None;
        }
        taken.by_each.insert(who, own + 1);
        taken.by_strangers += usize::from(standing == Standing::Stranger);
        Some(Place { places: Arc::clone(self), who, standing })
    }

    fn taken(&self) -> MutexGuard<'_, Taken<Who>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<Who: Copy + Eq + Hash> Drop for Place<Who> {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        let left = taken.by_each.get(&self.who).map_or(0, |own| own.saturating_sub(1));
        if left == 0 {
            taken.by_each.remove(&self.who);
        } else {
            taken.by_each.insert(self.who, left);
        }
        taken.by_strangers -= usize::from(self.standing == Standing::Stranger);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hold(places: &Arc<Places<u32>>, uid: u32, standing: Standing) -> Vec<Place<u32>> {
        std::iter::from_fn(|| places.take(uid, standing)).take(1_000).collect()
    }

    #[test]
    fn each_uid_has_its_share_and_the_operator_is_not_counted_out() {
        let places = Arc::new(Places::default());
        let shares = [(1, Standing::User), (2, Standing::User), (3, Standing::Stranger), (0, Standing::Operator)];
        let held = shares.map(|(uid, standing)| hold(&places, uid, standing));
        assert_eq!(held.map(|held| held.len()), [32, 32, 4, 1_000]);
    }

    #[test]
    fn many_uids_that_act_as_nobody_have_few_places_together() {
        let places = Arc::new(Places::default());
        let held: Vec<_> = (0..100).flat_map(|uid| hold(&places, uid, Standing::Stranger)).collect();
        assert_eq!(held.len(), OF_STRANGERS);
        assert!(places.take(1_000, Standing::User).is_some());
    }

    #[test]
    fn a_place_is_free_again_once_its_connection_ends() {
        let places = Arc::new(Places::default());
        for standing in [Standing::User, Standing::Stranger] {
            let mut held = hold(&places, 7, standing);
            assert!(places.take(7, standing).is_none());
            held.pop();
            drop(places.take(7, standing).unwrap());
        }
        let taken = places.taken();
        assert!(taken.by_each.is_empty(), "nothing is kept of a uid that left");
        assert_eq!(taken.by_strangers, 0);
    }

    #[test]
    fn a_uid_that_is_mapped_while_it_is_connected_has_the_places_of_a_user() {
        let places = Arc::new(Places::default());
        let strange = hold(&places, 7, Standing::Stranger);
        assert_eq!(hold(&places, 7, Standing::User).len(), OF_A_USER - OF_A_STRANGER);
        drop(strange);
        assert_eq!(places.taken().by_strangers, 0);
    }
}
