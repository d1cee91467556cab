//! A sharing side's CA in hostile hands: it signs whatever a test wants, so that only the checks under test can refuse it.

use domain::{
    Time,
    id::{GrantId, InstanceId, UserId},
    world::{FakeClock, SeededRng, World},
};
use pki::{Authority, CheckedCsr, ClientVerifier, DenyList, GrantOrder, Issued, RequestKey, spiffe};
use rcgen::{
    CertificateParams, CustomExtension, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose,
    PublicKeyData, SanType, SerialNumber,
};
use std::{sync::Arc, time::Duration};
use uuid::Uuid;

pub const NOW: Time = Time::from_seconds(1_795_000_000);
pub const DAY: Duration = Duration::from_hours(24);

pub const ISSUER: InstanceId = InstanceId(Uuid::from_u128(0x0f8f_ad5b_d9cb_469f_a165_7086_7728_950e));
pub const HOLDER: InstanceId = InstanceId(Uuid::from_u128(0x7c9e_6679_7425_40de_944b_e07f_c1f9_0ae7));
pub const GRANT: GrantId = GrantId(Uuid::from_u128(0x3b24_1101_e2bb_4255_8caf_4136_c566_a962));
pub const SUBJECT: UserId = UserId(Uuid::from_u128(0xd290_f1ee_6c54_4b01_90e6_d701_748f_0851));

pub const GRANT_OID: &[u64] = &[1, 3, 6, 1, 4, 1, 99_999, 1];
pub const SUBJECT_OID: &[u64] = &[1, 3, 6, 1, 4, 1, 99_999, 2];

/// A world that stands still at [`NOW`], and its clock.
pub fn world() -> (World, Arc<FakeClock>) {
    let clock = Arc::new(FakeClock::new(NOW));
    (World::new(Arc::clone(&clock) as _, Arc::new(SeededRng::new(7))), clock)
}

/// A CA with everything around it.
pub struct Forge {
    pub authority: Authority,
    pub clock: Arc<FakeClock>,
    pub deny: Arc<DenyList>,
    pub verifier: ClientVerifier,
}

impl Forge {
    pub fn new() -> Self {
        Self::of(ISSUER)
    }

    pub fn of(instance: InstanceId) -> Self {
        let (world, clock) = world();
        // The root is a day older than what it issues, so that a leaf's beginning is its own.
        clock.set(NOW.before(DAY));
        let authority = Authority::create(&world, instance).unwrap();
        clock.set(NOW);
        let deny = Arc::new(DenyList::default());
        let clock_ = Arc::clone(&clock) as _;
        let verifier = ClientVerifier::new(authority.root_der(), instance, clock_, Arc::clone(&deny)).unwrap();
        Self { authority, clock, deny, verifier }
    }

    /// An honest grant certificate with its key.
    pub fn honest(&self) -> (Issued, RequestKey) {
        let key = RequestKey::generate().unwrap();
        let csr = CheckedCsr::parse(&key.csr).unwrap();
        let order = GrantOrder { holder: HOLDER, grant: GRANT, subject: SUBJECT, csr, now: NOW, life: 30 * DAY };
        (self.authority.issue_grant(&order).unwrap(), key)
    }

    /// A certificate with these parameters, whatever they are, truly signed by this CA.
    pub fn sign(&self, params: &CertificateParams, key: &impl PublicKeyData) -> Vec<u8> {
        let ca = self.authority.key_pkcs8();
        let ca = KeyPair::from_pkcs8_der_and_sign_algo(&ca.expose().as_slice().into(), &rcgen::PKCS_ECDSA_P256_SHA256);
        let issuer = rcgen::Issuer::from_ca_cert_der(&self.authority.root_der().into(), ca.unwrap()).unwrap();
        params.signed_by(key, &issuer).unwrap().der().to_vec()
    }

    /// An honest grant leaf, changed by `change`.
    pub fn changed(&self, change: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
        let mut params = grant_params();
        change(&mut params);
        self.sign(&params, &KeyPair::generate().unwrap())
    }
}

/// What an honest grant leaf is made of.
pub fn grant_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.serial_number = Some(SerialNumber::from_slice(&[0x41; 16]));
    params.not_before = NOW.before(Duration::from_mins(5)).to_offset();
    params.not_after = (NOW + 30 * DAY).to_offset();
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.subject_alt_names = vec![uri(&spiffe::instance_id(ISSUER, HOLDER))];
    params.custom_extensions = vec![utf8(GRANT_OID, &GRANT.to_string()), utf8(SUBJECT_OID, &SUBJECT.to_string())];
    params
}

/// A private extension as it should be.
pub fn utf8(oid: &[u64], text: &str) -> CustomExtension {
    CustomExtension::from_oid_content(oid, super::der::element(0x0c, text.as_bytes()))
}

pub fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().unwrap())
}

pub fn common_name(text: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, text);
    name
}
