//! Teams of one workspace, which is the tenant of every transaction here.

use super::{Postgres, people::tenant, row::parsed, sql, unit};
use crate::{StoreError, Team, rules};
use domain::{
    audit::Record,
    id::{Name, TeamId, WorkspaceId},
    rights::Role,
};
use sqlx::{PgConnection, Row, postgres::PgRow};

impl Postgres {
    pub(super) async fn teams_of(&self, workspace: &Name) -> Result<Vec<Team>, StoreError> {
        let mut unit = unit::read(&self.door).await?;
        let id = tenant(&mut unit, workspace).await?;
        let teams = read(&mut unit, id, workspace).await?;
        unit.end().await?;
        Ok(teams)
    }

    pub(super) async fn new_team(&self, workspace: &Name, team: &TeamId, record: Record) -> Result<Team, StoreError> {
        let mut change = self.change().await?;
        let id = change.tenant(workspace).await?;
        let added = sqlx::query(sql::people::ADD_TEAM).bind(id.0).bind(team.as_str()).execute(&mut *change).await?;
        if added.rows_affected() != 1 {
            return Err(rules::team_taken(team, workspace));
        }
        let team = one(&mut change, id, workspace, team).await?;
        change.record(&record).await?;
        Ok(team)
    }

    pub(super) async fn set_team_member(
        &self,
        workspace: &Name,
        team: &TeamId,
        user: &Name,
        role: Option<Role>,
        record: Record,
    ) -> Result<Team, StoreError> {
        rules::team_role(role)?;
        let mut change = self.change().await?;
        let id = change.tenant(workspace).await?;
        one(&mut change, id, workspace, team).await?;
        let member = change.user(user).await?;
        if !member.roles.contains_key(workspace) {
            return Err(rules::not_in_workspace(user, workspace, role.is_some()));
        }
        let query = match role {
            Some(_) => sqlx::query(sql::people::SET_MEMBER),
            None => sqlx::query(sql::people::LEAVE_TEAM),
        };
        let query = query.bind(id.0).bind(team.as_str()).bind(member.id.0);
        match role {
            Some(role) => query.bind(role.word()).execute(&mut *change).await?,
            None => query.execute(&mut *change).await?,
        };
        sqlx::query(sql::people::TOUCH_TEAM).bind(id.0).bind(team.as_str()).execute(&mut *change).await?;
        sqlx::query(sql::people::TOUCH_PERSON).bind(id.0).bind(member.id.0).execute(&mut *change).await?;
        let team = one(&mut change, id, workspace, team).await?;
        change.record(&record).await?;
        Ok(team)
    }
}

async fn read(connection: &mut PgConnection, id: WorkspaceId, workspace: &Name) -> Result<Vec<Team>, StoreError> {
    let rows = sqlx::query(sql::people::TEAMS).bind(id.0).fetch_all(connection).await?;
    rows.iter().map(|row| team(row, workspace)).collect()
}

async fn one(
    connection: &mut PgConnection,
    id: WorkspaceId,
    workspace: &Name,
    team: &TeamId,
) -> Result<Team, StoreError> {
    let teams = read(connection, id, workspace).await?;
    let found = teams.iter().find(|found| found.id == *team).cloned();
    found.ok_or_else(|| rules::no_team(team, workspace, teams.iter().map(|team| &team.id)))
}

fn team(row: &PgRow, workspace: &Name) -> Result<Team, StoreError> {
    let (names, roles): (Vec<String>, Vec<String>) = (row.try_get("names")?, row.try_get("roles")?);
    let member = |(name, role): (&String, &String)| Ok((parsed("name", name)?, parsed("role", role)?));
    Ok(Team {
        workspace: workspace.clone(),
        id: parsed("team id", row.try_get("id")?)?,
        members: names.iter().zip(&roles).map(member).collect::<Result<_, StoreError>>()?,
    })
}
