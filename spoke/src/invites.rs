//! Invites: what an owner hands over, and the one use of it that turns it into a certificate.
//!
//! An invite is claimed for a key before anything is signed. Whoever holds that key may ask again until the answer has arrived, so
//! that nothing is lost wherever this stops: between claim and certificate another one is issued, and once one is stored it is that
//! one which is given again. Nobody else gets anything.

use crate::{
    AdminError, By, Created, Spoke,
    connect::Links,
    listeners::Addresses,
    reach::Reach,
    road::gate::{Answer, from_store},
    told,
};
use domain::{
    Caller, Permitted, Reason, Refusal, Time,
    audit::{Act, Ending, Record},
    calling::Calling,
    grant::{EndedBy, Grant, Leaf, State},
    id::{GrantId, InviteId, Name, RequestId, Spki},
    invite::{BOUND_LIFE, Claimant, Invite, Invited, OPEN_LIFE, Offer, Token},
    operation::Enroll,
    secret::Secret,
    wire,
    words::{Added, Words},
};
use pki::{CheckedCsr, GrantOrder, Issued};
use proto::v1::{self, enrol_service_server::EnrolService};
use std::time::Duration;
use store::{Enrolled, Enrolment, GrantView, Handed, NewInvite, StoreError, halt};
use tonic::{Request, Response, Status};

/// After this long a commit whose answer was lost has come to its end.
const SETTLED: Duration = Duration::from_secs(10);

/// Who may use an invite.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// The holder of this key alone; else whoever comes first.
    pub key: Option<Spki>,
    /// Whether they wait until the owner typed the words that they see.
    pub confirm: bool,
}

/// How whoever is invited comes to the door.
#[derive(Clone, Copy)]
pub(crate) enum Way<'a> {
    /// They dial this instance.
    Dials,
    /// This instance calls them, where they wait.
    Calls(&'a Calling),
}

impl Way<'_> {
    /// Until when an invite may be used. One that is brought to whoever has a secret is of use to nobody else, and lives as long as they wait.
    fn end(self, now: Time, terms: &Terms) -> Time {
        match self {
            Self::Dials => now + if terms.key.is_some() { BOUND_LIFE } else { OPEN_LIFE },
            Self::Calls(calling) => calling.expires_at.min(now + BOUND_LIFE),
        }
    }
}

/// After so many times of other words the grant ends.
pub const WRONG_WORDS: u32 = 3;

impl Spoke {
    /// The words of whoever enrolled under a grant; none before that.
    pub fn words(&self, view: &GrantView) -> Option<Words> {
        let Handed { invite, key, nonce, .. } = view.handed?;
        let added = Added { opening: self.parts.trust.opening(invite), nonce: nonce? };
        Some(Words::of(self.parts.authority.anchor_der(), key, view.grant.id, added))
    }

    /// Lets in whoever waits, if these are their words; at the third time of others the grant ends. What cannot be anybody's words is
    /// no try.
    pub async fn confirm(&self, by: By, id: GrantId, typed: &[String]) -> Result<Grant, AdminError> {
        let typed = Words::read(typed).map_err(|slip| AdminError::Invalid(slip.to_string()))?;
        let view = self.view(id).await?;
        view.trust_invite()?;
        let name = &view.grant.name;
        let (true, Some(handed), Some(words)) = (view.grant.waits(), view.handed, self.words(&view)) else {
            return Err(waits_not(&view));
        };
        // Also where a crash came between the third time and the end.
        if handed.wrong_words >= WRONG_WORDS {
            self.revoke_for(by, id, EndedBy::Words).await?;
            return Err(other_words(name, handed.wrong_words));
        }
        if words == typed {
            let record = self.act(Act::GrantConfirm, by, id).noting(&format!("the words of key {}", handed.key));
            let grant = self.parts.store.let_in(id, handed.key, record).await?;
            self.snapshots.refresh_after_change().await;
            return Ok(grant);
        }
        let record = self.act(Act::GrantConfirm, by, id);
        let record = Record { ending: Ending::Refused, ..record }.noting("other words");
        let times = self.parts.store.wrong_words(id, record).await?;
        if times >= WRONG_WORDS {
            self.revoke_for(by, id, EndedBy::Words).await?;
        }
        Err(other_words(name, times))
    }

