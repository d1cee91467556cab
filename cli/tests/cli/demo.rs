//! The demo, whole: as it is, on anybody's folder, and broken off.

use super::harness::{Ran, finish, pause, program, tell};
use nix::sys::signal::Signal;
use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead, BufReader, Read},
    path::Path,
    process::Stdio,
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

#[test]
fn the_demo_runs_on_anybodys_folder() {
    let (base, data) = (temporary(), tempfile::tempdir().unwrap());
    for number in 0..30 {
        fs::write(data.path().join(format!("note {number}.md")), format!("# Note {number}\ntext")).unwrap();
    }
    fs::write(data.path().join("broken.md"), b"\xff").unwrap();
    let ran = demo(base.path(), &["--data", data.path().to_str().unwrap()]).done();
    assert!(ran.out.contains("(30 rows now)") && ran.out.contains("refused broken.md"), "{ran:?}");
    assert!(is_empty(base.path()));
}

#[test]
fn a_demo_that_is_broken_off_leaves_nothing() {
    let base = temporary();
    let mut child = program(&["demo"]).env("TMPDIR", base.path()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("home.log") {
        line.clear();
        assert_ne!(lines.read_line(&mut line).unwrap(), 0);
    }
    pause();
    tell(&child, Signal::SIGINT);
    lines.read_to_string(&mut line).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(is_empty(base.path()));
}
