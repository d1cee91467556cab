//! Files that lead elsewhere or are none: what others can put into a folder must neither carry out what its reader can read, nor
//! keep an import from ending.

use super::{
    harness::{Instance, pause, program},
    watch::Watching,
};
use nix::{
    sys::{signal::Signal, stat::Mode},
    unistd::mkfifo,
};
use serde_json::Value;
use std::{
    fs,
    os::unix::fs::symlink,
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

fn titles(instance: &Instance) -> String {
    instance.types("list notes").done().out
}

fn places(report: &Value) -> Vec<&str> {
    report["refused"].as_array().unwrap().iter().map(|one| one["at"].as_str().unwrap()).collect()
}

/// Makes a folder in the place of which nobody would think of an end.
fn tangle(folder: &Path) {
    for level in 0..60 {
        fs::create_dir_all(folder.join(format!("{level:02}"))).unwrap();
        for link in ["x", "y"] {
            symlink(format!("../{:02}", (level + 1) % 60), folder.join(format!("{level:02}/{link}"))).unwrap();
        }
    }
}

#[test]
fn a_link_out_of_a_folder_is_refused_with_its_place_unless_links_are_asked_for() {
    let instance = Instance::running("home");
    let secret = instance.file("else/secret.md", "# Secret");
    instance.file("notes/a.md", "# Plain");
    symlink(&secret, instance.base.path().join("notes/b.md")).unwrap();
    symlink("../else", instance.base.path().join("notes/c")).unwrap();
    symlink("a.md", instance.base.path().join("notes/d.md")).unwrap();
    symlink("notes", instance.base.path().join("linked")).unwrap();
    let report = instance.types("import linked --json").done().json();
    assert_eq!((&report["added"], places(&report)), (&2.into(), vec!["b.md", "c"]), "{report}");
    let reason = report["refused"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("leads out") && reason.contains("--follow-links"), "{reason}");
    assert!(!titles(&instance).contains("Secret"));
    let report = instance.types("import notes --follow-links --json").done().json();
    assert_eq!((&report["added"], &report["unchanged"]), (&2.into(), &2.into()), "{report}");
    assert!(titles(&instance).contains("Secret"));
}

#[test]
fn what_takes_the_place_of_a_watched_file_is_not_read_if_it_leads_out_or_is_none() {
    let instance = Instance::running("home");
    let secret = instance.file("else/secret.md", "# Secret");
    let (a, b) = (instance.file("notes/a.md", "# A"), instance.file("notes/b.md", "# B"));
    let watching = Watching::start(&instance, "notes");
    watching.says("2 read: 2 added");
    fs::remove_file(&a).unwrap();
    symlink(&secret, &a).unwrap();
    watching.remarks("refused a.md: a link that leads out");
    fs::remove_file(&b).unwrap();
    mkfifo(&b, Mode::S_IRWXU).unwrap();
    watching.remarks("refused b.md: no regular file; remove it");
    instance.file("notes/c.md", "# C");
    watching.says("3 read: 1 added, 0 updated, 0 unchanged, 2 refused");
    assert!(!titles(&instance).contains("Secret"));
    watching.ends(Signal::SIGTERM);
}

#[test]
fn folders_that_link_to_one_another_are_read_once_and_hold_up_no_signal() {
    let instance = Instance::running("home");
    tangle(&instance.base.path().join("tangle"));
    instance.file("tangle/30/a.md", "# A");
    let report = instance.types("import tangle --json").done().json();
    assert_eq!((&report["added"], &report["read"]), (&1.into(), &1.into()), "{report}");
    let watching = Watching::start(&instance, "tangle --follow-links");
    watching.says("1 read: 0 added, 0 updated, 1 unchanged");
    watching.ends(Signal::SIGINT);
}

#[test]
fn a_file_that_takes_long_to_read_holds_up_no_signal() {
    let instance = Instance::running("home");
    instance.file("rows/a.jsonl", "x\n".repeat(20_000_000));
    let data = instance.data();
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let mut command = program(&["-C", data.to_str().unwrap(), "import", "rows", "--watch"]);
        command.current_dir(instance.base.path()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        // Long enough to be in the middle of it.
        (0..20).for_each(|_| pause());
        assert!(child.try_wait().unwrap().is_none());
        let told = Instant::now();
        super::harness::tell(&child, signal);
        assert_eq!(child.wait().unwrap().code(), Some(0));
        assert!(told.elapsed() < Duration::from_secs(5), "{:?}", told.elapsed());
    }
}

#[test]
fn a_pipe_that_is_named_is_refused_at_once() {
    let instance = Instance::running("home");
    for name in ["p.md", "p.json", "p.jsonl", "p.ics", "todo.txt"] {
        mkfifo(&instance.base.path().join(name), Mode::S_IRWXU).unwrap();
        for option in ["", " --format jsonl", " --watch"] {
            let line = format!("import {name}{option}");
            instance.types(&line).fails(1, &["no regular file", "check the path"]);
        }
    }
}