    /// Makes a fresh invite for a grant that anybody may use once; earlier ones stop working.
    pub async fn invite(&self, by: By, id: GrantId) -> Result<Created, AdminError> {
        self.invite_on(by, id, Terms::default()).await
    }

    /// Makes a fresh invite for a grant; earlier ones stop working. Who was called before dials from now on.
    pub async fn invite_on(&self, by: By, id: GrantId, terms: Terms) -> Result<Created, AdminError> {
        self.invite_by(by, id, terms, Way::Dials).await
    }

    pub(crate) async fn invite_by(
        &self,
        by: By,
        id: GrantId,
        terms: Terms,
        way: Way<'_>,
    ) -> Result<Created, AdminError> {
        let view = self.view(id).await?;
        let (grant, now) = (view.grant, self.parts.world.now());
        if grant.state == State::Revoked || grant.has_expired(now) {
            let standing = grant.standing(now);
            return Err(AdminError::Conflict(format!(
                "grant {} is {standing}; make a new one: `mosaic-fed invite NAME --share KINDS`",
                grant.name
            )));
        }
        self.clock.check()?;
        self.is_no_revoked(terms.key)?;
        let (addresses, reach) = match way {
            Way::Dials => {
                let named = self.listeners.open_for_invite().await?;
                let reach = self.reach_at(&named).await;
                (Addresses { links: reach.order(named.links), enrolment: reach.order(named.enrolment) }, reach)
            }
            Way::Calls(Calling { addresses, .. }) => {
                (Addresses { links: addresses.clone(), enrolment: addresses.clone() }, Reach::default())
            }
        };
        let token = Token::generate(&self.parts.world);
        let invite = NewInvite {
            id: InviteId(self.parts.world.uuid()),
            grant: id,
            digest: token.digest(),
            expires_at: way.end(self.parts.world.now(), &terms),
            key: terms.key,
            confirm: terms.confirm,
        };
        let record = self.act(Act::InviteCreate, by, id).noting(&made(&invite));
        self.parts.store.create_invite(&invite, record).await?;
        if matches!(way, Way::Dials) {
            // Only now: an invite that could not be made takes nothing from whoever is called.
            self.calls.forget(id).await?;
            self.listeners.follow_invites();
        }
        let rows = self.parts.store.count(&grant).await?;
        let text = Invite {
            token: Secret::new(token.expose()),
            addresses: addresses.links.clone(),
            enrol_addresses: addresses.enrolment,
            tls_name: pki::spiffe::tls_name(self.parts.instance),
            root: self.parts.authority.anchor_der().to_vec(),
            instance: self.parts.instance,
            instance_name: self.parts.name.clone(),
            grant: id,
            offer: offer(&grant, view.subject_name),
            expires_at: invite.expires_at,
            commitment: self.parts.trust.opening(invite.id).commitment(),
            key: terms.key,
        }
        .encode();
        let invite_text = Secret::new(text);
        Ok(Created {
            grant,
            id: invite.id,
            invite: invite_text,
            terms,
            expires_at: invite.expires_at,
            addresses: addresses.links,
            rows,
            lost: Vec::new(),
            reach,
        })
    }
}

/// That words were others, for the how-manieth time: how often it may be tried yet, or that the grant has ended.
fn other_words(grant: &Name, times: u32) -> AdminError {
    let cause = "these are not the four words that the other side shows, and nobody was let in";
    let stolen = "somebody else may have used the invite";
    AdminError::Conflict(match WRONG_WORDS.saturating_sub(times) {
        0 => format!(
            "{cause}: it was the third time, so grant {grant} has ended now, and {stolen}; find out with its holder what happened to it, \
             then see `mosaic-fed grant show {grant}`"
        ),
        left => format!(
            "{cause}: {left} more {} left, then the grant ends; let them be read to you once more, and if they stay others {stolen}: \
             `mosaic-fed grant confirm {grant} WORD WORD WORD WORD`",
            if left == 1 { "try is" } else { "tries are" }
        ),
    })
}

