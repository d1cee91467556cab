//! What is as it was is not sent twice, and what is not as it was seen is not changed.

use crate::stage::{Said, Stage};
use serde_json::json;
use tests::{
    cluster::two_databases,
    instance::{Instance, name, task},
};

fn tag(said: &Said) -> String {
    let tag = said.head.lines().find_map(|line| line.strip_prefix("etag: "));
    tag.unwrap_or_else(|| panic!("no tag: {said:?}")).to_owned()
}

fn with_body(header: &str, body: &serde_json::Value) -> String {
    let body = body.to_string();
    format!("{header}content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

#[tokio::test]
async fn what_is_known_is_not_sent_again_until_it_changes() {
    let stage = Stage::open().await;
    let token = stage.owners_token().await;
    stage.instance.user("alice", domain::rights::Role::Guest).await;
    for path in ["/v1/grants", "/v1/policy", "/v1/users", "/v1/users/alice", "/v1/teams", "/v1/links"] {
        let line = format!("GET {path}");
        let first = stage.asked(&line, &token, "").await;
        assert_eq!(first.status, 200, "{path}: {first:?}");
        let known = stage.known(&line, &token, &tag(&first)).await;
        assert_eq!((known.0, known.1.as_str()), (304, ""), "{path}");
        assert_eq!(stage.known(&line, &token, &format!("\"x\", W/{}", tag(&first))).await.0, 304, "{path}");
        assert_eq!(stage.known(&line, &token, "\"other\"").await.0, 200, "{path}");
    }
    let seen = tag(&stage.asked("GET /v1/users/alice", &token, "").await);
    let role = with_body("", &json!({"role": "member"}));
    assert_eq!(stage.asked("PUT /v1/users/alice/role", &token, &role).await.status, 200);
    assert_eq!(stage.known("GET /v1/users/alice", &token, &seen).await.0, 200);
}

#[tokio::test]
async fn what_is_not_as_it_was_seen_is_not_changed() {
    let stage = Stage::open().await;
    let token = stage.owners_token().await;
    stage.instance.user("alice", domain::rights::Role::Guest).await;
    let (grant, _) = stage.instance.grant("owner", r#"{"resources":["tasks"]}"#).await;
    let change = async |line: &str, seen: &str, body| {
        stage.asked(line, &token, &with_body(&format!("if-match: {seen}\r\n"), &body)).await
    };
    let role = |role: &str| json!({"role": role});
    let seen = tag(&stage.asked("GET /v1/users/alice", &token, "").await);
    assert_eq!(change("PUT /v1/users/alice/role", &seen, role("member")).await.status, 200);
    let late = change("PUT /v1/users/alice/role", &seen, role("admin")).await;
    assert_eq!((late.status, &late.json()["error"]), (412, &json!("changed")), "{late:?}");
    assert!(late.body.contains("GET /v1/users/alice") && late.body.contains("if-match"), "{late:?}");
    let alice = stage.asked("GET /v1/users/alice", &token, "").await;
    assert_eq!(alice.json()["roles"]["main"], "member", "nothing was changed");
    let line = format!("PUT /v1/grants/{}", grant.name);
    let shown = stage.asked(&format!("GET /v1/grants/{}", grant.name), &token, "").await;
    let edit = |generation| json!({"scope": {"workspace": "main", "resources": ["notes"]}, "generation": generation});
    let generation = shown.json()["generation"].clone();
    assert_eq!(change(&line, "\"stale\"", edit(&generation)).await.status, 412);
    let done = change(&line, &tag(&shown), edit(&generation)).await;
    assert_eq!(done.status, 200, "{done:?}");
    assert_eq!(change(&line, &tag(&shown), edit(&generation)).await.status, 412);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_of_here_has_a_tag_and_one_of_a_link_has_none() {
    let (first, second) = two_databases().await;
    let stage = Stage::on(first, None).await;
    let token = stage.owners_token().await;
    let shares = Instance::start_on(stage.instance.world.clone(), second).await;
    shares.put(shares.owner, vec![task("theirs")]).await;
    stage.instance.put(stage.instance.owner, vec![task("ours")]).await;
    let (_, invite) = shares.grant("owner", r#"{"resources":["tasks"]}"#).await;
    let request = domain::id::RequestId(stage.instance.world.uuid());
    let asker = hub::Asker::new(stage.instance.owner, stage.instance.workspace, request);
    stage.hub.link(&asker, &invite.encode(), Some(name("work"))).await.expect("a link");
    for (source, is_tagged) in [("here", true), ("work", false)] {
        let list = stage.asked(&format!("GET /v1/rows/tasks?from={source}"), &token, "").await;
        assert!(!list.head.contains("etag"), "{list:?}");
        let id = list.json()["rows"][0]["id"].as_str().expect("a row").to_owned();
        let line = format!("GET /v1/rows/tasks/{id}?from={source}");
        let row = stage.asked(&line, &token, "").await;
        assert_eq!((row.status, row.head.contains("etag: w/")), (200, is_tagged), "{row:?}");
        let everywhere = stage.asked(&format!("GET /v1/rows/tasks/{id}"), &token, "").await;
        assert!(!everywhere.head.contains("etag"), "{everywhere:?}");
        if is_tagged {
            assert_eq!(stage.known(&line, &token, &tag(&row).replace("w/", "W/")).await.0, 304);
        }
    }
}
