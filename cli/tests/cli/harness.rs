//! An instance of its own for each test: a directory, free ports, a daemon, and nothing left of them afterwards.

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use std::{
    fs,
    net::TcpListener,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// What a command did.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    /// The value that `--json` printed.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    /// The same, if it ended well.
    #[track_caller]
    pub fn done(self) -> Self {
        assert_eq!(self.code, 0, "{self:?}");
        self
    }

    /// That it failed with this code and these words, cause and next step.
    #[track_caller]
    pub fn fails(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, code, "{self:?}");
        assert!(words.iter().all(|word| self.err.contains(word)), "{words:?} in {self:?}");
    }
}

/// The program.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_mosaic-fed");

/// The program, without settings of whoever runs the tests.
pub fn program(words: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(words);
    unset(command)
}

/// A command that starts the program, without settings of whoever runs the tests.
pub fn unset(mut command: Command) -> Command {
    command.stdin(Stdio::null());
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("MOSAIC_FED_")) {
        command.env_remove(name);
    }
    command
}

/// Runs a command to its end.
pub fn finish(mut command: Command) -> Ran {
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
}

/// A port of the loopback interface that nobody listens on, below those that the system hands out.
pub fn free_port() -> u16 {
    static TRIED: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = std::process::id().wrapping_mul(97).wrapping_add(TRIED.fetch_add(1, Ordering::Relaxed));
        let port = u16::try_from(20_000 + number % 12_000).unwrap();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// An instance in a directory of its own.
pub struct Instance {
    pub base: TempDir,
    pub links: u16,
    pub enrolment: u16,
    daemon: Option<Child>,
}

impl Instance {
    /// Made, not running. Its owner is dana.
    pub fn made(name: &str) -> Self {
        Self::made_with(name, &[])
    }

    /// Made with these options of `init`, not running.
    pub fn made_with(name: &str, options: &[&str]) -> Self {
        let instance = Self::unmade();
        instance.run(&[&instance.init(name).split(' ').collect::<Vec<_>>(), options].concat()).done();
        instance
    }

    /// A place and a port for one, without any.
    pub fn unmade() -> Self {
        Self { base: tempfile::tempdir().unwrap(), links: free_port(), enrolment: free_port(), daemon: None }
    }

    /// The command that makes it.
    pub fn init(&self, name: &str) -> String {
        let (Self { links, enrolment, .. }, calls) = (self, free_port());
        let ports = format!(
            "--listen 127.0.0.1:{links} --listen-enrolment 127.0.0.1:{enrolment} --listen-calls 127.0.0.1:{calls}"
        );
        format!("init {name} --user dana --advertise 127.0.0.1 {ports}")
    }

    /// Made and running.
    pub fn running(name: &str) -> Self {
        let mut instance = Self::made(name);
        instance.serve();
        instance
    }

    /// The data directory, which is not the test's own.
    pub fn data(&self) -> PathBuf {
        self.base.path().join("data")
    }

    /// Starts the daemon and waits until its door is open.
    pub fn serve(&mut self) {
        self.serve_with(&[], &std::env::temp_dir());
    }

    /// The same with options, and with a directory of its own for temporary files.
    pub fn serve_with(&mut self, options: &[&str], temporary: &Path) {
        let mut command = program(&[&["-C", self.data().to_str().unwrap(), "serve"], options].concat());
        command.env("TMPDIR", temporary);
        self.start(command);
    }

    /// Starts the daemon by a command that becomes it, and waits until its door is open.
    pub fn start(&mut self, mut command: Command) {
        let log = fs::File::create(self.base.path().join("serve.log")).unwrap();
        self.daemon = Some(command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap());
        let end = Instant::now() + Duration::from_mins(1);
        while UnixStream::connect(self.data().join("api.sock")).is_err() {
            let words = || fs::read_to_string(self.base.path().join("serve.log")).unwrap_or_default();
            assert!(self.daemon.as_mut().unwrap().try_wait().unwrap().is_none(), "{}", words());
            assert!(Instant::now() < end, "{}", words());
            pause();
        }
    }

    /// The daemon's process id.
    pub fn pid(&self) -> u32 {
        self.daemon.as_ref().unwrap().id()
    }

    /// Sends the daemon a signal.
    pub fn signal(&self, signal: Signal) {
        tell(self.daemon.as_ref().unwrap(), signal);
    }

    /// Kills the daemon as a crash does.
    pub fn kill(&mut self) {
        let mut daemon = self.daemon.take().unwrap();
        tell(&daemon, Signal::SIGKILL);
        daemon.wait().unwrap();
    }

    /// Ends the daemon as a service manager does. Gives its exit code.
    pub fn stop(&mut self) -> Option<i32> {
        let mut daemon = self.daemon.take()?;
        tell(&daemon, Signal::SIGTERM);
        // One that a test stopped and left so, because it failed, would never hear the first.
        tell(&daemon, Signal::SIGCONT);
        daemon.wait().unwrap().code()
    }

    /// Runs a command on this instance.
    pub fn run(&self, words: &[&str]) -> Ran {
        let data = self.data();
        let mut command = program(&[&["-C", data.to_str().unwrap()], words].concat());
        command.current_dir(self.base.path());
        finish(command)
    }

    /// Types a command without words that would have to be quoted.
    pub fn types(&self, line: &str) -> Ran {
        self.run(&line.split(' ').collect::<Vec<_>>())
    }

    /// Writes a file beside the data directory.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.base.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.stop();
        remove_database(&self.data());
    }
}

/// What the data directory remembers of the daemon's own PostgreSQL: `cluster` and `socket`, once there is one.
pub fn database(data: &Path) -> Option<Value> {
    serde_json::from_slice(&fs::read(data.join("postgres.json")).ok()?).ok()
}

/// A root daemon's database lies outside its data directory.
pub fn remove_database(data: &Path) {
    let Some(record) = database(data) else { return };
    let base = record["cluster"].as_str().and_then(|cluster| Path::new(cluster).parent());
    base.filter(|base| !base.starts_with(data)).map(fs::remove_dir_all).transpose().unwrap();
}

/// Sends a signal to a child.
pub fn tell(child: &Child, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
}

/// A moment for another process.
#[expect(clippy::disallowed_methods, reason = "these tests wait for other processes and have no runtime")]
pub fn pause() {
    thread::sleep(Duration::from_millis(30));
}