/// Why nobody waits to be let in.
fn waits_not(view: &GrantView) -> AdminError {
    let name = &view.grant.name;
    let why = match (view.grant.state, &view.peer_name) {
        (State::Pending, _) if view.grant.leaf.is_none() => {
            "nobody has used its invite yet: whoever does sees four words, and reads them to you".to_owned()
        }
        (State::Active, Some(holder)) => format!("its holder {holder} is let in already"),
        _ => "it stands otherwise".to_owned(),
    };
    AdminError::Conflict(format!(
        "grant {name} does not wait to be confirmed, {why}; see `mosaic-fed grant show {name}`"
    ))
}

fn made(invite: &NewInvite) -> String {
    invite
        .key
        .map_or_else(|| format!("invite {}", invite.id), |key| format!("invite {} for key {key} alone", invite.id))
}

fn offer(grant: &Grant, subject: Name) -> Offer {
    Offer {
        grant_name: grant.name.clone(),
        workspace: grant.scope.workspace().clone(),
        resources: grant.scope.resources().map(|(name, _)| name.to_string()).collect(),
        subject,
        not_after: grant.scope.not_after(),
    }
}

#[tonic::async_trait]
impl EnrolService for Links {
    async fn enroll(&self, request: Request<v1::EnrollRequest>) -> Result<Response<v1::EnrollResponse>, Status> {
        let (finder, room, now, call) = (self.clone(), self.clone(), self.world.now(), self.call(&request));
        let convert = |wire| {
            let (token, operation) = wire::enroll(wire, now)?;
            let by = Claimant { key: request_of(&operation)?.spki(), nonce: operation.nonce };
            Ok(((token, by), operation))
        };
        let find = |(token, by): (Token, _)| async move { Caller::invited(finder.invited(&token).await?, by, now) };
        let handle = |permit: Permitted<Enroll>| async move { room.admit(&permit, call).await };
        self.gate.enrol(request, convert, find, handle).await
    }
}

impl Links {
    /// Gives the certificate that was stored for this claim, or claims, signs and stores one.
    async fn admit(&self, permit: &Permitted<Enroll>, call: RequestId) -> Result<Answer<v1::EnrollResponse>, Refusal> {
        let (operation, invited) = (permit.operation(), permit.ground());
        if operation.instance == self.instance {
            return Err(Refusal::malformed("instance_id", "that is this instance, which needs no grant of its own"));
        }
        let key = request_of(operation)?.spki();
        if self.snapshots.is_revoked(key) {
            return Err(Refusal::new(Reason::InviteSpent).because(format!("the key {key} was revoked")));
        }
        if let Some(given) = invited.claim.as_ref().and_then(|claim| claim.given.clone()) {
            return Ok(self.answer(invited.id, Enrolled { grant: invited.grant.clone(), given }));
        }
        let csr = request_of(operation)?;
        self.claim(invited, operation, &csr, call).await?;
        halt::at("invite claimed").await;
        let issued = self.issue(&invited.grant, operation, csr).await?;
        halt::at("certificate issued").await;
        let enrolled = match self.enrol(invited, operation, &issued, call).await {
            Ok(enrolled) => enrolled,
            Err(error) => {
                self.never_given(invited.grant.id, issued.leaf);
                return Err(not_stored(error));
            }
        };
        halt::at("enrolment stored").await;
        self.snapshots.refresh_after_change().await;
        // Another attempt with the same key may have been quicker: then it is that one's certificate which was stored.
        let stored = |leaf: &&Leaf| enrolled.grant.leaf_with(&leaf.serial).is_some();
        told::never_stored(&self.authority, &self.tasks, Some(&issued.leaf).into_iter().filter(|leaf| !stored(leaf)));
        Ok(self.answer(invited.id, enrolled))
    }

