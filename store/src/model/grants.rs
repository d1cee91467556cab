//! Grants and invites.

use super::{Kept, Model, Refused, State};
use crate::{Enrolled, Enrolment, GrantView, Grants, Held, NewInvite, News, Standing, StoreError, rules};
use async_trait::async_trait;
use domain::{
    Time,
    audit::Record,
    grant::{Grant, Leaf, State as Stage},
    id::{GrantId, InviteId, Serial, Spki, UserId},
    invite::{Claimant, Invited},
    renewal::Successor,
    scope::Scope,
};

#[async_trait]
impl Grants for Model {
    async fn grants_version(&self) -> Result<u64, StoreError> {
        Ok(self.state().version)
    }

    async fn standing(&self, known: Option<u64>) -> Result<Standing, StoreError> {
        let (state, now) = (self.state(), self.world.now());
        let since = known.filter(|known| *known <= state.version);
        let held = |kept: &Kept| match kept.grant.state {
            Stage::Revoked => Held::Ended(kept.grant.generation),
            _ => Held::Stands(Box::new(kept.grant.clone())),
        };
        let told = state.grants.iter().filter(|(_, kept)| since.is_none_or(|since| kept.moved > since));
        let told = told.map(|(id, kept)| (*id, held(kept)));
        let refused = state.refused.iter().filter(|kept| kept.leaf.not_after > now);
        let refused = refused.filter(|kept| since.is_none_or(|since| kept.moved > since)).map(|kept| &kept.leaf);
        let keys = state.revoked_keys.keys().map(|key| (*key, true)).collect();
        let (grants, refused) = (told.collect(), refused.cloned().collect());
        Ok(Standing { version: state.version, since, grants, refused, keys })
    }

    async fn refused_leaves(&self) -> Result<Vec<(Leaf, Time)>, StoreError> {
        let now = self.world.now();
        let (state, live) = (self.state(), |kept: &&Refused| kept.leaf.not_after > now);
        Ok(state.refused.iter().filter(live).map(|kept| (kept.leaf.clone(), kept.at)).collect())
    }

    async fn grants_changed(&self) -> News {
        self.heard.changed().await
    }

    async fn grants(&self) -> Result<Vec<GrantView>, StoreError> {
        let state = self.state();
        let view = |kept: &Kept| GrantView {
            grant: kept.grant.clone(),
            subject_name: kept.subject_name.clone(),
            peer_name: kept.peer_name.clone(),
            handed: state.handed(kept.grant.id),
            invite: state.last_invite(kept.grant.id),
            invite_tampered: false,
            created_at: kept.created_at,
            doubt: None,
        };
        let mut views: Vec<_> = state.grants.values().map(view).collect();
        views.sort_by_key(|view| std::cmp::Reverse((view.created_at, view.grant.id)));
        Ok(views)
    }

    async fn create_grant(&self, grant: &Grant, record: Record) -> Result<(), StoreError> {
        let now = self.world.now();
        self.change(|state| {
            state.name_is_free(grant, now)?;
            state.is_within_ceiling(grant, now)?;
            if state.grants.contains_key(&grant.id) {
                return Err(rules::grant_id_taken(grant.id));
            }
            let subject_name = state.user_name(grant.subject).ok_or_else(|| rules::no_subject(grant.subject))?;
            if !state.workspaces.values().any(|id| *id == grant.workspace) {
                return Err(rules::no_workspace_id(grant.workspace));
            }
            state.version += 1;
            let moved = state.version;
            let kept = Kept { grant: grant.clone(), subject_name, peer_name: None, created_at: now, moved };
            state.grants.insert(grant.id, kept);
            Ok(((), vec![record]))
        })
    }

    async fn edit_grant(
        &self,
        grant: GrantId,
        generation: u64,
        scope: &Scope,
        record: Record,
    ) -> Result<Grant, StoreError> {
        let now = self.world.now();
        self.change(|state| {
            let found = state.grant(grant)?;
            let edited = rules::edited(&found, generation, scope, now)?;
            state.name_is_free(&edited, now)?;
            state.is_within_ceiling(&edited, now)?;
            state.update(&edited);
            Ok((edited, vec![record]))
        })
    }

    async fn revoke_grant(&self, grant: GrantId, record: Record) -> Result<Grant, StoreError> {
        let now = self.world.now();
        self.change(|state| {
            let found = state.grant(grant)?;
            Ok((state.revoke(&found, now)?, vec![record]))
        })
    }

