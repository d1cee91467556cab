//! Users, workspaces, teams and the instance.

use super::{Model, State};
use crate::{Belongings, Instance, InstanceRecord, People, StoreError, Team, User, Workspace, rules};
use async_trait::async_trait;
use domain::{
    audit::Record,
    grant::Grant,
    id::{Name, TeamId, UserId, WorkspaceId},
    rights::Role,
};
use std::{collections::BTreeMap, sync::Arc};

#[async_trait]
impl People for Model {
    async fn users(&self) -> Result<Vec<User>, StoreError> {
        let state = self.state();
        Ok(state.users.keys().filter_map(|name| state.user(name).ok()).collect())
    }

    async fn user(&self, name: &Name) -> Result<Option<User>, StoreError> {
        Ok(self.state().user(name).ok())
    }

    async fn user_of_id(&self, id: UserId) -> Result<Option<User>, StoreError> {
        let state = self.state();
        Ok(state.user_name(id).and_then(|name| state.user(&name).ok()))
    }

    async fn user_of_uid(&self, uid: u32) -> Result<Option<User>, StoreError> {
        let state = self.state();
        let found = state.users.iter().find(|(_, (_, acting))| *acting == Some(uid));
        Ok(found.and_then(|(name, _)| state.user(name).ok()))
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
        self.change(|state| {
            let place = state.workspace(workspace)?;
            state.insert_user((id, name, uid), workspace, role)?;
            state.roles.insert((place, id), role);
            Ok((state.user(name)?, vec![record]))
        })
    }

    async fn set_role(
        &self,
        user: &Name,
        workspace: &Name,
        role: Option<Role>,
        record: Record,
    ) -> Result<User, StoreError> {
        self.change(|state| {
            let place = state.workspace(workspace)?;
            let id = state.user(user)?.id;
            if role != Some(Role::Owner) {
                state.keep_an_owner(place, workspace, id)?;
            }
            match role {
                Some(role) => drop(state.roles.insert((place, id), role)),
                None => state.leave(place, id),
            }
            Ok((state.user(user)?, vec![record]))
        })
    }

    async fn belongings(&self, name: &Name) -> Result<Belongings, StoreError> {
        let state = self.state();
        let user = state.user(name)?;
        for workspace in user.roles.keys() {
            state.keep_an_owner(state.workspace(workspace)?, workspace, user.id)?;
        }
        let user = user.id;
        let rows = state.items.values().filter(|row| row.is_personal_to(user)).count() as u64;
        let links = state.links.keys().filter(|(owner, _)| *owner == user).count() as u64;
        Ok(Belongings { rows, links })
    }

    async fn remove_user(&self, name: &Name, record: Record) -> Result<Vec<Grant>, StoreError> {
        let now = self.world.now();
        self.change(|state| {
            let user = state.user(name)?;
            for workspace in user.roles.keys() {
                let place = state.workspace(workspace)?;
                state.keep_an_owner(place, workspace, user.id)?;
                state.leave(place, user.id);
            }
            let revoked = state.revoke_all(user.id, now)?;
            state.users.remove(name);
            state.links.retain(|(owner, _), _| *owner != user.id);
            state.link_keys.retain(|(owner, _), _| *owner != user.id);
            state.awaits.retain(|(owner, _), _| *owner != user.id);
            state.link_calls.retain(|(owner, _), _| *owner != user.id);
            state.tokens.retain(|_, token| token.owner != user.id);
            Arc::make_mut(&mut state.items).retain(|_, row| !row.is_personal_to(user.id));
            let records = rules::removal(&record, &revoked);
            Ok((revoked, records))
        })
    }

    async fn workspaces(&self) -> Result<Vec<Workspace>, StoreError> {
        let state = self.state();
        let members = |id: WorkspaceId| state.roles.keys().filter(|(place, _)| *place == id).count() as u64;
        let workspace =
            |(name, id): (&Name, &WorkspaceId)| Workspace { id: *id, name: name.clone(), members: members(*id) };
        Ok(state.workspaces.iter().map(workspace).collect())
    }

    async fn add_workspace(
        &self,
        id: WorkspaceId,
        name: &Name,
        owner: UserId,
        record: Record,
    ) -> Result<Workspace, StoreError> {
        self.change(|state| {
            state.insert_workspace(id, name)?;
            state.user_name(owner).ok_or_else(|| rules::no_user_id(owner))?;
            state.roles.insert((id, owner), Role::Owner);
            Ok((Workspace { id, name: name.clone(), members: 1 }, vec![record]))
        })
    }

    async fn teams(&self, workspace: &Name) -> Result<Vec<Team>, StoreError> {
        let state = self.state();
        let place = state.workspace(workspace)?;
        Ok(state.teams_of(place).filter_map(|team| state.team(workspace, &team).ok()).collect())
    }

    async fn add_team(&self, workspace: &Name, team: &TeamId, record: Record) -> Result<Team, StoreError> {
        self.change(|state| {
            let place = state.workspace(workspace)?;
            if state.teams.insert((place, team.clone()), BTreeMap::new()).is_some() {
                return Err(rules::team_taken(team, workspace));
            }
            Ok((state.team(workspace, team)?, vec![record]))
        })
    }

