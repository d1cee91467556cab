//! The algebra against an oracle that only asks `admit`, and the reader against every rule it states.

use super::{
    spec::{FilterSpec, Tags},
    *,
};
use crate::{
    id::{ItemId, UserId, WorkspaceId},
    item::{Item, StoredItem, Whose},
    kind::Kinds,
};
use proptest::{
    collection::{btree_set, vec},
    option,
    prelude::*,
    sample::{select, subsequence},
};
use uuid::Uuid;

const NOW: Time = Time::from_seconds(1_790_000_000);

fn context() -> Context<'static> {
    Context { kinds: Kinds::builtin(), now: NOW, personal: false, sensitive: false }
}

fn close(json: &str) -> Result<Scope, ScopeError> {
    serde_json::from_str::<Spec>(json).unwrap().close(context())
}

fn words(prefix: &'static str) -> impl Strategy<Value = Vec<String>> {
    subsequence(vec![1, 2, 3], 1..=3).prop_map(move |all| all.iter().map(|n| format!("{prefix}{n}")).collect())
}

fn filters() -> impl Strategy<Value = FilterSpec> {
    let tags = prop_oneof![words("tag").prop_map(Tags::Any), vec(words("tag"), 1..3).prop_map(Tags::Each),];
    let since = option::of((0..3_i64).prop_map(|n| Time::from_seconds(1_780_000_000 + n)));
    (option::of(words("T")), any::<bool>(), option::of(words("P")), option::of(tags), since).prop_map(
        |(include_teams, personal, include_projects, include_tags, since)| FilterSpec {
            include_teams,
            include_personal: Some(personal),
            include_projects,
            include_tags,
            since,
        },
    )
}

prop_compose! {
    fn scopes()(
        resources in subsequence(vec!["tasks", "notes"], 1..=2),
        tasks in filters(),
        notes in filters(),
        fields in option::of(subsequence(vec!["title", "body", "status"], 1..=3)),
        withhold in option::of(subsequence(vec![Class::Public, Class::Internal, Class::Personal, Class::Secret], 0..=4)),
        verbs in option::of(subsequence(Verb::ALL.to_vec(), 1..=4)),
        doors in option::of(subsequence(Door::ALL.to_vec(), 1..=4)),
        commands in subsequence(vec!["a", "b"], 0..=2),
        rows in 1..4_u32,
        burst in 1..4_u32,
        days in 1..4_u64,
    ) -> Scope {
        let mut spec = Spec::sharing("main".parse().unwrap(), resources.iter().map(ToString::to_string).collect());
        for (name, filter) in [("tasks", tasks), ("notes", notes)] {
            if resources.contains(&name) {
                spec.filters.insert(name.into(), filter);
            }
        }
        if let Some(fields) = fields && resources.contains(&"tasks") {
            spec.fields.insert("tasks".into(), fields.iter().map(ToString::to_string).collect());
        }
        spec.withhold = withhold;
        spec.verbs = verbs;
        spec.doors = doors;
        spec.commands = commands.iter().map(ToString::to_string).collect();
        spec.max_rows_per_query = Some(rows);
        spec.rate = Some(Rate { per_minute: 5, burst });
        spec.not_after = Some(NOW + std::time::Duration::from_secs(days * 86_400));
        spec.close(context()).unwrap()
    }
}

prop_compose! {
    fn items()(
        resource in select(vec!["tasks", "notes"]),
        team in option::of(select(vec!["T1", "T2", "T3", "T9"])),
        project in option::of(select(vec!["P1", "P2", "P3", "P9"])),
        tags in btree_set(select(vec!["tag1", "tag2", "tag3", "tag9"]), 0..4),
        updated in 0..4_i64,
    ) -> Item {
        Item {
            id: ItemId(Uuid::from_u128(1)),
            resource: resource.parse().unwrap(),
            created_at: NOW,
            updated_at: Time::from_seconds(1_780_000_000 + updated - 1),
            title: Some("t".into()),
            body: None,
            team: team.map(|t| t.parse().unwrap()),
            project: project.map(|p| p.parse().unwrap()),
            owner: None,
            tags: tags.iter().map(|t| t.parse().unwrap()).collect(),
            attributes: serde_json::Map::new(),
        }
    }
}

