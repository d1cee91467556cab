//! Writing rows and reading them natively.

use crate::bench::{Bench, name, task, team_task, titles};
use domain::{
    Time,
    audit::Act,
    id::{ItemId, UserId},
    item::{MAX_ITEM_BYTES, NewItem},
    operation::List,
    rights::Role,
};
use serde_json::json;
use std::time::Duration;
use store::{Access, After, Alike, Put, StoreError};

fn full(title: &str) -> NewItem {
    let attributes = json!({"status": "open", "estimate_minutes": 1.5, "private_remark": "psst 🤫"});
    NewItem {
        body: Some("# Größe\n\u{1F4A1} \"quoted\" \\ back".into()),
        project: Some("hülle".parse().unwrap()),
        tags: ["red", "с т", "a,b"].iter().map(|tag| tag.parse().unwrap()).collect(),
        attributes: attributes.as_object().unwrap().clone(),
        source_key: Some("notes/a.md".into()),
        created_at: Some(Time::from_micros(1_600_000_000_123_456)),
        ..task(title)
    }
}

pub async fn a_row_is_read_back_as_it_was_written(bench: &Bench) {
    let written = full("Büro");
    let ids = bench.put(bench.owner, [written.clone()]).await;
    let read = bench.native_get(bench.owner, ids[0]).await.unwrap();
    assert_eq!(read.title.as_deref(), Some("Büro"));
    assert_eq!((read.body, read.project, read.team), (written.body, written.project, None));
    assert_eq!((read.tags, read.attributes), (written.tags, written.attributes));
    assert_eq!((Some(read.created_at), read.updated_at), (written.created_at, bench.now()));
    assert_eq!(read.owner, Some(name("olga")));
    let listed = bench.native(bench.owner).await;
    assert_eq!(listed[0].body, None, "a list leaves the body out");
    let operation = List { include_body: true, ..List::first(crate::bench::tasks()) };
    let access = Access::Native { workspace: bench.workspace, user: bench.owner, operation: &operation };
    assert!(bench.store.list(access).await.unwrap().items[0].body.is_some(), "unless it is asked for");
}

pub async fn the_same_source_updates_the_same_row(bench: &Bench) {
    let alice = bench.user("alice", Role::Member).await;
    let put = async |user: UserId, items| bench.store.put(bench.workspace, user, items, After::Keep).await.unwrap();
    let ids = bench.put(bench.owner, [full("one")]).await;
    bench.clock.advance(Duration::from_mins(1));
    assert_eq!(put(bench.owner, vec![full("one")]).await, [Put::Unchanged(Some(ids[0]))]);
    let before = bench.native_get(bench.owner, ids[0]).await.unwrap();
    assert_eq!(put(bench.owner, vec![full("two")]).await, [Put::Updated(Some(ids[0]))]);
    let after = bench.native_get(bench.owner, ids[0]).await.unwrap();
    assert_eq!(after.title.as_deref(), Some("two"));
    assert_eq!((after.created_at, after.updated_at), (before.created_at, bench.now()));
    let twice = put(bench.owner, vec![full("three"), full("three"), full("four")]).await;
    let id = Some(ids[0]);
    assert_eq!(twice, [Put::Updated(id), Put::Unchanged(id), Put::Updated(id)], "within one call, in order");
    assert!(matches!(put(alice, vec![full("four")]).await[..], [Put::Added(_)]), "another user's keys are their own");
    let undated = NewItem { created_at: None, ..full("five") };
    put(bench.owner, vec![undated]).await;
    assert_eq!(bench.native_get(bench.owner, ids[0]).await.unwrap().created_at, before.created_at);
}

