//! The key that seals every other key: from a file that was named, from systemd's credentials, or from the data directory.
//! Never from the database, never printed.

use crate::{
    config::Config,
    exit::{Failure, Outcome},
    place::{Place, new_file},
    private,
};
use domain::world::World;
use pki::Kek;
use std::{
    io,
    path::{Path, PathBuf},
};

/// The credential's name for systemd: `LoadCredential=mosaic-fed-kek:/path`.
const CREDENTIAL: &str = "mosaic-fed-kek";

/// Where the key is: as configured, else a credential of that name, else in the data directory.
fn path(config: &Config, place: &Place) -> PathBuf {
    let credential = || {
        let directory = std::env::var_os("CREDENTIALS_DIRECTORY")?;
        Some(PathBuf::from(directory).join(CREDENTIAL)).filter(|path| path.exists())
    };
    config.kek_file.clone().or_else(credential).unwrap_or_else(|| place.kek())
}

/// Reads the key.
pub fn read(config: &Config, place: &Place) -> Outcome<Kek> {
    let path = path(config, place);
    let text = private::text(&path, "the key that seals all others", |error| missing(&path, error))?;
    Kek::from_text(text.expose().trim()).map_err(|error| Failure::of(format!("{}: {error}", path.display())))
}

/// The key of a new instance: the one that is there where a place of its own was named, else a new one.
pub fn make(world: &World, config: &Config, place: &Place) -> Outcome<Kek> {
    let path = path(config, place);
    if path.exists() {
        return read(config, place);
    }
    let kek = Kek::generate(world);
    new_file(&path, kek.to_text().expose().as_bytes())?;
    Ok(kek)
}

fn missing(path: &Path, error: &io::Error) -> Failure {
    Failure::file("read the key file", path, error)
        .next("restore it from where you keep it: without it no key of this instance can be opened")
}
