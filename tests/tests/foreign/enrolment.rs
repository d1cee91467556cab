//! From an invite to a link: the right one in any form mail gives it, and none from an invite that is used, damaged or another's.

use crate::{contract, office::Office, stage::Stage};
use domain::{grant::State, invite::Invite};
use futures::FutureExt;
use std::{os::unix::fs::PermissionsExt, path::Path};
use tests::{
    cluster::two_databases,
    instance::{Instance, name},
};
use tokio::net::TcpListener;

const SCOPE: &str = r#"{"resources":["tasks","notes"]}"#;

async fn an_invite_that_mail_wrapped_becomes_a_link_with_a_certificate_of_its_own(stage: Stage) {
    let office = Office::start().await;
    let offered = office.offer(SCOPE).await;
    let said = stage.enrol("link", &wrapped(&offered.invite.encode()), &office.fingerprint()).await;
    assert_eq!(said.events(), ["invited", "enrolled"]);
    let (invited, enrolled) = (said.one("invited"), said.one("enrolled"));
    let Invite { offer, instance, instance_name, grant, expires_at, .. } = &offered.invite;
    for (key, value) in [
        ("instance_id", instance.to_string()),
        ("instance_name", instance_name.to_string()),
        ("grant_id", grant.to_string()),
        ("grant_name", offer.grant_name.to_string()),
        ("workspace", "main".to_owned()),
        ("subject", "alice".to_owned()),
        ("fingerprint", office.fingerprint()),
    ] {
        assert_eq!(invited[key], value, "{key}");
    }
    assert_eq!(invited["resources"], serde_json::json!(["notes", "tasks"]));
    assert_eq!(contract::time(&invited["expires_at"]), Some(*expires_at));
    let views = office.instance.store.grants().await.expect("grants");
    let view = views.into_iter().find(|view| view.grant.id == *grant).expect("the grant");
    assert_eq!((view.grant.state, view.peer_name), (State::Active, Some(name(stage.calls_itself()))));
    let (peer, leaf) = (view.grant.peer.expect("a peer"), view.grant.leaf.expect("a certificate"));
    assert_eq!(enrolled["instance_id"], peer.to_string());
    assert_eq!(enrolled["grant_id"], grant.to_string());
    assert_eq!(contract::time(&enrolled["certificate_not_after"]), Some(leaf.not_after));
    let log = office.log_after(0).await;
    let issued = log.iter().find(|entry| entry.about == "certificate").expect("a record");
    assert_eq!((issued.grant, issued.peer), (Some(*grant), Some(peer)));
    nobody_else_reads(&stage.path("link"));
}

/// What lies there opens the other instance: the directory is its owner's alone, and so is each file.
fn nobody_else_reads(directory: &Path) {
    let mode = |path: &Path| path.metadata().expect("a file").permissions().mode() & 0o777;
    assert_eq!(mode(directory), 0o700);
    let files: Vec<_> = directory.read_dir().expect("a directory").map(|file| file.expect("a file").path()).collect();
    assert!(!files.is_empty(), "nothing was kept");
    assert!(files.iter().all(|file| mode(file) == if file.is_dir() { 0o700 } else { 0o600 }), "{files:?}");
}

async fn a_used_invite_is_refused_and_the_link_it_made_goes_on(stage: Stage) {
    let office = Office::start().await;
    let offered = office.offer(SCOPE).await;
    let invite = offered.invite.encode();
    assert_eq!(stage.enrol("link", &invite, &office.fingerprint()).await.code, 0);
    let before = office.instance.standing(offered.grant.id).await;
    let again = stage.enrol("other", &invite, &office.fingerprint()).await;
    assert_eq!(again.events(), ["invited", "refused"]);
    assert_eq!(again.refusal(), ("FAILED_PRECONDITION", "INVITE_SPENT"));
    assert_eq!(office.instance.standing(offered.grant.id).await, before);
    assert_eq!(stage.ask("link", &["capabilities"]).await.events(), ["capabilities"]);
}

