//! Renewal of a link's certificate, so that no call fails for it: a new key, its certificate kept before it is used, used once
//! before it takes the old one's place.
//!
//! Wherever this stops, by a crash or a lost answer, one of the two is good and kept: the other side lets the old one in until
//! the new one was used, and whoever finds one that waits tries it first. [`schedule`] says when, [`watch`] looks.

mod schedule;
mod watch;

pub(crate) use watch::Watch;
pub use watch::{RenewalFailure, RenewalStatus, Renewals};

use crate::{
    Asker, Hub, HubError,
    call::{Call, traced},
    deadlines::message_bytes,
    outcome::Failure,
    record::{Asking, Sum},
    session::key_context,
};
use domain::{
    answer::Outcome,
    audit::{Act, Record},
    id::{Name, RequestId, WorkspaceId},
    operation::{Method, PROTOCOL_VERSION},
    wire,
};
use link::{Dialled, Trail, trail::Part};
use pki::{RequestKey, enrolled};
use proto::v1::{self, connect_service_client::ConnectServiceClient};
use store::{LinkRecord, NextLeaf, halt};
use tokio::time::{Instant, timeout};

impl Hub {
    /// Renews the certificate of the asker's own link now, whether or not it is due.
    pub async fn renew(&self, asker: &Asker, link: &Name) -> Result<crate::LinkStatus, HubError> {
        let own = self.own_link(asker, link).await?;
        self.renew_recorded(&own, asker.request).await.map_err(|failure| HubError::Renewal {
            link: link.clone(),
            reason: with_next(&failure, link),
            outcome: failure.outcome,
        })?;
        Ok(self.status_of(&*self.own_link(asker, link).await?))
    }

    /// Renews, as one recorded question; how it ended is kept for the link's state.
    pub(crate) async fn renew_recorded(&self, link: &LinkRecord, id: RequestId) -> Result<(), Failure> {
        let Some(_one) = self.watch.begin(link) else {
            return Err(Failure::own("this link is being renewed already"));
        };
        // Whose rows `here` means is of no account: none are asked for.
        let asker = Asker::new(link.owner, WorkspaceId(uuid::Uuid::nil()), id);
        let mut asking = Asking::new(self, &asker, link, Method::Renew).calling("renew");
        let ended = self.follow_up(link, &asking.trail()).await;
        self.watch.note(link, &ended, self.world.now());
        let recorded = match &ended {
            Ok(()) => asking.answered(Sum::default(), false).await,
            Err(failure) => asking.failed(failure).await,
        };
        recorded.and(ended)
    }

    /// First what waits from an earlier time, then a new one.
    async fn follow_up(&self, link: &LinkRecord, trail: &Trail) -> Result<(), Failure> {
        if let Some(next) = &link.next {
            match self.take_up(link, next, trail).await {
                Err(failure) if failure.outcome == Outcome::Revoked => {
                    self.forget_next(link, next, trail.request()).await?;
                }
                ended => return ended,
            }
        }
        let next = self.ask_for_next(link, trail).await?;
        halt::at("renewal answered").await;
        let record = self.renewal(link, trail.request(), "the next certificate is kept");
        let kept = self.store.keep_next(link, &next, record).await.map_err(Failure::own)?;
        if !kept {
            return Err(changed_meanwhile());
        }
        halt::at("renewal kept").await;
        self.take_up(link, &next, trail).await
    }

    /// A certificate for a new key, sealed as it will be kept.
    async fn ask_for_next(&self, link: &LinkRecord, trail: &Trail) -> Result<NextLeaf, Failure> {
        let key = RequestKey::generate().map_err(Failure::own)?;
        let mut call = Call::new(self, link, trail.clone(), Instant::now() + self.deadlines.source);
        let wire = v1::RenewRequest { csr: key.csr.clone() };
        let answer = call.send(&wire, |channel, request| async move {
            ConnectServiceClient::new(channel).max_decoding_message_size(message_bytes()).renew(request).await
        });
        let answer = answer.await;
        call.end_unasked(answer.as_ref().err());
        let certificate = answer?.certificate;
        let expected = enrolled::Expected {
            root: &link.root,
            issuer: link.peer,
            holder: self.instance,
            grant: link.id,
            spki: key.spki,
        };
        let read = enrolled::check(&certificate, &expected, self.world.now()).map_err(Failure::lie)?;
        let sealed_key = self.kek.seal(&key_context(link.owner, link.id), key.key_pkcs8.expose());
        Ok(NextLeaf { certificate, not_after: read.leaf.not_after, sealed_key: sealed_key.map_err(Failure::own)? })
    }

