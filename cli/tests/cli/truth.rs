//! What an answer says of itself at real daemons: one that was killed, one that stands still, one that revoked its grant and one that refuses.

use super::{
    harness::{Instance, finish, pause, program, tell},
    watch::lines,
};
use nix::{pty::openpty, sys::signal::Signal};
use serde_json::{Value, json};
use std::{
    fs,
    io::{BufRead, BufReader, Read},
    process::Stdio,
    time::{Duration, Instant},
};

/// Longer than an answer takes in which nobody is waited for; shorter than a source's deadline.
const AT_ONCE: Duration = Duration::from_millis(3_500);

/// One that asks, and three that share, each under its own name; the office under three more grants.
struct World {
    home: Instance,
    office: Instance,
    lab: Instance,
    still: Instance,
}

impl World {
    fn new() -> Self {
        let [home, office, lab, still] = ["home", "office", "lab", "still"].map(Instance::running);
        home.types("add tasks mine").done();
        for (name, instance) in [("office", &office), ("lab", &lab), ("still", &still)] {
            instance.types(&format!("add tasks of-{name}")).done();
            linked(&home, instance, name, "--share tasks");
        }
        linked(&home, &office, "ended", "--share tasks");
        linked(&home, &office, "refuses", "--share notes");
        office.file("titles.json", r#"{"workspace":"main","resources":["tasks"],"fields":{"tasks":["title"]},"filters":{"tasks":{"include_personal":true}},"rate":{"per_minute":1,"burst":9}}"#);
        linked(&home, &office, "titles", "--scope titles.json");
        Self { home, office, lab, still }
    }

    fn asks(&self, line: &str) -> Value {
        self.home.types(&format!("{line} --json")).json()
    }
}

fn linked(home: &Instance, other: &Instance, name: &str, terms: &str) {
    let invite = other.types(&format!("invite {name} {terms}")).done().out;
    home.run(&["link", invite.trim(), "--yes", "--name", name]).done();
}

fn source<'a>(answer: &'a Value, name: &str) -> &'a Value {
    let sources = answer["sources"].as_array().unwrap_or_else(|| panic!("{answer}"));
    sources.iter().find(|source| source["source"] == name).unwrap_or_else(|| panic!("{name} in {answer}"))
}

#[test]
fn an_answer_says_what_it_is_and_a_dead_source_costs_it_nothing() {
    let mut world = World::new();
    // What each side said beside its rows.
    let all = world.asks("list tasks --fresh --from here,office,titles");
    assert_eq!((&all["complete"], &all["missing"]), (&json!(true), &Value::Null));
    let [whole, kept_back] = ["office", "titles"].map(|name| source(&all, name)["withheld"].as_u64().unwrap());
    assert!(kept_back > whole + 3, "{all}");
    let left = source(&all, "titles")["calls_left"].as_u64().unwrap();
    assert!((1..9).contains(&left) && source(&all, "here").get("calls_left").is_none(), "{all}");
    let told = world.home.types("list tasks --fresh --from titles").done();
    let left = source(&world.asks("list tasks --fresh --from titles"), "titles")["calls_left"].as_u64().unwrap();
    assert!(told.err.contains("left of what its grant allows") && left < 5, "{told:?}");
    explains(&world, left, kept_back);

    world.office.types("grant revoke ended").done();
    world.lab.kill();
    world.still.signal(Signal::SIGSTOP);
    let whole = "here,office,lab,still,ended,refuses";
    for round in 0..3 {
        let answer = world.asks(&format!("list tasks --fresh --from {whole}"));
        for (name, outcome) in [
            ("here", "ok"),
            ("office", "ok"),
            ("lab", "offline"),
            ("still", "timeout"),
            ("ended", "revoked"),
            ("refuses", "denied"),
        ] {
            // Once its connection was given up, one that stands still takes connections and shakes no hands.
            let also = if name == "still" && round > 0 { "offline" } else { outcome };
            let ended = source(&answer, name)["outcome"].as_str().unwrap();
            assert!([outcome, also].contains(&ended), "{round}: {name} in {answer}");
        }
        let missing = answer["missing"].as_str().unwrap();
        assert_eq!(answer["complete"], false);
        assert!(
            ["lab (offline)", "still (", "ended (revoked)", "refuses (denied)"]
                .iter()
                .all(|word| missing.contains(word)),
            "{missing}"
        );
    }
    is_prompt(&world, whole);
    let began = Instant::now();
    world.home.types(&format!("list tasks --fresh --from {whole} --strict")).fails(7, &["lab", "still"]);
    let stream = world.home.types(&format!("list tasks --fresh --from {whole} --stream --strict --json"));
    assert_eq!(stream.code, 7, "{stream:?}");
    let last: Value = serde_json::from_str(stream.out.lines().last().unwrap()).unwrap();
    assert_eq!(last["verdict"]["complete"], false, "{last}");
    let mine = world.asks("list tasks --fresh --from here")["rows"][0]["id"].as_str().unwrap().to_owned();
    let found = world.asks(&format!("get tasks {mine} --strict"));
    assert_eq!(found["complete"], true, "one row that was found is all that was asked for");
    let one = ["lab is offline", "leave out --strict to hear whether the sources that answered have that row"];
    world.home.types(&format!("get tasks {} --strict", &mine[..8])).fails(7, &one);
    assert!(began.elapsed() < AT_ONCE * 3, "{:?}", began.elapsed());
    // Back, and found by a ping, which is not held back.
    world.still.signal(Signal::SIGCONT);
    assert_eq!(world.asks("ping still")["outcome"], "ok");
    assert_eq!(source(&world.asks("list tasks --fresh --from still"), "still")["outcome"], "ok");
}

