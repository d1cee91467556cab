//! Users, teams and workspaces as people mistype them: what is named and is not there is answered with what is, what is needed
//! first is a command that works, and nobody is removed by a slip.

use super::harness::{Instance, Ran, finish};
use std::process::Command;

/// The next step, which is a command and nothing else, in a shell.
fn pasted(ran: &Ran) -> Ran {
    let next = ran.err.lines().find_map(|line| line.strip_prefix("  next: mosaic-fed "));
    let words = next.unwrap_or_else(|| panic!("no command comes next in {ran:?}"));
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("{} {words}", env!("CARGO_BIN_EXE_mosaic-fed"))]);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("MOSAIC_FED_")) {
        shell.env_remove(name);
    }
    finish(shell)
}

/// The command within a sentence after `next:` that holds these words.
#[track_caller]
fn advises(ran: &Ran, instance: &Instance, words: &str) {
    let command = format!("mosaic-fed -C {} {words}", instance.data().display());
    assert!(
        ran.err.lines().any(|line| line.starts_with("  next: ") && line.contains(&command)),
        "{command} in {ran:?}"
    );
}

#[test]
fn a_misspelt_user_or_team_is_told_who_there_is_and_not_to_add_the_misspelling() {
    let office = Instance::running("office");
    for line in ["user add anna", "team add core", "team add ops"] {
        office.types(line).done();
    }
    let cases = [
        ("user role ana member", "no user `ana`: anna, dana exist", "user list"),
        ("user remove ana --yes", "no user `ana`: anna, dana exist", "user list"),
        ("team join core ana", "no user `ana`: anna, dana exist", "user list"),
        (
            "invite x --share tasks --for ana",
            "no user `ana` in workspace main: anna, dana exist",
            "--workspace main user list",
        ),
        ("team join cor anna", "no team `cor` in main: core, ops exist", "team list"),
        ("team leave cor anna", "no team `cor` in main: core, ops exist", "team list"),
        (
            "invite x --share tasks --team cor",
            "no team `cor` in workspace main: core, ops exist",
            "--workspace main team list",
        ),
    ];
    for (line, cause, next) in cases {
        let ran = office.types(line);
        ran.fails(4, &[cause]);
        advises(&ran, &office, next);
        assert!(!ran.err.contains(" add "), "{ran:?}");
        office.types(next).done();
    }
    let none = office.types("add tasks x --team cor");
    none.fails(2, &["no team `cor`", "core, ops"]);
    assert!(!none.err.contains("exist for you"), "{none:?}");
}

#[test]
fn a_manager_is_told_of_users_of_their_own_workspaces_only() {
    let office = Instance::running("office");
    for line in ["user add anna", "workspace add other", "--workspace other user add bob --role admin"] {
        office.types(line).done();
    }
    let ran = office.types("--as bob user role ana member");
    ran.fails(4, &["no user `ana`: bob, dana exist"]);
    assert!(!ran.err.contains("anna"), "{ran:?}");
}

#[test]
fn somebody_of_another_workspace_is_let_in_by_the_command_that_is_named() {
    let office = Instance::running("office");
    for line in ["user add anna", "workspace add other", "--workspace other team add x"] {
        office.types(line).done();
    }
    let lines = [
        ("--workspace other user add anna", 6, "`anna` already, who is not in other"),
        ("--workspace other team join x anna", 4, "`anna` is not in workspace other"),
        ("--workspace other invite y --share tasks --for anna", 2, "`anna` is not in workspace other"),
    ];
    for (line, code, cause) in lines {
        let ran = office.types(line);
        ran.fails(code, &[cause]);
        assert!(ran.err.contains("--workspace other user role anna member"), "{ran:?}");
        pasted(&ran).done();
        if code != 6 {
            office.types(line).done();
        }
        office.types("--workspace other user role anna none").done();
    }
    office.types("--workspace other team leave x anna").fails(4, &["not in workspace other", "team list"]);
    office.types("user add leo").done();
    office.types("--workspace other user role leo member").done();
    office.types("--workspace other team join x leo --role admin").done();
    let led = office.types("--as leo --workspace other team join x anna");
    led.fails(4, &["ask an owner or admin of `other` to run", "user role anna member"]);
    assert!(!led.err.contains("--as leo"), "whoever is asked acts as themselves: {led:?}");
}

