//! Who issues this instance's certificates: the CA of its own, or the step-ca that `[ca]` of the settings names.

use crate::{
    config::{self, Config},
    exit::{Exit, Failure, Outcome},
    private,
};
use domain::world::World;
use pki::{
    Authority, Issuer,
    step_ca::{Address, GuardError, ProvisionerKey, Settings, StepCa},
};
use std::{fs, io, path::Path, sync::Arc};

/// The issuer that the settings ask for. A step-ca is looked at first, within five seconds; nothing starts on one that
/// existing links would not believe, or that lets others past the grants.
pub async fn issuer(config: &Config, own: Authority, world: &World) -> Outcome<Arc<dyn Issuer>> {
    let Some(ca) = &config.ca else { return Ok(Arc::new(own)) };
    let step_ca = StepCa::new(settings(ca, &own)?, world);
    let step_ca = step_ca.map_err(|error| {
        let (cause, next) = parted(&error.to_string());
        Failure::new(Exit::Usage, format!("{}: {cause}", ca.root.display())).next(next)
    })?;
    for warning in step_ca.guard().await.map_err(|error| refused(&error))? {
        tracing::warn!("{warning}");
    }
    tracing::info!(at = %step_ca.at(), "step-ca issues this instance's certificates");
    Ok(Arc::new(step_ca))
}

fn settings(ca: &config::Ca, own: &Authority) -> Outcome<Settings> {
    let unreadable =
        |key: &str, path: &Path, error: &io::Error| Failure::input(path, error).set_by(&format!("`{key}` of `[ca]`"));
    let root_pem = fs::read_to_string(&ca.root).map_err(|error| unreadable("root", &ca.root, &error))?;
    let text =
        private::text(&ca.key_file, "the provisioner's key", |error| unreadable("key_file", &ca.key_file, error))?;
    let key = ProvisionerKey::from_text(text.expose()).map_err(|error| {
        let cause = format!("{}: {error}", ca.key_file.display());
        Failure::new(Exit::Usage, cause).next("write the key of the provisioner in ca.json there; docs/pki.md says how")
    })?;
    let address = Address::parse(&ca.url).map_err(Failure::of)?;
    Ok(Settings { address, root_pem, provisioner: ca.provisioner.clone(), key, anchor: own.root_der().to_vec() })
}

fn refused(error: &GuardError) -> Failure {
    let exit = if matches!(error, GuardError::Ca(_)) { Exit::Unavailable } else { Exit::Conflict };
    let (cause, next) = parted(&error.to_string());
    Failure::new(exit, cause).next(next)
}

/// Cause and next step.
fn parted(text: &str) -> (String, String) {
    let (cause, next) = text.split_once("; ").unwrap_or((text, "docs/pki.md says how the two are set up"));
    (cause.to_owned(), next.to_owned())
}
