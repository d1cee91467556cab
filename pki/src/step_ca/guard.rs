//! What a step-ca must be like before anything is ordered from it: its version, its provisioners, and that links trust it.
//!
//! Before 0.30.2 its SCEP, ACME and SSHPOP provisioners let people in who are nobody (CVE-2026-30836, GHSA-h8cp-697h-8c8p,
//! GHSA-j7c9-79x7-8hpr): such a CA with such a provisioner is refused, either alone is reported. Renewing must be off at our
//! provisioner, or whoever has an old certificate renews it there, past the grants.

use super::{Address, CaError};
use serde::Deserialize;
use std::fmt;

/// The first version without known ways around its authorisation.
pub const FLOOR: Version = Version { numbers: [0, 30, 2], whole: true };
/// Provisioners that were such a way.
const RISKY: [&str; 3] = ["SCEP", "ACME", "SSHPOP"];
/// The others that step-ca has.
const KNOWN: [&str; 8] = ["JWK", "OIDC", "GCP", "AWS", "Azure", "X5C", "K8sSA", "Nebula"];

/// A version: three numbers, and whether it is the release itself and not a candidate for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    numbers: [u32; 3],
    whole: bool,
}

impl Version {
    /// Reads `0.30.2`, `v0.30.2`, `0.30.2-1` (a distribution's revision), `0.30.2-rc.1` and `0.30.2-0.20251103101500-0a1b2c3d4e5f`
    /// (both older than the release: a candidate, and a commit on the way to it as Go names it).
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim().trim_start_matches('v');
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let mut numbers = text[..end].split('.').map(|number| number.parse().ok());
        let (Some(Some(one)), Some(Some(two)), Some(Some(three)), None) =
            (numbers.next(), numbers.next(), numbers.next(), numbers.next())
        else {
            return None;
        };
        let rest = text[end..].trim_start_matches(['-', '~']);
        let candidate = rest.starts_with(|c: char| c.is_ascii_alphabetic()) || is_commit(rest);
        Some(Self { numbers: [one, two, three], whole: !candidate })
    }
}

/// Whether this is `0.` and a date, as Go puts it after the version that a commit comes before.
fn is_commit(rest: &str) -> bool {
    let date = rest.strip_prefix("0.").map(|date| date.bytes().take_while(u8::is_ascii_digit).count());
    date.is_some_and(|digits| digits >= 8)
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [one, two, three] = self.numbers;
        write!(f, "{one}.{two}.{three}")
    }
}

/// A provisioner as `/provisioners` lists it, as far as it matters here.
#[derive(Clone, Debug, Deserialize)]
pub struct Provisioner {
    /// What kind.
    #[serde(rename = "type")]
    pub kind: String,
    /// What it is called.
    #[serde(default)]
    pub name: String,
    /// A JWK provisioner's public key.
    #[serde(default)]
    pub key: Option<PublicKey>,
    /// Its claims.
    #[serde(default)]
    pub claims: Option<ProvisionerClaims>,
}

/// The key of a JWK provisioner, as far as it matters here.
#[derive(Clone, Debug, Deserialize)]
pub struct PublicKey {
    /// Its id.
    #[serde(default)]
    pub kid: String,
}

/// The claims of a provisioner, as far as they matter here.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProvisionerClaims {
    /// Whether `/renew` and `/rekey` are off.
    pub disable_renewal: bool,
    /// Whether certificates lack the mark of their provisioner: such a one can always be renewed.
    pub disable_smallstep_extensions: bool,
}

/// What is reported and no reason not to start.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each message says what its variant means")]
pub enum Warning {
    Old { version: String },
    Risky { kind: String, name: String },
    Unknown { kind: String, name: String },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Old { version } => write!(
                f,
                "step-ca is {version}, and versions before {FLOOR} have known holes in other provisioners than JWK: update it"
            ),
            Self::Risky { kind, name } => write!(
                f,
                "step-ca has the {kind} provisioner {name:?}, which mosaic-fed does not need: take it out of ca.json, or \
                 give mosaic-fed a step-ca of its own"
            ),
            Self::Unknown { kind, name } => write!(
                f,
                "step-ca has a provisioner {name:?} of the kind {kind:?}, which is not known here: find out whom it admits"
            ),
        }
    }
}

