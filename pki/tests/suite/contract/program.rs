//! A real step-ca on a port of loopback, with everything of it in a directory of its own; killed when the test lets go of it.

use pki::{
    Authority,
    step_ca::{Address, setup},
};
use serde_json::Value;
use std::{
    env,
    io::Write,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Once,
    time::Duration,
};
use tempfile::TempDir;
use tokio::{
    net::TcpStream,
    time::{Instant, sleep},
};

/// A running step-ca.
pub struct Program {
    child: Child,
    dir: TempDir,
    port: u16,
}

impl Program {
    /// A step-ca that issues as `authority` does; `change` may touch its directory and `ca.json` first. None where there is no
    /// program.
    pub async fn start(authority: &Authority, change: impl FnOnce(&Path, &mut Value)) -> Option<Self> {
        let program = found()?;
        let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
        for file in setup::files(authority, "127.0.0.1", &format!("127.0.0.1:{port}")).unwrap() {
            std::fs::write(dir.path().join(file.name), file.content.expose()).unwrap();
        }
        let config = dir.path().join(setup::CONFIG);
        let mut json: Value = serde_json::from_slice(&std::fs::read(&config).unwrap()).unwrap();
        change(dir.path(), &mut json);
        std::fs::write(&config, json.to_string()).unwrap();
        Some(Self::run(&program, dir, port).await)
    }

    /// As it is started by hand: in the directory of its files.
    async fn run(program: &Path, dir: TempDir, port: u16) -> Self {
        let log = std::fs::File::create(dir.path().join("log")).unwrap();
        let mut command = Command::new(program);
        command.arg(setup::CONFIG).current_dir(dir.path()).env("STEPPATH", dir.path()).env("HOME", dir.path());
        let child = command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        let mut started = Self { child, dir, port };
        let until = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            let ended = started.child.try_wait().unwrap();
            assert!(ended.is_none() && Instant::now() < until, "step-ca did not start: {}", started.read("log"));
            sleep(Duration::from_millis(20)).await;
        }
        started
    }

    /// A file of its directory.
    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.dir.path().join(name)).unwrap()
    }

    pub fn address(&self) -> Address {
        Address::parse(&format!("https://127.0.0.1:{}", self.port)).unwrap()
    }

    pub fn socket(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The program that `STEP_CA` names, else the one on PATH.
fn found() -> Option<PathBuf> {
    static SAID: Once = Once::new();
    let named = env::var_os("STEP_CA").map(PathBuf::from);
    let on_path = || {
        let path = env::var_os("PATH")?;
        env::split_paths(&path).map(|dir| dir.join("step-ca")).find(|program| program.is_file())
    };
    let program = named.or_else(on_path);
    if program.is_none() {
        let said =
            "LEFT OUT: there is no step-ca, neither in STEP_CA nor on PATH, so nothing was tried against a real one";
        assert_ne!(env::var("CI").as_deref(), Ok("true"), "{said}");
        // Not by `eprintln`, which a test that passes keeps to itself.
        SAID.call_once(|| writeln!(std::io::stderr(), "\n*** {said} ***\n").unwrap());
    }
    program
}
