//! Pages of a List among few rows and among many. Two instances stand beside each other and are asked in turn, so that a slow
//! moment is slow for both; the road without a log, because the record costs the same in both.

use super::Sharing;
use crate::{
    asker::Link,
    load::{Ask, Client},
    rows::{RARE_TAG, Rows},
    statistics::{micros, percentile},
};
use anyhow::{Context, Result};
use domain::{
    Time,
    id::ItemId,
    operation::List,
    page::{PageToken, Position},
    world::World,
};
use proto::v1::ListRequest;
use std::time::Instant;
use uuid::Uuid;

/// Rows of the small instance.
pub const FEW: u64 = 10_000;
/// Rows of a page.
pub const PAGE: u32 = 50;
/// Calls before any counts: a plan is made, a page is read from disk.
const WARM: usize = 5;

/// Which pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// The newest rows of all teams.
    First,
    /// From the middle of all rows on.
    Deep,
    /// The newest rows of one team.
    Team,
    /// From the middle on, of one team.
    DeepTeam,
    /// The newest rows with a tag that one row of 500 has.
    Rare,
}

impl Kind {
    const ALL: [Self; 5] = [Self::First, Self::Deep, Self::Team, Self::DeepTeam, Self::Rare];

    const fn name(self) -> &'static str {
        match self {
            Self::First => "first page, every team",
            Self::Deep => "page in the middle, every team",
            Self::Team => "first page, one team",
            Self::DeepTeam => "page in the middle, one team",
            Self::Rare => "first page, a tag of one row in 500",
        }
    }

    fn filter(self) -> String {
        let filter = match self {
            Self::First | Self::Deep => r#"{"include_personal":true}"#.to_owned(),
            Self::Team | Self::DeepTeam => r#"{"include_teams":["research"],"include_personal":false}"#.to_owned(),
            Self::Rare => format!(r#"{{"include_tags":["{RARE_TAG}"],"include_personal":true}}"#),
        };
        format!(
            r#"{{"resources":["tasks"],"rate":{{"per_minute":100000,"burst":100000}},"filters":{{"tasks":{filter}}}}}"#
        )
    }

    const fn is_deep(self) -> bool {
        matches!(self, Self::Deep | Self::DeepTeam)
    }
}

/// One kind of page, among few and among many rows: half and 99 of 100 calls took no longer, in microseconds.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// Which pages.
    pub name: &'static str,
    /// Rows in one.
    pub rows: usize,
    /// Among few.
    pub few: (u32, u32),
    /// Among many.
    pub many: (u32, u32),
}

/// What was found, and how the large instance was filled.
#[derive(Clone, Debug, Default)]
pub struct Pages {
    /// Rows of the small instance.
    pub few: u64,
    /// Rows of the large instance, and the milliseconds that filling took.
    pub filled: (u64, u64),
    /// Each kind.
    pub kinds: Vec<Page>,
}

/// Asks each instance `calls` times for each kind of page.
pub async fn measure(items: u64, calls: usize) -> Result<Pages> {
    let (mut few, mut many) = (Sharing::start(FEW.min(items)).await?, Sharing::start(items).await?);
    let mut pages = Pages { few: few.ready.filled.0, filled: many.ready.filled, kinds: Vec::new() };
    for kind in Kind::ALL {
        let (mut small, mut large) = (Asked::of(&mut few, kind).await?, Asked::of(&mut many, kind).await?);
        for n in 0..calls + WARM {
            small.once(n >= WARM).await?;
            large.once(n >= WARM).await?;
        }
        pages.kinds.push(Page { name: kind.name(), rows: large.rows, few: small.times(), many: large.times() });
    }
    few.child.end().await?;
    many.child.end().await?;
    Ok(pages)
}

/// One instance that is asked for one kind of page.
struct Asked {
    client: Client,
    ask: Ask,
    took: Vec<u32>,
    rows: usize,
}

impl Asked {
    async fn of(sharing: &mut Sharing, kind: Kind) -> Result<Self> {
        let link = sharing.links(&kind.filter(), 1).await?.pop().context("no link")?;
        let client = link.at(sharing.unrecorded(std::slice::from_ref(&link)).await?).client().await?;
        let page_token = if kind.is_deep() { middle(&link, sharing.ready.filled.0)? } else { String::new() };
        let request = ListRequest { resource: "tasks".to_owned(), limit: PAGE, page_token, ..ListRequest::default() };
        Ok(Self { client, ask: Ask::Rows(request), took: Vec::new(), rows: 0 })
    }

    async fn once(&mut self, counts: bool) -> Result<()> {
        let began = Instant::now();
        self.rows = self.ask.once(&mut self.client).await?;
        if counts {
            self.took.push(micros(began.elapsed()));
        }
        Ok(())
    }

    fn times(&mut self) -> (u32, u32) {
        self.took.sort_unstable();
        (percentile(&self.took, 500), percentile(&self.took, 990))
    }
}

/// The token that goes on after the row in the middle: as the sharing side would have given it after half of all pages.
fn middle(link: &Link, rows: u64) -> Result<String> {
    let made: Time = Rows::new(0, rows, World::system().now()).made(rows / 2);
    let binding = List::first("tasks".parse()?).binding(&link.invite.grant.to_string());
    Ok(PageToken::new(binding, Position { created_at: made, id: ItemId(Uuid::nil()) }).encode())
}
