//! Users and workspaces. A change of one workspace runs as its tenant; reading over all of them goes through the one
//! allow-listed function of the directory.

use super::{
    Postgres,
    change::Change,
    row::{damaged, name, number, parsed},
    sql, unit,
};
use crate::{Belongings, People, StoreError, Team, User, Workspace};
use async_trait::async_trait;
use domain::{
    audit::Record,
    grant::Grant,
    id::{Name, TeamId, UserId, WorkspaceId},
    rights::Role,
};
use sqlx::{PgConnection, Row, postgres::PgRow};
use std::collections::BTreeMap;
use uuid::Uuid;

#[async_trait]
impl People for Postgres {
    async fn users(&self) -> Result<Vec<User>, StoreError> {
        let mut unit = unit::read(&self.door).await?;
        let rows = sqlx::query(sql::people::USERS).fetch_all(&mut *unit).await?;
        let users = with_places(&mut unit, &rows, None).await?;
        unit.end().await?;
        Ok(users)
    }

    async fn user(&self, name: &Name) -> Result<Option<User>, StoreError> {
        let mut unit = unit::read(&self.door).await?;
        let row = sqlx::query(sql::people::USER).bind(name.as_str()).fetch_optional(&mut *unit).await?;
        let user = place_of(&mut unit, row).await?;
        unit.end().await?;
        Ok(user)
    }

    async fn user_of_id(&self, id: UserId) -> Result<Option<User>, StoreError> {
        let mut unit = unit::read(&self.door).await?;
        let row = sqlx::query(sql::people::USER_OF_ID).bind(id.0).fetch_optional(&mut *unit).await?;
        let user = place_of(&mut unit, row).await?;
        unit.end().await?;
        Ok(user)
    }

    async fn user_of_uid(&self, uid: u32) -> Result<Option<User>, StoreError> {
        let mut unit = unit::read(&self.door).await?;
        let row = sqlx::query(sql::people::USER_OF_UID).bind(i64::from(uid)).fetch_optional(&mut *unit).await?;
        let user = place_of(&mut unit, row).await?;
        unit.end().await?;
        Ok(user)
    }

    async fn add_user(
        &self,
        id: UserId,
        name: &Name,
        uid: Option<u32>,
        workspace: &Name,
        role: Role,
        record: Record,
    ) -> Result<User, StoreError> {
        let mut change = self.change().await?;
        let tenant = change.tenant(workspace).await?;
        insert_user(&mut change, (id, name, uid), workspace, role).await?;
        insert_membership(&mut change, tenant, id, role).await?;
        let user = change.user(name).await?;
        change.record(&record).await?;
        Ok(user)
    }

    async fn set_role(
        &self,
        user: &Name,
        workspace: &Name,
        role: Option<Role>,
        record: Record,
    ) -> Result<User, StoreError> {
        let mut change = self.change().await?;
        let tenant = change.tenant(workspace).await?;
        let id = change.user(user).await?.id;
        if role != Some(Role::Owner) {
            change.keep_an_owner(tenant, workspace, id).await?;
        }
        match role {
            Some(role) => insert_membership(&mut change, tenant, id, role).await?,
            None => leave(&mut change, tenant, id).await?,
        }
        let user = change.user(user).await?;
        change.record(&record).await?;
        Ok(user)
    }

    /// Rights see only what they reach, and a guest or somebody who left a workspace has rows out of reach. So they are a member
    /// everywhere in this transaction, which never commits.
    async fn belongings(&self, name: &Name) -> Result<Belongings, StoreError> {
        let mut change = self.change().await?;
        let user = change.user(name).await?;
        change.keep_owners(&user).await?;
        // Counting may take long, and the head's lock is everybody's.
        change.abandon().await?;
        let (user, mut unit) = (user.id, unit::write(&self.serving).await?);
        subject(&mut unit, user).await?;
        let links = counted(&mut unit, sql::links::COUNT, user).await?;
        let mut rows = 0;
        let places: Vec<Uuid> = sqlx::query_scalar(sql::people::WORKSPACE_IDS).fetch_all(&mut *unit).await?;
        for place in places {
            sqlx::query(sql::people::TENANT).bind(place).execute(&mut *unit).await?;
            insert_membership(&mut unit, WorkspaceId(place), user, Role::Member).await?;
            rows += counted(&mut unit, sql::items::PERSONAL, user).await?;
        }
        unit.undo().await?;
        Ok(Belongings { rows, links })
    }

