//! Hears of changed grants from any process on this database. It never fails towards its callers: what may have been lost
//! counts as a change.

use super::start::{PROBE, StartError};
use crate::heard::{Count, Heard, News};
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
        let listener = listening(&pool).await.map_err(|error| StartError::Probe(super::error::describe(&error)))?;
        let (tell, heard) = watch::channel(Count::default());
        let task = tokio::spawn(hear(listener, pool.clone(), tell));
        Ok(Self { heard: Heard::new(heard), pool, task })
    }

    /// Resolves once something was heard that no earlier call reported.
    pub(super) async fn changed(&self) -> News {
        self.heard.changed().await
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

/// A notification, a lost connection and one that hears again are all news: look again.
async fn hear(mut listener: PgListener, pool: PgPool, tell: watch::Sender<Count>) {
    loop {
        let heard = listener.try_recv().await;
        if matches!(heard, Ok(Some(_))) {
            tell.send_modify(Count::change);
        } else {
            tell.send_modify(Count::loss);
            tracing::debug!(?heard, "not hearing of changed grants");
            // Its place in the pool is needed for the next one.
            drop(listener);
            listener = again(&pool).await;
            // What changed meanwhile was told to nobody.
            tell.send_modify(Count::loss);
        }
    }
}

/// A listener, however long that takes.
async fn again(pool: &PgPool) -> PgListener {
    loop {
        tokio::time::sleep(PAUSE).await;
        match listening(pool).await {
            Ok(listener) => return listener,
            Err(error) => {
                tracing::debug!(cause = super::error::describe(&error), "still not hearing of changed grants");
            }
        }
    }
}

async fn listening(pool: &PgPool) -> Result<PgListener, sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    // A loss is news at once, and not only once the server is there again.
    listener.eager_reconnect(false);
    listener.listen(CHANNEL).await?;
    Ok(listener)
}
