//! What an earlier daemon left: a live server to adopt, one that is just ending, or only its `postmaster.pid`.
//!
//! The id in `postmaster.pid` may belong to anybody by now, above all after a reboot with several instances. `/proc/PID/cmdline`
//! tells them apart (`/proc/PID/cwd` needs a capability that root lacks in containers); the nonce proves the rest.

use super::error::at;
use super::place::{PORT, Place, Record};
use super::process::{Process, READY_TIMEOUT};
use super::{EmbeddedError, Lifetime, SUPERUSER, options};
use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use sqlx::Connection;
use sqlx::postgres::PgConnection;
use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;
use tokio::time::Instant;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(50);

/// Who has a process id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holder {
    /// Nobody.
    Nobody,
    /// A postmaster on this cluster, or one that cannot be told from it.
    Ours,
    /// A process that has nothing to do with this cluster, or a dead one that its parent has not reaped (the first process of
    /// many containers never does). PostgreSQL takes either for a live postmaster.
    Other,
}

/// Whether a server answered as the one in the record.
#[derive(Debug)]
pub(super) enum Identity {
    /// It repeated the nonce.
    Proven,
    /// It does not listen yet, or is starting up or shutting down.
    NotYet(String),
    /// It refused us or is another server.
    Refused(String),
}

/// Sixteen random bytes, hex. Not from the injected world: they name a real process of this machine.
pub(super) fn nonce() -> Result<String, EmbeddedError> {
    let mut bytes = [0; 16];
    let read = fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes));
    read.map_err(at("read", "/dev/urandom"))?;
    Ok(hex::encode(bytes))
}

/// The process id in `postmaster.pid`.
pub(super) fn postmaster(cluster: &Path) -> Option<u32> {
    first_number(&cluster.join("postmaster.pid"))
}

/// Whether `postmaster.pid` says that the server is still starting (its eighth line; older ones and half-written ones say
/// nothing). Asking the server instead costs it a process each time.
pub(super) fn is_starting(cluster: &Path) -> bool {
    let text = fs::read_to_string(cluster.join("postmaster.pid")).unwrap_or_default();
    text.lines().nth(7).is_some_and(|status| status.trim() == "starting")
}

fn first_number(file: &Path) -> Option<u32> {
    fs::read_to_string(file).ok()?.lines().next()?.trim().parse().ok()
}

/// Who holds the cluster: adopts a daemon's server, waits for one that ends, clears a lock file that names a stranger.
pub(super) async fn resolve(
    place: &Place,
    record: Option<&Record>,
    lifetime: Lifetime,
) -> Result<Option<Process>, EmbeddedError> {
    let start = Instant::now();
    let mut reason = String::from("it belongs to a process that has not ended");
    while let Some(pid) = postmaster(&place.cluster) {
        match holder(pid, &place.cluster) {
            Holder::Nobody => return Ok(None),
            Holder::Other => return clear(place, pid).map(|()| None),
            Holder::Ours => match record.filter(|record| record.persistent) {
                None if record.is_none() => {
                    return Err(foreign(place, pid, "there is no record of its start".into()));
                }
                None => {}
                Some(record) => match identify(record).await {
                    Identity::Proven => return take_over(place, pid, lifetime).await,
                    Identity::Refused(why) => return Err(foreign(place, pid, why)),
                    Identity::NotYet(why) => reason = why,
                },
            },
        }
        if start.elapsed() > READY_TIMEOUT {
            return Err(foreign(place, pid, reason));
        }
        tokio::time::sleep(POLL).await;
    }
    Ok(None)
}

/// Asks the server at the socket for the nonce it was started with.
pub(super) async fn identify(record: &Record) -> Identity {
    match tokio::time::timeout(CONNECT_TIMEOUT, ask_nonce(&record.socket)).await {
        Err(_) => Identity::NotYet(format!("no answer within {} s", CONNECT_TIMEOUT.as_secs())),
        Ok(Ok(Some(nonce))) if nonce == record.nonce => Identity::Proven,
        Ok(Ok(_)) => Identity::Refused("it was not started by the daemon of this data directory".into()),
        Ok(Err(sqlx::Error::Database(error))) if !is_passing(error.code().as_deref()) => {
            Identity::Refused(error.to_string())
        }
        Ok(Err(error)) => Identity::NotYet(error.to_string()),
    }
}

