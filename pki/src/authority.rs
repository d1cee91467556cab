//! The embedded certificate authority: a P-256 root that issues leaves directly, nothing in between.

use crate::{
    BadRoot, CrlOrder, GrantOrder, InstanceIdentity, InstanceOrder, IssueError, Issued, Issuer, Why,
    anchor::{self, Anchor},
    crl::CRL_LIFE,
    fit,
    key::fingerprint,
    profile::SKEW,
    request::KeyError,
    spiffe,
};
use async_trait::async_trait;
use domain::{
    Time,
    id::{InstanceId, Serial},
    secret::Secret,
    world::World,
};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CustomExtension, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData,
    RevokedCertParams, SanType, SerialNumber,
};
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use std::time::Duration;

/// How long a root lives: 10 years.
pub const ROOT_LIFE: Duration = Duration::from_hours(3_653 * 24);
/// The private enterprise arc of the two extensions of a grant certificate.
const GRANT_EXTENSION: &[u64] = &[1, 3, 6, 1, 4, 1, 99_999, 1];
const SUBJECT_EXTENSION: &[u64] = &[1, 3, 6, 1, 4, 1, 99_999, 2];

/// The CA of one instance, with its private key. Not printable.
pub struct Authority {
    world: World,
    instance: InstanceId,
    root: Vec<u8>,
    anchor: Anchor,
    issuer: rcgen::Issuer<'static, KeyPair>,
}

/// The CA could not be made or read back.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// The stored root is not one of ours.
    #[error(transparent)]
    Root(#[from] BadRoot),
    /// The stored key cannot be read.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Key and root are not a pair.
    #[error("the CA's key does not belong to its root certificate; restore both from the same backup")]
    Pair,
}

impl Authority {
    /// Makes a new root for `instance`, valid 10 years from 5 minutes ago.
    pub fn create(world: &World, instance: InstanceId) -> Result<Self, AuthorityError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(key_error)?;
        let params = root_params(world, instance).map_err(key_error)?;
        let root = params.self_signed(&key).map_err(key_error)?.der().to_vec();
        let (anchor, issuer) = (Anchor::new(&root)?, rcgen::Issuer::new(params, key));
        Ok(Self { world: world.clone(), instance, root, anchor, issuer })
    }

    /// Reads back what [`Authority::root_der`] and [`Authority::key_pkcs8`] gave. Serial numbers come from `world`.
    pub fn load(world: &World, root_der: &[u8], key_pkcs8: &Secret<Vec<u8>>) -> Result<Self, AuthorityError> {
        let instance = anchor::issuer_of(root_der)?;
        let pkcs8 = PrivatePkcs8KeyDer::from(key_pkcs8.expose().as_slice());
        let key = KeyPair::from_pkcs8_der_and_sign_algo(&pkcs8, &PKCS_ECDSA_P256_SHA256).map_err(key_error)?;
        if anchor::key_of(root_der)? != fingerprint(&key.subject_public_key_info()) {
            return Err(AuthorityError::Pair);
        }
        let issuer = rcgen::Issuer::from_ca_cert_der(&CertificateDer::from(root_der), key).map_err(key_error)?;
        Ok(Self { world: world.clone(), instance, root: root_der.to_vec(), anchor: Anchor::new(root_der)?, issuer })
    }

    /// The instance whose CA this is.
    pub fn instance(&self) -> InstanceId {
        self.instance
    }

    /// The root certificate, X.509 DER.
    pub fn root_der(&self) -> &[u8] {
        &self.root
    }

    /// The root's private key, PKCS #8 DER, to be sealed.
    pub fn key_pkcs8(&self) -> Secret<Vec<u8>> {
        Secret::new(self.issuer.key().serialized_der().to_vec())
    }

    /// A leaf with everything that both kinds have in common.
    fn leaf(&self, now: Time, life: Duration) -> Result<CertificateParams, IssueError> {
        fit::life(life)?;
        let mut params = CertificateParams::default();
        // An empty subject makes the names the only identity; nothing reads a common name, so none is written.
        params.distinguished_name = DistinguishedName::new();
        params.serial_number = Some(serial(&self.world));
        params.not_before = whole_seconds(now.before(SKEW));
        params.not_after = whole_seconds(now + life);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        Ok(params)
    }

    fn sign(&self, params: &CertificateParams, key: &impl PublicKeyData) -> Result<Vec<u8>, IssueError> {
        params.signed_by(key, &self.issuer).map(|issued| issued.der().to_vec()).map_err(sign_error)
    }

    /// As [`Issuer::issue_grant`]: nothing here has to be waited for.
    pub fn issue_grant(&self, order: &GrantOrder) -> Result<Issued, IssueError> {
        let mut params = self.leaf(order.now, order.life)?;
        params.subject_alt_names = vec![uri(&spiffe::instance_id(self.instance, order.holder))?];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.custom_extensions = vec![
            private_extension(GRANT_EXTENSION, &order.grant.to_string()),
            private_extension(SUBJECT_EXTENSION, &order.subject.to_string()),
        ];
        let certificate = self.sign(&params, order.csr.key())?;
        Ok(fit::grant(certificate, order, &self.anchor, self.instance)?)
    }

    /// As [`Issuer::issue_instance`].
    pub fn issue_instance(&self, order: &InstanceOrder) -> Result<InstanceIdentity, IssueError> {
        let mut params = self.leaf(order.now, order.life)?;
        params.subject_alt_names = server_names(self.instance, &order.names)?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(sign_error)?;
        let certificate = self.sign(&params, &key)?;
        let spki = fingerprint(&key.subject_public_key_info());
        let leaf = fit::instance(&certificate, order, spki, &self.anchor, self.instance)?;
        Ok(InstanceIdentity { certificate, key: Secret::new(key.serialized_der().to_vec()), leaf })
    }

    /// As [`Issuer::crl`].
    pub fn crl(&self, order: &CrlOrder<'_>) -> Result<Vec<u8>, IssueError> {
        let entry = |one: &crate::Revoked| RevokedCertParams {
            serial_number: SerialNumber::from_slice(one.serial.as_bytes()),
            revocation_time: whole_seconds(one.at),
            reason_code: one.why.reason(),
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: whole_seconds(order.now),
            next_update: whole_seconds(order.now + CRL_LIFE),
            crl_number: SerialNumber::from(order.number),
            issuing_distribution_point: None,
            revoked_certs: order.standing().map(entry).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).map(|list| list.der().to_vec()).map_err(sign_error)
    }
}

