//! The log outside the daemon.

use super::harness::{Instance, Ran, database, pause};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

#[test]
fn an_export_verifies_until_it_is_changed_cut_or_of_another_instance() {
    let (mut office, home) = (Instance::running("office"), Instance::running("home"));
    for name in ["alice", "bob", "carol"] {
        office.types(&format!("user add {name}")).done();
    }
    office.types("audit export -o log.jsonl").done();
    office.types("audit export -o log.jsonl").fails(1, &["log.jsonl"]);
    assert!(office.types("audit verify log.jsonl").done().out.contains("unbroken"));
    // It may come by a pipe, which is read once.
    assert!(verified_from_a_pipe(&office, "log.jsonl").contains("unbroken"));
    let path = office.base.path().join("log.jsonl");
    let whole = fs::read_to_string(&path).unwrap();
    let lines: Vec<_> = whole.lines().collect();
    let (last, head) = (lines.len() - 2, lines.len() - 1);
    let bob = lines.iter().position(|line| line.contains("bob")).unwrap() + 1;
    let swapped = [&lines[..1], &[lines[2], lines[1]], &lines[3..]].concat().join("\n");
    let cut = [&lines[..last], &lines[head..]].concat().join("\n");
    let cases = [
        (whole.replace("bob", "eve"), format!("entry {bob} (line {bob}) was altered")),
        ([&lines[..2], &lines[3..]].concat().join("\n"), "line 3: entry 4 stands where entry 3 belongs".to_owned()),
        (swapped, "line 2: entry 3 stands where entry 2 belongs".to_owned()),
        (cut, format!("ends at entry {last}, but its head says {}", last + 1)),
        (lines[..head].join("\n"), "no signed head".to_owned()),
        (whole.replace("\"signature\":\"", "\"signature\":\"00"), "log.jsonl".to_owned()),
    ];
    office.stop();
    for (changed, words) in cases {
        fs::write(&path, changed).unwrap();
        office.types("audit verify log.jsonl").fails(1, &[&words]);
    }
    fs::write(&path, lines[2..].join("\n")).unwrap();
    assert!(office.types("audit verify log.jsonl").done().err.contains("begins at entry 3"));
    office.serve();
    fs::write(&path, &whole).unwrap();
    let file = path.to_str().unwrap();
    while !home.data().join("audit-head.json").exists() {
        pause();
    }
    home.run(&["audit", "verify", file]).fails(1, &["home"]);
    let key = office.types("id --json").done().json()["audit_key"].as_str().unwrap().to_owned();
    home.run(&["audit", "verify", file, "--key", &key]).done();
}

fn verified_from_a_pipe(office: &Instance, file: &str) -> String {
    let program = env!("CARGO_BIN_EXE_mosaic-fed");
    let line = format!("cat {file} | {program} -C \"$DATA\" audit verify /dev/stdin 2>&1");
    let ran =
        Command::new("sh").args(["-c", &line]).current_dir(office.base.path()).env("DATA", office.data()).output();
    String::from_utf8(ran.unwrap().stdout).unwrap()
}

/// Puts one folder in the place of another, with its owners and modes.
fn put(from: &Path, to: &Path) {
    drop(fs::remove_dir_all(to));
    assert!(Command::new("cp").arg("-a").args([from, to]).status().unwrap().success());
}

/// Waits until the head in the data directory is what `is` says of its number.
fn head(instance: &Instance, is: impl Fn(u64) -> bool) -> u64 {
    loop {
        let text = fs::read(instance.data().join("audit-head.json")).unwrap_or_default();
        let head = serde_json::from_slice::<serde_json::Value>(&text).ok();
        match head.and_then(|head| head["head"]["sequence"].as_u64()) {
            Some(sequence) if is(sequence) => return sequence,
            _ => pause(),
        }
    }
}

fn verified(office: &Instance, file: &str) -> Ran {
    office.run(&["audit", "export", "-o", file]).done();
    office.run(&["audit", "verify", file])
}

#[test]
fn a_database_that_is_put_back_does_not_shorten_the_log_unseen_until_the_operator_answers_for_it() {
    let mut office = Instance::running("office");
    office.stop();
    let cluster = PathBuf::from(database(&office.data()).unwrap()["cluster"].as_str().unwrap());
    let backup = office.base.path().join("backup");
    put(&cluster, &backup);
    office.serve();
    for name in ["alice", "bob", "carol", "dave"] {
        office.types(&format!("user add {name}")).done();
    }
    verified(&office, "before.jsonl").done();
    office.stop();
    let reached = head(&office, |_| true);
    put(&backup, &cluster);
    office.serve();
    // Shortened first; grown past where it was, it is another log all the same.
    let told = |office: &Instance| {
        let (status, json) = (office.types("status").done().out, office.types("status --json").done().json());
        let metrics = office.types("status --metrics").done().out;
        assert_eq!(
            status.contains("`mosaic-fed serve --audit-put-back`"),
            json["audit_head_lost"].is_u64(),
            "{status}"
        );
        assert_eq!(metrics.contains("\nmosaic_fed_audit_head_lost 1\n"), json["audit_head_lost"].is_u64(), "{metrics}");
        json["audit_head_lost"].as_u64()
    };
    assert_eq!(told(&office), Some(reached));
    office.types("audit prove 1").fails(6, &["it was shortened or rewritten", "status"]);
    verified(&office, "short.jsonl")
        .fails(1, &["the log was shortened", &format!("entry {reached}"), "--audit-put-back"]);
    for name in ["eve", "frank", "grace", "heidi", "ivan", "judy"] {
        office.types(&format!("user add {name}")).done();
    }
    head(&office, |sequence| sequence > reached);
    verified(&office, "rewritten.jsonl").fails(1, &["the log was rewritten", &format!("entry {reached}")]);
    assert!(
        office.types("audit verify before.jsonl").done().out.contains("unbroken"),
        "what was exported before is as it was"
    );
    office.stop();
    office.serve();
    assert_eq!(told(&office), Some(reached), "until the operator answers for it");
    office.stop();
    office.serve_with(&["--audit-put-back"], &std::env::temp_dir());
    assert_eq!(told(&office), None);
    office.types("audit prove 1").done();
    assert!(verified(&office, "after.jsonl").done().out.contains("unbroken"));
    let log = office.types("audit query --limit 1000 --json").done().out;
    assert!(log.contains(&format!("the log was put back: it had entry {reached}, hash ")), "{log}");
    office.stop();
    office.serve();
    assert_eq!(told(&office), None);
}