async fn a_damaged_invite_is_refused_before_anything_is_sent(stage: Stage) {
    let office = Office::start().await;
    let (listener, invite) = leading_to_a_trap(office.offer(SCOPE).await.invite).await;
    let whole = invite.encode();
    let (head, tail) = whole.split_at(whole.len() / 2);
    let other = if tail.starts_with('A') { 'B' } else { 'A' };
    let damaged = [
        String::new(),
        whole[..whole.len() - 1].to_owned(),
        format!("{head}{other}{}", &tail[1..]),
        whole.replacen("mfi1.", "mfi2.", 1),
        format!("{head}={tail}"),
    ];
    for text in damaged {
        let said = stage.enrol("link", &text, &office.fingerprint()).await;
        assert_eq!((said.events(), said.code), (vec!["bad_invite"], 2), "{text}");
    }
    assert!(listener.accept().now_or_never().is_none(), "something was dialled");
}

async fn a_fingerprint_that_is_not_the_one_in_hand_stops_before_anything_is_sent(stage: Stage) {
    let office = Office::start().await;
    let offered = office.offer(SCOPE).await;
    let found = office.fingerprint();
    let expected = format!("{}{}", if found.starts_with('0') { '1' } else { '0' }, &found[1..]);
    let (listener, trap) = leading_to_a_trap(offered.invite.clone()).await;
    let said = stage.enrol("link", &trap.encode(), &expected).await;
    assert_eq!((said.events(), said.code), (vec!["invited", "wrong_fingerprint"], 2));
    let wrong = said.one("wrong_fingerprint");
    assert_eq!((&wrong["expected"], &wrong["found"]), (&expected.as_str().into(), &found.as_str().into()));
    assert!(listener.accept().now_or_never().is_none(), "something was dialled");
    let right = stage.enrol("link", &offered.invite.encode(), &found).await;
    assert_eq!(right.events(), ["invited", "enrolled"]);
}

async fn an_invite_that_leads_to_another_instance_tells_it_nothing(stage: Stage) {
    let (first, second) = two_databases().await;
    let world = domain::world::World::system;
    let (office, other) = (Instance::start_on(world(), first).await, Instance::start_on(world(), second).await);
    let spec = r#"{"resources":["tasks"]}"#;
    let ((grant, invite), (_, elsewhere)) = (office.grant("owner", spec).await, other.grant("owner", spec).await);
    let Invite { addresses, enrol_addresses, .. } = elsewhere;
    let fingerprint = crate::office::fingerprint(&office);
    let misled = Invite { addresses, enrol_addresses, ..invite.clone() };
    let said = stage.enrol("link", &misled.encode(), &fingerprint).await;
    assert_eq!((said.events(), said.code), (vec!["invited", "failed"], 4));
    assert_eq!(office.standing(grant.id).await.state, State::Pending);
    assert!(other.log(50).await.iter().all(|entry| entry.about != "enroll"), "the token went to somebody else");
    let said = stage.enrol("link", &invite.encode(), &fingerprint).await;
    assert_eq!(said.events(), ["invited", "enrolled"], "the token was used up");
}

/// The same invite with addresses at which somebody counts who dials.
async fn leading_to_a_trap(invite: Invite) -> (TcpListener, Invite) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = vec![listener.local_addr().expect("an address").to_string()];
    (listener, Invite { addresses: address.clone(), enrol_addresses: address, ..invite })
}

/// Lines of 76 with blanks around, as mail programs make them.
fn wrapped(invite: &str) -> String {
    let lines = invite.as_bytes().chunks(76).map(|line| String::from_utf8_lossy(line).into_owned());
    format!("  {} \r\n", lines.collect::<Vec<_>>().join("\r\n  "))
}

crate::for_each_client!(
    an_invite_that_mail_wrapped_becomes_a_link_with_a_certificate_of_its_own,
    a_used_invite_is_refused_and_the_link_it_made_goes_on,
    a_damaged_invite_is_refused_before_anything_is_sent,
    a_fingerprint_that_is_not_the_one_in_hand_stops_before_anything_is_sent,
    an_invite_that_leads_to_another_instance_tells_it_nothing,
);
