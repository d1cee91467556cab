//! From the CA of one's own to a real step-ca and back, as docs/pki.md says it, with links that go on; and what is said when
//! step-ca is away, or another one.

use super::harness::{Instance, Ran, finish, free_port, pause, program};
use std::{
    env, fs,
    io::Write,
    net::TcpStream,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// What starts step-ca in a container, and here.
const INIT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../compose/step-ca/init");

/// A running step-ca.
struct StepCa {
    child: Child,
    folder: PathBuf,
}

impl StepCa {
    /// Starts it on what `ca export` wrote into `folder`.
    fn start(program: &Path, folder: &Path, port: u16) -> Self {
        let log = fs::File::create(folder.join("log")).unwrap();
        let mut command = Command::new("sh");
        command.arg(INIT).arg(folder).env("STEP_CA", program).env("HOME", folder).stdin(Stdio::null());
        let child = command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        let mut started = Self { child, folder: folder.to_owned() };
        let end = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(started.child.try_wait().unwrap().is_none() && Instant::now() < end, "{}", started.log());
            pause();
        }
        started
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap()
    }

    /// Waits until its log has that many lines with all of these.
    fn says(&self, times: usize, words: &[&str]) {
        let end = Instant::now() + Duration::from_secs(10);
        while self.log().lines().filter(|line| words.iter().all(|word| line.contains(word))).count() != times {
            assert!(Instant::now() < end, "{times} times {words:?} in {}", self.log());
            pause();
        }
    }
}

