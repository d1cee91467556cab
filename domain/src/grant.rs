//! What the sharing side permits one other instance, and the moves a grant may make in its life.

use crate::{
    Time,
    id::{GrantId, InstanceId, Name, Serial, Spki, UserId, WorkspaceId},
    renewal::{Former, Successor},
    scope::Scope,
};
use std::fmt;

/// Where a grant stands. Expiry is not a stored state: it follows from the scope's end and the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Made, not yet used by anybody.
    Pending,
    /// An instance holds its certificate.
    Active,
    /// Ended for ever.
    Revoked,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 3] = [Self::Pending, Self::Active, Self::Revoked];

    /// The word people and the database use.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Revoked => "revoked",
        }
    }

    /// The state with this word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.word() == word)
    }

    /// Whether a grant may go from here to there. Revoked never comes back.
    pub const fn may_become(self, next: Self) -> bool {
        matches!((self, next), (Self::Pending | Self::Active, Self::Active | Self::Revoked))
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Who or what ended a grant that did not come to its end by itself, as the record of it notes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndedBy {
    /// Whoever may revoke it.
    Owner,
    /// Other words than its holder's were typed too often.
    Words,
    /// Its holder, who left.
    Holder,
    /// Whoever removed the user on whose behalf it read.
    Removal,
    /// Whoever revoked its holder's key.
    Key,
}

impl EndedBy {
    /// Every way.
    pub const ALL: [Self; 5] = [Self::Owner, Self::Words, Self::Holder, Self::Removal, Self::Key];

    /// What stands in the log.
    pub const fn note(self) -> &'static str {
        match self {
            Self::Owner => "",
            Self::Words => "other words than its holder's were typed three times",
            Self::Holder => "by the asking side",
            Self::Removal => "with its user",
            Self::Key => "its holder's key was revoked",
        }
    }

    /// The way that has this note; an end that nothing is noted of was its owner's.
    pub fn of_note(note: &str) -> Self {
        Self::ALL.into_iter().find(|way| way.note() == note).unwrap_or(Self::Owner)
    }

    /// The word for programs.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Owner => "revoked",
            Self::Words => "wrong_words",
            Self::Holder => "unlinked",
            Self::Removal => "user_removed",
            Self::Key => "key_revoked",
        }
    }
}

/// A certificate that speaks for a grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// Its serial number.
    pub serial: Serial,
    /// Its key.
    pub spki: Spki,
    /// Its end.
    pub not_after: Time,
}

/// The last generation there is; no grant comes near it, but a row that somebody else wrote may say so.
pub const LAST_GENERATION: u64 = i64::MAX.cast_unsigned();

/// What one other instance may ask, on whose behalf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Which grant; the link at the other end has the same id.
    pub id: GrantId,
    /// What people call it; unique among this instance's grants that have not ended.
    pub name: Name,
    /// The workspace whose rows are shared, by id; the scope has its name.
    pub workspace: WorkspaceId,
    /// The user on whose behalf rows are read.
    pub subject: UserId,
    /// The instance that holds the certificate, once one does.
    pub peer: Option<InstanceId>,
    /// What is permitted.
    pub scope: Scope,
    /// Where it stands.
    pub state: State,
    /// Counts every change; an answer decided under another generation is not given.
    pub generation: u64,
    /// Counts how often its certificate was followed by another one that came into force; not the generation, since what is permitted stays
    /// the same.
    pub renewals: u64,
    /// The certificate in force.
    pub leaf: Option<Leaf>,
    /// The one that follows it, issued and not used yet.
    pub successor: Option<Successor>,
    /// The one before it, good for a moment longer.
    pub former: Option<Former>,
}

/// The grant cannot make that move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is {from} already, and that does not change")]
pub struct IllegalMove {
    /// Where it stands.
    pub from: State,
    /// Where it was to go.
    pub to: State,
}

impl Grant {
    /// Whether the grant has ended by itself.
    pub fn has_expired(&self, now: Time) -> bool {
        now >= self.scope.not_after()
    }

