//! The end of grants, whoever ends them: committed, refused at the door, told to the asking side, cut, and acknowledged.

use crate::{
    Spoke,
    control::Listening,
    grants::{AdminError, By},
};
use domain::{
    Time,
    audit::{Act, Record},
    grant::{EndedBy, Grant, State},
    id::GrantId,
    session::LEASE,
};
use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};
use store::{StoreError, halt};
use tokio::time::Instant;

/// How long a revocation waits for the grant's calls to be gone before it reports that they are not.
pub const DRAIN: Duration = Duration::from_secs(5);

/// A grant that was ended.
#[derive(Clone, Debug)]
pub struct Revoked {
    /// The grant.
    pub grant: Grant,
    /// When its end was committed.
    pub at: Time,
    /// From the order until its calls were gone.
    pub took: Duration,
    /// Whether they were gone within [`DRAIN`].
    pub drained: bool,
    /// Connections that were cut.
    pub connections: usize,
    /// Calls that were in flight, besides the control session.
    pub calls: usize,
    /// What is known of the asking side.
    pub receipt: Receipt,
}

/// What the asking side of an ended grant is known to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receipt {
    /// Nobody ever held the grant's certificate.
    Unused,
    /// Its holder waited to be let in and never was: nothing was ever shown to them.
    NeverLetIn,
    /// It said, this long after the end was committed, that its calls have ended and that it keeps and shows nothing of the grant any more.
    Acknowledged(Duration),
    /// It was told, and said nothing within [`domain::session::ACKNOWLEDGE`].
    Silent,
    /// It has no control session. What it may still show or keep of earlier answers ends by this time, if it keeps to the protocol.
    Away(Time),
}

/// Who hears that grants end.
#[derive(Default)]
pub struct Audience {
    listening: HashMap<GrantId, Listening>,
    /// Those that nobody was ever let in to and whose first holder waits, with how far they had come.
    waiting: HashMap<GrantId, u64>,
}

/// What became of grants that were ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Whether their calls and connections were gone within [`DRAIN`].
    pub drained: bool,
    /// What is known of each one's asking side.
    pub receipts: HashMap<GrantId, Receipt>,
}

impl Spoke {
    /// Ends a grant: commit, refuse at the door, tell the asking side, cut its connections, report when its calls are gone and
    /// whether the asking side has let go.
    pub async fn revoke(&self, by: By, id: GrantId) -> Result<Revoked, AdminError> {
        self.revoke_for(by, id, EndedBy::Owner).await
    }

    /// As [`Spoke::revoke`], for this reason.
    pub(crate) async fn revoke_for(&self, by: By, id: GrantId, why: EndedBy) -> Result<Revoked, AdminError> {
        let record = self.act(Act::GrantRevoke, by, id).noting(why.note());
        let commit = async { Ok((vec![self.parts.store.revoke_grant(id, record).await?], ())) };
        let (mut revoked, ()) = self.end(by, &[id], commit).await?;
        // The one that was ended.
        Ok(revoked.remove(0))
    }

    /// Ends those grants that `commit` ends, which are some of these or all. What else it gives is given on.
    pub(crate) async fn end<T>(
        &self,
        by: By,
        ids: &[GrantId],
        commit: impl Future<Output = Result<(Vec<Grant>, T), StoreError>>,
    ) -> Result<(Vec<Revoked>, T), AdminError> {
        let began = Instant::now();
        let open = |id: &GrantId| (*id, (self.registry.connections(*id), self.registry.calls(*id)));
        let open: HashMap<_, _> = ids.iter().map(open).collect();
        let audience = self.audience(|grant| open.contains_key(&grant.id));
        let hear: HashSet<_> = audience.listening.keys().copied().collect();
        let (grants, more) = commit.await?;
        halt::at("grant end stored").await;
        let at = self.parts.world.now();
        let Ended { drained, receipts } = self.ended(by, &grants, audience).await;
        let of = |grant: Grant| {
            let (connections, calls) = open.get(&grant.id).copied().unwrap_or_default();
            // A control session is one too.
            let calls = calls.saturating_sub(usize::from(hear.contains(&grant.id)));
            let receipt = receipts.get(&grant.id).copied().unwrap_or(Receipt::Unused);
            Revoked { grant, at, took: began.elapsed(), drained, connections, calls, receipt }
        };
        Ok((grants.into_iter().map(of).collect(), more))
    }

    /// Who will hear that these grants end: to be asked before the end is committed, which may be the last thing they hear.
    pub fn audience(&self, ending: impl Fn(&Grant) -> bool) -> Audience {
        let current = self.snapshots.current();
        let mut audience = Audience::default();
        for grant in current.grants().filter(|grant| ending(grant)) {
            audience.listening.extend(self.controls.listening(grant.id).map(|listening| (grant.id, listening)));
            let never = grant.state == State::Pending && grant.waits();
            audience.waiting.extend(never.then_some((grant.id, grant.generation)));
        }
        audience
    }

    /// Cuts what is open of grants whose end is committed, and waits for the word of those who hear of it.
    pub async fn ended(&self, by: By, grants: &[Grant], mut audience: Audience) -> Ended {
        let committed = Instant::now();
        self.snapshots.refresh_after_change().await;
        for grant in grants {
            self.snapshots.remember_end(grant.id).await;
        }
        halt::at("grant end remembered").await;
        let receipts = grants.iter().map(|grant| {
            let listening = audience.listening.remove(&grant.id);
            // What was seen to wait, and came no further than to its end, has shown nothing.
            let never = audience.waiting.get(&grant.id).is_some_and(|generation| grant.generation == generation + 1);
            async move {
                let receipt =
                    if never { Receipt::NeverLetIn } else { self.receipt(by, grant, listening, committed).await };
                (grant.id, receipt)
            }
        });
        let receipts = futures::future::join_all(receipts).await.into_iter().collect();
        halt::at("grant end acknowledged").await;
        let gone = futures::future::join_all(grants.iter().map(|grant| {
            self.controls.end(grant.id);
            self.registry.cut(grant.id)
        }));
        Ended { drained: tokio::time::timeout(DRAIN, gone).await.is_ok(), receipts }
    }

    async fn receipt(&self, by: By, grant: &Grant, listening: Option<Listening>, committed: Instant) -> Receipt {
        let Some(listening) = listening else {
            let until = self.parts.world.now() + LEASE;
            return if grant.peer.is_some() { Receipt::Away(until) } else { Receipt::Unused };
        };
        if !listening.acknowledged().await {
            return Receipt::Silent;
        }
        let after = committed.elapsed();
        let note = format!("generation {} after {} ms", grant.generation, after.as_millis());
        let record = Record { peer: grant.peer, ..self.act(Act::GrantAcknowledge, by, grant.id) }.noting(&note);
        if let Err(error) = self.parts.auditor.record(record).await {
            tracing::warn!(%error, grant = %grant.id, "that the asking side has let go could not be recorded");
        }
        Receipt::Acknowledged(after)
    }
}
