//! One question to many sources: the page that an asking side merges, against its slowest source; and rows as they arrive where some of the sources
//! hang, are slow, refuse or are away.
//!
//! Map: [`home`] is the asking side, the daemon's own hub on a PostgreSQL of its own; [`Daemon`]s are whole built ones; [`wire`] notes when bytes
//! came and makes one source slow. Sources that are no daemons are grants of one sharing side in a child process, each with a link,
//! a certificate and connections of its own; they share that side's PostgreSQL.

mod home;
mod wire;

use super::{Sharing, daemon::Daemon};
use crate::{
    asker,
    load::{Ask, Client},
    plan::order,
    statistics::{Spread, micros, percentile},
};
use anyhow::{Context, Result, ensure};
use domain::answer::{Outcome, Step};
use futures::{StreamExt, future::try_join_all};
use home::Home;
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// Whole daemons among the sources.
const DAEMONS: usize = 8;
/// Rows of a source.
const ROWS: u64 = 20;
/// Rows of the other sharing side, of which its grants show as many as a daemon has.
const MADE: u64 = 66;
/// Its grants: everything of two teams and nobody else's.
const SCOPE: &str = r#"{"resources":["tasks"],"max_rows_per_query":10000,"rate":{"per_minute":100000,"burst":100000},
    "filters":{"tasks":{"include_teams":["platform","customers"],"include_personal":false}}}"#;
/// Questions before anything counts.
const WARM: usize = 3;
/// Rounds of streams: each asks every good daemon three times, and a daemon takes 240 calls a minute from one instance.
const FEW: usize = 40;
/// Bytes of the slow source come so much later.
const SLOW: Duration = Duration::from_millis(300);

/// Times of one number of sources, in microseconds; every list has one value a round.
#[derive(Clone, Debug, Default)]
pub struct Merged {
    /// Sources, daemons included.
    pub sources: usize,
    /// Rows of a page.
    pub rows: usize,
    /// Until the page was there.
    pub page: Vec<u32>,
    /// In the same question, until the last byte of the slowest source was read.
    pub wire: Vec<u32>,
    /// The same sources asked at once by clients that keep no record and merge nothing, until the slowest has ended.
    pub bare: Vec<u32>,
    /// The slowest source asked alone.
    pub alone: Vec<u32>,
}

/// Of one list against another, round by round.
pub fn ratio(over: &[u32], under: &[u32]) -> Option<Spread> {
    let real = |times: &[u32]| times.iter().map(|time| f64::from(*time)).collect::<Vec<_>>();
    Spread::of_ratios(&real(over), &real(under))
}

/// Half of them took no longer.
pub fn median(times: &[u32]) -> u32 {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    percentile(&sorted, 500)
}