fn admits(scope: &Scope, item: &Item) -> bool {
    let filter = scope.filter(&item.resource);
    let (workspace, owner) = (WorkspaceId(Uuid::nil()), UserId(Uuid::nil()));
    let stored = StoredItem { workspace, whose: Whose::Of(owner), item: item.clone() };
    filter.is_some_and(|filter| filter.admit(&stored))
}

/// Every row that differs in a way a filter can see: containment claimed or denied must show on one of them.
fn universe() -> Vec<Item> {
    let pick = |all: &[&str]| -> Vec<Option<String>> {
        std::iter::once(None).chain(all.iter().map(|one| Some((*one).to_owned()))).collect()
    };
    let mut rows = Vec::new();
    for resource in ["tasks", "notes"] {
        for team in pick(&["T1", "T2", "T3", "T9"]) {
            for project in pick(&["P1", "P2", "P3", "P9"]) {
                for mask in 0..16_u8 {
                    for updated in -1..4_i64 {
                        let tags = ["tag1", "tag2", "tag3", "tag9"].iter().enumerate();
                        rows.push(Item {
                            id: ItemId(Uuid::from_u128(1)),
                            resource: resource.parse().unwrap(),
                            created_at: NOW,
                            updated_at: Time::from_seconds(1_780_000_000 + updated),
                            title: None,
                            body: None,
                            team: team.as_ref().map(|t| t.parse().unwrap()),
                            project: project.as_ref().map(|p| p.parse().unwrap()),
                            owner: None,
                            tags: tags
                                .filter(|(at, _)| mask & (1 << at) != 0)
                                .map(|(_, t)| t.parse().unwrap())
                                .collect(),
                            attributes: serde_json::Map::new(),
                        });
                    }
                }
            }
        }
    }
    rows
}

/// Containment by definition, over every row and every other permission there is.
fn contains_by_definition(outer: &Scope, inner: &Scope, rows: &[Item]) -> bool {
    rows.iter().all(|row| !admits(inner, row) || admits(outer, row))
        && inner.resources.iter().all(|(name, theirs)| {
            outer.resources.get(name).is_some_and(|ours| theirs.fields.iter().all(|field| ours.fields.contains(field)))
        })
        && Verb::ALL.iter().all(|verb| !inner.allows(*verb) || outer.allows(*verb))
        && Door::ALL.iter().all(|door| !inner.doors.contains(door) || outer.doors.contains(door))
        && inner.commands.iter().all(|command| outer.commands.contains(command))
        && inner.max_rows <= outer.max_rows
        && inner.rate.burst <= outer.rate.burst
        && inner.rate.per_minute <= outer.rate.per_minute
        && inner.not_after <= outer.not_after
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn contains_is_exact(a in scopes(), b in scopes()) {
        let rows = universe();
        prop_assert_eq!(a.contains(&b), contains_by_definition(&a, &b, &rows));
        // Unrelated scopes seldom contain each other, so the other direction of the oracle needs related ones.
        if let Some(both) = a.intersect(&b) {
            prop_assert!(a.contains(&both) && b.contains(&both));
            prop_assert_eq!(both.contains(&a), contains_by_definition(&both, &a, &rows));
        }
    }

    #[test]
    fn intersect_admits_exactly_the_rows_both_admit(a in scopes(), b in scopes(), rows in vec(items(), 40)) {
        let both = a.intersect(&b);
        for row in rows {
            let expected = admits(&a, &row) && admits(&b, &row);
            let verbs = !a.verbs.is_disjoint(&b.verbs) && !a.doors.is_disjoint(&b.doors);
            prop_assert_eq!(both.as_ref().is_some_and(|both| admits(both, &row)), expected && verbs);
        }
        let kept_back = &a.withheld | &b.withheld;
        prop_assert!(both.as_ref().is_none_or(|both| both.withheld == kept_back), "{:?}", both);
        prop_assert_eq!(&both, &b.intersect(&a));
        prop_assert_eq!(a.intersect(&a), Some(a));
    }

    #[test]
    fn a_scope_written_out_reads_back_the_same_in_any_context(a in scopes(), b in scopes(), personal: bool) {
        for scope in [Some(a.clone()), a.intersect(&b)].into_iter().flatten() {
            let text = serde_json::to_string(&scope.to_spec()).unwrap();
            let context = Context { now: NOW + std::time::Duration::from_hours(2_500), personal, ..context() };
            prop_assert_eq!(serde_json::from_str::<Spec>(&text).unwrap().read(context).unwrap(), scope);
        }
    }
}

