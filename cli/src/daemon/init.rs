//! `mosaic-fed init`: a data directory, a key file, a CA, a database, one workspace and its owner. An interrupted one leaves
//! nothing that a second one would stumble over.

use super::{database::Database, identity, kek};
use crate::{
    config::{Config, address, dialling, host},
    exit::{Exit, Failure, Outcome},
    out::Out,
    place::{Place, new_file},
};
use api::shape;
use clap::Args;
use domain::{
    audit::{Act, Record},
    id::{InstanceId, Name, RequestId, UserId, WorkspaceId},
    world::World,
};
use futures::FutureExt;
use nix::unistd::{User, geteuid};
use schemars::JsonSchema;
use serde::Serialize;
use std::{fs, net::SocketAddr, path::PathBuf};
use store::{Instance, embedded::Environment};

/// The one workspace of a new instance.
const WORKSPACE: &str = "main";

/// The arguments of `init`.
#[derive(Args)]
pub struct InitArgs {
    /// What the instance calls itself, as in home or work
    name: Name,
    /// Where links are served
    #[arg(long, value_name = "ADDR", default_value = "[::]:7443", env = "MOSAIC_FED_LISTEN", value_parser = address)]
    listen: SocketAddr,
    /// Where invites are taken
    #[arg(
        long,
        value_name = "ADDR",
        default_value = "[::]:7444",
        env = "MOSAIC_FED_LISTEN_ENROLMENT",
        value_parser = address
    )]
    listen_enrolment: SocketAddr,
    /// Where calls of instances that cannot be reached are taken, once somebody waits for one
    #[arg(
        long,
        value_name = "ADDR",
        default_value = "[::]:7446",
        env = "MOSAIC_FED_LISTEN_CALLS",
        value_parser = address
    )]
    listen_calls: SocketAddr,
    /// A host, without port, under which others reach this machine; may be repeated. This machine's own addresses if not given.
    /// With an address of loopback the instance may also dial there (`dial_allow`): for two instances on one machine
    #[arg(long, value_name = "HOST", value_parser = host)]
    advertise: Vec<String>,
    /// A PostgreSQL of your own: the role that owns the database
    #[arg(long, value_name = "URL", requires = "postgres_app", env = "MOSAIC_FED_POSTGRES", hide_env_values = true)]
    postgres: Option<String>,
    /// The role that serves: it owns nothing and cannot bypass row-level security
    #[arg(long, value_name = "URL", requires = "postgres", env = "MOSAIC_FED_POSTGRES_APP", hide_env_values = true)]
    postgres_app: Option<String>,
    /// The name of its first user; your account's if not given
    #[arg(long, value_name = "NAME")]
    user: Option<Name>,
}

/// What was made.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Made {
    /// What it calls itself.
    #[schemars(with = "shape::Name")]
    name: Name,
    /// Which instance.
    #[schemars(with = "shape::Id")]
    instance: InstanceId,
    /// Where everything of it lies.
    directory: PathBuf,
    /// What database it uses; never with a password.
    database: String,
    /// Its one workspace.
    #[schemars(with = "shape::Name")]
    workspace: Name,
    /// Its first user, who owns the workspace.
    #[schemars(with = "shape::Name")]
    owner: Name,
    /// SHA-256 of its CA's root certificate, DER.
    #[schemars(with = "shape::Hash")]
    fingerprint: String,
}

/// Makes an instance.
pub async fn run(args: InitArgs, place: &Place, out: &Out) -> Outcome {
    let (name, owner) = (args.name.clone(), args.user.clone().map_or_else(account_name, Ok)?);
    let config = args.config();
    let directory_is_new = place.claim()?;
    let mut traces = Traces { place, directory_is_new, database: None };
    // Never broken off half-way: what was started is stopped first, then a signal undoes it all.
    let stop = super::serve::told_to_stop()?;
    let made = make(name, owner, config, place, &mut traces.database).await;
    let made = match stop.now_or_never() {
        Some(()) => Err(Failure::new(Exit::Interrupted, "interrupted; nothing was made")),
        None => made,
    };
    let made = made.inspect_err(|_| traces.wipe())?;
    out.value(&made, shown)?;
    out.next("serve");
    Ok(Exit::Done)
}

