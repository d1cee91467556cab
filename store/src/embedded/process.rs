//! Starts and stops the postmaster.
//!
//! A daemon's server gets a process group of its own, so that Ctrl-C in a terminal ends the daemon first. A server bound to
//! this process runs under a small shell that holds one end of a pipe: the kernel closes ours however we end.

use super::EmbeddedError;
use super::account::Account;
use super::cluster::{fixed_settings, log_tail, open_log};
use super::error::at;
use super::leftover::{self, Holder, Identity};
use super::place::{Place, Record};
use super::programs::Programs;
use super::supervise::Told;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio::time::Instant;

/// Crash recovery replays at most `max_wal_size`: seconds, a minute on a slow disk.
pub(super) const READY_TIMEOUT: Duration = Duration::from_mins(1);
const FAST_TIMEOUT: Duration = Duration::from_secs(15);
/// PostgreSQL kills, after five seconds of its own, what has not heeded an immediate shutdown.
const IMMEDIATE_TIMEOUT: Duration = Duration::from_secs(8);
/// A server nobody has used yet needs no such patience: a child that was just being forked may have missed its signal.
const GIVEN_UP_TIMEOUT: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(20);
/// How often a server that is not our child is looked at: nobody tells us when it ends.
const LOOK: Duration = Duration::from_millis(100);
/// After a crash the last backends of the old postmaster need a moment to notice: the shared memory is in use until then.
const SHARED_MEMORY_PATIENCE: Duration = Duration::from_secs(3);
const SHARED_MEMORY_PAUSE: Duration = Duration::from_millis(100);

/// Runs `"$@"`, kills it with SIGQUIT (immediate shutdown) when standard input closes, deletes `$1` at the end.
/// Background jobs of a shell read /dev/null, hence descriptor 3.
const GUARD: &str = r#"
disposable=$1
shift
exec 3<&0 0</dev/null
"$@" 3<&- &
server=$!
{ read -r line <&3; kill -QUIT "$server"; } 2>/dev/null &
reader=$!
wait "$server"
code=$?
kill "$reader" 2>/dev/null
[ -z "$disposable" ] || rm -rf -- "$disposable"
exit "$code"
"#;

/// The postmaster, and our hold on it when we started it.
#[derive(Debug)]
pub(super) struct Process {
    /// Process id of the postmaster.
    pub pid: u32,
    child: Option<Child>,
    /// Its closing ends a guarded server.
    guard: Option<OwnedFd>,
}

impl Process {
    /// A server that ran before us.
    pub fn adopted(pid: u32) -> Process {
        Process { pid, child: None, guard: None }
    }

    /// Starts the postmaster and waits until it answers with our nonce; ends it again when told to stop meanwhile.
    pub async fn start(
        place: &Place,
        programs: &Programs,
        account: &Account,
        record: &Record,
        told: &mut Told,
    ) -> Result<Process, EmbeddedError> {
        let deadline = Instant::now() + SHARED_MEMORY_PATIENCE;
        loop {
            match start_once(place, programs, account, record, told).await {
                Err(EmbeddedError::Start { tail, .. })
                    if tail.contains("shared memory block") && Instant::now() < deadline =>
                {
                    tokio::time::sleep(SHARED_MEMORY_PAUSE).await;
                }
                outcome => return outcome,
            }
        }
    }

    /// Resolves when the postmaster is gone, with what is known of its end.
    pub async fn ended(&mut self, place: &Place) -> String {
        if let Some(child) = &mut self.child {
            // An error means that somebody else reaped it: gone all the same.
            return child.wait().await.map_or_else(|error| error.to_string(), |status| status.to_string());
        }
        while leftover::holder(self.pid, &place.cluster) == Holder::Ours {
            tokio::time::sleep(LOOK).await;
        }
        "the process is gone".into()
    }

    /// Fast shutdown, then an immediate one, each bounded; returns when the process and its guard are gone.
    pub async fn stop(mut self, place: &Place) -> Result<(), EmbeddedError> {
        for (signal, patience) in [(Signal::SIGINT, FAST_TIMEOUT), (Signal::SIGQUIT, IMMEDIATE_TIMEOUT)] {
            if leftover::holder(self.pid, &place.cluster) == Holder::Ours {
                send(self.pid, signal);
            }
            if self.gone_within(place, patience).await {
                return Ok(());
            }
            tracing::warn!(pid = self.pid, ?signal, "PostgreSQL has not stopped yet");
        }
        Err(EmbeddedError::Stop { pid: self.pid, seconds: (FAST_TIMEOUT + IMMEDIATE_TIMEOUT).as_secs() })
    }

