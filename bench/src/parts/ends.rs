//! From the order to revoke to its receipt, among many live control sessions that other processes hold: one end after the other,
//! the same while some of the links ask, and several at once. One grant has one live session, so there are as many grants as sessions.

use super::{SCOPE, Sharing};
use crate::{
    asker::Link,
    child::{Child, odd},
    load::{Ask, Client},
    plan::order,
    statistics::{Spread, micros, percentile},
    words::{End, Order, Reply, Seen},
};
use anyhow::{Context, Result, ensure};
use domain::invite::Invite;
use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, Instant},
};
use tokio::time::sleep;

/// Rows of the instance.
const ROWS: u64 = 3_000;
/// Processes that hold sessions.
const HOLDERS: usize = 4;
/// Links of each of them that ask while there is load.
const ASKING: usize = 4;
/// Ends at once.
pub const TOGETHER: usize = 10;
/// How long load lasts before anything counts.
const WARM: Duration = Duration::from_millis(500);
/// How long single commits are counted.
const COMMITS: Duration = Duration::from_millis(300);
/// Calls of which the median is a round trip.
const TRIPS: usize = 51;

/// Under what circumstances grants end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One after the other, and nobody asks.
    Alone,
    /// One after the other, while others ask.
    Loaded,
    /// Several at once, while others ask.
    Together,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Alone, Self::Loaded, Self::Together];

    /// For tables.
    pub fn name(self) -> String {
        match self {
            Self::Alone => "one after the other, nobody asks".to_owned(),
            Self::Loaded => format!("one after the other, {} ask", HOLDERS * ASKING),
            Self::Together => format!("{TOGETHER} at once, {} ask", HOLDERS * ASKING),
        }
    }

    const fn asking(self) -> usize {
        match self {
            Self::Alone => 0,
            Self::Loaded | Self::Together => ASKING,
        }
    }

    const fn at_once(self) -> usize {
        match self {
            Self::Alone | Self::Loaded => 1,
            Self::Together => TOGETHER,
        }
    }
}

/// Ends of one kind, in microseconds since each one's order was given; every list is sorted.
#[derive(Clone, Debug, Default)]
pub struct Times {
    /// When it was committed.
    pub committed: Vec<u32>,
    /// When the open stream had ended at the asking side, and its connection.
    pub stream: Vec<u32>,
    /// When the asking side had read that the grant has ended.
    pub told: Vec<u32>,
    /// When the session had ended at the asking side, and its connection, the last one.
    pub session: Vec<u32>,
    /// When the receipt was there.
    pub receipt: Vec<u32>,
    /// When the last of these was over.
    pub whole: Vec<u32>,
    /// Round by round, the median receipt over a single commit and a round trip under the same load.
    pub ratios: Vec<f64>,
    /// Ends that were not acknowledged.
    pub silent: usize,
}

impl Times {
    /// When 99 of 100 were committed, cut and acknowledged.
    pub fn p99(&self) -> u32 {
        percentile(&self.whole, 990)
    }

    /// The spread of the ratios.
    pub fn ratio(&self) -> Option<Spread> {
        Spread::of(self.ratios.iter().copied())
    }

    fn add(&mut self, end: &End, seen: &Seen) {
        let since = |moment: i64| u32::try_from(moment.saturating_sub(end.began).max(0)).unwrap_or(u32::MAX);
        let (stream, session) = (since(seen.stream), since(seen.session));
        self.committed.push(end.committed);
        self.stream.push(stream);
        self.told.push(since(seen.told));
        self.session.push(session);
        self.receipt.push(end.took);
        self.whole.push(end.took.max(stream).max(session));
        self.silent += usize::from(!end.acknowledged);
    }

