//! A Merkle tree over the log, so that of one entry it can be shown that it is in a log, and of a log that it only grew, without the rest.
//!
//! The hashes are those of RFC 6962 section 2.1 with SHA-256. A leaf is an entry's hash, 32 bytes, which covers the entry and all before it: so
//! the tree binds what the chain binds, and whoever is given it learns nothing of what was recorded. It is kept in tiles of 256 hashes
//! as C2SP tlog-tiles lays them out: at level 0 the leaves' own, above it one for each full tile below.

use crate::id::{EntryHash, NodeHash};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// Hashes in a full tile.
pub const WIDTH: usize = 256;
/// The height of a tile: 2 to the power of it is [`WIDTH`].
const HEIGHT: u32 = 8;

/// The hash of the leaf that stands for an entry.
pub fn leaf(entry: EntryHash) -> NodeHash {
    NodeHash(Sha256::new().chain_update([0]).chain_update(entry.0).finalize().into())
}

fn join(left: NodeHash, right: NodeHash) -> NodeHash {
    NodeHash(Sha256::new().chain_update([1]).chain_update(left.0).chain_update(right.0).finalize().into())
}

/// The root over these nodes in their order; that of no nodes is the hash of nothing.
fn root_over(nodes: &[NodeHash]) -> NodeHash {
    match nodes {
        [] => NodeHash(Sha256::digest([]).into()),
        [one] => *one,
        _ => {
            let (left, right) = nodes.split_at(1 << (nodes.len() - 1).ilog2());
            join(root_over(left), root_over(right))
        }
    }
}

/// The largest power of two below `n`, which is 2 or more.
const fn largest_power_below(n: u64) -> u64 {
    1 << (n - 1).ilog2()
}

/// Which tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TileId {
    /// 0 at the leaves.
    pub level: u8,
    /// From 0 on, the eldest first.
    pub number: u64,
}

impl TileId {
    /// Where C2SP tlog-tiles puts it when it is full.
    pub fn path(self) -> String {
        let (mut rest, mut number) = (self.number / 1_000, format!("{:03}", self.number % 1_000));
        while rest > 0 {
            number = format!("x{:03}/{number}", rest % 1_000);
            rest /= 1_000;
        }
        format!("tile/{}/{number}", self.level)
    }
}

/// The growing end of a tree: the hashes of each level that are in no full tile yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edge {
    size: u64,
    levels: Vec<Vec<NodeHash>>,
}

impl Edge {
    /// From what lies beyond the last full tile of each level, the lowest first; none unless it is as much as a tree of this size has there.
    pub fn from_levels(size: u64, levels: Vec<Vec<NodeHash>>) -> Option<Self> {
        let fits = |(level, hashes): (u32, &Vec<NodeHash>)| {
            let nodes = size.checked_shr(HEIGHT * level).unwrap_or_default();
            hashes.len() as u64 == nodes % WIDTH as u64
        };
        let high = u32::try_from(levels.len()).ok()?;
        let is_all = size.checked_shr(HEIGHT * high).unwrap_or_default() == 0;
        (is_all && (0..).zip(&levels).all(fits)).then_some(Self { size, levels })
    }

    /// A tree of nothing but so many full tiles of leaves, from the roots of the tiles of each level that are in no full tile above, the lowest
    /// first; none unless they fit.
    pub fn of_tiles(tiles: u64, roots: Vec<Vec<NodeHash>>) -> Option<Self> {
        Self::from_levels(tiles.checked_mul(WIDTH as u64)?, [Vec::new()].into_iter().chain(roots).collect())
    }

    /// Leaves.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Adds a leaf; tells each tile that is full by it, with the root over it.
    pub fn push(&mut self, leaf: NodeHash, mut full: impl FnMut(TileId, &[NodeHash], NodeHash)) {
        self.size += 1;
        let (mut node, mut nodes) = (leaf, self.size);
        for level in 0_u8.. {
            let at = usize::from(level);
            if self.levels.len() == at {
                self.levels.push(Vec::new());
            }
            let hashes = &mut self.levels[at];
            hashes.push(node);
            if hashes.len() < WIDTH {
                return;
            }
            nodes /= WIDTH as u64;
            node = root_over(hashes);
            full(TileId { level, number: nodes - 1 }, hashes, node);
            hashes.clear();
        }
    }

    /// The root of the tree.
    pub fn root(&self) -> NodeHash {
        let mut below = None;
        for hashes in self.levels.iter().filter(|hashes| !hashes.is_empty()) {
            below = Some(root_over(&hashes.iter().copied().chain(below).collect::<Vec<_>>()));
        }
        below.unwrap_or_else(|| root_over(&[]))
    }

    /// Its tiles, none of them full.
    pub fn tiles(&self) -> impl Iterator<Item = (TileId, &[NodeHash])> {
        let tile = |(level, hashes): (u8, _)| {
            let nodes = self.size >> (HEIGHT * u32::from(level));
            (TileId { level, number: nodes / WIDTH as u64 }, Vec::as_slice(hashes))
        };
        (0..).zip(&self.levels).map(tile).filter(|(_, hashes)| !hashes.is_empty())
    }
}

