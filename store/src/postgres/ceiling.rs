//! The ceiling, read and set under the audit head's lock: no grant can be made or edited between the look at the grants and the
//! commit of a ceiling that they must keep to.

use super::{
    Postgres,
    change::Change,
    row::{self, name, time},
    sql, unit,
};
use crate::{
    StoreError,
    ceiling::{self, Ceilings, KeptCeiling, Narrowed},
    rules,
};
use async_trait::async_trait;
use domain::{Time, audit::Record, grant::Grant, scope::ceiling::Ceiling};
use sqlx::{PgConnection, Row, types::Json};

#[async_trait]
impl Ceilings for Postgres {
    async fn ceiling(&self) -> Result<Option<KeptCeiling>, StoreError> {
        let mut unit = unit::read(&self.door).await?;
        let kept = kept(&mut unit).await?;
        unit.end().await?;
        Ok(kept)
    }

    async fn set_ceiling(
        &self,
        ceiling: Option<&KeptCeiling>,
        narrowed: Vec<Narrowed>,
        record: Record,
    ) -> Result<Vec<Grant>, StoreError> {
        let mut change = self.change().await?;
        let (mut edited, mut records) = (Vec::new(), vec![record]);
        for Narrowed { grant, generation, scope, record } in narrowed {
            let grant = rules::edited(&change.grant(grant).await?, generation, &scope, self.clock.now())?;
            change.update(&grant, None).await?;
            edited.push(grant);
            records.push(record);
        }
        sqlx::query(sql::grants::CLEAR_CEILING).execute(&mut *change).await?;
        if let Some(kept) = ceiling {
            change.every_grant_is_within(&kept.ceiling, self.clock.now()).await?;
            sqlx::query(sql::grants::SET_CEILING)
                .bind(Json(&kept.ceiling))
                .bind(kept.set_at.to_offset())
                .bind(kept.set_by.as_str())
                .execute(&mut *change)
                .await?;
        }
        change.records(&records).await?;
        Ok(edited)
    }
}

impl Change {
    /// Refuses a grant that is beyond the ceiling in force.
    pub(super) async fn is_within_ceiling(&mut self, grant: &Grant, now: Time) -> Result<(), StoreError> {
        let kept = kept(self).await?;
        ceiling::check(kept.as_ref().map(|kept| &kept.ceiling), grant, now)
    }

    async fn every_grant_is_within(&mut self, ceiling: &Ceiling, now: Time) -> Result<(), StoreError> {
        let rows = sqlx::query(sql::grants::LIVE).fetch_all(&mut **self).await?;
        for row in &rows {
            // What is not to be believed permits nothing already.
            if let (grant, None) = row::held(row, self.trust())? {
                ceiling::check(Some(ceiling), &grant, now)?;
            }
        }
        Ok(())
    }
}

async fn kept(connection: &mut PgConnection) -> Result<Option<KeptCeiling>, StoreError> {
    let Some(row) = sqlx::query(sql::grants::CEILING).fetch_optional(connection).await? else { return Ok(None) };
    let Json(ceiling) = row.try_get("ceiling")?;
    Ok(Some(KeptCeiling { ceiling, set_at: time(&row, "set_at")?, set_by: name(&row, "set_by")? }))
}