impl Drop for StepCa {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The program that `STEP_CA` names, else the one on PATH; none is said loudly, and where `CI` is `true` a failure.
fn found() -> Option<PathBuf> {
    let on_path = || {
        let path = env::var_os("PATH")?;
        env::split_paths(&path).map(|dir| dir.join("step-ca")).find(|program| program.is_file())
    };
    let program = env::var_os("STEP_CA").map(PathBuf::from).or_else(on_path);
    if program.is_none() {
        let said = "LEFT OUT: there is no step-ca, neither in STEP_CA nor on PATH, so no move to one was tried";
        assert_ne!(env::var("CI").as_deref(), Ok("true"), "{said}");
        writeln!(std::io::stderr(), "\n*** {said} ***\n").unwrap();
    }
    program
}

/// `[ca]` as the exported README has it.
fn settings(folder: &Path) -> String {
    let readme = fs::read_to_string(folder.join("README.md")).unwrap();
    let lines = readme.lines().skip_while(|line| line.trim() != "[ca]").take_while(|line| !line.is_empty());
    lines.map(str::trim).collect::<Vec<_>>().join("\n")
}

/// What `serve` says when it does not start.
fn refused_start(office: &Instance) -> Ran {
    finish(program(&["-C", office.data().to_str().unwrap(), "serve"]))
}

/// A new link, which is asked at once. How long that took is told, for either issuer.
fn linked(office: &Instance, home: &Instance, name: &str) {
    let began = Instant::now();
    let invite = office.types(&format!("invite {name} --share tasks")).done().out;
    home.run(&["link", invite.trim(), "--yes", "--name", name]).done();
    asked(home, name);
    let took = began.elapsed();
    writeln!(std::io::stderr(), "from `invite` to the first answer of link {name}: {} ms", took.as_millis()).unwrap();
    assert!(took < Duration::from_mins(1), "{took:?}");
}

fn asked(home: &Instance, name: &str) {
    let ran = home.types(&format!("list tasks --from {name} --strict --fresh")).done();
    assert!(ran.out.contains("one of the office"), "{ran:?}");
}

#[test]
fn a_move_to_step_ca_and_back_breaks_no_link_and_each_failure_says_what_to_do() {
    let Some(program) = found() else { return };
    let (mut office, home, port) = (Instance::running("office"), Instance::running("home"), free_port());
    office.run(&["add", "tasks", "one of the office"]).done();
    linked(&office, &home, "before");
    let config = office.data().join("config.toml");
    let plain = fs::read_to_string(&config).unwrap();
    let export = format!("ca export out --url https://127.0.0.1:{port}");
    office.types(&export).fails(6, &["already runs", "next: "]);
    office.stop();
    office.types(&export).done();
    office.types(&export).fails(6, &["out is not empty", "next: name a folder"]);
    let out = office.base.path().join("out");
    for file in ["step-ca/root_ca.key", "mosaic-fed/provisioner.key"] {
        assert_eq!(fs::metadata(out.join(file)).unwrap().permissions().mode() & 0o777, 0o600, "{file}");
    }
    assert!(!out.join("step-ca/provisioner.key").exists() && !out.join("mosaic-fed/root_ca.key").exists());
    let written: serde_json::Value = serde_json::from_slice(&fs::read(out.join("step-ca/ca.json")).unwrap()).unwrap();
    assert_eq!(written["address"], format!("127.0.0.1:{port}"), "nobody else is to reach it");
    let lists = free_port();
    fs::write(&config, format!("{plain}\ncrl_listen = \"127.0.0.1:{lists}\"\n{}", settings(&out))).unwrap();
    let at = format!("127.0.0.1:{port}");
    let away = refused_start(&office);
    away.fails(8, &["certificate authority", &at, "cannot be reached", "next: start step-ca"]);

    let step_ca = StepCa::start(&program, &out.join("step-ca"), port);
    office.serve();
    asked(&home, "before");
    linked(&office, &home, "during");
    office.types("grant revoke before").done();
    step_ca.says(1, &["path=/1.0/revoke", "status=200"]);
    let fresh = office.types("grant invite during").done().out;
    home.run(&["link", fresh.trim(), "--yes"]).done();
    asked(&home, "during");
    step_ca.says(2, &["path=/1.0/revoke", "status=200"]);
    // The list is step-ca's own, which counts from 1, and says how long it is good.
    let status = office.types("status").done().out;
    let given = office.types("status --json").done().json()["list_given"].clone();
    assert!(given["number"].as_u64().is_some_and(|number| number < 100) && given["next_at"].is_string(), "{given}");
    assert!(status.contains("list given") && status.contains("good until"), "{status}");
    // The office's own certificate at its start, and two of grants.
    step_ca.says(3, &["path=/1.0/sign", "status=201"]);
    assert!(office.types("audit query --limit 100 --json").done().out.contains("ca_export"));

    let issuer = |office: &Instance| office.types("status --json").done().json()["issuer"].clone();
    assert!(issuer(&office)["step_ca"] == at && issuer(&office)["failure"].is_null(), "{}", issuer(&office));
    assert!(office.types("status").done().out.contains(&format!("the step-ca at {at}")));
    drop(step_ca);
    asked(&home, "during");
    let invite = office.types("invite late --share tasks").done().out;
    let late = home.run(&["link", invite.trim(), "--yes", "--name", "late"]);
    late.fails(8, &["the certificate could not be issued", "next: nothing is lost", "asks for the same invite"]);
    // Why, is for the one whose CA it is.
    let log = office.types("audit query --grant late --json").done().out;
    assert!(log.contains("cannot be reached") && log.contains(&at), "{log}");
    let away = issuer(&office);
    assert!(
        away["away_since"].is_string() && away["failure"].as_str().unwrap().contains("cannot be reached"),
        "{away}"
    );
    assert!(
        office.types("status").done().out.contains("ALARM        the issuer of certificates does not answer since")
    );
    assert!(office.types("status --metrics").done().out.contains("\nmosaic_fed_issuer_failure 1\n"));
    asked(&home, "during");

    office.stop();
    fs::write(&config, plain).unwrap();
    office.serve();
    asked(&home, "during");
    linked(&office, &home, "after");
}

#[test]
fn a_step_ca_that_would_break_every_link_is_refused_at_start() {
    let Some(program) = found() else { return };
    let (office, other, port) = (Instance::made("office"), Instance::made("other"), free_port());
    other.types(&format!("ca export out --url https://127.0.0.1:{port}")).done();
    let out = other.base.path().join("out");
    let _step_ca = StepCa::start(&program, &out.join("step-ca"), port);
    let config = office.data().join("config.toml");
    let plain = fs::read_to_string(&config).unwrap();
    let start = |settings: &str| {
        fs::write(&config, format!("{plain}\n{settings}")).unwrap();
        refused_start(&office)
    };
    let theirs = settings(&out);
    start(&theirs).fails(6, &["does not issue with the certificate", "mosaic-fed ca export", "next: "]);
    let stranger = office.file("stranger.crt", "no certificate");
    let root = out.join("mosaic-fed/root_ca.crt");
    let swapped = theirs.replace(root.to_str().unwrap(), stranger.to_str().unwrap());
    start(&swapped).fails(2, &["stranger.crt", "exactly one certificate", "next: write the CA's root_ca.crt"]);
    let key = out.join("mosaic-fed/provisioner.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).unwrap();
    start(&theirs).fails(5, &["others may read the provisioner's key", "next: chmod 600"]);
    start(&theirs.replace("provisioner.key", "none.key")).fails(4, &["none.key", "next: check the path"]);
}

#[test]
fn a_folder_that_step_ca_cannot_start_on_is_said_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let started = |folder: &Path| {
        let mut command = Command::new("sh");
        command.arg(INIT).arg(folder).env("STEP_CA", "true");
        finish(command)
    };
    started(&folder.path().join("nowhere")).fails(1, &["there is no ", "mosaic-fed ca export"]);
    started(folder.path()).fails(1, &["has no ca.json", "mosaic-fed ca export"]);
    for file in ["ca.json", "root_ca.crt", "root_ca.key", "leaf.tpl"] {
        fs::write(folder.path().join(file), "").unwrap();
    }
    let other_template = started(folder.path()).done();
    assert!(other_template.err.contains("leaf.tpl is not the one of this release"), "{other_template:?}");
    fs::write(folder.path().join("provisioner.key"), "").unwrap();
    started(folder.path()).fails(1, &["provisioner.key belongs to mosaic-fed alone"]);
}
