//! Every key of a scope that lists and gets obey, one by one; Get must agree with List on each row.

use crate::bench::{Bench, everything, name, sharing, task, tasks, team_task, titles};
use domain::{
    id::{ItemId, UserId},
    item::NewItem,
    kind::Class,
    rights::Role,
    scope::{
        Spec,
        spec::{FilterSpec, Tags},
    },
};
use serde_json::json;
use std::{collections::BTreeSet, time::Duration};

/// Alice's rows, oldest first: `p` and `q` personal, `c` of team core, `o` of team ops, `x` of a team she is not in.
async fn rows(bench: &Bench) -> (UserId, Vec<(&'static str, ItemId)>) {
    let alice = bench.user("alice", Role::Member).await;
    bench.team("core", &["alice"]).await;
    bench.team("ops", &["alice"]).await;
    bench.team("secret", &[]).await;
    let tagged = |item: NewItem, tags: &[&str], project: Option<&str>| NewItem {
        tags: tags.iter().map(|tag| tag.parse().unwrap()).collect(),
        project: project.map(|project| project.parse().unwrap()),
        ..item
    };
    let items = [
        ("p", tagged(task("p"), &["red", "big"], Some("hull"))),
        ("q", tagged(task("q"), &[], None)),
        ("c", tagged(team_task("c", "core"), &["red"], Some("deck"))),
        ("o", tagged(team_task("o", "ops"), &["big", "blue"], Some("hull"))),
    ];
    let mut ids = Vec::new();
    for (title, item) in items {
        ids.push((title, bench.put(alice, [item]).await[0]));
    }
    ids.push(("x", bench.put(bench.owner, [team_task("x", "secret")]).await[0]));
    (alice, ids)
}

async fn shows(bench: &Bench, subject: UserId, ids: &[(&str, ItemId)], spec: Spec, wanted: &str) {
    let grant = bench.grant(&format!("g-{}", bench.world.uuid()), subject, &spec).await;
    let listed: BTreeSet<_> = titles(&bench.listed(&grant).await).into_iter().collect();
    let wanted: BTreeSet<_> = wanted.split_terminator(' ').map(str::to_owned).collect();
    assert_eq!(listed, wanted, "listed under {:?}", spec.filters);
    for (title, id) in ids {
        let got = bench.got(&grant, *id).await;
        assert_eq!(got.is_some(), wanted.contains(*title), "get {title} under {:?}", spec.filters);
    }
    let count = bench.store.count(&grant).await.unwrap()[&tasks()];
    assert_eq!(count, wanted.len() as u64, "counted under {:?}", spec.filters);
}

fn texts(list: &[&str]) -> Vec<String> {
    list.iter().map(ToString::to_string).collect()
}

pub async fn teams_and_personal_rows_are_alternatives(bench: &Bench) {
    let (alice, ids) = rows(bench).await;
    let filter = |teams: Option<&[&str]>, personal| {
        sharing(FilterSpec {
            include_teams: teams.map(texts),
            include_personal: Some(personal),
            ..FilterSpec::default()
        })
    };
    shows(bench, alice, &ids, filter(None, true), "p q c o").await;
    shows(bench, alice, &ids, filter(None, false), "c o").await;
    shows(bench, alice, &ids, filter(Some(&["core"]), false), "c").await;
    shows(bench, alice, &ids, filter(Some(&["core"]), true), "p q c").await;
    shows(bench, alice, &ids, filter(Some(&[]), true), "p q").await;
    shows(bench, alice, &ids, filter(Some(&["secret", "core"]), false), "c").await;
}

pub async fn projects_narrow(bench: &Bench) {
    let (alice, ids) = rows(bench).await;
    let filter = |projects: &[&str]| {
        let include_projects = Some(texts(projects));
        sharing(FilterSpec { include_projects, include_personal: Some(true), ..FilterSpec::default() })
    };
    shows(bench, alice, &ids, filter(&["hull"]), "p o").await;
    shows(bench, alice, &ids, filter(&["hull", "deck"]), "p o c").await;
    shows(bench, alice, &ids, filter(&["none"]), "").await;
}

pub async fn tags_narrow_by_any_of_each_set(bench: &Bench) {
    let (alice, ids) = rows(bench).await;
    let filter =
        |tags| sharing(FilterSpec { include_tags: Some(tags), include_personal: Some(true), ..FilterSpec::default() });
    shows(bench, alice, &ids, filter(Tags::Any(texts(&["red"]))), "p c").await;
    shows(bench, alice, &ids, filter(Tags::Any(texts(&["red", "blue"]))), "p c o").await;
    let each = Tags::Each(vec![texts(&["red", "blue"]), texts(&["big"])]);
    shows(bench, alice, &ids, filter(each), "p o").await;
}

pub async fn since_narrows_by_the_last_change(bench: &Bench) {
    let (alice, ids) = rows(bench).await;
    bench.clock.advance(Duration::from_hours(1));
    let since = bench.now();
    bench.clock.advance(Duration::from_secs(1));
    let old = NewItem { source_key: Some("s".into()), created_at: Some(crate::bench::START), ..task("s") };
    let ids = [ids, vec![("s", bench.put(alice, [old]).await[0])]].concat();
    let filter =
        |since| sharing(FilterSpec { since: Some(since), include_personal: Some(true), ..FilterSpec::default() });
    shows(bench, alice, &ids, filter(since), "s").await;
    shows(bench, alice, &ids, filter(crate::bench::START), "p q c o s").await;
    shows(bench, alice, &ids, filter(bench.now() + Duration::from_micros(1)), "").await;
    shows(bench, alice, &ids, filter(bench.now()), "s").await;
}

pub async fn withheld_fields_never_leave(bench: &Bench) {
    let alice = bench.user("alice", Role::Member).await;
    let attributes = json!({"status": "open", "private_remark": "secret", "link": "https://example.org"});
    let whole = NewItem {
        body: Some("the body".into()),
        tags: ["red".parse().unwrap()].into(),
        project: Some("hull".parse().unwrap()),
        attributes: attributes.as_object().unwrap().clone(),
        ..task("title")
    };
    let id = bench.put(alice, [whole]).await[0];
    let seen = async |spec: Spec| {
        let grant = bench.grant(&format!("g-{}", bench.world.uuid()), alice, &spec).await;
        let got = bench.got(&grant, id).await.unwrap();
        let mut listed = bench.listed(&grant).await.remove(0);
        listed.body.clone_from(&got.body);
        assert_eq!(listed, got, "a list shows what a get shows, but the body");
        got
    };
    let default = seen(everything()).await;
    assert!(!default.attributes.contains_key("private_remark"), "secrets stay unless a scope names them");
    assert_eq!((default.owner, default.body.as_deref()), (Some(name("alice")), Some("the body")));
    let mut spec = everything();
    spec.withhold = Some(vec![Class::Personal, Class::Secret]);
    let impersonal = seen(spec).await;
    assert_eq!((impersonal.body, impersonal.title.as_deref()), (None, Some("title")));
    let mut spec = everything();
    spec.fields.insert("tasks".into(), texts(&["status", "private_remark"]));
    let named = seen(spec).await;
    assert_eq!((named.title, named.project, named.owner, named.tags.len()), (None, None, None, 0));
    assert_eq!(named.attributes.keys().collect::<Vec<_>>(), ["private_remark", "status"]);
    let mut spec = everything();
    spec.fields.insert("tasks".into(), Vec::new());
    let bare = seen(spec).await;
    assert_eq!((bare.id, bare.attributes.len(), bare.title), (id, 0, None));
}

pub async fn native_rights_narrow_every_scope(bench: &Bench) {
    let (_, ids) = rows(bench).await;
    let (bob, guest) = (bench.user("bob", Role::Member).await, bench.user("gast", Role::Guest).await);
    let core = "core".parse().unwrap();
    let record = bench.act(domain::audit::Act::TeamEdit);
    bench.store.set_member(&name("main"), &core, &name("gast"), Some(Role::Member), record).await.unwrap();
    shows(bench, bob, &ids, everything(), "").await;
    shows(bench, guest, &ids, everything(), "c").await;
    shows(bench, bench.owner, &ids, everything(), "c o x").await;
}

pub async fn keys_hold_together(bench: &Bench) {
    let (alice, ids) = rows(bench).await;
    let all = FilterSpec {
        include_teams: Some(texts(&["ops"])),
        include_personal: Some(true),
        include_projects: Some(texts(&["hull"])),
        include_tags: Some(Tags::Any(texts(&["big"]))),
        since: Some(crate::bench::START),
    };
    shows(bench, alice, &ids, sharing(all.clone()), "p o").await;
    let red = FilterSpec { include_tags: Some(Tags::Any(texts(&["red"]))), ..all };
    shows(bench, alice, &ids, sharing(red), "p").await;
}

pub async fn a_hidden_row_is_as_missing_as_no_row(bench: &Bench) {
    let (alice, ids) = rows(bench).await;
    let filter = FilterSpec { include_teams: Some(texts(&["core"])), ..FilterSpec::default() };
    let grant = bench.grant("home", alice, &sharing(filter)).await;
    let nothing = bench.got(&grant, ItemId(bench.world.uuid())).await;
    for (title, id) in ids.iter().filter(|(title, _)| *title != "c") {
        assert_eq!(bench.got(&grant, *id).await, nothing, "{title}");
    }
    let of_another_kind = domain::operation::Get { resource: "notes".parse().unwrap(), id: ids[2].1 };
    let access = store::Access::Native { workspace: bench.workspace, user: alice, operation: &of_another_kind };
    assert_eq!(bench.store.get(access).await.unwrap(), None, "an id of another kind");
}

pub async fn counts_are_what_the_grant_shows(bench: &Bench) {
    let (alice, _) = rows(bench).await;
    let mut spec = Spec::sharing(name("main"), texts(&["tasks", "notes"]));
    spec.max_rows_per_query = Some(1);
    let grant = bench.pending("home", alice, &spec).await;
    let counts = bench.store.count(&grant).await.unwrap();
    let counts: Vec<_> = counts.iter().map(|(resource, rows)| (resource.as_str(), *rows)).collect();
    assert_eq!(counts, [("notes", 0), ("tasks", 2)], "before anybody holds it, and beyond its cap");
}
