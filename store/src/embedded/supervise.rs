//! Keeps a daemon's server running: when the postmaster ends without having been told to (killed, out of memory, stopped by
//! hand), it is started again, crash recovery included. A crashed backend is the postmaster's own affair and not seen here.
//!
//! There are never two: the postmaster before is known to be gone (reaped, or nobody has its process id), the start takes the
//! same lock and the same look at leftovers as any other, and PostgreSQL itself waits for the last backend of the old one.
//! A database whose files are gone is not made anew: an empty one must never be served in its place.

use super::lock::Lock;
use super::process::Process;
use super::{EmbeddedError, LOCK_PATIENCE, Lifetime, Server, launch, leftover};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Between attempts to start a server that does not start, doubled each time up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// A server that is watched and started again. Dropping it leaves the server running, unwatched.
#[derive(Debug)]
pub struct Supervised {
    version: String,
    cluster: PathBuf,
    wish: watch::Sender<Wish>,
    pid: watch::Receiver<u32>,
    task: JoinHandle<Result<(), EmbeddedError>>,
}

/// What is to become of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    /// It shall run.
    Run,
    /// It may end; it is not started again.
    Rest,
    /// It shall end.
    Stop,
}

impl Supervised {
    pub(super) fn watch(server: Server) -> Supervised {
        let (version, cluster) = (server.version.clone(), server.place.cluster.clone());
        let (wish, told) = watch::channel(Wish::Run);
        let (tell, pid) = watch::channel(server.pid());
        let task = tokio::spawn(keep(server, Told(Some(told)), tell));
        Supervised { version, cluster, wish, pid, task }
    }

    /// `server_version` as the server said it when it was first started.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// PostgreSQL's data directory.
    pub fn cluster(&self) -> &Path {
        &self.cluster
    }

    /// Process id of the postmaster; of the one before while it is started again.
    pub fn pid(&self) -> u32 {
        *self.pid.borrow()
    }

    /// From here on its end is no news: a service manager may be ending every process of the daemon at once.
    pub fn let_end(&self) {
        self.wish.send_replace(Wish::Rest);
    }

    /// As [`Server::stop`]. A start that is under way is broken off and leaves no process behind.
    pub async fn stop(mut self) -> Result<(), EmbeddedError> {
        self.wish.send_replace(Wish::Stop);
        let ended = (&mut self.task).await;
        ended.unwrap_or_else(|error| Err(EmbeddedError::Watch(error.to_string())))
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The ear for what is to become of the server.
#[derive(Debug)]
pub(super) struct Told(Option<watch::Receiver<Wish>>);

impl Told {
    /// For a start that nothing breaks off.
    pub fn never() -> Told {
        Told(None)
    }

    /// Resolves once it need not run any longer.
    pub async fn no_longer_wanted(&mut self) {
        self.heard(|wish| wish != Wish::Run).await;
    }

    async fn stop_wanted(&mut self) {
        self.heard(|wish| wish == Wish::Stop).await;
    }

    async fn heard(&mut self, what: impl Fn(Wish) -> bool) {
        if let Some(wish) = &mut self.0
            && wish.wait_for(|wish| what(*wish)).await.is_ok()
        {
            return;
        }
        std::future::pending::<()>().await;
    }

    fn is_wanted(&self) -> bool {
        self.0.as_ref().is_none_or(|wish| *wish.borrow() == Wish::Run)
    }
}

/// Watches until told to stop.
async fn keep(mut server: Server, mut told: Told, tell: watch::Sender<u32>) -> Result<(), EmbeddedError> {
    loop {
        let cause = tokio::select! {
            () = told.stop_wanted() => return server.stop().await,
            cause = server.process.ended(&server.place) => cause,
        };
        let revived = if server.lifetime == Lifetime::Daemon && told.is_wanted() {
            tracing::warn!(pid = server.pid(), cause, "PostgreSQL ended without being told to; it is started again");
            revive(&server, &mut told).await
        } else {
            None
        };
        let Some(process) = revived else {
            told.stop_wanted().await;
            return Ok(());
        };
        server.process = process;
        tell.send_replace(server.pid());
    }
}

/// A server that runs again, however long that takes; none when it is no longer wanted.
async fn revive(server: &Server, told: &mut Told) -> Option<Process> {
    let (ended, mut pause) = (Instant::now(), FIRST_PAUSE);
    loop {
        let error = match again(server, told).await {
            Ok(process) => {
                tracing::info!(pid = process.pid, after = ?ended.elapsed(), "PostgreSQL runs again");
                return Some(process);
            }
            Err(_) if !told.is_wanted() => return None,
            Err(error) => error,
        };
        let wait = jittered(pause);
        tracing::error!(%error, next_attempt_in = ?wait, "PostgreSQL cannot be started again; until it runs every call is refused");
        tokio::select! {
            () = told.no_longer_wanted() => return None,
            () = tokio::time::sleep(wait) => pause = (pause * 2).min(LONGEST_PAUSE),
        }
    }
}

/// One attempt, with the precautions of a first start.
async fn again(server: &Server, told: &mut Told) -> Result<Process, EmbeddedError> {
    let Server { place, programs, account, .. } = server;
    let prepared = async {
        let lock = Lock::take(&place.record.with_file_name("postgres.lock"), LOCK_PATIENCE).await?;
        if place.major().is_none() {
            return Err(EmbeddedError::Missing { cluster: place.cluster.clone(), record: place.record.clone() });
        }
        let record = place.read_record()?;
        Ok((lock, leftover::resolve(place, record.as_ref(), server.lifetime).await?))
    };
    let (_lock, found) = tokio::select! {
        prepared = prepared => prepared?,
        () = told.no_longer_wanted() => return Err(EmbeddedError::Watch("it is no longer wanted".into())),
    };
    match found {
        Some(process) => Ok(process),
        None => launch(place, programs, account, server.lifetime, told).await,
    }
}

/// Half to one and a half times as long, so that many instances on one machine do not start in step. Like the nonce it is not
/// of the injected world: it concerns a real process.
fn jittered(pause: Duration) -> Duration {
    let byte = leftover::nonce().ok().and_then(|nonce| u32::from_str_radix(nonce.get(..2)?, 16).ok());
    pause / 2 + pause * byte.unwrap_or(128) / 256
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_spread_over_half_to_one_and_a_half_times_its_length() {
        let pauses: Vec<_> = (0..200).map(|_| jittered(Duration::from_secs(2))).collect();
        let (least, most) = (pauses.iter().min().unwrap(), pauses.iter().max().unwrap());
        assert!(*least >= Duration::from_secs(1) && *most <= Duration::from_secs(3), "{least:?} {most:?}");
        assert!(most.abs_diff(*least) > Duration::from_secs(1), "{least:?} {most:?}");
    }
}
