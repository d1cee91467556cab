//! `invite --from`: many invites at once, and what becomes of a file of which a line is wrong or a run that broke off.

use super::harness::{Instance, Ran, pause, program, tell};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Child, Stdio},
    time::{Duration, Instant},
};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn grants(office: &Instance) -> Vec<Value> {
    office.types("grant list --json").done().json().as_array().unwrap().clone()
}

/// Whoever may not invite learns nothing of what there is from asking.
#[test]
fn who_may_not_invite_is_told_of_no_workspace_and_no_team() {
    let office = Instance::running("office");
    for line in ["user add gina --role guest", "user add vic", "workspace add secret-side", "team add secret-team"] {
        office.types(line).done();
    }
    office.file("people.csv", "for\ngina\nvic\n");
    office.file("scope.json", r#"{"workspace":"zzz","resources":["tasks"]}"#);
    office.file(
        "teams.json",
        r#"{"workspace":"main","resources":["tasks"],"filters":{"tasks":{"include_teams":["zzz"]}}}"#,
    );
    for what in ["--share tasks", "--scope scope.json", "--scope teams.json"] {
        let ran = office.types(&format!("--as gina invite --from people.csv {what}"));
        assert!(ran.code == 2 || ran.code == 5, "{what}: {ran:?}");
        assert!(!format!("{ran:?}").contains("secret"), "{what}: {ran:?}");
    }
    let log = office.types("audit query --ending refused --json").done().out;
    assert!(log.contains("grant_create"), "{log}");
    // The owner is told.
    let ran = office.types("invite --from people.csv --scope teams.json");
    assert!(ran.code == 2 || ran.code == 4, "{ran:?}");
    assert!(ran.err.contains("secret-team"), "{ran:?}");
}

#[test]
fn people_of_a_file_are_invited_each_with_a_file_of_their_own() {
    let (office, home) = (Instance::running("office"), Instance::running("home"));
    for user in ["alice", "bob", "carol"] {
        office.types(&format!("user add {user}")).done();
    }
    office.types("add tasks one").done();
    let key = home.types("link --prepare").done().out.trim().to_owned();
    office.file("people.csv", format!("\u{feff}For;Name;Key\r\nalice;;\r\nbob;bobs-laptop;\r\n;;\r\ncarol;;{key}\r\n"));
    let line = "invite --from people.csv --share tasks --days 30 --out invites";
    office.types(&format!("{line} --check")).done();
    let out = office.base.path().join("invites");
    assert!(!out.exists() && grants(&office).is_empty(), "a check makes nothing");
    let ran = office.types(line).done();
    let said: Vec<_> = ran.out.lines().collect();
    assert_eq!(said.len(), 3, "{ran:?}");
    assert!(said[0].starts_with("alice-home for alice: invites/alice-home.invite, until 20"), "{ran:?}");
    assert!(said[2].contains(&format!(", for the key {key} alone, until 20")), "{ran:?}");
    assert!(ran.err.contains("each shares tasks") && ran.err.contains("3 invites made"), "{ran:?}");
    assert_eq!(ran.err.matches("hand each to its own user").count(), 1, "{ran:?}");
    assert_eq!(mode(&out), 0o700);
    for name in ["alice-home", "bobs-laptop", "carol-home"] {
        assert_eq!(mode(&out.join(format!("{name}.invite"))), 0o600, "{name}");
    }
    let mut names: Vec<_> = grants(&office).iter().map(|grant| grant["name"].as_str().unwrap().to_owned()).collect();
    names.sort();
    assert_eq!(names, ["alice-home", "bobs-laptop", "carol-home"]);
    let invite = fs::read_to_string(out.join("carol-home.invite")).unwrap();
    home.types(&format!("link {} --yes --name work", invite.trim())).done();
    // All of it once more: what is held, what is open and what is new are told apart.
    office.file("people.csv", format!("for,name,key\nalice,,\nbob,bobs-laptop,\ncarol,,{key}\ndana,,\n"));
    let again = office.types(line).done();
    assert!(again.out.contains("carol-home for carol: already there, held by home"), "{again:?}");
    assert!(
        again.out.contains(
            "alice-home for alice: already there, its invite in invites/alice-home.invite; a fresh one: mosaic-fed -C "
        ),
        "{again:?}"
    );
    assert!(
        again.out.contains("dana-home for dana: invites/dana-home.invite")
            && again.err.contains("1 invite made, 3 were there already"),
        "{again:?}"
    );
    fs::remove_file(out.join("alice-home.invite")).unwrap();
    let lost = office.types(line).done();
    let fresh = format!("a fresh one: mosaic-fed -C {} grant invite alice-home", office.data().display());
    assert!(
        lost.out.contains("already there, and nobody has used its invite") && lost.out.contains(&fresh),
        "{lost:?}"
    );
    assert!(lost.err.contains("0 invites made, 4 were there already"), "{lost:?}");
}

#[test]
fn without_a_directory_invites_come_on_stdout_and_stdin_is_read() {
    let (office, home) = (Instance::running("office"), Instance::running("home"));
    office.types("user add alice").done();
    let piped = |line: &str, text: &str| {
        let path = office.file("stdin.csv", text);
        let mut command = program(&["-C", office.data().to_str().unwrap()]);
        command.args(line.split(' ')).stdin(fs::File::open(path).unwrap());
        super::harness::finish(command)
    };
    let ran = piped("invite --from - --share tasks --confirm", "for\nalice\ndana\n").done();
    let rows: Vec<Vec<_>> = ran.out.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(rows[0], ["name", "for", "invite", "key", "expires_at"], "{ran:?}");
    assert!(rows.len() == 3 && rows[1][..2] == ["alice-home", "alice"] && rows[1][2].starts_with("mfi"), "{ran:?}");
    assert_eq!(ran.err.matches("grant confirm NAME WORD WORD WORD WORD").count(), 1, "{ran:?}");
    let linked = home.types(&format!("link {} --yes --name work --json", rows[1][2])).done().json();
    assert!(linked["words"].is_string(), "{linked}");
    let ran = piped("invite --from - --share tasks --confirm --json", "for\nalice\ndana\ndana,\n");
    ran.fails(2, &["stdin:4: the name dana-home is that of line 3 already"]);
    let ran = piped("invite --from - --share tasks --confirm --json", "for,name\nalice,\ndana,other\n").done();
    let lines: Vec<Value> = ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&lines[0]["outcome"], &lines[0]["holder"]), (&"there".into(), &"home".into()), "{ran:?}");
    assert_eq!(
        (&lines[1]["outcome"], &lines[1]["line"], &lines[1]["for"]),
        (&"made".into(), &3.into(), &"dana".into())
    );
    let both = piped("invite --from - --scope -", "for\nalice\n");
    both.fails(2, &["both be read from stdin", "name a file for one of them"]);
}

