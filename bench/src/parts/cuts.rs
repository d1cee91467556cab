//! From the order to revoke to the end of every stream of the grant, seen by the one who is cut off. Both ends are on this machine,
//! so what is measured is the daemon's part of it: commit, refuse, cut, acknowledge.

use super::{SCOPE, Sharing};
use crate::{
    asker::dial_all,
    child::odd,
    hold::{Watch, watch_all},
    statistics::{micros, percentile},
    words::{Order, Reply},
};
use anyhow::{Context, Result, ensure};
use futures::future::join_all;
use std::time::Instant;

/// Streams of one connection; a connection bears 64 calls at work and a grant 64 connections.
const STREAMS: usize = 40;

/// Cuts of one size. Times are in microseconds since the order was given.
#[derive(Clone, Debug, Default)]
pub struct Cuts {
    /// Streams that were open.
    pub streams: usize,
    /// When each stream ended, sorted, over all trials.
    pub ends: Vec<u32>,
    /// When the last stream ended, a trial each.
    pub last: Vec<u32>,
    /// When the revocation was acknowledged, a trial each.
    pub acknowledged: Vec<u32>,
}

impl Cuts {
    /// When 99 of 100 streams had ended.
    pub fn p99(&self) -> u32 {
        percentile(&self.ends, 990)
    }
}

/// Cuts `streams` streams, `trials` times, a new grant each time.
pub async fn measure(sharing: &mut Sharing, streams: usize, trials: usize) -> Result<Cuts> {
    let mut cuts = Cuts { streams, ..Cuts::default() };
    for _ in 0..trials {
        cut(sharing, &mut cuts).await?;
    }
    for times in [&mut cuts.ends, &mut cuts.last, &mut cuts.acknowledged] {
        times.sort_unstable();
    }
    Ok(cuts)
}

async fn cut(sharing: &mut Sharing, cuts: &mut Cuts) -> Result<()> {
    let mut links = sharing.links(SCOPE, 1).await?;
    let link = links.pop().context("no link")?;
    let dialled = dial_all(&vec![link.clone(); cuts.streams.div_ceil(STREAMS)]).await?;
    let channels = dialled.iter().cycle().take(cuts.streams).map(|dialled| dialled.channel.clone());
    let watches = watch_all(channels).await?;
    let waiting: Vec<_> = watches.into_iter().map(|watch| tokio::spawn(ended(watch))).collect();
    let began = Instant::now();
    let reply = sharing.child.ask(&Order::Revoke(link.invite.grant.to_string())).await?;
    let acknowledged = Instant::now();
    let Reply::Revoked(revoked) = reply else { return Err(odd(&reply)) };
    ensure!(revoked.drained, "a revocation was not complete within its time");
    let ends = join_all(waiting).await.into_iter().collect::<Result<Vec<_>, _>>()?;
    let since = |moment: Instant| micros(moment.saturating_duration_since(began));
    cuts.last.extend(ends.iter().copied().map(since).max());
    cuts.ends.extend(ends.into_iter().map(since));
    cuts.acknowledged.push(since(acknowledged));
    Ok(())
}

/// Waits until the stream ends; what ends it is an error or nothing, never another message.
async fn ended(mut watch: Watch) -> Instant {
    while let Ok(Some(_)) = watch.message().await {}
    Instant::now()
}
