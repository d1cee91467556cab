//! Keys that the asking side keeps before it has certificates for them. They give nobody anything by themselves, so keeping one
//! changes no standing and is not recorded.

use super::{
    Postgres,
    people::subject,
    row::{digest, time},
    sql, unit,
};
use crate::{LinkKey, StoreError, rules};
use domain::id::{Spki, UserId};
use sqlx::{Row, postgres::PgRow};

impl Postgres {
    pub(super) async fn keep_key(&self, key: &LinkKey) -> Result<(), StoreError> {
        let mut unit = unit::write(&self.door).await?;
        subject(&mut unit, key.owner).await?;
        let now = self.clock.now().to_offset();
        sqlx::query(sql::links::FORGET_OLD_KEYS).bind(key.owner.0).bind(now).execute(&mut *unit).await?;
        let kept = sqlx::query(sql::links::KEEP_KEY)
            .bind(key.owner.0)
            .bind(&key.spki.0[..])
            .bind(key.invite.as_ref().map(|digest| &digest[..]))
            .bind(&key.sealed_key)
            .bind(key.not_after.to_offset())
            .execute(&mut *unit)
            .await;
        match kept {
            Ok(kept) if kept.rows_affected() == 1 => Ok(unit.end().await?),
            Ok(_) => Err(rules::link_key_taken()),
            Err(sqlx::Error::Database(error)) if error.is_foreign_key_violation() => Err(rules::no_user_id(key.owner)),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) async fn keys(&self, owner: UserId) -> Result<Vec<LinkKey>, StoreError> {
        let mut unit = unit::read(&self.door).await?;
        subject(&mut unit, owner).await?;
        let now = self.clock.now().to_offset();
        let rows = sqlx::query(sql::links::KEYS).bind(owner.0).bind(now).fetch_all(&mut *unit).await?;
        unit.end().await?;
        rows.iter().map(link_key).collect()
    }

    pub(super) async fn forget_key(&self, owner: UserId, key: Spki) -> Result<(), StoreError> {
        let mut unit = unit::write(&self.door).await?;
        subject(&mut unit, owner).await?;
        sqlx::query(sql::links::FORGET_KEY).bind(owner.0).bind(&key.0[..]).execute(&mut *unit).await?;
        Ok(unit.end().await?)
    }
}

fn link_key(row: &PgRow) -> Result<LinkKey, StoreError> {
    let invite: Option<&[u8]> = row.try_get("invite")?;
    Ok(LinkKey {
        owner: UserId(row.try_get("owner")?),
        spki: Spki(digest(row.try_get("spki")?)?),
        invite: invite.map(digest).transpose()?,
        sealed_key: row.try_get("sealed_key")?,
        not_after: time(row, "not_after")?,
    })
}
