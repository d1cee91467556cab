//! Users, workspaces and teams.

use crate::bench::{Bench, everything, name, task, team_task, titles};
use domain::{
    audit::Act,
    grant::State,
    id::{UserId, WorkspaceId},
    rights::Role,
};
use store::StoreError;

fn conflict<T: std::fmt::Debug>(result: Result<T, StoreError>) -> String {
    match result {
        Err(StoreError::Conflict(cause)) => cause,
        other => panic!("no conflict: {other:?}"),
    }
}

fn missing<T: std::fmt::Debug>(result: Result<T, StoreError>) -> String {
    match result {
        Err(StoreError::Missing(cause)) => cause,
        other => panic!("not missing: {other:?}"),
    }
}

pub async fn an_instance_is_made_once(bench: &Bench) {
    let (place, owner) =
        ((WorkspaceId(bench.world.uuid()), name("other")), (UserId(bench.world.uuid()), name("otto"), None));
    let again = bench.store.create_instance(&bench.identity(), place, owner, bench.act(Act::Start)).await;
    assert!(conflict(again).contains("belongs to an instance"));
    let instance = bench.store.instance().await.unwrap().unwrap();
    assert_eq!((instance.name, instance.root), (name("office"), vec![1]));
    let workspaces = bench.store.workspaces().await.unwrap();
    assert_eq!(workspaces.iter().map(|place| (place.name.as_str(), place.members)).collect::<Vec<_>>(), [("main", 1)]);
    bench.store.ping().await.unwrap();
}

pub async fn names_and_uids_are_unique(bench: &Bench) {
    let add = async |user: &str, uid: Option<u32>| {
        let id = UserId(bench.world.uuid());
        bench.store.add_user(id, &name(user), uid, &name("main"), Role::Member, bench.act(Act::UserAdd)).await
    };
    let alice = add("alice", Some(u32::MAX)).await.unwrap();
    assert!(conflict(add("alice", None).await).contains("`alice`"));
    assert_eq!(
        conflict(add("bob", Some(u32::MAX)).await),
        "uid 4294967295 acts as user `alice` already; leave --uid out or choose another, and see `mosaic-fed user list`"
    );
    let both = conflict(add("olga", Some(u32::MAX)).await);
    assert!(
        both.starts_with("there is a user `olga` already, owner of main, and uid 4294967295 acts as user `alice`"),
        "{both}"
    );
    let id = WorkspaceId(bench.world.uuid());
    bench.store.add_workspace(id, &name("lab"), bench.owner, bench.act(Act::WorkspaceAdd)).await.unwrap();
    let id = UserId(bench.world.uuid());
    let elsewhere =
        bench.store.add_user(id, &name("alice"), None, &name("lab"), Role::Guest, bench.act(Act::UserAdd)).await;
    assert_eq!(
        conflict(elsewhere),
        "there is a user `alice` already, who is not in lab; `mosaic-fed --workspace lab user role alice guest`"
    );
    assert_eq!(bench.store.user_of_uid(u32::MAX).await.unwrap(), Some(alice.clone()));
    assert_eq!(bench.store.user_of_uid(7).await.unwrap(), None);
    assert_eq!(bench.store.user_of_id(alice.id).await.unwrap().as_ref(), Some(&alice));
    assert_eq!(bench.store.user_of_id(UserId(bench.world.uuid())).await.unwrap(), None);
    assert_eq!(bench.store.user(&name("alice")).await.unwrap(), Some(alice));
    assert_eq!(bench.store.user(&name("bob")).await.unwrap(), None);
    let users = bench.store.users().await.unwrap();
    assert_eq!(users.iter().map(|user| user.name.as_str()).collect::<Vec<_>>(), ["alice", "olga"]);
}

pub async fn a_role_is_given_changed_and_taken_with_the_teams(bench: &Bench) {
    bench.user("alice", Role::Guest).await;
    bench.team("core", &["alice"]).await;
    let set =
        async |role| bench.store.set_role(&name("alice"), &name("main"), role, bench.act(Act::UserEdit)).await.unwrap();
    let admin = set(Some(Role::Admin)).await;
    assert_eq!(admin.roles[&name("main")], Role::Admin);
    assert_eq!(admin.teams[&name("main")], ["core".parse().unwrap()]);
    let gone = set(None).await;
    assert!(gone.roles.is_empty() && gone.teams.is_empty());
    let teams = bench.store.teams(&name("main")).await.unwrap();
    assert!(teams[0].members.is_empty(), "{teams:?}");
    assert_eq!(set(Some(Role::Member)).await.teams.len(), 0);
}

pub async fn a_workspace_keeps_an_owner(bench: &Bench) {
    let demote = async |role| bench.store.set_role(&name("olga"), &name("main"), role, bench.act(Act::UserEdit)).await;
    assert!(conflict(demote(Some(Role::Admin)).await).contains("no owner left"));
    assert!(conflict(demote(None).await).contains("no owner left"));
    let removed = bench.store.remove_user(&name("olga"), bench.act(Act::UserRemove)).await;
    assert!(conflict(removed).contains("no owner left"));
    assert!(conflict(bench.store.belongings(&name("olga")).await).contains("no owner left"));
    bench.user("alice", Role::Owner).await;
    bench.store.belongings(&name("olga")).await.unwrap();
    assert_eq!(demote(Some(Role::Member)).await.unwrap().roles[&name("main")], Role::Member);
}

