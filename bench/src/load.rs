//! The load: so many callers that ask again as soon as they are answered, for a stretch of time that begins when all of them
//! are under way. Rate, latency and the server's processor time are taken over the same stretch.

use crate::{
    process::{Meter, Spent},
    statistics::{micros, percentile, real},
};
use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;
use proto::v1::{CapabilitiesRequest, Item, ListRequest, query_service_client::QueryServiceClient};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};
use tonic::{Status, transport::Channel};

/// A client on one connection.
pub type Client = QueryServiceClient<Channel>;

/// What is asked.
#[derive(Clone, Debug)]
pub enum Ask {
    /// Capabilities: no row is read for it.
    Hello,
    /// A List, read to its end.
    Rows(ListRequest),
}

impl Ask {
    /// Rows of tasks, newest first, without bodies.
    pub fn tasks(limit: u32) -> Self {
        Self::Rows(ListRequest { resource: "tasks".to_owned(), limit, ..ListRequest::default() })
    }

    /// Asks once and reads the whole answer. Rows in it.
    pub async fn once(&self, client: &mut Client) -> Result<usize, Status> {
        match self {
            Self::Hello => client.capabilities(CapabilitiesRequest {}).await.map(|_| 0),
            Self::Rows(request) => {
                let mut answer = client.list(request.clone()).await?.into_inner();
                let (mut rows, mut whole) = (0, false);
                while let Some(chunk) = answer.message().await? {
                    rows += chunk.items.len();
                    whole = chunk.end.is_some();
                }
                if whole { Ok(rows) } else { Err(stopped()) }
            }
        }
    }
}

/// Asks once and keeps the whole answer.
pub async fn rows(client: &mut Client, request: ListRequest) -> Result<Vec<Item>, Status> {
    let mut answer = client.list(request).await?.into_inner();
    let (mut rows, mut whole) = (Vec::new(), false);
    while let Some(chunk) = answer.message().await? {
        rows.extend(chunk.items);
        whole = chunk.end.is_some();
    }
    if whole { Ok(rows) } else { Err(stopped()) }
}

fn stopped() -> Status {
    Status::data_loss("the answer stopped before its end")
}

/// How long to warm up, and how long to measure.
#[derive(Clone, Copy, Debug)]
pub struct Stretch {
    /// Before anything counts.
    pub warm: Duration,
    /// What counts.
    pub long: Duration,
}

/// One stretch of load on one variant.
#[derive(Clone, Debug)]
pub struct Slot {
    /// Calls answered each second.
    pub rate: f64,
    /// Half of the calls took no longer, in microseconds.
    pub p50: f64,
    /// 99 of 100 took no longer.
    pub p99: f64,
    /// Processor time of the server for one call, in microseconds.
    pub server: f64,
    /// The same of its PostgreSQL.
    pub postgres: f64,
}

impl Slot {
    /// Of calls that took so long, within `over`.
    pub fn of(mut took: Vec<u32>, over: Duration, spent: Spent) -> Result<Self> {
        ensure!(!took.is_empty(), "not one call was answered within {over:?}");
        took.sort_unstable();
        let calls = real(took.len());
        let per_call = |time: Duration| time.as_secs_f64() * 1e6 / calls;
        Ok(Self {
            rate: calls / over.as_secs_f64(),
            p50: percentile(&took, 500).into(),
            p99: percentile(&took, 990).into(),
            server: per_call(spent.server),
            postgres: per_call(spent.postgres),
        })
    }
}

/// When calls count.
#[derive(Clone, Copy)]
struct Window {
    begin: Instant,
    end: Instant,
}

/// Lets `callers` ask over `clients`, each caller on one of them.
pub async fn run(clients: &[Client], ask: &Ask, callers: usize, stretch: Stretch, meter: Meter) -> Result<Slot> {
    let begin = Instant::now() + stretch.warm;
    let window = Window { begin, end: begin + stretch.long };
    let asking = clients.iter().cycle().take(callers).cloned();
    let tasks: Vec<_> = asking.map(|client| tokio::spawn(ask_until(client, ask.clone(), window))).collect();
    sleep_until(window.begin).await;
    let (before, from) = (meter.read()?, Instant::now());
    sleep_until(window.end).await;
    let (spent, over) = (meter.read()?.since(before), from.elapsed());
    let took = try_join_all(tasks).await?.into_iter().collect::<Result<Vec<_>, _>>();
    let took = took.context("a call failed under load")?;
    Slot::of(took.concat(), over, spent)
}

/// Asks until the window ends; how long each call took that was answered within it, in microseconds.
async fn ask_until(mut client: Client, ask: Ask, window: Window) -> Result<Vec<u32>, Status> {
    let mut took = Vec::new();
    loop {
        let began = Instant::now();
        if began >= window.end {
            return Ok(took);
        }
        ask.once(&mut client).await?;
        let ended = Instant::now();
        if ended >= window.begin && ended < window.end {
            took.push(micros(ended - began));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_says_what_one_call_cost() {
        let spent = Spent { server: Duration::from_millis(40), postgres: Duration::from_millis(10) };
        let slot = Slot::of(vec![300, 100, 200, 400], Duration::from_secs(2), spent).unwrap();
        assert_eq!((slot.rate, slot.p50, slot.p99), (2.0, 200.0, 400.0));
        assert_eq!((slot.server, slot.postgres), (10_000.0, 2_500.0));
    }

    #[test]
    fn a_slot_without_an_answer_is_no_measurement() {
        assert!(Slot::of(Vec::new(), Duration::from_secs(1), Spent::default()).is_err());
    }
}
