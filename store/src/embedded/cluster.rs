//! Makes a database cluster and writes its configuration, anew at each start, so that a changed file cannot open a door.

use super::account::Account;
use super::error::at;
use super::place::{PORT, Place, replace_file};
use super::programs::{Programs, run};
use super::{APP, EmbeddedError, OWNER, SUPERUSER};
use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

/// `initdb` syncs some 40 MB: seconds on a slow disk.
const INITDB_TIMEOUT: Duration = Duration::from_mins(2);
/// Beyond this size the log of the earlier starts is set aside, one generation.
const LOG_MAX: u64 = 1 << 20;
const CONFIG: &str = "postgresql.conf";
const ACCESS: &str = "pg_hba.conf";
const PEERS: &str = "pg_ident.conf";

/// Settings for a small machine. Nothing that a statement carries may reach the log: rows of a peer are never written by the asking side.
const SETTINGS: &str = "\
# Written by mosaic-fed at each start. Put changes of your own into the database with ALTER SYSTEM.
shared_buffers = '64MB'
max_connections = 40
max_worker_processes = 4
max_parallel_workers = 2
max_parallel_workers_per_gather = 0
huge_pages = off
jit = off
wal_level = minimal
max_wal_senders = 0
max_wal_size = '256MB'
min_wal_size = '64MB'
checkpoint_timeout = '5min'
timezone = 'UTC'
log_timezone = 'UTC'
logging_collector = off
log_destination = 'stderr'
log_line_prefix = '%m [%p] '
# Above ERROR: even the first line of an error can quote a value (invalid input syntax). The client gets it; the log must not.
log_min_messages = log
log_statement = none
log_min_duration_statement = -1
log_min_error_statement = panic
log_error_verbosity = terse
log_parameter_max_length = 0
log_parameter_max_length_on_error = 0
log_connections = off
log_disconnections = off
";

/// Runs `initdb` into a neighbour and renames it: an interrupted one is never taken for a cluster.
pub(super) async fn initialise(place: &Place, programs: &Programs, account: &Account) -> Result<(), EmbeddedError> {
    let new = place.base.join("cluster.new");
    if new.exists() {
        fs::remove_dir_all(&new).map_err(at("remove", &new))?;
    }
    account.private_directory(&new)?;
    let mut initdb = account.command(&programs.directory.join("initdb"));
    initdb.arg("--pgdata").arg(&new).args(["--username", SUPERUSER, "--encoding=UTF8"]);
    // The built-in provider folds non-ASCII letters without ICU and does not change with the C library.
    initdb.args(["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]);
    initdb.args(["--auth-local=peer", "--auth-host=reject", "--data-checksums", "--no-instructions"]);
    let out = run(&mut initdb, INITDB_TIMEOUT).await;
    out.map_err(|output| EmbeddedError::Program { program: "initdb".into(), output })?;
    fs::rename(&new, &place.cluster).map_err(at("create", &place.cluster))
}

/// Writes settings, host-based access and the peer map, where the server's account can read but not change them.
pub(super) fn configure(place: &Place, account: &Account) -> Result<(), EmbeddedError> {
    replace_file(&place.base.join(CONFIG), SETTINGS.as_bytes(), 0o644)?;
    replace_file(&place.base.join(ACCESS), access().as_bytes(), 0o644)?;
    replace_file(&place.base.join(PEERS), peer_map(&account.daemon).as_bytes(), 0o644)
}

/// What nothing in the cluster may override: the command line wins over every file and over ALTER SYSTEM.
pub(super) fn fixed_settings(place: &Place, nonce: &str) -> Vec<String> {
    let socket = place.socket.to_string_lossy().replace('"', "\"\"");
    let file = |name: &str| place.base.join(name).to_string_lossy().into_owned();
    vec![
        format!("config_file={}", file(CONFIG)),
        format!("hba_file={}", file(ACCESS)),
        format!("ident_file={}", file(PEERS)),
        "listen_addresses=".into(),
        format!("unix_socket_directories=\"{socket}\""),
        "unix_socket_permissions=0700".into(),
        format!("port={PORT}"),
        "fsync=on".into(),
        "synchronous_commit=on".into(),
        "full_page_writes=on".into(),
        format!("mosaic.nonce={nonce}"),
    ]
}

/// Opens the log for appending; a long one is set aside first.
pub(super) fn open_log(place: &Place) -> Result<fs::File, EmbeddedError> {
    let path = place.log();
    if fs::metadata(&path).is_ok_and(|meta| meta.len() > LOG_MAX) {
        fs::rename(&path, path.with_extension("log.1")).map_err(at("rename", &path))?;
    }
    let file = fs::OpenOptions::new().append(true).create(true).mode(0o600).open(&path).map_err(at("open", &path))?;
    Ok(file)
}

/// The last lines of the log from `start` on, enough for a message; empty when it cannot be read.
pub(super) fn log_tail(path: &Path, start: u64) -> String {
    let bytes = fs::read(path).unwrap_or_default();
    let from = usize::try_from(start).unwrap_or(0).min(bytes.len());
    let text = String::from_utf8_lossy(bytes.get(from..).unwrap_or_default()).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    lines.get(lines.len().saturating_sub(20)..).unwrap_or_default().join("\n")
}

fn access() -> String {
    format!(
        "# Written by mosaic-fed at each start.\nlocal all {SUPERUSER},{OWNER},{APP} peer map=mosaic\nlocal all all reject\n"
    )
}

/// The daemon's own user and root; the account that root lends the server is not among them.
fn peer_map(daemon: &str) -> String {
    let users = if daemon == "root" { vec!["root"] } else { vec![daemon, "root"] };
    let roles = [SUPERUSER, OWNER, APP];
    let lines = users.iter().flat_map(|user| roles.map(|role| format!("mosaic \"{user}\" {role}\n")));
    format!("# Written by mosaic-fed at each start.\n{}", lines.collect::<String>())
}