    /// Uses what waits for the first time, on a connection of its own; then new calls take that connection, and those in flight
    /// end on the old one, which the other side lets them do.
    async fn take_up(&self, link: &LinkRecord, next: &NextLeaf, trail: &Trail) -> Result<(), Failure> {
        let dialled = trail.time(Part::Wire, self.sessions.dial_next(&link.following(next))).await?;
        trail.time(Part::Wire, self.introduce(&dialled, link, trail)).await?;
        halt::at("renewal used").await;
        // Before the record: should that fail, calls must not go on with the old one, which is good for a moment only.
        self.sessions.exchange(link, dialled);
        self.cache.flush((link.owner, link.id));
        let record = self.renewal(link, trail.request(), "the next certificate is in use");
        let taken = self.store.take_next(link, &next.certificate, record).await.map_err(Failure::own)?;
        if !taken {
            self.drop_link(link.owner, link.id);
            return Err(changed_meanwhile());
        }
        self.keeper.look();
        Ok(())
    }

    /// The opening exchange on a new connection. That the grant's rate is used up is an answer too: who is told so was let in.
    async fn introduce(&self, dialled: &Dialled, link: &LinkRecord, trail: &Trail) -> Result<(), Failure> {
        let message = v1::ConnectRequest {
            version_min: PROTOCOL_VERSION,
            version_max: PROTOCOL_VERSION,
            capabilities: vec![v1::Capability::Query.into()],
            time: Some(wire::timestamp(self.world.now())),
        };
        let (patience, began) = (self.deadlines.source, Instant::now());
        let mut client = ConnectServiceClient::new(dialled.channel.clone()).max_decoding_message_size(message_bytes());
        let answer = timeout(patience, client.connect(traced(message, trail, patience))).await;
        match answer.map_err(|_| Failure::silent(began.elapsed()))? {
            Ok(answer) if answer.get_ref().instance_id == link.peer.to_string() => Ok(()),
            Ok(_) => Err(Failure::lie("the other side says that it is another instance than the one of the invite")),
            Err(status) => match Failure::of_connection(&status, dialled) {
                failure if failure.outcome == Outcome::RateLimited => Ok(()),
                failure => Err(failure),
            },
        }
    }

    async fn forget_next(&self, link: &LinkRecord, next: &NextLeaf, id: RequestId) -> Result<(), Failure> {
        let record = self.renewal(link, id, "the next certificate was refused and is forgotten");
        self.store.drop_next(link, &next.certificate, record).await.map(drop).map_err(Failure::own)
    }

    fn renewal(&self, link: &LinkRecord, id: RequestId, what: &str) -> Record {
        let record = Record::act(self.world.now(), Act::LinkRenew, link.owner, id);
        Record { grant: Some(link.id), peer: Some(link.peer), ..record }.noting(&format!("{}: {what}", link.name))
    }
}

/// One that came too soon is of use again later, and needs nobody.
fn with_next(failure: &Failure, link: &Name) -> String {
    let Some(wait) = failure.retry_after.filter(|_| failure.outcome == Outcome::RateLimited) else {
        return failure.reason.clone();
    };
    let cause = failure.reason.split("; ").next().unwrap_or_default();
    let wait = wait.as_secs().max(1);
    format!(
        "{cause}; type `mosaic-fed renew {link}` again in {wait} s, or leave it to the daemon, which renews it in time by itself"
    )
}

fn changed_meanwhile() -> Failure {
    Failure::own("the link was changed by somebody else meanwhile")
}
