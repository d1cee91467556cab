//! Modules of other languages that a test needs, pinned: installed once below the target folder and kept there between runs, under the hash of what pins
//! them. The tests of `cli` have this very file too.

use sha2::{Digest, Sha256};
use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// How pip is asked for wheels that were pinned by their hashes, and for nothing else.
const PIP: [&str; 12] = [
    "-m",
    "pip",
    "install",
    "--quiet",
    "--disable-pip-version-check",
    "--no-compile",
    "--require-hashes",
    "--only-binary=:all:",
    "--target",
    ".",
    "-r",
    "requirements.txt",
];

/// Modules of one language.
#[derive(Clone, Debug)]
pub struct Modules {
    /// Whom they are for, as said where they cannot be installed.
    pub what: &'static str,
    /// What runs them; another version of it has modules of its own.
    pub interpreter: &'static str,
    /// What must run here, each with arguments that it answers if it does.
    pub needs: &'static [&'static [&'static str]],
    /// What pins them: files that whoever installs finds beside itself under these names.
    pub pins: Vec<PathBuf>,
    /// Whoever installs into the directory where it is started, with its arguments.
    pub installer: (&'static str, &'static [&'static str]),
}

impl Modules {
    /// For Python 3, by a `requirements.txt` with hashes.
    pub fn python(what: &'static str, pins: PathBuf) -> Self {
        let needs: &[&[&str]] = &[&["python3", "-m", "pip", "--version"]];
        Self { what, interpreter: "python3", needs, pins: vec![pins], installer: ("python3", &PIP) }
    }

    /// The directory that they are in, below `base`; none, said loudly, where the language is missing.
    ///
    /// # Panics
    /// Where the language is missing and `CI` is set, or what is pinned is not to be had.
    ///
    /// # Errors
    /// The file system's.
    pub fn installed(&self, base: &Path) -> io::Result<Option<PathBuf>> {
        if let Some(program) = self.missing() {
            let text = format!("`{program}` does not run here, so {} is NOT TESTED: install it\n", self.what);
            assert!(std::env::var_os("CI").is_none(), "{text}");
            // Past the harness, which keeps what tests print to itself when they pass.
            io::stderr().write_all(text.as_bytes())?;
            return Ok(None);
        }
        self.install(base).map(Some)
    }

    fn missing(&self) -> Option<String> {
        let runs = |line: &[&str]| {
            let (program, arguments) = line.split_first()?;
            Some(Command::new(program).args(arguments).output().ok()?.status.success())
        };
        self.needs.iter().find(|line| runs(line) != Some(true)).map(|line| line.join(" "))
    }

    /// Installs where nobody looks and moves it into place whole: two runs at once cannot see half of it.
    fn install(&self, base: &Path) -> io::Result<PathBuf> {
        fs::create_dir_all(base)?;
        let mut hash = Sha256::new_with_prefix(Command::new(self.interpreter).arg("--version").output()?.stdout);
        for pin in &self.pins {
            hash.update(fs::read(pin)?);
        }
        let modules = base.join(format!("{}-{}", self.interpreter, &hex::encode(hash.finalize())[..16]));
        if modules.is_dir() {
            return Ok(modules);
        }
        let fresh = tempfile::Builder::new().prefix("modules-").tempdir_in(base)?;
        for pin in &self.pins {
            fs::copy(pin, fresh.path().join(pin.file_name().unwrap_or_default()))?;
        }
        let (program, arguments) = self.installer;
        let done = Command::new(program).args(arguments).current_dir(fresh.path()).stdin(Stdio::null()).output()?;
        assert!(done.status.success(), "the modules of {}: {}", self.what, String::from_utf8_lossy(&done.stderr));
        match fs::rename(fresh.keep(), &modules) {
            Err(cause) if !modules.is_dir() => Err(cause),
            _ => Ok(modules),
        }
    }
}
