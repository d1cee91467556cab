//! Links that wait to be let in, and links that were ended: what each side is told of them, and for how long.

use super::harness::{Instance, Ran, pause};
use serde_json::Value;
use std::time::{Duration, Instant};

/// An office with a row, whose grant `to-home` waits to be confirmed, and the home that holds it as `work`, with its words.
fn waiting() -> (Instance, Instance, String) {
    let (office, home) = (Instance::running("office"), Instance::running("home"));
    office.types("add tasks one").done();
    let made = office.types("invite to-home --share tasks --confirm").done();
    let linked = home.types(&format!("link {} --yes --name work", made.out.trim())).done();
    assert!(linked.out.contains("work waits to be let in by the owner of office"), "{linked:?}");
    assert!(!linked.out.contains("is linked") && linked.err.contains("grant confirm to-home WORD"), "{linked:?}");
    let words = home.types("links --json").done().json()[0]["words"].as_str().unwrap().to_owned();
    assert!(linked.err.contains(&words), "{linked:?}");
    (office, home, words)
}

#[test]
fn the_owner_is_told_which_grants_wait_and_by_which_command_they_are_let_in() {
    let (office, _home, words) = waiting();
    let waits = "to-home: home waits until you let them in";
    let command = format!("next: mosaic-fed -C {} grant confirm to-home WORD WORD WORD WORD", office.data().display());
    for line in ["status", "grant list"] {
        let ran = office.types(line).done();
        assert!(ran.err.contains(waits) && ran.err.contains(&command) && !ran.err.contains(&words), "{ran:?}");
    }
    let status = office.types("status").done();
    assert!(status.out.contains("1 waiting for you") && !status.out.contains("pending"), "{status:?}");
    let status = office.types("status --json").done().json();
    assert_eq!(status["waiting_grants"], serde_json::json!([{ "grant": "to-home", "holder": "home" }]));
    assert_eq!(status["pending_grants"], 0);
    assert!(office.types("grant list").done().out.contains("waiting"));
    office.types(&format!("grant confirm to-home {words}")).done();
    assert_eq!(office.types("status --json").done().json()["waiting_grants"], serde_json::json!([]));
}

#[test]
fn whoever_waits_is_told_that_and_no_other_cause() {
    let (_office, home, words) = waiting();
    let said = format!(
        "waits to be let in by the owner of office; read them these four words, by telephone say: {words}; they type"
    );
    let told = |ran: &Ran| format!("{}{}", ran.out, ran.err);
    for line in
        ["list tasks --from work", "list tasks --from work --stream", "get tasks 12345678 --from work", "ping work"]
    {
        let ran = home.types(line);
        let told = told(&ran);
        assert!(ran.code == 7 && told.contains(&said) && told.contains("grant confirm to-home WORD"), "{ran:?}");
        for other in ["grant edit", "ask again in a minute", "shares this", "widen", "denied"] {
            assert!(!told.contains(other), "{other}: {ran:?}");
        }
    }
    let listed = home.types("list tasks --from work --json").json();
    assert_eq!(listed["sources"][0]["words"], words[..]);
    assert_eq!(home.types("ping work --json").json()["words"], words[..]);
    let got = home.types("get tasks 12345678");
    got.fails(7, &["there is no row 12345678 in tasks of here; work waits to be let in, and it may have that row"]);
}

#[test]
fn a_link_that_was_never_let_in_leaves_nothing_to_be_told() {
    let (office, home, _) = waiting();
    let gone = home.types("unlink work --yes").done();
    let said = "work is gone here, with its key, before it was let in: the owner of office had not let it in, and its word is not taken";
    assert!(gone.out.contains(said) && gone.out.contains("`mosaic-fed grant revoke to-home` there"), "{gone:?}");
    let revoked = office.types("grant revoke to-home").done();
    assert!(
        revoked.out.contains("home waited to be let in and never was: nothing was ever shown to it"),
        "{revoked:?}"
    );
    assert!(!revoked.out.contains("may still show"), "{revoked:?}");
}

#[test]
fn whoever_comes_to_a_grant_that_is_held_waits_and_its_owner_is_told() {
    let (office, home, words) = waiting();
    office.types(&format!("grant confirm to-home {words}")).done();
    let invite = office.types("grant invite to-home").done().out;
    let linked = home.types(&format!("link {} --yes", invite.trim())).done();
    assert!(
        linked.out.contains("work has a new certificate and waits to be let in by the owner of office"),
        "{linked:?}"
    );
    for line in ["status", "grant list", "grant show to-home"] {
        let ran = office.types(line).done();
        assert!(ran.err.contains("grant confirm to-home WORD WORD WORD WORD"), "{ran:?}");
    }
    let words = home.types("links --json").done().json()[0]["words"].as_str().unwrap().to_owned();
    office.types(&format!("grant confirm to-home {words}")).done();
    assert!(home.types("list tasks --from work --strict").done().out.contains("one"));
    let revoked = office.types("grant revoke to-home").done();
    assert!(!revoked.out.contains("never was"), "{revoked:?}");
}

/// The home's one link, once it is in this state.
fn once(home: &Instance, state: &str) -> Value {
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        let link = home.types("links --json").done().json()[0].clone();
        if link["state"] == state {
            return link;
        }
        assert!(Instant::now() < end, "{link}");
        pause();
    }
}

#[test]
fn that_the_other_side_has_ended_a_link_is_remembered_while_it_is_away_and_over_a_restart() {
    let (mut office, mut home) = (Instance::running("office"), Instance::running("home"));
    let invite = office.types("invite to-home --share tasks").done().out;
    home.types(&format!("link {} --yes --name work", invite.trim())).done();
    let answered = home.types("links --json").done().json()[0]["last_success"].clone();
    assert!(answered.is_string());
    office.types("grant revoke to-home").done();
    let ended = once(&home, "revoked");
    office.stop();
    for _ in 0..2 {
        for line in ["ping work", "list tasks --from work"] {
            let ran = home.types(line);
            assert!(ran.code == 7 && format!("{}{}", ran.out, ran.err).contains("revoked"), "{ran:?}");
            assert!(!ran.err.contains("nc -vz"), "{ran:?}");
        }
        let link = once(&home, "revoked");
        assert_eq!((&link["last_success"], link["reason"].is_string()), (&ended["last_success"], true), "{link}");
        home.stop();
        home.serve();
    }
    let links = home.types("links").done();
    assert!(links.out.contains("revoked") && links.err.contains("with a new invite from its owner"), "{links:?}");
    let unlinked = home.types("unlink work --yes").done();
    assert!(unlinked.out.contains("the other side has ended the grant already"), "{unlinked:?}");
}

#[test]
fn the_last_answer_is_remembered_of_a_grant_that_ended_while_its_asking_side_was_down() {
    let (office, mut home) = (Instance::running("office"), Instance::running("home"));
    let invite = office.types("invite to-home --share tasks").done().out;
    home.types(&format!("link {} --yes --name work", invite.trim())).done();
    home.types("list tasks --from work").done();
    home.stop();
    office.types("grant revoke to-home").done();
    home.serve();
    once(&home, "revoked");
    // It is written beside the news.
    let end = Instant::now() + Duration::from_secs(10);
    while home.types("links --json").done().json()[0]["last_success"].is_null() {
        assert!(Instant::now() < end, "the last answer is forgotten");
        pause();
    }
    let unlinked = home.types("unlink work --now --yes").done();
    assert!(unlinked.out.contains("told once, in the background, for 5 s at most"), "{unlinked:?}");
    assert!(unlinked.out.contains("`mosaic-fed grant revoke to-home` there"), "{unlinked:?}");
}
