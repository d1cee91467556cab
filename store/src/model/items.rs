//! Rows.

use super::{Model, Row, State};
use crate::{
    Access, After, Alike, Chunk, Items, Put, StoreError,
    rules::{Judged, Window, Writer, chunk, content, kept_back, nowhere, undone},
};
use async_trait::async_trait;
use domain::{
    Time,
    grant::Grant,
    id::{ItemId, Resource, TeamId, UserId, WorkspaceId},
    item::{Item, NewItem, StoredItem, Whose},
    operation::{Get, List},
    rights::Rights,
    scope::Filter,
};
use std::{collections::BTreeMap, sync::Arc};

#[async_trait]
impl Items for Model {
    async fn list(&self, access: Access<'_, List>) -> Result<Chunk, StoreError> {
        let window = Window::of(&access)?;
        let operation = access.operation();
        let filter = access.filter()?;
        let state = self.state();
        let rights = state.rights(access.workspace(), access.user());
        let mut rows = state.visible(&rights, &operation.resource, filter);
        rows.retain(|row| window.after.is_none_or(|after| row.item.position() < after));
        rows.sort_by_key(|row| std::cmp::Reverse(row.item.position()));
        rows.truncate(window.rows as usize + 1);
        let found = rows.len();
        if !operation.include_body {
            for row in &mut rows {
                row.item.body = None;
            }
        }
        Ok(chunk(&access, &rights, &window, rows, found, self.world.now())?)
    }

    async fn get(&self, access: Access<'_, Get>) -> Result<Option<(Item, Time)>, StoreError> {
        let operation = access.operation();
        let filter = access.filter()?;
        let state = self.state();
        let rights = state.rights(access.workspace(), access.user());
        let rows = state.visible(&rights, &operation.resource, filter);
        let Some(row) = rows.into_iter().find(|row| row.item.id == operation.id) else { return Ok(None) };
        Ok(Some((access.judge(&rights, row)?, self.world.now())))
    }

    async fn count(&self, grant: &Grant) -> Result<BTreeMap<Resource, u64>, StoreError> {
        let state = self.state();
        let rights = state.rights(grant.workspace, grant.subject);
        let count = |(resource, filter): (&Resource, &Filter)| {
            (resource.clone(), state.visible(&rights, resource, Some(filter)).len() as u64)
        };
        Ok(grant.scope.resources().map(count).collect())
    }

    async fn put(
        &self,
        workspace: WorkspaceId,
        user: UserId,
        items: Vec<NewItem>,
        after: After,
    ) -> Result<Vec<Put>, StoreError> {
        match after {
            After::Keep => self.put_into(&mut self.state(), workspace, user, items),
            After::Undo => {
                let mut copy = self.state().clone();
                self.put_into(&mut copy, workspace, user, items).map(undone)
            }
        }
    }

    async fn sourced(
        &self,
        workspace: WorkspaceId,
        user: UserId,
        source: &str,
        keys: Option<&[String]>,
    ) -> Result<BTreeMap<Option<TeamId>, u64>, StoreError> {
        let state = self.state();
        let (rights, source) = (state.rights(workspace, user), format!("{source}/"));
        let is_meant = |key: &String| key.starts_with(&source) && keys.is_none_or(|keys| keys.contains(key));
        let is_of_it = |row: &&Row| {
            row.stored.whose == Whose::Of(user)
                && row.source_key.as_ref().is_some_and(is_meant)
                && rights.admit(&row.stored)
        };
        let mut teams = BTreeMap::new();
        for row in state.items.values().filter(is_of_it) {
            *teams.entry(row.stored.item.team.clone()).or_default() += 1;
        }
        Ok(teams)
    }