/// Who has `pid` now. When in doubt it is ours: two postmasters on one cluster would destroy it.
pub(super) fn holder(pid: u32, cluster: &Path) -> Holder {
    let Ok(raw) = i32::try_from(pid) else {
        return Holder::Nobody;
    };
    if raw <= 0 || kill(Pid::from_raw(raw), None) == Err(Errno::ESRCH) {
        return Holder::Nobody;
    }
    let proc = Path::new("/proc").join(pid.to_string());
    if fs::read_to_string(proc.join("stat")).is_ok_and(|stat| is_dead(&stat)) {
        return Holder::Other;
    }
    match fs::read(proc.join("cmdline")) {
        Ok(line) if runs_elsewhere(&line, cluster) => Holder::Other,
        _ => Holder::Ours,
    }
}

/// State `Z` or `X` behind the command's name, which is in parentheses and may hold any byte (proc(5)).
fn is_dead(stat: &str) -> bool {
    stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with(['Z', 'X']))
}

/// Whether a command line is certainly not a postmaster on `cluster`: another program, or `-D` with another absolute path.
fn runs_elsewhere(line: &[u8], cluster: &Path) -> bool {
    let mut arguments = line.split(|byte| *byte == 0).map(|bytes| Path::new(OsStr::from_bytes(bytes)));
    let program = arguments.next().and_then(Path::file_name).unwrap_or_default();
    if program.is_empty() {
        return false;
    }
    if program != "postgres" && program != "postmaster" {
        return true;
    }
    let directory = arguments.skip_while(|argument| *argument != Path::new("-D")).nth(1);
    directory
        .filter(|path| path.is_absolute())
        .is_some_and(|path| path.canonicalize().is_ok_and(|path| path != cluster))
}

/// Starting up, shutting down, too many connections: states that pass.
fn is_passing(code: Option<&str>) -> bool {
    matches!(code, Some("57P03" | "57P01" | "57P02" | "53300"))
}

async fn ask_nonce(socket: &Path) -> Result<Option<String>, sqlx::Error> {
    let mut connection = PgConnection::connect_with(&options(socket, SUPERUSER)).await?;
    let nonce = sqlx::query_scalar("SELECT current_setting('mosaic.nonce', true)").fetch_one(&mut connection).await?;
    connection.close().await?;
    Ok(nonce)
}

/// A server that shall end with us cannot be one that another process started to outlive it: that one makes room.
async fn take_over(place: &Place, pid: u32, lifetime: Lifetime) -> Result<Option<Process>, EmbeddedError> {
    let process = Process::adopted(pid);
    if lifetime == Lifetime::Daemon {
        return Ok(Some(process));
    }
    process.stop(place).await.map(|()| None)
}

/// Removes the lock files of the directory and of the socket. Without them PostgreSQL looks for backends that still run just as
/// closely: the shared memory is found by the directory itself.
fn clear(place: &Place, pid: u32) -> Result<(), EmbeddedError> {
    let socket = place.socket.join(format!(".s.PGSQL.{PORT}.lock"));
    if first_number(&socket) == Some(pid) {
        fs::remove_file(&socket).map_err(at("remove", &socket))?;
    }
    let file = place.cluster.join("postmaster.pid");
    fs::remove_file(&file).map_err(at("remove", &file))
}

fn foreign(place: &Place, pid: u32, reason: String) -> EmbeddedError {
    EmbeddedError::Foreign { pid, cluster: place.cluster.clone(), reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_id_that_another_instance_got_after_a_reboot_is_told_apart() {
        let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let line = |directory: &Path| {
            [b"/opt/bin/postgres\0-D\0".as_slice(), directory.as_os_str().as_bytes(), b"\0-c\0x=y\0"].concat()
        };
        let cluster = here.path().canonicalize().unwrap();
        assert!(!runs_elsewhere(&line(&cluster), &cluster));
        assert!(runs_elsewhere(&line(there.path()), &cluster));
        assert!(runs_elsewhere(b"/usr/bin/sleep\x005\0", &cluster));
    }

    #[test]
    fn a_postmaster_that_cannot_be_told_apart_counts_as_ours() {
        let cluster = Path::new("/nowhere/cluster");
        assert!(!runs_elsewhere(b"postgres\0-D\0cluster\0", cluster));
        assert!(!runs_elsewhere(b"/opt/bin/postgres\0", cluster));
        assert!(!runs_elsewhere(b"", cluster));
    }

    #[test]
    fn a_command_name_with_a_parenthesis_does_not_hide_a_dead_process() {
        assert!(is_dead("12 (post) R (gres) Z 1 12 12 0"));
        assert!(!is_dead("12 (Z) S 1 12 12 0"));
    }
}