#[test]
fn absent_keys_take_the_documented_defaults() {
    let scope = close(r#"{"workspace":"main","resources":["tasks"]}"#).unwrap();
    let tasks = scope.filter(&"tasks".parse().unwrap()).unwrap();
    assert!(Verb::ALL.iter().all(|verb| scope.allows(*verb)));
    assert!(scope.commands.is_empty() && scope.topics.is_empty());
    assert!(!tasks.fields.contains(&"private_remark".parse().unwrap()));
    assert!(tasks.fields.contains(&"body".parse().unwrap()));
    assert!(!tasks.personal && tasks.teams.is_none());
    assert_eq!((scope.rate(), scope.max_rows()), (Rate::DEFAULT, 1_000));
    assert_eq!(scope.not_after(), NOW + spec::DEFAULT_LIFE);
}

#[test]
fn a_secret_field_leaves_only_when_named() {
    let named = close(r#"{"workspace":"main","resources":["tasks"],"fields":{"tasks":["private_remark"]}}"#).unwrap();
    let fields = &named.filter(&"tasks".parse().unwrap()).unwrap().fields;
    assert_eq!(fields.iter().map(Field::as_str).collect::<Vec<_>>(), ["private_remark"]);
}

#[test]
fn limits_are_checked_at_one_below_at_and_one_above() {
    for (rows, ok) in [(0, false), (1, true), (10_000, true), (10_001, false)] {
        let text = format!(r#"{{"workspace":"main","resources":["tasks"],"max_rows_per_query":{rows}}}"#);
        assert_eq!(close(&text).is_ok(), ok, "{rows}");
    }
    for (rate, ok) in [(0, false), (1, true), (100_000, true), (100_001, false)] {
        let text =
            format!(r#"{{"workspace":"main","resources":["tasks"],"rate":{{"per_minute":{rate},"burst":{rate}}}}}"#);
        assert_eq!(close(&text).is_ok(), ok, "{rate}");
    }
}

#[test]
fn every_bad_scope_says_what_would_have_been_right() {
    let bad = [
        (r#""resources":[]"#, "name at least one kind (api_keys, "),
        (r#""resources":["passwords"]"#, "no kind `passwords`; api_keys, "),
        (r#""resources":["tasks"],"excluded_resources":["tasks"]"#, "both shared and excluded"),
        (r#""resources":["tasks"],"filters":{"notes":{}}"#, "not among the shared kinds"),
        (r#""resources":["tasks"],"filters":{"tasks":{"include_teams":[]}}"#, "`include_teams` is an empty list"),
        (r#""resources":["tasks"],"filters":{"tasks":{"include_tags":[]}}"#, "`include_tags` is an empty list"),
        (r#""resources":["tasks"],"filters":{"tasks":{"include_projects":[]}}"#, "`include_projects` is an empty"),
        (r#""resources":["tasks"],"filters":{"tasks":{"include_teams":["a\u0000"]}}"#, "bad entry"),
        (r#""resources":["tasks"],"fields":{"tasks":["colour"]}"#, "no field `colour`; assignee, body"),
        (r#""resources":["tasks"],"verbs":[]"#, "`verbs` is an empty list"),
        (r#""resources":["tasks"],"not_after":"2020-01-01T00:00:00Z""#, "which is past"),
    ];
    for (body, message) in bad {
        let error = close(&format!(r#"{{"workspace":"main",{body}}}"#)).unwrap_err().to_string();
        assert!(error.contains(message), "{body}: {error}");
    }
}

#[test]
fn an_unknown_key_is_refused() {
    let unknown = serde_json::from_str::<Spec>(r#"{"workspace":"main","resources":["tasks"],"max_row":1}"#);
    assert!(unknown.unwrap_err().to_string().contains("unknown field `max_row`"));
}

#[test]
fn sensitive_kinds_need_an_explicit_confirmation() {
    let kinds: Kinds =
        serde_json::from_str(r#"{"common":{},"kinds":{"api_keys":{"sensitive":true,"fields":{}}}}"#).unwrap();
    let spec = Spec::sharing("main".parse().unwrap(), vec!["api_keys".into()]);
    let context = Context { kinds: &kinds, ..context() };
    assert!(matches!(spec.close(context), Err(ScopeError::Sensitive { .. })));
    assert!(spec.close(Context { sensitive: true, ..context }).is_ok());
}