pub async fn a_team_has_members_of_its_workspace_only(bench: &Bench) {
    bench.user("alice", Role::Member).await;
    bench.team("core", &["alice"]).await;
    let id = WorkspaceId(bench.world.uuid());
    bench.store.add_workspace(id, &name("lab"), bench.owner, bench.act(Act::WorkspaceAdd)).await.unwrap();
    let lab = bench.store.add_team(&name("lab"), &"core".parse().unwrap(), bench.act(Act::TeamEdit)).await.unwrap();
    assert!(lab.members.is_empty(), "one team of this id in each workspace");
    let core = "core".parse().unwrap();
    let set = async |place: &str, role| {
        bench.store.set_member(&name(place), &core, &name("alice"), role, bench.act(Act::TeamEdit)).await
    };
    assert!(
        missing(set("lab", Some(Role::Member)).await)
            .contains("`alice` is not in workspace lab; `mosaic-fed --workspace lab user role alice member`")
    );
    assert!(conflict(set("main", Some(Role::Guest)).await).contains("no guests"));
    assert_eq!(set("main", Some(Role::Owner)).await.unwrap().members[&name("alice")], Role::Owner);
    assert!(set("main", None).await.unwrap().members.is_empty());
    assert!(conflict(bench.store.add_team(&name("main"), &core, bench.act(Act::TeamEdit)).await).contains("`core`"));
}

pub async fn what_does_not_exist_is_said_with_what_does(bench: &Bench) {
    bench.team("core", &[]).await;
    let nowhere = bench.store.teams(&name("nowhere")).await;
    assert!(missing(nowhere).contains("main exists"));
    let (team, record) = ("cor".parse().unwrap(), bench.act(Act::TeamEdit));
    let unknown = bench.store.set_member(&name("main"), &team, &name("olga"), None, record).await;
    assert!(missing(unknown).contains("core exists"));
    let nobody = bench.store.set_role(&name("nobody"), &name("main"), None, bench.act(Act::UserEdit)).await;
    assert!(missing(nobody).contains("`nobody`"));
    let (id, record) = (WorkspaceId(bench.world.uuid()), bench.act(Act::WorkspaceAdd));
    missing(bench.store.add_workspace(id, &name("lab"), UserId(bench.world.uuid()), record).await);
    let taken = bench.store.add_workspace(id, &name("main"), bench.owner, bench.act(Act::WorkspaceAdd)).await;
    assert!(conflict(taken).contains("`main`"));
}

pub async fn a_removed_user_takes_links_rows_and_grants_along(bench: &Bench) {
    let alice = bench.user("alice", Role::Member).await;
    bench.team("core", &["alice"]).await;
    bench.put(alice, [task("her own"), team_task("the team's", "core")]).await;
    let grant = bench.grant("home", alice, &everything()).await;
    let other = bench.grant("other", bench.owner, &everything()).await;
    bench.store.add_link(&super::links::link(bench, alice, "work"), bench.act(Act::LinkAdd)).await.unwrap();
    let head = bench.store.head().await.unwrap().sequence;
    let belongings = store::Belongings { rows: 1, links: 1 };
    assert_eq!(bench.store.belongings(&name("alice")).await.unwrap(), belongings);
    for role in [Some(Role::Guest), None, Some(Role::Member)] {
        bench.store.set_role(&name("alice"), &name("main"), role, bench.act(Act::UserEdit)).await.unwrap();
        assert_eq!(bench.store.belongings(&name("alice")).await.unwrap(), belongings, "out of reach is not gone");
        assert_eq!(bench.store.user(&name("alice")).await.unwrap().unwrap().roles.get(&name("main")).copied(), role);
    }
    missing(bench.store.belongings(&name("nobody")).await);
    let head = head + 3;

    let revoked = bench.store.remove_user(&name("alice"), bench.act(Act::UserRemove)).await.unwrap();

    assert_eq!(revoked.iter().map(|grant| (grant.id, grant.state)).collect::<Vec<_>>(), [(grant.id, State::Revoked)]);
    assert_eq!(bench.standing().await, [other]);
    assert_eq!(bench.store.standing(None).await.unwrap().refused, [grant.leaf.unwrap()]);
    assert!(bench.store.link_directory().await.unwrap().is_empty());
    let left = bench.native(bench.owner).await;
    assert_eq!(titles(&left), ["the team's"]);
    assert_eq!(left[0].owner, None, "the owner's name went with them");
    assert_eq!(bench.store.head().await.unwrap().sequence, head + 2, "the removal and the revocation are recorded");
    assert_eq!(bench.store.user(&name("alice")).await.unwrap(), None);
    let view = bench.store.grants().await.unwrap();
    assert!(view.iter().any(|view| view.grant.id == grant.id && view.subject_name == name("alice")));
}