    /// Only now that key and nonce of whoever asks are stored do they learn what this side adds to the words.
    fn answer(&self, invite: InviteId, enrolled: Enrolled) -> Answer<v1::EnrollResponse> {
        let Enrolled { grant, given } = enrolled;
        let message = v1::EnrollResponse {
            grant_id: grant.id.to_string(),
            confirm: grant.waits(),
            certificate_not_after: grant.leaf_with(&given.serial).map(|leaf| wire::timestamp(leaf.not_after)),
            certificate: given.certificate,
            words_opening: self.trust.opening(invite).0.to_vec(),
        };
        Answer { message, rows: 0 }
    }

    /// The invite of this token. What is not as it was written, or of a grant that had come further already, is of use to nobody: a
    /// database that was put back brings back no invite to what ended since.
    async fn invited(&self, token: &Token) -> Result<Option<Invited>, Refusal> {
        self.store.invited(&token.digest()).await.map_err(not_stored)
    }

    /// Before anything is signed: for this key, whoever else may come.
    async fn claim(
        &self,
        invited: &Invited,
        operation: &Enroll,
        csr: &CheckedCsr,
        call: RequestId,
    ) -> Result<(), Refusal> {
        let note = format!("invite {} for key {}", invited.id, csr.spki());
        let record = self.record(&invited.grant, Some(operation.instance), Act::InviteClaim, call).noting(&note);
        let by = Claimant { key: csr.spki(), nonce: operation.nonce };
        let claimed = self.store.claim_invite(invited.id, by, operation.at, record).await.map_err(not_stored)?;
        if claimed { Ok(()) } else { Err(Refusal::new(Reason::InviteSpent).because("another key was first")) }
    }

    /// A certificate that is not the grant's was given to nobody, and the CA is told. Whether a commit arrived whose answer did
    /// not come shows a moment later.
    fn never_given(&self, grant: GrantId, leaf: Leaf) {
        let (room, stop) = (self.clone(), self.stop.clone());
        let told = async move {
            loop {
                tokio::time::sleep(SETTLED).await;
                if room.snapshots.refresh().await.is_ok() {
                    break;
                }
            }
            let current = room.snapshots.current();
            if current.grant(grant).is_none_or(|grant| grant.leaf_with(&leaf.serial).is_none()) {
                told::never_stored(&room.authority, &room.tasks, std::iter::once(&leaf));
            }
        };
        self.tasks.spawn(stop.run_until_cancelled_owned(told));
    }

    async fn issue(&self, grant: &Grant, operation: &Enroll, csr: CheckedCsr) -> Result<Issued, Refusal> {
        let order = GrantOrder {
            holder: operation.instance,
            grant: grant.id,
            subject: grant.subject,
            csr,
            now: operation.at,
            life: self.life,
        };
        self.authority.issue_grant(&order).await.map_err(|error| {
            let refusal = Refusal::new(Reason::StoreUnavailable).because(error.to_string());
            refusal.saying("the certificate could not be issued; try again with the same invite and the same key")
        })
    }

    async fn enrol(
        &self,
        invited: &Invited,
        operation: &Enroll,
        issued: &Issued,
        call: RequestId,
    ) -> Result<Enrolled, StoreError> {
        let Issued { certificate, leaf } = issued;
        let (peer, peer_name) = (operation.instance, &operation.name);
        let record = self.record(&invited.grant, Some(peer), Act::Certificate, call);
        let record = record.noting(&format!("serial {}", leaf.serial));
        let enrolment = Enrolment { invite: invited.id, peer, peer_name, leaf, certificate };
        self.store.enrol_grant(enrolment, record).await
    }
}

fn request_of(operation: &Enroll) -> Result<CheckedCsr, Refusal> {
    CheckedCsr::parse(&operation.csr).map_err(|flaw| Refusal::malformed("csr", flaw.to_string()))
}

/// The grant ended or changed hands meanwhile, or somebody else wrote it, which stays so; anything else may be over soon.
fn not_stored(error: StoreError) -> Refusal {
    match error {
        StoreError::Conflict(cause) | StoreError::Missing(cause) => Refusal::new(Reason::InviteSpent).because(cause),
        other => from_store(other),
    }
}
