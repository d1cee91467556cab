//! Teams and people as rows: who sees which entry natively and under a scope, and that nobody writes them.

use crate::bench::{Bench, name, task};
use domain::{
    audit::Act,
    grant::Grant,
    id::{ItemId, Resource, UserId},
    item::{Item, NewItem},
    operation::{Get, List},
    rights::Role,
    scope::{Spec, spec::FilterSpec},
};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use store::{Access, After, Put};

/// Core: alice and bob; ops: bob and gina, a guest; empty: nobody. Dora is in no team. Olga owns the workspace.
async fn people(bench: &Bench) -> BTreeMap<&'static str, UserId> {
    let mut people = BTreeMap::from([("olga", bench.owner)]);
    let roles = [
        ("alice", Role::Member),
        ("bob", Role::Member),
        ("dora", Role::Member),
        ("gina", Role::Guest),
        ("adam", Role::Admin),
    ];
    for (user, role) in roles {
        people.insert(user, bench.user(user, role).await);
    }
    bench.team("core", &["alice", "bob"]).await;
    bench.team("ops", &["bob", "gina"]).await;
    bench.team("empty", &[]).await;
    people
}

fn kind(text: &str) -> Resource {
    text.parse().unwrap()
}

async fn native(bench: &Bench, user: UserId, of: &str) -> Vec<Item> {
    let operation = List::first(kind(of));
    let access = Access::Native { workspace: bench.workspace, user, operation: &operation };
    let items = bench.store.list(access).await.unwrap().items;
    for item in &items {
        let operation = Get { resource: kind(of), id: item.id };
        let access = Access::Native { workspace: bench.workspace, user, operation: &operation };
        let (got, _) = bench.store.get(access).await.unwrap().unwrap();
        assert_eq!(&got, item, "a get shows what the list shows");
    }
    items
}

fn names(items: &[Item]) -> String {
    items
        .iter()
        .filter_map(|item| item.title.clone())
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect::<Vec<_>>()
        .join(" ")
}

pub async fn everybody_sees_their_part_of_the_directory(bench: &Bench) {
    let people = people(bench).await;
    let everybody = "adam alice bob dora gina olga";
    let sees = [
        ("olga", "core empty ops", everybody),
        ("adam", "core empty ops", everybody),
        ("alice", "core", "alice bob"),
        ("bob", "core ops", "alice bob gina"),
        ("gina", "ops", "bob gina"),
        ("dora", "", "dora"),
    ];
    for (user, teams, users) in sees {
        let (seen_teams, seen_users) =
            (native(bench, people[user], "teams").await, native(bench, people[user], "users").await);
        assert_eq!((names(&seen_teams).as_str(), names(&seen_users).as_str()), (teams, users), "{user}");
    }
    let users = native(bench, bench.owner, "users").await;
    let bob = users.iter().find(|item| item.title.as_deref() == Some("bob")).unwrap();
    assert_eq!(json!(bob.attributes), json!({"role": "member", "teams": ["core", "ops"]}));
    assert_eq!(bob.id, ItemId(people["bob"].0));
    for (user, bobs) in [("alice", vec!["core"]), ("gina", vec!["ops"]), ("bob", vec!["core", "ops"])] {
        assert_eq!(teams_of(&native(bench, people[user], "users").await, "bob"), bobs, "as {user} may see them");
    }
    let teams = native(bench, bench.owner, "teams").await;
    let core = teams.iter().find(|item| item.title.as_deref() == Some("core")).unwrap();
    assert_eq!(json!(core.attributes), json!({"members": ["alice", "bob"]}));
}

fn teams_of(users: &[Item], name: &str) -> Vec<String> {
    let user = users.iter().find(|item| item.title.as_deref() == Some(name)).unwrap();
    serde_json::from_value(user.attributes["teams"].clone()).unwrap()
}

async fn granted(bench: &Bench, grant: &Grant, of: &str) -> Vec<Item> {
    let permit = bench.permit(grant, List::first(kind(of)));
    let items = bench.store.list(Access::Granted(&permit)).await.unwrap().items;
    assert_eq!(bench.store.count(grant).await.unwrap()[&kind(of)], items.len() as u64, "counted as listed");
    items
}

