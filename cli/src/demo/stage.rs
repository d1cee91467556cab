//! The demo's directory, its sample data and its two daemons, set up before and cleared away after.

use super::shell::{Files, PATIENCE, Ran, Shell, tell};
use crate::{
    args::this_program,
    exit::{Exit, Failure, Outcome},
    out::Out,
};
use domain::world::World;
use include_dir::{Dir, include_dir};
use nix::sys::signal::Signal;
use std::{
    collections::BTreeSet,
    fs,
    net::TcpListener,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::{process::Child, sync::watch, time::Instant};

/// The sample: part of the program, so that the demo runs anywhere.
static SAMPLE: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../demo");
/// How long a daemon may take to open its door.
const START: Duration = Duration::from_mins(1);

/// Everything the demo has on this machine.
pub struct Stage {
    shell: Shell,
    daemons: Vec<(String, Child)>,
}

impl Stage {
    /// A new directory with the sample in it.
    pub fn set(out: Out, stopped: watch::Receiver<bool>) -> Outcome<Self> {
        let number = u32::from_be_bytes(World::system().bytes());
        let directory = std::env::temp_dir().join(format!("mosaic-fed-demo-{number:08x}"));
        let failed = |error| Failure::file("make", &directory, &error);
        fs::DirBuilder::new().mode(0o700).create(&directory).map_err(failed)?;
        let data = directory.join("demo");
        fs::create_dir(&data).and_then(|()| SAMPLE.extract(&data)).map_err(failed)?;
        Ok(Self { shell: Shell::new(out, this_program()?, directory, stopped), daemons: Vec::new() })
    }

    /// Says what comes next.
    pub fn say(&self, text: &str) -> Outcome<()> {
        self.shell.say(text)
    }

    /// How many commands were run.
    pub fn commands(&self) -> u32 {
        self.shell.commands()
    }

    /// Runs a command that must end with `exit`.
    pub async fn run(&mut self, exit: Exit, words: &[&str], files: Files<'_>) -> Outcome<Ran> {
        let ran = self.shell.run(words, files).await?;
        if ran.exit == i32::from(exit as u8) {
            return Ok(ran);
        }
        Err(Failure::new(Exit::Failed, format!("`{}` ended with {}, not with {}", ran.command, ran.exit, exit as u8)))
    }

    /// Runs a command that must succeed.
    pub async fn done(&mut self, words: &[&str]) -> Outcome<Ran> {
        self.run(Exit::Done, words, Files::default()).await
    }

    /// Starts a daemon and waits until its door is open.
    pub async fn serve(&mut self, name: &str) -> Outcome<()> {
        let log = format!("{name}.log");
        let child = self.shell.start(&["-C", name, "serve"], &log)?;
        self.daemons.push((name.to_owned(), child));
        let socket = self.shell.directory().join(name).join(api::socket::FILE);
        let end = Instant::now() + START;
        while api::socket::connect(&socket).await.is_err() {
            self.shell.heed()?;
            let ended = self.daemons.last_mut().and_then(|(_, child)| child.try_wait().ok().flatten());
            if ended.is_some() || Instant::now() > end {
                let words = fs::read_to_string(self.shell.directory().join(&log)).unwrap_or_default();
                return Err(Failure::new(
                    Exit::Failed,
                    format!("the daemon of {name} did not open its door:\n{words}"),
                ));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// Leaves everything as it is and says how to end it.
    pub fn keep(&mut self) -> Outcome<()> {
        let pids: Vec<_> =
            self.daemons.drain(..).filter_map(|(_, child)| child.id()).map(|pid| pid.to_string()).collect();
        let directory = self.shell.directory().display();
        self.say(&format!("both run on in {directory}: try `cd {directory} && mosaic-fed -C home list tasks`"))?;
        let places = self.places().iter().map(|place| place.display().to_string()).collect::<Vec<_>>().join(" ");
        self.say(&format!("to end them: kill {}; to remove them then: rm -r {places}", pids.join(" ")))
    }

    /// Ends the daemons and their databases and removes every file.
    pub async fn strike(&mut self) {
        for (_, child) in &self.daemons {
            tell(child.id(), Signal::SIGTERM);
        }
        for (_, mut child) in self.daemons.drain(..) {
            if tokio::time::timeout(PATIENCE, child.wait()).await.is_err() {
                drop(child.kill().await);
            }
        }
        for place in self.places() {
            drop(fs::remove_dir_all(place));
        }
    }

    /// Everything the demo has on disk.
    fn places(&self) -> Vec<PathBuf> {
        let directory = self.shell.directory();
        let outside = ["office", "home"].into_iter().flat_map(|instance| database_outside(&directory.join(instance)));
        outside.chain([directory.to_owned()]).collect()
    }
}

/// A root daemon's database lies outside its data directory, where `postgres.json` says.
fn database_outside(data: &Path) -> Vec<PathBuf> {
    let record = fs::read(data.join("postgres.json")).ok().and_then(|text| serde_json::from_slice(&text).ok());
    let record: serde_json::Value = record.unwrap_or_default();
    let path = |key: &str| record.get(key).and_then(serde_json::Value::as_str).map(PathBuf::from);
    let cluster = path("cluster").filter(|cluster| cluster.ends_with("cluster"));
    let base = cluster.and_then(|cluster| cluster.parent().map(Path::to_owned));
    let places = base.iter().cloned().chain(path("socket"));
    let known = |place: &PathBuf| {
        place.starts_with(data) || base.as_ref().is_some_and(|base| place != base && place.starts_with(base))
    };
    places.filter(|place| !known(place)).collect()
}

/// As many ports of the loopback interface as wanted that nobody listens on, below those that the system hands out.
pub fn free_ports<const N: usize>() -> Outcome<[u16; N]> {
    let world = World::system();
    let mut found = BTreeSet::new();
    for _ in 0..1_000 {
        let port = 20_000 + u16::from_be_bytes(world.bytes()) % 12_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            found.insert(port);
        }
        if found.len() == N {
            break;
        }
    }
    let found: Vec<_> = found.into_iter().collect();
    found.try_into().map_err(|_| Failure::new(Exit::Unavailable, "no free ports on the loopback interface"))
}
