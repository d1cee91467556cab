//! `mosaic-fed ca export`: the CA's certificate and key, and all else that a step-ca needs to issue in its place. The daemon must
//! not run: the key leaves the instance here, by its operator's hand alone, and the log says so first.

use super::{
    database::Database,
    identity, kek,
    serve::{is_ours, record_of, told_to_stop},
};
use crate::{
    config::{Config, shell_word},
    exit::{Exit, Failure, Outcome},
    out::Out,
    place::{Marker, Place, new_file},
};
use api::shape;
use clap::{Args, Subcommand};
use domain::{
    audit::{Act, Ending, Record, Stage, Subject},
    id::RequestId,
    world::World,
};
use futures::FutureExt;
use pki::{
    Authority,
    step_ca::{Address, setup},
};
use schemars::JsonSchema;
use serde::Serialize;
use std::{
    fs,
    net::{IpAddr, SocketAddr, TcpListener},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::Arc,
};
use store::Auditor;

/// Where step-ca's files lie.
const FOR_STEP_CA: &str = "step-ca";
/// Where those of this instance lie.
const FOR_US: &str = "mosaic-fed";

/// What is done with the certificate authority.
#[derive(Subcommand)]
pub enum CaCommand {
    /// Write what a step-ca needs to issue in place of this instance's own CA
    Export(CaExportArgs),
}

/// The arguments of `ca export`.
#[derive(Args)]
pub struct CaExportArgs {
    /// A folder that does not exist yet, or an empty one
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Where step-ca will be reached
    #[arg(long, value_name = "URL", default_value = "https://localhost:9000", value_parser = Address::parse)]
    url: Address,
}

/// What was written.
#[derive(Debug, Serialize, JsonSchema)]
pub struct CaExported {
    /// Where the files are.
    directory: PathBuf,
    /// The files, as paths below it.
    files: Vec<String>,
    /// SHA-256 of the CA's root certificate, DER: step-ca issues with the same.
    #[schemars(with = "shape::Hash")]
    fingerprint: String,
}

/// Does one of them.
pub async fn run(command: CaCommand, place: &Place, out: &Out) -> Outcome {
    let CaCommand::Export(args) = command;
    let marker = place.marker()?;
    drop(place.guarded()?);
    let config = Config::read(&place.config(), std::env::vars())?;
    let folder = std::path::absolute(&args.folder).map_err(|error| Failure::file("find", &args.folder, &error))?;
    let _lock = place.lock()?;
    claim(&folder)?;
    // A PostgreSQL that was started is stopped again, whatever is pressed meanwhile.
    let stop = told_to_stop()?;
    let exported = export(&config, place, &marker, &folder, &args.url).await;
    if stop.now_or_never().is_some() {
        let cause = format!("interrupted; what is in {} may not be whole", folder.display());
        return Err(Failure::new(Exit::Interrupted, cause).next(format!("rm -r {}", shell_word(&text(&folder)))));
    }
    let exported = exported?;
    out.value(&exported, shown)?;
    out.remark(&format!("next: read {}", folder.join("README.md").display()));
    Ok(Exit::Done)
}

async fn export(
    config: &Config,
    place: &Place,
    marker: &Marker,
    folder: &Path,
    address: &Address,
) -> Outcome<CaExported> {
    let world = World::system();
    let kek = kek::read(config, place)?;
    let database = Database::open(config, place, marker.instance, &world, &kek, is_ours(config, marker, &kek)).await?;
    let written = async {
        let record = record_of(&database, config, marker).await?;
        let authority = identity::open(&world, &kek, &record)?.authority;
        note(&database, &world, folder).await?;
        write(&authority, place, folder, address)
    };
    let written = written.await;
    database.close().await;
    written
}

/// The log says it before it happens.
async fn note(database: &Database, world: &World, folder: &Path) -> Outcome<()> {
    let (auditor, writer) = Auditor::start(Arc::clone(&database.store), world.clock());
    let (request, about) = (RequestId(world.uuid()), Subject::Act(Act::CaExport));
    let record = Record::new(world.now(), Stage::Admin, Ending::Done, about, request);
    let noted = auditor.record(record.noting(&format!("to {}", folder.display()))).await;
    drop(auditor);
    writer.await.map_err(Failure::of)?;
    noted.map_err(|error| api::Problem::from(error).into())
}

