//! Invites: single use is decided by the database, once, whoever asks. What is not as it was written is of use to nobody.

use super::{
    Postgres,
    change::Change,
    row::{self, serial_number, time},
    sql, unit,
};
use crate::{Enrolled, Enrolment, Handed, LastInvite, NewInvite, StoreError, Trust, rules};
use domain::{
    Time,
    audit::Record,
    grant::Grant,
    id::{GrantId, InviteId, Spki},
    invite::{AGAIN, Claim, Claimant, Given, Invited, KeptInvite, Standing},
    words::Nonce,
};
use sqlx::{Row, postgres::PgRow};
use time::OffsetDateTime;
use uuid::Uuid;

impl Postgres {
    pub(super) async fn new_invite(&self, invite: &NewInvite, record: Record) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        let now = self.clock.now();
        rules::has_not_ended(&change.grant(invite.grant).await?, now)?;
        if let Some(key) = invite.key {
            change.is_no_revoked(key).await?;
        }
        let confirm = change.end_invites(invite.grant, now).await? || invite.confirm;
        let NewInvite { id, grant, digest, expires_at, key, .. } = *invite;
        let invite = KeptInvite { id, grant, digest, expires_at, key, confirm, wrong_words: 0, claim: None };
        let seal = change.trust().seal_invite(&invite);
        let added = sqlx::query(sql::grants::ADD_INVITE)
            .bind(id.0)
            .bind(grant.0)
            .bind(&digest[..])
            .bind(expires_at.to_offset())
            .bind(key.as_ref().map(|key| &key.0[..]))
            .bind(confirm)
            .bind(&seal[..])
            .execute(&mut *change)
            .await?;
        if added.rows_affected() != 1 {
            return Err(rules::invite_taken());
        }
        change.record(&record).await
    }

    /// Looked for twice: the grant may move on between the look at its row and the look at how far it has come.
    pub(super) async fn invite_of(&self, digest: &[u8; 32]) -> Result<Option<Invited>, StoreError> {
        match self.look_for_invite(digest).await {
            Err(StoreError::Conflict(_)) => self.look_for_invite(digest).await,
            found => found,
        }
    }

    async fn look_for_invite(&self, digest: &[u8; 32]) -> Result<Option<Invited>, StoreError> {
        let mut unit = unit::read(&self.door).await?;
        let row = sqlx::query(sql::grants::INVITED).bind(&digest[..]).fetch_optional(&mut *unit).await?;
        unit.end().await?;
        let found = row.map(|row| invited(&row, &self.trust)).transpose()?;
        Ok(found.map(|(_, invited)| invited))
    }

    /// Under the head's lock, so that nobody else claims it between the look and the claim.
    pub(super) async fn claim(
        &self,
        invite: InviteId,
        by: Claimant,
        now: Time,
        record: Record,
    ) -> Result<bool, StoreError> {
        let mut change = self.change().await?;
        change.is_no_revoked(by.key).await?;
        let Some((kept, found)) =
            change.invited(invite).await?.filter(|(_, found)| found.standing(by, now) == Standing::Open)
        else {
            change.abandon().await?;
            return Ok(false);
        };
        if found.claim.is_some() {
            change.abandon().await?;
            return Ok(true);
        }
        let Claimant { key, nonce } = by;
        let claim = Claim { key, nonce: Some(nonce), at: now, given: None };
        change.update_invite(&KeptInvite { claim: Some(claim), ..kept }).await?;
        change.record(&record).await?;
        Ok(true)
    }

    pub(super) async fn enrol(&self, enrolment: Enrolment<'_>, record: Record) -> Result<Enrolled, StoreError> {
        let mut change = self.change().await?;
        let Enrolment { invite, peer_name, leaf, certificate, .. } = enrolment;
        change.is_no_revoked(leaf.spki).await?;
        let (kept, invited) = change.invited(invite).await?.ok_or_else(|| rules::no_invite(invite))?;
        let claim = kept.claim.clone().ok_or_else(|| rules::no_invite(invite));
        let Some(held) = rules::enrolled(&invited, &enrolment, self.clock.now())? else {
            change.abandon().await?;
            let given = claim?.given.ok_or_else(|| rules::no_invite(invite))?;
            return Ok(Enrolled { grant: invited.grant, given });
        };
        let given = Given { serial: leaf.serial.clone(), certificate: certificate.to_vec() };
        change
            .update_invite(&KeptInvite { claim: Some(Claim { given: Some(given.clone()), ..claim? }), ..kept })
            .await?;
        change.refuse_all(rules::over(&invited.grant, &held), self.clock.now()).await?;
        change.update(&held, Some(peer_name)).await?;
        change.seal_held(&held).await?;
        change.record(&record).await?;
        Ok(Enrolled { grant: held, given })
    }

    pub(super) async fn admit(&self, grant: GrantId, key: Spki, record: Record) -> Result<Grant, StoreError> {
        let mut change = self.change().await?;
        change.is_no_revoked(key).await?;
        let found = change.grant(grant).await?;
        let admitted = rules::let_in(&found, change.handed(&found).await?.as_ref(), key)?;
        change.refuse_all(rules::over(&found, &admitted), self.clock.now()).await?;
        change.update(&admitted, None).await?;
        change.record(&record).await?;
        Ok(admitted)
    }

    pub(super) async fn count_wrong(&self, grant: GrantId, record: Record) -> Result<u32, StoreError> {
        let mut change = self.change().await?;
        let found = change.grant(grant).await?;
        let handed = change.handed(&found).await?.ok_or_else(|| rules::does_not_wait(&found))?;
        let wrong_words = handed.wrong_words.saturating_add(1);
        change.update_invite(&KeptInvite { wrong_words, ..handed }).await?;
        change.record(&record).await?;
        Ok(wrong_words)
    }

    pub(super) async fn last_end(&self) -> Result<Option<Time>, StoreError> {
        let mut unit = unit::read(&self.door).await?;
        let end: Option<OffsetDateTime> =
            sqlx::query_scalar(sql::grants::LAST_INVITE_END).bind(AGAIN).fetch_one(&mut *unit).await?;
        unit.end().await?;
        Ok(end.map(Time::from))
    }
}