#[test]
fn a_name_or_a_uid_that_is_taken_says_which_and_by_whom() {
    let office = Instance::running("office");
    for line in ["user add anna --uid 4242", "team add core", "workspace add other"] {
        office.types(line).done();
    }
    let cases = [
        ("user add bob --uid 4242", "uid 4242 acts as user `anna` already", "user list"),
        ("user add anna", "there is a user `anna` already, member of main", "user list"),
        ("team add core", "there is a team `core` in main already", "team list"),
        ("workspace add other", "there is a workspace `other` already", "workspace list"),
    ];
    for (line, cause, next) in cases {
        let ran = office.types(line);
        ran.fails(6, &[cause]);
        advises(&ran, &office, next);
    }
    let bob = office.types("user add bob --uid 4242").err;
    assert!(!bob.contains("`bob`"), "the name is free: {bob}");
    let anna = office.types("user add anna --uid 4242").err;
    assert!(!anna.contains("uid 4242"), "the uid is her own: {anna}");
    office
        .types("user role anna boss")
        .fails(2, &["no role `boss`", "next: choose owner, admin, member, guest or none"]);
    office.types("user add bob --role boss").fails(2, &["no role `boss`", "owner, admin, member or guest"]);
}

#[test]
fn nobody_is_removed_unless_somebody_agrees_to_what_goes_with_them() {
    let office = Instance::running("office");
    for line in ["user add anna", "team add core", "team join core anna", "--as anna add tasks mine"] {
        office.types(line).done();
    }
    office.types("--as anna add tasks ours --team core").done();
    office.types("--as anna invite home --share tasks").done();
    office.types("--as anna invite old --share tasks").done();
    office.types("--as anna grant revoke old").done();
    let refused = office.types("user remove anna");
    refused.fails(2, &["1 row of their own, 0 links and the grant home", "next: add --yes"]);
    assert!(office.types("user list").done().out.contains("anna"));
    assert!(office.types("--as anna list tasks").done().out.contains("mine"));
    assert!(office.types("--as anna grant list").done().out.contains("pending"));
    office.types("user remove dana").fails(6, &["main would have no owner left", "user role NAME owner"]);
    office.types("--as anna user remove dana --yes").fails(5, &["`anna` is member", "ask an owner or admin"]);
    let removed = office.types("user remove anna --yes").done();
    assert!(
        removed.out.contains("anna is removed, and with them 1 row of their own, 0 links and the grant home"),
        "{removed:?}"
    );
    assert!(!office.types("user list").done().out.contains("anna"));
    assert!(office.types("list tasks").done().out.contains("ours"), "a team's row stays");
}

#[test]
fn a_grant_that_is_none_and_one_that_nobody_uses_yet_say_what_to_type() {
    let (office, home) = (Instance::running("office"), Instance::running("home"));
    let none = office.types("grant show nope");
    none.fails(4, &["no such grant `nope`: there is none"]);
    pasted(&none).done();
    office.types("invite spare --share tasks").done();
    let pending = office.types("grant show spare").done();
    assert!(pending.err.contains("nobody has used the invite of spare yet"), "{pending:?}");
    assert!(pending.err.contains("grant invite spare"), "{pending:?}");
    let waits = office.types("can spare list tasks");
    assert!(waits.code == 1 && waits.out.contains("pending: nobody has used its invite yet"), "{waits:?}");
    let invite = office.types("grant invite spare").done().out;
    home.run(&["link", invite.trim(), "--yes", "--name", "work"]).done();
    assert!(office.types("grant show spare").done().err.contains("can spare list tasks"));
    for line in ["grant show", "grant revoke", "can"] {
        let rest = if line == "can" { " list tasks" } else { "" };
        office.types(&format!("{line} spar{rest}")).fails(4, &["no such grant `spar`: spare exists", "grant list"]);
        let link = home.types(&format!("{line} work{rest}"));
        link.fails(4, &["no such grant `work`: that is a link of yours"]);
        pasted(&link).done();
    }
    office.types("grant edit spar --days 3").fails(4, &["spare exists", "grant list"]);
    office.types("grant revoke spare").done();
    for line in ["grant revoke spare", "grant edit spare --days 3", "grant invite spare"] {
        let ended = office.types(line);
        ended.fails(6, &["spare", "revoked", " invite "]);
    }
    assert!(office.types("grant show spare").done().err.contains("grant list"));
}