    async fn alike(
        &self,
        workspace: WorkspaceId,
        user: UserId,
        source: &str,
        rows: &[Alike],
    ) -> Result<BTreeMap<String, u64>, StoreError> {
        let state = self.state();
        let (rights, source) = (state.rights(workspace, user), format!("{source}/"));
        let mut places = BTreeMap::new();
        let own = |row: &&Row| row.stored.whose == Whose::Of(user) && rights.admit(&row.stored);
        for row in state.items.values().filter(own) {
            let (item, key) = (&row.stored.item, row.source_key.as_deref().filter(|key| !key.starts_with(&source)));
            let is_like = |one: &&Alike| one.resource == item.resource && Some(&one.title) == item.title.as_ref();
            for one in rows.iter().filter(is_like) {
                if let Some(place) =
                    key.and_then(|key| key.strip_suffix(&one.key_end)).filter(|place| !place.is_empty())
                {
                    *places.entry(place.to_owned()).or_default() += 1;
                }
            }
        }
        Ok(places)
    }
}

impl Model {
    fn put_into(
        &self,
        state: &mut State,
        workspace: WorkspaceId,
        user: UserId,
        items: Vec<NewItem>,
    ) -> Result<Vec<Put>, StoreError> {
        let rights = state.rights(workspace, user);
        let every = state.teams_of(workspace).collect();
        let writer = Writer::new(rights.role, rights.teams.clone(), every).ok_or_else(nowhere)?;
        let put = |item: NewItem| match writer.judge(&item) {
            Err(cause) => Put::Refused(cause),
            Ok(()) => self.put_one(state, &rights, item),
        };
        Ok(items.into_iter().map(put).collect())
    }

    fn put_one(&self, state: &mut State, rights: &Rights, item: NewItem) -> Put {
        let (now, content) = (self.world.now(), content(&item));
        let found = state.row_of_source(rights, &item);
        let (id, created_at) = match found {
            Some(row) if !rights.admit(&row.stored) => return kept_back(&item.title),
            Some(row) if row.content == content => return Put::Unchanged(Some(row.stored.item.id)),
            Some(row) => (row.stored.item.id, row.stored.item.created_at),
            None => (ItemId(self.world.uuid()), now),
        };
        let put = if found.is_some() { Put::Updated(Some(id)) } else { Put::Added(Some(id)) };
        let owner = state.user_name(rights.user);
        let stored = StoredItem {
            workspace: rights.workspace,
            whose: Whose::Of(rights.user),
            item: Item {
                id,
                resource: item.resource,
                created_at: item.created_at.unwrap_or(created_at),
                updated_at: now,
                title: Some(item.title),
                body: item.body,
                team: item.team,
                project: item.project,
                owner,
                tags: item.tags,
                attributes: item.attributes,
            },
        };
        let row = Row { stored, source_key: item.source_key, content };
        Arc::make_mut(&mut state.items).insert(id, row);
        put
    }
}

impl State {
    fn visible(&self, rights: &Rights, resource: &Resource, filter: Option<&Filter>) -> Vec<StoredItem> {
        let visible = |row: &StoredItem| rights.admit(row) && filter.is_none_or(|filter| filter.admit(row));
        let entries = self.entries(rights, resource).into_iter().filter(|row| visible(row));
        let rows = self.items.values().map(|row| &row.stored);
        let rows = rows.filter(|row| row.item.resource == *resource && visible(row)).cloned();
        entries.chain(rows).map(|row| self.named(row)).collect()
    }

    /// The owner's name as it is now: none once they are gone.
    fn named(&self, mut row: StoredItem) -> StoredItem {
        let (Whose::Of(owner) | Whose::Listed { person: Some(owner), .. }) = row.whose else { return row };
        row.item.owner = self.user_name(owner);
        row
    }

    fn row_of_source(&self, rights: &Rights, item: &NewItem) -> Option<&Row> {
        item.source_key.as_ref()?;
        self.items.values().find(|row| {
            row.source_key == item.source_key
                && row.stored.whose == Whose::Of(rights.user)
                && row.stored.workspace == rights.workspace
                && row.stored.item.resource == item.resource
        })
    }
}