#[test]
fn a_file_of_which_a_line_is_wrong_makes_nothing_and_every_such_line_is_told() {
    let office = Instance::running("office");
    for line in ["user add alice", "user add bob", "user add carol", "workspace add side"] {
        office.types(line).done();
    }
    office.types("--workspace side user add eve").done();
    office.types("invite alice-home --for alice --share notes").done();
    office.types("invite dana-home --for dana --share tasks").done();
    office.types(&format!("invite bound --for bob --share tasks --key {}", "ab".repeat(32))).done();
    office.types("--workspace side invite elsewhere --share tasks").done();
    let before = grants(&office).len();
    let own = office.types("id --json").done().json()["fingerprint"].as_str().unwrap().to_owned();
    let (key, share) = ("cd".repeat(32), "--share tasks");
    for (text, terms, told) in [
        ("alice,x,\nzed,,\n", share, &["people.csv:3: there is no user `zed` in workspace main"][..]),
        (
            "eve,,\n",
            share,
            &["people.csv:2: user `eve` is not in workspace main; mosaic-fed -C ", "user role eve member"],
        ),
        (
            "alice,,\n",
            share,
            &["people.csv:2: there is a grant alice-home already, on other terms; give this line another name"],
        ),
        ("bob,dana-home,\n", share, &["people.csv:2: there is a grant dana-home already, for another user"]),
        ("dana,,\n", "--share tasks --days 30", &["there is a grant dana-home already, on other terms"]),
        ("dana,,\n", "--share tasks --confirm", &["with an invite that asks for no words"]),
        ("dana,elsewhere,\n", share, &["there is a grant elsewhere already, in another workspace"]),
        (
            &format!("bob,bound,{key}\n"),
            share,
            &["with an invite for the key abab", &format!("grant invite bound --key {key}")],
        ),
        ("bob,bound,\n", share, &["and not for no key", "grant invite bound --no-key"]),
        (&format!("bob,,{own}\n"), share, &["this instance's own, and no key's"]),
        (
            "carol,,\nCarol,,\nzed,,\ncarol,,\n",
            share,
            &[
                "people.csv:3: `Carol` is no name",
                "people.csv:4: there is no user `zed`",
                "people.csv:5: the name carol-home is that of line 2 already",
                "error: 3 lines of people.csv cannot be taken",
            ],
        ),
        ("carol,,\n", "--share tasks --personal", &["the personal rows of `carol` is theirs alone to do"]),
    ] {
        office.file("people.csv", format!("for,name,key\n{text}"));
        for check in ["", " --check"] {
            let ran = office.types(&format!("invite --from people.csv {terms} --out invites{check}"));
            ran.fails(2, told);
            assert!(ran.out.is_empty() && ran.err.contains("nothing was made"), "{ran:?}");
        }
    }
    // What is wrong with all of it, or with how it is asked for.
    office.file("people.csv", "for\ncarol\n");
    office.file("letter.csv", "for,mail\ncarol,x\n");
    let path = office.file("open/there", "x");
    fs::set_permissions(path.parent().unwrap(), fs::Permissions::from_mode(0o755)).unwrap();
    let leads = office.base.path().join("leads");
    std::os::unix::fs::symlink(office.base.path().join("open"), &leads).unwrap();
    for (code, line, told) in [
        (
            2,
            "--from letter.csv --share tasks",
            "letter.csv:1: there is no column `mail`: the columns are `for`, `name` and `key`",
        ),
        (2, "--from people.csv", "nothing is shared"),
        (4, "--from nowhere.csv --share tasks", "nowhere.csv"),
        (4, "--from people.csv --share tasks --team nope", "no team `nope`"),
        (6, "--from people.csv --share tasks --out open", "open is open to others, and invites are secrets"),
        (2, "--from people.csv --share tasks --out people.csv", "people.csv is no directory"),
        (2, "--from people.csv --share tasks --out leads", "leads is a link"),
        (4, "--from people.csv --share tasks --out no/where", "there is no directory no"),
        (2, "name --from people.csv --share tasks", "cannot be used with"),
        (2, "--from people.csv --share tasks --for carol", "cannot be used with"),
        (2, "--share tasks", "NAME is missing"),
        (2, "x --share tasks --out invites", "`--out` is for the people of a file"),
        (2, "x --share tasks --check", "`--check` is for the people of a file"),
    ] {
        office.types(&format!("invite {line}")).fails(code, &[told]);
    }
    // Also where no line is good.
    office.file("bad.csv", "for,name\nAlice Smith,\n,x\n\"bob\n");
    office.types("invite --from bad.csv --share tasks").fails(
        2,
        &[
            "bad.csv:2: `Alice Smith`",
            "bad.csv:3: the column `for` is empty",
            "bad.csv:4: a quote mark is opened",
            "3 lines of bad.csv",
        ],
    );
    // Somebody who may share their own view alone.
    office.file("people.csv", "for\ncarol\nbob\n");
    office
        .types("--as carol invite --from people.csv --share tasks")
        .fails(2, &["people.csv:3: sharing the view that `bob` has of `main` needs owner or admin there"]);
    assert_eq!(grants(&office).len(), before);
    assert!(!office.base.path().join("invites").exists());
    a_file_in_the_way_is_found_before_anything_is_made(&office);
    assert_eq!(grants(&office).len(), before);
}

