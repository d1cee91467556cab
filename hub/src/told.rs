//! Who was told that a link is offline, so that a session hears of it once until the link is back. In memory only, and bounded: a session that
//! is forgotten for others is told once more.

use crate::{Asker, Hub, HubError};
use domain::{
    Time,
    id::{GrantId, Name, UserId},
};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, PoisonError},
};

/// Sessions of one user that are remembered.
const OF_USER: usize = 32;
/// Sessions of all users.
const OF_ALL: usize = 512;
/// Links of one session.
const LINKS: usize = 256;
/// The longest name of a session, in bytes.
const LENGTH: usize = 128;

/// The sessions, those that were heard of last at the end.
#[derive(Default)]
pub(crate) struct Told(Mutex<VecDeque<Session>>);

struct Session {
    user: UserId,
    name: String,
    /// When it was told of each link.
    links: BTreeMap<GrantId, Time>,
}

/// Whether a text can name a session: nothing else is kept.
pub fn is_session(name: &str) -> bool {
    (1..=LENGTH).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic())
}

impl Told {
    /// Of these links, which are offline and answered last then, those that this session of this user has not heard of since; it has now.
    pub(crate) fn anew(
        &self,
        (user, name): (UserId, &str),
        offline: impl IntoIterator<Item = (GrantId, Option<Time>)>,
        now: Time,
    ) -> Vec<GrantId> {
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = sessions.iter().position(|session| session.user == user && session.name == name);
        let mut session = known.and_then(|at| sessions.remove(at)).unwrap_or_else(|| {
            make_room(&mut sessions, user);
            Session { user, name: name.to_owned(), links: BTreeMap::new() }
        });
        let mut anew = Vec::new();
        for (link, last_answer) in offline {
            let told = session.links.get(&link);
            if told.is_none_or(|told| last_answer.is_some_and(|answer| answer > *told)) {
                anew.push(link);
                if told.is_some() || session.links.len() < LINKS {
                    session.links.insert(link, now);
                }
            }
        }
        sessions.push_back(session);
        anew
    }
}

impl Hub {
    /// Of the asker's links with these names, which are offline, those that this session has not heard of since they last answered; it has now.
    pub async fn offline_anew(&self, asker: &Asker, session: &str, links: &[Name]) -> Result<Vec<Name>, HubError> {
        if !is_session(session) {
            let what = format!("a session is named by 1 to {LENGTH} letters, digits and marks without spaces");
            return Err(HubError::Question(what));
        }
        let mut own = self.store.links(asker.user).await?;
        own.retain(|link| links.contains(&link.name));
        let last_answer = |link: &store::LinkRecord| self.sessions.health(link.owner, link.id).last_success;
        let offline: Vec<_> = own.iter().map(|link| (link.id, last_answer(link))).collect();
        let anew = self.told.anew((asker.user, session), offline, self.world.now());
        Ok(own.into_iter().filter(|link| anew.contains(&link.id)).map(|link| link.name).collect())
    }
}

/// Forgets the eldest of the user's, or of all, where there are as many as may be.
fn make_room(sessions: &mut VecDeque<Session>, user: UserId) {
    let own = || sessions.iter().enumerate().filter(|(_, session)| session.user == user);
    let eldest = match own().count() {
        OF_USER.. => own().next().map(|(at, _)| at),
        _ if sessions.len() >= OF_ALL => Some(0),
        _ => None,
    };
    if let Some(at) = eldest {
        sessions.remove(at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    const NOW: Time = Time::from_seconds(1_790_000_000);

    fn user(id: u128) -> UserId {
        UserId(Uuid::from_u128(id))
    }

    fn link(id: u128) -> GrantId {
        GrantId(Uuid::from_u128(id))
    }

    #[test]
    fn a_session_is_told_of_a_link_once_until_it_was_back() {
        let told = Told::default();
        let hears = |who, session, last: Option<i64>, at: i64| {
            let last = last.map(|at| Time::from_seconds(1_790_000_000 + at));
            !told.anew((user(who), session), [(link(1), last)], Time::from_seconds(1_790_000_000 + at)).is_empty()
        };
        assert!(hears(1, "a", None, 0) && !hears(1, "a", None, 1));
        assert!(hears(1, "b", None, 2), "another session");
        assert!(hears(2, "a", None, 3), "another user's session of the same name");
        assert!(!hears(1, "a", Some(-5), 4), "it answered before that");
        assert!(hears(1, "a", Some(5), 6) && !hears(1, "a", Some(5), 7), "it was back meanwhile");
        assert_eq!(told.anew((user(1), "a"), [(link(1), None), (link(2), None)], NOW), [link(2)]);
    }

    #[test]
    fn nobodys_sessions_fill_the_memory_or_push_out_those_of_others() {
        let told = Told::default();
        told.anew((user(1), "mine"), [(link(1), None)], NOW);
        for session in 0..10_000 {
            told.anew((user(2), &session.to_string()), (0..1_000).map(|id| (link(id), None)), NOW);
        }
        assert!(told.anew((user(1), "mine"), [(link(1), None)], NOW).is_empty(), "it is remembered");
        let (of_two, links) = {
            let sessions = told.0.lock().unwrap();
            let of_two = sessions.iter().filter(|session| session.user == user(2));
            (of_two.clone().count(), of_two.map(|session| session.links.len()).max().unwrap())
        };
        assert_eq!((of_two, links), (OF_USER, LINKS));
        for id in 0..2_000 {
            told.anew((user(10 + id), "a"), [], NOW);
        }
        assert_eq!(told.0.lock().unwrap().len(), OF_ALL);
    }

    #[test]
    fn a_session_is_named_by_a_short_plain_text() {
        assert!(is_session("550e8400-e29b") && is_session(&"x".repeat(128)));
        assert!(["", "a b", "a\n", "é", &"x".repeat(129)].iter().all(|name| !is_session(name)));
    }
}
