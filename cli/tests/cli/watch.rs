//! `import --watch` beside the files as people and programs change them, and beside a daemon that is not always there.

use super::harness::{Instance, pause, program, tell};
use nix::sys::signal::Signal;
use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::symlink,
    process::{Child, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

/// A watching import, with the lines it prints.
pub struct Watching {
    child: Child,
    out: Receiver<String>,
    err: Receiver<String>,
}

/// What is read from a program, line by line.
pub fn lines(from: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (send, receive) = channel();
    thread::spawn(move || BufReader::new(from).lines().map_while(Result::ok).try_for_each(|line| send.send(line)));
    receive
}

impl Watching {
    /// Words after `import`, with options.
    pub fn start(instance: &Instance, words: &str) -> Self {
        let data = instance.data();
        let words: Vec<_> = words.split(' ').collect();
        let mut command = program(&[&["-C", data.to_str().unwrap(), "import", "--watch"], &words[..]].concat());
        command.current_dir(instance.base.path()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (out, err) = (lines(child.stdout.take().unwrap()), lines(child.stderr.take().unwrap()));
        Self { child, out, err }
    }

    /// The next line of a round.
    #[track_caller]
    pub fn says(&self, wanted: &str) {
        let line = self.out.recv_timeout(Duration::from_secs(30)).unwrap_or_else(|_| panic!("nothing, not {wanted}"));
        assert!(line.contains(wanted), "{line}, not {wanted}");
    }

    #[track_caller]
    pub fn remarks(&self, wanted: &str) {
        let line = self.err.recv_timeout(Duration::from_secs(30)).unwrap_or_else(|_| panic!("no remark, not {wanted}"));
        assert!(line.contains(wanted), "{line}, not {wanted}");
    }

    pub fn ends(mut self, signal: Signal) {
        tell(&self.child, signal);
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
        assert_eq!(
            self.out.try_iter().collect::<Vec<_>>(),
            Vec::<String>::new(),
            "a line for a round that changed nothing"
        );
    }
}

#[test]
fn files_that_are_written_replaced_and_gone_for_a_while_are_kept_up_with() {
    let instance = Instance::running("home");
    instance.file("notes/a.md", "# A");
    let watching = Watching::start(&instance, "notes");
    watching.says("1 read: 1 added");
    instance.file("notes/new/b.md", "# B");
    watching.says("1 read: 1 added, 0 updated, 0 unchanged");
    // As editors do it: written beside it, then put in its place.
    let replacement = instance.file("notes/.a.md.swap", "# A, better");
    fs::rename(replacement, instance.base.path().join("notes/a.md")).unwrap();
    watching.says("1 read: 0 added, 1 updated, 0 unchanged");
    let (notes, away) = (instance.base.path().join("notes"), instance.base.path().join("away"));
    fs::rename(&notes, &away).unwrap();
    watching.remarks("is not there");
    fs::write(away.join("c.md"), "# C").unwrap();
    fs::rename(&away, &notes).unwrap();
    watching.remarks("is there again");
    watching.says("3 read: 1 added");
    instance.file("notes/a.md", "# A, best");
    watching.says("1 updated");
    watching.ends(Signal::SIGINT);
}

#[test]
fn a_file_that_changes_behind_a_link_is_seen_though_the_system_tells_nothing_of_it() {
    let instance = Instance::running("home");
    let elsewhere = instance.file("elsewhere/a.md", "# A");
    instance.file("notes/b.md", "# B");
    symlink(&elsewhere, instance.base.path().join("notes/a.md")).unwrap();
    let watching = Watching::start(&instance, "notes --follow-links");
    watching.says("2 read: 2 added");
    // Only the folder is watched by the system, and nothing happens in it.
    fs::write(&elsewhere, "# A, better").unwrap();
    watching.says("1 read: 0 added, 1 updated");
    watching.ends(Signal::SIGTERM);
}

#[test]
fn lines_of_todo_txt_are_known_again_when_another_file_of_their_folder_changes() {
    let instance = Instance::running("home");
    instance.file("todo/todo.txt", "water the plants\nwater the plants\n");
    instance.file("todo/done.txt", "x water the plants\n");
    let watching = Watching::start(&instance, "todo");
    watching.says("3 read: 3 added");
    instance.file("todo/todo.txt", "water the plants\nwater the plants\nwater the cat\n");
    watching.says("4 read: 1 added, 0 updated, 3 unchanged");
    watching.ends(Signal::SIGTERM);
}

#[test]
fn what_was_refused_is_tried_again_with_the_next_change() {
    let instance = Instance::running("home");
    instance.file("rows/a.jsonl", "{\"title\": \"a\", \"team\": \"core\"}\n");
    instance.file("rows/b.jsonl", "{\"title\": \"b\"}\n");
    let watching = Watching::start(&instance, "rows");
    watching.says("2 read: 1 added, 0 updated, 0 unchanged, 1 refused");
    watching.remarks("refused a.jsonl:1: there is no team `core`");
    instance.types("team add core").done();
    instance.types("team join core dana").done();
    instance.file("rows/c.jsonl", "{\"title\": \"c\"}\n");
    watching.says("2 read: 2 added");
    watching.ends(Signal::SIGTERM);
}

#[test]
fn a_single_file_is_watched_through_replacements_and_a_daemon_that_starts_again() {
    let mut instance = Instance::running("home");
    instance.file("todo.txt", "one\n");
    let watching = Watching::start(&instance, "todo.txt");
    watching.says("1 added");
    instance.kill();
    let replacement = instance.file("todo.txt~", "one\ntwo\n");
    fs::rename(replacement, instance.base.path().join("todo.txt")).unwrap();
    watching.remarks("tried again every second");
    pause();
    instance.serve();
    watching.says("2 read: 1 added, 0 updated, 1 unchanged");
    watching.ends(Signal::SIGTERM);
}
