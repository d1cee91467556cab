//! A transaction on an exclusively held connection. A connection goes back to its pool only after the server said that the
//! transaction is over; whatever ends otherwise (an error, a dropped future) closes it, so that no tenant setting and no
//! half-read answer ever meets the next caller.

use super::error::{away, is_stale};
use crate::StoreError;
use sqlx::{
    Connection, Error, Executor, PgConnection,
    pool::PoolConnection,
    postgres::{PgConnectOptions, PgPool, PgPoolOptions, Postgres},
};
use std::{
    ops::{Deref, DerefMut},
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::time::{sleep, timeout};

/// How long a caller waits for its turn while others hold every connection; shorter than any source's deadline.
const PATIENCE: Duration = Duration::from_secs(4);
/// How long while the server lets nobody in: past that the copy of the grants is too old to judge anybody by anyhow.
const AWAY: Duration = Duration::from_secs(2);
/// How long once that is known: callers must not pile up behind a server that is gone. [`returned`] looks out for it.
const KNOWN_AWAY: Duration = Duration::from_millis(300);
/// Between attempts to connect, where the pool itself does not try again.
const PAUSE: Duration = Duration::from_millis(50);

/// Connections, made when first asked for, and the difference between a queue for them and a server that is away: both look
/// the same to the pool, which only sees that nobody got one in time.
#[derive(Debug)]
pub(super) struct Pool {
    connections: PgPool,
    seen: Arc<Seen>,
}

/// What callers met lately.
#[derive(Debug, Default)]
struct Seen {
    /// Connections that callers hold.
    held: AtomicU32,
    /// Transactions that were ever begun.
    begun: AtomicU64,
    /// The last wait ended without the server letting anybody in.
    away: AtomicBool,
}

/// One more connection in a caller's hands.
#[derive(Debug)]
struct Held(Arc<Seen>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.held.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Pool {
    /// At most `size` connections. Liveness is not tested on each acquire: [`begin`] retries on a stale connection.
    pub(super) fn new(options: &PgConnectOptions, size: u32) -> Self {
        let pool = PgPoolOptions::new().max_connections(size).acquire_timeout(PATIENCE).test_before_acquire(false);
        Self { connections: pool.connect_lazy_with(options.clone()), seen: Arc::default() }
    }

    /// Closes every connection; calls under way end first.
    pub(super) async fn close(&self) {
        self.connections.close().await;
    }

    fn size(&self) -> u32 {
        self.connections.options().get_max_connections()
    }

    async fn acquire(&self) -> Result<Unit, StoreError> {
        let begun = self.seen.begun.load(Ordering::Relaxed);
        let first = if self.seen.away.load(Ordering::Relaxed) { KNOWN_AWAY } else { AWAY };
        let mut connecting = std::pin::pin!(self.connect());
        let connected = match timeout(first, &mut connecting).await {
            Ok(connected) => connected,
            Err(_) if self.is_queue(begun) => {
                timeout(PATIENCE.saturating_sub(first), connecting).await.unwrap_or(Err(Error::PoolTimedOut))
            }
            Err(_) => Err(Error::PoolTimedOut),
        };
        match connected {
            Ok(connection) => {
                self.seen.held.fetch_add(1, Ordering::Relaxed);
                Ok(Unit { connection, ended: false, _held: Held(Arc::clone(&self.seen)) })
            }
            Err(Error::PoolTimedOut) if !self.is_queue(begun) => {
                if !self.seen.away.swap(true, Ordering::Relaxed) {
                    tokio::spawn(returned(self.connections.clone(), Arc::downgrade(&self.seen)));
                }
                Err(away())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The pool waits while the server refuses or starts; a socket that is not there, or ends in mid-greeting, is no
    /// different.
    async fn connect(&self) -> Result<PoolConnection<Postgres>, Error> {
        loop {
            match self.connections.acquire().await {
                Err(Error::Io(error)) => {
                    tracing::debug!(%error, "PostgreSQL cannot be reached");
                    sleep(PAUSE).await;
                }
                other => return other,
            }
        }
    }

    /// Whether a wait was for others: they hold every connection, or somebody was served since it began.
    fn is_queue(&self, begun: u64) -> bool {
        self.seen.held.load(Ordering::Relaxed) >= self.size() || self.seen.begun.load(Ordering::Relaxed) != begun
    }

    fn answered(&self) {
        self.seen.begun.fetch_add(1, Ordering::Relaxed);
        self.seen.away.store(false, Ordering::Relaxed);
    }
}

/// Waits for a server that was away with more patience than callers have: a connection may take longer than theirs to make.
async fn returned(pool: PgPool, seen: Weak<Seen>) {
    while let Some(seen) = seen.upgrade().filter(|seen| seen.away.load(Ordering::Relaxed) && !pool.is_closed()) {
        if let Ok(mut connection) = pool.acquire().await {
            match connection.ping().await {
                Ok(()) => seen.away.store(false, Ordering::Relaxed),
                Err(_) => connection.close_on_drop(),
            }
        }
        // Nobody may be left to look out for.
        drop(seen);
        sleep(PAUSE).await;
    }
}

/// A transaction that is open until [`Unit::end`].
#[derive(Debug)]
pub(super) struct Unit {
    connection: PoolConnection<Postgres>,
    ended: bool,
    _held: Held,
}

/// All statements see one moment; nothing is written.
pub(super) async fn read(pool: &Pool) -> Result<Unit, StoreError> {
    begin(pool, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await
}

/// Each statement sees what was committed before it, so that what is read after a lock is what the lock guards.
pub(super) async fn write(pool: &Pool) -> Result<Unit, StoreError> {
    begin(pool, "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE").await
}

/// Nothing was done yet when a pooled connection turns out to be dead (the server restarted): each such one is closed and
/// another one tried, until a fresh one answers or fails.
async fn begin(pool: &Pool, statement: &'static str) -> Result<Unit, StoreError> {
    let mut stale = pool.size();
    loop {
        let mut unit = pool.acquire().await?;
        match unit.execute(statement).await {
            Ok(_) => {
                pool.answered();
                return Ok(unit);
            }
            Err(error) if is_stale(&error) && stale > 0 => stale -= 1,
            Err(error) => return Err(error.into()),
        }
    }
}

impl Unit {
    /// Commits, and gives the connection back.
    pub(super) async fn end(mut self) -> Result<(), sqlx::Error> {
        self.execute("COMMIT").await?;
        self.ended = true;
        Ok(())
    }

    /// Undoes, and gives the connection back.
    pub(super) async fn undo(mut self) -> Result<(), sqlx::Error> {
        self.execute("ROLLBACK").await?;
        self.ended = true;
        Ok(())
    }
}

impl Drop for Unit {
    fn drop(&mut self) {
        if !self.ended {
            self.connection.close_on_drop();
        }
    }
}

impl Deref for Unit {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.connection
    }
}

impl DerefMut for Unit {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::{Config, Lifetime, Server};
    use tokio::time::Instant;

    async fn server(directory: &tempfile::TempDir) -> Server {
        let data_dir = directory.path().join("data");
        let config = Config { programs: None, data_dir, instance: uuid::Uuid::nil(), lifetime: Lifetime::Temporary };
        Server::start(config).await.unwrap()
    }

    async fn refusal(pool: &Pool) -> (String, Duration) {
        let start = Instant::now();
        let error = read(pool).await.map(|_| ()).unwrap_err();
        (error.to_string(), start.elapsed())
    }

    #[tokio::test]
    async fn a_queue_for_connections_and_a_server_that_is_away_are_told_apart() {
        let directory = tempfile::tempdir().unwrap();
        let server = server(&directory).await;
        let pool = Pool::new(&server.app(), 1);
        let held = read(&pool).await.unwrap();
        let (cause, waited) = refusal(&pool).await;
        assert!(cause.contains("busy") && waited >= Duration::from_secs(3), "{cause} after {waited:?}");
        held.end().await.unwrap();
        server.stop().await.unwrap();
        let (cause, first) = refusal(&pool).await;
        assert!(cause.contains("away or starting") && first < PATIENCE, "{cause} after {first:?}");
        let (cause, second) = refusal(&pool).await;
        assert!(cause.contains("away or starting") && second < first / 2, "{cause} after {second:?}, before {first:?}");
    }

    #[tokio::test]
    async fn a_server_that_answers_too_slowly_for_callers_is_found_again() {
        let directory = tempfile::tempdir().unwrap();
        let server = server(&directory).await;
        let pool = Pool::new(&server.app().socket(directory.path()), 1);
        let (cause, _) = refusal(&pool).await;
        assert!(cause.contains("away"), "{cause}");
        tokio::spawn(slow(directory.path().join(".s.PGSQL.5432"), server.socket().join(".s.PGSQL.5432")));
        let start = Instant::now();
        while read(&pool).await.is_err() {
            assert!(start.elapsed() < Duration::from_secs(10), "never found again");
        }
        server.stop().await.unwrap();
    }

    /// A door to the server at which everybody waits longer than callers do.
    async fn slow(door: std::path::PathBuf, server: std::path::PathBuf) {
        let listener = tokio::net::UnixListener::bind(door).unwrap();
        while let Ok((mut client, _)) = listener.accept().await {
            let server = server.clone();
            tokio::spawn(async move {
                sleep(KNOWN_AWAY * 2).await;
                let mut server = tokio::net::UnixStream::connect(server).await.unwrap();
                drop(tokio::io::copy_bidirectional(&mut client, &mut server).await);
            });
        }
    }
}
