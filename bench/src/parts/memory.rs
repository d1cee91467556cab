//! Memory of an idle link, at both ends, each in a fresh process of its own: what it holds more when all are there than when
//! half of them were, shared among the second half. The first half fills what enrolment and loading left free; counted from
//! nothing, that would be had for nothing.

use super::{SCOPE, Sharing};
use crate::{
    child::Child,
    process::{self, Memory},
    words::Order,
};
use anyhow::{Context, Result};
use std::time::Duration;

/// Rows of the instance; an idle link reads none.
const ROWS: u64 = 500;
/// What was freed is given back, and background work is done, by then.
const SETTLE: Duration = Duration::from_millis(1_500);

/// Bytes for one link, at both ends.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ends {
    /// Resident, sharing side.
    pub sharing: f64,
    /// Resident, asking side.
    pub asking: f64,
    /// Proportional, sharing side.
    pub sharing_share: f64,
    /// Proportional, asking side.
    pub asking_share: f64,
}

/// Of how many links, and what each takes.
#[derive(Clone, Copy, Debug, Default)]
pub struct PerLink {
    /// Links that were counted: half of those that were held.
    pub links: usize,
    /// A connection and no call.
    pub connected: Ends,
    /// A connection with one open stream.
    pub streaming: Ends,
    /// The same, and a control session over a connection of its own.
    pub in_touch: Ends,
}

impl PerLink {
    /// What the session and its connection take: all of a link that nobody asks over.
    pub fn touch(&self) -> Ends {
        let (with, without) = (self.in_touch, self.streaming);
        Ends {
            sharing: with.sharing - without.sharing,
            asking: with.asking - without.asking,
            sharing_share: with.sharing_share - without.sharing_share,
            asking_share: with.asking_share - without.asking_share,
        }
    }
}

/// Holds `links` links.
pub async fn measure(links: usize) -> Result<PerLink> {
    let (mut sharing, mut asking) = (Sharing::start(ROWS).await?, Child::asking().await?);
    enrol(&mut sharing, &mut asking, links).await?;
    let ends = (sharing.child.pid, asking.pid);
    let (half, counted) = (links / 2, links - links / 2);
    asking.done(&Order::Dial(half)).await?;
    asking.done(&Order::Watch).await?;
    asking.done(&Order::Touch).await?;
    let before = settled(ends).await?;
    asking.done(&Order::Dial(counted)).await?;
    let connected = settled(ends).await?;
    asking.done(&Order::Watch).await?;
    let streaming = settled(ends).await?;
    asking.done(&Order::Touch).await?;
    let in_touch = settled(ends).await?;
    asking.end().await?;
    sharing.child.end().await?;
    let each = |after| per_link(before, after, counted);
    Ok(PerLink { links: counted, connected: each(connected)?, streaming: each(streaming)?, in_touch: each(in_touch)? })
}

async fn enrol(sharing: &mut Sharing, asking: &mut Child, links: usize) -> Result<()> {
    let invites = sharing.invites(SCOPE, links).await?;
    asking.done(&Order::Enrol(invites)).await
}

async fn settled((sharing, asking): (u32, u32)) -> Result<(Memory, Memory)> {
    tokio::time::sleep(SETTLE).await;
    Ok((process::memory(sharing)?, process::memory(asking)?))
}

fn per_link(empty: (Memory, Memory), full: (Memory, Memory), links: usize) -> Result<Ends> {
    let links = u32::try_from(links).context("so many links")?;
    let each = |before: u64, after: u64| -> Result<f64> {
        let kibibytes = u32::try_from(after.saturating_sub(before) / 1_024).context("so much memory")?;
        Ok(f64::from(kibibytes) * 1_024.0 / f64::from(links))
    };
    Ok(Ends {
        sharing: each(empty.0.resident, full.0.resident)?,
        asking: each(empty.1.resident, full.1.resident)?,
        sharing_share: each(empty.0.proportional, full.0.proportional)?,
        asking_share: each(empty.1.proportional, full.1.proportional)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_link_takes_is_the_growth_shared_among_all() {
        let memory = |kibibytes: u64| Memory { resident: kibibytes * 1_024, proportional: kibibytes * 512 };
        let ends = per_link((memory(1_000), memory(100)), (memory(5_000), memory(50)), 100).unwrap();
        assert_eq!((ends.sharing, ends.sharing_share), (40.0 * 1_024.0, 20.0 * 1_024.0));
        assert_eq!(ends.asking, 0.0);
        let more = Ends { sharing: ends.sharing + 7.0, ..ends };
        let touch = PerLink { streaming: ends, in_touch: more, ..PerLink::default() }.touch();
        assert_eq!((touch.sharing, touch.sharing_share), (7.0, 0.0));
    }
}
