//! What the CA is told of certificates that are over. Nobody waits for it: the grants' own table let go of them already.

use domain::grant::Leaf;
use pki::{Issuer, Why};
use std::sync::Arc;
use tokio_util::task::TaskTracker;

/// Tells the CA that these certificates are not to be believed.
pub fn over<'a>(authority: &Arc<dyn Issuer>, tasks: &TaskTracker, leaves: impl Iterator<Item = &'a Leaf>, why: Why) {
    for leaf in leaves {
        let (authority, serial) = (Arc::clone(authority), leaf.serial.clone());
        tasks.spawn(async move {
            if let Err(error) = authority.revoke(&serial, why).await {
                tracing::warn!(%error, %serial, "the certificate authority was not told; nobody is let in with it here");
            }
        });
    }
}