impl Change {
    /// The invite with its grant, locked until the end.
    async fn invited(&mut self, invite: InviteId) -> Result<Option<(KeptInvite, Invited)>, StoreError> {
        let row = sqlx::query(sql::grants::INVITED_BY_ID).bind(invite.0).fetch_optional(&mut **self).await?;
        row.map(|row| invited(&row, self.trust())).transpose()
    }

    /// The invite by which a grant came to its holder, locked until the end.
    async fn handed(&mut self, grant: &Grant) -> Result<Option<KeptInvite>, StoreError> {
        let row = sqlx::query(sql::grants::HANDED).bind(grant.id.0).fetch_optional(&mut **self).await?;
        row.map(|row| kept(&row, self.trust())?.ok_or_else(|| rules::invite_tampered(grant))).transpose()
    }

    /// Invites of a grant stop working now, also for whoever would use theirs again. Whether any of them asks for words.
    pub(super) async fn end_invites(&mut self, grant: GrantId, now: Time) -> Result<bool, StoreError> {
        let rows = sqlx::query(sql::grants::INVITES_OF).bind(grant.0).fetch_all(&mut **self).await?;
        let mut confirm = false;
        for row in &rows {
            confirm |= row.try_get::<bool, _>("confirm")?;
            // What is not as it was written works for nobody, and must not keep a grant from being ended.
            if let Ok(Some(invite)) = kept(row, self.trust())
                && invite.expires_at > now
            {
                self.update_invite(&KeptInvite { expires_at: now, ..invite }).await?;
            }
        }
        Ok(confirm)
    }

    /// Invites that are for this key alone stop working now. Whose they are.
    pub(super) async fn end_invites_for(&mut self, key: Spki, now: Time) -> Result<Vec<GrantId>, StoreError> {
        let rows = sqlx::query(sql::grants::INVITES_FOR_KEY).bind(&key.0[..]).bind(now.to_offset());
        let rows = rows.fetch_all(&mut **self).await?;
        let mut ended = Vec::new();
        for row in &rows {
            // One that is not as it was written works for nobody already.
            if let Ok(Some(invite)) = kept(row, self.trust()) {
                ended.push(invite.grant);
                self.update_invite(&KeptInvite { expires_at: now, ..invite }).await?;
            }
        }
        Ok(ended)
    }

