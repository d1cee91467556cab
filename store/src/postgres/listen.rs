//! Hears of changed grants from any process on this database. It never fails towards its callers: what may have been lost
//! counts as a change.

use super::start::{PROBE, StartError};
use crate::heard::Heard;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPool, PgPoolOptions};
use std::time::Duration;
use tokio::{sync::watch, task::JoinHandle};

/// What `grants_moved` in the migrations notifies.
const CHANNEL: &str = "mosaic_grants";
/// Between attempts to hear again.
const PAUSE: Duration = Duration::from_millis(250);

#[derive(Debug)]
pub(super) struct Changes {
    heard: Heard,
    /// Of the one connection that listens.
    pool: PgPool,
    task: JoinHandle<()>,
}

impl Changes {
    /// Listens from before this returns, in a task that ends with the value.
    pub(super) async fn listen(app: &PgConnectOptions) -> Result<Self, StartError> {
        let pool = PgPoolOptions::new().max_connections(1).acquire_timeout(PROBE).max_lifetime(None).idle_timeout(None);
        let pool = pool.connect_lazy_with(app.clone());
        let failed = |error| StartError::Probe(super::error::describe(&error));
        let mut listener = PgListener::connect_with(&pool).await.map_err(failed)?;
        listener.listen(CHANNEL).await.map_err(failed)?;
        let (tell, heard) = watch::channel(0);
        Ok(Self { heard: Heard::new(heard), pool, task: tokio::spawn(hear(listener, tell)) })
    }

    /// Resolves once something was heard that no earlier call reported.
    pub(super) async fn changed(&self) {
        self.heard.changed().await;
    }

    /// Closes the connection that listens: a server that ends under it would be complained of.
    pub(super) async fn close(&self) {
        self.task.abort();
        self.pool.close().await;
    }
}

impl Drop for Changes {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A notification, a lost connection and a failed attempt are all the same news: look again.
async fn hear(mut listener: PgListener, tell: watch::Sender<u64>) {
    loop {
        if let Err(error) = listener.try_recv().await {
            tracing::debug!(cause = super::error::describe(&error), "not hearing of changed grants");
            tokio::time::sleep(PAUSE).await;
        }
        tell.send_modify(|count| *count += 1);
    }
}