/// Rows as they arrive from eight daemons, in microseconds; one value a round.
#[derive(Clone, Debug, Default)]
pub struct First {
    /// The first row, where one source hangs, one is slow, one has revoked and one is off.
    pub faulty: Vec<u32>,
    /// The first row of the same four good ones, nobody else being asked.
    pub good: Vec<u32>,
    /// The first row of the fastest of them, asked alone.
    pub fastest: Vec<u32>,
    /// How each source ended, as it was in every round.
    pub outcomes: Vec<(String, String)>,
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Fan {
    /// By number of sources.
    pub merged: Vec<Merged>,
    /// Where some are not as they should be.
    pub first: First,
}

/// Asks `sizes` sources, in `rounds` rounds each.
pub async fn measure(sizes: &[usize], rounds: usize, tell: &mut dyn FnMut(&str) -> Result<()>) -> Result<Fan> {
    let most = sizes.iter().copied().max().unwrap_or(DAEMONS).max(DAEMONS);
    tell(&format!("fan: {DAEMONS} daemons and {} grants of one sharing side", most - DAEMONS))?;
    let home = Home::start().await?;
    let mut daemons = (0..DAEMONS).map(|at| Daemon::start(at, ROWS, "")).collect::<Result<Vec<_>>>()?;
    let mut sharing = Sharing::start(MADE).await?;
    let mut bare = Vec::new();
    for daemon in &mut daemons {
        home.link(&daemon.name, &daemon.invite("hub")?).await?;
        bare.push(daemon.invite("bare")?);
    }
    for (at, invite) in sharing.invites(SCOPE, most - DAEMONS).await?.iter().enumerate() {
        home.link(&format!("grant-{at}"), invite).await?;
    }
    bare.extend(sharing.invites(SCOPE, most - DAEMONS).await?);
    let bare = asker::clients(&asker::enrol_all(&bare).await?).await?;
    let names: Vec<_> = daemons.iter().map(|daemon| daemon.name.clone()).collect();
    let names: Vec<_> = names.into_iter().chain((0..most - DAEMONS).map(|at| format!("grant-{at}"))).collect();
    let mut fan = Fan::default();
    for size in sizes {
        tell(&format!("fan: {size} sources"))?;
        fan.merged.push(merged(&home, &names[..*size], &bare[..*size], rounds).await?);
    }
    tell("fan: one hangs, one is slow, one has revoked, one is off")?;
    fan.first = first(&home, &mut daemons, rounds.min(FEW)).await?;
    drop(bare);
    home.stop().await;
    sharing.child.end().await?;
    Ok(fan)
}

async fn merged(home: &Home, names: &[String], bare: &[Client], rounds: usize) -> Result<Merged> {
    let mut found = Merged { sources: names.len(), ..Merged::default() };
    for round in 0..rounds + WARM {
        let mut times = [0; 4];
        for variant in order(round, 3) {
            match variant {
                0 => {
                    let began = home.wire.now();
                    let page = home.page(names).await?;
                    times[0] = micros(home.wire.now().saturating_sub(began));
                    times[1] = micros(home.wire.last().saturating_sub(began));
                    found.rows = whole(&page, names.len())?;
                }
                1 => times[2] = all_at_once(bare).await?,
                _ => times[3] = slowest_alone(home, names, round).await?,
            }
        }
        if round >= WARM {
            let lists = [&mut found.page, &mut found.wire, &mut found.bare, &mut found.alone];
            lists.into_iter().zip(times).for_each(|(list, time)| list.push(time));
        }
    }
    Ok(found)
}

/// That every source gave all that it has. Rows of the page.
fn whole(page: &domain::answer::Page, sources: usize) -> Result<usize> {
    let bad = page.sources.iter().find(|source| source.outcome != Outcome::Ok || source.truncated || source.rows == 0);
    ensure!(bad.is_none() && page.sources.len() == sources, "a source is not whole: {bad:?}");
    Ok(page.rows.len())
}

async fn all_at_once(clients: &[Client]) -> Result<u32> {
    let began = Instant::now();
    let asking = clients.iter().map(|client| {
        let mut client = client.clone();
        tokio::spawn(async move { Ask::tasks(10_000).once(&mut client).await })
    });
    for rows in try_join_all(asking).await? {
        ensure!(rows? > 0, "a source has no rows");
    }
    Ok(micros(began.elapsed()))
}

/// One daemon and one grant, in turn others each round: of two kinds of sources the slower one.
async fn slowest_alone(home: &Home, names: &[String], round: usize) -> Result<u32> {
    let mut slowest = 0;
    for name in [names.get(round % DAEMONS), names.get(DAEMONS + round % (names.len() - DAEMONS).max(1))] {
        let Some(name) = name else { continue };
        let began = Instant::now();
        whole(&home.page(std::slice::from_ref(name)).await?, 1)?;
        slowest = slowest.max(micros(began.elapsed()));
    }
    Ok(slowest)
}

async fn first(home: &Home, daemons: &mut [Daemon], rounds: usize) -> Result<First> {
    let all: Vec<_> = daemons.iter().map(|daemon| daemon.name.clone()).collect();
    let good = &all[4..];
    let at = |daemon: usize| daemons[daemon].address;
    home.wire.slow(at(1), SLOW);
    // Its kept connection was made before it was slow.
    home.try_anew(&all[1]).await?;
    daemons[2].revoke("hub")?;
    daemons[3].end();
    daemons[0].halt()?;
    let mut found = First::default();
    for round in 0..rounds + WARM {
        // Over the connection that is kept it is late; that one is given up, and a new one does not come to its first word.
        let hung = if found.outcomes.is_empty() { Outcome::Timeout } else { Outcome::Offline };
        let bad = [(&all[0], hung), (&all[2], Outcome::Revoked), (&all[3], Outcome::Offline)];
        let wanted: BTreeMap<_, _> = bad.into_iter().collect();
        let mut times = [0; 3];
        for variant in order(round, 3) {
            match variant {
                0 => {
                    let (first, outcomes) = rows(home, &all).await?;
                    for (name, outcome, rows) in &outcomes {
                        let wanted = wanted.get(name).copied().unwrap_or(Outcome::Ok);
                        ensure!(*outcome == wanted, "{name} ended {outcome:?} and not {wanted:?} in round {round}");
                        ensure!((wanted == Outcome::Ok) == (*rows == ROWS), "{name} gave {rows} rows");
                    }
                    ensure!(outcomes.len() == all.len(), "a source has no outcome");
                    found.outcomes =
                        outcomes.into_iter().map(|(name, outcome, _)| (name, outcome.to_string())).collect();
                    times[0] = first;
                }
                1 => times[1] = rows(home, good).await?.0,
                _ => {
                    let mut each = Vec::new();
                    for name in good {
                        each.push(rows(home, std::slice::from_ref(name)).await?.0);
                    }
                    times[2] = each.into_iter().min().unwrap_or_default();
                }
            }
        }
        if round >= WARM {
            let lists = [&mut found.faulty, &mut found.good, &mut found.fastest];
            lists.into_iter().zip(times).for_each(|(list, time)| list.push(time));
        }
    }
    found.outcomes.sort();
    daemons[0].go_on()?;
    Ok(found)
}

/// Reads a stream to its verdict: when its first row came, and how each source ended with how many rows.
async fn rows(home: &Home, names: &[String]) -> Result<(u32, Vec<(String, Outcome, u64)>)> {
    let began = Instant::now();
    let mut steps = home.stream(names).await?;
    let (mut first, mut ended) = (None, Vec::new());
    while let Some(step) = steps.next().await {
        match step {
            Step::Row(_) => {
                first.get_or_insert_with(|| micros(began.elapsed()));
            }
            Step::End(end) => ended.push((end.source, end.outcome, end.rows)),
            Step::Verdict(_) => break,
        }
    }
    Ok((first.with_context(|| format!("no row came: {ended:?}"))?, ended))
}