/// Who is held back is told of all the same, with when it is tried again, and it is in the log.
#[track_caller]
fn is_prompt(world: &World, whole: &str) {
    let began = Instant::now();
    let answer = world.asks(&format!("list tasks --fresh --from {whole}"));
    assert!(began.elapsed() < AT_ONCE, "{:?} for {answer}", began.elapsed());
    assert_eq!(answer["rows"].as_array().unwrap().len(), 2);
    for name in ["lab", "still"] {
        let source = source(&answer, name);
        assert!(source["reason"].as_str().unwrap().contains("not asked now, after 3 failures in a row"), "{source}");
        assert!(source["retry_after_ms"].as_u64().unwrap() <= 75_000, "{source}");
    }
    assert!(["ended", "refuses"].iter().all(|name| source(&answer, name).get("retry_after_ms").is_none()), "{answer}");
    let log = world.asks("audit tail -n 9");
    let noted = log
        .as_array()
        .unwrap()
        .iter()
        .filter(|entry| entry["entry"]["note"].as_str().is_some_and(|note| note.contains("not asked now")));
    assert!(noted.count() >= 2, "{log}");
}

/// What a question would be given and cost; nothing of it is asked.
#[track_caller]
fn explains(world: &World, left: u64, kept_back: u64) {
    let asked = |instance: &Instance| {
        let log = instance.types("audit tail -n 900 --json").json();
        let lists = log.as_array().unwrap().iter().filter(|entry| entry["entry"]["resource"] == "tasks");
        lists.count()
    };
    let before = asked(&world.office);
    let told = world.asks("list tasks --explain --from here,titles,refuses");
    let titles = source(&told, "titles");
    assert_eq!((&titles["asked"], &titles["calls_least"], &titles["calls_most"]), (&json!(true), &json!(1), &json!(1)));
    assert_eq!((&titles["allowed"], &titles["calls_taken"]), (&json!(true), &json!(1)));
    assert_eq!(
        (titles["calls_left"].as_u64(), &titles["grant"], &titles["workspace"]),
        (Some(left - 1), &json!("titles"), &json!("main"))
    );
    let withheld = titles["withheld"].as_array().unwrap();
    assert!(withheld.len() as u64 == kept_back && withheld.contains(&json!("body")), "{titles}");
    let (here, refuses) = (source(&told, "here"), source(&told, "refuses"));
    assert_eq!((&here["asked"], &here["calls_most"]), (&json!(true), &json!(0)));
    assert_eq!((&refuses["allowed"], &refuses["reason"]), (&json!(false), &json!("the grant does not share tasks")));
    let one = world.asks("get tasks 12345678 --explain --from refuses,titles");
    // It is sent, and refused as it comes; a row by the beginning of its id is looked for on up to 25 pages.
    for (name, costs) in [("refuses", [Some(1), Some(1)]), ("titles", [Some(1), Some(26)])] {
        let told = source(&one, name);
        assert_eq!([told["calls_least"].as_u64(), told["calls_most"].as_u64()], costs, "{name}");
    }
    let vain = world.home.types("list tasks --explain --from here,refuses").done();
    assert!(vain.out.contains("in vain") && vain.err.contains("took 1 call of 1 link"), "{vain:?}");
    assert!(vain.err.ends_with("list tasks --from here\n"), "refuses would answer nothing: {vain:?}");
    let nobody = world.home.types("list tasks --explain --from refuses").done();
    assert!(nobody.out.contains("in vain") && nobody.err.ends_with(" links\n"), "nobody would answer: {nobody:?}");
    let own = world.home.types("list tasks --explain --from here").done();
    assert!(!own.err.contains("call"), "{own:?}");
    let shown = world.home.types("list notes --explain --from refuses").done();
    assert!(shown.err.contains("its grant refuses allows") && shown.err.contains("no row was read"), "{shown:?}");
    assert!(shown.out.contains("KEPT BACK") && shown.out.contains("refuses  yes"), "{shown:?}");
    assert_eq!(asked(&world.office), before, "nobody was asked for rows");
    world.home.types("list tasks --explain --stream").fails(2, &["--explain"]);
    world.home.types("get tasks xyz --explain").fails(2, &["no id"]);
}

