//! The orders, as a step-ca fulfils them.

use super::{
    Address, CaError, GuardError, ProvisionerKey, Warning,
    client::{Client, DEADLINE, MAX_ANSWER},
    guard::{self, Provisioner, Wanted},
    token::{Claims, Order},
};
use crate::{
    BadRoot, CrlOrder, GrantOrder, InstanceIdentity, InstanceOrder, IssueError, Issued, Issuer, IssuerStanding,
    RequestKey, Why,
    anchor::{self, Anchor},
    crl::{self, MAX_CRL_BYTES},
    fit,
    profile::SKEW,
    spiffe,
};
use async_trait::async_trait;
use bytes::Bytes;
use domain::{
    Time,
    id::{InstanceId, Serial},
    world::World,
};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::time::Duration;
use time::format_description::well_known::Rfc3339;
use x509_parser::num_bigint::BigUint;

const SIGN: &str = "/1.0/sign";
const REVOKE: &str = "/1.0/revoke";
const CRL: &str = "/1.0/crl";
const PROVISIONERS: &str = "/1.0/provisioners";
/// Pages of provisioners that are looked through.
const PAGES: usize = 20;

/// Where the CA is and how it is spoken to.
pub struct Settings {
    /// The CA.
    pub address: Address,
    /// The one root that its TLS certificate must chain to: the text of a file with one certificate in PEM.
    pub root_pem: String,
    /// The JWK provisioner's name.
    pub provisioner: String,
    /// Its key.
    pub key: ProvisionerKey,
    /// The certificate that links trust, X.509 DER: the CA must issue with it.
    pub anchor: Vec<u8>,
}

