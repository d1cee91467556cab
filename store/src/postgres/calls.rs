//! Calls: who is called and who waits. Awaits are recorded, because they open a door to the network; the rest changes no standing.

use super::{
    Postgres,
    people::subject,
    row::time,
    sql,
    unit::{self, Unit},
};
use crate::{Await, Calls, StoreError, rules};
use async_trait::async_trait;
use domain::{
    audit::Record,
    id::{AwaitId, GrantId, UserId},
};
use sqlx::{
    Row,
    postgres::{PgArguments, PgRow},
    query::Query,
};

#[async_trait]
impl Calls for Postgres {
    async fn keep_grant_call(&self, grant: GrantId, sealed: &[u8]) -> Result<(), StoreError> {
        self.put_call(grant, sqlx::query(sql::calls::KEEP_GRANT_CALL).bind(grant.0).bind(sealed)).await
    }

    async fn grant_calls(&self) -> Result<Vec<(GrantId, Vec<u8>)>, StoreError> {
        let mut unit = unit::read(&self.door).await?;
        let rows = sqlx::query(sql::calls::GRANT_CALLS).fetch_all(&mut *unit).await?;
        unit.end().await?;
        rows.iter().map(sealed).collect()
    }

    async fn call_nobody(&self, grant: GrantId) -> Result<(), StoreError> {
        self.put_call(grant, sqlx::query(sql::calls::CALL_NOBODY).bind(grant.0)).await
    }

    async fn forget_grant_call(&self, grant: GrantId) -> Result<(), StoreError> {
        let mut unit = unit::write(&self.door).await?;
        sqlx::query(sql::calls::FORGET_GRANT_CALL).bind(grant.0).execute(&mut *unit).await?;
        Ok(unit.end().await?)
    }

    async fn keep_await(&self, kept: &Await, record: Record) -> Result<(), StoreError> {
        let now = self.clock.now().to_offset();
        let mut change = self.change().await?;
        subject(&mut change, kept.owner).await?;
        sqlx::query(sql::calls::FORGET_OLD_AWAITS).bind(kept.owner.0).bind(now).execute(&mut *change).await?;
        let added = sqlx::query(sql::calls::KEEP_AWAIT)
            .bind(kept.owner.0)
            .bind(kept.id.0)
            .bind(kept.name.as_ref().map(domain::id::Name::as_str))
            .bind(&kept.addresses)
            .bind(&kept.sealed)
            .bind(kept.not_after.to_offset())
            .execute(&mut *change)
            .await;
        match added {
            Ok(_) => change.record(&record).await,
            Err(sqlx::Error::Database(error)) if error.is_foreign_key_violation() => Err(rules::no_user_id(kept.owner)),
            Err(error) => Err(error.into()),
        }
    }

    async fn awaits(&self, owner: UserId) -> Result<Vec<Await>, StoreError> {
        let mut unit = unit::read(&self.door).await?;
        subject(&mut unit, owner).await?;
        let rows = sqlx::query(sql::calls::AWAITS).bind(owner.0).fetch_all(&mut *unit).await?;
        unit.end().await?;
        let read = |row| {
            waits(row).inspect_err(|error| tracing::error!(%error, "somebody who waits to be called cannot be read"))
        };
        // One that somebody else made unreadable hides no other.
        Ok(rows.iter().filter_map(|row| read(row).ok()).collect())
    }

    async fn claim_await(&self, owner: UserId, id: AwaitId, grant: GrantId) -> Result<bool, StoreError> {
        let mut unit = self.of(owner).await?;
        let claimed = sqlx::query(sql::calls::CLAIM_AWAIT).bind(owner.0).bind(id.0).bind(grant.0);
        let claimed = claimed.execute(&mut *unit).await?.rows_affected() == 1;
        unit.end().await?;
        Ok(claimed)
    }

    async fn use_await(&self, owner: UserId, id: AwaitId) -> Result<(), StoreError> {
        let mut unit = self.of(owner).await?;
        sqlx::query(sql::calls::USE_AWAIT).bind(owner.0).bind(id.0).execute(&mut *unit).await?;
        Ok(unit.end().await?)
    }

    async fn forget_await(&self, owner: UserId, id: AwaitId, record: Record) -> Result<bool, StoreError> {
        let mut change = self.change().await?;
        subject(&mut change, owner).await?;
        let gone = sqlx::query(sql::calls::FORGET_AWAIT).bind(owner.0).bind(id.0).execute(&mut *change).await?;
        change.record_if(gone.rows_affected() == 1, &record).await
    }

    async fn keep_link_call(&self, owner: UserId, link: GrantId, sealed: &[u8]) -> Result<(), StoreError> {
        let mut unit = self.of(owner).await?;
        let kept = sqlx::query(sql::calls::KEEP_LINK_CALL).bind(owner.0).bind(link.0).bind(sealed);
        match kept.execute(&mut *unit).await {
            Ok(_) => Ok(unit.end().await?),
            Err(sqlx::Error::Database(error)) if error.is_foreign_key_violation() => Err(rules::no_user_id(owner)),
            Err(error) => Err(error.into()),
        }
    }

    async fn link_calls(&self, owner: UserId) -> Result<Vec<(GrantId, Vec<u8>)>, StoreError> {
        let mut unit = unit::read(&self.door).await?;
        subject(&mut unit, owner).await?;
        let rows = sqlx::query(sql::calls::LINK_CALLS).bind(owner.0).fetch_all(&mut *unit).await?;
        unit.end().await?;
        rows.iter().map(sealed).collect()
    }

    async fn forget_link_call(&self, owner: UserId, link: GrantId) -> Result<(), StoreError> {
        let mut unit = self.of(owner).await?;
        sqlx::query(sql::calls::FORGET_LINK_CALL).bind(owner.0).bind(link.0).execute(&mut *unit).await?;
        Ok(unit.end().await?)
    }
}

impl Postgres {
    async fn put_call(&self, grant: GrantId, query: Query<'_, sqlx::Postgres, PgArguments>) -> Result<(), StoreError> {
        let mut unit = unit::write(&self.door).await?;
        match query.execute(&mut *unit).await {
            Ok(_) => Ok(unit.end().await?),
            Err(sqlx::Error::Database(error)) if error.is_foreign_key_violation() => Err(rules::no_grant(grant)),
            Err(error) => Err(error.into()),
        }
    }

    /// A transaction that writes as this user.
    async fn of(&self, owner: UserId) -> Result<Unit, StoreError> {
        let mut unit = unit::write(&self.door).await?;
        subject(&mut unit, owner).await?;
        Ok(unit)
    }
}

fn sealed(row: &PgRow) -> Result<(GrantId, Vec<u8>), StoreError> {
    Ok((GrantId(row.try_get("id")?), row.try_get("sealed")?))
}

fn waits(row: &PgRow) -> Result<Await, StoreError> {
    let (name, grant): (Option<&str>, Option<uuid::Uuid>) = (row.try_get("name")?, row.try_get("grant_id")?);
    Ok(Await {
        id: AwaitId(row.try_get("id")?),
        owner: UserId(row.try_get("owner")?),
        // One that is no name was not written here, as its seal shows.
        name: name.and_then(|name| name.parse().ok()),
        addresses: row.try_get("addresses")?,
        sealed: row.try_get("sealed")?,
        not_after: time(row, "not_after")?,
        grant: grant.map(GrantId),
        used: row.try_get("used")?,
    })
}