    async fn remove_user(&self, name: &Name, record: Record) -> Result<Vec<Grant>, StoreError> {
        let mut change = self.urgent_change().await?;
        let user = change.user(name).await?;
        change.keep_owners(&user).await?;
        let revoked = self.revoke_all(&mut change, user.id).await?;
        for workspace in user.roles.keys() {
            let tenant = change.tenant(workspace).await?;
            leave(&mut change, tenant, user.id).await?;
        }
        sqlx::query(sql::people::REMOVE_USER).bind(user.id.0).execute(&mut *change).await?;
        let records = crate::rules::removal(&record, &revoked);
        change.records(&records).await?;
        Ok(revoked)
    }

    async fn workspaces(&self) -> Result<Vec<Workspace>, StoreError> {
        let mut unit = unit::read(&self.door).await?;
        let rows = sqlx::query(sql::people::MEMBER_COUNTS).fetch_all(&mut *unit).await?;
        unit.end().await?;
        let workspace = |row: &PgRow| {
            Ok(Workspace {
                id: WorkspaceId(row.try_get("id")?),
                name: name(row, "name")?,
                members: number(row, "members")?,
            })
        };
        rows.iter().map(workspace).collect()
    }

    async fn add_workspace(
        &self,
        id: WorkspaceId,
        name: &Name,
        owner: UserId,
        record: Record,
    ) -> Result<Workspace, StoreError> {
        let mut change = self.change().await?;
        insert_workspace(&mut change, id, name).await?;
        insert_membership(&mut change, id, owner, Role::Owner).await?;
        change.record(&record).await?;
        Ok(Workspace { id, name: name.clone(), members: 1 })
    }

    async fn teams(&self, workspace: &Name) -> Result<Vec<Team>, StoreError> {
        self.teams_of(workspace).await
    }

    async fn add_team(&self, workspace: &Name, team: &TeamId, record: Record) -> Result<Team, StoreError> {
        self.new_team(workspace, team, record).await
    }

    async fn set_member(
        &self,
        workspace: &Name,
        team: &TeamId,
        user: &Name,
        role: Option<Role>,
        record: Record,
    ) -> Result<Team, StoreError> {
        self.set_team_member(workspace, team, user, role, record).await
    }
}

impl Change {
    /// Makes the workspace the tenant of this transaction; what exists, where it does not.
    pub(super) async fn tenant(&mut self, workspace: &Name) -> Result<WorkspaceId, StoreError> {
        tenant(self, workspace).await
    }

    /// The user of this name; where there is none, what was asked for.
    pub(super) async fn user(&mut self, name: &Name) -> Result<User, StoreError> {
        let row = sqlx::query(sql::people::USER).bind(name.as_str()).fetch_optional(&mut **self).await?;
        let user = place_of(self, row).await?;
        user.ok_or_else(|| crate::rules::no_user(name))
    }

    /// Refuses to take away a user who is some workspace's only owner.
    async fn keep_owners(&mut self, user: &User) -> Result<(), StoreError> {
        for (workspace, _) in user.roles.iter().filter(|(_, role)| **role == Role::Owner) {
            let tenant = self.tenant(workspace).await?;
            self.keep_an_owner(tenant, workspace, user.id).await?;
        }
        Ok(())
    }

    /// Refuses to leave a workspace without an owner. The tenant must be set.
    async fn keep_an_owner(&mut self, tenant: WorkspaceId, workspace: &Name, user: UserId) -> Result<(), StoreError> {
        let role: Option<String> =
            sqlx::query_scalar(sql::people::ROLE).bind(tenant.0).bind(user.0).fetch_optional(&mut **self).await?;
        let others: bool =
            sqlx::query_scalar(sql::people::OTHER_OWNER).bind(tenant.0).bind(user.0).fetch_one(&mut **self).await?;
        if role.as_deref() == Some(Role::Owner.word()) && !others {
            return Err(crate::rules::last_owner(workspace));
        }
        Ok(())
    }
}

