//! Links.

use super::{Model, State};
use crate::{LinkEnd, LinkEntry, LinkKey, LinkRecord, Links, NextLeaf, StoreError, rules};
use async_trait::async_trait;
use domain::{
    audit::Record,
    id::{GrantId, Spki, UserId},
};

#[async_trait]
impl Links for Model {
    async fn links(&self, owner: UserId) -> Result<Vec<LinkRecord>, StoreError> {
        let state = self.state();
        let mut links: Vec<_> = state.links.values().filter(|link| link.owner == owner).cloned().collect();
        links.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(links)
    }

    async fn add_link(&self, link: &LinkRecord, record: Record) -> Result<(), StoreError> {
        self.change(|state| {
            state.user_name(link.owner).ok_or_else(|| rules::no_user_id(link.owner))?;
            let clash =
                |other: &LinkRecord| other.owner == link.owner && (other.name == link.name || other.id == link.id);
            if state.links.values().any(clash) {
                return Err(rules::link_taken(&link.name, link.id));
            }
            state.links.insert((link.owner, link.id), link.clone());
            Ok(((), vec![record]))
        })
    }

    async fn replace_link(&self, link: &LinkRecord, record: Record) -> Result<(), StoreError> {
        self.change(|state| {
            let found = state.links.get_mut(&(link.owner, link.id)).ok_or_else(|| rules::no_link(link.id))?;
            let (name, added_at) = (found.name.clone(), found.added_at);
            *found = LinkRecord { name, added_at, next: None, end: None, ..link.clone() };
            Ok(((), vec![record]))
        })
    }

    async fn keep_next(&self, link: &LinkRecord, next: &NextLeaf, record: Record) -> Result<bool, StoreError> {
        self.change(|state| {
            let found = state.links.get_mut(&(link.owner, link.id));
            let found = found.filter(|found| found.certificate == link.certificate);
            let kept = found.map(|found| found.next = Some(next.clone())).is_some();
            Ok((kept, if kept { vec![record] } else { Vec::new() }))
        })
    }

    async fn take_next(&self, link: &LinkRecord, certificate: &[u8], record: Record) -> Result<bool, StoreError> {
        self.change(|state| {
            let Some((found, next)) = state.waiting(link, certificate) else { return Ok((false, Vec::new())) };
            *found = found.following(&next);
            Ok((true, vec![record]))
        })
    }

    async fn drop_next(&self, link: &LinkRecord, certificate: &[u8], record: Record) -> Result<bool, StoreError> {
        self.change(|state| {
            let dropped = state.waiting(link, certificate).is_some();
            Ok((dropped, if dropped { vec![record] } else { Vec::new() }))
        })
    }

    async fn forget_words(&self, link: &LinkRecord) -> Result<(), StoreError> {
        self.change(|state| {
            let kept = state.links.get_mut(&(link.owner, link.id));
            if let Some(kept) = kept.filter(|kept| kept.words == link.words) {
                kept.words = None;
            }
            Ok(((), Vec::new()))
        })
    }

    async fn remember_end(&self, link: &LinkRecord, end: Option<LinkEnd>) -> Result<(), StoreError> {
        self.change(|state| {
            let found = state.links.get_mut(&(link.owner, link.id));
            if let Some(found) = found.filter(|found| found.certificate == link.certificate) {
                found.end = end.map(|end| found.end.unwrap_or(end));
            }
            Ok(((), Vec::new()))
        })
    }

    async fn remove_link(&self, owner: UserId, link: GrantId, record: Record) -> Result<bool, StoreError> {
        self.change(|state| {
            let removed = state.links.remove(&(owner, link)).is_some();
            Ok((removed, if removed { vec![record] } else { Vec::new() }))
        })
    }

    async fn keep_link_key(&self, key: &LinkKey) -> Result<(), StoreError> {
        let now = self.world.now();
        self.change(|state| {
            state.user_name(key.owner).ok_or_else(|| rules::no_user_id(key.owner))?;
            state.link_keys.retain(|(owner, _), kept| *owner != key.owner || kept.not_after > now);
            let same = |kept: &LinkKey| kept.owner == key.owner && kept.invite.is_some() && kept.invite == key.invite;
            if state.link_keys.contains_key(&(key.owner, key.spki)) || state.link_keys.values().any(same) {
                return Err(rules::link_key_taken());
            }
            state.link_keys.insert((key.owner, key.spki), key.clone());
            Ok(((), Vec::new()))
        })
    }

    async fn link_keys(&self, owner: UserId) -> Result<Vec<LinkKey>, StoreError> {
        let (state, now) = (self.state(), self.world.now());
        let own = state.link_keys.values().filter(|kept| kept.owner == owner && kept.not_after > now);
        let mut own: Vec<_> = own.cloned().collect();
        own.sort_by_key(|kept| kept.not_after);
        Ok(own)
    }

    async fn forget_link_key(&self, owner: UserId, key: Spki) -> Result<(), StoreError> {
        self.change(|state| {
            state.link_keys.remove(&(owner, key));
            Ok(((), Vec::new()))
        })
    }

    async fn link_directory(&self) -> Result<Vec<LinkEntry>, StoreError> {
        let state = self.state();
        let entry = |link: &LinkRecord| {
            let owner = state.user_name(link.owner)?;
            let LinkRecord { id, name, peer_name, added_at, .. } = link.clone();
            Some(LinkEntry { id, name, owner, peer_name, added_at })
        };
        let mut entries: Vec<_> = state.links.values().filter_map(entry).collect();
        entries.sort_by(|a, b| (&a.owner, &a.name).cmp(&(&b.owner, &b.name)));
        Ok(entries)
    }
}

impl State {
    /// Takes what was kept out of the link, if it has this certificate.
    fn waiting(&mut self, link: &LinkRecord, certificate: &[u8]) -> Option<(&mut LinkRecord, NextLeaf)> {
        let found = self.links.get_mut(&(link.owner, link.id))?;
        let next = found.next.take_if(|next| next.certificate == certificate)?;
        Some((found, next))
    }
}
