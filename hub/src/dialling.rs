//! Dials in tasks of their own, so that a caller who goes away does not end what others wait for, and all end with the hub.

use link::{DialError, Dialled, Dialler, Target};
use std::sync::Arc;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Makes connections until it is stopped.
#[derive(Clone)]
pub(crate) struct Dialling {
    dialler: Arc<Dialler>,
    tasks: TaskTracker,
    stopping: CancellationToken,
}

impl Dialling {
    pub(crate) fn new(dialler: Arc<Dialler>, tasks: TaskTracker, stopping: CancellationToken) -> Self {
        Self { dialler, tasks, stopping }
    }

    /// Begins to dial at once. The future is the caller's part: it may be dropped.
    pub(crate) fn dial(&self, target: Target) -> impl Future<Output = Result<Dialled, DialError>> + Send + use<> {
        let own = self.clone();
        let task = self.tasks.spawn(async move { own.stopping.run_until_cancelled(own.dialler.dial(&target)).await });
        async move {
            let dialled = task.await.ok().flatten();
            dialled.unwrap_or_else(|| Err(DialError::Broken("this instance is stopping".to_owned())))
        }
    }
}
