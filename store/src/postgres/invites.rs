//! Invites: single use is decided by the database, once, whoever asks.

use super::{
    Postgres,
    change::Change,
    row::{self, time},
    sql, unit,
};
use crate::{NewInvite, StoreError, rules};
use domain::{
    Time,
    audit::Record,
    id::{GrantId, InviteId},
    invite::Invited,
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
        let Some(row) = row else { return Ok(None) };
        let invited = invited(&row)?;
        row::judged(&row, &invited.grant, &self.trust)?.map_err(|doubt| rules::doubtful(&invited.grant, doubt))?;
        Ok(Some(invited))
    }

    pub(super) async fn claim(&self, invite: InviteId, now: Time, record: Record) -> Result<bool, StoreError> {
        let mut change = self.change().await?;
        let claimed =
            sqlx::query(sql::grants::CLAIM).bind(invite.0).bind(now.to_offset()).execute(&mut *change).await?;
        if claimed.rows_affected() == 1 {
            change.record(&record).await?;
            return Ok(true);
        }
        change.abandon().await?;
        Ok(false)
    }

    pub(super) async fn last_end(&self) -> Result<Option<Time>, StoreError> {
        let mut unit = unit::read(&self.door).await?;
        let end: Option<OffsetDateTime> =
            sqlx::query_scalar(sql::grants::LAST_INVITE_END).fetch_one(&mut *unit).await?;
        unit.end().await?;
        Ok(end.map(Time::from))
    }
}

impl Change {
    /// Open invites of a grant stop working now.
    pub(super) async fn end_invites(&mut self, grant: GrantId, now: Time) -> Result<(), StoreError> {
        sqlx::query(sql::grants::END_INVITES).bind(grant.0).bind(now.to_offset()).execute(&mut **self).await?;
        Ok(())
    }
}

fn invited(row: &PgRow) -> Result<Invited, StoreError> {
    Ok(Invited {
        id: InviteId(row.try_get("invite")?),
        grant: row::grant(row)?,
        expires_at: time(row, "expires_at")?,
        used: row.try_get::<Option<OffsetDateTime>, _>("used_at")?.is_some(),
    })
}