    async fn create_invite(&self, invite: &NewInvite, record: Record) -> Result<(), StoreError> {
        self.new_invite(invite, record)
    }

    async fn invited(&self, digest: &[u8; 32]) -> Result<Option<Invited>, StoreError> {
        self.invite_of(digest)
    }

    async fn claim_invite(
        &self,
        invite: InviteId,
        by: Claimant,
        now: Time,
        record: Record,
    ) -> Result<bool, StoreError> {
        self.claim(invite, by, now, record)
    }

    async fn enrol_grant(&self, enrolment: Enrolment<'_>, record: Record) -> Result<Enrolled, StoreError> {
        self.enrol(enrolment, record)
    }

    async fn let_in(&self, grant: GrantId, key: Spki, record: Record) -> Result<Grant, StoreError> {
        self.admit(grant, key, record)
    }

    async fn wrong_words(&self, grant: GrantId, record: Record) -> Result<u32, StoreError> {
        self.count_wrong(grant, record)
    }

    async fn renew_grant(
        &self,
        grant: GrantId,
        serial: &Serial,
        successor: &Successor,
        record: Record,
    ) -> Result<Grant, StoreError> {
        let now = self.world.now();
        self.change(|state| {
            state.is_no_revoked(successor.leaf.spki)?;
            let found = state.grant(grant)?;
            let renewed = rules::renewed(&found, serial, successor)?;
            if let Some(unused) = found.successor {
                state.refuse(unused.leaf, now);
            }
            state.update(&renewed);
            let invite = state.handed(grant).map(|handed| handed.invite);
            state.grant_keys.insert((grant, successor.leaf.spki), invite);
            Ok((renewed, vec![record]))
        })
    }

    async fn confirm_leaf(&self, grant: GrantId, serial: &Serial, record: Record) -> Result<bool, StoreError> {
        let now = self.world.now();
        self.change(|state| {
            let found = state.grant(grant)?;
            let Some(confirmed) = rules::confirmed(&found, serial, now) else { return Ok((false, Vec::new())) };
            if let Some(former) = found.former {
                state.refuse(former.leaf, now);
            }
            state.update(&confirmed);
            Ok((true, vec![record]))
        })
    }

    async fn last_invite_end(&self) -> Result<Option<Time>, StoreError> {
        self.last_end()
    }
}

impl State {
    pub(super) fn grant(&self, id: GrantId) -> Result<Grant, StoreError> {
        self.grants.get(&id).map(|kept| kept.grant.clone()).ok_or_else(|| rules::no_grant(id))
    }

    fn name_is_free(&self, grant: &Grant, now: Time) -> Result<(), StoreError> {
        let clash = |other: &Grant| {
            other.id != grant.id && other.name == grant.name && other.state != Stage::Revoked && !other.has_expired(now)
        };
        let taken = !grant.has_expired(now) && self.grants.values().any(|kept| clash(&kept.grant));
        if taken { Err(rules::grant_name_taken(&grant.name)) } else { Ok(()) }
    }

    pub(super) fn update(&mut self, grant: &Grant) {
        if let Some(kept) = self.grants.get_mut(&grant.id) {
            self.version += 1;
            kept.grant = grant.clone();
            kept.moved = self.version;
        }
    }

    pub(super) fn revoke(&mut self, grant: &Grant, now: Time) -> Result<Grant, StoreError> {
        let revoked = grant.revoke().map_err(|cause| rules::illegal_move(grant, cause))?;
        grant.leaves().for_each(|leaf| self.refuse(leaf.clone(), now));
        self.end_invites(grant.id, now);
        self.update(&revoked);
        Ok(revoked)
    }

    pub(super) fn revoke_all(&mut self, subject: UserId, now: Time) -> Result<Vec<Grant>, StoreError> {
        let live = |grant: &&Grant| grant.subject == subject && grant.state != Stage::Revoked;
        let found: Vec<_> = self.grants.values().map(|kept| &kept.grant).filter(live).cloned().collect();
        found.iter().map(|grant| self.revoke(grant, now)).collect()
    }

    pub(super) fn refuse(&mut self, leaf: Leaf, now: Time) {
        self.refused.retain(|kept| kept.leaf.not_after > now);
        self.version += 1;
        self.refused.push(Refused { leaf, at: now, moved: self.version });
    }
}
