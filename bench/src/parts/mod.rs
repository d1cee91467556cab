//! What is measured, one file each. Every part returns plain values; `report` says them and `goals` judges them.

pub mod calls;
pub mod chunks;
pub mod cuts;
mod daemon;
pub mod decisions;
pub mod ends;
pub mod fan;
pub mod memory;
pub mod pages;
pub mod profile;
pub mod telemetry;

use crate::{
    asker::{self, Link},
    child::{Child, odd},
    load::Client,
    process::Meter,
    words::{Commits, Order, Ready, Reply},
};
use anyhow::{Context, Result};
use std::{net::SocketAddr, time::Duration};

/// The grant of links under load: tasks of two teams and what is the subject's own, at the highest rate that a scope takes.
pub const SCOPE: &str = r#"{"resources":["tasks"],"max_rows_per_query":10000,"rate":{"per_minute":100000,"burst":100000},
    "filters":{"tasks":{"include_teams":["platform","customers"],"include_personal":true}}}"#;
/// Connections under load, each of a link of its own.
pub const LINKS: usize = 16;

/// The longest a grant takes to be heard of, on a machine that is busy.
const HEARD: Duration = Duration::from_secs(10);

/// A sharing side in a process of its own.
pub struct Sharing {
    /// The process.
    pub child: Child,
    /// Where it is to be met.
    pub ready: Ready,
}

impl Sharing {
    /// Starts one with `rows` rows.
    pub async fn start(rows: u64) -> Result<Self> {
        let words = ["serve", "--seed", "1", "--rows"].map(str::to_owned).into_iter().chain([rows.to_string()]);
        let mut child = Child::start(&words.collect::<Vec<_>>())?;
        match child.hear().await? {
            Reply::Ready(ready) => Ok(Self { child, ready }),
            reply => Err(odd(&reply)),
        }
    }

    /// What its processor time is read from.
    pub fn meter(&self) -> Meter {
        Meter { server: self.child.pid, postmaster: self.ready.postmaster }
    }

    /// Invites to `count` grants of `scope`.
    pub async fn invites(&mut self, scope: &str, count: usize) -> Result<Vec<String>> {
        let mut invites = Vec::new();
        for _ in 0..count {
            match self.child.ask(&Order::Invite(scope.to_owned())).await? {
                Reply::Invited(invite) => invites.push(invite),
                reply => return Err(odd(&reply)),
            }
        }
        Ok(invites)
    }

    /// `count` links, each of a grant of its own.
    pub async fn links(&mut self, scope: &str, count: usize) -> Result<Vec<Link>> {
        asker::enrol_all(&self.invites(scope, count).await?).await
    }

    /// How fast it commits single rows, one after the other, for so long.
    pub async fn commits(&mut self, long: Duration) -> Result<Commits> {
        match self.child.ask(&Order::Commits(u64::try_from(long.as_millis())?)).await? {
            Reply::Commits(commits) => Ok(commits),
            reply => Err(odd(&reply)),
        }
    }

    /// Where it listens without keeping records, once it knows these links: it hears of them from the database, a moment after
    /// the side that they were enrolled with, and would close the connection of one that it does not know yet.
    pub async fn unrecorded(&mut self, links: &[Link]) -> Result<SocketAddr> {
        let address = match self.child.ask(&Order::Unrecorded).await? {
            Reply::Unrecorded(address) => address,
            reply => return Err(odd(&reply)),
        };
        for link in links {
            link.at(address).known(HEARD).await.context("the second sharing side does not know a link")?;
        }
        Ok(address)
    }

    /// An order whose only answer is that it was done.
    pub async fn done(&mut self, order: &Order) -> Result<()> {
        self.child.done(order).await
    }

    /// Connections to its three doors, over the same links.
    pub async fn doors(&mut self, links: &[Link]) -> Result<Doors> {
        let (floor, unrecorded) = (self.ready.floor, self.unrecorded(links).await?);
        let at = |address| links.iter().map(|link| link.at(address)).collect::<Vec<_>>();
        Ok(Doors {
            floor: asker::clients(&at(floor)).await?,
            unrecorded: asker::clients(&at(unrecorded)).await?,
            recorded: asker::clients(links).await?,
        })
    }
}

/// Connections to the three doors.
pub struct Doors {
    /// To the bare server.
    pub floor: Vec<Client>,
    /// To the road without a log.
    pub unrecorded: Vec<Client>,
    /// To the road as it is.
    pub recorded: Vec<Client>,
}
