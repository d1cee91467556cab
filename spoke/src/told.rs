//! What the CA is told of certificates that are over. Nobody waits for it: the grants' own table let go of them already.

use crate::snapshot::{Snapshot, Snapshots};
use domain::grant::Leaf;
use pki::{Issuer, Why};
use std::{collections::HashSet, sync::Arc};
use tokio_util::task::TaskTracker;

/// Tells the CA of certificates that no table knows: they were issued and never stored.
pub fn never_stored<'a>(authority: &Arc<dyn Issuer>, tasks: &TaskTracker, leaves: impl Iterator<Item = &'a Leaf>) {
    for leaf in leaves {
        let (authority, leaf) = (Arc::clone(authority), leaf.clone());
        tasks.spawn(async move { tell(&*authority, &leaf, Why::Replaced).await });
    }
}

/// Tells the CA of every certificate that the table begins to refuse, whatever it was that ended it, until it is stopped.
pub async fn follow(snapshots: Arc<Snapshots>, authority: Arc<dyn Issuer>) {
    let mut changes = snapshots.watch();
    let mut before = changes.borrow_and_update().clone();
    while changes.changed().await.is_ok() {
        let after = changes.borrow_and_update().clone();
        for leaf in newly_refused(&before, &after) {
            tell(&*authority, leaf, why(leaf, &before, &after)).await;
        }
        before = after;
    }
}

fn newly_refused<'a>(before: &Snapshot, after: &'a Snapshot) -> impl Iterator<Item = &'a Leaf> + use<'a> {
    let known: HashSet<_> = before.refused_leaves().iter().map(|leaf| leaf.serial.clone()).collect();
    after.refused_leaves().iter().filter(move |leaf| !known.contains(&leaf.serial))
}

/// A certificate of a grant that stands was replaced; one of any other has ended with it.
fn why(leaf: &Leaf, before: &Snapshot, after: &Snapshot) -> Why {
    let had = |grant: &&Arc<domain::grant::Grant>| grant.leaf_with(&leaf.serial).is_some();
    let ended = before.grants().find(had).is_some_and(|grant| after.grant(grant.id).is_none());
    if ended { Why::Ended } else { Why::Replaced }
}

async fn tell(authority: &dyn Issuer, leaf: &Leaf, why: Why) {
    let serial = &leaf.serial;
    if let Err(error) = authority.revoke(serial, why).await {
        tracing::warn!(%error, %serial, "the certificate authority was not told; nobody is let in with it here");
    }
}
