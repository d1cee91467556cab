//! What is told at the asking side of an answer that lacks something leads on: to whoever can change it, and never to a command that fails or changes
//! nothing.

use super::harness::{Instance, pause};
use serde_json::json;
use std::time::{Duration, Instant};

fn two() -> (Instance, Instance) {
    (Instance::running("office"), Instance::running("home"))
}

/// A grant called `name`, linked under the same name.
fn linked(office: &Instance, home: &Instance, name: &str, terms: &str) {
    let invite = office.types(&format!("invite {name} {terms}")).done().out;
    home.run(&["link", invite.trim(), "--yes", "--name", name]);
}

#[test]
fn a_link_whose_owner_names_another_door_was_not_asked_and_leads_to_the_scope() {
    let (office, home) = two();
    office.types("add tasks one").done();
    linked(&office, &home, "work", "--share tasks");
    let mut scope = office.types("grant show work --json").done().json()["scope"].clone();
    scope["doors"] = json!(["mcp"]);
    office.file("scope.json", scope.to_string());
    office.types("grant edit work --scope scope.json").done();
    let end = Instant::now() + Duration::from_secs(30);
    while home.types("links --json").done().json()[0]["terms"]["doors"] != json!(["mcp"]) {
        assert!(Instant::now() < end, "the change is not told");
        pause();
    }
    let terms = home.types("links --json").done().json()[0]["terms"].clone();
    assert_eq!(terms["verbs"], json!(["capabilities", "list", "get"]), "nobody can ask for a search");

    let asked = home.types("list tasks --from work");
    asked.fails(7, &["through `cli`; it names mcp", "adds the door to `doors`", "grant edit GRANT --scope FILE"]);
    assert_eq!(asked.out, "no source lets its rows be shown on the command line\n");
    assert!(!asked.err.contains("--share KINDS") && asked.err.ends_with("links\n"), "{asked:?}");
    home.types("get tasks 12345678 --from work")
        .fails(7, &["work does not let its rows be shown on the command line", "grant edit GRANT --scope FILE"]);
    let strict = home.types("list tasks --from work --strict");
    strict.fails(7, &["no source answered: work is denied", "next: mosaic-fed"]);
    assert!(!strict.err.contains("leave out --strict"), "{strict:?}");
    home.types("list tasks --strict").fails(7, &["not every source answered", "leave out --strict"]);
    let ping = home.types("ping work").done();
    assert!(ping.err.contains("through mcp, and not on the command line") && !ping.err.contains("next: "), "{ping:?}");
    assert!(!home.types("links").done().err.contains("next: "), "its rows are not to be had here");
    office.types("grant revoke work").done();
    office.types("grant invite work").fails(
        6,
        &[
            "write `scope` of what `mosaic-fed",
            "grant show work --json` prints into FILE",
            "invite work --for dana --scope FILE",
        ],
    );
}

#[test]
fn a_link_that_was_removed_between_two_pages_is_not_to_be_removed() {
    let (office, home) = two();
    for title in ["one", "two", "three"] {
        office.run(&["add", "tasks", title]).done();
    }
    linked(&office, &home, "work", "--share tasks");
    let page = home.types("list tasks --limit 1").done();
    let cursor = page.err.lines().find_map(|line| line.split_once("--cursor ")).unwrap().1.to_owned();
    home.types("unlink work --yes").done();
    let next = home.run(&["list", "tasks", "--limit", "1", "--cursor", &cursor]);
    assert!(next.err.contains("this link was removed since the answer began"), "{next:?}");
    assert!(!next.err.contains("unlink work"), "there is nothing to remove: {next:?}");
}

#[test]
fn who_is_asked_too_often_is_told_when_to_ask_again_and_not_to_ask_at_once() {
    let (office, home) = two();
    linked(&office, &home, "work", "--share tasks --rate 1");
    let ping = std::iter::repeat_with(|| home.types("ping work")).find(|ran| ran.code == 7).unwrap();
    assert!(ping.out.contains("the calls that its grant allows are used up; try again in "), "{ping:?}");
    assert!(ping.err.ends_with("links\n") && !ping.err.contains("in a minute"), "{ping:?}");
    let asked = home.types("list tasks --from work");
    asked.fails(7, &["used up; try again in "]);
    assert!(!asked.err.contains("ping work") && !asked.err.contains("later"), "{asked:?}");
    home.types("list tasks --from work --strict").fails(7, &["used up; try again in "]);
}

#[test]
fn an_invite_whose_link_has_ended_says_so_and_how_to_make_another() {
    let (office, home) = two();
    let invite = office.types("invite work --share tasks").done().out;
    home.run(&["link", invite.trim(), "--yes", "--name", "work"]).done();
    office.types("grant revoke work").done();
    let again = home.run(&["link", invite.trim(), "--yes"]);
    again.fails(7, &["this invite made the link work, which does not stand any more: revoked", "unlink work`, then `"]);
    assert!(!again.err.contains("the link stays"), "{again:?}");
    let renamed = home.run(&["link", invite.trim(), "--yes", "--name", "other"]);
    renamed.fails(6, &["was linked as `work` and has ended", "unlink work` removes what is left"]);
    assert!(!renamed.err.contains("grant invite"), "a grant that has ended gives no invite: {renamed:?}");
}

#[test]
fn a_new_link_shows_rows_of_the_first_kind_that_has_any() {
    let (office, home) = two();
    office.types("add tasks one").done();
    let invite = office.types("invite work --share events,notes,tasks").done().out;
    let made = home.run(&["link", invite.trim(), "--yes", "--name", "work"]).done();
    assert!(made.out.contains("its newest tasks:") && made.out.contains("one"), "{made:?}");
    for said in ["it shares events, notes as well", "list events --from here,work`", "list tasks --from here,work\n"] {
        assert!(made.err.contains(said), "{said}: {made:?}");
    }
    let bare = office.types("invite bare --share events,notes").done().out;
    let made = home.run(&["link", bare.trim(), "--yes", "--name", "bare"]).done();
    assert!(made.out.contains("no rows of events, notes yet"), "{made:?}");
}

#[test]
fn an_id_in_capitals_is_the_same_id() {
    let (office, home) = two();
    let row = office.types("add tasks one --json").done().json()["id"].as_str().unwrap().to_uppercase();
    linked(&office, &home, "work", "--share tasks");
    let grant = office.types("grant show work --json").done().json()["id"].as_str().unwrap().to_uppercase();
    for id in [&row[..], &row[..8]] {
        assert!(home.types(&format!("get tasks {id}")).done().out.contains("one"));
        home.types(&format!("get tasks {id} --explain")).done();
    }
    for id in [&grant[..], &grant[..8]] {
        office.types(&format!("grant show {id}")).done();
        office.types(&format!("audit query --grant {id}")).done();
        home.types(&format!("ping {id}")).done();
    }
    home.types(&format!("unlink {} --any --yes", &grant[..8])).done();
}

#[test]
fn links_that_are_well_lead_to_their_rows_and_a_silent_one_to_no_other() {
    let (office, mut lab, home) = (Instance::running("office"), Instance::running("lab"), Instance::running("home"));
    linked(&office, &home, "work", "--share tasks");
    let well = home.types("links").done();
    assert!(well.err.ends_with("list tasks --from work\n"), "{well:?}");
    linked(&lab, &home, "lab", "--share tasks");
    lab.stop();
    home.types("ping lab").fails(7, &["ask whoever runs lab"]);
    let silent = home.types("links").done();
    assert!(silent.err.contains("ping lab` says so") && !silent.err.contains("next: "), "{silent:?}");
}
