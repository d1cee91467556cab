//! Against the definitions of RFC 6962, written down as they stand there, and against proofs that were tampered with.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

fn leaves(count: u64) -> Vec<NodeHash> {
    (0..count).map(|at| leaf(EntryHash(Sha256::digest(at.to_be_bytes()).into()))).collect()
}

/// MTH of section 2.1.
fn defined_root(leaves: &[NodeHash]) -> NodeHash {
    match leaves.len() {
        0 => NodeHash(Sha256::digest(b"").into()),
        1 => leaves[0],
        n => {
            let k = (0..usize::BITS).map(|power| 1 << power).filter(|k| *k < n).max().unwrap();
            join(defined_root(&leaves[..k]), defined_root(&leaves[k..]))
        }
    }
}

fn grown(leaves: &[NodeHash]) -> (Edge, Tiles) {
    let (mut edge, mut tiles) = (Edge::default(), Tiles::new());
    for leaf in leaves {
        edge.push(*leaf, |id, hashes, root| {
            assert_eq!((hashes.len(), defined_root(hashes)), (WIDTH, root));
            assert!(tiles.insert(id, hashes.to_vec()).is_none(), "{id:?} was full before");
        });
    }
    tiles.extend(edge.tiles().map(|(id, hashes)| (id, hashes.to_vec())));
    (edge, tiles)
}

/// A proof made by fetching tile after tile, and which were fetched.
fn fetched<T>(all: &Tiles, prove: impl Fn(&Tiles) -> Result<T, TileId>) -> (T, BTreeSet<TileId>) {
    let mut some = Tiles::new();
    loop {
        match prove(&some) {
            Ok(made) => return (made, some.into_keys().collect()),
            Err(missing) => assert!(some.insert(missing, all[&missing].clone()).is_none(), "{missing:?} did not help"),
        }
    }
}

#[test]
fn the_root_is_the_one_of_the_definition_at_every_size() {
    let all = leaves(600);
    let mut edge = Edge::default();
    assert_eq!(edge.root(), defined_root(&[]));
    for (size, leaf) in (1..).zip(&all) {
        edge.push(*leaf, |_, _, _| {});
        assert_eq!((edge.size(), edge.root()), (size as u64, defined_root(&all[..size])), "{size}");
    }
}

#[test]
fn a_large_tree_has_the_tiles_that_the_specification_names() {
    let (edge, tiles) = grown(&leaves(70_000));
    let of = |level: u8| tiles.iter().filter(move |(id, _)| id.level == level).map(|(_, hashes)| hashes.len());
    assert_eq!(of(0).filter(|width| *width == WIDTH).count(), 273);
    assert_eq!(of(0).next_back(), Some(112));
    assert_eq!(of(1).collect::<Vec<_>>(), [256, 17]);
    assert_eq!(of(2).collect::<Vec<_>>(), [1]);
    assert_eq!(edge.root(), defined_root(&leaves(70_000)));
    let path = |number| TileId { level: 1, number }.path();
    assert_eq!([path(7), path(1_234_067)], ["tile/1/007", "tile/1/x001/x234/067"]);
}

#[test]
fn an_edge_is_taken_up_where_it_was_left_and_nothing_else_is_taken_for_one() {
    for size in [0, 1, 255, 256, 257, 65_536, 66_000] {
        let (edge, _) = grown(&leaves(size));
        let again = Edge::from_levels(size, edge.levels.clone()).unwrap();
        assert_eq!(again, edge);
        assert_eq!(Edge::from_levels(size + 1, edge.levels.clone()), None, "{size}");
        if size > 0 {
            assert_eq!(Edge::from_levels(size, Vec::new()), None, "{size}");
            assert_eq!(Edge::from_levels(size - 1, edge.levels.clone()), None, "{size}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_leaf_is_shown_to_be_where_it_is_and_nowhere_else(size in 1..2_000_u64, at in any::<u64>(), bad in any::<u64>()) {
        let (all, at) = (leaves(size), at % size);
        let (edge, tiles) = grown(&all);
        let (path, fetched) = fetched(&tiles, |tiles| inclusion(tiles, at, size));
        prop_assert!(fetched.len() <= 4, "{fetched:?}");
        let (own, tree) = (all[usize::try_from(at).unwrap()], (size, edge.root()));
        prop_assert!(is_included(own, at, tree, &path));
        let other = bad % (size + 3);
        prop_assert_eq!(is_included(own, other, tree, &path), other == at, "at {}", other);
        prop_assert!(!is_included(leaf(EntryHash::default()), at, tree, &path));
        prop_assert!(!is_included(own, at, (size, own), &path) || size == 1);
        let mut longer = path.clone();
        longer.push(own);
        prop_assert!(!is_included(own, at, tree, &longer));
        if let Some(shorter) = path.len().checked_sub(1) {
            prop_assert!(!is_included(own, at, tree, &path[..shorter]));
            let mut changed = path;
            let hit = usize::try_from(bad % changed.len() as u64).unwrap();
            changed[hit].0[0] ^= 1;
            prop_assert!(!is_included(own, at, tree, &changed));
        }
    }

    #[test]
    fn a_log_is_shown_to_have_only_grown_and_one_that_was_rewritten_is_not(size in 1..1_500_u64, old in any::<u64>(), bad in any::<u64>()) {
        let (all, old) = (leaves(size), old % (size + 1));
        let (now, tiles) = grown(&all);
        let (before, _) = grown(&all[..usize::try_from(old).unwrap()]);
        let (path, _) = fetched(&tiles, |tiles| consistency(tiles, old, size));
        let (old, now) = ((old, before.root()), (size, now.root()));
        prop_assert!(is_beginning(old, now, &path));
        prop_assert!(!is_beginning((old.0, NodeHash::default()), now, &path));
        // An old leaf that was rewritten since.
        if old.0 > 0 {
            let mut rewritten = all;
            rewritten[usize::try_from(bad % old.0).unwrap()] = leaf(EntryHash::default());
            let (other, tiles) = grown(&rewritten);
            let (forged, _) = fetched(&tiles, |tiles| consistency(tiles, old.0, size));
            prop_assert!(!is_beginning(old, (size, other.root()), &forged));
            prop_assert!(!is_beginning(old, (size, other.root()), &path));
        }
        for at in 0..path.len() {
            let mut changed = path.clone();
            changed[at].0[31] ^= 1;
            prop_assert!(!is_beginning(old, now, &changed));
        }
        prop_assert!(!is_beginning(now, old, &path) || now == old);
    }
}

#[test]
fn proofs_from_somebody_else_end_whatever_they_claim() {
    let any = NodeHash::default();
    for size in [0, 1, 2, u64::MAX - 1, u64::MAX] {
        for other in [0, 1, u64::MAX - 1, u64::MAX] {
            for length in [0, 1, 63, 64, 65, 200] {
                assert!(!is_included(any, other, (size, any), &vec![any; length]) || (size == 1 && length == 0));
                let same = is_beginning((other, any), (size, any), &vec![any; length]);
                assert!(!same || (other == size && length == 0), "{other} {size} {length}");
            }
        }
    }
}