    async fn set_member(
        &self,
        workspace: &Name,
        team: &TeamId,
        user: &Name,
        role: Option<Role>,
        record: Record,
    ) -> Result<Team, StoreError> {
        rules::team_role(role)?;
        self.change(|state| {
            let place = state.workspace(workspace)?;
            state.team(workspace, team)?;
            let member = state.user(user)?.id;
            if !state.roles.contains_key(&(place, member)) {
                return Err(rules::not_in_workspace(user, workspace, role.is_some()));
            }
            let members = state.teams.entry((place, team.clone())).or_default();
            match role {
                Some(role) => members.insert(member, role),
                None => members.remove(&member),
            };
            Ok((state.team(workspace, team)?, vec![record]))
        })
    }
}

#[async_trait]
impl Instance for Model {
    async fn instance(&self) -> Result<Option<InstanceRecord>, StoreError> {
        Ok(self.state().instance.clone())
    }

    async fn create_instance(
        &self,
        instance: &InstanceRecord,
        workspace: (WorkspaceId, Name),
        owner: (UserId, Name, Option<u32>),
        record: Record,
    ) -> Result<(), StoreError> {
        self.change(|state| {
            if state.instance.replace(instance.clone()).is_some() {
                return Err(rules::instance_taken());
            }
            state.insert_workspace(workspace.0, &workspace.1)?;
            state.insert_user((owner.0, &owner.1, owner.2), &workspace.1, Role::Owner)?;
            state.roles.insert((workspace.0, owner.0), Role::Owner);
            Ok(((), vec![record]))
        })
    }

    async fn ping(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

impl State {
    fn workspace(&self, name: &Name) -> Result<WorkspaceId, StoreError> {
        let known = || self.workspaces.keys().map(Name::as_str);
        self.workspaces.get(name).copied().ok_or_else(|| rules::no_workspace(name, known()))
    }

    fn user(&self, name: &Name) -> Result<User, StoreError> {
        let (id, uid) = *self.users.get(name).ok_or_else(|| rules::no_user(name))?;
        let mut user = User { id, name: name.clone(), uid, roles: BTreeMap::new(), teams: BTreeMap::new() };
        for (workspace, place) in &self.workspaces {
            let rights = self.rights(*place, id);
            if let Some(role) = rights.role {
                user.roles.insert(workspace.clone(), role);
            }
            if !rights.teams.is_empty() {
                user.teams.insert(workspace.clone(), rights.teams.into_iter().collect());
            }
        }
        Ok(user)
    }

    fn team(&self, workspace: &Name, team: &TeamId) -> Result<Team, StoreError> {
        let place = self.workspace(workspace)?;
        let members = self.teams.get(&(place, team.clone())).ok_or_else(|| {
            let known: Vec<_> = self.teams_of(place).collect();
            rules::no_team(team, workspace, known.iter())
        })?;
        let member = |(id, role): (&UserId, &Role)| self.user_name(*id).map(|name| (name, *role));
        Ok(Team {
            workspace: workspace.clone(),
            id: team.clone(),
            members: members.iter().filter_map(member).collect(),
        })
    }

    pub(super) fn teams_of(&self, place: WorkspaceId) -> impl Iterator<Item = TeamId> {
        self.teams.keys().filter(move |(workspace, _)| *workspace == place).map(|(_, team)| team.clone())
    }

    fn insert_user(
        &mut self,
        (id, name, uid): (UserId, &Name, Option<u32>),
        workspace: &Name,
        role: Role,
    ) -> Result<(), StoreError> {
        let namesake = self.user(name).ok();
        let holder = self.users.iter().find(|(_, (_, other))| uid.is_some() && *other == uid);
        let holder = uid.zip(holder.map(|(holder, _)| holder));
        if namesake.is_some() || holder.is_some() {
            return Err(rules::user_taken(namesake.as_ref(), holder, workspace, role));
        }
        if self.users.values().any(|(other, _)| *other == id) {
            return Err(rules::user_id_taken(id));
        }
        self.users.insert(name.clone(), (id, uid));
        Ok(())
    }

    fn insert_workspace(&mut self, id: WorkspaceId, name: &Name) -> Result<(), StoreError> {
        if self.workspaces.contains_key(name) || self.workspaces.values().any(|known| *known == id) {
            return Err(rules::workspace_taken(name));
        }
        self.workspaces.insert(name.clone(), id);
        Ok(())
    }

    fn leave(&mut self, place: WorkspaceId, user: UserId) {
        self.roles.remove(&(place, user));
        for ((workspace, _), members) in &mut self.teams {
            if *workspace == place {
                members.remove(&user);
            }
        }
    }

    fn keep_an_owner(&self, place: WorkspaceId, name: &Name, user: UserId) -> Result<(), StoreError> {
        let owner = |((workspace, id), role): (&(WorkspaceId, UserId), &Role)| {
            (*workspace == place && *role == Role::Owner).then_some(*id)
        };
        let owners: Vec<_> = self.roles.iter().filter_map(owner).collect();
        if owners == [user] { Err(rules::last_owner(name)) } else { Ok(()) }
    }
}
