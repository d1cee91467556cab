//! What no grant may exceed.

use crate::bench::{Bench, everything, name, sharing};
use domain::{
    audit::Act,
    grant::Grant,
    scope::{ceiling::Ceiling, spec::FilterSpec},
};
use std::time::Duration;
use store::{KeptCeiling, Narrowed, StoreError};

fn kept(bench: &Bench, ceiling: &str) -> KeptCeiling {
    let ceiling: Ceiling = serde_json::from_str(ceiling).unwrap();
    KeptCeiling { ceiling, set_at: bench.now(), set_by: name("dana") }
}

async fn set(bench: &Bench, ceiling: Option<&str>, narrowed: Vec<Narrowed>) -> Result<Vec<Grant>, StoreError> {
    let kept = ceiling.map(|ceiling| kept(bench, ceiling));
    bench.store.set_ceiling(kept.as_ref(), narrowed, bench.act(Act::PolicySet)).await
}

const FEW_ROWS: &str = r#"{"max_rows_per_query": 10}"#;

pub async fn no_grant_is_made_or_edited_beyond_the_ceiling(bench: &Bench) {
    assert_eq!(bench.store.ceiling().await.unwrap(), None);
    set(bench, Some(FEW_ROWS), Vec::new()).await.unwrap();
    assert_eq!(bench.store.ceiling().await.unwrap(), Some(kept(bench, FEW_ROWS)));
    let (wide, few) = (everything(), domain::scope::Spec { max_rows_per_query: Some(10), ..everything() });
    let beyond = bench.draft("home", bench.owner, &wide);
    let refused = bench.store.create_grant(&beyond, bench.act(Act::GrantCreate)).await;
    assert!(
        matches!(&refused, Err(StoreError::Conflict(cause)) if cause.contains("max_rows_per_query is 1000, at most 10"))
    );
    let grant = bench.pending("home", bench.owner, &few).await;
    let widened = bench.store.edit_grant(grant.id, 1, &bench.scope(&wide), bench.act(Act::GrantEdit)).await;
    assert!(matches!(widened, Err(StoreError::Conflict(cause)) if cause.contains("max_rows_per_query")));
    set(bench, None, Vec::new()).await.unwrap();
    assert_eq!(bench.store.ceiling().await.unwrap(), None);
    bench.store.edit_grant(grant.id, 1, &bench.scope(&wide), bench.act(Act::GrantEdit)).await.unwrap();
}

pub async fn a_ceiling_below_a_grant_is_refused_or_narrows_it(bench: &Bench) {
    let grant = bench.grant("home", bench.owner, &everything()).await;
    let ended = bench.pending("ended", bench.owner, &everything()).await;
    bench.store.revoke_grant(ended.id, bench.act(Act::GrantRevoke)).await.unwrap();
    let refused = set(bench, Some(FEW_ROWS), Vec::new()).await;
    assert!(matches!(&refused, Err(StoreError::Conflict(cause)) if cause.contains("grant home")), "{refused:?}");
    assert_eq!(bench.store.ceiling().await.unwrap(), None, "nothing of it took effect");
    let scope = bench.scope(&domain::scope::Spec { max_rows_per_query: Some(10), ..everything() });
    let narrowed = |generation| {
        vec![Narrowed {
            grant: grant.id,
            generation,
            scope: scope.clone(),
            record: bench.about(Act::GrantEdit, grant.id),
        }]
    };
    let stale = set(bench, Some(FEW_ROWS), narrowed(1)).await;
    assert!(matches!(stale, Err(StoreError::Conflict(cause)) if cause.contains("by somebody else meanwhile")));
    let edited = set(bench, Some(FEW_ROWS), narrowed(grant.generation)).await.unwrap();
    assert_eq!(bench.standing().await, edited);
    assert_eq!((edited[0].scope.max_rows(), edited[0].generation), (10, grant.generation + 1));
    bench.clock.advance(Duration::from_hours(24 * 91));
    set(bench, Some(r#"{"max_rows_per_query": 9}"#), Vec::new()).await.unwrap();
}

pub async fn of_a_ceiling_and_a_grant_at_once_one_wins(bench: &Bench) {
    let personal = sharing(FilterSpec { include_personal: Some(true), ..FilterSpec::default() });
    for number in 0..8 {
        set(bench, None, Vec::new()).await.unwrap();
        let draft = bench.draft(&format!("home-{number}"), bench.owner, &personal);
        let (made, bound) = tokio::join!(
            bench.store.create_grant(&draft, bench.act(Act::GrantCreate)),
            set(bench, Some(FEW_ROWS), Vec::new()),
        );
        assert!(made.is_ok() != bound.is_ok(), "made {made:?}, bound {bound:?}");
        if made.is_ok() {
            bench.store.revoke_grant(draft.id, bench.act(Act::GrantRevoke)).await.unwrap();
        }
    }
}
