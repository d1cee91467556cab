//! The sharing side under measurement: a child process that has a real PostgreSQL, two real sharing sides on it (one whose
//! records are durable, one whose records go nowhere) and the floor, and does what the parent orders.

mod floor;
mod measure;
mod sink;
mod stage;

use crate::{
    child,
    words::{Ended, Order, Ready, Reply, Revoked},
};
use anyhow::{Result, bail};
use prost::Message;
use stage::Stage;

/// The arguments of the hidden command `serve`.
#[derive(Clone, Debug, clap::Args)]
pub struct ServeArgs {
    /// Rows to fill the instance with.
    #[arg(long)]
    rows: u64,
    /// What the rows are made from.
    #[arg(long)]
    seed: u64,
}

/// Serves until standard input ends.
pub async fn serve(args: &ServeArgs) -> Result<()> {
    let stage = Stage::set(args.seed, args.rows).await?;
    child::say(&Reply::Ready(Ready {
        postmaster: stage.postmaster(),
        postgres: stage.version().to_owned(),
        floor: stage.floor.address,
        filled: stage.filled,
    }))?;
    let obeyed = child::obey(async |order| obey(&stage, order).await).await;
    stage.strike().await;
    obeyed
}

async fn obey(stage: &Stage, order: Order) -> Result<Reply> {
    Ok(match order {
        Order::Invite(scope) => Reply::Invited(stage.invite(&scope).await?),
        Order::Unrecorded => Reply::Unrecorded(stage.unrecorded().await?),
        Order::Canned(message) => {
            stage.floor.can(proto::v1::ListResponse::decode(hex::decode(message)?.as_slice())?);
            Reply::Done
        }
        Order::Commits(millis) => Reply::Commits(measure::commits(stage, millis).await?),
        Order::Decide { grants, calls } => Reply::Decided(measure::decide(stage, grants, calls).await?),
        Order::Revoke(grant) => {
            let revoked = stage.revoke(grant.parse()?).await?;
            let took = crate::statistics::micros(revoked.took);
            Reply::Revoked(Revoked { took, drained: revoked.drained })
        }
        Order::End(grants) => {
            let grants = grants.iter().map(|grant| grant.parse()).collect::<Result<Vec<_>, _>>()?;
            let each = stage.end(&grants).await?;
            Reply::Ended(Ended { each, live: stage.sessions() })
        }
        Order::Enrol(_)
        | Order::Dial(_)
        | Order::Watch
        | Order::Touch
        | Order::Keep
        | Order::Ask(_)
        | Order::Over(_) => {
            bail!("that is an asking side's order")
        }
    })
}
