//! The instance's own keys: its CA's and its log's, made once and sealed under the KEK.

use crate::exit::{Failure, Outcome};
use domain::{
    id::{InstanceId, Name},
    secret::Secret,
    world::World,
};
use pki::{AuditKey, Authority, Kek};
use store::InstanceRecord;

/// The keys of a running instance.
pub struct Identity {
    /// Issues certificates.
    pub authority: Authority,
    /// Signs the log's heads.
    pub audit_key: AuditKey,
}

/// Binds a sealed key to what it is for: it opens as nothing else.
fn context(what: &str, instance: InstanceId) -> String {
    format!("mosaic-fed {what} of instance {instance}")
}

const CA: &str = "certificate authority key";
const LOG: &str = "audit key";

/// Makes the keys of a new instance.
pub fn make(world: &World, kek: &Kek, instance: InstanceId, name: &Name) -> Outcome<InstanceRecord> {
    let authority = Authority::create(world, instance).map_err(Failure::of)?;
    let audit_key = AuditKey::generate().map_err(Failure::of)?;
    let seal = |what, key: &[u8]| kek.seal(&context(what, instance), key).map_err(Failure::of);
    Ok(InstanceRecord {
        id: instance,
        name: name.clone(),
        root: authority.root_der().to_vec(),
        sealed_ca_key: seal(CA, authority.key_pkcs8().expose())?,
        sealed_audit_key: seal(LOG, audit_key.key_pkcs8().expose())?,
    })
}

/// Opens the keys of an instance.
pub fn open(world: &World, kek: &Kek, record: &InstanceRecord) -> Outcome<Identity> {
    let ca_key = opened(kek, record.id, CA, &record.sealed_ca_key)?;
    let audit_key = opened(kek, record.id, LOG, &record.sealed_audit_key)?;
    Ok(Identity {
        authority: Authority::load(world, &record.root, &ca_key).map_err(Failure::of)?,
        audit_key: AuditKey::load(audit_key).map_err(Failure::of)?,
    })
}

/// Refuses a key that is not the instance's.
pub fn fits(kek: &Kek, record: &InstanceRecord) -> Outcome<()> {
    opened(kek, record.id, CA, &record.sealed_ca_key)?;
    opened(kek, record.id, LOG, &record.sealed_audit_key).map(drop)
}

fn opened(kek: &Kek, instance: InstanceId, what: &str, sealed: &[u8]) -> Outcome<Secret<Vec<u8>>> {
    kek.open(&context(what, instance), sealed).map_err(|error| {
        Failure::of(format!("the {what} cannot be opened: {error}"))
            .next("the key file is not the one this instance was made with; restore the right one")
    })
}
