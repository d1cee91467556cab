//! CONNECT: a local user's links, from invite to unlink. A link belongs to the user who added it; an administrator may see
//! that it exists and remove it, and nothing else.

use crate::{
    Asker, CircuitStatus, Hub, HubError, Latency,
    control::SessionStatus,
    enrol::{Enrolled, Over},
    health::{Health, LastFailure, LinkState},
    hello::{Left, Ping},
    outcome::{Failure, unconfirmed},
    record::Asking,
    renewal::RenewalStatus,
    session::key_context,
    terms::Terms,
    track::Summary,
};
use domain::{
    Time,
    answer::may_name_a_link,
    audit::{Act, Record, one_line},
    id::{GrantId, InstanceId, Name, UserId},
    invite::{BadInvite, Invite, Offer},
    words::Words,
};
use link::Trail;
use serde::Serialize;
use std::{sync::Arc, time::Duration};
use store::{LinkEntry, LinkRecord, MadeOf};

/// A link as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LinkStatus {
    /// Which link; the grant at the other end has the same id.
    pub id: GrantId,
    /// What its owner calls it.
    pub name: Name,
    /// The sharing instance.
    pub peer: InstanceId,
    /// What it calls itself.
    pub peer_name: Name,
    /// `host:port`, in the order to try.
    pub addresses: Vec<String>,
    /// Whether it is the other side that opens the connections, to these addresses.
    pub calls: bool,
    /// What its invite offered; the grant may have changed since.
    pub offer: Offer,
    /// When it was added.
    pub added_at: Time,
    /// When its certificate ends.
    pub certificate_not_after: Time,
    /// How it stands with its renewal.
    pub renewal: RenewalStatus,
    /// The words that the other side's owner has yet to be told.
    pub words: Option<String>,
    /// What is to be done with them, in words.
    pub waits: Option<String>,
    /// From the last real call, and from a renewal that failed.
    pub state: LinkState,
    /// When a call last ended well, since this daemon started.
    pub last_success: Option<Time>,
    /// The last call that did not.
    pub last_failure: Option<LastFailure>,
    /// The link's control session, while it has one.
    pub session: Option<SessionStatus>,
    /// What its grant allows, where the other side has told it since this daemon started.
    pub terms: Option<Terms>,
    /// Whether questions over it are sent.
    pub circuit: CircuitStatus,
    /// How long the last answers took, once there was one.
    pub latency: Option<Latency>,
    /// The other side's clock less ours, in milliseconds, by the session or the last ping.
    pub clock_offset_ms: Option<i64>,
}

/// A link that was made or given a new certificate.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Linked {
    /// The link.
    pub link: LinkStatus,
    /// Whether it was there before and only its certificate is new.
    pub replaced: bool,
    /// Whether it was made of this very invite before, so that nothing was sent.
    pub already: bool,
    /// What its owner and the other side's may compare: who used the invite, and with which root.
    pub words: String,
    /// How the first question over it ended. The link stays also when it failed: the other side may be back soon. None is asked of one
    /// that waits to be confirmed.
    pub first: Ping,
}

