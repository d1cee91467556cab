//! Finds a PostgreSQL: the configured directory, our bundle, a system installation with pgvector, else the bundle fetched now.

use super::EmbeddedError;
use super::account::Account;
use super::bundle;
use super::environment::{Environment, is_program};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::process::Command;

const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// A usable set of programs.
#[derive(Debug, Clone)]
pub(super) struct Programs {
    /// The directory of `postgres`, `initdb`, `pg_dump`.
    pub directory: PathBuf,
}

/// Looks in the order of the architecture; `major` is the version that an existing cluster needs.
pub(super) async fn find(
    configured: Option<&Path>,
    environment: &Environment,
    account: &Account,
    major: Option<u32>,
) -> Result<Programs, EmbeddedError> {
    if let Some(directory) = configured {
        let found = probe(directory, account, major).await;
        return found
            .map(|_| Programs { directory: directory.to_owned() })
            .map_err(|reason| EmbeddedError::Configured { directory: directory.to_owned(), reason });
    }
    let mut tried = Vec::new();
    if let Some(directory) = bundle::unpacked(environment) {
        match probe(&directory, account, major).await {
            Ok(_) => return Ok(Programs { directory }),
            Err(reason) => tried.push(format!("bundle {}: {reason}", directory.display())),
        }
    }
    if let Some(programs) = installed(environment, account, major, &mut tried).await {
        return Ok(programs);
    }
    if tried.is_empty() {
        tried.push("none is installed".into());
    }
    fetched(environment, account, major, tried).await
}

/// Runs a program to its end, bounded; the error is its last words.
pub(super) async fn run(command: &mut Command, timeout: Duration) -> Result<String, String> {
    command.stdin(std::process::Stdio::null());
    let output = match tokio::time::timeout(timeout, command.output()).await {
        Err(_) => return Err(format!("no answer within {} s", timeout.as_secs())),
        Ok(Err(error)) => return Err(error.to_string()),
        Ok(Ok(output)) => output,
    };
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let words =
        String::from_utf8_lossy(if output.stderr.is_empty() { &output.stdout } else { &output.stderr }).into_owned();
    let lines: Vec<&str> = words.lines().collect();
    let tail = lines.get(lines.len().saturating_sub(8)..).unwrap_or_default().join("\n");
    Err(format!("{} ({})", tail.trim(), output.status))
}

async fn installed(
    environment: &Environment,
    account: &Account,
    major: Option<u32>,
    tried: &mut Vec<String>,
) -> Option<Programs> {
    for directory in installations(environment) {
        let outcome = match probe(&directory, account, major).await {
            Ok(found) if has_vector(&directory, found) => return Some(Programs { directory }),
            Ok(_) => "has no pgvector".to_owned(),
            Err(reason) => reason,
        };
        tried.push(format!("{}: {outcome}", directory.display()));
    }
    None
}

async fn fetched(
    environment: &Environment,
    account: &Account,
    major: Option<u32>,
    mut tried: Vec<String>,
) -> Result<Programs, EmbeddedError> {
    if major.is_some_and(|major| major != bundle::MAJOR) || bundle::unpacked(environment).is_some() {
        return Err(EmbeddedError::NoPrograms { tried });
    }
    let reason = match bundle::fetch(environment).await? {
        Ok(directory) => match probe(&directory, account, major).await {
            Ok(_) => return Ok(Programs { directory }),
            Err(reason) => format!("bundle {}: {reason}", directory.display()),
        },
        Err(reason) => reason,
    };
    tried.push(reason);
    Err(EmbeddedError::NoPrograms { tried })
}

/// Directories that hold `postgres`; symlinks on `PATH` are followed to the installation.
fn installations(environment: &Environment) -> Vec<PathBuf> {
    let on_path = environment
        .which("postgres")
        .and_then(|file| file.canonicalize().ok())
        .and_then(|file| file.parent().map(Path::to_owned));
    let mut found: Vec<PathBuf> =
        environment.installations.iter().filter(|directory| is_program(&directory.join("postgres"))).cloned().collect();
    found.extend(on_path.filter(|directory| !found.contains(directory)));
    found
}

/// The major version of usable programs, or why they are not. Runs as the server's account: what it cannot reach is useless.
async fn probe(directory: &Path, account: &Account, needed: Option<u32>) -> Result<u32, String> {
    if let Some(missing) = ["postgres", "initdb"].iter().find(|name| !is_program(&directory.join(name))) {
        return Err(format!("there is no program `{missing}` in it"));
    }
    let said = run(account.command(&directory.join("postgres")).arg("--version"), PROBE_TIMEOUT).await?;
    let (major, minor) = parse_version(&said).ok_or_else(|| format!("`postgres --version` says {:?}", said.trim()))?;
    if !fixed_minor(major, minor) {
        return Err(format!("is PostgreSQL {major}.{minor}, older than 17.6 or 18.0"));
    }
    match needed {
        Some(needed) if needed != major => Err(format!(
            "is PostgreSQL {major}.{minor}, and the database was made by {needed}; install {needed} or upgrade it with pg_upgrade"
        )),
        _ => Ok(major),
    }
}

/// Below these minors row-level security is known to leak (CVE-2025-8713 among others).
fn fixed_minor(major: u32, minor: u32) -> bool {
    match major {
        0..=16 => false,
        17 => minor >= 6,
        _ => true,
    }
}

/// `postgres (PostgreSQL) 18.4 (Debian ...)` → (18, 4); a beta counts as minor 0.
fn parse_version(said: &str) -> Option<(u32, u32)> {
    let number = said.split_whitespace().nth(2)?;
    let digits = |text: &str| text.chars().take_while(char::is_ascii_digit).collect::<String>();
    let (major, rest) = number.split_once('.').unwrap_or((number, "0"));
    Some((digits(major).parse().ok()?, digits(rest).parse().unwrap_or(0)))
}

/// Whether `vector.control` lies in a share directory as Debian, Fedora, Arch or the PostgreSQL project lay them out.
fn has_vector(directory: &Path, major: u32) -> bool {
    let prefix = directory.parent().unwrap_or(directory);
    let beside = ["share/postgresql", "share/pgsql", "share"].map(|share| prefix.join(share));
    let debian = PathBuf::from(format!("/usr/share/postgresql/{major}"));
    beside.into_iter().chain([debian]).any(|share| share.join("extension/vector.control").is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_distributions_print_them() {
        assert_eq!(parse_version("postgres (PostgreSQL) 18.4\n"), Some((18, 4)));
        assert_eq!(parse_version("postgres (PostgreSQL) 17.6 (Debian 17.6-1.pgdg12+1)"), Some((17, 6)));
        assert_eq!(parse_version("postgres (PostgreSQL) 19beta1"), Some((19, 0)));
        assert_eq!(parse_version("something else"), None);
    }

    #[test]
    fn a_minor_with_a_known_leak_is_refused() {
        let accepted =
            [(15, 18), (16, 14), (17, 5), (17, 6), (18, 0), (19, 0)].map(|(major, minor)| fixed_minor(major, minor));
        assert_eq!(accepted, [false, false, false, true, true, true]);
    }
}