#[test]
fn a_link_that_is_offline_is_told_of_once_in_a_session_until_it_is_back_and_each_time_without_one() {
    let (home, mut office) = (Instance::running("home"), Instance::running("office"));
    linked(&home, &office, "work", "--share tasks");
    let says = |session: Option<&str>| {
        let data = home.data();
        let mut command = program(&["-C", data.to_str().unwrap(), "list", "tasks", "--fresh"]);
        command.envs(session.map(|session| ("MOSAIC_FED_SESSION", session)));
        let ran = finish(command);
        let told = ran.err.contains("federation offline: work");
        assert_eq!(told, ran.err.contains("work: offline ("), "the reason stands with it: {ran:?}");
        (told, ran.err.contains("this answer is not complete"), ran.code)
    };
    assert_eq!(says(Some("one")), (false, false, 0));
    office.kill();
    for (session, told) in [
        (None, true),
        (None, true),
        (Some("one"), true),
        (Some("one"), false),
        (Some("two"), true),
        (Some("one"), false),
    ] {
        assert_eq!(says(session), (told, true, 0), "{session:?}");
    }
    assert_eq!(says(Some("a b")), (false, false, 2));
    office.serve();
    home.types("ping work").done();
    assert_eq!(says(Some("one")), (false, false, 0));
    office.kill();
    assert_eq!(says(Some("one")), (true, true, 0), "it was back meanwhile");
    assert_eq!(says(Some("one")), (false, true, 0));
    let pinged = home.types("ping work");
    assert!(pinged.code == 7 && pinged.out.contains("reach      failed"), "{pinged:?}");
    assert!(pinged.out.contains("handshake  not tried"), "{pinged:?}");
}

#[test]
fn links_go_on_at_a_terminal_and_on_a_pipe_and_end_with_their_reader() {
    let (home, office) = (Instance::running("home"), Instance::running("office"));
    linked(&home, &office, "work", "--share tasks");
    let data = home.data();
    let watching = || program(&["-C", data.to_str().unwrap(), "links", "--watch"]);
    // On a pipe: a line for the link, and another once it changed.
    let mut child = watching().stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let lines = lines(child.stdout.take().unwrap());
    let next = || lines.recv_timeout(Duration::from_secs(30)).unwrap();
    assert!(next().starts_with("work up, circuit closed, certificate 1 day"));
    office.types("grant revoke work").done();
    assert!(next().starts_with("work revoked"));
    tell(&child, Signal::SIGINT);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    // A reader that goes away ends it, though nothing is written any more.
    let mut child = watching().stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    drop(reader);
    let end = Instant::now() + Duration::from_secs(10);
    while child.try_wait().unwrap().is_none() {
        assert!(Instant::now() < end, "it goes on without a reader");
        pause();
    }
    // At a terminal: drawn anew.
    let pty = openpty(None, None).unwrap();
    let mut child = watching().stdout(pty.slave).stderr(Stdio::null()).spawn().unwrap();
    let mut seen = Vec::new();
    let mut terminal = fs::File::from(pty.master);
    let end = Instant::now() + Duration::from_secs(20);
    while String::from_utf8_lossy(&seen).matches("\u{1b}[H\u{1b}[J").count() < 2 {
        assert!(Instant::now() < end, "{}", String::from_utf8_lossy(&seen));
        let mut some = [0; 4_096];
        let count = terminal.read(&mut some).unwrap();
        seen.extend_from_slice(&some[..count]);
    }
    let seen = String::from_utf8_lossy(&seen);
    assert!(["CIRCUIT", "P50/P99", "revoked", "Ctrl-C"].iter().all(|word| seen.contains(word)), "{seen}");
    tell(&child, Signal::SIGINT);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
