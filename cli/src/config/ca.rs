//! The part of the settings that names a step-ca.

use crate::exit::{Exit, Failure, Outcome};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// A step-ca, and how it is spoken to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ca {
    /// Where it is, as in `https://ca.example:9000`.
    pub url: String,
    /// A file with the one root certificate that its TLS certificate must be of, PEM.
    pub root: PathBuf,
    /// The JWK provisioner.
    pub provisioner: String,
    /// A file with the provisioner's private key, mode 0600.
    pub key_file: PathBuf,
}

impl Default for Ca {
    fn default() -> Self {
        let nowhere = PathBuf::new;
        let provisioner = pki::step_ca::PROVISIONER.to_owned();
        Self { url: String::new(), root: nowhere(), provisioner, key_file: nowhere() }
    }
}

impl Ca {
    pub(super) fn checked(&self) -> Outcome<()> {
        let missing = [
            ("url", self.url.is_empty()),
            ("root", self.root.as_os_str().is_empty()),
            ("key_file", self.key_file.as_os_str().is_empty()),
        ];
        if let Some((key, _)) = missing.iter().find(|(_, missing)| *missing) {
            let cause = format!("`[ca]` has no `{key}`: it needs `url`, `root` and `key_file`");
            return Err(Failure::new(Exit::Usage, cause)
                .next("write it, or take `[ca]` away for the CA of the instance's own; docs/pki.md says more"));
        }
        let refused = |why: String| {
            let (why, next) = why.split_once("; ").unwrap_or((&why, "write it as in https://ca.example:9000"));
            Failure::new(Exit::Usage, format!("`url` of `[ca]`: {why}")).next(next)
        };
        pki::step_ca::Address::parse(&self.url).map(drop).map_err(refused)
    }
}
