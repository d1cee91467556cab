//! What is said while two instances share: what an invite will show, what one that is of no use was, and how to go on where a
//! source is silent or its grant has ended.

use super::harness::{Instance, finish, program};
use nix::pty::openpty;
use std::{fs, io::Write};

fn two() -> (Instance, Instance) {
    (Instance::running("office"), Instance::running("home"))
}

#[test]
fn an_invite_says_which_rows_it_shares_on_whose_behalf_and_until_when() {
    let office = Instance::running("office");
    office.types("user add alice").done();
    let rest = "alice's personal tasks, those of no team, stay out; only alice can share them, with --personal";
    let all = "personal tasks, those of no team, are among them; --no-personal keeps them out";
    for line in ["invite x --for alice --share tasks --dry-run", "invite x --for alice --share tasks"] {
        let ran = office.types(line).done();
        let until = ran.err.lines().find(|line| line.contains("as alice sees them, until 20"));
        assert!(until.is_some_and(|line| line.contains("it shares tasks of main (no personal rows)")), "{ran:?}");
        assert!(ran.err.contains(rest), "{ran:?}");
    }
    for line in ["--as alice invite y --share tasks --dry-run", "invite z --share tasks"] {
        let ran = office.types(line).done();
        assert!(ran.err.contains("it shares tasks of main, as ") && !ran.err.contains("stay out"), "{ran:?}");
        assert!(ran.err.contains(all), "{ran:?}");
    }
    let scope = r#"{"workspace": "main", "resources": ["tasks", "notes", "users"],
        "filters": {"tasks": {"include_personal": false}, "notes": {"include_personal": true}}}"#;
    let file = office.file("scope.json", scope);
    let ran = office.types(&format!("--as alice invite v --scope {} --dry-run", file.display())).done();
    assert!(
        ran.err.contains("alice's personal tasks, those") && ran.err.contains("alice's personal notes, those"),
        "{ran:?}"
    );
    let help = office.types("invite --help").done().out;
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    for words in ["a new one ends after 90", "personal rows of anybody else stay out: only they can share them"] {
        assert!(help.contains(words), "{words} in {help}");
    }
}

#[test]
fn an_invite_is_taken_as_mail_brings_it_and_what_is_none_says_what_to_type() {
    let (office, home) = two();
    let invite = office.types("invite to-home --share tasks").done().out;
    let lines: Vec<_> = invite.trim().as_bytes().chunks(60).map(|line| String::from_utf8_lossy(line)).collect();
    let mailed = home.file("mail", format!("> \"{}\"\n", lines.join("\n> ")));
    let plain = home.file("invite", &invite);
    let link = |file: Option<&std::path::Path>, words: &[&str]| {
        let mut command = program(&[&["-C", home.data().to_str().unwrap(), "link"], words].concat());
        command.current_dir(home.base.path());
        if let Some(file) = file {
            command.stdin(fs::File::open(file).unwrap());
        }
        finish(command)
    };
    link(None, &["-", "--yes"]).fails(2, &["no invite came on stdin", "next: ", "link - --yes < FILE"]);
    link(None, &["invite"]).fails(2, &["`invite` is a file", "next: mosaic-fed -C ", "link - --yes < invite"]);
    for none in ["hello", &invite.trim()[..80]] {
        let refused = link(None, &[none, "--yes"]);
        refused.fails(2, &["next: paste the whole line", "who types `mosaic-fed grant invite NAME` there"]);
    }
    link(Some(&mailed), &["-", "--yes"]).done();
    let again = link(Some(&plain), &["-", "--yes"]).done();
    assert!(again.out.contains("linked already as office"), "{again:?}");
    home.types("user add eve").done();
    let spent = link(Some(&plain), &["--as", "eve", "-", "--yes"]);
    spent.fails(
        6,
        &["it was used", "too old", "next: ask the owner of office", "`mosaic-fed grant invite to-home` there"],
    );
    office.run(&["link", invite.trim(), "--yes"]).fails(6, &["this instance's own", "other instance's owner"]);
}

