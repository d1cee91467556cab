//! How a link ends: cut by the owner in the middle of a call, or left by the one who asked; and how it does not: by a stop.

use crate::{contract, office::Office, stage::Stage};
use domain::{
    audit::{Ending, Entry},
    grant::State,
};
use serde_json::Value;
use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

const SCOPE: &str = r#"{"resources":["tasks"]}"#;
/// From the revocation until the client has said that its call ended.
const AT_ONCE: Duration = Duration::from_secs(5);

async fn a_revocation_cuts_the_open_call_and_turns_away_the_next_dial(stage: Stage) {
    let office = Office::start().await;
    let grant = office.linked(&stage, SCOPE).await;
    let kept = stage.path("link");
    let mut watch = stage.start(&["watch", "--state", kept.to_str().expect("UTF-8")]);
    let watching = watch.line().await.expect("a line");
    assert_eq!((&watching["event"], &watching["status"]), (&"watching".into(), &"SERVING".into()));
    let (before, began) = (office.log_end().await, Instant::now());
    let revoked = office.instance.spoke.revoke(office.instance.by(), grant.id).await.expect("a revocation");
    assert!(revoked.drained && revoked.connections == 1 && revoked.calls == 1, "{revoked:?}");
    let cut = watch.line().await.expect("a line");
    assert_eq!(cut["event"], "cut", "{cut}");
    assert!(began.elapsed() < AT_ONCE, "it took {:?}", began.elapsed());
    let said = watch.end().await;
    assert_eq!((said.events(), said.code), (vec!["turned_away"], 0));
    turned_away_is_on_record(&office, &grant, before).await;
    let after = stage.ask("link", &["capabilities"]).await;
    assert!(after.events() == ["failed"] || after.refusal() == ("PERMISSION_DENIED", "NOT_PERMITTED"), "{after:#?}");
    let log = office.log_after(before).await;
    assert!(log.iter().all(|entry| entry.ending != Ending::Answered), "answered after the revocation: {log:?}");
}

/// The refused handshake, which the log has some moments later.
async fn turned_away_is_on_record(office: &Office, grant: &domain::grant::Grant, before: u64) {
    let leaf = grant.leaf.as_ref().expect("a certificate");
    let serial = leaf.serial.to_string();
    let about = |entry: &Entry| entry.about == "handshake" && entry.note.contains(&serial);
    for _ in 0..50 {
        if office.log_after(before).await.iter().any(about) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("no refused handshake of {serial}: {:?}", office.log_after(before).await);
}

async fn a_stop_in_good_order_ends_the_open_call_without_a_refusal_and_the_link_is_kept(stage: Stage) {
    let office = Office::start().await;
    office.linked(&stage, SCOPE).await;
    let link = stage.path("link");
    let mut watch = stage.start(&["watch", "--state", link.to_str().expect("UTF-8")]);
    assert_eq!(watch.line().await.expect("a line")["event"], "watching");
    let spoke = Arc::clone(&office.instance.spoke);
    let stopped = tokio::spawn(async move { spoke.stop().await });
    let said = watch.end().await;
    assert_eq!((said.events(), said.code), (vec!["cut", "turned_away"], 0));
    assert_eq!((&said.one("cut")["code"], &said.one("cut")["reason"]), (&"OK".into(), &Value::Null));
    let away = said.one("turned_away");
    assert_eq!((&away["code"], &away["reason"]), (&"UNAVAILABLE".into(), &Value::Null));
    stopped.await.expect("an end");
    let kept = link.read_dir().expect("a directory").map(|file| file.expect("a file").metadata().expect("facts").len());
    assert!(kept.into_iter().any(|bytes| bytes > 100), "the link was thrown away");
}

async fn leaving_ends_the_grant_at_the_other_side_and_leaves_no_key_behind(stage: Stage) {
    let office = Office::start().await;
    let grant = office.linked(&stage, SCOPE).await;
    let said = stage.ask("link", &["disconnect"]).await;
    assert_eq!((said.events(), said.code), (vec!["disconnected"], 0));
    let log = office.on_record(said.one("disconnected"), grant.id).await;
    let ended = log.iter().find(|entry| entry.about == "grant_revoke" || entry.about == "disconnect");
    let at = contract::time(&said.one("disconnected")["revoked_at"]).expect("a time");
    let apart = at.micros().abs_diff(ended.expect("a record").time.micros());
    assert!(apart < 5_000_000, "{at} is not when it was recorded: {log:?}");
    assert_eq!(office.instance.standing(grant.id).await.state, State::Revoked);
    nothing_is_left(&stage.path("link"));
    let after = stage.ask("link", &["capabilities"]).await;
    assert!(after.code != 0 && after.all("capabilities").is_empty(), "{after:#?}");
}

/// But the side's own id, which it keeps for ever: nothing of a hundred bytes, and so no key and no certificate.
fn nothing_is_left(directory: &Path) {
    for file in directory.read_dir().into_iter().flatten() {
        let path = file.expect("a file").path();
        assert!(path.is_file(), "{} is left", path.display());
        let text = std::fs::read(&path).expect("a file");
        assert!(text.len() < 100 && text.is_ascii(), "{} has {} bytes", path.display(), text.len());
    }
}

crate::for_each_client!(
    a_revocation_cuts_the_open_call_and_turns_away_the_next_dial,
    a_stop_in_good_order_ends_the_open_call_without_a_refusal_and_the_link_is_kept,
    leaving_ends_the_grant_at_the_other_side_and_leaves_no_key_behind,
);
