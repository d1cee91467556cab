//! Invites.

use super::{Model, State};
use crate::{Enrolled, Enrolment, Handed, LastInvite, NewInvite, StoreError, rules};
use domain::{
    Time,
    audit::Record,
    grant::Grant,
    id::{GrantId, InviteId, Spki},
    invite::{Claim, Claimant, Given, Invited, KeptInvite, Standing},
};

impl Model {
    pub(super) fn new_invite(&self, invite: &NewInvite, record: Record) -> Result<(), StoreError> {
        let now = self.world.now();
        self.change(|state| {
            rules::has_not_ended(&state.grant(invite.grant)?, now)?;
            if let Some(key) = invite.key {
                state.is_no_revoked(key)?;
            }
            state.end_invites(invite.grant, now);
            let taken = state.invites.iter().any(|(id, kept)| *id == invite.id || kept.digest == invite.digest);
            if taken {
                return Err(rules::invite_taken());
            }
            let NewInvite { id, grant, digest, expires_at, key, .. } = *invite;
            let confirm = invite.confirm || state.invites.values().any(|kept| kept.grant == grant && kept.confirm);
            let kept = KeptInvite { id, grant, digest, expires_at, key, confirm, wrong_words: 0, claim: None };
            state.invites.insert(id, kept);
            Ok(((), vec![record]))
        })
    }

    pub(super) fn invite_of(&self, digest: &[u8; 32]) -> Result<Option<Invited>, StoreError> {
        let state = self.state();
        let found = state.invites.iter().find(|(_, kept)| kept.digest == *digest);
        found.map(|(id, _)| state.invited(*id)).transpose().map(Option::flatten)
    }

    pub(super) fn claim(&self, invite: InviteId, by: Claimant, now: Time, record: Record) -> Result<bool, StoreError> {
        self.change(|state| {
            state.is_no_revoked(by.key)?;
            let found = state.invited(invite)?;
            let open = found.as_ref().is_some_and(|found| found.standing(by, now) == Standing::Open);
            match state.invites.get_mut(&invite).filter(|kept| open && kept.claim.is_none()) {
                Some(kept) => {
                    kept.claim = Some(Claim { key: by.key, nonce: Some(by.nonce), at: now, given: None });
                    Ok((true, vec![record]))
                }
                None => Ok((open, Vec::new())),
            }
        })
    }

    pub(super) fn enrol(&self, enrolment: Enrolment<'_>, record: Record) -> Result<Enrolled, StoreError> {
        let now = self.world.now();
        let Enrolment { invite, peer_name, leaf, certificate, .. } = enrolment;
        self.change(|state| {
            state.is_no_revoked(leaf.spki)?;
            let invited = state.invited(invite)?.ok_or_else(|| rules::no_invite(invite))?;
            let Some(held) = rules::enrolled(&invited, &enrolment, now)? else {
                let given = invited.claim.and_then(|claim| claim.given).ok_or_else(|| rules::no_invite(invite))?;
                return Ok((Enrolled { grant: invited.grant, given }, Vec::new()));
            };
            rules::over(&invited.grant, &held).for_each(|old| state.refuse(old.clone(), now));
            state.update(&held);
            if let Some(kept) = state.grants.get_mut(&held.id) {
                kept.peer_name = Some(peer_name.clone());
            }
            let given = Given { serial: leaf.serial.clone(), certificate: certificate.to_vec() };
            if let Some(claim) = state.invites.get_mut(&invite).and_then(|kept| kept.claim.as_mut()) {
                claim.given = Some(given.clone());
            }
            Ok((Enrolled { grant: held, given }, vec![record]))
        })
    }

    pub(super) fn admit(&self, grant: GrantId, key: Spki, record: Record) -> Result<Grant, StoreError> {
        let now = self.world.now();
        self.change(|state| {
            state.is_no_revoked(key)?;
            let found = state.grant(grant)?;
            let admitted = rules::let_in(&found, state.given(grant).map(|(kept, _)| kept), key)?;
            rules::over(&found, &admitted).for_each(|old| state.refuse(old.clone(), now));
            state.update(&admitted);
            Ok((admitted, vec![record]))
        })
    }

    pub(super) fn count_wrong(&self, grant: GrantId, record: Record) -> Result<u32, StoreError> {
        self.change(|state| {
            let found = state.grant(grant)?;
            let handed = state.given(grant).map(|(kept, _)| kept.id).ok_or_else(|| rules::does_not_wait(&found))?;
            let kept = state.invites.get_mut(&handed).ok_or_else(|| rules::does_not_wait(&found))?;
            kept.wrong_words += 1;
            Ok((kept.wrong_words, vec![record]))
        })
    }

    pub(super) fn last_end(&self) -> Result<Option<Time>, StoreError> {
        let state = self.state();
        let dials = |kept: &&KeptInvite| !state.grant_calls.contains_key(&kept.grant);
        let all: Vec<_> = state
            .invites
            .values()
            .filter(dials)
            .map(|kept| &kept.id)
            .map(|id| state.invited(*id))
            .collect::<Result<_, _>>()?;
        Ok(all.iter().flatten().map(Invited::last_use).max())
    }
}

impl State {
    /// The invite whose certificate a grant was given last, with its claim.
    fn given(&self, grant: GrantId) -> Option<(&KeptInvite, &Claim)> {
        let own = self.invites.values().filter(|kept| kept.grant == grant);
        let claims = own.filter_map(|kept| Some((kept, kept.claim.as_ref().filter(|claim| claim.given.is_some())?)));
        claims.max_by_key(|(_, claim)| claim.at)
    }

    pub(super) fn handed(&self, grant: GrantId) -> Option<Handed> {
        let (kept, claim) = self.given(grant)?;
        let (KeptInvite { id, confirm, wrong_words, .. }, Claim { key, nonce, .. }) = (kept, claim);
        Some(Handed { invite: *id, key: *key, nonce: *nonce, confirm: *confirm, wrong_words: *wrong_words })
    }

    pub(super) fn last_invite(&self, grant: GrantId) -> Option<LastInvite> {
        let kept = self.invites.values().filter(|kept| kept.grant == grant).max_by_key(|kept| kept.expires_at)?;
        let KeptInvite { key, confirm, expires_at, .. } = *kept;
        let used = kept.claim.as_ref().is_some_and(|claim| claim.given.is_some());
        Some(LastInvite { key, confirm, used, expires_at })
    }

    fn invited(&self, id: InviteId) -> Result<Option<Invited>, StoreError> {
        let Some(kept) = self.invites.get(&id) else { return Ok(None) };
        Ok(Some(kept.clone().of(self.grant(kept.grant)?)))
    }

    pub(super) fn end_invites(&mut self, grant: GrantId, now: Time) {
        for kept in self.invites.values_mut().filter(|kept| kept.grant == grant) {
            kept.expires_at = kept.expires_at.min(now);
        }
    }
}
