//! The files that a step-ca starts with, so that it issues as the embedded CA did: the same certificate, the same key.

use super::{PROVISIONER, ProvisionerKey, TEMPLATE, key::pem};
use crate::{Authority, request::KeyError};
use domain::secret::Secret;
use serde_json::json;

/// A file to be written.
pub struct File {
    /// Its name; all lie in one directory.
    pub name: &'static str,
    /// What is in it.
    pub content: Secret<String>,
    /// Whether nobody else may read it.
    pub secret: bool,
}

/// The root certificate's file.
pub const ROOT: &str = "root_ca.crt";
/// Its key's.
pub const ROOT_KEY: &str = "root_ca.key";
/// The private half of the provisioner's key; for mosaic-fed, not for step-ca.
pub const PROVISIONER_KEY: &str = "provisioner.key";
/// The template's.
pub const LEAF: &str = "leaf.tpl";
/// The configuration's.
pub const CONFIG: &str = "ca.json";

/// What `authority` was, as a step-ca for `host` that listens at `address`, with a new provisioner key.
///
/// step-ca is started in the directory of these files: `step-ca ca.json`.
pub fn files(authority: &Authority, host: &str, address: &str) -> Result<Vec<File>, KeyError> {
    let (key, key_pem) = ProvisionerKey::generate()?;
    let public = |name, content: String| File { name, content: Secret::new(content), secret: false };
    let root_key = Secret::new(pem("PRIVATE KEY", authority.key_pkcs8().expose()));
    Ok(vec![
        public(ROOT, pem("CERTIFICATE", authority.root_der())),
        File { name: ROOT_KEY, content: root_key, secret: true },
        public(CONFIG, config(&key, host, address)),
        public(LEAF, TEMPLATE.to_owned()),
        File { name: PROVISIONER_KEY, content: key_pem, secret: true },
    ])
}

/// The `ca.json`: one JWK provisioner that cannot renew, a CRL that is made anew with each revocation.
pub fn config(key: &ProvisionerKey, host: &str, address: &str) -> String {
    let config = json!({
        "root": ROOT,
        "crt": ROOT,
        "key": ROOT_KEY,
        "address": address,
        "dnsNames": [host],
        "logger": {"format": "text"},
        "db": {"type": "bbolt", "dataSource": "db"},
        "crl": {"enabled": true, "generateOnRevoke": true, "cacheDuration": "24h"},
        "authority": {
            "provisioners": [{
                "type": "JWK",
                "name": PROVISIONER,
                "key": key.public(),
                "claims": {
                    "disableRenewal": true,
                    "minTLSCertDuration": "5m",
                    "maxTLSCertDuration": "2160h5m",
                    "defaultTLSCertDuration": "24h",
                },
                "options": {"x509": {"templateFile": format!("./{LEAF}")}},
            }],
        },
        "tls": {"minVersion": 1.3, "maxVersion": 1.3, "renegotiation": false},
    });
    format!("{config:#}\n")
}