async fn counted(connection: &mut PgConnection, statement: &'static str, of: UserId) -> Result<u64, StoreError> {
    let count: i64 = sqlx::query_scalar(statement).bind(of.0).fetch_one(connection).await?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// As [`Change::tenant`], in any transaction.
pub(super) async fn tenant(connection: &mut PgConnection, workspace: &Name) -> Result<WorkspaceId, StoreError> {
    let id: Option<Uuid> =
        sqlx::query_scalar(sql::people::WORKSPACE).bind(workspace.as_str()).fetch_optional(&mut *connection).await?;
    let Some(id) = id else {
        let known: Vec<String> = sqlx::query_scalar(sql::people::WORKSPACE_NAMES).fetch_all(connection).await?;
        return Err(crate::rules::no_workspace(workspace, known.iter().map(String::as_str)));
    };
    sqlx::query(sql::people::TENANT).bind(id).execute(connection).await?;
    Ok(WorkspaceId(id))
}

/// Makes a local user the acting one of this transaction.
pub(super) async fn subject(connection: &mut PgConnection, user: UserId) -> Result<(), StoreError> {
    sqlx::query(sql::people::SUBJECT).bind(user.0).execute(connection).await?;
    Ok(())
}

pub(super) async fn insert_user(
    connection: &mut PgConnection,
    (id, name, uid): (UserId, &Name, Option<u32>),
    workspace: &Name,
    role: Role,
) -> Result<(), StoreError> {
    let added = sqlx::query(sql::people::ADD_USER)
        .bind(id.0)
        .bind(name.as_str())
        .bind(uid.map(i64::from))
        .execute(&mut *connection)
        .await?;
    if added.rows_affected() == 1 {
        return Ok(());
    }
    let namesake = sqlx::query(sql::people::USER).bind(name.as_str()).fetch_optional(&mut *connection).await?;
    let namesake = place_of(connection, namesake).await?;
    let holder = sqlx::query(sql::people::USER_OF_UID).bind(uid.map(i64::from)).fetch_optional(connection).await?;
    let holder = holder.as_ref().map(user).transpose()?;
    let holder = uid.zip(holder.as_ref().map(|holder| &holder.name));
    Err(match (&namesake, holder) {
        (None, None) => crate::rules::user_id_taken(id),
        _ => crate::rules::user_taken(namesake.as_ref(), holder, workspace, role),
    })
}

pub(super) async fn insert_workspace(
    connection: &mut PgConnection,
    id: WorkspaceId,
    name: &Name,
) -> Result<(), StoreError> {
    let added =
        sqlx::query(sql::people::ADD_WORKSPACE).bind(id.0).bind(name.as_str()).execute(&mut *connection).await?;
    if added.rows_affected() != 1 {
        return Err(crate::rules::workspace_taken(name));
    }
    sqlx::query(sql::people::TENANT).bind(id.0).execute(connection).await?;
    Ok(())
}

/// The tenant must be set.
pub(super) async fn insert_membership(
    connection: &mut PgConnection,
    workspace: WorkspaceId,
    user: UserId,
    role: Role,
) -> Result<(), StoreError> {
    let query = sqlx::query(sql::people::SET_ROLE).bind(workspace.0).bind(user.0).bind(role.word());
    match query.execute(connection).await {
        Ok(_) => Ok(()),
        // The workspace was read or made in this transaction; only the user can be missing.
        Err(sqlx::Error::Database(error)) if error.is_foreign_key_violation() => Err(crate::rules::no_user_id(user)),
        Err(error) => Err(error.into()),
    }
}

/// Takes a user out of a workspace and its teams. The tenant must be set.
async fn leave(connection: &mut PgConnection, workspace: WorkspaceId, user: UserId) -> Result<(), StoreError> {
    for statement in [sql::people::TOUCH_TEAMS_OF, sql::people::LEAVE] {
        sqlx::query(statement).bind(workspace.0).bind(user.0).execute(&mut *connection).await?;
    }
    Ok(())
}

async fn place_of(connection: &mut PgConnection, row: Option<PgRow>) -> Result<Option<User>, StoreError> {
    let Some(row) = row else { return Ok(None) };
    let only: Uuid = row.try_get("id")?;
    Ok(with_places(connection, std::slice::from_ref(&row), Some(only)).await?.pop())
}

/// Users with their roles and teams everywhere.
async fn with_places(
    connection: &mut PgConnection,
    rows: &[PgRow],
    only: Option<Uuid>,
) -> Result<Vec<User>, StoreError> {
    let places = sqlx::query(sql::people::DIRECTORY).bind(only).fetch_all(connection).await?;
    let mut users = rows.iter().map(user).collect::<Result<Vec<_>, _>>()?;
    let mut by_id: BTreeMap<UserId, &mut User> = users.iter_mut().map(|user| (user.id, user)).collect();
    for place in &places {
        let Some(user) = by_id.get_mut(&UserId(place.try_get("user_id")?)) else { continue };
        let workspace = name(place, "workspace_name")?;
        user.roles.insert(workspace.clone(), parsed("role", place.try_get("role")?)?);
        let teams: Vec<String> = place.try_get("teams")?;
        let teams = teams.iter().map(|team| parsed("team id", team)).collect::<Result<Vec<TeamId>, _>>()?;
        if !teams.is_empty() {
            user.teams.insert(workspace, teams);
        }
    }
    Ok(users)
}

fn user(row: &PgRow) -> Result<User, StoreError> {
    let uid: Option<i64> = row.try_get("uid")?;
    Ok(User {
        id: UserId(row.try_get("id")?),
        name: name(row, "name")?,
        uid: uid.map(u32::try_from).transpose().map_err(|cause| damaged("uid", cause))?,
        roles: BTreeMap::new(),
        teams: BTreeMap::new(),
    })
}