    fn sort(&mut self) {
        let Self { committed, stream, told, session, receipt, whole, .. } = self;
        for times in [committed, stream, told, session, receipt, whole] {
            times.sort_unstable();
        }
    }
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Ends {
    /// The fewest sessions that were live after an end.
    pub live: usize,
    /// Kind by kind.
    pub kinds: Vec<(Kind, Times)>,
}

/// Ends `each` grants of each kind in each of `rounds` rounds, among `live` sessions that stay.
pub async fn measure(rounds: usize, live: usize, each: usize) -> Result<Ends> {
    let mut crowd = Crowd::gather(live, rounds * each * Kind::ALL.len()).await?;
    let mut found = Kind::ALL.map(|kind| (kind, Times::default()));
    for round in 0..rounds {
        for at in order(round, found.len()) {
            let Some((kind, times)) = found.get_mut(at) else { continue };
            crowd.end(*kind, each, times).await.with_context(|| kind.name())?;
        }
    }
    for (_, times) in &mut found {
        times.sort();
    }
    let least = crowd.least;
    ensure!(least >= live, "{least} sessions were live where there should have been {live}");
    crowd.part().await?;
    Ok(Ends { live: least, kinds: found.into() })
}

/// The sharing side and those who hold sessions with it.
struct Crowd {
    sharing: Sharing,
    holders: Vec<Child>,
    /// Who holds which of the grants that are to end.
    ending: VecDeque<(String, usize)>,
    floor: Client,
    least: usize,
}

impl Crowd {
    async fn gather(live: usize, ending: usize) -> Result<Self> {
        let mut sharing = Sharing::start(ROWS).await?;
        let link = sharing.links(SCOPE, 1).await?.pop().context("no link")?;
        let floor = Link::at(&link, sharing.ready.floor).client().await?;
        let invites = sharing.invites(SCOPE, live + ending).await?;
        let mut holders = Vec::new();
        for holder in 0..HOLDERS {
            let mut child = Child::asking().await?;
            // Dealt in turn, so that those who end one after the other, or at once, are of different holders.
            let held = invites.iter().skip(holder).step_by(HOLDERS).cloned().collect();
            child.done(&Order::Enrol(held)).await?;
            child.done(&Order::Keep).await?;
            holders.push(child);
        }
        let last = invites.iter().enumerate().skip(live);
        let held = |(place, invite): (usize, &String)| Ok((Invite::decode(invite)?.grant.to_string(), place % HOLDERS));
        let ending = last.map(held).collect::<Result<_>>()?;
        Ok(Self { sharing, holders, ending, floor, least: usize::MAX })
    }

    async fn end(&mut self, kind: Kind, count: usize, times: &mut Times) -> Result<()> {
        self.ask(kind.asking()).await?;
        sleep(WARM).await;
        let single = self.single().await?;
        let mut receipts = Vec::new();
        let mut left = count;
        while left > 0 {
            let batch: Vec<_> = self.ending.drain(..left.min(kind.at_once()).min(self.ending.len())).collect();
            ensure!(!batch.is_empty(), "no grant is left to end");
            left -= batch.len();
            for (end, seen) in self.end_at_once(&batch).await? {
                receipts.push(end.took);
                times.add(&end, &seen);
            }
        }
        self.ask(0).await?;
        receipts.sort_unstable();
        times.ratios.push(f64::from(percentile(&receipts, 500)) / single);
        Ok(())
    }

    /// Ends these grants and hears from both sides how.
    async fn end_at_once(&mut self, batch: &[(String, usize)]) -> Result<Vec<(End, Seen)>> {
        let grants = batch.iter().map(|(grant, _)| grant.clone()).collect();
        let ended = match self.sharing.child.ask(&Order::End(grants)).await? {
            Reply::Ended(ended) => ended,
            reply => return Err(odd(&reply)),
        };
        self.least = self.least.min(ended.live);
        let mut seen = HashMap::new();
        for (place, holder) in self.holders.iter_mut().enumerate() {
            let theirs = batch.iter().filter(|(_, holder)| *holder == place).map(|(grant, _)| grant.clone()).collect();
            match holder.ask(&Order::Over(theirs)).await? {
                Reply::Over(over) => seen.extend(over.into_iter().map(|seen| (seen.grant.clone(), seen))),
                reply => return Err(odd(&reply)),
            }
        }
        let both = |end: End| {
            let seen = seen.remove(&end.grant)?;
            Some((end, seen))
        };
        ended.each.into_iter().map(both).collect::<Option<_>>().context("an end that its holder did not see")
    }

    async fn ask(&mut self, count: usize) -> Result<()> {
        for holder in &mut self.holders {
            holder.done(&Order::Ask(count)).await?;
        }
        Ok(())
    }

    /// Microseconds of a commit of one row and of a call that touches nothing, as they are at this moment.
    async fn single(&mut self) -> Result<f64> {
        let commits = self.sharing.commits(COMMITS).await?;
        let mut trips = Vec::new();
        for _ in 0..TRIPS {
            let began = Instant::now();
            Ask::Hello.once(&mut self.floor).await?;
            trips.push(micros(began.elapsed()));
        }
        trips.sort_unstable();
        Ok(1e6 / commits.per_second + f64::from(percentile(&trips, 500)))
    }

    async fn part(self) -> Result<()> {
        for holder in self.holders {
            holder.end().await?;
        }
        self.sharing.child.end().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_over_when_the_last_of_cut_and_receipt_is() {
        let mut times = Times::default();
        let end = End { grant: "a".into(), began: 1_000, committed: 5, took: 40, acknowledged: true };
        times.add(&end, &Seen { grant: "a".into(), told: 1_008, stream: 1_010, session: 1_050 });
        times.add(
            &End { took: 90, acknowledged: false, ..end },
            &Seen { grant: "a".into(), told: 900, stream: 1_001, session: 1_002 },
        );
        assert_eq!((times.whole.clone(), times.told.clone(), times.silent), (vec![50, 90], vec![8, 0], 1));
        times.receipt.reverse();
        times.sort();
        assert_eq!(times.receipt, [40, 90]);
    }
}