pub async fn a_scope_narrows_the_directory_by_team_and_by_field(bench: &Bench) {
    let people = people(bench).await;
    let shows = async |subject: &str, filter: FilterSpec, fields: Option<&[&str]>| {
        let mut spec = Spec::sharing(name("main"), vec!["teams".into(), "users".into()]);
        for of in ["teams", "users"] {
            spec.filters.insert(of.into(), filter.clone());
        }
        if let Some(fields) = fields {
            spec.fields.insert("users".into(), fields.iter().map(ToString::to_string).collect());
        }
        let grant = bench.grant(&format!("g-{}", bench.world.uuid()), people[subject], &spec).await;
        (granted(bench, &grant, "teams").await, granted(bench, &grant, "users").await)
    };
    let of = |teams: &[&str]| FilterSpec {
        include_teams: Some(teams.iter().map(ToString::to_string).collect()),
        ..FilterSpec::default()
    };
    let cases = [
        ("olga", FilterSpec::default(), "core empty ops", "adam alice bob dora gina olga"),
        ("olga", of(&["core"]), "core", "alice bob"),
        ("olga", of(&["core", "ops"]), "core ops", "alice bob gina"),
        // Native rights narrow every scope.
        ("alice", of(&["core", "ops"]), "core", "alice bob"),
        ("alice", of(&["ops"]), "", ""),
        // An entry is nobody's personal row.
        ("dora", FilterSpec { include_personal: Some(false), ..FilterSpec::default() }, "", "dora"),
        ("olga", FilterSpec { include_projects: Some(vec!["hull".into()]), ..FilterSpec::default() }, "", ""),
    ];
    for (subject, filter, teams, users) in cases {
        let said = format!("{subject} {filter:?}");
        let (seen_teams, seen_users) = shows(subject, filter, None).await;
        assert_eq!((names(&seen_teams).as_str(), names(&seen_users).as_str()), (teams, users), "{said}");
    }
    for subject in ["olga", "alice", "bob"] {
        let (_, users) = shows(subject, of(&["core"]), None).await;
        assert_eq!(teams_of(&users, "bob"), ["core"], "a team that is not shared is not named either: {subject}");
    }
    let (_, users) = shows("olga", of(&["core"]), Some(&["title"])).await;
    assert_eq!(names(&users), "alice bob");
    assert!(users.iter().all(|user| user.attributes.is_empty() && user.owner.is_none()), "{users:?}");
}

pub async fn the_directory_follows_every_change_at_once(bench: &Bench) {
    let people = people(bench).await;
    let since = bench.clock.clone();
    let at = |items: &[Item], title: &str| {
        items.iter().find(|item| item.title.as_deref() == Some(title)).map(|item| (item.id, item.updated_at))
    };
    let before = native(bench, bench.owner, "teams").await;
    since.advance(std::time::Duration::from_secs(5));
    let record = bench.act(Act::TeamEdit);
    let core = "core".parse().unwrap();
    bench.store.set_member(&name("main"), &core, &name("dora"), Some(Role::Member), record).await.unwrap();
    let after = native(bench, bench.owner, "teams").await;
    let (old, new) = (at(&before, "core").unwrap(), at(&after, "core").unwrap());
    assert!(old.0 == new.0 && old.1 < new.1, "the same row, changed later: {old:?} {new:?}");
    assert_eq!(at(&before, "ops"), at(&after, "ops"), "another team is as it was");
    assert_eq!(names(&native(bench, people["dora"], "users").await), "alice bob dora");
    // Whoever goes is gone from their teams' rows too, which says when.
    since.advance(std::time::Duration::from_secs(5));
    bench.store.remove_user(&name("bob"), bench.act(Act::UserRemove)).await.unwrap();
    let gone = native(bench, bench.owner, "teams").await;
    assert!(at(&gone, "core").unwrap().1 > new.1 && at(&gone, "ops").unwrap().1 > old.1, "{gone:?}");
    assert!(gone.iter().all(|team| !team.attributes["members"].to_string().contains("bob")), "{gone:?}");
    assert_eq!(names(&native(bench, people["gina"], "users").await), "gina");
}

pub async fn nobody_writes_an_entry_of_the_directory(bench: &Bench) {
    for (of, command) in [("teams", "team add"), ("users", "user add")] {
        let item = NewItem { resource: kind(of), ..task("core") };
        let put = bench.store.put(bench.workspace, bench.owner, vec![item], After::Keep).await.unwrap().pop().unwrap();
        assert!(matches!(&put, Put::Refused(cause) if cause.contains(&format!("mosaic-fed {command}"))), "{put:?}");
    }
    for of in ["credentials", "api_keys"] {
        let bare = NewItem { resource: kind(of), ..task("deploy") };
        let body = NewItem { body: Some("hunter2".into()), ..bare.clone() };
        let put = bench.store.put(bench.workspace, bench.owner, vec![bare, body], After::Keep).await.unwrap();
        assert!(matches!(&put[..], [Put::Added(_), Put::Refused(cause)] if cause.contains("stays where it is kept")));
    }
}
