use super::*;
use crate::{END, file};
use std::{fs, io::Write, thread, time::Duration};
use uuid::Uuid;

const KEY: [u8; 32] = [7; 32];

fn id(number: u128) -> GrantId {
    GrantId(Uuid::from_u128(number))
}

fn at(generation: u64) -> Floor {
    Floor { generation, renewals: 0 }
}

fn key() -> RowKey {
    RowKey::new(KEY)
}

struct Stage {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

impl Stage {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("grants.floor");
        Self { _folder: folder, path }
    }

    fn open(&self) -> Trust {
        Trust::open(&self.path, key()).unwrap()
    }

    fn text(&self) -> String {
        fs::read_to_string(&self.path).unwrap()
    }

    /// Lets nothing be written until what is given is dropped.
    fn full_disk<'a>(&self, trust: &'a Trust) -> impl Drop + use<'a> {
        struct Full<'a>(&'a Trust, Option<fs::File>);
        impl Drop for Full<'_> {
            fn drop(&mut self) {
                disk(self.0).file = self.1.take().unwrap();
            }
        }
        let read_only = fs::File::open(&self.path).unwrap();
        Full(trust, Some(mem::replace(&mut disk(trust).file, read_only)))
    }
}

fn disk(trust: &Trust) -> MutexGuard<'_, Floors> {
    trust.disk.as_ref().unwrap().lock().unwrap()
}

#[test]
fn what_was_learnt_is_known_after_a_restart_and_never_goes_back() {
    let stage = Stage::new();
    let trust = stage.open();
    let renewed = Floor { generation: 2, renewals: 3 };
    trust.learn([(id(1), at(4)), (id(2), Floor { generation: 1, ..renewed })].into_iter()).unwrap();
    trust.learn([(id(1), at(3)), (id(2), at(2))].into_iter()).unwrap();
    for _ in 0..2 {
        let again = stage.open();
        assert_eq!([1, 2, 3].map(|number| again.floor(id(number))), [at(4), renewed, at(0)]);
    }
    assert_eq!(stage.text().lines().count(), 2, "one line for each");
}

#[test]
fn what_an_earlier_version_remembered_counts() {
    let stage = Stage::new();
    let line = |words: String| {
        let mut mac = hex::encode(key().tag(words.as_bytes()));
        mac.truncate(32);
        format!("{words} {mac}\n")
    };
    let lines = [line(format!("{} 7", id(1))), line(format!("{} {}", id(2), u64::MAX)), line("sealed".into())];
    fs::write(&stage.path, lines.concat()).unwrap();
    let trust = stage.open();
    assert_eq!([1, 2].map(|number| trust.floor(id(number))), [at(7), END]);
    assert!(!trust.is_to_seal() && !trust.is_lost());
    trust.note_unsealed().unwrap();
    assert!(!stage.open().is_to_seal(), "what has its seals gets them once");
}

#[test]
fn what_could_not_be_written_is_told_and_written_later() {
    let stage = Stage::new();
    let trust = stage.open();
    let full = stage.full_disk(&trust);
    // Each grant waits to be written once, however often it moves.
    for generation in 1..=1_000 {
        trust.learn([(id(1), at(generation)), (id(2), at(generation))].into_iter()).unwrap_err();
    }
    assert!(trust.failure().is_some(), "a file that is open for reading alone");
    assert_eq!((trust.floor(id(1)), trust.lock().unwritten.floors.len()), (at(1_000), 2));
    drop(full);
    disk(&trust).file.write_all(b"half of a li").unwrap();
    trust.learn([].into_iter()).unwrap();
    assert_eq!(trust.failure(), None);
    let again = stage.open();
    assert_eq!((again.floor(id(1)), again.is_lost()), (at(1_000), false));
}

#[test]
fn who_judges_does_not_wait_for_the_disk_and_who_learns_does() {
    let stage = Stage::new();
    let trust = &stage.open();
    thread::scope(|scope| {
        let slow = disk(trust);
        let learns = scope.spawn(|| trust.learn([(id(1), at(4))].into_iter()));
        while trust.floor(id(1)) != at(4) {
            thread::yield_now();
        }
        assert_eq!(trust.failure(), None);
        assert!(!learns.is_finished(), "before it is durable");
        // It is written by whoever is first; each finds it written.
        let learns_too = scope.spawn(|| trust.learn([(id(1), at(4))].into_iter()));
        drop(slow);
        learns.join().unwrap().unwrap();
        learns_too.join().unwrap().unwrap();
    });
    assert_eq!(stage.text().lines().count(), 1);
}

