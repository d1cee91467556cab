//! The asking side under measurement: a child process that holds links, so that the memory they take is its own, and so that what
//! it hears it hears from another process.

use crate::{
    asker::{self, Link},
    child,
    session::{Sessions, Touch},
    words::{Order, Ready, Reply},
};
use anyhow::{Context, Result, bail};
use futures::{StreamExt, TryStreamExt, stream};
use link::Dialled;
use std::net::{Ipv4Addr, SocketAddr};
use tonic::{Streaming, transport::Channel};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse, health_client::HealthClient};

/// Streams opened at once.
const AT_ONCE: usize = 16;

/// A stream that stays open until the grant ends.
pub type Watch = Streaming<HealthCheckResponse>;

/// Opens a stream that stays open, and reads its first message.
pub async fn watch(channel: Channel) -> Result<Watch> {
    let request = HealthCheckRequest { service: String::new() };
    let mut watch = HealthClient::new(channel).watch(request).await?.into_inner();
    watch.message().await?.context("a stream ended as it began")?;
    Ok(watch)
}

/// Opens one on each channel, in their order.
pub async fn watch_all(channels: impl IntoIterator<Item = Channel>) -> Result<Vec<Watch>> {
    stream::iter(channels).map(watch).buffered(AT_ONCE).try_collect().await
}

#[derive(Default)]
struct Held {
    links: Vec<Link>,
    dialled: Vec<Dialled>,
    watches: Vec<Watch>,
    touches: Vec<Touch>,
    sessions: Option<Sessions>,
}

impl Held {
    fn sessions(&mut self) -> Result<&mut Sessions> {
        self.sessions.as_mut().context("no session was begun")
    }
}

/// Holds links until standard input ends.
pub async fn hold() -> Result<()> {
    let nowhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let ready = Ready { postmaster: 0, postgres: String::new(), floor: nowhere, filled: (0, 0) };
    child::say(&Reply::Ready(ready))?;
    let mut held = Held::default();
    child::obey(async |order| {
        match order {
            Order::Enrol(invites) => held.links = asker::enrol_all(&invites).await?,
            Order::Dial(count) => {
                let more: Vec<_> = held.links.iter().skip(held.dialled.len()).take(count).cloned().collect();
                held.dialled.extend(asker::dial_all(&more).await?);
            }
            Order::Watch => {
                let open = held.dialled.iter().skip(held.watches.len()).map(|dialled| dialled.channel.clone());
                held.watches.extend(watch_all(open).await?);
            }
            Order::Touch => {
                let more = held.links.iter().take(held.dialled.len()).skip(held.touches.len());
                held.touches.extend(Touch::begin_all(more).await?);
            }
            Order::Keep => held.sessions = Some(Sessions::keep(&held.links).await?),
            Order::Ask(count) => held.sessions()?.ask(count),
            Order::Over(grants) => return Ok(Reply::Over(held.sessions()?.over(&grants).await?)),
            _ => bail!("that is a sharing side's order"),
        }
        Ok(Reply::Done)
    })
    .await
}
