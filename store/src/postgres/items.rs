//! Reading rows. There is one implementation for a remote permit and for a local user: the user's rights are read in the same
//! snapshot as the rows, and every row is judged by them once more before it leaves.

use super::{
    Postgres, filter,
    row::{damaged, name, number, parsed, time},
    sql,
    unit::{self, Unit},
};
use crate::{
    Access, After, Alike, Chunk, Items, Put, StoreError,
    rules::{Judged, Window, chunk},
};
use async_trait::async_trait;
use domain::{
    Time,
    grant::Grant,
    id::{ItemId, Resource, TeamId, UserId, WorkspaceId},
    item::{Item, NewItem, StoredItem, Whose},
    operation::{Get, List},
    rights::{Rights, Role},
};
use sqlx::{PgConnection, Row, postgres::PgRow, types::Json};
use std::collections::BTreeMap;
use uuid::Uuid;

#[async_trait]
impl Items for Postgres {
    async fn list(&self, access: Access<'_, List>) -> Result<Chunk, StoreError> {
        let window = Window::of(&access)?;
        let operation = access.operation();
        let scope = access.filter()?;
        let mut query = filter::list(access.workspace(), &operation.resource, scope, &window, operation.include_body);
        let (mut unit, rights, as_of) = self.enter(access.workspace(), access.user()).await?;
        let rows = query.build().fetch_all(&mut *unit).await?;
        unit.end().await?;
        let stored = fitting(rows.iter().take(window.rows as usize + 1))?;
        Ok(chunk(&access, &rights, &window, stored, rows.len(), as_of)?)
    }

    async fn get(&self, access: Access<'_, Get>) -> Result<Option<(Item, Time)>, StoreError> {
        let operation = access.operation();
        let mut query = filter::get(access.workspace(), &operation.resource, access.filter()?, operation.id);
        let (mut unit, rights, as_of) = self.enter(access.workspace(), access.user()).await?;
        let row = query.build().fetch_optional(&mut *unit).await?;
        unit.end().await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some((access.judge(&rights, stored(&row)?)?, as_of)))
    }

    async fn count(&self, grant: &Grant) -> Result<BTreeMap<Resource, u64>, StoreError> {
        let (mut unit, ..) = self.enter(grant.workspace, grant.subject).await?;
        let mut counts = BTreeMap::new();
        for (resource, scope) in grant.scope.resources() {
            let mut query = filter::count(grant.workspace, resource, scope);
            let count: i64 = query.build_query_scalar().fetch_one(&mut *unit).await?;
            counts.insert(resource.clone(), u64::try_from(count).unwrap_or(0));
        }
        unit.end().await?;
        Ok(counts)
    }

    async fn put(
        &self,
        workspace: WorkspaceId,
        user: UserId,
        items: Vec<NewItem>,
        after: After,
    ) -> Result<Vec<Put>, StoreError> {
        self.put_items(workspace, user, items, after).await
    }

    async fn sourced(
        &self,
        workspace: WorkspaceId,
        user: UserId,
        source: &str,
        keys: Option<&[String]>,
    ) -> Result<BTreeMap<Option<TeamId>, u64>, StoreError> {
        let (mut unit, ..) = self.enter(workspace, user).await?;
        let query = sqlx::query(sql::items::SOURCED).bind(workspace.0).bind(user.0).bind(format!("{source}/"));
        let rows = query.bind(keys).fetch_all(&mut *unit).await?;
        unit.end().await?;
        rows.iter().map(|row| Ok((team(row)?, number(row, "rows")?))).collect()
    }

    async fn alike(
        &self,
        workspace: WorkspaceId,
        user: UserId,
        source: &str,
        rows: &[Alike],
    ) -> Result<BTreeMap<String, u64>, StoreError> {
        let (mut unit, ..) = self.enter(workspace, user).await?;
        let query = sqlx::query(sql::items::ALIKE).bind(workspace.0).bind(user.0).bind(format!("{source}/"));
        let texts = |text: fn(&Alike) -> &str| rows.iter().map(|row| text(row).to_owned()).collect::<Vec<_>>();
        let query = query.bind(texts(|row| row.resource.as_str())).bind(texts(|row| &row.title));
        let found = query.bind(texts(|row| &row.key_end)).fetch_all(&mut *unit).await?;
        unit.end().await?;
        found.iter().map(|row| Ok((row.try_get("source")?, number(row, "rows")?))).collect()
    }
}