#[test]
fn who_judges_does_not_wait_while_the_disk_writes() {
    let stage = Stage::new();
    let trust = &stage.open();
    // A pipe that is full takes no more until somebody reads.
    let (mut reader, mut writer) = io::pipe().unwrap();
    writer.write_all(&vec![b'\n'; 65_536]).unwrap();
    let writer = fs::File::from(std::os::fd::OwnedFd::from(writer));
    let whole = mem::replace(&mut disk(trust).file, writer);
    let (asked, answers) = std::sync::mpsc::channel();
    thread::scope(|scope| {
        let learns = scope.spawn(|| trust.learn([(id(1), at(4))].into_iter()));
        while trust.disk.as_ref().unwrap().try_lock().is_ok() {
            thread::yield_now();
        }
        scope.spawn(move || asked.send(trust.floor(id(1))));
        let answer = answers.recv_timeout(Duration::from_secs(5));
        assert!(!learns.is_finished(), "it is written still");
        io::Read::read_exact(&mut reader, &mut vec![0; 65_536]).unwrap();
        assert_eq!(answer, Ok(at(4)));
        // A pipe cannot be synced: nothing is taken for durable.
        learns.join().unwrap().unwrap_err();
    });
    disk(trust).file = whole;
    trust.learn([].into_iter()).unwrap();
    assert_eq!(stage.open().floor(id(1)), at(4));
}

#[test]
fn a_file_that_grew_long_is_written_anew() {
    let stage = Stage::new();
    let trust = stage.open();
    trust.learn([(id(2), at(1))].into_iter()).unwrap();
    for generation in 1..=5_000 {
        trust.learn([(id(1), at(generation))].into_iter()).unwrap();
    }
    assert!(stage.text().lines().count() < 4_200);
    let again = stage.open();
    assert_eq!([1, 2].map(|number| again.floor(id(number))), [at(5_000), at(1)]);
}

#[test]
fn a_line_that_is_cut_off_does_not_count_and_another_keys_is_told() {
    let stage = Stage::new();
    stage.open().learn([(id(1), at(4))].into_iter()).unwrap();
    let whole = stage.text();
    fs::write(&stage.path, format!("{whole}{}", &whole.replace(" 4 ", " 9 ")[..60])).unwrap();
    let trust = stage.open();
    assert_eq!((trust.floor(id(1)), trust.is_lost()), (at(4), false), "a crash does that");
    // Another key's, and one that was changed.
    let elsewhere = Stage::new();
    let other = Trust::open(&elsewhere.path, RowKey::new([8; 32])).unwrap();
    other.learn([(id(1), at(9))].into_iter()).unwrap();
    let foreign = format!("{}{}", elsewhere.text(), whole.replace(" 4 ", " 1 "));
    fs::write(&stage.path, format!("{foreign}{whole}")).unwrap();
    assert_eq!((stage.open().floor(id(1)), stage.open().is_lost()), (at(4), true), "also at the next start");
    let aside = fs::read_to_string(aside(&stage.path)).unwrap();
    assert!(aside.starts_with("# ") && aside.ends_with(&foreign), "{aside}");
    fs::remove_file(super::aside(&stage.path)).unwrap();
    assert!(!stage.open().is_lost(), "once somebody has looked");
    // A start with another key forgets nothing.
    assert!(Trust::open(&stage.path, RowKey::new([8; 32])).is_err());
    assert_eq!(stage.open().floor(id(1)), at(4));
}

#[test]
fn what_lies_where_it_is_written_anew_leads_nowhere() {
    let stage = Stage::new();
    let victim = stage.path.with_file_name("victim");
    fs::write(&victim, "mine").unwrap();
    for beside in ["grants.new", "grants.floor.new"] {
        std::os::unix::fs::symlink(&victim, stage.path.with_file_name(beside)).unwrap();
    }
    drop(stage.open());
    assert_eq!(fs::read_to_string(&victim).unwrap(), "mine");
}

#[test]
fn that_there_was_a_file_once_is_for_those_to_say_who_know() {
    let stage = Stage::new();
    let trust = stage.open();
    assert!(!trust.is_lost());
    trust.note_lost().unwrap();
    assert!(trust.is_lost());
    trust.note_sealed().unwrap();
    fs::remove_file(aside(&stage.path)).unwrap();
    let again = stage.open();
    again.note_lost().unwrap();
    assert!(!again.is_lost(), "it was there");
    drop(file::replace(&stage.path, b"", 0o600).unwrap());
    let emptied = stage.open();
    emptied.note_lost().unwrap();
    assert!(emptied.is_lost());
}

#[test]
fn a_revoked_key_is_known_after_a_restart_and_a_line_of_anybody_else_counts_for_nothing() {
    let (stage, key) = (Stage::new(), domain::id::Spki([3; 32]));
    let trust = stage.open();
    trust.learn_all([(id(1), at(4))].into_iter(), [key, key].into_iter()).unwrap();
    trust.learn_all(std::iter::empty(), [key].into_iter()).unwrap();
    for _ in 0..2 {
        let again = stage.open();
        assert_eq!((again.revoked_keys(), again.floor(id(1))), ([key].into(), at(4)));
        assert!(again.is_revoked(key) && !again.is_revoked(domain::id::Spki([4; 32])) && !again.is_lost());
    }
    assert_eq!(stage.text().lines().count(), 2, "one line for each");
    let forged = stage.text().replace(&key.to_string(), &"04".repeat(32));
    fs::write(&stage.path, forged).unwrap();
    let changed = stage.open();
    assert!(changed.revoked_keys().is_empty() && changed.is_lost(), "and that is told");
}