#[async_trait]
impl Issuer for Authority {
    async fn issue_grant(&self, order: &GrantOrder) -> Result<Issued, IssueError> {
        Self::issue_grant(self, order)
    }

    async fn issue_instance(&self, order: &InstanceOrder) -> Result<InstanceIdentity, IssueError> {
        Self::issue_instance(self, order)
    }

    /// The grants' own table has it already, and every list is made from that.
    async fn revoke(&self, _: &Serial, _: Why) -> Result<(), IssueError> {
        Ok(())
    }

    async fn crl(&self, order: &CrlOrder<'_>) -> Result<Vec<u8>, IssueError> {
        Self::crl(self, order)
    }

    fn anchor_der(&self) -> &[u8] {
        &self.root
    }
}

fn root_params(world: &World, instance: InstanceId) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "mosaic-fed");
    params.subject_alt_names = vec![SanType::URI(spiffe::trust_domain_id(instance).try_into()?)];
    params.serial_number = Some(serial(world));
    params.not_before = whole_seconds(world.now().before(SKEW));
    params.not_after = whole_seconds(world.now() + ROOT_LIFE);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

/// 16 random bytes, positive and never short: the top bit is clear and the next one set (RFC 5280 4.1.2.2).
fn serial(world: &World) -> SerialNumber {
    let mut bytes: [u8; 16] = world.bytes();
    bytes[0] = bytes[0] & 0x7f | 0x40;
    SerialNumber::from_slice(&bytes)
}

fn server_names(instance: InstanceId, public: &[String]) -> Result<Vec<SanType>, IssueError> {
    let mut names = vec![uri(&spiffe::instance_id(instance, instance))?];
    for name in std::iter::once(&spiffe::tls_name(instance)).chain(public) {
        fit::public_name(name)?;
        let san = SanType::DnsName(name.as_str().try_into().map_err(sign_error)?);
        if !names.contains(&san) {
            names.push(san);
        }
    }
    Ok(names)
}

fn uri(text: &str) -> Result<SanType, IssueError> {
    Ok(SanType::URI(text.try_into().map_err(sign_error)?))
}

/// A UUID as DER `UTF8String`; not critical, so that other programs' TLS libraries still accept the certificate.
fn private_extension(oid: &[u64], uuid: &str) -> CustomExtension {
    let mut value = vec![0x0c, 36];
    value.extend_from_slice(uuid.as_bytes());
    CustomExtension::from_oid_content(oid, value)
}

/// Certificates count in whole seconds; the record of a leaf must say the same instant as the leaf.
fn whole_seconds(time: Time) -> time::OffsetDateTime {
    Time::from_seconds(time.seconds()).to_offset()
}

#[expect(clippy::needless_pass_by_value, reason = "the shape map_err wants")]
fn key_error(error: rcgen::Error) -> AuthorityError {
    KeyError(error.to_string()).into()
}

#[expect(clippy::needless_pass_by_value, reason = "the shape map_err wants")]
fn sign_error(error: rcgen::Error) -> IssueError {
    IssueError::Sign(error.to_string())
}
