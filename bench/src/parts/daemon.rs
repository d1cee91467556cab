//! A sharing side that is the built program, with a database of its own.

use crate::process::Meter;
use anyhow::{Context, Result, bail, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    fs,
    io::Write as _,
    net::{SocketAddr, TcpListener},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// The longest a daemon takes to start, on a machine that is busy.
const PATIENCE: Duration = Duration::from_mins(2);

/// One that runs.
pub struct Daemon {
    /// What its link is called.
    pub name: String,
    /// Where links are served.
    pub address: SocketAddr,
    process: Option<Child>,
    directory: TempDir,
}

/// An address of this machine that nobody has, below the ports that the system gives to connections: one of those might be taken before the
/// daemon listens there.
pub fn free_address() -> SocketAddr {
    static TRIED: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = std::process::id().wrapping_mul(97).wrapping_add(TRIED.fetch_add(1, Ordering::Relaxed));
        let port = u16::try_from(12_000 + number % 8_000).unwrap_or(12_000);
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

impl Daemon {
    /// Makes an instance with so many rows, adds these lines to its settings, and starts its daemon.
    pub fn start(at: usize, rows: u64, settings: &str) -> Result<Self> {
        let (address, enrolment, calls) = (free_address(), free_address().to_string(), free_address().to_string());
        let mut daemon = Self { name: format!("daemon-{at}"), address, process: None, directory: tempfile::tempdir()? };
        let listen = address.to_string();
        daemon.run(&[
            "init",
            &daemon.name,
            "--user",
            "dana",
            "--advertise",
            "127.0.0.1",
            "--listen",
            &listen,
            "--listen-enrolment",
            &enrolment,
            "--listen-calls",
            &calls,
        ])?;
        let mut config = fs::OpenOptions::new().append(true).open(daemon.data().join("config.toml"))?;
        config.write_all(settings.as_bytes())?;
        daemon.serve()?;
        let rows = (0..rows).map(|n| format!("{{\"resource\":\"tasks\",\"title\":\"Check rack {n} of row {at}\"}}\n"));
        let file = daemon.directory.path().join("rows.jsonl");
        fs::write(&file, rows.collect::<String>())?;
        daemon.run(&["import", &file.display().to_string()])?;
        Ok(daemon)
    }

    /// An invite to a new grant of this name, for all rows.
    pub fn invite(&self, grant: &str) -> Result<String> {
        let words = ["invite", grant, "--share", "tasks", "--personal", "--rate", "100000", "--rows", "10000"];
        Ok(self.run(&words)?.trim().to_owned())
    }

    /// Ends that grant.
    pub fn revoke(&self, grant: &str) -> Result<()> {
        self.run(&["grant", "revoke", grant]).map(drop)
    }

    /// What its processor time is read from.
    pub fn meter(&self) -> Result<Meter> {
        let process = self.process.as_ref().context("a daemon that does not run")?;
        let pid = fs::read_to_string(cluster(&self.data())?.join("postmaster.pid"))?;
        let postmaster = pid.lines().next().unwrap_or_default().parse()?;
        Ok(Meter { server: process.id(), postmaster })
    }

    /// Stops it where it stands.
    pub fn halt(&self) -> Result<()> {
        self.signal(Signal::SIGSTOP)
    }

    /// Lets it go on.
    pub fn go_on(&self) -> Result<()> {
        self.signal(Signal::SIGCONT)
    }

    /// Ends it as a service manager does.
    pub fn end(&mut self) {
        drop(self.signal(Signal::SIGCONT));
        drop(self.signal(Signal::SIGTERM));
        if let Some(mut process) = self.process.take() {
            drop(process.wait());
        }
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let Some(process) = &self.process else { return Ok(()) };
        Ok(kill(Pid::from_raw(i32::try_from(process.id())?), signal)?)
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn command(&self) -> Result<Command> {
        let program = std::env::current_exe()?.with_file_name("mosaic-fed");
        ensure!(program.is_file(), "{} is not there; type `cargo build --release -p cli` first", program.display());
        let mut command = Command::new(program);
        command.arg("-C").arg(self.data()).stdin(Stdio::null()).env("TMPDIR", self.directory.path());
        Ok(command)
    }

    fn run(&self, words: &[&str]) -> Result<String> {
        let ran = self.command()?.args(words).output()?;
        if ran.status.success() {
            return Ok(String::from_utf8(ran.stdout)?);
        }
        bail!("{} of {}: {}", words.first().unwrap_or(&""), self.name, String::from_utf8_lossy(&ran.stderr))
    }

    fn serve(&mut self) -> Result<()> {
        let log = fs::File::create(self.directory.path().join("log"))?;
        let mut command = self.command()?;
        self.process = Some(command.arg("serve").stdout(log.try_clone()?).stderr(log).spawn()?);
        let (end, door) = (Instant::now() + PATIENCE, self.data().join("api.sock"));
        while UnixStream::connect(&door).is_err() {
            let log = || fs::read_to_string(self.directory.path().join("log")).unwrap_or_default();
            ensure!(Instant::now() < end, "{} does not start: {}", self.name, log());
            nap();
        }
        Ok(())
    }
}

/// A moment for another process.
#[expect(clippy::disallowed_methods, reason = "nothing else is done while a daemon starts")]
fn nap() {
    std::thread::sleep(Duration::from_millis(20));
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.end();
        drop(remove_database(&self.data()));
    }
}

/// A root daemon's database lies outside its data directory.
fn remove_database(data: &Path) -> Result<()> {
    let cluster = cluster(data)?;
    let base = cluster.parent().context("no cluster")?;
    if !base.starts_with(data) {
        fs::remove_dir_all(base)?;
    }
    Ok(())
}

/// Where its database lies.
fn cluster(data: &Path) -> Result<PathBuf> {
    let record: serde_json::Value = serde_json::from_slice(&fs::read(data.join("postgres.json"))?)?;
    Ok(record["cluster"].as_str().context("no cluster")?.into())
}
