//! What the ends of calls say about their link, and what of that is remembered over a restart: that its grant has ended, or was taken up again,
//! and that its words were read.

use crate::{Hub, circuit::is_of_reach, health::LinkState, outcome::Failure};
use domain::{
    Time,
    answer::Outcome,
    audit::Ending,
    id::{GrantId, UserId},
};
use std::sync::Arc;
use store::{AuditQuery, LinkEnd, LinkRecord, Shared};

impl Hub {
    /// Forgets what is kept of a link that is gone or has another certificate: answers, connection and state.
    pub(crate) fn drop_link(&self, owner: UserId, link: GrantId) {
        self.cache.close((owner, link));
        self.sessions.forget(owner, link);
        self.tracks.forget(owner, link);
    }

    /// Notes how a call over a link ended; that its grant has ended, or was taken up again, is remembered over a restart.
    pub(crate) fn note(&self, link: &LinkRecord, failure: Option<&Failure>) {
        self.sessions.note(link, failure);
        if failure.is_none_or(|failure| !is_of_reach(failure)) {
            self.tracks.answered(link);
        }
        let last_answer = self.sessions.health(link.owner, link.id).last_success;
        let end = match (failure, link.end) {
            (Some(failure), None) if failure.outcome == Outcome::Revoked && !self.is_past_its_end(link) => {
                Some(LinkEnd { at: self.world.now(), last_answer })
            }
            (None, Some(_)) => None,
            _ => return,
        };
        let (store, link) = (Arc::clone(&self.store), link.clone());
        self.tasks.spawn(async move {
            let end = match end {
                Some(end) if end.last_answer.is_none() => {
                    Some(LinkEnd { last_answer: last_recorded(&store, link.id).await, ..end })
                }
                end => end,
            };
            if let Err(error) = store.remember_end(&link, end).await {
                tracing::warn!(%error, link = %link.id, "whether the other side has ended this link could not be written");
            }
        });
    }

    /// A certificate that is past its end is refused as well, and says nothing of the grant.
    pub(crate) fn is_past_its_end(&self, link: &LinkRecord) -> bool {
        self.world.now() >= link.certificate_not_after
    }

    /// Whether the link's certificate is past its end, and no end of its grant was heard.
    pub(crate) fn is_over(&self, link: &LinkRecord) -> bool {
        let next = link.next.as_ref().is_some_and(|next| self.world.now() < next.not_after);
        self.is_past_its_end(link) && !next && !self.is_known_to_have_ended(link)
    }

    /// Whether the other side has ended the link's grant, as far as was heard.
    pub(crate) fn is_known_to_have_ended(&self, link: &LinkRecord) -> bool {
        match self.sessions.health(link.owner, link.id).state {
            LinkState::Revoked => link.end.is_some() || !self.is_past_its_end(link),
            LinkState::Up | LinkState::Degraded => false,
            _ => link.end.is_some(),
        }
    }

    /// The other side's owner has let the link in. Should that not be written, the next answer tells it again.
    pub(crate) fn confirmed(&self, link: &LinkRecord) {
        let (store, link) = (Arc::clone(&self.store), link.clone());
        let keeper = Arc::clone(&self.keeper);
        self.tasks.spawn(async move {
            if let Err(error) = store.forget_words(&link).await {
                tracing::warn!(%error, "that a link is confirmed could not be written");
            }
            keeper.look();
        });
    }
}

/// When a question over a link was answered last by what the log says: another daemon may have asked it.
async fn last_recorded(log: &Shared, link: GrantId) -> Option<Time> {
    let (grant, ending) = (Some(link), Some(Ending::Answered));
    let query = AuditQuery { grant, ending, limit: 1, last: true, ..AuditQuery::default() };
    log.entries(&query).await.ok()?.last().map(|entry| entry.time)
}