#[test]
fn a_remembered_head_that_somebody_changed_is_kept_and_told_of() {
    let mut office = Instance::running("office");
    head(&office, |_| true);
    office.stop();
    let (path, lost) = (office.data().join("audit-head.json"), office.data().join("audit-head.lost"));
    let own = fs::read_to_string(&path).unwrap();
    fs::write(&path, own.replace("\"signature\":\"", "\"signature\":\"00")).unwrap();
    office.serve();
    assert!(office.types("status").done().out.contains("ALARM        the audit log"));
    assert!(fs::read_to_string(lost).unwrap().contains("\"signature\":\"00"));
}

/// What the verifier in Python says of a proof: written from the documents, it shares nothing with the product.
fn verified_elsewhere(file: &Path, key: &str) -> Result<String, String> {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/foreign/python/proof.py");
    let ran = Command::new("python3").arg(program).arg(file).arg(key).output().unwrap();
    let said = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().trim().to_owned();
    if ran.status.success() { Ok(said(ran.stdout)) } else { Err(said(ran.stderr)) }
}

#[test]
fn a_proof_of_one_entry_holds_for_whoever_has_the_logs_key_and_nothing_else() {
    let (mut office, home) = (Instance::running("office"), Instance::running("home"));
    for name in ["alice", "bob", "carol"] {
        office.types(&format!("user add {name}")).done();
    }
    let key = office.types("id --json").done().json()["audit_key"].as_str().unwrap().to_owned();
    office.types("audit export -o log.jsonl").done();
    let log = fs::read_to_string(office.base.path().join("log.jsonl")).unwrap();
    let bob = log.lines().position(|line| line.contains("bob")).unwrap() + 1;
    let proof = office.types(&format!("audit prove {bob} -o bob.tlog-proof")).done();
    assert!(proof.out.contains(&format!("entry {bob} is in the log of")), "{proof:?}");
    office.types(&format!("audit prove {bob} -o bob.tlog-proof")).fails(1, &["bob.tlog-proof"]);
    office.types("audit prove 9999").fails(4, &["no entry 9999", "ends at entry"]);
    for no_number in ["0", "abc"] {
        office.types(&format!("audit prove {no_number}")).fails(2, &["1 or more, as `audit tail` shows it"]);
    }
    office.types("audit prove 1 -o nowhere/file").fails(1, &["make the directory first"]);
    office.file("other.txt", "c2sp.org/tlog-proof@v2\n");
    office.types("audit verify other.txt").fails(2, &["neither an export of a log nor a proof"]);
    // Each is a proof of the log as it stands then.
    let first = office.types("audit prove 1 --json").done().json();
    assert!(first["size"].as_u64() > u64::try_from(bob).ok(), "{first}");
    office.stop();
    assert!(verified_from_a_pipe(&office, "bob.tlog-proof").contains("proven"));
    let said = office.types("audit verify bob.tlog-proof").done().out;
    assert!(
        said.contains("proven")
            && said.contains("user_add done")
            && said.contains("note          bob as member")
            && said.contains(&key),
        "{said}"
    );
    let path = office.base.path().join("bob.tlog-proof");
    let whole = fs::read_to_string(&path).unwrap();
    let file = path.to_str().unwrap();
    home.run(&["audit", "verify", file]).fails(2, &["whose key", "--key"]);
    home.run(&["audit", "verify", file, "--key", &key]).done();
    let other = home.types("id --json").done().json()["audit_key"].as_str().unwrap().to_owned();
    home.run(&["audit", "verify", file, "--key", &other]).fails(1, &["not signed by that key"]);
    assert!(verified_elsewhere(&path, &key).unwrap().starts_with(&format!("entry {bob} of ")));
    assert!(verified_elsewhere(&path, &other).is_err());
    // Whatever is changed in it, neither believes it.
    let lines: Vec<_> = whole.lines().collect();
    for (at, line) in lines.iter().enumerate().filter(|(_, line)| !line.is_empty()) {
        let middle = line.char_indices().nth(line.chars().count() * 3 / 4).unwrap().0;
        let another = if line[middle..].starts_with('A') { "B" } else { "A" };
        let next = middle + line[middle..].chars().next().unwrap().len_utf8();
        let changed = format!("{}{another}{}", &line[..middle], &line[next..]);
        let text = [&lines[..at], &[changed.as_str()], &lines[at + 1..]].concat().join("\n") + "\n";
        fs::write(&path, &text).unwrap();
        let ran = office.types("audit verify bob.tlog-proof");
        assert!(ran.code != 0, "line {}: {text}{ran:?}", at + 1);
        assert!(verified_elsewhere(&path, &key).is_err(), "line {}: {text}", at + 1);
    }
}