/// The tiles that a proof is made of, as far as they were fetched.
pub type Tiles = BTreeMap<TileId, Vec<NodeHash>>;

/// Shows that a leaf is in the tree of `size` leaves: the hashes beside its way to the root, from below (RFC 6962 section 2.1.1).
///
/// # Errors
/// The tile that has to be fetched first.
pub fn inclusion(tiles: &Tiles, index: u64, size: u64) -> Result<Vec<NodeHash>, TileId> {
    let (mut low, mut high, mut path) = (0, size, Vec::new());
    while high - low > 1 {
        let middle = low + largest_power_below(high - low);
        if index < middle {
            path.push(over(tiles, middle, high)?);
            high = middle;
        } else {
            path.push(over(tiles, low, middle)?);
            low = middle;
        }
    }
    path.reverse();
    Ok(path)
}

/// Shows that the tree of `old` leaves is the beginning of that of `size` (RFC 6962 section 2.1.2).
///
/// # Errors
/// The tile that has to be fetched first.
pub fn consistency(tiles: &Tiles, old: u64, size: u64) -> Result<Vec<NodeHash>, TileId> {
    if old == 0 || old >= size {
        return Ok(Vec::new());
    }
    let (mut low, mut high, mut path) = (0, size, Vec::new());
    while high != old {
        let middle = low + largest_power_below(high - low);
        if old <= middle {
            path.push(over(tiles, middle, high)?);
            high = middle;
        } else {
            path.push(over(tiles, low, middle)?);
            low = middle;
        }
    }
    // Whoever has the old root need not be told it.
    if low > 0 {
        path.push(over(tiles, low, high)?);
    }
    path.reverse();
    Ok(path)
}

/// The root over the leaves from `low` to before `high`, where such a subtree is part of a tree.
fn over(tiles: &Tiles, low: u64, high: u64) -> Result<NodeHash, TileId> {
    let leaves = high - low;
    if leaves.is_power_of_two() {
        return perfect(tiles, leaves.ilog2(), low >> leaves.ilog2());
    }
    let middle = low + largest_power_below(leaves);
    Ok(join(over(tiles, low, middle)?, over(tiles, middle, high)?))
}

/// The root of the perfect subtree of this height, the `index`-th of its kind.
fn perfect(tiles: &Tiles, height: u32, index: u64) -> Result<NodeHash, TileId> {
    let (level, within) = (height / HEIGHT, height % HEIGHT);
    let first = index << within;
    let id = TileId { level: u8::try_from(level).unwrap_or(u8::MAX), number: first / WIDTH as u64 };
    let start = usize::try_from(first % WIDTH as u64).unwrap_or_default();
    let hashes = tiles.get(&id).and_then(|hashes| hashes.get(start..start + (1 << within))).ok_or(id)?;
    Ok(root_over(hashes))
}

/// Whether `path` leads from the leaf at `index` to the root of a tree of `size` leaves (RFC 9162 section 2.1.3.2).
pub fn is_included(leaf: NodeHash, index: u64, (size, root): (u64, NodeHash), path: &[NodeHash]) -> bool {
    if index >= size {
        return false;
    }
    let (mut at, mut last, mut node) = (index, size - 1, leaf);
    for beside in path {
        if last == 0 {
            return false;
        }
        if at % 2 == 1 || at == last {
            node = join(*beside, node);
            while at % 2 == 0 && at != 0 {
                (at, last) = (at >> 1, last >> 1);
            }
        } else {
            node = join(node, *beside);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    last == 0 && node == root
}

/// Whether `path` shows that the first tree is the beginning of the second (RFC 9162 section 2.1.4.2). The empty tree is that of each.
pub fn is_beginning((old, old_root): (u64, NodeHash), (size, root): (u64, NodeHash), path: &[NodeHash]) -> bool {
    if old == 0 || old >= size {
        let same = old == size && old_root == root;
        let from_nothing = old == 0 && old_root == root_over(&[]);
        return path.is_empty() && (same || from_nothing);
    }
    // A whole perfect subtree is its own root, which whoever asked has.
    let own = old.is_power_of_two().then_some(old_root);
    let mut path = own.into_iter().chain(path.iter().copied());
    let (mut at, mut last) = (old - 1, size - 1);
    while at % 2 == 1 {
        (at, last) = (at >> 1, last >> 1);
    }
    let Some(first) = path.next() else { return false };
    let (mut before, mut now) = (first, first);
    for beside in path {
        if last == 0 {
            return false;
        }
        if at % 2 == 1 || at == last {
            (before, now) = (join(beside, before), join(beside, now));
            while at % 2 == 0 && at != 0 {
                (at, last) = (at >> 1, last >> 1);
            }
        } else {
            now = join(now, beside);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    last == 0 && before == old_root && now == root
}

#[cfg(test)]
mod tests;