/// A link that is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unlinked {
    /// Which link.
    pub id: GrantId,
    /// What it was called.
    pub name: Name,
    /// Whether the other side was told, and confirmed that it ended the grant.
    pub told: bool,
    /// Whether it had ended the grant before, so that there was nothing to tell it.
    pub ended_before: bool,
    /// Whether it had not let the link in, with the certificate that it had, and so takes no word from it.
    pub never_let_in: bool,
    /// Why it was not told, and what to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Hub {
    /// Reads an invite, to be shown before anything is sent.
    pub fn offer(&self, invite: &str) -> Result<Invite, HubError> {
        let invite = Invite::decode(invite)?;
        let plain = |texts: &[String]| texts.iter().all(|text| one_line(text) == *text);
        for (field, texts) in [
            ("addresses", invite.addresses.as_slice()),
            ("enrol_addresses", &invite.enrol_addresses),
            ("tls_name", std::slice::from_ref(&invite.tls_name)),
            ("offer", &invite.offer.resources),
        ] {
            // Shown to a person before anything is trusted: nothing in it may act on a terminal.
            if !plain(texts) {
                return Err(BadInvite::Field(field).into());
            }
        }
        Ok(invite)
    }

    /// Makes a link of an invite, or gives the link of the same grant a new certificate; then asks the first question over
    /// it. `name` is what the owner calls it, else the sharing instance's own name.
    pub async fn link(&self, asker: &Asker, invite: &str, name: Option<Name>) -> Result<Linked, HubError> {
        self.link_over(asker, invite, name, None).await
    }

    /// As [`Hub::link`]; over a socket that the other side opened, where it did.
    pub(crate) async fn link_over(
        &self,
        asker: &Asker,
        invite: &str,
        name: Option<Name>,
        over: Option<Over>,
    ) -> Result<Linked, HubError> {
        let invite = self.offer(invite)?;
        if invite.instance == self.instance {
            let own = "this invite is this instance's own, and nothing was done with it here; give it to the other instance's owner, or, if \
                       it was used there already, make another with `mosaic-fed grant invite NAME`";
            return Err(HubError::OtherLink(own.to_owned()));
        }
        let links = self.store.links(asker.user).await?;
        // Everything that can be refused here is refused before the token is spent.
        let former = links.iter().find(|link| link.id == invite.grant).cloned();
        let name = match &former {
            Some(former) => same_link(former, &invite, name.as_ref())?,
            None => free_name(&links, name.unwrap_or_else(|| invite.instance_name.clone()))?,
        };
        if let Some(known) = former.as_ref().filter(|former| is_of(former, &invite)) {
            return Ok(self.linked_already(asker, known).await);
        }
        let act = if former.is_some() { Act::LinkReplace } else { Act::LinkAdd };
        let linking = Asking::linking(self, asker, &invite, act);
        let (link, words) =
            match self.keep((asker, &linking.trail()), &invite, name, former.as_ref(), over.as_ref()).await {
                Ok(kept) => kept,
                Err(error) => return Err(staying(linking.no_link(error).await, former.as_ref())),
            };
        linking.recorded();
        if over.is_none() {
            // An invite that was handed over is of an instance that is dialled.
            self.forget_calls(asker.user, link.id).await;
        }
        self.drop_link(asker.user, link.id);
        self.keeper.look();
        let first = self.first(asker, &link).await;
        let (link, words) = (self.status_of(&link), words.to_string());
        Ok(Linked { link, replaced: former.is_some(), already: false, words, first })
    }

    async fn first(&self, asker: &Asker, link: &LinkRecord) -> Ping {
        match &link.words {
            Some(words) => Ping::waiting(link, words),
            None => self.try_out(asker, link).await,
        }
    }

    /// The answer to an invite that made this link before: whoever types it again has not seen that it went well.
    async fn linked_already(&self, asker: &Asker, link: &LinkRecord) -> Linked {
        let first = self.try_out(asker, link).await;
        let words = link.made_of.as_ref().map(|made| made.words.clone()).unwrap_or_default();
        Linked { link: self.status_of(link), replaced: false, already: true, words, first }
    }

    /// Trades the invite for a certificate and keeps it, with its record.
    async fn keep(
        &self,
        (asker, trail): (&Asker, &Trail),
        invite: &Invite,
        name: Name,
        former: Option<&LinkRecord>,
        over: Option<&Over>,
    ) -> Result<(LinkRecord, Words), HubError> {
        let enrolled = self.enrol(asker, invite, over, trail).await?;
        let (key, words, opening) = (enrolled.key.spki, enrolled.words, enrolled.opening);
        let link = self.link_record(asker, invite, name, former, enrolled)?;
        let learnt = match over {
            Some(over) => Some(self.keep_calls(&link, &over.secret, &opening).await?),
            None => None,
        };
        match former {
            Some(_) => self.store.replace_link(&link, self.act(Act::LinkReplace, asker, &link)).await?,
            None => self.store.add_link(&link, self.act(Act::LinkAdd, asker, &link)).await?,
        }
        if let Some(learnt) = learnt {
            learnt.stands();
        }
        self.forget_key(asker, key).await;
        Ok((link, words))
    }

    /// The asker's links, by name.
    pub async fn links(&self, asker: &Asker) -> Result<Vec<LinkStatus>, HubError> {
        let links = self.store.links(asker.user).await?;
        Ok(links.iter().map(|link| self.status_of(link)).collect())
    }

    /// Asks who answers at the other end and what the grant may do.
    pub async fn ping(&self, asker: &Asker, link: &Name) -> Result<Ping, HubError> {
        let link = self.own_link(asker, link).await?;
        Ok(self.try_out(asker, &link).await)
    }

    /// Ends a link: the other side is told, if it can be reached, and everything is erased here in any case. With `now` it is
    /// erased at once and the other side is told in the background.
    pub async fn unlink(self: &Arc<Self>, asker: &Asker, link: &Name, now: bool) -> Result<Unlinked, HubError> {
        let link = self.own_link(asker, link).await?;
        let left = if now { None } else { Some(self.leave(asker, &link).await) };
        let record = self.act(Act::LinkRemove, asker, &link);
        if now {
            self.leaves(asker.user, link.id);
        }
        if let Err(error) = self.store.remove_link(asker.user, link.id, record).await {
            self.stays(asker.user, link.id);
            return Err(error.into());
        }
        let told = matches!(left, Some(Ok(Left::Told)));
        let ended_before = matches!(left, Some(Ok(Left::EndedBefore)));
        let never_let_in = matches!(left, Some(Ok(Left::NeverLetIn)));
        // Before the other side is told in the background: it ends every call of the link, that one too.
        self.drop_link(asker.user, link.id);
        let reason = if let Some(left) = left {
            self.forget_calls(asker.user, link.id).await;
            left.err()
        } else {
            self.leave_later(*asker, Arc::clone(&link));
            Some(told_later(&link, self.deadlines.source))
        };
        self.keeper.look();
        let reason = if never_let_in { Some(never_told(&link)) } else { reason };
        Ok(Unlinked { id: link.id, name: link.name.clone(), told, ended_before, never_let_in, reason })
    }

    /// Removes exactly these links of any users, for an administrator who was judged to manage their owners; the other side
    /// is told in the background. Gives what was removed, which leaves out what was gone already.
    pub async fn forget(self: &Arc<Self>, by: &Asker, entries: Vec<LinkEntry>) -> Result<Vec<LinkEntry>, HubError> {
        let mut removed = Vec::new();
        for entry in entries {
            if self.forget_one(by, &entry).await? {
                removed.push(entry);
            }
        }
        if removed.is_empty() {
            return Err(HubError::NoSuchLink("no link has this id; list the links of this instance anew".to_owned()));
        }
        Ok(removed)
    }

    async fn forget_one(self: &Arc<Self>, by: &Asker, entry: &LinkEntry) -> Result<bool, HubError> {
        let Some(owner) = self.store.user(&entry.owner).await? else { return Ok(false) };
        let links = self.store.links(owner.id).await?;
        let Some(link) = links.into_iter().find(|link| link.id == entry.id) else { return Ok(false) };
        self.leaves(owner.id, link.id);
        let removed = self.store.remove_link(owner.id, link.id, self.act(Act::LinkRemove, by, &link)).await;
        if !matches!(removed, Ok(true)) {
            self.stays(owner.id, link.id);
        }
        let removed = removed?;
        if removed {
            self.drop_link(owner.id, link.id);
            self.keeper.look();
            self.leave_later(*by, Arc::new(link));
        }
        Ok(removed)
    }

    /// Lets go of every connection of a user who was removed; their links went with them.
    pub fn forget_user(&self, user: UserId) {
        self.cache.close_user(user);
        self.sessions.forget_user(user);
        self.tracks.forget_user(user);
        self.keeper.look();
        self.look_at_calls();
    }

    fn link_record(
        &self,
        asker: &Asker,
        invite: &Invite,
        name: Name,
        former: Option<&LinkRecord>,
        enrolled: Enrolled,
    ) -> Result<LinkRecord, HubError> {
        let Enrolled { certificate, leaf, key, words, waits, .. } = enrolled;
        let context = key_context(asker.user, invite.grant);
        let sealed = self.kek.seal(&context, key.key_pkcs8.expose());
        Ok(LinkRecord {
            id: invite.grant,
            name,
            owner: asker.user,
            peer: invite.instance,
            peer_name: invite.instance_name.clone(),
            addresses: invite.addresses.clone(),
            tls_name: invite.tls_name.clone(),
            root: invite.root.clone(),
            certificate,
            certificate_not_after: leaf.leaf.not_after,
            sealed_key: sealed.map_err(|error| HubError::Key(error.to_string()))?,
            next: None,
            offer: invite.offer.clone(),
            words: waits.then(|| words.to_string()),
            made_of: Some(MadeOf { invite: invite.digest(), key: key.spki, words: words.to_string() }),
            end: None,
            added_at: former.map_or_else(|| self.world.now(), |former| former.added_at),
        })
    }

    fn act(&self, act: Act, by: &Asker, link: &LinkRecord) -> Record {
        let record = Record::act(self.world.now(), act, by.user, by.request);
        Record { grant: Some(link.id), peer: Some(link.peer), ..record }.noting(link.name.as_str())
    }

    /// What calls have told since this daemon started, or what was remembered of the link's end before.
    fn health_of(&self, link: &LinkRecord) -> Health {
        let health = self.sessions.health(link.owner, link.id);
        match link.end {
            Some(end) if health.state != LinkState::Revoked && self.is_known_to_have_ended(link) => Health::ended(end),
            Some(end) => Health { last_success: health.last_success.or(end.last_answer), ..health },
            None => health,
        }
    }

    pub(crate) fn status_of(&self, link: &LinkRecord) -> LinkStatus {
        let Health { state, last_success, last_failure } = self.health_of(link);
        let over = self.is_over(link).then(|| Failure::expired(link, self.is_called(link.owner, link.id)));
        let (is_over, at) = (over.is_some(), link.certificate_not_after);
        let over = over.map(|over| LastFailure { at, outcome: over.outcome, reason: over.reason, proxy: None });
        let last_failure = over.or(last_failure);
        let renewal = self.watch.status(link, self.world.now());
        let state = match state {
            _ if is_over => LinkState::Expired,
            LinkState::Unknown | LinkState::Up if link.words.is_some() && last_success.is_none() => LinkState::Waiting,
            LinkState::Unknown | LinkState::Up if renewal.failure.is_some() => LinkState::Degraded,
            state => state,
        };
        let words = link.words.clone().filter(|_| state == LinkState::Waiting);
        let session = self.keeper.status(link);
        let Summary { circuit, latency, clock_offset_ms } = self.tracks.summary(link);
        LinkStatus {
            id: link.id,
            name: link.name.clone(),
            peer: link.peer,
            peer_name: link.peer_name.clone(),
            addresses: link.addresses.clone(),
            calls: self.is_called(link.owner, link.id),
            offer: link.offer.clone(),
            added_at: link.added_at,
            waits: words.as_ref().map(|words| unconfirmed(link, words)),
            words,
            certificate_not_after: link.certificate_not_after,
            renewal,
            state,
            last_success,
            last_failure,
            clock_offset_ms: session.as_ref().and_then(|session| session.clock_offset_ms).or(clock_offset_ms),
            session,
            terms: self.tracks.known(link).terms().cloned(),
            circuit,
            latency,
        }
    }
}

