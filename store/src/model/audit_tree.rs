//! The tree over the log.

use super::Model;
use crate::{AuditTree, FullTile, StoreError};
use async_trait::async_trait;
use domain::{
    audit::tree::{Edge, TileId, WIDTH},
    id::{EntryHash, NodeHash},
};

#[async_trait]
impl AuditTree for Model {
    async fn hashes(&self, after: u64, limit: u32) -> Result<Vec<EntryHash>, StoreError> {
        let state = self.state();
        let behind = state.log.iter().filter(|entry| entry.sequence > after);
        Ok(behind.take(limit as usize).map(|entry| entry.hash).collect())
    }

    async fn tree(&self) -> Result<Option<Edge>, StoreError> {
        let state = self.state();
        let of = |level: u8| state.tiles.iter().filter(move |(id, _)| id.level == level);
        let used = |level: u8| of(level).count() * WIDTH;
        let roots = |level: u8| of(level).skip(used(level + 1)).map(|(_, (_, root))| *root).collect();
        let levels = (0..).take_while(|level| of(*level).next().is_some());
        Ok(Edge::of_tiles(of(0).count() as u64, levels.map(roots).collect()))
    }

    async fn tile(&self, id: TileId) -> Result<Option<Vec<NodeHash>>, StoreError> {
        Ok(self.state().tiles.get(&id).map(|(hashes, _)| hashes.clone()))
    }

    async fn keep_tiles(&self, tiles: &[FullTile]) -> Result<(), StoreError> {
        let mut state = self.state();
        for FullTile { id, hashes, root } in tiles {
            state.tiles.entry(*id).or_insert_with(|| (hashes.clone(), *root));
        }
        Ok(())
    }

    async fn forget_tiles(&self) -> Result<(), StoreError> {
        self.state().tiles.clear();
        Ok(())
    }
}