pub async fn thousands_of_rows_are_written_in_order(bench: &Bench) {
    let row = |n: usize| match n % 100 {
        7 => NewItem { resource: "poems".parse().unwrap(), ..task("a poem") },
        _ => NewItem { source_key: Some(format!("row {n}")), ..task(&format!("row {n}")) },
    };
    let puts = bench.store.put(bench.workspace, bench.owner, (0..3_000).map(row).collect(), After::Keep).await.unwrap();
    assert_eq!(puts.len(), 3_000);
    for (n, put) in puts.iter().enumerate() {
        assert_eq!(matches!(put, Put::Refused(_)), n % 100 == 7, "{n}: {put:?}");
    }
    let again =
        bench.store.put(bench.workspace, bench.owner, (0..3_000).map(row).collect(), After::Keep).await.unwrap();
    let changed = |n: usize| NewItem { project: Some("hull".parse().unwrap()), ..row(n) };
    let third =
        bench.store.put(bench.workspace, bench.owner, (0..3_000).map(changed).collect(), After::Keep).await.unwrap();
    for (first, (again, third)) in puts.iter().zip(again.iter().zip(&third)) {
        let Put::Added(id) = *first else { continue };
        assert_eq!((again, third), (&Put::Unchanged(id), &Put::Updated(id)));
    }
    let Put::Added(Some(id)) = puts[1_234] else { panic!("not added") };
    assert_eq!(bench.native_get(bench.owner, id).await.unwrap().title.as_deref(), Some("row 1234"));
}

pub async fn members_write_their_own_and_their_teams_rows(bench: &Bench) {
    let (alice, guest) = (bench.user("alice", Role::Member).await, bench.user("gast", Role::Guest).await);
    let admin = bench.user("adam", Role::Admin).await;
    bench.team("core", &["alice", "gast"]).await;
    bench.team("ops", &[]).await;
    let one = async |user, item| bench.store.put(bench.workspace, user, vec![item], After::Keep).await;
    assert!(matches!(one(alice, team_task("t", "core")).await.unwrap()[..], [Put::Added(_)]));
    let refused = one(alice, team_task("t", "ops")).await.unwrap();
    let unknown = one(alice, team_task("t", "opz")).await.unwrap();
    let text = |put: &Put| match put {
        Put::Refused(cause) => cause.clone(),
        other => panic!("not refused: {other:?}"),
    };
    assert!(text(&refused[0]).contains("choose one that you can: core"), "{refused:?}");
    assert_eq!(
        text(&refused[0]).replace("ops", "opz"),
        text(&unknown[0]),
        "a team one is not in is as missing as none"
    );
    assert!(matches!(one(admin, team_task("t", "ops")).await.unwrap()[..], [Put::Added(_)]));
    assert!(text(&one(admin, team_task("t", "opz")).await.unwrap()[0]).contains("choose one that you can: core, ops"));
    assert!(matches!(one(guest, team_task("t", "core")).await, Err(StoreError::Denied(_))));
    assert!(matches!(one(guest, task("t")).await, Err(StoreError::Denied(_))));
    assert!(matches!(one(UserId(bench.world.uuid()), task("t")).await, Err(StoreError::Denied(_))), "nobody");
}

pub async fn a_row_that_is_none_is_refused_by_name(bench: &Bench) {
    let attributes = |value: serde_json::Value| value.as_object().unwrap().clone();
    let cases = [
        (
            NewItem { resource: "poems".parse().unwrap(), ..task("Ode") },
            "`Ode`: there is no kind `poems`; api_keys, credentials, ",
        ),
        (NewItem { attributes: attributes(json!({"colour": 1})), ..task("Ode") }, "no attribute `colour`"),
        (NewItem { attributes: attributes(json!({"status": "lost"})), ..task("Ode") }, "one of open, doing"),
        (task(" \t"), "without a title"),
        (NewItem { body: Some("x".repeat(MAX_ITEM_BYTES)), ..task("Ode") }, "`Ode` is larger than 1048576 bytes"),
        (
            NewItem { tags: (0..17_000).map(|n| format!("{n:0>62}").parse().unwrap()).collect(), ..task("Ode") },
            "`Ode` is larger",
        ),
        (NewItem { body: Some("a\0b".into()), ..task("Ode") }, "`Ode` holds a NUL"),
        (NewItem { attributes: attributes(json!({"link": "a\0b"})), ..task("Ode") }, "`Ode` holds a NUL"),
        (NewItem { source_key: Some("k".repeat(1_001)), ..task("Ode") }, "source key of `Ode`"),
    ];
    let (items, texts): (Vec<_>, Vec<_>) = cases.into_iter().unzip();
    let puts = bench.store.put(bench.workspace, bench.owner, items, After::Keep).await.unwrap();
    for (put, text) in puts.iter().zip(texts) {
        assert!(matches!(put, Put::Refused(cause) if cause.contains(text)), "{put:?} does not say {text}");
    }
    let largest = NewItem { body: Some("x".repeat(MAX_ITEM_BYTES - 3)), ..task("Ode") };
    let longest = NewItem { source_key: Some("k".repeat(1_000)), ..task("Ode") };
    bench.put(bench.owner, [largest, longest]).await;
}

