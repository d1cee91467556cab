//! The instance's identity, made once, and whether the database answers.

use super::{
    Postgres,
    people::{insert_membership, insert_user, insert_workspace},
    row::name,
    sql, unit,
};
use crate::{Instance, InstanceRecord, StoreError, rules};
use async_trait::async_trait;
use domain::{
    audit::Record,
    id::{InstanceId, Name, UserId, WorkspaceId},
    rights::Role,
};
use sqlx::{PgConnection, Row};

/// The instance that a database holds.
pub(super) async fn read(connection: &mut PgConnection) -> Result<Option<InstanceRecord>, StoreError> {
    let Some(row) = sqlx::query(sql::people::INSTANCE).fetch_optional(connection).await? else { return Ok(None) };
    Ok(Some(InstanceRecord {
        id: InstanceId(row.try_get("id")?),
        name: name(&row, "name")?,
        root: row.try_get("root")?,
        sealed_ca_key: row.try_get("sealed_ca_key")?,
        sealed_audit_key: row.try_get("sealed_audit_key")?,
    }))
}

#[async_trait]
impl Instance for Postgres {
    async fn instance(&self) -> Result<Option<InstanceRecord>, StoreError> {
        let mut unit = unit::read(&self.door).await?;
        let record = read(&mut unit).await?;
        unit.end().await?;
        Ok(record)
    }

    async fn create_instance(
        &self,
        instance: &InstanceRecord,
        workspace: (WorkspaceId, Name),
        owner: (UserId, Name, Option<u32>),
        record: Record,
    ) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        let added = sqlx::query(sql::people::ADD_INSTANCE)
            .bind(instance.id.0)
            .bind(instance.name.as_str())
            .bind(&instance.root)
            .bind(&instance.sealed_ca_key)
            .bind(&instance.sealed_audit_key)
            .execute(&mut *change)
            .await?;
        if added.rows_affected() != 1 {
            return Err(rules::instance_taken());
        }
        insert_workspace(&mut change, workspace.0, &workspace.1).await?;
        insert_user(&mut change, (owner.0, &owner.1, owner.2), &workspace.1, Role::Owner).await?;
        insert_membership(&mut change, workspace.0, owner.0, Role::Owner).await?;
        change.record(&record).await
    }

    fn connections(&self) -> Option<(u64, u64)> {
        let pools = [&self.serving, &self.door, &self.reserved].map(unit::Pool::connections);
        Some(pools.iter().fold((0, 0), |(open, idle), (more, unused)| (open + more, idle + unused)))
    }

    async fn ping(&self) -> Result<(), StoreError> {
        // Beginning and ending are two questions that only a living server answers.
        Ok(unit::read(&self.reserved).await?.end().await?)
    }
}
