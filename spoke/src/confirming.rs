//! Puts a renewed certificate in force once it was used: its first call proves that the asking side holds key and answer.
//!
//! Off the road: the call that tells of it does not wait. Until the table says so the certificate is good as a successor, and
//! so is the one before it; what is told and lost, or cannot be written, is told again by the next call.

use crate::snapshot::Snapshots;
use domain::{
    audit::{Act, Ending, Record, Stage, Subject},
    caller::Presented,
    grant::Grant,
    id::RequestId,
    world::World,
};
use std::sync::Arc;
use store::Shared;
use tokio::sync::mpsc;

/// First uses that may wait; what comes beyond is told again.
const WAITING: usize = 256;

/// Where first uses are told.
#[derive(Clone, Debug)]
pub struct Confirming(mpsc::Sender<Arc<Presented>>);

/// First uses on their way to the table.
pub struct FirstUses(mpsc::Receiver<Arc<Presented>>);

impl Confirming {
    /// A way to tell, and its end.
    pub fn channel() -> (Self, FirstUses) {
        let (sender, receiver) = mpsc::channel(WAITING);
        (Self(sender), FirstUses(receiver))
    }

    /// Tells that `presented` was used, if it waits for that. Never waits.
    pub fn used(&self, grant: &Grant, presented: &Arc<Presented>) {
        if grant.is_successor(&presented.serial) {
            // Full or over: the next call tells it again.
            drop(self.0.try_send(Arc::clone(presented)));
        }
    }
}

impl FirstUses {
    /// Writes them into the table, one after the other, until nobody tells any more.
    pub async fn confirm(mut self, store: Shared, snapshots: Arc<Snapshots>, world: World) {
        while let Some(presented) = self.0.recv().await {
            // Many calls tell of one first use; the copy is read anew after the one that was written.
            let waits = |grant: &Arc<Grant>| grant.id == presented.grant && grant.is_successor(&presented.serial);
            if !snapshots.current().grants().any(waits) {
                continue;
            }
            let record = record(&world, &presented);
            match store.confirm_leaf(presented.grant, &presented.serial, record).await {
                Ok(_) => snapshots.refresh_after_change().await,
                Err(error) => tracing::warn!(%error, grant = %presented.grant, "a new certificate is not in force yet"),
            }
        }
    }
}

fn record(world: &World, presented: &Presented) -> Record {
    let (about, id) = (Subject::Act(Act::Certificate), RequestId(world.uuid()));
    let record = Record::new(world.now(), Stage::Standing, Ending::Done, about, id);
    let (grant, peer, subject) = (Some(presented.grant), Some(presented.peer), Some(presented.subject));
    let record = Record { address: presented.address.to_string(), grant, peer, subject, ..record };
    record.noting(&format!("serial {} in force", presented.serial))
}