fn write(authority: &Authority, place: &Place, folder: &Path, address: &Address) -> Outcome<CaExported> {
    let mut files = Vec::new();
    let mut write = |name: String, content: &str| {
        new_file(&folder.join(&name), content.as_bytes())?;
        files.push(name);
        Ok::<_, Failure>(())
    };
    for part in [FOR_STEP_CA, FOR_US] {
        directory(&folder.join(part))?;
    }
    let listen = listen(address);
    for file in setup::files(authority, address.host(), &listen).map_err(Failure::of)? {
        let content = file.content.expose();
        if file.name != setup::PROVISIONER_KEY {
            write(format!("{FOR_STEP_CA}/{}", file.name), content)?;
        }
        if file.name == setup::PROVISIONER_KEY || file.name == setup::ROOT {
            write(format!("{FOR_US}/{}", file.name), content)?;
        }
    }
    write("README.md".to_owned(), &readme(place, folder, address))?;
    let fingerprint = domain::invite::fingerprint(authority.root_der());
    Ok(CaExported { directory: folder.to_owned(), files, fingerprint })
}

fn readme(place: &Place, folder: &Path, address: &Address) -> String {
    let ours = folder.join(FOR_US);
    let toml = |path: PathBuf| toml::Value::from(text(&path));
    format!(
        "# From the instance's own CA to step-ca\n\n\
         `{FOR_STEP_CA}/` goes to the machine of step-ca, and only there: `{}` is the key that every link trusts. Start step-ca in \
         that folder, as an account of its own:\n\n    cd {FOR_STEP_CA} && step-ca {}\n\n\
         or in a container, with `compose/step-ca/` of mosaic-fed.\n\n\
         `{FOR_US}/` stays on this machine: with `{}` certificates are ordered. Write into {}:\n\n\
         \x20   [ca]\n    url = \"{}\"\n    root = {}\n    key_file = {}\n\n\
         and start the daemon again: `mosaic-fed serve`. Links go on as they are. To move back, take `[ca]` out and start it again. \
         `docs/pki.md` says more.\n\n\
         Then remove what is left of `{}` here. Who has it can make certificates of this instance; a copy of it stays, sealed, in \
         the instance's database.\n",
        setup::ROOT_KEY,
        setup::CONFIG,
        setup::PROVISIONER_KEY,
        place.config().display(),
        address.url(""),
        toml(ours.join(setup::ROOT)),
        toml(ours.join(setup::PROVISIONER_KEY)),
        setup::ROOT_KEY,
    )
}

/// Where step-ca is to listen: at the URL's address alone, where that is one of this machine. Behind a name there may be any, and in a
/// container it must be all.
fn listen(address: &Address) -> String {
    let literal = address.host().parse::<IpAddr>().ok();
    let own = literal.filter(|ip| ip.is_loopback() || TcpListener::bind((*ip, 0)).is_ok());
    own.map_or_else(|| format!(":{}", address.port()), |ip| SocketAddr::new(ip, address.port()).to_string())
}

/// Takes a folder that is not there, or empty.
fn claim(folder: &Path) -> Outcome<()> {
    match fs::read_dir(folder).map(|mut entries| entries.next().is_none()) {
        Ok(true) => Ok(()),
        Ok(false) => Err(Failure::new(Exit::Conflict, format!("{} is not empty", folder.display()))
            .next("name a folder that does not exist yet, or an empty one")),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => directory(folder),
        Err(error) => Err(Failure::file("write to", folder, &error).next("name a folder that does not exist yet")),
    }
}

fn directory(path: &Path) -> Outcome<()> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|error| Failure::file("make", path, &error))
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn shown(exported: &CaExported) -> String {
    let (directory, files) = (exported.directory.display(), exported.files.join("\n"));
    format!("directory    {directory}\nfingerprint  {}\n{files}", exported.fingerprint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_ca_listens_where_its_url_says_and_nowhere_else_if_that_is_an_address_of_this_machine() {
        for (url, at) in [
            ("https://127.0.0.1:39000", "127.0.0.1:39000"),
            ("https://127.0.0.7:9", "127.0.0.7:9"),
            ("https://[::1]:9000", "[::1]:9000"),
            ("https://localhost:9000", ":9000"),
            ("https://ca.example:9000", ":9000"),
            // Documentation's own (RFC 5737): no machine's.
            ("https://192.0.2.7:9000", ":9000"),
        ] {
            assert_eq!(listen(&Address::parse(url).unwrap()), at, "{url}");
        }
    }
}
