//! What the CA is told of certificates that are over. Nobody who asks waits for it: the grants' own table let go of them already.

use crate::snapshot::{Snapshot, Snapshots};
use domain::{
    grant::{Grant, Leaf},
    id::Serial,
    world::Clock,
};
use pki::{IssueError, Issuer, Why};
use std::{collections::HashSet, sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};
use tokio_util::task::TaskTracker;

/// From a failure to the next attempt, and from one look at the clock to the next: it refuses certificates as well, and wakes
/// nobody.
const AGAIN: Duration = Duration::from_secs(30);

/// Tells the CA of every certificate that is refused, whatever it was that ended it, until it is stopped. `rounds` changes
/// whenever the CA knows of more.
///
/// What is refused already is told anew after a start: the CA may have been away before, and to hear it twice is no error.
pub(crate) async fn follow(
    snapshots: Arc<Snapshots>,
    authority: Arc<dyn Issuer>,
    clock: Arc<dyn Clock>,
    rounds: watch::Sender<u64>,
) {
    let (mut changes, mut known) = (snapshots.watch(), HashSet::new());
    let mut before = changes.borrow().clone();
    loop {
        let after = changes.borrow_and_update().clone();
        let over: Vec<_> = after.over(clock.now()).collect();
        let there: HashSet<_> = over.iter().map(|leaf| &leaf.serial).collect();
        known.retain(|serial| there.contains(serial));
        let new: Vec<_> = over.into_iter().filter(|leaf| !known.contains(&leaf.serial)).collect();
        let told = tell(&*authority, &new, |leaf| why(leaf, &before, &after), &mut known).await;
        if !new.is_empty() {
            rounds.send_modify(|round| *round += 1);
        }
        match told {
            Ok(()) => drop(timeout(AGAIN, changes.changed()).await),
            Err(error) => {
                tracing::warn!(%error, "the certificate authority was not told of a certificate that is over; nobody is let in with it here, and it is told later");
                sleep(AGAIN).await;
            }
        }
        before = after;
    }
}

/// Tells the CA of certificates that no table knows: they were issued and never stored.
pub(crate) fn never_stored<'a>(
    authority: &Arc<dyn Issuer>,
    tasks: &TaskTracker,
    leaves: impl Iterator<Item = &'a Leaf>,
) {
    for leaf in leaves {
        let (authority, serial) = (Arc::clone(authority), leaf.serial.clone());
        tasks.spawn(async move {
            if let Err(error) = authority.revoke(&serial, Why::Replaced).await {
                tracing::warn!(%error, %serial, "the certificate authority was not told; no grant has this certificate");
            }
        });
    }
}

async fn tell(
    authority: &dyn Issuer,
    new: &[&Leaf],
    why: impl Fn(&Leaf) -> Why,
    known: &mut HashSet<Serial>,
) -> Result<(), IssueError> {
    for leaf in new {
        authority.revoke(&leaf.serial, why(leaf)).await?;
        known.insert(leaf.serial.clone());
    }
    Ok(())
}

/// A certificate of a grant that stands was replaced; one of a grant that stood a moment ago has ended with it.
fn why(leaf: &Leaf, before: &Snapshot, after: &Snapshot) -> Why {
    if after.is_revoked(leaf.spki) {
        return Why::KeyCompromised;
    }
    let had = |grant: &&Arc<Grant>| grant.leaf_with(&leaf.serial).is_some();
    match before.grants().find(had) {
        Some(grant) if after.grant(grant.id).is_some() => Why::Replaced,
        Some(_) => Why::Ended,
        None => Why::Unsaid,
    }
}
