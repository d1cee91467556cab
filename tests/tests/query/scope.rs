//! What a grant shows over the wire: each key of a scope, and the difference between hidden and missing, which nobody can see.

use domain::{item::NewItem, rights::Role};
use proto::v1;
use serde_json::json;
use spoke::GrantOrder;
use tests::{
    asker::{Asker, enrol, refusal, tasks, titles},
    instance::{Instance, name, task, team},
};
use tonic::Code;

fn in_team(title: &str, id: &str) -> NewItem {
    NewItem { team: Some(team(id)), ..task(title) }
}

async fn office() -> Instance {
    let office = Instance::start().await;
    let alice = office.user("alice", Role::Member).await;
    let bob = office.user("bob", Role::Member).await;
    office.team("T1", &["alice", "bob"]).await;
    office.team("T2", &["alice"]).await;
    office.team("T3", &["bob"]).await;
    let tagged = NewItem { tags: ["red".parse().expect("a tag")].into(), ..in_team("t1 red", "T1") };
    let project = NewItem { project: Some("P1".parse().expect("a project")), ..in_team("t1 project", "T1") };
    let detailed = NewItem {
        body: Some("a body".into()),
        attributes: json!({"status": "open", "private_remark": "hush"}).as_object().expect("a map").clone(),
        ..task("alice's own")
    };
    office.put(alice, vec![detailed, in_team("t1", "T1"), in_team("t2", "T2"), tagged, project]).await;
    office.put(bob, vec![task("bob's own"), in_team("t3", "T3")]).await;
    office
}

