//! Invites: single use is decided by the database, once, whoever asks.

use super::{
    Postgres,
    change::Change,
    row::{self, serial_number, time},
    sql, unit,
};
use crate::{Enrolled, Enrolment, Handed, NewInvite, StoreError, rules};
use domain::{
    Time,
    audit::Record,
    grant::Grant,
    id::{GrantId, InviteId, Spki},
    invite::{AGAIN, Claim, Given, Invited, Standing},
    seal::RowKey,
};
use sqlx::{Row, postgres::PgRow};
use time::OffsetDateTime;

impl Postgres {
    pub(super) async fn new_invite(&self, invite: &NewInvite, record: Record) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        let now = self.clock.now();
        rules::may_invite(&change.grant(invite.grant).await?, now)?;
        change.end_invites(invite.grant, now).await?;
        let added = sqlx::query(sql::grants::ADD_INVITE)
            .bind(invite.id.0)
            .bind(invite.grant.0)
            .bind(&invite.digest[..])
            .bind(invite.expires_at.to_offset())
            .bind(invite.key.as_ref().map(|key| &key.0[..]))
            .bind(invite.confirm)
            .execute(&mut *change)
            .await?;
        if added.rows_affected() != 1 {
            return Err(rules::invite_taken());
        }
        change.record(&record).await
    }

    pub(super) async fn invite_of(&self, digest: &[u8; 32]) -> Result<Option<Invited>, StoreError> {
        let mut unit = unit::read(&self.door).await?;
        let row = sqlx::query(sql::grants::INVITED).bind(&digest[..]).fetch_optional(&mut *unit).await?;
        unit.end().await?;
        row.map(|row| sealed(&row, &self.key)).transpose()
    }

    /// Under the head's lock, so that nobody else claims it between the look and the claim.
    pub(super) async fn claim(
        &self,
        invite: InviteId,
        key: Spki,
        now: Time,
        record: Record,
    ) -> Result<bool, StoreError> {
        let mut change = self.change().await?;
        let found = change.invited(invite).await?;
        let open = found.as_ref().is_some_and(|found| found.standing(key, now) == Standing::Open);
        if !open || found.is_some_and(|found| found.claim.is_some()) {
            change.abandon().await?;
            return Ok(open);
        }
        let claim = sqlx::query(sql::grants::CLAIM).bind(invite.0).bind(now.to_offset()).bind(&key.0[..]);
        let claimed = claim.execute(&mut *change).await?;
        change.record_if(claimed.rows_affected() == 1, &record).await
    }

    pub(super) async fn enrol(&self, enrolment: Enrolment<'_>, record: Record) -> Result<Enrolled, StoreError> {
        let mut change = self.change().await?;
        let Enrolment { invite, peer_name, leaf, certificate, .. } = enrolment;
        let invited = change.invited(invite).await?.ok_or_else(|| rules::no_invite(invite))?;
        let Some(active) = rules::enrolled(&invited, &enrolment)? else {
            change.abandon().await?;
            let given = invited.claim.and_then(|claim| claim.given).ok_or_else(|| rules::no_invite(invite))?;
            return Ok(Enrolled { grant: invited.grant, given });
        };
        let serial = leaf.serial.as_bytes();
        sqlx::query(sql::grants::GIVE).bind(invite.0).bind(serial).bind(certificate).execute(&mut *change).await?;
        change.refuse_all(invited.grant.leaves().filter(|old| *old != leaf), self.clock.now()).await?;
        change.update(&active, Some(peer_name)).await?;
        change.record(&record).await?;
        let given = Given { serial: leaf.serial.clone(), certificate: certificate.to_vec() };
        Ok(Enrolled { grant: active, given })
    }

    pub(super) async fn admit(&self, grant: GrantId, key: Spki, record: Record) -> Result<Grant, StoreError> {
        let mut change = self.change().await?;
        let found = change.grant(grant).await?;
        let admitted = rules::let_in(&found, change.handed(grant).await?.map(|(_, handed)| handed), key)?;
        change.update(&admitted, None).await?;
        change.record(&record).await?;
        Ok(admitted)
    }

    pub(super) async fn count_wrong(&self, grant: GrantId, record: Record) -> Result<u32, StoreError> {
        let mut change = self.change().await?;
        let found = change.grant(grant).await?;
        let (invite, handed) = change.handed(grant).await?.ok_or_else(|| rules::does_not_wait(&found))?;
        sqlx::query(sql::grants::WRONG_WORDS).bind(invite.0).execute(&mut *change).await?;
        change.record(&record).await?;
        Ok(handed.wrong_words.saturating_add(1))
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
    async fn invited(&mut self, invite: InviteId) -> Result<Option<Invited>, StoreError> {
        let row = sqlx::query(sql::grants::INVITED_BY_ID).bind(invite.0).fetch_optional(&mut **self).await?;
        row.map(|row| sealed(&row, self.key())).transpose()
    }

    async fn handed(&mut self, grant: GrantId) -> Result<Option<(InviteId, Handed)>, StoreError> {
        let row = sqlx::query(sql::grants::HANDED).bind(grant.0).fetch_optional(&mut **self).await?;
        let Some(row) = row else { return Ok(None) };
        let handed = handed(&row)?;
        handed.map(|handed| Ok((InviteId(row.try_get("invite")?), handed))).transpose()
    }

    /// Invites of a grant stop working now, also for whoever would use theirs again.
    pub(super) async fn end_invites(&mut self, grant: GrantId, now: Time) -> Result<(), StoreError> {
        sqlx::query(sql::grants::END_INVITES).bind(grant.0).bind(now.to_offset()).execute(&mut **self).await?;
        Ok(())
    }
}

/// Of a grant that is as it was written.
fn sealed(row: &PgRow, key: &RowKey) -> Result<Invited, StoreError> {
    let invited = invited(row)?;
    if row::is_sealed(row, &invited.grant, key)? { Ok(invited) } else { Err(rules::tampered(&invited.grant)) }
}

fn invited(row: &PgRow) -> Result<Invited, StoreError> {
    Ok(Invited {
        id: InviteId(row.try_get("invite")?),
        grant: row::grant(row)?,
        expires_at: time(row, "expires_at")?,
        key: row.try_get::<Option<&[u8]>, _>("bound_spki")?.map(row::digest).transpose()?.map(Spki),
        confirm: row.try_get("confirm")?,
        claim: claim(row)?,
    })
}

/// Reads how a grant came to its holder.
pub(super) fn handed(row: &PgRow) -> Result<Option<Handed>, StoreError> {
    let key: Option<&[u8]> = row.try_get("claimed_spki")?;
    let Some(key) = key else { return Ok(None) };
    let wrong_words = u32::try_from(row.try_get::<i32, _>("wrong_words")?).unwrap_or(u32::MAX);
    Ok(Some(Handed { key: Spki(row::digest(key)?), confirm: row.try_get("confirm")?, wrong_words }))
}

fn claim(row: &PgRow) -> Result<Option<Claim>, StoreError> {
    let key: Option<&[u8]> = row.try_get("claimed_spki")?;
    let Some(key) = key else { return Ok(None) };
    let serial: Option<&[u8]> = row.try_get("given_serial")?;
    let given = match serial {
        Some(serial) => Some(Given { serial: serial_number(serial)?, certificate: row.try_get("given_certificate")? }),
        None => None,
    };
    Ok(Some(Claim { key: Spki(row::digest(key)?), at: time(row, "used_at")?, given }))
}
