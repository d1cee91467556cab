//! The store on PostgreSQL: migrations run as the owner, everything else as a role that owns nothing and cannot pass by
//! row-level security.
//!
//! Map: [`start`](Postgres::connect) migrates, gives rights and refuses an unsafe database (`boot`); `unit` hands out
//! transactions and never a connection whose transaction was not ended; `change` is the one way to change a standing
//! together with its record; `sql` holds every fixed statement and `filter` the only ones built at run time; the other
//! files are the traits, one each.

mod audit;
mod audit_tree;
mod boot;
mod calls;
mod ceiling;
mod change;
mod error;
mod filter;
mod grants;
mod instance;
mod invites;
mod items;
mod keys;
mod link_keys;
mod links;
mod listen;
mod people;
mod put;
mod row;
pub mod sql;
mod start;
mod teams;
mod tokens;
mod unit;

pub use start::{Found, Pools, StartError};

use crate::Trust;
use domain::world::Clock;
use listen::Changes;
use sqlx::postgres::PgConnectOptions;
use std::{io, sync::Arc, time::Duration};
use unit::Pool;

/// How long the last calls may take to end.
const CLOSE: Duration = Duration::from_secs(10);

/// The store, connected. Shared behind an `Arc`; dropping it closes its connections.
#[derive(Debug)]
pub struct Postgres {
    /// Rows: what may take long.
    serving: Pool,
    /// Who there is, what is granted and linked, and ordinary changes of it: small questions on the way of every command.
    door: Pool,
    /// Revocation, standing, the audit and the health check, so that they never wait behind reads.
    reserved: Pool,
    changes: Changes,
    last_end: audit::LastEnd,
    clock: Arc<dyn Clock>,
    /// What judges and seals grants.
    trust: Arc<Trust>,
}

impl Postgres {
    /// Migrates the database as `owner`, gives `app` its rights, refuses to serve from a database that does not hold tenants
    /// apart or may lose what it acknowledged, and connects as `app`. Grants are sealed and judged by `trust`.
    pub async fn connect(
        owner: PgConnectOptions,
        app: PgConnectOptions,
        clock: Arc<dyn Clock>,
        trust: Arc<Trust>,
    ) -> Result<Self, StartError> {
        Self::connect_with(owner, app, clock, trust, Pools::for_machine()).await
    }

    /// As [`Postgres::connect`], with pools of a given size.
    pub async fn connect_with(
        owner: PgConnectOptions,
        app: PgConnectOptions,
        clock: Arc<dyn Clock>,
        trust: Arc<Trust>,
        pools: Pools,
    ) -> Result<Self, StartError> {
        let app = start::serving(app);
        boot::check_role(&app).await?;
        let found = start::look(&owner).await?;
        let floors = |error: io::Error| StartError::Floors(error.to_string());
        if !found.has_seals {
            // Before the migration: whatever comes between, the next start knows that rows without a seal are of that time.
            trust.note_unsealed().map_err(floors)?;
        }
        start::migrate(owner, &app).await?;
        boot::check(&app).await?;
        let changes = Changes::listen(&app).await?;
        let serving = Pool::new(&app, pools.serving);
        let [door, reserved] = [pools.door, pools.reserved].map(|size| serving.beside(&app, size));
        let store = Self { serving, door, reserved, changes, last_end: audit::LastEnd::default(), clock, trust };
        if store.trust.is_to_seal() {
            store.seal_every_grant().await.map_err(|error| StartError::Migrate(error.to_string()))?;
        }
        if found.instance.is_some() && found.has_seals {
            store.trust.note_lost().map_err(floors)?;
        }
        store.trust.note_sealed().map_err(floors)?;
        Ok(store)
    }

    /// What the database of this owner holds, before anything is done to it: to see that it is the right one, and its keys too.
    pub async fn found(owner: &PgConnectOptions) -> Result<Found, StartError> {
        start::look(owner).await
    }

    /// What judges the grants' rows.
    pub fn trust(&self) -> Arc<Trust> {
        Arc::clone(&self.trust)
    }

    /// Closes every connection; calls under way end first, unless the server has stopped answering them.
    pub async fn close(&self) {
        let closed = async {
            tokio::join!(self.changes.close(), self.serving.close(), self.door.close(), self.reserved.close())
        };
        if tokio::time::timeout(CLOSE, closed).await.is_err() {
            tracing::warn!("PostgreSQL does not answer; its connections are dropped");
        }
    }
}