pub async fn a_write_that_is_only_tried_says_what_it_would_do_and_leaves_nothing(bench: &Bench) {
    let (alice, gina) = (bench.user("alice", Role::Member).await, bench.user("gina", Role::Guest).await);
    let kept = NewItem { source_key: Some("kept".into()), ..task("kept") };
    let ids = bench.put(alice, [kept.clone()]).await;
    let before = bench.native(alice).await;
    bench.clock.advance(Duration::from_mins(1));
    let order = || {
        let fresh = NewItem { source_key: Some("fresh".into()), ..task("fresh") };
        let changed = NewItem { title: "changed".into(), ..kept.clone() };
        vec![kept.clone(), fresh.clone(), fresh, changed, team_task("no", "nowhere"), task(" ")]
    };
    let said = bench.store.put(bench.workspace, alice, order(), After::Undo).await.unwrap();
    assert_eq!(bench.native(alice).await, before, "nothing was written");
    let done = bench.store.put(bench.workspace, alice, order(), After::Keep).await.unwrap();
    // Of a row that was not there before nothing stayed that could be named.
    let lasting = |id: Option<ItemId>| id.filter(|id| ids.contains(id));
    let undone = |put: Put| match put {
        Put::Added(_) => Put::Added(None),
        Put::Updated(id) => Put::Updated(lasting(id)),
        Put::Unchanged(id) => Put::Unchanged(lasting(id)),
        refused @ Put::Refused(_) => refused,
    };
    assert_eq!(said, done.into_iter().map(undone).collect::<Vec<_>>());
    let tried = bench.store.put(bench.workspace, gina, order(), After::Undo).await;
    assert!(tried.is_err(), "who may write nowhere may try nothing");
}

pub async fn rows_of_a_source_are_counted_for_whose_they_are(bench: &Bench) {
    let (alice, bob) = (bench.user("alice", Role::Member).await, bench.user("bob", Role::Member).await);
    bench.team("core", &["alice", "bob"]).await;
    let of = |key: &str, item: NewItem| NewItem { source_key: Some(key.into()), ..item };
    let rows =
        [of("vault/a", task("a")), of("vault/b/c", team_task("c", "core")), of("vaults/a", task("other")), task("x")];
    bench.put(alice, rows).await;
    bench.put(bob, [of("vault/a", task("bob's"))]).await;
    let core = Some("core".parse().unwrap());
    let asked = [
        (alice, "vault", vec![(None, 1), (core.clone(), 1)]),
        (alice, "vault/b", vec![(core.clone(), 1)]),
        (alice, "vau", vec![]),
        (alice, "%", vec![]),
        (bob, "vault", vec![(None, 1)]),
    ];
    for (user, source, teams) in asked {
        let counted = bench.store.sourced(bench.workspace, user, source, None).await.unwrap();
        assert_eq!(counted, teams.into_iter().collect(), "{source}");
    }
    let keys = ["vault/b/c", "vaults/a", "vault/never"].map(ToOwned::to_owned);
    let counted = bench.store.sourced(bench.workspace, alice, "vault", Some(&keys)).await.unwrap();
    assert_eq!(counted, [(core, 1)].into(), "of the rows with these keys");
    assert!(bench.store.sourced(bench.workspace, alice, "vault", Some(&[])).await.unwrap().is_empty());
}