/// The settings cannot be used.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message says what its variant means")]
pub enum SetupError {
    #[error(
        "the root file must hold exactly one certificate in PEM, and holds {0}; write the CA's root_ca.crt into it"
    )]
    Root(usize),
    #[error("the root file's certificate cannot be trusted: {0}; write the CA's root_ca.crt into it")]
    Tls(#[from] rustls::Error),
    #[error(transparent)]
    Anchor(#[from] BadRoot),
}

/// A step-ca as the issuer of one instance.
pub struct StepCa {
    client: Client,
    world: World,
    provisioner: String,
    key: ProvisionerKey,
    anchor: Anchor,
    instance: InstanceId,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SignRequest<'a> {
    csr: String,
    ott: &'a str,
    not_before: String,
    not_after: String,
}

#[derive(Deserialize)]
struct Signed {
    crt: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RevokeRequest<'a> {
    serial: &'a str,
    ott: &'a str,
    reason_code: u8,
    reason: &'static str,
    passive: bool,
}

#[derive(Deserialize)]
struct Health {
    status: String,
}

#[derive(Deserialize)]
struct Running {
    version: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    #[serde(default)]
    provisioners: Option<Vec<Provisioner>>,
    #[serde(default)]
    next_cursor: String,
}

impl StepCa {
    /// An issuer for the instance that the anchor names. Nothing is asked yet: see [`StepCa::guard`].
    pub fn new(settings: Settings, world: &World) -> Result<Self, SetupError> {
        let Settings { address, root_pem, provisioner, key, anchor } = settings;
        let mut roots: Vec<_> = CertificateDer::pem_slice_iter(root_pem.as_bytes()).flatten().collect();
        let (1, Some(root)) = (roots.len(), roots.pop()) else { return Err(SetupError::Root(roots.len())) };
        let instance = anchor::issuer_of(&anchor)?;
        let client = Client::new(address, root, world)?;
        Ok(Self { client, world: world.clone(), provisioner, key, anchor: Anchor::new(&anchor)?, instance })
    }

    /// Where the CA is.
    pub fn at(&self) -> &Address {
        self.client.at()
    }

    /// Whether anything may be ordered: the CA is well, links trust what it issues with, version and provisioners are as the
    /// rule wants them. Answers within five seconds.
    pub async fn guard(&self) -> Result<Vec<Warning>, GuardError> {
        let timed = tokio::time::timeout(DEADLINE, self.looked_at()).await;
        timed.unwrap_or_else(|_| Err(CaError::Slow { at: self.at().clone() }.into()))
    }

    async fn looked_at(&self) -> Result<Vec<Warning>, GuardError> {
        const HEALTH: &str = "/health";
        const VERSION: &str = "/version";
        let answer = self.client.get(HEALTH, "", MAX_ANSWER).await?;
        // step-ca signs its own TLS certificate with what it signs every leaf with.
        let by_anchor = self.anchor.issued_server(&answer.server, self.at().name(), self.world.now());
        by_anchor.map_err(|_| GuardError::OtherAnchor { at: self.at().clone() })?;
        let health: Health = self.read(HEALTH, &answer.body)?;
        if health.status != "ok" {
            let said = health.status.chars().take(100).collect();
            return Err(GuardError::Ill { at: self.at().clone(), said });
        }
        let running: Running = self.read(VERSION, &self.client.get(VERSION, "", MAX_ANSWER).await?.body)?;
        let wanted = Wanted { at: self.at(), name: &self.provisioner, kid: self.key.kid() };
        guard::judge(&running.version, &self.provisioners().await?, &wanted)
    }

    async fn provisioners(&self) -> Result<Vec<Provisioner>, GuardError> {
        let (mut all, mut query) = (Vec::new(), "?limit=100".to_owned());
        for _ in 0..PAGES {
            // A provisioner shows its template, which may be long.
            let answer = self.client.get(PROVISIONERS, &query, MAX_CRL_BYTES).await?;
            let page: Page = self.read(PROVISIONERS, &answer.body)?;
            all.extend(page.provisioners.unwrap_or_default());
            if page.next_cursor.is_empty() {
                return Ok(all);
            }
            if !page.next_cursor.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
                return Err(self.unreadable(PROVISIONERS, "its cursor is none").into());
            }
            query = format!("?limit=100&cursor={}", page.next_cursor);
        }
        Err(GuardError::Endless { at: self.at().clone() })
    }

    /// Has `csr` signed for the names of `order`.
    async fn sign(
        &self,
        csr: &[u8],
        order: &Order<'_>,
        sans: &[String],
        life: (Time, Duration),
    ) -> Result<Vec<u8>, CaError> {
        let (now, life) = life;
        let body = || {
            let claims = Claims::new(&self.world, &self.provisioner, self.at().url(SIGN), &sans[0]);
            let ott = claims.ordering(order.clone(), sans, csr).sign(&self.key)?;
            let csr = super::key::pem("CERTIFICATE REQUEST", csr);
            let (not_before, not_after) = (written(now.before(SKEW))?, written(now + life)?);
            json(&SignRequest { csr, ott: ott.expose(), not_before, not_after })
        };
        let answer = self.client.post(SIGN, &body).await?;
        let signed: Signed = self.read(SIGN, &answer.body)?;
        let certificate = CertificateDer::from_pem_slice(signed.crt.as_bytes());
        let certificate = certificate.map_err(|_| self.unreadable(SIGN, "its certificate is no PEM"))?;
        Ok(certificate.to_vec())
    }

    async fn revoke_once(&self, serial: &str, why: Why) -> Result<(), CaError> {
        let body = || {
            let ott = Claims::new(&self.world, &self.provisioner, self.at().url(REVOKE), serial).sign(&self.key)?;
            let reason = "mosaic-fed";
            json(&RevokeRequest { serial, ott: ott.expose(), reason_code: why.code(), reason, passive: true })
        };
        self.client.post(REVOKE, &body).await.map(drop)
    }

    fn read<T: DeserializeOwned>(&self, path: &'static str, body: &[u8]) -> Result<T, CaError> {
        serde_json::from_slice(body).map_err(|_| self.unreadable(path, "it is not the JSON that step-ca writes"))
    }

    fn unreadable(&self, path: &'static str, why: &'static str) -> CaError {
        CaError::Unreadable { at: self.at().clone(), path, why }
    }
}