#[test]
fn a_link_whose_grant_has_ended_leads_to_a_new_invite_and_not_in_a_circle() {
    let (office, home) = two();
    office.types("user add alice").done();
    office.types("add tasks one").done();
    let invite = office.types("invite to-home --for alice --share tasks").done().out;
    home.run(&["link", invite.trim(), "--yes", "--name", "work"]).done();
    office.types("grant revoke to-home").done();
    let again = "link --name work`";
    for (line, code) in [("list tasks", 0), ("list tasks --from work", 7), ("links", 0), ("ping work", 7)] {
        let ran = home.types(line);
        ran.fails(code, &["new invite", "unlink work`, then `", again]);
        let next = ran.err.lines().filter_map(|line| line.trim().strip_prefix("next: ")).next_back();
        assert!(next.is_some_and(|next| next.ends_with("unlink work")), "{ran:?}");
    }
    home.types("get tasks 12345678").fails(7, &[again, "next: mosaic-fed -C", "unlink work"]);
    home.types("list tasks --strict").fails(7, &["work is revoked", "next: leave out --strict"]);
    home.types("list tasks --from wrok").fails(4, &["no such link `wrok`", "next: name one of work", "links`"]);
    for (line, code) in [
        ("can to-home list tasks", 1),
        ("grant edit to-home --share notes", 6),
        ("grant revoke to-home", 6),
        ("grant invite to-home", 6),
    ] {
        office
            .types(line)
            .fails(code, &["invite to-home --for alice --share tasks --no-personal --rows 1000 --rate 60"]);
    }
    for name in ["alice", "home", "revoked"] {
        office.types(&format!("grant show {name}")).fails(4, &["called by its own name", "grant show to-home"]);
    }
    let unsaid = home.types("unlink work");
    unsaid.fails(2, &["nobody is there to agree", "the other side has ended its grant already", "next: add --yes"]);
    assert!(!unsaid.err.contains("grant ends with it"), "{unsaid:?}");
    for order in ["unlink wrok", "unlink wrok --yes"] {
        home.types(order).fails(4, &["no such link `wrok`", "next: name one of work", "links`"]);
    }
    home.types("unlink 0123456789 --any").fails(4, &["is not the beginning of one link's id", "links --all"]);
    let ended = home.types("unlink work --yes").done();
    assert!(ended.out.contains("; the other side has ended the grant already\n"), "{ended:?}");
    let invite = office.types("invite to-home --for dana --share tasks").done().out;
    home.run(&["link", invite.trim(), "--yes", "--name", "work"]).done();
    assert!(home.types("list tasks").done().out.contains("one"));
    home.types("unlink work").fails(2, &["nobody is there to agree", "only its owner there can", "next: add --yes"]);
    home.types("list tasks --from work --strict").done();
    let ended = home.types("unlink work --json --yes").done().json();
    assert_eq!((&ended["told"], &ended["ended_before"]), (&true.into(), &false.into()));
}

#[test]
fn a_link_that_is_silent_leads_to_the_other_side_and_not_in_a_circle() {
    let (mut office, home) = two();
    let invite = office.types("invite to-home --share tasks").done().out;
    home.run(&["link", invite.trim(), "--yes", "--name", "work"]).done();
    let up = home.types("ping work").done();
    assert!(up.out.contains("work: ok after") && !up.out.contains("its clock is"), "{up:?}");
    office.stop();
    for (line, code) in [("ping work", 7), ("links", 0)] {
        let ran = home.types(line);
        let (at, port) = (format!("it is looked for at 127.0.0.1:{}", office.links), office.links.to_string());
        ran.fails(
            code,
            &["work: a question was answered last 20", &at, "whoever runs office", "nc -vz 127.0.0.1", &port],
        );
        ran.fails(code, &["once that is mended, `mosaic-fed -C ", "ping work` says so"]);
        assert!(!ran.err.contains("next: "), "{ran:?}");
    }
}

#[test]
fn a_silent_source_is_never_taken_for_an_empty_one() {
    let (mut office, home) = two();
    office.types("add tasks one").done();
    let invite = office.types("invite to-home --share tasks").done().out;
    home.run(&["link", invite.trim(), "--yes", "--name", "work"]).done();
    office.stop();
    for (line, said) in
        [("list tasks", "no rows from the sources that answered\n"), ("list tasks --from work", "no source answered\n")]
    {
        let ran = home.types(line);
        assert_eq!((&ran.out[..], ran.code), (said, if line.ends_with("work") { 7 } else { 0 }), "{ran:?}");
        assert!(ran.err.contains("work: offline (") && ran.err.contains("ping work"), "{ran:?}");
        assert!(!ran.err.contains("add tasks"), "{ran:?}");
    }
    for title in ["two", "three"] {
        home.types(&format!("add tasks {title}")).done();
    }
    let whole = home.types("list tasks").done();
    assert!(
        whole.err.contains("these are all rows but those of work") && !whole.err.contains("more rows"),
        "{whole:?}"
    );
    let cut = home.types("list tasks --limit 1").done();
    assert!(cut.err.contains("more rows follow") && cut.out.contains("CREATED (UTC)"), "{cut:?}");
}

