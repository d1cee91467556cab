//! What the CA is told of certificates that are over. Nobody who asks waits for it: the grants' own table let go of them already.

use crate::snapshot::{Snapshot, Snapshots};
use domain::{Time, grant::Leaf, id::Serial, world::Clock};
use pki::{IssueError, Issuer, Why};
use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};
use store::{Held, Standing};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};
use tokio_util::task::TaskTracker;

/// From a failure to the next attempt, and from one look at the clock to the next: it refuses certificates as well, and wakes
/// nobody.
const AGAIN: Duration = Duration::from_secs(30);

/// A certificate that is over, and what ended it, unless that is its key's revocation.
#[derive(Debug)]
pub(crate) struct Over {
    leaf: Leaf,
    why: Why,
}

/// What the table refuses that it did not before. A certificate of a grant that stands was replaced; one of a grant that stood a moment ago
/// has ended with it. Only grants that moved had one of these.
pub(crate) fn over(before: &Snapshot, standing: &Standing) -> Vec<Over> {
    let why = |id| if matches!(standing.grants.get(id), Some(Held::Stands(_))) { Why::Replaced } else { Why::Ended };
    let moved = standing.grants.keys().filter_map(|id| before.grant(*id));
    let of: HashMap<_, _> = moved.flat_map(|grant| grant.leaves().map(|leaf| (&leaf.serial, why(&grant.id)))).collect();
    let new = standing.refused.iter().filter(|leaf| !before.refused().names(&leaf.serial));
    new.map(|leaf| Over { leaf: leaf.clone(), why: of.get(&leaf.serial).copied().unwrap_or(Why::Unsaid) }).collect()
}

/// Tells the CA of every certificate that is over, whatever it was that ended it, until it is stopped. `rounds` changes
/// whenever the CA knows of more.
///
/// What is refused already is told anew after a start: the CA may have been away before, and to hear it twice is no error.
pub(crate) async fn follow(
    snapshots: Arc<Snapshots>,
    authority: Arc<dyn Issuer>,
    clock: Arc<dyn Clock>,
    rounds: watch::Sender<u64>,
) {
    let (mut changes, mut untold, mut former) = (snapshots.watch(), VecDeque::new(), HashSet::new());
    loop {
        let current = changes.borrow_and_update().clone();
        untold.extend(snapshots.take_over().into_iter().filter(|over| !former.contains(&over.leaf.serial)));
        untold.extend(newly_former(&current, clock.now(), &mut former));
        let any = !untold.is_empty();
        let told = tell(&*authority, &current, &mut untold).await;
        if any {
            rounds.send_modify(|round| *round += 1);
        }
        match told {
            Ok(()) => drop(timeout(AGAIN, changes.changed()).await),
            Err(error) => {
                tracing::warn!(%error, "the certificate authority was not told of a certificate that is over; nobody is let in with it here, and it is told later");
                sleep(AGAIN).await;
            }
        }
    }
}

/// Former certificates whose time is over and that are not among those `known`, which becomes all of them.
fn newly_former(current: &Snapshot, now: Time, known: &mut HashSet<Serial>) -> Vec<Over> {
    let all: HashMap<_, _> = current.former(now).map(|(leaf, _)| (&leaf.serial, leaf)).collect();
    known.retain(|serial| all.contains_key(serial));
    let new = all.into_values().filter(|leaf| known.insert(leaf.serial.clone()));
    new.map(|leaf| Over { leaf: leaf.clone(), why: Why::Replaced }).collect()
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

/// Whoever was not told is left.
async fn tell(authority: &dyn Issuer, current: &Snapshot, untold: &mut VecDeque<Over>) -> Result<(), IssueError> {
    while let Some(Over { leaf, why }) = untold.front() {
        let why = if current.is_revoked(leaf.spki) { Why::KeyCompromised } else { *why };
        authority.revoke(&leaf.serial, why).await?;
        untold.pop_front();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::tests::grant;
    use domain::{
        grant::Grant,
        id::{GrantId, Spki},
    };
    use std::collections::BTreeSet;
    use uuid::Uuid;

    const NOW: Time = Time::from_seconds(1_795_253_400);

    fn leaf(number: u8) -> Leaf {
        let serial = Serial::new(&[number; 16]).unwrap();
        Leaf { serial, spki: Spki([number; 32]), not_after: NOW + Duration::from_hours(1) }
    }

    fn held(number: u8) -> Grant {
        Grant { id: GrantId(Uuid::from_u128(number.into())), leaf: Some(leaf(number)), ..grant() }
    }

    fn told(standing: &[(u8, Held)], since: Option<u64>, refused: &[u8]) -> Standing {
        let grants = standing.iter().map(|(number, held)| (GrantId(Uuid::from_u128((*number).into())), held.clone()));
        let refused = refused.iter().map(|number| leaf(*number)).collect();
        Standing { version: 2, since, grants: grants.collect(), refused, ..Standing::default() }
    }

    fn stands(grant: Grant) -> Held {
        Held::Stands(Box::new(grant))
    }

    #[test]
    fn each_certificate_is_over_once_and_for_what_became_of_its_grant() {
        let whole = told(&[(1, stands(held(1))), (2, stands(held(2))), (3, stands(held(3)))], None, &[7]);
        let before = Snapshot::default().after(whole, &BTreeSet::new(), NOW);
        let renewed = stands(Grant { leaf: Some(leaf(9)), ..held(1) });
        let reasons = |standing: &Standing| -> Vec<_> {
            over(&before, standing).into_iter().map(|over| (over.leaf, over.why)).collect()
        };
        let news = told(&[(1, renewed.clone()), (2, Held::Ended(3))], Some(1), &[1, 2, 8]);
        let expected = [(leaf(1), Why::Replaced), (leaf(2), Why::Ended), (leaf(8), Why::Unsaid)];
        assert_eq!(reasons(&news), expected);
        let whole = told(&[(1, renewed), (2, Held::Ended(3)), (3, stands(held(3)))], None, &[7, 1, 2, 8]);
        assert_eq!(reasons(&whole), expected, "and none that was known");
    }
}
