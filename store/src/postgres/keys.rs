//! Revoked keys. A key is looked for wherever one could be given anything, under the head's lock: between a revocation and whoever comes with
//! the key one of the two is first, and the other sees it.

use super::{
    Postgres,
    change::Change,
    row::{self, name, time},
    sql, unit,
};
use crate::{KeptKey, KeyEnd, Keys, StoreError, Trust, rules};
use async_trait::async_trait;
use domain::{
    Time,
    audit::Record,
    grant::{Grant, State},
    id::{GrantId, Spki},
    revoked::{KeyDoubt, RevokedKey},
    seal::Doubt,
};
use sqlx::{PgConnection, Row, postgres::PgRow};
use std::collections::BTreeMap;

#[async_trait]
impl Keys for Postgres {
    async fn revoke_key(&self, key: &RevokedKey, record: Record) -> Result<KeyEnd, StoreError> {
        let mut change = self.urgent_change().await?;
        change.keep_revoked(key).await?;
        let now = self.clock.now();
        let mut end = KeyEnd::default();
        for (grant, doubt) in change.with_key(key.key, now).await? {
            end.grants.push(change.end(&grant, doubt, now).await?);
        }
        // What is left of them is of grants that others hold, or nobody yet.
        end.invites = change.end_invites_for(key.key, now).await?;
        let records = rules::key_ends(&record, &end.grants);
        change.records(&records).await?;
        Ok(end)
    }

    async fn grants_with_key(&self, key: Spki) -> Result<Vec<GrantId>, StoreError> {
        let mut change = self.urgent_change().await?;
        let held = change.with_key(key, self.clock.now()).await?;
        change.abandon().await?;
        Ok(held.into_iter().map(|(grant, _)| grant.id).collect())
    }

    async fn revoked_keys(&self) -> Result<Vec<KeptKey>, StoreError> {
        let mut unit = unit::read(&self.door).await?;
        let rows = sqlx::query(sql::grants::REVOKED_KEYS).fetch_all(&mut *unit).await?;
        unit.end().await?;
        let mut kept: Vec<_> = rows.iter().map(|row| kept(row, &self.trust)).collect::<Result<_, _>>()?;
        let gone = self.trust.revoked_keys().into_iter().filter(|key| kept.iter().all(|one| one.key != *key));
        let gone: Vec<_> = gone.map(|key| KeptKey { key, said: None, doubt: Some(KeyDoubt::Gone) }).collect();
        kept.sort_by_key(|one| one.said.is_none());
        kept.extend(gone);
        Ok(kept)
    }
}

impl Change {
    /// The grants that stand and that this key holds, held, or is about to hold, and why not to believe them.
    async fn with_key(&mut self, key: Spki, now: Time) -> Result<Vec<(Grant, Option<Doubt>)>, StoreError> {
        let rows = sqlx::query(sql::grants::GRANTS_WITH_KEY).bind(&key.0[..]).bind(now.to_offset());
        let rows = rows.fetch_all(&mut **self).await?;
        let held = rows.iter().map(|row| row::held(row, self.trust())).collect::<Result<Vec<_>, _>>()?;
        Ok(held.into_iter().filter(|(grant, doubt)| grant.state != State::Revoked || doubt.is_some()).collect())
    }

    /// Keeps that a grant was renewed with this key.
    pub(super) async fn keep_grant_key(&mut self, grant: GrantId, key: Spki) -> Result<(), StoreError> {
        sqlx::query(sql::grants::KEEP_GRANT_KEY).bind(grant.0).bind(&key.0[..]).execute(&mut **self).await?;
        Ok(())
    }

    async fn keep_revoked(&mut self, key: &RevokedKey) -> Result<(), StoreError> {
        let row = sqlx::query(sql::grants::REVOKED_KEY).bind(&key.key.0[..]).fetch_optional(&mut **self).await?;
        if let Some(said) = row.map(|row| kept(&row, self.trust())).transpose()?.and_then(|kept| kept.said) {
            return Err(rules::key_revoked_already(&said));
        }
        let seal = self.trust().seal_revoked(key);
        sqlx::query(sql::grants::REVOKE_KEY)
            .bind(&key.key.0[..])
            .bind(key.at.to_offset())
            .bind(key.by.as_str())
            .bind(key.reason.as_str())
            .bind(&seal[..])
            .execute(&mut **self)
            .await?;
        Ok(())
    }

    /// Refuses to make anything of a key that was revoked.
    pub(super) async fn is_no_revoked(&mut self, key: Spki) -> Result<(), StoreError> {
        let query = sqlx::query_scalar(sql::grants::IS_KEY_REVOKED).bind(&key.0[..]);
        let revoked: bool = query.fetch_one(&mut **self).await?;
        if revoked || self.trust().is_revoked(key) { Err(rules::key_revoked(key)) } else { Ok(()) }
    }
}

/// Every revoked key that there is a row of, and whether that is as it was written.
pub(super) async fn standing(connection: &mut PgConnection, trust: &Trust) -> Result<BTreeMap<Spki, bool>, StoreError> {
    let rows = sqlx::query(sql::grants::REVOKED_KEYS).fetch_all(connection).await?;
    let entry = |row: &PgRow| kept(row, trust).map(|kept| (kept.key, kept.said.is_some()));
    rows.iter().map(entry).collect()
}

/// One that somebody else wrote is a revoked key all the same: it permits nobody anything.
fn kept(row: &PgRow, trust: &Trust) -> Result<KeptKey, StoreError> {
    let (key, seal) = (Spki(row::digest(row.try_get("spki")?)?), row.try_get::<&[u8], _>("seal")?);
    let read = || -> Result<RevokedKey, StoreError> {
        let reason = row.try_get::<&str, _>("reason")?.parse();
        let reason = reason.map_err(|cause| row::damaged("a reason", cause))?;
        Ok(RevokedKey { key, at: time(row, "revoked_at")?, by: name(row, "revoked_by")?, reason })
    };
    let said = read().ok().filter(|said| trust.knows_revoked(said, seal));
    let doubt = said.is_none().then_some(KeyDoubt::Tampered);
    Ok(KeptKey { key, said, doubt })
}