    async fn gone_within(&mut self, place: &Place, patience: Duration) -> bool {
        let in_time = tokio::time::timeout(patience, self.ended(place)).await.is_ok();
        if in_time {
            self.guard = None;
        }
        in_time
    }
}

async fn start_once(
    place: &Place,
    programs: &Programs,
    account: &Account,
    record: &Record,
    told: &mut Told,
) -> Result<Process, EmbeddedError> {
    let log = open_log(place)?;
    if place.temporary {
        // The guard deletes it under that account. Root writes nothing into it from here on.
        account.give(&place.base)?;
    }
    let log_start = log.metadata().map_or(0, |meta| meta.len());
    let mut command = server_command(place, programs, account, record);
    let also = log.try_clone().map_err(at("open", place.log()))?;
    command.stdout(Stdio::from(also)).stderr(Stdio::from(log)).process_group(0).kill_on_drop(false);
    let failed =
        |cause: String| EmbeddedError::Start { cause, log: place.log(), tail: log_tail(&place.log(), log_start) };
    let mut child = command.spawn().map_err(|error| failed(error.to_string()))?;
    let guard = child.stdin.take().and_then(|stdin| stdin.into_owned_fd().ok());
    let outcome = tokio::select! {
        outcome = ready(place, record, &mut child) => outcome,
        () = told.no_longer_wanted() => Err("it is no longer wanted".into()),
    };
    match outcome {
        Ok(pid) => Ok(Process { pid, child: Some(child), guard }),
        Err(cause) => {
            let error = failed(cause);
            give_up(child, guard).await;
            Err(error)
        }
    }
}

/// The postmaster itself for a daemon's server, the guard around it for one that ends with us.
fn server_command(place: &Place, programs: &Programs, account: &Account, record: &Record) -> Command {
    let postgres = programs.directory.join("postgres");
    let mut command = if record.persistent {
        let mut command = account.command(&postgres);
        command.stdin(Stdio::null());
        command
    } else {
        let disposable = if place.temporary { place.base.as_os_str() } else { OsStr::new("") };
        let mut command = account.command(Path::new("/bin/sh"));
        command.args(["-c", GUARD, "mosaic-fed-guard"]);
        command.arg(disposable).arg(&postgres).stdin(Stdio::piped());
        command
    };
    command.arg("-D").arg(&place.cluster);
    for setting in fixed_settings(place, &record.nonce) {
        command.arg("-c").arg(setting);
    }
    command
}

/// The postmaster's process id once it answers with our nonce, or what was seen instead.
async fn ready(place: &Place, record: &Record, child: &mut Child) -> Result<u32, String> {
    let deadline = Instant::now() + READY_TIMEOUT;
    let mut last = String::from("no answer");
    while Instant::now() < deadline {
        if let Ok(Some(status)) = child.try_wait() {
            return Err(format!("it ended at once ({status})"));
        }
        let identity = if leftover::is_starting(&place.cluster) {
            Identity::NotYet("it is still starting".into())
        } else {
            leftover::identify(record).await
        };
        match identity {
            Identity::Proven => {
                return leftover::postmaster(&place.cluster).ok_or_else(|| "it wrote no postmaster.pid".into());
            }
            Identity::Refused(reason) => return Err(reason),
            Identity::NotYet(reason) => last = reason,
        }
        tokio::time::sleep(POLL).await;
    }
    Err(format!("not ready within {} s: {last}", READY_TIMEOUT.as_secs()))
}

/// Ends what did not become ready: SIGQUIT and then SIGKILL for the postmaster, whose children notice and whose next start
/// recovers; the pipe for a guard. The child is asked, not `postmaster.pid`: that one may still name the server before it.
async fn give_up(mut child: Child, guard: Option<OwnedFd>) {
    let postmaster = child.id().filter(|_| guard.is_none());
    drop(guard);
    if let Some(postmaster) = postmaster {
        send(postmaster, Signal::SIGQUIT);
        if tokio::time::timeout(GIVEN_UP_TIMEOUT, child.wait()).await.is_ok() {
            return;
        }
        send(postmaster, Signal::SIGKILL);
    }
    if tokio::time::timeout(IMMEDIATE_TIMEOUT, child.wait()).await.is_err() {
        tracing::warn!("a PostgreSQL that did not become ready does not stop either");
    }
}

/// A signal to a process that is gone is no error: the caller waits for exactly that.
pub(super) fn send(pid: u32, signal: Signal) {
    if let Ok(pid) = i32::try_from(pid)
        && let Err(error) = kill(Pid::from_raw(pid), signal)
    {
        tracing::debug!(pid, %error, "signal not delivered");
    }
}