async fn ask(office: &Instance, subject: &str, spec: &str) -> Asker {
    enrol(&office.grant(subject, spec).await.1).await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_key_of_a_scope_does_what_it_says() {
    let office = office().await;
    let all = ["alice's own", "t1", "t1 project", "t1 red", "t2"];
    let cases: [(&str, &[&str]); 7] = [
        (r"{}", &all),
        (r#"{"include_personal":false}"#, &all[1..]),
        (r#"{"include_teams":["T1"],"include_personal":false}"#, &all[1..4]),
        (r#"{"include_teams":["T2"]}"#, &["alice's own", "t2"]),
        (r#"{"include_teams":["T3"],"include_personal":false}"#, &[]),
        (r#"{"include_projects":["P1"]}"#, &["t1 project"]),
        (r#"{"include_tags":["red","blue"]}"#, &["t1 red"]),
    ];
    for (filter, expected) in cases {
        let spec = format!(r#"{{"resources":["tasks"],"filters":{{"tasks":{filter}}}}}"#);
        let (items, _) = ask(&office, "alice", &spec).await.list(tasks()).await.expect("an answer");
        assert_eq!(titles(&items), expected, "{filter}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn since_shows_only_rows_that_changed_after() {
    let office = office().await;
    let later = office.world.now() + std::time::Duration::from_mins(1);
    for (since, rows) in [("2020-01-01T00:00:00Z".to_owned(), 5), (later.to_string(), 0)] {
        let spec = format!(r#"{{"resources":["tasks"],"filters":{{"tasks":{{"since":"{since}"}}}}}}"#);
        let (items, _) = ask(&office, "alice", &spec).await.list(tasks()).await.expect("an answer");
        assert_eq!(items.len(), rows, "{since}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_leave_only_when_the_scope_lets_them() {
    let office = office().await;
    let request = || v1::ListRequest { include_body: true, ..tasks() };
    let own = |items: Vec<v1::Item>| items.into_iter().find(|item| item.team.is_none()).expect("a row");
    let open = ask(&office, "alice", r#"{"resources":["tasks"]}"#).await;
    let item = own(open.list(request()).await.expect("an answer").0);
    assert_eq!(item.body.as_deref(), Some("a body"));
    let attributes = item.attributes.expect("attributes").fields;
    assert!(attributes.contains_key("status") && !attributes.contains_key("private_remark"));
    let closed =
        r#"{"resources":["tasks"],"filters":{"tasks":{"include_teams":["T3"]}},"fields":{"tasks":["status"]}}"#;
    let narrow = ask(&office, "alice", closed).await;
    let item = narrow.list(request()).await.expect("an answer").0.pop().expect("a row");
    assert_eq!((item.title, item.body, item.owner), (None, None, None));
    let personal = ask(&office, "alice", r#"{"resources":["tasks"],"withhold":["personal"]}"#).await;
    let item = own(personal.list(request()).await.expect("an answer").0);
    assert_eq!((item.title.as_deref(), item.body), (Some("alice's own"), None));
}

#[tokio::test(flavor = "multi_thread")]
async fn verbs_and_resources_outside_the_scope_are_refused_in_the_grants_words() {
    let office = office().await;
    let home = ask(&office, "alice", r#"{"resources":["tasks"],"verbs":["list"]}"#).await;
    let mut client = home.query().await;
    let notes = v1::ListRequest { resource: "notes".into(), ..v1::ListRequest::default() };
    let refused = tests::asker::list(&mut client, notes).await.expect_err("answered");
    assert_eq!(refusal(&refused), (Code::PermissionDenied, "OUT_OF_SCOPE".to_owned()));
    assert!(refused.message().ends_with("does not allow list on notes; it shares tasks"), "{}", refused.message());
    let unknown = v1::ListRequest { resource: "passwords".into(), ..v1::ListRequest::default() };
    let refused = tests::asker::list(&mut client, unknown).await.expect_err("answered");
    assert_eq!(refusal(&refused), (Code::PermissionDenied, "OUT_OF_SCOPE".to_owned()));
    let id = tests::asker::list(&mut client, tasks()).await.expect("an answer").0[0].id.clone();
    let get = client.get(v1::GetRequest { resource: "tasks".into(), id }).await.expect_err("answered");
    assert_eq!(refusal(&get), (Code::PermissionDenied, "OUT_OF_SCOPE".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hidden_row_and_a_missing_one_are_answered_alike_and_the_log_knows_nothing_of_titles() {
    let office = office().await;
    let bob = ask(&office, "bob", r#"{"resources":["tasks"]}"#).await;
    let hidden = bob.list(tasks()).await.expect("an answer").0;
    let hidden = hidden.iter().find(|item| item.title.as_deref() == Some("bob's own")).expect("a row").id.clone();
    let alice = ask(&office, "alice", r#"{"resources":["tasks"]}"#).await;
    let mut client = alice.query().await;
    let missing = uuid::Uuid::from_u128(7).to_string();
    let mut answers = Vec::new();
    for id in [hidden, missing] {
        let status = client.get(v1::GetRequest { resource: "tasks".into(), id }).await.expect_err("answered");
        answers.push((refusal(&status), status.message().to_owned()));
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[0].0, (Code::NotFound, "NOT_FOUND".to_owned()));
    let log = serde_json::to_string(&office.log(200).await).expect("JSON");
    assert!(!log.contains("own") && !log.contains("t1 red"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edited_scope_holds_from_the_next_call() {
    let office = office().await;
    let home = ask(&office, "alice", r#"{"resources":["tasks"]}"#).await;
    let mut client = home.query().await;
    assert_eq!(tests::asker::list(&mut client, tasks()).await.expect("an answer").0.len(), 5);
    let spec = r#"{"workspace":"main","resources":["tasks"],"filters":{"tasks":{"include_teams":["T2"],"include_personal":false}}}"#;
    let spec = serde_json::from_str(spec).expect("a scope");
    office.spoke.edit(office.by(), &office.standing(home.grant).await, spoke::Edit::to(spec)).await.expect("an edit");
    let (items, _) = tests::asker::list(&mut client, tasks()).await.expect("an answer");
    assert_eq!(titles(&items), ["t2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_team_that_does_not_exist_is_refused_by_name_when_a_grant_is_made_and_when_it_is_edited() {
    let office = office().await;
    let spec = |team: &str| {
        let text = format!(
            r#"{{"workspace":"main","resources":["tasks"],"filters":{{"tasks":{{"include_teams":["{team}"]}}}}}}"#
        );
        serde_json::from_str(&text).expect("a scope")
    };
    let order = GrantOrder {
        name: name("misspelt"),
        subject: name("alice"),
        spec: spec("T9"),
        personal_default: false,
        sensitive: false,
        narrow: false,
    };
    let expected =
        "there is no team `T9` in workspace main: T1, T2, T3 exist; see `mosaic-fed --workspace main team list`";
    let made = office.spoke.create(office.by(), order).await.map(drop).expect_err("a refusal");
    assert_eq!(made.to_string(), expected);
    let (grant, _) = office.grant("alice", r#"{"resources":["tasks"]}"#).await;
    let edited =
        office.spoke.edit(office.by(), &grant, spoke::Edit::to(spec("T9"))).await.map(drop).expect_err("a refusal");
    assert_eq!(edited.to_string(), expected);
    office.spoke.edit(office.by(), &grant, spoke::Edit::to(spec("T3"))).await.expect("an edit");
}
