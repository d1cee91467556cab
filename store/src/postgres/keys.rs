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
    id::{GrantId, InviteId, Spki},
    revoked::{KeyDoubt, RevokedKey},
    seal::{Doubt, HeldKeys},
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
        let rows = sqlx::query(sql::grants::GRANTS_AND_KEY).bind(&key.0[..]).bind(now.to_offset());
        let (rows, mut with) = (rows.fetch_all(&mut **self).await?, Vec::new());
        for row in &rows {
            let (grant, doubt) = row::held(row, self.trust())?;
            if grant.state == State::Revoked && doubt.is_none() {
                continue;
            }
            let held = held_keys(row, &grant)?;
            // Whoever changed what a grant was held with may have taken this key out of it.
            let hidden = grant.leaves().next().is_some() && !held.is_believed(self.trust());
            if row.try_get("has")? || held.keys.has(key) || hidden {
                with.push((grant, doubt));
            }
        }
        Ok(with)
    }

    /// Keeps that a grant was renewed with this key. What was not as it was written does not become so by that.
    pub(super) async fn keep_grant_key(&mut self, grant: &Grant, key: Spki) -> Result<(), StoreError> {
        let believed = self.held_keys(grant).await?.is_believed(self.trust());
        sqlx::query(sql::grants::KEEP_GRANT_KEY).bind(grant.id.0).bind(&key.0[..]).execute(&mut **self).await?;
        if believed { self.seal_held(grant).await } else { Ok(()) }
    }

    /// Seals what a grant is held with, as it stands.
    pub(super) async fn seal_held(&mut self, grant: &Grant) -> Result<(), StoreError> {
        let held = self.held_keys(grant).await?.keys;
        let seal = self.trust().seal_held(&held);
        sqlx::query(sql::grants::SEAL_HELD_KEYS).bind(grant.id.0).bind(&seal[..]).execute(&mut **self).await?;
        Ok(())
    }

    async fn held_keys(&mut self, grant: &Grant) -> Result<KeptKeys, StoreError> {
        let row = sqlx::query(sql::grants::HELD_KEYS).bind(grant.id.0).fetch_one(&mut **self).await?;
        held_keys(&row, grant)
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

/// What a grant was held with, as its rows say.
struct KeptKeys {
    keys: HeldKeys,
    seal: Option<Vec<u8>>,
}

impl KeptKeys {
    fn is_believed(&self, trust: &Trust) -> bool {
        self.seal.as_ref().is_some_and(|seal| trust.knows_held(&self.keys, seal))
    }
}

fn held_keys(row: &PgRow, grant: &Grant) -> Result<KeptKeys, StoreError> {
    // What is no key is none of anybody, and does not fit the seal.
    let key = |bytes: &[u8]| row::digest(bytes).ok().map(Spki);
    let renewed = row.try_get::<Vec<Vec<u8>>, _>("renewed")?;
    let keys = HeldKeys {
        grant: grant.id,
        renewals: grant.renewals,
        invite: row.try_get::<Option<_>, _>("handed")?.map(InviteId),
        claimed: row.try_get::<Option<&[u8]>, _>("claimed")?.and_then(key),
        renewed: renewed.iter().filter_map(|bytes| key(bytes)).collect(),
    };
    Ok(KeptKeys { keys, seal: row.try_get("keys_seal")? })
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