impl Postgres {
    /// A reading transaction of one tenant, what the user may see in it, and its time.
    async fn enter(&self, workspace: WorkspaceId, user: UserId) -> Result<(Unit, Rights, Time), StoreError> {
        let mut unit = unit::read(&self.serving).await?;
        let (rights, as_of) = enter(&mut unit, workspace, user).await?;
        Ok((unit, rights, as_of))
    }
}

/// Sets the tenant of an open transaction and reads the user's rights, in one statement.
pub(super) async fn enter(
    connection: &mut PgConnection,
    workspace: WorkspaceId,
    user: UserId,
) -> Result<(Rights, Time), StoreError> {
    let row = sqlx::query(sql::people::ENTER).bind(workspace.0).bind(user.0).fetch_one(connection).await?;
    let role = row.try_get::<Option<&str>, _>("role")?.map(|word| parsed::<Role>("role", word)).transpose()?;
    let teams: Vec<String> = row.try_get("teams")?;
    let teams = teams.iter().map(|team| parsed("team id", team)).collect::<Result<_, _>>()?;
    Ok((Rights { workspace, user, role, teams }, time(&row, "read_at")?))
}

fn whose(row: &PgRow) -> Result<Whose, StoreError> {
    let owner = row.try_get::<Option<Uuid>, _>("owner")?.map(UserId);
    let teams: Option<Vec<String>> = row.try_get("listed_in")?;
    match (teams, owner) {
        (Some(teams), person) => {
            let teams = teams.iter().map(|team| parsed("team id", team)).collect::<Result<_, _>>()?;
            Ok(Whose::Listed { teams, person })
        }
        (None, Some(owner)) => Ok(Whose::Of(owner)),
        (None, None) => Err(damaged("row", "it is nobody's")),
    }
}

fn team(row: &PgRow) -> Result<Option<TeamId>, StoreError> {
    row.try_get::<Option<&str>, _>("team")?.map(|team| parsed("team id", team)).transpose()
}

/// The rows of one chunk; those behind it came without their content.
fn fitting<'r>(rows: impl ExactSizeIterator<Item = &'r PgRow>) -> Result<Vec<StoredItem>, StoreError> {
    let mut fitting = Vec::with_capacity(rows.len());
    for row in rows {
        if !row.try_get::<bool, _>("fits")? {
            break;
        }
        fitting.push(stored(row)?);
    }
    Ok(fitting)
}

fn stored(row: &PgRow) -> Result<StoredItem, StoreError> {
    let text = |column: &str| row.try_get::<Option<&str>, _>(column);
    let tags: Vec<String> = row.try_get("tags")?;
    let Json(attributes) = row.try_get("attributes").map_err(|_| damaged("row", "its attributes are no object"))?;
    Ok(StoredItem {
        workspace: WorkspaceId(row.try_get("workspace")?),
        whose: whose(row)?,
        item: Item {
            id: ItemId(row.try_get("id")?),
            resource: parsed("kind", row.try_get("kind")?)?,
            created_at: time(row, "created_at")?,
            updated_at: time(row, "updated_at")?,
            title: row.try_get("title")?,
            body: row.try_get("body")?,
            team: team(row)?,
            project: text("project")?.map(|project| parsed("project", project)).transpose()?,
            owner: text("owner_name")?.map(|_| name(row, "owner_name")).transpose()?,
            tags: tags.iter().map(|tag| parsed("tag", tag)).collect::<Result<_, _>>()?,
            attributes,
        },
    })
}