    /// What people are told: the stored state, or `expired`.
    pub fn standing(&self, now: Time) -> &'static str {
        match self.state {
            State::Revoked => "revoked",
            _ if self.has_expired(now) => "expired",
            state => state.word(),
        }
    }

    /// Gives the grant to `peer` with `leaf`, replacing every former certificate of the same peer at once.
    pub fn activate(&self, peer: InstanceId, leaf: Leaf) -> Result<Self, IllegalMove> {
        let next = self.moved(State::Active)?;
        if self.peer.is_some_and(|holder| holder != peer) {
            return Err(IllegalMove { from: self.state, to: State::Active });
        }
        Ok(Self { peer: Some(peer), leaf: Some(leaf), successor: None, former: None, ..next })
    }

    /// As [`Grant::activate`], but whoever comes with `leaf` waits for its owner to let them in. What was in force before them stays so
    /// meanwhile: the holder of an active grant may not be who comes now.
    pub fn hold(&self, peer: InstanceId, leaf: Leaf, now: Time) -> Result<Self, IllegalMove> {
        let active = self.activate(peer, leaf.clone())?;
        Ok(match self.state {
            State::Active => Self { successor: Some(Successor::waiting(leaf, now)), ..self.clone() },
            state => Self { state, ..active },
        })
    }

    /// The certificate of whoever is not let in yet.
    pub fn waiting(&self) -> Option<&Leaf> {
        match self.state {
            State::Pending => self.leaf.as_ref(),
            State::Active => self.successor.as_ref().filter(|next| next.waits).map(|next| &next.leaf),
            State::Revoked => None,
        }
    }

    /// Whether somebody is not let in yet.
    pub fn waits(&self) -> bool {
        self.waiting().is_some()
    }

    /// Whether the certificate with this serial number is what the grant is held with, or will be once its holder is let in.
    pub fn is_handed(&self, serial: &Serial) -> bool {
        self.leaf.iter().chain(self.waiting()).any(|leaf| leaf.serial == *serial)
    }

    /// Lets in whoever waits, and nobody else any more.
    pub fn let_in(&self) -> Result<Self, IllegalMove> {
        let waiting = self.waiting().ok_or(IllegalMove { from: self.state, to: State::Active })?;
        Ok(Self { leaf: Some(waiting.clone()), successor: None, former: None, ..self.moved(State::Active)? })
    }

    /// Ends the grant for ever.
    pub fn revoke(&self) -> Result<Self, IllegalMove> {
        if self.state.may_become(State::Revoked) {
            Ok(self.end())
        } else {
            Err(IllegalMove { from: self.state, to: State::Revoked })
        }
    }

    /// The grant ended for ever, whatever is said of it: also one that says it has ended, which nobody here did.
    #[must_use]
    pub fn end(&self) -> Self {
        let generation = self.generation.saturating_add(1).min(LAST_GENERATION);
        Self { state: State::Revoked, generation, successor: None, former: None, ..self.clone() }
    }

    /// Puts another scope in force.
    pub fn edit(&self, scope: Scope) -> Result<Self, IllegalMove> {
        if self.state == State::Revoked {
            return Err(IllegalMove { from: self.state, to: self.state });
        }
        Ok(Self { scope, generation: self.generation.saturating_add(1), ..self.clone() })
    }

    fn moved(&self, to: State) -> Result<Self, IllegalMove> {
        if !self.state.may_become(to) {
            return Err(IllegalMove { from: self.state, to });
        }
        Ok(Self { state: to, generation: self.generation.saturating_add(1), ..self.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_log_notes_of_an_end_says_who_ended_it() {
        for way in EndedBy::ALL {
            assert_eq!(EndedBy::of_note(way.note()), way);
        }
        assert_eq!(EndedBy::of_note("of a version that is not known"), EndedBy::Owner);
    }

    #[test]
    fn revoked_never_comes_back_and_nothing_becomes_pending() {
        for from in State::ALL {
            assert!(!State::Revoked.may_become(from));
            assert!(!from.may_become(State::Pending));
        }
    }
}