/// Whether a link was made of this invite.
fn is_of(link: &LinkRecord, invite: &Invite) -> bool {
    link.made_of.as_ref().is_some_and(|made| made.invite == invite.digest())
}

/// How the other side is told where nobody waits for it, and what stays there if it cannot be.
fn told_later(link: &LinkRecord, patience: Duration) -> String {
    format!(
        "it is told once, in the background, for {} s at most while this daemon runs, and not again; if it is away, the grant there \
         stays until it ends by itself or its owner ends it: `mosaic-fed grant revoke {}` there. `unlink` without `--now` says whether it was told",
        patience.as_secs(),
        link.offer.grant_name
    )
}

/// What stays at a side that did not let the link in.
fn never_told(link: &LinkRecord) -> String {
    format!(
        "the owner of {} had not let it in, and its word is not taken there; the grant waits on until they end it: \
         `mosaic-fed grant revoke {}` there",
        link.peer_name, link.offer.grant_name
    )
}

/// A fresh invite may only renew what is there: whoever can write an invite must not be able to move somebody's link.
fn same_link(former: &LinkRecord, invite: &Invite, name: Option<&Name>) -> Result<Name, HubError> {
    let known = &former.name;
    if former.peer != invite.instance || former.root != invite.root {
        return Err(HubError::OtherLink(format!(
            "this invite is for the grant of your link `{known}`, but from another instance or with another root; ask its \
             owner what happened, and unlink `{known}` first if that is meant"
        )));
    }
    match name {
        Some(name) if name != known && former.end.is_some() => Err(HubError::Name(format!(
            "this invite is of a grant that was linked as `{known}` and has ended, which nothing brings back: ask the owner of {} for a new \
             one; `mosaic-fed unlink {known}` removes what is left of it here",
            invite.instance_name
        ))),
        Some(name) if name != known => Err(HubError::Name(format!(
            "this grant is linked as `{known}` already; with the name left out, an invite that was not used yet gives it a new \
             certificate: the owner of {} makes a fresh one with `mosaic-fed grant invite {}` there",
            invite.instance_name, invite.offer.grant_name
        ))),
        _ => Ok(known.clone()),
    }
}

/// A refused invite of a grant that is linked already says so: its link is as good as before.
fn staying(error: HubError, former: Option<&LinkRecord>) -> HubError {
    let HubError::Refused { said, reason } = error else { return error };
    let said = match (former, said.rsplit_once("; ")) {
        (Some(former), Some((cause, next))) => {
            format!("{cause}; this grant is linked as `{}` already, which stays as it is; {next}", former.name)
        }
        _ => said,
    };
    HubError::Refused { said, reason }
}

pub(crate) fn free_name(links: &[LinkRecord], name: Name) -> Result<Name, HubError> {
    if !may_name_a_link(&name) {
        return Err(HubError::Name(format!("a link cannot be called `{name}`; give it another name")));
    }
    if links.iter().any(|link| link.name == name) {
        return Err(HubError::Name(format!(
            "you have a link called `{name}`; give this one another name with --name, or end that one first with \
             `mosaic-fed unlink {name}`"
        )));
    }
    Ok(name)
}