/// Nothing may be ordered from this CA.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message says what its variant means")]
pub enum GuardError {
    #[error(transparent)]
    Ca(#[from] CaError),
    #[error(
        "the certificate authority at {at} is step-ca {version} with {}: before {FLOOR} these admit people who are \
         nobody; update step-ca, or take them out of ca.json", .risky.join(" and ")
    )]
    Holes { at: Address, version: String, risky: Vec<String> },
    #[error(
        "the certificate authority at {at} has no JWK provisioner {name:?} with the key {kid}: put the public half of \
         `key_file` into ca.json, or name the right provisioner and key file in [ca] of config.toml"
    )]
    NoProvisioner { at: Address, name: String, kid: String },
    #[error(
        "the certificate authority at {at} lets holders of a certificate renew it by themselves, past the grants: give the \
         provisioner {name:?} in ca.json `\"claims\": {{\"disableRenewal\": true}}` and no `disableSmallstepExtensions`"
    )]
    Renewal { at: Address, name: String },
    #[error(
        "the certificate authority at {at} does not issue with the certificate that this instance's links trust: every link \
         would break. Write with `mosaic-fed ca export` what step-ca needs for that, or take [ca] out of config.toml"
    )]
    OtherAnchor { at: Address },
    #[error("the certificate authority at {at} says {said:?} about its health; look at step-ca's log")]
    Ill { at: Address, said: String },
    #[error(
        "the certificate authority at {at} lists more provisioners than can be looked through; give mosaic-fed one of its own"
    )]
    Endless { at: Address },
}

/// What this instance needs of a CA.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The CA, for the words of a refusal.
    pub at: &'a Address,
    /// The provisioner's name.
    pub name: &'a str,
    /// Its key's id.
    pub kid: &'a str,
}