#[async_trait]
impl Issuer for StepCa {
    async fn issue_grant(&self, order: &GrantOrder) -> Result<Issued, IssueError> {
        fit::life(order.life)?;
        let sans = [spiffe::instance_id(self.instance, order.holder)];
        let (grant, subject) = (order.grant.to_string(), order.subject.to_string());
        let wanted = Order::Grant { id: &sans[0], grant, subject };
        let certificate = self.sign(order.csr.der(), &wanted, &sans, (order.now, order.life)).await?;
        let issued = fit::grant(certificate, order, &self.anchor, self.instance)?;
        // The provisioner's claims say that it is marked; the CA's own, which nobody shows, may say otherwise.
        fit::marked(&issued.certificate)?;
        Ok(issued)
    }

    async fn issue_instance(&self, order: &InstanceOrder) -> Result<InstanceIdentity, IssueError> {
        fit::life(order.life)?;
        order.names.iter().try_for_each(|name| fit::public_name(name))?;
        let mut names = vec![spiffe::tls_name(self.instance)];
        order.names.iter().for_each(|name| {
            if !names.contains(name) {
                names.push(name.clone());
            }
        });
        let id = spiffe::instance_id(self.instance, self.instance);
        let sans: Vec<_> = std::iter::once(id.clone()).chain(names.iter().cloned()).collect();
        let made = RequestKey::generate().map_err(|error| IssueError::Sign(error.to_string()))?;
        let wanted = Order::Instance { id: &id, names: &names };
        let certificate = self.sign(&made.csr, &wanted, &sans, (order.now, order.life)).await?;
        let leaf = fit::instance(&certificate, order, made.spki, &self.anchor, self.instance)?;
        Ok(InstanceIdentity { certificate, key: made.key_pkcs8, leaf })
    }

    async fn revoke(&self, serial: &Serial, why: Why) -> Result<(), IssueError> {
        // step-ca names serial numbers in decimal.
        let named = BigUint::from_bytes_be(serial.as_bytes()).to_string();
        let Err(error) = self.revoke_once(&named, why).await else { return Ok(()) };
        // It refuses to revoke twice; so what counts is whether the serial is on its list.
        let known = match error {
            CaError::Refused { .. } => self.client.get(CRL, "", MAX_CRL_BYTES).await.ok(),
            _ => None,
        };
        match known {
            Some(list) if crl::lists(&list.body, self.anchor.der(), serial) => Ok(()),
            _ => Err(error.into()),
        }
    }

    async fn crl(&self, order: &CrlOrder<'_>) -> Result<Vec<u8>, IssueError> {
        let list = self.client.get(CRL, "", MAX_CRL_BYTES).await?.body;
        let checked = crl::check(&list, self.anchor.der(), order);
        checked.map_err(|flaw| CaError::Crl { at: self.at().clone(), flaw })?;
        Ok(list.to_vec())
    }

    fn standing(&self) -> IssuerStanding {
        IssuerStanding { at: Some(self.at().to_string()), away: self.client.away() }
    }

    fn anchor_der(&self) -> &[u8] {
        self.anchor.der()
    }
}

/// RFC 3339, in whole seconds as certificates count them.
fn written(time: Time) -> Result<String, CaError> {
    let whole = Time::from_seconds(time.seconds()).to_offset();
    whole.format(&Rfc3339).map_err(|_| CaError::Token("the clock shows no year of a certificate".to_owned()))
}

fn json(body: &impl Serialize) -> Result<Bytes, CaError> {
    let written = serde_json::to_vec(body);
    written.map(Bytes::from).map_err(|_| CaError::Token("a request cannot be written as JSON".to_owned()))
}
