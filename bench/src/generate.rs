//! `bench generate`: rows in any number, into an instance that somebody made, or as the JSON lines that `mosaic-fed import` reads.

use crate::{
    args::GenerateArgs,
    fill,
    rows::{Rows, TEAMS},
};
use anyhow::{Context, Result, bail};
use domain::{
    audit::{Act, Record},
    id::{InstanceId, Name, RequestId, UserId},
    rights::Role,
    world::World,
};
use nix::fcntl::{Flock, FlockArg};
use serde::Deserialize;
use std::{fs, io::Write, path::Path, time::Instant};
use store::{
    People as _, User, Workspace,
    embedded::{Config, Lifetime, Server},
    postgres::Postgres,
};

/// What `mosaic-fed init` leaves in a data directory, as far as it matters here.
#[derive(Deserialize)]
struct Marker {
    instance: InstanceId,
}

/// Makes the rows.
pub async fn generate(args: &GenerateArgs) -> Result<()> {
    let world = World::system();
    let rows = Rows::new(args.seed, args.items, world.now());
    match &args.into {
        Some(directory) => into(directory, &rows, args.items, &world).await,
        None => print(&rows, args.items),
    }
}

fn print(rows: &Rows, count: u64) -> Result<()> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for n in 0..count {
        serde_json::to_writer(&mut out, &rows.row(n)?)?;
        out.write_all(b"\n")?;
    }
    Ok(out.flush()?)
}

async fn into(directory: &Path, rows: &Rows, count: u64, world: &World) -> Result<()> {
    let directory = &std::path::absolute(directory)?;
    let marker = directory.join("instance.json");
    let marker = fs::read(&marker).with_context(|| {
        format!(
            "{} cannot be read; make an instance with `mosaic-fed -C {} init NAME`",
            marker.display(),
            directory.display()
        )
    })?;
    let marker: Marker =
        serde_json::from_slice(&marker).context("instance.json is not what `mosaic-fed init` writes")?;
    let _held = hold(directory)?;
    let config =
        Config { programs: None, data_dir: directory.clone(), instance: marker.instance.0, lifetime: Lifetime::Daemon };
    let server = Server::start(config).await?;
    let filled = into_server(&server, rows, count, world).await;
    server.stop().await?;
    filled
}

/// The daemon's own lock: two on one database would end each other's PostgreSQL.
fn hold(directory: &Path) -> Result<Flock<fs::File>> {
    let path = directory.join("daemon.lock");
    let file = fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path)?;
    let locked = Flock::lock(file, FlockArg::LockExclusiveNonblock);
    locked.map_err(|_| {
        anyhow::anyhow!(
            "a daemon runs in {}; end it first, or import `bench generate --jsonl` through it",
            directory.display()
        )
    })
}

async fn into_server(server: &Server, rows: &Rows, count: u64, world: &World) -> Result<()> {
    let store = Postgres::connect(server.owner(), server.app(), world.clock()).await?;
    let place = place(&store, world).await?;
    let began = Instant::now();
    let mut told = 0;
    let mut progress = |done: u64| -> Result<()> {
        if done == count || done >= told + 50_000 {
            told = done;
            crate::tell(&format!("{done} of {count} rows, {:.0} s", began.elapsed().as_secs_f64()))?;
        }
        Ok(())
    };
    fill::fill(&store, (place.0.id, place.1), rows, count, &mut progress).await?;
    store.close().await;
    fill::settle(server.superuser()).await
}

/// The first workspace and an owner or admin of it, with every team that rows belong to.
async fn place(store: &Postgres, world: &World) -> Result<(Workspace, UserId)> {
    let workspace = store.workspaces().await?.into_iter().next().context("the instance has no workspace")?;
    let users = store.users().await?;
    let writes = |user: &&User| matches!(user.roles.get(&workspace.name), Some(Role::Owner | Role::Admin));
    let Some(owner) = users.iter().find(writes).map(|user| user.id) else {
        bail!("nobody may write for every team of workspace {}", workspace.name)
    };
    let there = store.teams(&workspace.name).await?;
    for team in TEAMS.into_iter().filter(|team| there.iter().all(|is| is.id.as_str() != *team)) {
        let record = Record::act(world.now(), Act::TeamEdit, owner, RequestId(world.uuid()));
        let name: &Name = &workspace.name;
        store.add_team(name, &team.parse()?, record).await?;
    }
    Ok((workspace, owner))
}