impl InitArgs {
    fn config(self) -> Config {
        let Self { listen, listen_enrolment, listen_calls, advertise, postgres, postgres_app, .. } = self;
        let dial_allow = dialling::of_new(&advertise);
        Config {
            listen,
            listen_enrolment,
            listen_calls,
            advertise,
            dial_allow,
            postgres,
            postgres_app,
            ..Config::default()
        }
    }
}

async fn make(name: Name, owner: Name, config: Config, place: &Place, files: &mut Option<PathBuf>) -> Outcome<Made> {
    let world = World::system();
    let instance = InstanceId(world.uuid());
    new_file(&place.config(), config.to_text()?.as_bytes())?;
    // Only the environment can say more than the file that was just written, for example where the key lies.
    let config = Config::read(&place.config(), std::env::vars())?;
    let kek = kek::make(&world, &config, place)?;
    // Where a root daemon's would lie: one that does not come up has no files to tell of.
    *files = Some(Environment::of_process().databases.join(instance.to_string()));
    let database = Database::open(&config, place, instance, &world, &kek, is_nobodys).await?;
    *files = database.files();
    let record = identity::make(&world, &kek, instance, &name)?;
    let filled = fill(&database, &record, owner.clone(), &world).await;
    let described = config.database(database.version(), database.files().as_deref());
    database.close().await;
    let workspace = filled?;
    place.mark(instance, &name)?;
    let fingerprint = domain::invite::fingerprint(&record.root);
    let directory = place.dir().to_owned();
    Ok(Made { name, instance, directory, database: described, workspace, owner, fingerprint })
}

/// A database that holds an instance is left as it is.
fn is_nobodys(found: Option<&store::InstanceRecord>) -> Outcome<()> {
    let taken = "this database belongs to an instance already";
    found.map_or(Ok(()), |_| Err(Failure::new(Exit::Conflict, taken).next("choose another directory or database")))
}

/// The instance, its workspace and its owner, in one transaction.
async fn fill(database: &Database, record: &store::InstanceRecord, owner: Name, world: &World) -> Outcome<Name> {
    let workspace: Name = WORKSPACE.parse().map_err(Failure::of)?;
    let user = UserId(world.uuid());
    let act = Record::act(world.now(), Act::UserAdd, user, RequestId(world.uuid()))
        .noting(&format!("new instance {} with {owner} as owner of {workspace}", record.name));
    let uid = Some(geteuid().as_raw());
    let made =
        database.store.create_instance(record, (WorkspaceId(world.uuid()), workspace.clone()), (user, owner, uid), act);
    made.await.map_err(|error| api::Problem::from(error).into()).map(|()| workspace)
}

/// The account's name in the form that names have here.
fn account_name() -> Outcome<Name> {
    let account = User::from_uid(geteuid()).ok().flatten().map(|user| user.name).unwrap_or_default();
    sanitised(&account).map_or_else(|| "owner".parse().map_err(Failure::of), Ok)
}

fn sanitised(account: &str) -> Option<Name> {
    let allowed = |c: char| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '-' };
    let text: String = account.to_lowercase().chars().map(allowed).take(63).collect();
    text.trim_matches('-').parse().ok()
}

/// What a failed init leaves behind, and removes.
struct Traces<'a> {
    place: &'a Place,
    directory_is_new: bool,
    database: Option<PathBuf>,
}

impl Traces<'_> {
    fn wipe(&self) {
        let dir = self.place.dir();
        let database = self.database.iter().filter(|files| !files.starts_with(dir));
        database.for_each(|files| drop(fs::remove_dir_all(files)));
        if self.directory_is_new {
            drop(fs::remove_dir_all(dir));
            return;
        }
        // The directory was there and empty: it stays so.
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            let path = entry.path();
            drop(if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) });
        }
    }
}

fn shown(made: &Made) -> String {
    format!(
        "instance     {} ({})\ndirectory    {}\ndatabase     {}\nworkspace    {}, owned by {}\nfingerprint  {}",
        made.name,
        made.instance,
        made.directory.display(),
        made.database,
        made.workspace,
        made.owner,
        made.fingerprint
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_name_becomes_a_name_or_none() {
        for (account, name) in [("alice", "alice"), ("Björn.Borg", "bj-rn-borg"), ("_apt", "apt"), ("x-1", "x-1")] {
            assert_eq!(sanitised(account).unwrap().as_str(), name);
        }
        assert_eq!(sanitised("___"), None);
    }
}