/// In front of `office` lies a file of people, of whom bob is the second.
fn a_file_in_the_way_is_found_before_anything_is_made(office: &Instance) {
    fs::create_dir(office.base.path().join("full")).unwrap();
    fs::set_permissions(office.base.path().join("full"), fs::Permissions::from_mode(0o700)).unwrap();
    office.file("full/bob-home.invite", "mine");
    let ran = office.types("invite --from people.csv --share tasks --out full");
    ran.fails(2, &["people.csv:3: full/bob-home.invite is there already"]);
    assert_eq!(fs::read_to_string(office.base.path().join("full/bob-home.invite")).unwrap(), "mine");
}

const MANY: usize = 200;

fn started(office: &Instance) -> Child {
    let mut command = program(&["-C", office.data().to_str().unwrap()]);
    command.args("invite --from people.csv --share tasks --out invites".split(' '));
    command.current_dir(office.base.path()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn files(office: &Instance) -> usize {
    fs::read_dir(office.base.path().join("invites")).map_or(0, Iterator::count)
}

/// Waits until so many invites are in their files.
fn has_made(office: &Instance, many: usize) {
    let end = Instant::now() + Duration::from_mins(2);
    while files(office) < many {
        assert!(Instant::now() < end, "{} files", files(office));
        pause();
    }
}

fn ended(child: Child) -> Ran {
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
}

#[test]
fn two_hundred_people_are_invited_by_a_run_that_was_broken_off_twice_and_nobody_twice() {
    let mut office = Instance::running("office");
    let users: Vec<_> = (0..MANY).map(|number| format!("user-{number}")).collect();
    for user in &users {
        office.types(&format!("user add {user}")).done();
    }
    office.file("people.csv", format!("for\n{}\n", users.join("\n")));
    let first = started(&office);
    has_made(&office, 10);
    office.kill();
    let first = ended(first);
    assert!(matches!(first.code, 3 | 8), "{first:?}");
    assert!(
        first.err.contains("of 200 invites were made") && first.err.contains("type the same again: it goes on"),
        "{first:?}"
    );
    let made = files(&office);
    assert!(made < MANY, "it was ended too late");
    office.serve();
    let second = started(&office);
    has_made(&office, made + 10);
    tell(&second, Signal::SIGINT);
    let second = ended(second);
    assert_eq!(second.code, 130, "{second:?}");
    assert!(second.err.contains("it was ended; ") && second.err.contains("type the same again"), "{second:?}");
    assert!(files(&office) < MANY, "it was ended too late");
    let third = ended(started(&office)).done();
    assert_eq!(third.out.lines().count(), MANY, "a line for each: {third:?}");
    // The one that was asked for when the daemon was killed may have no file: its grant is there, and what to do is said.
    let lost: Vec<_> =
        third.out.lines().filter(|line| line.contains("and nobody has used its invite; a fresh one: ")).collect();
    assert!(lost.len() <= 1 && files(&office) + lost.len() == MANY, "{} files, {lost:?}", files(&office));
    let made = grants(&office);
    assert!(made.len() == MANY && made.iter().all(|grant| grant["state"] == "pending"), "{}", made.len());
    let log = office.types("audit query --limit 10000 --json").done().json();
    let acts = |about: &str| log.as_array().unwrap().iter().filter(|entry| entry["entry"]["about"] == about).count();
    assert_eq!(acts("grant_create"), MANY);
    assert!((MANY - lost.len()..=MANY).contains(&acts("invite_create")), "{}", acts("invite_create"));
    let fourth = ended(started(&office)).done();
    assert!(fourth.err.contains("0 invites made, 200 were there already"), "{fourth:?}");
    let modes = fs::read_dir(office.base.path().join("invites")).unwrap().map(|file| mode(&file.unwrap().path()));
    assert!(modes.into_iter().all(|mode| mode == 0o600));
}
