//! Who asks at the port: the user of the token that a request shows, while that is good, and nobody else.

use crate::stage::{Stage, said};
use domain::{audit::Act, rights::Role, token::DAYS};
use serde_json::json;
use std::time::Duration;
use store::AuditQuery;
use tests::{
    cluster::two_databases,
    instance::{Instance, name},
};
use tokio::io::AsyncWriteExt;

const JSON: &str = "content-type: application/json\r\n";

/// Lines of a request with a JSON body, whose head ends before it.
fn with_body(body: &serde_json::Value) -> String {
    let body = body.to_string();
    format!("{JSON}content-length: {}\r\n\r\n{body}", body.len())
}

#[tokio::test]
async fn without_a_good_token_every_path_gives_the_same_answer() {
    let stage = Stage::open().await;
    let token = stage.owners_token().await;
    let other = Stage::open().await.owners_token().await;
    let (mut answers, host) = (Vec::new(), format!("host: {}\r\n", stage.at));
    let shown = [
        String::new(),
        format!("authorization: Bearer {other}\r\n"),
        format!("authorization: Bearer {}\r\n", &token[..token.len() - 1]),
        format!("authorization: Basic {token}\r\n"),
        format!("authorization: {token}\r\n"),
        format!("cookie: token={token}\r\n"),
        format!("x-mosaic-as: owner\r\nauthorization: Bearer {other}\r\n"),
    ];
    for line in [
        "GET /v1/me",
        "GET /v1/nothing",
        "DELETE /v1/me",
        "OPTIONS *",
        "OPTIONS /v1/me",
        "PATCH /%00",
        "HEAD /v1/audit",
    ] {
        for shown in &shown {
            let line = line.replace("HEAD", "GET");
            let said = stage.sent(&format!("{line} HTTP/1.1\r\n{host}{shown}\r\n")).await;
            said.is_refused(401, "unauthorized");
            assert!(said.head.contains("www-authenticate: bearer"), "{said:?}");
            answers.push(said.body);
        }
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert!(stage.refusals().await.iter().any(|note| note == "no token"));
}

#[tokio::test]
async fn a_token_in_an_address_is_none() {
    let stage = Stage::open().await;
    let token = stage.owners_token().await;
    for query in ["access_token", "token", "x"] {
        let line = format!("GET /v1/me?{query}={token}");
        stage.sent(&format!("{line} HTTP/1.1\r\nhost: {}\r\n\r\n", stage.at)).await.is_refused(401, "unauthorized");
        stage.asked(&line, &token, "").await.is_refused(401, "unauthorized");
    }
}

#[tokio::test]
async fn a_token_acts_as_its_user_in_its_workspace_and_as_nobody_else() {
    let stage = Stage::open().await;
    let token = stage.owners_token().await;
    let side = domain::id::WorkspaceId(stage.instance.world.uuid());
    let act = stage.instance.act(Act::WorkspaceAdd);
    stage.instance.store.add_workspace(side, &name("side"), stage.instance.owner, act).await.expect("a workspace");
    let me = stage.asked("GET /v1/me", &token, "").await;
    let wanted = json!({"user": "owner", "workspace": "main", "role": "owner", "operator": false, "token": "ci"});
    assert_eq!((me.status, me.json()), (200, wanted));
    me.is_plain();
    let elsewhere = stage.asked("GET /v1/me", &token, "x-mosaic-workspace: side\r\n").await;
    assert_eq!((elsewhere.status, &elsewhere.json()["error"]), (404, &json!("missing")), "{elsewhere:?}");
    let listed = stage.asked("GET /v1/workspaces", &token, "").await.json();
    assert_eq!(listed.as_array().map(Vec::len), Some(1), "{listed}");
    for as_whom in ["owner", "alice"] {
        let said = stage.asked("GET /v1/me", &token, &format!("x-mosaic-as: {as_whom}\r\n")).await;
        assert_eq!((said.status, &said.json()["error"]), (403, &json!("forbidden")), "{said:?}");
    }
}

#[tokio::test]
async fn a_token_makes_no_other_way_in_and_does_nothing_of_the_operators() {
    let stage = Stage::open().await;
    let token = stage.owners_token().await;
    let body = |value| with_body(&value);
    for (line, more) in [
        ("GET /v1/tokens", String::new()),
        ("POST /v1/tokens", body(json!({"name": "more"}))),
        ("DELETE /v1/tokens/ci", String::new()),
        ("POST /v1/users", body(json!({"name": "eve", "uid": 54_321, "role": "member"}))),
        ("POST /v1/workspaces", body(json!({"name": "side"}))),
        ("PUT /v1/policy", body(json!({"ceiling": {}, "narrow": false}))),
        ("DELETE /v1/policy", String::new()),
        ("POST /v1/keys", body(json!({"key": "ab".repeat(32)}))),
        ("GET /v1/audit", String::new()),
        ("GET /v1/audit/follow", String::new()),
        ("GET /v1/audit/export", String::new()),
    ] {
        let said = stage.asked(line, &token, &more).await;
        assert_eq!((said.status, &said.json()["error"]), (403, &json!("forbidden")), "{line}: {said:?}");
    }
    let tokens = stage.instance.store.tokens(stage.instance.owner).await.expect("tokens");
    assert_eq!(tokens.len(), 1);
    assert_eq!(
        stage.asked("POST /v1/users", &token, &body(json!({"name": "eve", "role": "member"}))).await.status,
        200
    );
    let query = AuditQuery { limit: 100, ending: Some(domain::audit::Ending::Refused), ..AuditQuery::default() };
    let log = stage.instance.store.entries(&query).await.expect("the log");
    assert!(log.iter().any(|entry| entry.note.contains("not for a token")), "{log:?}");
}

#[tokio::test]
async fn an_expired_token_is_none() {
    let stage = Stage::open().await;
    let token = stage.owners_token().await;
    let day = Duration::from_hours(24);
    stage.clock.advance((day * DAYS).saturating_sub(Duration::from_secs(1)));
    assert_eq!(stage.asked("GET /v1/me", &token, "").await.status, 200);
    stage.clock.advance(Duration::from_secs(1));
    stage.asked("GET /v1/me", &token, "").await.is_refused(401, "unauthorized");
    let end = std::time::Instant::now() + Duration::from_secs(20);
    while !stage.refusals().await.contains(&"expired token: ci".to_owned()) {
        assert!(std::time::Instant::now() < end, "{:?}", stage.refusals().await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn the_token_of_a_removed_user_and_one_that_was_taken_away_end_at_once() {
    let stage = Stage::open().await;
    let alice = stage.instance.user("alice", Role::Member).await;
    let (first, second) = (stage.token(alice, "one").await, stage.token(alice, "two").await);
    let store = &stage.instance.store;
    for token in [&first, &second] {
        assert_eq!(stage.asked("GET /v1/me", token, "").await.json()["user"], "alice");
    }
    store.remove_token(alice, &name("one"), stage.instance.act(Act::TokenRemove)).await.expect("it is gone");
    stage.asked("GET /v1/me", &first, "").await.is_refused(401, "unauthorized");
    assert_eq!(stage.asked("GET /v1/me", &second, "").await.status, 200);
    store.set_role(&name("alice"), &name("main"), None, stage.instance.act(Act::UserEdit)).await.expect("a change");
    assert_eq!(stage.asked("GET /v1/me", &second, "").await.status, 403, "whoever left a workspace has no place in it");
    store.remove_user(&name("alice"), stage.instance.act(Act::UserRemove)).await.expect("they are gone");
    stage.asked("GET /v1/me", &second, "").await.is_refused(401, "unauthorized");
}

#[tokio::test]
async fn whoever_loses_their_token_or_their_place_while_a_body_trickles_in_does_nothing() {
    let stage = Stage::open().await;
    let alice = stage.instance.user("alice", Role::Member).await;
    let store = &stage.instance.store;
    for (number, (status, word)) in [(401, "unauthorized"), (403, "forbidden")].into_iter().enumerate() {
        let token = stage.token(alice, &format!("token-{number}")).await;
        let (begun, rest) = (r#"{"items":[{"resource":"tasks","#, r#""title":"late"}]}"#);
        let mut stream = stage.connect().await;
        let head = format!(
            "POST /v1/items HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{begun}",
            stage.at,
            begun.len() + rest.len()
        );
        stream.write_all(head.as_bytes()).await.expect("it listens");
        tokio::time::sleep(Duration::from_millis(300)).await;
        if number == 0 {
            let gone = store.remove_token(alice, &name("token-0"), stage.instance.act(Act::TokenRemove)).await;
            gone.expect("it is gone");
        } else {
            let out = store.set_role(&name("alice"), &name("main"), None, stage.instance.act(Act::UserEdit)).await;
            out.expect("a change");
        }
        stream.write_all(rest.as_bytes()).await.expect("it listens");
        let said = said(&mut stream).await;
        assert_eq!((said.status, &said.json()["error"]), (status, &word.into()), "{said:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_users_token_finds_no_such_link() {
    let (first, second) = two_databases().await;
    let stage = Stage::on(first, None).await;
    let shares = Instance::start_on(stage.instance.world.clone(), second).await;
    let (_, invite) = shares.grant("owner", r#"{"resources":["tasks"]}"#).await;
    let request = domain::id::RequestId(stage.instance.world.uuid());
    let asker = hub::Asker::new(stage.instance.owner, stage.instance.workspace, request);
    stage.hub.link(&asker, &invite.encode(), Some(name("office"))).await.expect("a link");
    let bob = stage.instance.user("bob", Role::Admin).await;
    let (own, foreign) = (stage.owners_token().await, stage.token(bob, "ci").await);
    assert_eq!(stage.asked("POST /v1/links/office/ping", &own, "content-length: 0\r\n").await.status, 200);
    for line in [
        "POST /v1/links/office/ping",
        "POST /v1/links/office/renew",
        "GET /v1/rows/tasks?from=office",
        "POST /v1/links/office/unlink",
    ] {
        let more = if line.ends_with("unlink") { with_body(&json!({"now": true})) } else { String::new() };
        let said = stage.asked(line, &foreign, &more).await;
        assert_eq!(said.status, 404, "{line}: {said:?}");
        assert!(said.body.contains("no such link"), "{line}: {said:?}");
    }
    assert_eq!(stage.asked("GET /v1/links", &foreign, "").await.json(), json!([]));
}

#[tokio::test]
async fn when_a_token_was_used_is_noted_to_the_hour() {
    let stage = Stage::open().await;
    let token = stage.owners_token().await;
    let used = async || stage.instance.store.tokens(stage.instance.owner).await.expect("tokens")[0].used_at;
    assert_eq!(used().await, None);
    let began = stage.instance.world.now();
    for minutes in [0, 59] {
        stage.clock.advance(Duration::from_mins(minutes));
        assert_eq!(stage.asked("GET /v1/me", &token, "").await.status, 200);
        assert_eq!(used().await, Some(began));
    }
    stage.clock.advance(Duration::from_mins(1));
    assert_eq!(stage.asked("GET /v1/me", &token, "").await.status, 200);
    assert_eq!(used().await, Some(stage.instance.world.now()));
}

#[tokio::test]
async fn a_token_that_was_written_into_the_database_is_none() {
    let stage = Stage::open().await;
    let bob = stage.instance.user("bob", Role::Guest).await;
    let token = stage.token(bob, "ci").await;
    assert_eq!(stage.asked("GET /v1/me", &token, "").await.json()["user"], "bob");
    let change = format!("UPDATE tokens SET owner = '{}'", stage.instance.owner);
    tests::hold::run(&stage.instance.database.superuser(), &change).await;
    stage.asked("GET /v1/me", &token, "").await.is_refused(401, "unauthorized");
    assert!(stage.instance.store.tokens(stage.instance.owner).await.expect("tokens").is_empty());
}
