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
use tokio::{
    sync::Notify,
    time::{sleep, timeout},
};

/// How long a caller waits for its turn while others hold every connection; shorter than any source's deadline.
const PATIENCE: Duration = Duration::from_secs(4);
/// How long while the server lets nobody in: past that the copy of the grants is too old to judge anybody by anyhow.
const AWAY: Duration = Duration::from_secs(2);
/// How long once that is known: callers must not pile up behind a server that is gone.
const KNOWN_AWAY: Duration = Duration::from_millis(300);
/// Between attempts to connect.
const PAUSE: Duration = Duration::from_millis(100);

/// Connections, made when first asked for, and the difference between a queue for them and a server that is away: both look
/// the same to the pool, which only sees that nobody got one in time.
#[derive(Debug)]
pub(super) struct Pool {
    connections: PgPool,
    /// Connections that callers hold.
    held: Arc<AtomicU32>,
    seen: Arc<Seen>,
}

/// What callers met lately at one server, through whichever pool.
#[derive(Debug, Default)]
struct Seen {
    /// How often it let somebody in.
    let_in: AtomicU64,
    /// The last wait ended without its letting anybody in.
    away: AtomicBool,
    /// Somebody looks out for it.
    sought: AtomicBool,
    /// It is there again: whoever waits between two attempts need wait no longer.
    back: Notify,
}

impl Seen {
    fn answered(&self) {
        self.let_in.fetch_add(1, Ordering::Relaxed);
        self.away.store(false, Ordering::Relaxed);
    }
}

/// One more connection in a caller's hands.
#[derive(Debug)]
struct Held(Arc<AtomicU32>);

impl Held {
    fn by(held: &Arc<AtomicU32>) -> Self {
        held.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(held))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Pool {
    /// How many there are, and how many of them nobody uses.
    pub(super) fn connections(&self) -> (u64, u64) {
        let idle = u64::try_from(self.connections.num_idle()).unwrap_or(u64::MAX);
        (self.connections.size().into(), idle)
    }

    /// At most `size` connections. Liveness is not tested on each acquire: [`begin`] retries on a stale connection.
    pub(super) fn new(options: &PgConnectOptions, size: u32) -> Self {
        let pool = PgPoolOptions::new().max_connections(size).acquire_timeout(PATIENCE).test_before_acquire(false);
        Self { connections: pool.connect_lazy_with(options.clone()), held: Arc::default(), seen: Arc::default() }
    }

    /// Another pool of the same server: what one learns of it the other knows.
    pub(super) fn beside(&self, options: &PgConnectOptions, size: u32) -> Self {
        Self { seen: Arc::clone(&self.seen), ..Self::new(options, size) }
    }

    /// Closes every connection; calls under way end first.
    pub(super) async fn close(&self) {
        self.connections.close().await;
    }

    fn size(&self) -> u32 {
        self.connections.options().get_max_connections()
    }

    async fn acquire(&self) -> Result<Unit, StoreError> {
        let before = self.seen.let_in.load(Ordering::Relaxed);
        let first = if self.seen.away.load(Ordering::Relaxed) { KNOWN_AWAY } else { AWAY };
        let mut connecting = std::pin::pin!(self.connect());
        let connected = match timeout(first, &mut connecting).await {
            Ok(connected) => connected,
            Err(_) if self.is_queue(before) => {
                timeout(PATIENCE.saturating_sub(first), connecting).await.unwrap_or(Err(Error::PoolTimedOut))
            }
            Err(_) => Err(Error::PoolTimedOut),
        };
        match connected {
            Ok(connection) => Ok(Unit { connection, ended: false, _held: Held::by(&self.held) }),
            Err(Error::PoolTimedOut) if !self.is_queue(before) => {
                self.seen.away.store(true, Ordering::Relaxed);
                self.look_out();
                Err(away())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The pool tries again while the server refuses or starts, with pauses that grow; a socket that is not there, or ends in
    /// mid-greeting, is no different.
    async fn connect(&self) -> Result<PoolConnection<Postgres>, Error> {
        loop {
            let acquired = tokio::select! {
                acquired = self.connections.acquire() => acquired,
                () = self.seen.back.notified() => continue,
            };
            let Err(Error::Io(error)) = acquired else { return acquired };
            tracing::debug!(%error, "PostgreSQL cannot be reached");
            self.look_out();
            sleep(PAUSE).await;
        }
    }

    /// Has somebody look out for the server.
    fn look_out(&self) {
        if !self.seen.sought.swap(true, Ordering::Relaxed) {
            tokio::spawn(look_out(self.connections.connect_options(), Arc::downgrade(&self.seen)));
        }
    }

    /// Whether a wait is for others: they hold every connection, or somebody was let in since it began.
    fn is_queue(&self, before: u64) -> bool {
        self.held.load(Ordering::Relaxed) >= self.size() || self.seen.let_in.load(Ordering::Relaxed) != before
    }
}

/// Tries to connect more often than the pool, and with more patience than callers have: a connection may take longer to make
/// than they wait for a server that is known to be away.
async fn look_out(options: Arc<PgConnectOptions>, seen: Weak<Seen>) {
    loop {
        let connected = timeout(PATIENCE, PgConnection::connect_with(&options)).await;
        // Nobody may be left to look out for.
        let Some(seen) = seen.upgrade() else { return };
        if let Ok(Ok(connection)) = connected {
            seen.answered();
            seen.sought.store(false, Ordering::Relaxed);
            seen.back.notify_waiters();
            drop(timeout(PATIENCE, connection.close()).await);
            return;
        }
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

/// A connection for one statement that is a transaction by itself; [`Unit::done`] gives it back.
pub(super) async fn bare(pool: &Pool) -> Result<Unit, StoreError> {
    pool.acquire().await
}

/// Nothing was done yet when a pooled connection turns out to be dead (the server restarted): each such one is closed and
/// another one tried, until a fresh one answers or fails.
async fn begin(pool: &Pool, statement: &'static str) -> Result<Unit, StoreError> {
    let mut stale = pool.size();
    loop {
        let mut unit = pool.acquire().await?;
        match unit.execute(statement).await {
            Ok(_) => {
                pool.seen.answered();
                return Ok(unit);
            }
            Err(error) if is_stale(&error) && stale > 0 => {
                stale -= 1;
                pool.look_out();
            }
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

    /// Gives the connection back after its one statement was answered.
    pub(super) fn done(mut self) {
        self.ended = true;
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