    /// Writes what may change of an invite.
    async fn update_invite(&mut self, invite: &KeptInvite) -> Result<(), StoreError> {
        let (claim, seal) = (invite.claim.as_ref(), self.trust().seal_invite(invite));
        let given = claim.and_then(|claim| claim.given.as_ref());
        sqlx::query(sql::grants::UPDATE_INVITE)
            .bind(invite.id.0)
            .bind(invite.expires_at.to_offset())
            .bind(i32::try_from(invite.wrong_words).unwrap_or(i32::MAX))
            .bind(claim.map(|claim| claim.at.to_offset()))
            .bind(claim.map(|claim| &claim.key.0[..]))
            .bind(claim.and_then(|claim| claim.nonce.as_ref()).map(|nonce| &nonce.0[..]))
            .bind(given.map(|given| given.serial.as_bytes()))
            .bind(given.map(|given| &given.certificate[..]))
            .bind(&seal[..])
            .execute(&mut **self)
            .await?;
        Ok(())
    }
}

/// An invite with its grant, both as they were written.
fn invited(row: &PgRow, trust: &Trust) -> Result<(KeptInvite, Invited), StoreError> {
    let grant = match row::held(row, trust)? {
        (grant, None) => grant,
        (grant, Some(doubt)) => return Err(rules::doubtful(&grant, doubt)),
    };
    let kept = kept(row, trust)?.ok_or_else(|| rules::invite_tampered(&grant))?;
    Ok((kept.clone(), kept.of(grant)))
}

/// Reads an invite; none where it is not as it was written.
fn kept(row: &PgRow, trust: &Trust) -> Result<Option<KeptInvite>, StoreError> {
    let invite = KeptInvite {
        id: InviteId(row.try_get("invite")?),
        grant: GrantId(row.try_get("grant_id")?),
        digest: row::digest(row.try_get("digest")?)?,
        expires_at: time(row, "expires_at")?,
        key: row.try_get::<Option<&[u8]>, _>("bound_spki")?.map(row::digest).transpose()?.map(Spki),
        confirm: row.try_get("confirm")?,
        wrong_words: wrong_words(row)?,
        claim: claim(row)?,
    };
    let seal: Option<&[u8]> = row.try_get("invite_seal")?;
    Ok(seal.is_some_and(|seal| trust.knows(&invite, seal)).then_some(invite))
}

/// Reads how a grant came to its holder, if it did, and whether that was changed by somebody else: then nothing is said of it.
pub(super) fn handed(row: &PgRow, trust: &Trust) -> Result<(Option<Handed>, bool), StoreError> {
    if row.try_get::<Option<Uuid>, _>("invite")?.is_none() {
        return Ok((None, false));
    }
    let invite = kept(row, trust).ok().flatten();
    let of = |KeptInvite { id, claim, confirm, wrong_words, .. }| {
        claim.map(|Claim { key, nonce, .. }| Handed { invite: id, key, nonce, confirm, wrong_words })
    };
    Ok((invite.clone().and_then(of), invite.is_none()))
}

/// Reads the last invite of a grant, and whose it is; none where it is not as it was written.
pub(super) fn last_invite(row: &PgRow, trust: &Trust) -> Result<(GrantId, Option<LastInvite>), StoreError> {
    let last = kept(row, trust).ok().flatten().map(|KeptInvite { key, confirm, claim, expires_at, .. }| {
        let used = claim.is_some_and(|claim| claim.given.is_some());
        LastInvite { key, confirm, used, expires_at }
    });
    Ok((GrantId(row.try_get("grant_id")?), last))
}

fn wrong_words(row: &PgRow) -> Result<u32, StoreError> {
    Ok(u32::try_from(row.try_get::<i32, _>("wrong_words")?).unwrap_or(u32::MAX))
}

fn claim(row: &PgRow) -> Result<Option<Claim>, StoreError> {
    let key: Option<&[u8]> = row.try_get("claimed_spki")?;
    let Some(key) = key else { return Ok(None) };
    let serial: Option<&[u8]> = row.try_get("given_serial")?;
    let given = match serial {
        Some(serial) => Some(Given { serial: serial_number(serial)?, certificate: row.try_get("given_certificate")? }),
        None => None,
    };
    Ok(Some(Claim { key: Spki(row::digest(key)?), nonce: nonce(row)?, at: time(row, "used_at")?, given }))
}

fn nonce(row: &PgRow) -> Result<Option<Nonce>, StoreError> {
    let nonce: Option<&[u8]> = row.try_get("claimed_nonce")?;
    Ok(nonce.map(row::digest).transpose()?.map(Nonce))
}