#[test]
fn the_log_knows_namesakes_apart_and_who_is_no_user_any_more() {
    let office = Instance::running("office");
    office.types("user add anna").done();
    for _ in 0..2 {
        office.types("invite spare --for anna --share tasks").done();
        office.types("--as anna grant revoke spare").done();
    }
    let ids = office.types("grant list --json").done().json();
    let ids: Vec<_> =
        ids.as_array().unwrap().iter().map(|grant| grant["id"].as_str().unwrap()[..8].to_owned()).collect();
    let told = office.types("audit query --grant spare");
    told.fails(6, &["several grants were called `spare`", &ids[0], &ids[1], "by its id"]);
    office.types("grant show spare").fails(6, &["several grants were called `spare`"]);
    office.types("user remove anna --yes").done();
    for id in ids {
        let entries = office.types(&format!("audit query --grant {id}")).done().out;
        assert!(entries.contains("grant_revoke") && entries.contains("anna"), "{entries}");
    }
}

#[test]
fn can_ends_with_zero_on_yes_with_one_on_no_and_refuses_a_kind_that_does_not_exist() {
    let (office, home) = (Instance::running("office"), Instance::running("home"));
    let invite = office.types("invite g --share tasks").done().out;
    home.run(&["link", invite.trim(), "--yes", "--name", "work"]).done();
    assert!(office.types("can g list tasks").done().out.starts_with("yes: "));
    let no = office.types("can g list notes");
    assert!(no.code == 1 && no.out.starts_with("no: "), "{no:?}");
    let no = office.types("can g list notes --json");
    assert!(no.code == 1 && no.json()["allowed"] == false, "{no:?}");
    for (verb, kind) in [("list", "plans"), ("capabilities", "plans"), ("get", "Pl ans")] {
        let unknown = office.run(&["can", "g", verb, kind]);
        unknown.fails(4, &[&format!("no kind `{kind}`"), "notes, projects, tasks"]);
        assert!(unknown.out.is_empty(), "{unknown:?}");
    }
    assert!(office.types("--help").done().out.contains("of `can`: no"));
}

#[test]
fn a_user_of_no_workspace_is_told_so_whichever_they_name() {
    let office = Instance::running("office");
    for line in ["user add nobody", "user role nobody none"] {
        office.types(line).done();
    }
    for line in ["--as nobody list tasks", "--as nobody --workspace main list tasks"] {
        office
            .types(line)
            .fails(5, &["user `nobody` is in no workspace", "ask an admin of a workspace", "user role nobody member"]);
    }
    office.types("user role nobody member").done();
    let elsewhere = office.types("--as nobody --workspace other list tasks");
    elsewhere.fails(4, &["say one that user `nobody` is in: --workspace with one of main"]);
}

#[test]
fn whoever_takes_rights_from_themselves_is_asked_and_others_are_not() {
    let office = Instance::running("office");
    office.types("user add otto --role owner").done();
    for (line, said) in [
        ("--as otto user role otto none", "you, otto, leave `main`"),
        ("--as otto user role otto member", "you, otto, are member of `main` then"),
    ] {
        office.types(line).fails(2, &["nobody is there to agree", said, "another owner or admin", "next: add --yes"]);
    }
    assert!(office.types("user list").done().out.contains("owner of main"));
    office.types("--as otto user role otto owner").done();
    office.types("--as otto user role otto admin --yes").done();
    office.types("--as otto user role otto none --yes").done();
    office.types("--as otto list tasks").fails(5, &["in no workspace"]);
    office.types("user role otto member").done();
    office.types("user role otto none").done();
}
