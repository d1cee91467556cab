//! What a client is given: the `.proto` files, its own program, its pinned modules, and a directory to write to.
//!
//! Each test has a copy of its own below the target folder, so that a client sees nothing else of the project and cannot write
//! into the checkout. The modules are installed once and kept there between runs, under the hash of what pins them.

use std::{
    fs, io,
    path::{Path, PathBuf},
};
use tempfile::TempDir;
use tests::modules::Modules;
use tokio::sync::OnceCell;

/// The clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Client {
    /// `python/client.py`, grpcio.
    Python,
    /// `node/client.mjs`, @grpc/grpc-js.
    Node,
}

/// A copy of what a stranger may see.
pub(crate) struct Stage {
    /// Whose it is.
    pub(crate) client: Client,
    root: TempDir,
    modules: PathBuf,
}

impl Stage {
    /// A fresh one; none where the language is not installed and nobody insists on it.
    pub(crate) async fn of(client: Client) -> Option<Self> {
        static PYTHON: OnceCell<Option<PathBuf>> = OnceCell::const_new();
        static NODE: OnceCell<Option<PathBuf>> = OnceCell::const_new();
        let modules = match client {
            Client::Python => &PYTHON,
            Client::Node => &NODE,
        };
        let modules = modules.get_or_init(|| installed(client)).await.clone()?;
        Some(Self::copy(client, modules).expect("a copy of the client"))
    }

    fn copy(client: Client, modules: PathBuf) -> io::Result<Self> {
        let root = tempfile::Builder::new().prefix("stage-").tempdir_in(place())?;
        copy(&checkout().join("proto/proto"), &root.path().join("proto/proto"))?;
        copy(&checkout().join("tests/foreign"), &root.path().join("tests/foreign"))?;
        for directory in ["home", "tmp"] {
            fs::create_dir(root.path().join(directory))?;
        }
        if client == Client::Node {
            let beside = root.path().join("tests/foreign/node/node_modules");
            std::os::unix::fs::symlink(modules.join("node_modules"), beside)?;
        }
        Ok(Self { client, root, modules })
    }

    /// A path on this stage, for a file in hand or a directory to keep a link in.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// What lies in the directory `link`, in another one, `former`.
    pub(crate) fn keep_a_copy(&self) {
        copy(&self.path("link"), &self.path("former")).expect("a copy of the link");
    }

    /// The client's program, ready for its arguments.
    pub(crate) fn program(&self) -> tokio::process::Command {
        let (interpreter, program) = self.client.program();
        let mut command = tokio::process::Command::new(interpreter);
        command.arg(self.path("tests/foreign").join(program)).env_clear().current_dir(self.path("home"));
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("LANG", "C.UTF-8");
        command.env("HOME", self.path("home")).env("TMPDIR", self.path("tmp"));
        if self.client == Client::Python {
            command.env("PYTHONPATH", &self.modules).env("PYTHONNOUSERSITE", "1");
        }
        command
    }
}

impl Client {
    const fn program(self) -> (&'static str, &'static str) {
        match self {
            Self::Python => ("python3", "python/client.py"),
            Self::Node => ("node", "node/client.mjs"),
        }
    }

    /// Its modules, by the files that pin them.
    fn modules(self) -> Modules {
        let pin = |name: &str| checkout().join("tests/foreign").join(name);
        match self {
            Self::Python => Modules::python("the client in Python", pin("python/requirements.txt")),
            Self::Node => Modules {
                what: "the client in Node.js",
                interpreter: "node",
                needs: &[&["node", "--version"], &["npm", "--version"]],
                pins: ["node/package.json", "node/package-lock.json", "node/.npmrc"].map(pin).to_vec(),
                installer: ("npm", &["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]),
            },
        }
    }
}

/// The directory of a client's modules; none where its language is missing.
async fn installed(client: Client) -> Option<PathBuf> {
    let installed = tokio::task::spawn_blocking(move || client.modules().installed(&place()));
    installed.await.expect("it does not panic").expect("the pinned modules")
}

fn place() -> PathBuf {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("foreign");
    fs::create_dir_all(&place).expect("a place below the target folder");
    place
}

fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

/// Copies a folder without what a client's own author may have left in it.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        match entry.file_type()? {
            kind if kind.is_dir() && name != "node_modules" && name != "__pycache__" => {
                copy(&entry.path(), &to.join(name))?;
            }
            kind if kind.is_file() => drop(fs::copy(entry.path(), to.join(name))?),
            _ => {}
        }
    }
    Ok(())
}
