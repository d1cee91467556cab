//! The tree over the log: made of the log and nothing else, taken up where it was left, and never signed for another log.

use crate::bench::Bench;
use api::tree::{LogTree, TreeError};
use domain::{
    audit::{
        Act,
        note::{Checkpoint, Note, origin},
        tree::{Edge, TileId, leaf},
    },
    id::InstanceId,
};
use pki::AuditKey;
use std::{path::Path, sync::Arc};
use store::AuditQuery;

/// Records, in batches as the writer sends them.
pub async fn records(bench: &Bench, count: usize) {
    let batch: Vec<_> = (0..count).map(|_| bench.act(Act::AuditRead)).collect();
    for some in batch.chunks(250) {
        bench.store.commit(some).await.unwrap();
    }
}

pub fn tree(bench: &Bench, key: &Arc<AuditKey>, data_dir: &Path) -> LogTree {
    let origin = origin(InstanceId(uuid::Uuid::from_u128(7)));
    LogTree::new(Arc::clone(&bench.store), Arc::clone(key), origin, data_dir)
}

pub fn said(note: &Note) -> Checkpoint {
    note.text.parse().unwrap()
}

/// The tree over every entry, made here.
async fn made(bench: &Bench) -> Edge {
    let mut edge = Edge::default();
    let entries = bench.store.entries(&AuditQuery { limit: u32::MAX, ..AuditQuery::default() }).await.unwrap();
    for entry in entries {
        edge.push(leaf(entry.hash), |_, _, _| {});
    }
    edge
}

pub async fn the_tree_is_of_the_log_and_taken_up_where_it_was_left(bench: &Bench) {
    let (key, dir) = (Arc::new(AuditKey::generate().unwrap()), tempfile::tempdir().unwrap());
    let at_work = tree(bench, &key, dir.path());
    let empty = bench.store.head().await.unwrap().sequence;
    assert_eq!(said(&at_work.checkpoint().await.unwrap()).size, empty);
    for more in [1, 600, 300, 0] {
        records(bench, more).await;
        let (note, made) = (at_work.checkpoint().await.unwrap(), made(bench).await);
        let tree_of = |note: &Note| (said(note).size, said(note).root);
        assert_eq!(tree_of(&note), (made.size(), made.root()));
        assert_eq!(std::fs::read_to_string(dir.path().join(api::tree::FILE)).unwrap(), note.to_string());
        // As after a restart, with the tiles that are there.
        let again = tree(bench, &key, dir.path());
        assert_eq!(again.checkpoint().await.unwrap(), note);
        for sequence in [1, 256, 257, made.size()].into_iter().filter(|sequence| *sequence <= made.size()) {
            let proof = again.prove(sequence).await.unwrap();
            assert_eq!(
                (proof.entry.sequence, proof.check().map(|checkpoint| checkpoint.size)),
                (sequence, Ok(made.size()))
            );
        }
        for sequence in [0, made.size() + 1] {
            assert!(matches!(again.prove(sequence).await, Err(TreeError::NoEntry { .. })), "{sequence}");
        }
    }
    let full = |number| bench.store.tile(TileId { level: 0, number });
    assert_eq!(full(2).await.unwrap().map(|hashes| hashes.len()), Some(256));
    assert_eq!(full(3).await.unwrap(), None);
}

pub async fn no_checkpoint_is_signed_that_does_not_go_on_from_the_last(bench: &Bench) {
    let (key, dir) = (Arc::new(AuditKey::generate().unwrap()), tempfile::tempdir().unwrap());
    records(bench, 20).await;
    let note = tree(bench, &key, dir.path()).checkpoint().await.unwrap();
    let (file, own) = (dir.path().join(api::tree::FILE), said(&note));
    let lost = || api::head::lost(dir.path());
    assert!(lost().is_none());
    let signed = |checkpoint: &Checkpoint| key.sign_checkpoint(checkpoint).to_string();
    let longer = signed(&Checkpoint { size: own.size + 1, ..own.clone() });
    let other = signed(&Checkpoint { root: leaf(domain::id::EntryHash::default()), ..own.clone() });
    let strangers = AuditKey::generate().unwrap().sign_checkpoint(&own).to_string();
    let torn = note.to_string().replacen('\n', "0\n", 1);
    for (not_ours, reached) in
        [(String::new(), 0), (torn, own.size), (strangers, own.size), (other, own.size), (longer, own.size + 1)]
    {
        std::fs::write(&file, &not_ours).unwrap();
        let refusing = tree(bench, &key, dir.path());
        for _ in 0..2 {
            let refused = refusing.checkpoint().await;
            assert!(matches!(refused, Err(TreeError::Refused)), "{not_ours}: {refused:?}");
            assert!(matches!(refusing.prove(1).await, Err(TreeError::Refused)), "{not_ours}");
        }
        assert_eq!(std::fs::read_to_string(&file).unwrap(), not_ours, "it is kept until somebody answers for it");
        assert_eq!(lost().unwrap().reached(), reached, "the furthest of those that were put aside");
        // That was found out, and is not looked for again.
        std::fs::write(&file, note.to_string()).unwrap();
        assert!(matches!(refusing.checkpoint().await, Err(TreeError::Refused)));
    }
    // The operator answers for it.
    let put_back = |head| key.sign(head, InstanceId(uuid::Uuid::from_u128(7)), "home".parse().unwrap());
    api::head::take_as_it_is(&bench.store, dir.path(), put_back).await.unwrap();
    assert!(lost().is_none() && !file.exists());
    tree(bench, &key, dir.path()).checkpoint().await.unwrap();
    std::fs::write(&file, note.to_string()).unwrap();
    records(bench, 5).await;
    assert!(said(&tree(bench, &key, dir.path()).checkpoint().await.unwrap()).size > own.size);
}