#[test]
fn rows_that_are_held_back_are_told_of_with_a_way_to_them_that_leads_on() {
    let (office, home) = two();
    for title in ["one", "two", "three", "four", "five"] {
        office.types(&format!("add tasks {title}")).done();
    }
    let invite = office.types("invite to-home --share tasks --rows 2").done().out;
    home.run(&["link", invite.trim(), "--yes", "--name", "work"]).done();
    let capped = "work gives at most 2 rows at once";
    for line in ["list tasks", "list tasks --from work --limit 100", "list tasks --stream"] {
        let ran = home.types(line).done();
        assert!(ran.err.contains("more rows follow") && ran.err.contains(capped), "{ran:?}");
        assert!(ran.err.contains("--cursor") && !ran.err.contains("a higher --limit"), "{ran:?}");
    }
    let (mut cursor, mut rows) = (String::new(), Vec::new());
    for left in [3, 1, 0] {
        let ran = home.types(&format!("list tasks --limit 100 --json{cursor}")).done();
        let page: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
        rows.extend(page["rows"].as_array().unwrap().iter().map(|row| row["title"].to_string()));
        assert_eq!((5 - rows.len(), page["next"].is_string()), (left, left > 0), "{ran:?}");
        cursor = format!(" --cursor {}", page["next"].as_str().unwrap_or_default());
    }
    assert_eq!(rows.concat(), r#""five""four""three""two""one""#);
    let cut = office.types("list tasks --stream --limit 3").done();
    assert!(cut.out.lines().count() == 3 && cut.err.contains("here: more rows follow: a higher --limit"), "{cut:?}");
    let whole = office.types("list tasks --stream").done();
    assert!(whole.out.lines().count() == 5 && !whole.err.contains("more rows"), "{whole:?}");
}

#[test]
fn what_an_invite_offered_is_not_told_as_what_its_grant_gives_now() {
    let (office, home) = two();
    let invite = office.types("invite to-home --share tasks").done().out;
    office.types("grant edit to-home --share notes").done();
    let linked = home.run(&["link", invite.trim(), "--yes", "--name", "work"]).done();
    assert!(linked.err.contains("when it was made, this invite offered tasks"), "{linked:?}");
    assert!(linked.out.contains("work is linked (") && linked.out.contains("shares notes until 20"), "{linked:?}");
    assert!(home.types("ping work").done().out.contains("shares notes until 20"));
    assert!(home.types("links").done().out.contains("INVITED TO"));
    let fresh = office.types("grant invite to-home").done().out;
    home.run(&["link", fresh.trim(), "--yes"]).done();
    let again = home.run(&["link", invite.trim(), "--yes"]);
    again.fails(6, &["this invite offered tasks", "can no longer be used", "linked as `work` already, which stays"]);
    assert!(!again.err.contains(" offers "), "{again:?}");
    let renamed = home.run(&["link", invite.trim(), "--yes", "--name", "job"]);
    renamed.fails(6, &["linked as `work` already", "not used yet", "`mosaic-fed grant invite to-home` there"]);
}

#[test]
fn a_link_without_rows_does_not_lead_to_a_row_that_would_be_added_here() {
    let (office, home) = two();
    let invite = office.types("invite to-home --share tasks").done().out;
    home.run(&["link", invite.trim(), "--yes", "--name", "work"]).done();
    for (from, next) in [("work", "ping work"), ("here,work", "add tasks TITLE"), ("all", "add tasks TITLE")] {
        let ran = home.types(&format!("list tasks --from {from}")).done();
        assert!(ran.out == "no rows\n" && ran.err.trim_end().ends_with(next), "{ran:?}");
    }
}

#[test]
fn a_kind_that_is_not_shared_is_told_from_one_without_rows() {
    let (office, home) = two();
    let invite = office.types("invite to-home --share tasks").done().out;
    home.run(&["link", invite.trim(), "--yes", "--name", "work"]).done();
    let alone = home.types("list notes --from work");
    assert_eq!((&alone.out[..], alone.code), ("no source that was asked shares this\n", 7), "{alone:?}");
    for words in ["work: denied (", "`mosaic-fed grant edit GRANT --share KINDS` there", "ping work"] {
        assert!(alone.err.contains(words), "{words} in {alone:?}");
    }
    home.types("list notes --from work --stream").fails(7, &["work: denied ("]);
    let both = home.types("list notes").done();
    assert_eq!(both.out, "no rows from the sources that answered\n");
}

#[test]
fn at_a_terminal_an_invite_is_asked_for_and_its_fingerprint_shown_before_anything_is_sent() {
    let (office, home) = two();
    let shown = office.types("id --json").done().json()["fingerprint"].as_str().unwrap().to_owned();
    let made = office.types("invite to-home --share tasks").done();
    assert!(made.err.contains("mosaic-fed link, which asks for the invite"), "{made:?}");
    let (first, rest) = made.out.trim().split_at(300);
    let at_terminal = |words: &[&str], typed: &str| {
        let pty = openpty(None, None).unwrap();
        let mut command = program(&[&["-C", home.data().to_str().unwrap()], words].concat());
        command.stdin(pty.slave);
        fs::File::from(pty.master.try_clone().unwrap()).write_all(typed.as_bytes()).unwrap();
        let ran = finish(command);
        drop(pty.master);
        ran
    };
    let answers = |typed: &str| at_terminal(&["link", "--name", "work"], typed);
    let no = answers(&format!("{}\nn\n", made.out.trim()));
    no.fails(130, &["Paste the invite", &format!("its fingerprint is {shown}"), "Link to it?", "was not used"]);
    answers("\n").fails(2, &["the invite is empty"]);
    answers("hello\n\n").fails(2, &["no invite"]);
    // As mail breaks it, and with an empty line left over.
    answers(&format!("{first}\n{rest}\n\nYES\n")).done();
    assert!(home.types("links").done().out.contains("work"));
    at_terminal(&["unlink", "work"], "n\n").fails(130, &["End it for ever?", "nothing was changed"]);
    let none = at_terminal(&["unlink", "wrok"], "y\n");
    none.fails(4, &["no such link `wrok`", "name one of work"]);
    assert!(!none.err.contains("[y/N]"), "there is nothing to ask about: {none:?}");
    assert!(home.types("links").done().out.contains("work"));
    let ended = at_terminal(&["unlink", "work"], "y\n").done();
    assert!(ended.out.contains("work is gone here"), "{ended:?}");
}

#[test]
fn an_invite_that_reached_nobody_was_not_used_and_can_be_tried_again() {
    let (mut office, home) = two();
    let invite = office.types("invite to-home --share tasks").done().out;
    home.run(&["link", invite.trim(), "--yes", "--name", "work"]).done();
    let fresh = office.types("invite other --share tasks").done().out;
    home.run(&["link", fresh.trim(), "--yes", "--name", "work"]).fails(6, &["give this one another name with --name"]);
    office.stop();
    let down = home.run(&["link", fresh.trim(), "--yes", "--name", "other"]);
    assert_ne!(down.code, 0);
    for words in [
        "the invite was not used",
        "next: once the other side is up, and until 20",
        " link --name other`, which asks for the same invite",
    ] {
        assert!(down.err.contains(words), "{words} in {down:?}");
    }
    let nobody = home.types("get tasks 12345678 --from work");
    nobody.fails(
        7,
        &["nobody answered, so whether there is a row 12345678 in tasks is not known: work did not answer (offline)"],
    );
}

#[test]
fn a_kind_that_does_not_exist_is_answered_with_the_one_that_may_be_meant() {
    let home = Instance::running("home");
    for line in ["list note", "get note 12345678", "add note x", "import . --kind note"] {
        home.types(line).fails(4, &["there is no kind `note` (`notes` may be meant)", "next: name one"]);
    }
    home.types("invite x --share task").fails(2, &["there is no kind `task` (`tasks` may be meant)"]);
    home.types("user add eva --uid nobody").fails(2, &["it is no number", "id -u NAME"]);
}

#[test]
fn a_grant_is_shown_in_words_and_whole_as_json() {
    let office = Instance::running("office");
    office.types("invite to-home --share tasks --rows 7 --days 9").done();
    for line in ["grant show to-home", "grant edit to-home --rate 5"] {
        let shown = office.types(line).done().out;
        assert!(shown.contains("shares       tasks of main") && !shown.contains('{'), "{shown}");
        assert!(shown.contains("at most      7 rows an answer"), "{shown}");
    }
    let scope = office.types("grant show to-home --json").done().json()["scope"].to_string();
    let file = office.file("scope.json", &scope);
    office.types(&format!("grant edit to-home --scope {}", file.display())).done();
    assert_eq!(office.types("grant show to-home --json").done().json()["scope"].to_string(), scope);
}
