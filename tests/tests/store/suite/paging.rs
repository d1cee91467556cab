//! How a list is cut: pages, chunks, caps.

use crate::bench::{Bench, everything, sharing, task, tasks, titles};
use domain::{
    decide::CHUNK_BYTES,
    item::NewItem,
    operation::{List, Progress},
    page::PageToken,
    scope::spec::FilterSpec,
};
use std::time::Duration;
use store::{Access, After, StoreError};

/// Rows of one instant in threes, so that ids decide among them.
async fn write(bench: &Bench, rows: usize) {
    let row = |n: usize| NewItem {
        created_at: Some(bench.now() + Duration::from_secs((n / 3) as u64)),
        ..task(&format!("row {n}"))
    };
    let puts = bench.store.put(bench.workspace, bench.owner, (0..rows).map(row).collect(), After::Keep).await.unwrap();
    assert_eq!(puts.len(), rows);
}

pub async fn pages_are_stable_while_rows_are_added(bench: &Bench) {
    write(bench, 50).await;
    let grant = bench.grant("home", bench.owner, &everything()).await;
    let whole = titles(&bench.listed(&grant).await);
    let (mut seen, mut page) = (Vec::new(), None);
    loop {
        let permit = bench.permit(&grant, List { limit: Some(7), page, ..List::first(tasks()) });
        let chunk = bench.store.list(Access::Granted(&permit)).await.unwrap();
        seen.extend(titles(&chunk.items));
        // Newer rows come before what was read already and so are not met; nothing is read twice or left out.
        bench.clock.advance(Duration::from_hours(1));
        bench.put(bench.owner, [task("newer")]).await;
        let Some(last) = chunk.items.last().filter(|_| chunk.more) else { break };
        page = Some(PageToken::decode(&permit.token(last.position()).encode()).unwrap());
    }
    assert_eq!(seen, whole);
    let mut sorted = seen.clone();
    sorted.sort();
    sorted.dedup();
    assert_eq!((sorted.len(), seen.len()), (50, 50));
}

pub async fn a_page_token_of_another_query_is_refused(bench: &Bench) {
    write(bench, 5).await;
    let operation = List { limit: Some(2), ..List::first(tasks()) };
    let native = |operation| Access::Native { workspace: bench.workspace, user: bench.owner, operation };
    let chunk = bench.store.list(native(&operation)).await.unwrap();
    let position = chunk.items[1].position();
    let mine = PageToken::new(operation.binding(&bench.owner.to_string()), position);
    let next = List { page: Some(mine), ..operation.clone() };
    assert_eq!(bench.store.list(native(&next)).await.unwrap().items.len(), 2);
    let foreign = PageToken::new(operation.binding("somebody else"), position);
    let next = List { page: Some(foreign), ..operation.clone() };
    assert!(matches!(bench.store.list(native(&next)).await, Err(StoreError::PageToken(_))));
}

pub async fn a_chunk_holds_at_most_200_rows(bench: &Bench) {
    write(bench, 201).await;
    let grant = bench.grant("home", bench.owner, &everything()).await;
    let permit = bench.permit(&grant, List::first(tasks()));
    let first = bench.store.list(Access::Granted(&permit)).await.unwrap();
    assert_eq!((first.items.len(), first.more), (200, true));
    let after = first.items[199].position();
    let progress = Some(Progress { after, rows: 200 });
    let permit = bench.permit(&grant, List { progress, ..List::first(tasks()) });
    let second = bench.store.list(Access::Granted(&permit)).await.unwrap();
    assert_eq!((second.items.len(), second.more), (1, false));
    let operation = List { progress, ..List::first(tasks()) };
    let access = Access::Native { workspace: bench.workspace, user: bench.owner, operation: &operation };
    assert_eq!(bench.store.list(access).await.unwrap().items, second.items, "a local user's chunks are cut the same");
}

pub async fn a_chunk_holds_at_most_256_kib_of_bodies(bench: &Bench) {
    let large = |n: usize| NewItem { body: Some("x".repeat(100 * 1024)), ..task(&format!("row {n}")) };
    bench.put(bench.owner, (0..7).map(large)).await;
    let huge = NewItem { body: Some("x".repeat(600 * 1024)), ..task("huge") };
    bench.put(bench.owner, [huge]).await;
    let grant = bench.grant("home", bench.owner, &everything()).await;
    let (mut progress, mut chunks) = (None, Vec::new());
    loop {
        let permit = bench.permit(&grant, List { include_body: true, progress, ..List::first(tasks()) });
        let chunk = bench.store.list(Access::Granted(&permit)).await.unwrap();
        let bytes: usize = chunk.items.iter().map(domain::item::Item::size).sum();
        assert!(chunk.items.len() == 1 || bytes <= CHUNK_BYTES, "{bytes} bytes");
        chunks.push(chunk.items.len());
        let rows = chunks.iter().map(|rows| u32::try_from(*rows).unwrap()).sum();
        progress = chunk.items.last().map(|last| Progress { after: last.position(), rows });
        if !chunk.more {
            break;
        }
    }
    assert_eq!(chunks, [1, 2, 2, 2, 1], "the huge row alone, then as many as fit");
    assert_eq!(bench.listed(&grant).await.len(), 8, "without bodies they all fit");
}

pub async fn the_row_cap_ends_an_answer(bench: &Bench) {
    write(bench, 10).await;
    let mut spec = sharing(FilterSpec { include_personal: Some(true), ..FilterSpec::default() });
    spec.max_rows_per_query = Some(4);
    let grant = bench.grant("home", bench.owner, &spec).await;
    for (limit, rows) in [(None, 4), (Some(100), 4), (Some(3), 3), (Some(0), 0)] {
        let permit = bench.permit(&grant, List { limit, ..List::first(tasks()) });
        let chunk = bench.store.list(Access::Granted(&permit)).await.unwrap();
        assert_eq!((chunk.items.len(), chunk.more), (rows, true), "{limit:?}");
    }
}