pub async fn rows_like_those_of_another_place_are_counted_by_it(bench: &Bench) {
    let (alice, bob) = (bench.user("alice", Role::Member).await, bench.user("bob", Role::Member).await);
    let of = |key: &str, item: NewItem| NewItem { source_key: Some(key.into()), ..item };
    let rows = [
        of("/old/a.md", task("a")),
        of("/old/sub/b_.md", task("b")),
        of("/old/c.md", task("another")),
        of("/older/x/a.md", task("a")),
        of("/new/a.md", task("a")),
        task("a"),
    ];
    bench.put(alice, rows).await;
    bench.put(bob, [of("/his/a.md", task("a"))]).await;
    let like =
        |title: &str, end: &str| Alike { resource: "tasks".parse().unwrap(), title: title.into(), key_end: end.into() };
    let asked = [like("a", "/a.md"), like("b", "/sub/b_.md"), like("c", "/c.md"), like("b", "/sub/bx.md")];
    let found = bench.store.alike(bench.workspace, alice, "/new", &asked).await.unwrap();
    assert_eq!(found, [("/old".to_owned(), 2), ("/older/x".to_owned(), 1)].into());
    let notes = Alike { resource: "notes".parse().unwrap(), ..like("a", "/a.md") };
    assert!(bench.store.alike(bench.workspace, alice, "/new", &[notes]).await.unwrap().is_empty());
    assert!(bench.store.alike(bench.workspace, alice, "/new", &[]).await.unwrap().is_empty());
}

pub async fn everybody_reads_what_their_role_and_teams_allow(bench: &Bench) {
    let (alice, bob) = (bench.user("alice", Role::Member).await, bench.user("bob", Role::Member).await);
    let (guest, admin) = (bench.user("gast", Role::Guest).await, bench.user("adam", Role::Admin).await);
    bench.team("core", &["alice", "gast"]).await;
    bench.team("ops", &["bob"]).await;
    bench.put(alice, [task("alice's"), team_task("core's", "core")]).await;
    let bobs = bench.put(bob, [task("bob's"), team_task("ops'", "ops")]).await;
    let cases = [
        (alice, vec!["core's", "alice's"]),
        (bob, vec!["ops'", "bob's"]),
        (guest, vec!["core's"]),
        (admin, vec!["ops'", "core's"]),
        (bench.owner, vec!["ops'", "core's"]),
        (UserId(bench.world.uuid()), vec![]),
    ];
    for (user, rows) in cases {
        assert_eq!(titles(&bench.native(user).await), rows);
        let operation = List::first(crate::bench::tasks());
        let workspace = domain::id::WorkspaceId(bench.world.uuid());
        let elsewhere = Access::Native { workspace, user, operation: &operation };
        assert!(bench.store.list(elsewhere).await.unwrap().items.is_empty(), "no workspace, no rows");
    }
    assert!(bench.native_get(bob, bobs[0]).await.is_some());
    assert!(bench.native_get(alice, bobs[0]).await.is_none() && bench.native_get(alice, bobs[1]).await.is_none());
}

pub async fn a_taken_membership_is_missed_at_once(bench: &Bench) {
    let alice = bench.user("alice", Role::Member).await;
    bench.team("core", &["alice"]).await;
    let item = NewItem { source_key: Some("k".into()), ..team_task("core's", "core") };
    bench.put(alice, [item.clone()]).await;
    let core = "core".parse().unwrap();
    bench.store.set_member(&name("main"), &core, &name("alice"), None, bench.act(Act::TeamEdit)).await.unwrap();
    assert!(bench.native(alice).await.is_empty());
    let moved = NewItem { team: None, ..item };
    let put = bench.store.put(bench.workspace, alice, vec![moved], After::Keep).await.unwrap();
    assert!(matches!(&put[..], [Put::Refused(cause)] if cause.contains("no longer change")), "{put:?}");
    bench.store.set_role(&name("alice"), &name("main"), None, bench.act(Act::UserEdit)).await.unwrap();
    let denied = bench.store.put(bench.workspace, alice, vec![task("t")], After::Keep).await;
    assert!(matches!(denied, Err(StoreError::Denied(_))));
}
