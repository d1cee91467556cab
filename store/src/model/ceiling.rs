//! The ceiling.

use super::{Model, State};
use crate::{
    StoreError,
    ceiling::{self, Ceilings, KeptCeiling, Narrowed},
    rules,
};
use async_trait::async_trait;
use domain::{Time, audit::Record, grant::Grant};

#[async_trait]
impl Ceilings for Model {
    async fn ceiling(&self) -> Result<Option<KeptCeiling>, StoreError> {
        Ok(self.state().ceiling.clone())
    }

    async fn set_ceiling(
        &self,
        ceiling: Option<&KeptCeiling>,
        narrowed: Vec<Narrowed>,
        record: Record,
    ) -> Result<Vec<Grant>, StoreError> {
        let now = self.world.now();
        self.change(|state| {
            let (mut edited, mut records) = (Vec::new(), vec![record]);
            for Narrowed { grant, generation, scope, record } in narrowed {
                let grant = rules::edited(&state.grant(grant)?, generation, &scope, now)?;
                state.update(&grant);
                edited.push(grant);
                records.push(record);
            }
            state.ceiling = ceiling.cloned();
            state.grants.values().try_for_each(|kept| state.is_within_ceiling(&kept.grant, now))?;
            Ok((edited, records))
        })
    }
}

impl State {
    pub(super) fn is_within_ceiling(&self, grant: &Grant, now: Time) -> Result<(), StoreError> {
        ceiling::check(self.ceiling.as_ref().map(|kept| &kept.ceiling), grant, now)
    }
}
