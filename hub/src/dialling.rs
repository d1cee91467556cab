//! Dials in tasks of their own, so that a caller who goes away does not end what others wait for, and all end with the hub.

use crate::calls::table::Table;
use domain::reach::Address;
use link::{DialError, Dialled, Dialler, Target, call::ParkedKey};
use std::sync::Arc;
use tokio::time::Instant;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Makes connections until it is stopped.
#[derive(Clone)]
pub(crate) struct Dialling {
    dialler: Arc<Dialler>,
    called: Arc<Table>,
    tasks: TaskTracker,
    stopping: CancellationToken,
}

impl Dialling {
    pub(crate) fn new(
        dialler: Arc<Dialler>,
        called: Arc<Table>,
        tasks: TaskTracker,
        stopping: CancellationToken,
    ) -> Self {
        Self { dialler, called, tasks, stopping }
    }

    /// Begins to dial for a link at once, or takes a socket that its other side opened where it is that one which calls. The future is the
    /// caller's part: it may be dropped.
    pub(crate) fn dial(
        &self,
        target: Target,
        link: ParkedKey,
    ) -> impl Future<Output = Result<Dialled, DialError>> + Send + use<> {
        self.dial_over(target, Some(link).filter(|link| self.called.is_called(*link)))
    }

    /// The same over a socket that is parked there, or with none by dialling.
    pub(crate) fn dial_over(
        &self,
        target: Target,
        parked: Option<ParkedKey>,
    ) -> impl Future<Output = Result<Dialled, DialError>> + Send + use<> {
        let own = self.clone();
        let dial = async move {
            match parked {
                Some(key) => own.dialler.dial_called(&target, &own.called.parked, key).await,
                None => own.dialler.dial(&target).await,
            }
        };
        let stopping = self.stopping.clone();
        let task = self.tasks.spawn(async move { stopping.run_until_cancelled(dial).await });
        async move {
            let dialled = task.await.ok().flatten();
            dialled.unwrap_or_else(|| Err(DialError::Broken("this instance is stopping".to_owned())))
        }
    }

    /// Whether a further connection can be made for a link whose first one is there.
    pub(crate) fn has_more(&self, link: ParkedKey) -> bool {
        !self.called.is_called(link) || self.called.parked.waiting(link) > 1
    }

    /// Work that ends with the hub.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let stopping = self.stopping.clone();
        self.tasks.spawn(async move { stopping.run_until_cancelled(work).await });
    }

    /// Whether each of these addresses leads to the target's instance, where a proxy lets that be tried; given up with the caller.
    pub(crate) async fn reached(&self, target: &Target, addresses: &[Address], end: Instant) -> Option<Vec<bool>> {
        self.dialler.reached(target, addresses, end).await
    }
}
