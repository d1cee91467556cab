//! Two daemons of which one listens on nothing at all, as behind a router that lets nobody in: it calls the other.

use super::{
    harness::{Instance, pause},
    network::ports,
};
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_mins(1);
    while !holds() {
        assert!(Instant::now() < end, "{what}: still not so");
        pause();
    }
}

fn rows(home: &Instance) -> Option<usize> {
    let ran = home.types("list tasks --from work --strict --json");
    (ran.code == 0).then(|| ran.json()["rows"].as_array().unwrap().len())
}

#[test]
fn a_side_that_listens_on_nothing_is_linked_asked_restarted_and_revoked() {
    let (mut office, mut home) = (Instance::running("office"), Instance::running("home"));
    office.types("add tasks one").done();
    let waits = home.types("link await --name work").done();
    assert!(waits.err.contains("mosaic-fed invite NAME --for USER --share KINDS --call -"), "{waits:?}");
    let text = waits.out.trim().to_owned();
    assert!(text.starts_with("mfa1.") && !waits.err.contains(&text[5..20]), "the secret is on stdout alone");
    // Where it was printed it is of no use, and stays good.
    let own = home.run(&["invite", "to-myself", "--share", "tasks", "--call", &text]);
    own.fails(6, &["of this instance itself", "nothing was done with it", "give it to the other instance's owner"]);
    assert_eq!(home.types("grant list --json").done().json().as_array().unwrap().len(), 0);
    let made = office.run(&["invite", "alice-home", "--share", "tasks", "--call", &text]).done();
    assert!(made.out.contains("where it is linked"), "{made:?}");
    assert_eq!(ports(&office), BTreeSet::new(), "the sharing side listens on nothing");
    assert_eq!(rows(&home), Some(1));
    let links = home.types("links --json").done().json();
    assert_eq!((links[0]["name"].as_str(), links[0]["calls"].as_bool()), (Some("work"), Some(true)));
    assert!(home.types("links").done().out.contains("office (calls)"));
    eventually("the text is used up", || home.types("link await --list --json").done().json()[0]["state"] == "linked");
    // A text that was cut off on its way, and one that was used.
    let cut = office.run(&["invite", "other", "--share", "tasks", "--call", &text[..40]]);
    cut.fails(2, &["cut off after 40 characters", "copy the whole line again"]);
    let turned = home.run(&["link", &text, "--yes"]);
    turned.fails(2, &["what `mosaic-fed link await` printed, and no invite", "KINDS --call -` there"]);
    let used = office.run(&["invite", "other", "--share", "tasks", "--call", &text]).done();
    assert!(
        used.err.contains("used already") && used.err.contains("makes a new text with `mosaic-fed link await`"),
        "{used:?}"
    );
    office.types("grant revoke other").done();
    // Each side in turn: a clean stop, then a crash.
    office.stop();
    office.serve();
    eventually("rows after the sharing side's stop", || rows(&home) == Some(1));
    home.stop();
    home.serve();
    eventually("rows after the asking side's stop", || rows(&home) == Some(1));
    office.kill();
    office.serve();
    eventually("rows after the sharing side's crash", || rows(&home) == Some(1));
    assert_eq!(ports(&office), BTreeSet::new());
    assert_eq!(office.types("status --json").done().json()["failing_calls"], serde_json::json!([]));
    eventually("a control session", || {
        office.types("grant show alice-home --json").done().json()["session"].is_object()
    });
    let revoked = office.types("grant revoke alice-home --json").done().json();
    assert!(revoked["receipt"].to_string().contains("acknowledged"), "{revoked}");
    assert_eq!(rows(&home), None);
    assert_eq!(ports(&office), BTreeSet::new());
    // Nobody is waited for any more, and no link is called.
    home.types("unlink work --yes").done();
    eventually("the door of calls closes", || {
        home.types("status --json").done().json().get("calls_listener").is_none()
    });
    assert_eq!(ports(&home), BTreeSet::new());
}

#[test]
fn a_call_that_reaches_nobody_says_so_and_comes_through_once_it_can() {
    let (office, mut home) = (Instance::running("office"), Instance::running("home"));
    office.types("add tasks one").done();
    let text = home.types("link await --name work").done().out.trim().to_owned();
    home.stop();
    let mailed = format!("> \u{201c}{text}\u{201d}");
    let made = office.run(&["invite", "alice-home", "--share", "tasks", "--call", &mailed]).done();
    for said in ["refused the connection", "is mosaic-fed running there", "the daemon goes on calling until"] {
        assert!(made.err.contains(said), "{made:?}");
    }
    assert!(office.types("grant show alice-home").done().out.contains("did not work yet"));
    // Whoever looks after the instance sees it without knowing of the grant.
    let status = office.types("status").done().out;
    assert!(status.contains("NOT REACHED  alice-home: ") && status.contains("refused the connection"), "{status}");
    let list = office.types("grant list").done().err;
    assert!(list.contains("alice-home: its holder is called and not reached"), "{list}");
    home.serve();
    eventually("rows", || rows(&home) == Some(1));
    home.types("unlink work --yes").done();
    eventually("the grant has ended", || {
        office.types("grant show alice-home --json").done().json()["state"] == "revoked"
    });
}
