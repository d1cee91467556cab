//! A source dies in five ways, each on a real process: what the others have arrives in time, the dead one is named as what it
//! is, and once it is back the next question is whole without a command.

use super::harness::{Instance, pause, remove_database};
use domain::world::World;
use nix::sys::{
    signal::Signal,
    socket::{Backlog, listen},
};
use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    sync::mpsc::{self, TryRecvError},
    thread,
    time::{Duration, Instant},
};
use store::embedded::{Config, Lifetime, Server};
use tokio::runtime::Runtime;

/// The whole answer's deadline, and what a busy machine adds to it.
const PROMPT: Duration = Duration::from_secs(13);
/// How long a source that is back may need until a question is whole again.
const BACK: Duration = Duration::from_secs(20);

/// One instance that asks two others.
struct Three {
    home: Instance,
    office: Instance,
    _lab: Instance,
}

impl Three {
    fn linked(office: Instance) -> Self {
        let (home, lab) = (Instance::running("home"), Instance::running("lab"));
        home.types("add tasks home").done();
        for (source, instance) in [("office", &office), ("lab", &lab)] {
            instance.types(&format!("add tasks {source}")).done();
            let invite = instance.types("invite to-home --share tasks --rate 1000").done().out;
            home.run(&["link", invite.trim(), "--yes", "--name", source]).done();
        }
        let three = Self { home, office, _lab: lab };
        assert_eq!(three.asks(), (3, "ok".to_owned()));
        three
    }

    /// Asks everybody. Gives how many rows came and how the office ended; the others must have ended well, all in time.
    #[track_caller]
    fn asks(&self) -> (usize, String) {
        let begun = Instant::now();
        let answer = self.home.types("list tasks --fresh --json").json();
        assert!(begun.elapsed() < PROMPT, "{:?} for {answer}", begun.elapsed());
        let sources = answer["sources"].as_array().unwrap();
        let outcome = |name: &str| {
            let source = sources.iter().find(|source| source["source"] == name).unwrap();
            assert!(source["outcome"] == "ok" || source["reason"].is_string(), "{answer}");
            source["outcome"].as_str().unwrap().to_owned()
        };
        assert_eq!((outcome("here"), outcome("lab")), ("ok".to_owned(), "ok".to_owned()), "{answer}");
        (answer["rows"].as_array().unwrap().len(), outcome("office"))
    }

    /// The office is dead in the way that is called `outcome`; the rows of the two others come.
    #[track_caller]
    fn misses_the_office(&self, outcome: &str) {
        for _ in 0..2 {
            assert_eq!(self.asks(), (2, outcome.to_owned()));
        }
    }

    #[track_caller]
    fn is_whole_again(&self) {
        let end = Instant::now() + BACK;
        loop {
            let answer = self.asks();
            if answer == (3, "ok".to_owned()) {
                return;
            }
            assert!(Instant::now() < end, "{answer:?}");
            pause();
        }
    }
}

#[test]
fn a_killed_source_is_offline() {
    let mut three = Three::linked(Instance::running("office"));
    three.office.kill();
    three.misses_the_office("offline");
    three.office.serve();
    three.is_whole_again();
}

#[test]
fn a_stopped_source_is_a_timeout() {
    let three = Three::linked(Instance::running("office"));
    three.office.signal(Signal::SIGSTOP);
    assert_eq!(three.asks(), (2, "timeout".to_owned()));
    three.office.signal(Signal::SIGCONT);
    three.is_whole_again();
}

/// A full backlog: the kernel drops further connection requests, as a firewall does that says nothing.
struct Silent {
    _listener: TcpListener,
    _waiting: Vec<TcpStream>,
}

impl Silent {
    fn at(port: u16) -> Self {
        let listener = listen_again(port);
        listen(&listener, Backlog::new(0).unwrap()).unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let mut waiting = Vec::new();
        while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(500)) {
            waiting.push(stream);
            assert!(waiting.len() < 64, "the backlog never fills");
        }
        Self { _listener: listener, _waiting: waiting }
    }
}

/// The port of a daemon that has just died.
fn listen_again(port: u16) -> TcpListener {
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        match TcpListener::bind(("127.0.0.1", port)) {
            Ok(listener) => return listener,
            Err(error) => assert!(Instant::now() < end, "{error}"),
        }
        pause();
    }
}

#[test]
fn a_source_whose_packets_are_dropped_is_offline() {
    let mut three = Three::linked(Instance::running("office"));
    three.office.stop();
    let silent = Silent::at(three.office.links);
    three.misses_the_office("offline");
    drop(silent);
    three.office.serve();
    three.is_whole_again();
}

#[test]
fn a_source_that_stalls_after_the_client_hello_is_offline() {
    let mut three = Three::linked(Instance::running("office"));
    three.office.stop();
    let listener = listen_again(three.office.links);
    listener.set_nonblocking(true).unwrap();
    let (done, end) = mpsc::channel::<()>();
    // Takes every connection and never says a word.
    let stalling = thread::spawn(move || {
        let mut taken = Vec::new();
        while end.try_recv() == Err(TryRecvError::Empty) {
            taken.extend(listener.accept().map(|(stream, _)| stream));
            pause();
        }
        taken.len()
    });
    three.misses_the_office("offline");
    drop(done);
    assert!(stalling.join().unwrap() >= 2, "nobody called");
    three.office.serve();
    three.is_whole_again();
}

#[test]
fn a_source_whose_database_is_stopped_is_an_error() {
    let (runtime, directory) = (Runtime::new().unwrap(), tempfile::tempdir().unwrap());
    let config = Config {
        programs: None,
        data_dir: directory.path().join("postgres"),
        instance: World::system().uuid(),
        lifetime: Lifetime::Process,
    };
    let start = || runtime.block_on(Server::start(config.clone())).unwrap();
    let server = start();
    let (socket, port) = (server.socket().display().to_string(), server.app().get_port());
    let url = |role: &str| format!("postgres://{role}@localhost:{port}/mosaic?host={socket}");
    let options = ["--postgres", &url("mosaic_owner"), "--postgres-app", &url("mosaic_app")];
    let mut office = Instance::made_with("office", &options);
    office.serve();
    let three = Three::linked(office);
    runtime.block_on(server.stop()).unwrap();
    three.misses_the_office("error");
    let server = start();
    three.is_whole_again();
    drop(three);
    runtime.block_on(server.stop()).unwrap();
    remove_database(&config.data_dir);
}