/// The rule about version and provisioners. A version that cannot be read counts as an old one.
pub fn judge(version: &str, provisioners: &[Provisioner], wanted: &Wanted<'_>) -> Result<Vec<Warning>, GuardError> {
    let at = || wanted.at.clone();
    let old = Version::parse(version).is_none_or(|version| version < FLOOR);
    let is = |one: &Provisioner, kinds: &[&str]| kinds.iter().any(|kind| one.kind.eq_ignore_ascii_case(kind));
    let risky: Vec<_> = provisioners.iter().filter(|one| is(one, &RISKY)).collect();
    if old && !risky.is_empty() {
        let risky = risky.iter().map(|one| format!("the {} provisioner {:?}", one.kind, one.name)).collect();
        return Err(GuardError::Holes { at: at(), version: version.to_owned(), risky });
    }
    let ours = |one: &&Provisioner| {
        is(one, &["JWK"]) && one.name == wanted.name && one.key.as_ref().is_some_and(|key| key.kid == wanted.kid)
    };
    let name = || wanted.name.to_owned();
    let Some(ours) = provisioners.iter().find(ours) else {
        return Err(GuardError::NoProvisioner { at: at(), name: name(), kid: wanted.kid.to_owned() });
    };
    let claims = ours.claims.clone().unwrap_or_default();
    if !claims.disable_renewal || claims.disable_smallstep_extensions {
        return Err(GuardError::Renewal { at: at(), name: name() });
    }
    let told = |one: &&Provisioner| (one.kind.clone(), one.name.clone());
    let unknown = provisioners.iter().filter(|one| !is(one, &RISKY) && !is(one, &KNOWN));
    let mut warnings: Vec<_> = old.then(|| Warning::Old { version: version.to_owned() }).into_iter().collect();
    warnings.extend(risky.iter().map(told).map(|(kind, name)| Warning::Risky { kind, name }));
    warnings.extend(unknown.map(|one| told(&one)).map(|(kind, name)| Warning::Unknown { kind, name }));
    Ok(warnings)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn judged(version: &str, listed: Value) -> Result<Vec<Warning>, GuardError> {
        let at = Address::parse("https://ca.example:9000").unwrap();
        let listed: Vec<Provisioner> = serde_json::from_value(listed).unwrap();
        judge(version, &listed, &Wanted { at: &at, name: "mosaic-fed", kid: "k" })
    }

    fn ours() -> Value {
        json!({"type": "JWK", "name": "mosaic-fed", "key": {"kid": "k"}, "claims": {"disableRenewal": true}})
    }

    #[test]
    fn ca_config_guard() {
        let new = ["0.30.2", "v0.30.2", "0.30.2-1", "0.30.2-1~bpo13+1", "0.30.2-0.1", "0.30.3-rc.1", "0.31.0", "1.0.0"];
        let old = [
            "0.30.1",
            "0.29.0-4~bpo13+1",
            "0.30.2-rc.1",
            "v0.30.2-0.20251103101500-0a1b2c3d4e5f",
            "0.9.9",
            "",
            "dev",
            "0.30",
            "0.30.2.1",
        ];
        for version in new {
            assert_eq!(judged(version, json!([ours()])).unwrap(), [], "{version}");
        }
        for version in old {
            let reported = judged(version, json!([ours()])).unwrap();
            assert_eq!(reported, [Warning::Old { version: version.to_owned() }], "{version}");
            assert!(reported[0].to_string().contains("0.30.2"));
        }
        for kind in ["SCEP", "ACME", "SSHPOP", "acme", "Scep"] {
            let listed = json!([ours(), {"type": kind, "name": "other"}]);
            for version in new {
                let risky = Warning::Risky { kind: kind.to_owned(), name: "other".to_owned() };
                assert_eq!(judged(version, listed.clone()).unwrap(), [risky], "{version} {kind}");
            }
            for version in old {
                let refused = judged(version, listed.clone()).unwrap_err().to_string();
                let said = [kind, "\"other\"", "0.30.2", "update step-ca", "ca.example:9000"];
                assert!(said.iter().all(|said| refused.contains(said)), "{refused}");
            }
        }
        for kind in ["JWK", "OIDC", "GCP", "AWS", "Azure", "X5C", "K8sSA", "K8SSA", "Nebula"] {
            assert_eq!(judged("0.30.2", json!([ours(), {"type": kind, "name": "other"}])).unwrap(), [], "{kind}");
        }
        let reported = judged("0.30.2", json!([ours(), {"type": "Quantum", "name": "q"}])).unwrap();
        assert_eq!(reported, [Warning::Unknown { kind: "Quantum".to_owned(), name: "q".to_owned() }]);
    }

    #[test]
    fn our_provisioner_must_be_there_with_our_key() {
        let others = [
            json!([]),
            json!([{"type": "JWK", "name": "other", "key": {"kid": "k"}, "claims": {"disableRenewal": true}}]),
            json!([{"type": "JWK", "name": "mosaic-fed", "key": {"kid": "l"}, "claims": {"disableRenewal": true}}]),
            json!([{"type": "JWK", "name": "mosaic-fed"}]),
            json!([{"type": "OIDC", "name": "mosaic-fed", "key": {"kid": "k"}}]),
        ];
        for listed in others {
            let refused = judged("0.30.2", listed.clone()).unwrap_err();
            assert!(matches!(refused, GuardError::NoProvisioner { .. }), "{listed}: {refused}");
        }
        let both = json!([{"type": "JWK", "name": "mosaic-fed", "key": {"kid": "l"}}, ours()]);
        assert_eq!(judged("0.30.2", both).unwrap(), []);
    }

    #[test]
    fn renewing_at_the_ca_must_be_off() {
        for claims in [
            json!(null),
            json!({}),
            json!({"disableRenewal": false}),
            json!({"disableRenewal": true, "disableSmallstepExtensions": true}),
        ] {
            let listed = json!([{"type": "JWK", "name": "mosaic-fed", "key": {"kid": "k"}, "claims": claims}]);
            let refused = judged("0.30.2", listed).unwrap_err();
            assert!(matches!(refused, GuardError::Renewal { .. }), "{claims}: {refused}");
        }
    }
}
