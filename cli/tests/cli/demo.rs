//! The demo, whole: as it is, on anybody's folder, and broken off.

use super::harness::{Ran, finish, pause, program, tell};
use nix::sys::signal::Signal;
use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Child, ChildStdout, Stdio},
};

fn demo(temporary: &Path, words: &[&str]) -> Ran {
    let mut command = program(&[&["demo"], words].concat());
    command.env("TMPDIR", temporary);
    finish(command)
}

fn temporary() -> tempfile::TempDir {
    tempfile::Builder::new().permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755)).tempdir().unwrap()
}

fn is_empty(directory: &Path) -> bool {
    fs::read_dir(directory).unwrap().next().is_none()
}

#[test]
fn the_demo_meets_every_expectation_and_leaves_nothing() {
    let base = temporary();
    let ran = demo(base.path(), &[]).done();
    assert!(ran.out.contains("every expectation met"), "{ran:?}");
    assert!(is_empty(base.path()));
    let readme = include_str!("../../../README.md");
    let shown: BTreeSet<_> = readme.lines().map(without_numbers).collect();
    for command in ran.out.lines().filter_map(|line| line.strip_prefix("$ ")).map(without_numbers) {
        assert!(shown.contains(&command), "the README does not show `{command}`");
    }
}

/// Ports, ids and markers differ from run to run.
fn without_numbers(text: &str) -> String {
    let word = |word: &str| {
        let named = word.strip_prefix("'marker-").map(|_| "MARKER".to_owned());
        let hex = word.len() == 8 && word.chars().all(|c| c.is_ascii_hexdigit());
        named.or(hex.then(|| "ID".to_owned())).unwrap_or_else(|| word.chars().filter(|c| !c.is_ascii_digit()).collect())
    };
    text.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

/// The demo on a folder, which leaves nothing. The room `schemas` reads what it printed: it takes long, and is run once for both.
pub fn on_anybodys_folder() -> Ran {
    let (base, data) = (temporary(), tempfile::tempdir().unwrap());
    for number in 0..30 {
        fs::write(data.path().join(format!("note {number}.md")), format!("# Note {number}\ntext")).unwrap();
    }
    fs::write(data.path().join("broken.md"), b"\xff").unwrap();
    let ran = demo(base.path(), &["--json", "--data", data.path().to_str().unwrap()]).done();
    assert!(ran.out.contains("(30 rows now)") && ran.out.contains("refused broken.md"), "{ran:?}");
    assert!(is_empty(base.path()));
    ran
}

/// A demo whose second daemon has just been started, and what it prints.
fn under_way(temporary: &Path) -> (Child, BufReader<ChildStdout>) {
    let mut command = program(&["demo"]);
    let child = command.env("TMPDIR", temporary).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let mut child = child.unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("home.log") {
        line.clear();
        assert_ne!(lines.read_line(&mut line).unwrap(), 0);
    }
    pause();
    (child, lines)
}

/// Programs that were started with this directory somewhere in their command or as their own.
fn left_running(temporary: &Path) -> Vec<String> {
    let processes = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    let here = |process: &Path| fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd.starts_with(temporary));
    processes.filter(|process| here(process)).map(|process| process.display().to_string()).collect()
}

#[test]
fn a_demo_that_is_broken_off_or_whose_terminal_closes_leaves_nothing() {
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let base = temporary();
        let (mut child, mut lines) = under_way(base.path());
        assert!(!left_running(base.path()).is_empty());
        tell(&child, signal);
        lines.read_to_string(&mut String::new()).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(130), "{signal}");
        assert!(is_empty(base.path()) && left_running(base.path()).is_empty(), "{signal}");
    }
}

#[test]
fn a_demo_that_nobody_reads_any_further_leaves_nothing() {
    let base = temporary();
    let (mut child, lines) = under_way(base.path());
    drop(lines);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(is_empty(base.path()) && left_running(base.path()).is_empty());
}

#[test]
fn a_demo_on_a_folder_that_is_none_begins_nothing() {
    let base = temporary();
    fs::write(base.path().join("file"), "x").unwrap();
    let at = |name: &str| base.path().join(name).to_str().unwrap().to_owned();
    std::fs::create_dir(base.path().join("empty")).unwrap();
    demo(base.path(), &["--data", &at("empty")])
        .fails(2, &["empty holds no file that `import` takes", "--data ~/notes"]);
    demo(base.path(), &["--data", &at("nix")]).fails(4, &["nix", "next: name a folder of Markdown", "--data"]);
    let file = demo(base.path(), &["--data", &at("file")]);
    file.fails(2, &["file is no folder", "next: name a folder of Markdown"]);
    assert!(file.out.is_empty(), "{file:?}");
}
