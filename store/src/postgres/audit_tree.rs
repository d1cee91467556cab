//! The tree over the log: full tiles, and the hashes that more of them are made of.

use super::{
    Postgres,
    row::{bigint, digest},
    sql::audit as sql,
    unit,
};
use crate::{AuditTree, FullTile, StoreError};
use async_trait::async_trait;
use domain::{
    audit::tree::{Edge, TileId, WIDTH},
    id::{EntryHash, NodeHash},
};
use sqlx::{Row, postgres::PgRow};

#[async_trait]
impl AuditTree for Postgres {
    async fn hashes(&self, after: u64, limit: u32) -> Result<Vec<EntryHash>, StoreError> {
        let mut unit = unit::read(&self.serving).await?;
        let rows = sqlx::query(sql::HASHES).bind(bigint(after)).bind(i64::from(limit)).fetch_all(&mut *unit).await?;
        unit.end().await?;
        rows.iter().map(|row| column(row, "hash").map(EntryHash)).collect()
    }

    async fn tree(&self) -> Result<Option<Edge>, StoreError> {
        // One snapshot, whatever is kept while this reads.
        let mut unit = unit::read(&self.serving).await?;
        let mut counts = Vec::new();
        for (at, row) in (0..).zip(sqlx::query(sql::TILE_COUNTS).fetch_all(&mut *unit).await?) {
            let (level, count): (i16, i64) = (row.try_get("level")?, row.try_get("count")?);
            if level != at {
                unit.end().await?;
                return Ok(None);
            }
            counts.push(count);
        }
        let mut roots = Vec::new();
        for (level, above) in (0_i16..).zip(counts.iter().skip(1).chain([&0])).take(counts.len()) {
            let Some(from) = above.checked_mul(i64::try_from(WIDTH).unwrap_or(i64::MAX)) else {
                unit.end().await?;
                return Ok(None);
            };
            let rows = sqlx::query(sql::TILE_ROOTS).bind(level).bind(from).fetch_all(&mut *unit).await?;
            roots.push(rows.iter().map(|row| column(row, "root").map(NodeHash)).collect::<Result<_, _>>()?);
        }
        unit.end().await?;
        let tiles = counts.first().map_or(0, |count| count.unsigned_abs());
        Ok(Edge::of_tiles(tiles, roots))
    }

    async fn tile(&self, id: TileId) -> Result<Option<Vec<NodeHash>>, StoreError> {
        let mut unit = unit::read(&self.serving).await?;
        let row =
            sqlx::query(sql::TILE).bind(i16::from(id.level)).bind(bigint(id.number)).fetch_optional(&mut *unit).await?;
        unit.end().await?;
        let Some(row) = row else { return Ok(None) };
        let hashes: &[u8] = row.try_get("hashes")?;
        hashes.chunks(32).map(|hash| digest(hash).map(NodeHash)).collect::<Result<_, _>>().map(Some)
    }

    async fn keep_tiles(&self, tiles: &[FullTile]) -> Result<(), StoreError> {
        let levels: Vec<_> = tiles.iter().map(|tile| i16::from(tile.id.level)).collect();
        let numbers: Vec<_> = tiles.iter().map(|tile| bigint(tile.id.number)).collect();
        let hashes: Vec<_> = tiles.iter().map(|tile| tile.hashes.iter().flat_map(|hash| hash.0).collect()).collect();
        let roots: Vec<_> = tiles.iter().map(|tile| tile.root.0.to_vec()).collect();
        let mut unit = unit::write(&self.serving).await?;
        let kept = sqlx::query(sql::KEEP_TILES).bind(levels).bind(numbers);
        kept.bind::<Vec<Vec<u8>>>(hashes).bind(roots).execute(&mut *unit).await?;
        unit.end().await?;
        Ok(())
    }

    async fn forget_tiles(&self) -> Result<(), StoreError> {
        let mut unit = unit::write(&self.serving).await?;
        sqlx::query(sql::FORGET_TILES).execute(&mut *unit).await?;
        unit.end().await?;
        Ok(())
    }
}

fn column(row: &PgRow, name: &str) -> Result<[u8; 32], StoreError> {
    digest(row.try_get(name)?)
}
