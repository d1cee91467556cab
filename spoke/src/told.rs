//! What the CA is told of a grant's end. Nobody waits for it: the grants' own table let go of the certificate already.

use domain::grant::Grant;
use pki::{Issuer, Why};
use std::sync::Arc;
use tokio_util::task::TaskTracker;

/// Tells the CA that the certificate of a grant that ended is not to be believed.
pub fn ended(authority: &Arc<dyn Issuer>, tasks: &TaskTracker, grant: &Grant) {
    let Some(leaf) = &grant.leaf else { return };
    let (authority, serial) = (Arc::clone(authority), leaf.serial.clone());
    tasks.spawn(async move {
        if let Err(error) = authority.revoke(&serial, Why::Ended).await {
            tracing::warn!(%error, %serial, "the certificate authority was not told; nobody is let in with it here");
        }
    });
}
