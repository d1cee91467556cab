//! The instance's database: a PostgreSQL of the daemon's own, or one that was configured.

use crate::{
    config::Config,
    exit::{Exit, Failure, Outcome},
    place::Place,
};
use domain::{id::InstanceId, world::World};
use pki::Kek;
use std::{path::PathBuf, sync::Arc};
use store::{
    InstanceRecord, Trust,
    embedded::{self, EmbeddedError, Lifetime, Server, Supervised},
    postgres::Postgres,
};

/// What the store says of a database that has no room.
const FULL: &str = "the disk is full";

/// An open database, and the server that belongs to it if it is the daemon's own.
pub struct Database {
    /// What the rest of the daemon asks.
    pub store: Arc<Postgres>,
    server: Option<Supervised>,
}

impl Database {
    /// Starts what must be started, migrates, and checks that the database guards its rows. `is_ours` says whether what the database
    /// holds belongs to this directory and its key: before anything is written to either.
    pub async fn open(
        config: &Config,
        place: &Place,
        instance: InstanceId,
        world: &World,
        kek: &Kek,
        is_ours: impl FnOnce(Option<&InstanceRecord>) -> Outcome<()> + Send,
    ) -> Outcome<Self> {
        let (options, server) = if let Some((owner, app)) = config.postgres.as_ref().zip(config.postgres_app.as_ref()) {
            let options = owner.parse().and_then(|owner| Ok((owner, app.parse()?)));
            // The parser's own words may repeat the URL, and with it the password.
            let options = options.map_err(|_| {
                Failure::new(Exit::Usage, "`postgres` or `postgres_app` is no URL of a database")
                    .next("as in postgres://user:password@host:5432/database")
            })?;
            (options, None)
        } else {
            let server = start(config, place, instance).await?;
            ((server.owner(), server.app()), Some(server))
        };
        let connected = async {
            let (owner, app) = options;
            // With a key that is not the instance's every grant would be one that somebody has changed.
            is_ours(Postgres::found(&owner).await.map_err(away)?.instance.as_ref())?;
            let trust = Arc::new(trust(place, kek)?);
            Postgres::connect(owner, app, world.clock(), trust).await.map_err(away)
        };
        match connected.await {
            Ok(store) => Ok(Self { store: Arc::new(store), server: server.map(Server::supervised) }),
            Err(failure) => {
                if let Some(server) = server {
                    stopped(server.stop().await);
                }
                Err(failure)
            }
        }
    }

    /// The server's version, where it is the daemon's own.
    pub fn version(&self) -> &str {
        self.server.as_ref().map_or("", Supervised::version)
    }

    /// Where the server's files lie, where it is the daemon's own.
    pub fn files(&self) -> Option<PathBuf> {
        self.server.as_ref().and_then(|server| server.cluster().parent().map(ToOwned::to_owned))
    }

    /// Closes connections and stops the daemon's own server.
    pub async fn close(self) {
        self.server.iter().for_each(Supervised::let_end);
        self.store.close().await;
        if let Some(server) = self.server {
            stopped(server.stop().await);
        }
    }
}

fn trust(place: &Place, kek: &Kek) -> Outcome<Trust> {
    let floors = place.floors();
    let cannot = |error| Failure::of(format!("{} cannot be read or written: {error}", floors.display()));
    Trust::open(&floors, kek.row_key().map_err(Failure::of)?).map_err(cannot)
}

async fn start(config: &Config, place: &Place, instance: InstanceId) -> Outcome<Server> {
    let wanted = embedded::Config {
        programs: config.postgres_programs.clone(),
        data_dir: place.dir().to_owned(),
        instance: instance.0,
        lifetime: Lifetime::Daemon,
    };
    Server::start(wanted).await.map_err(|error| not_started(&error))
}

/// What it says on its first line is the cause, and what follows is to be done; the last lines of a server's log are neither.
fn not_started(error: &EmbeddedError) -> Failure {
    let text = error.to_string();
    match (error, text.split_once('\n')) {
        (EmbeddedError::Start { log, .. }, _) => {
            away(&text).next(format!("mend what {} says, then try again", log.display()))
        }
        (_, Some((cause, next))) => away(cause).next(next),
        (_, None) => away(text),
    }
}

fn stopped(outcome: Result<(), EmbeddedError>) {
    if let Err(error) = outcome {
        tracing::error!(%error, "PostgreSQL did not stop");
    }
}

fn away(error: impl std::fmt::Display) -> Failure {
    let failure = Failure::new(Exit::Unavailable, error.to_string());
    if failure.cause.contains(FULL) { failure.next("make room where its files lie, then try again") } else { failure }
}
