//! From the embedded CA to a step-ca and back, with links that go on; and a step-ca below a company's own root.

use super::{
    bench::{Real, order, verifier},
    program::Program,
};
use crate::forge::{DAY, ISSUER, common_name, uri};
use domain::world::World;
use pki::{
    Authority, InstanceOrder, Issuer, RequestKey, ServerVerifier, spiffe,
    step_ca::{StepCa, setup},
};
use rcgen::{BasicConstraints, Certificate, CertificateParams, IsCa, KeyPair, KeyUsagePurpose};
use rustls::{client::danger::ServerCertVerifier, pki_types::UnixTime};
use std::time::Duration;

/// Whether an asking side that trusts `anchor` believes the server certificate.
fn believed(anchor: &[u8], certificate: &[u8], world: &World) -> bool {
    let verifier = ServerVerifier::new(anchor, ISSUER, world.clock()).unwrap();
    let now = UnixTime::since_unix_epoch(Duration::from_secs(world.now().seconds().unsigned_abs()));
    let name = spiffe::tls_name(ISSUER).try_into().unwrap();
    verifier.verify_server_cert(&certificate.into(), &[], &name, &[], now).is_ok()
}

#[tokio::test]
async fn a_move_to_step_ca_and_back_keeps_every_link() {
    let Some(real) = Real::start(|_, _| {}).await else { return };
    let Real { issuer, world, authority, program: _program } = real;
    let key = RequestKey::generate().unwrap();
    let server = InstanceOrder { names: vec![], now: world.now(), life: 30 * DAY };
    let before = (authority.issue_grant(&order(&world, &key)).unwrap(), authority.issue_instance(&server).unwrap());
    let on_step_ca =
        (issuer.issue_grant(&order(&world, &key)).await.unwrap(), issuer.issue_instance(&server).await.unwrap());
    let restored = Authority::load(&world, authority.root_der(), &authority.key_pkcs8()).unwrap();
    let after = (restored.issue_grant(&order(&world, &key)).unwrap(), restored.issue_instance(&server).unwrap());
    assert_eq!(issuer.anchor_der(), authority.root_der());
    let door = verifier(authority.root_der(), &world);
    for (when, (grant, server)) in [("before", before), ("on step-ca", on_step_ca), ("after", after)] {
        assert!(door.judge(&grant.certificate.into(), &[]).is_ok(), "{when}");
        assert!(believed(authority.root_der(), &server.certificate, &world), "{when}");
    }
}

/// A company's root, and below it an issuing certificate that names the instance's trust domain.
struct Company {
    root: Certificate,
    issuing: Certificate,
    issuing_key: KeyPair,
}

impl Company {
    fn new(world: &World, issuing_key: KeyPair, called: &str) -> Self {
        let ca = |called: &str, below: u8| {
            let mut params = CertificateParams::default();
            params.distinguished_name = common_name(called);
            params.is_ca = IsCa::Ca(BasicConstraints::Constrained(below));
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
            params.not_before = world.now().before(DAY).to_offset();
            params.not_after = (world.now() + 365 * DAY).to_offset();
            params
        };
        let (root_key, root_params) = (KeyPair::generate().unwrap(), ca("Example Ltd", 1));
        let root = root_params.self_signed(&root_key).unwrap();
        let mut params = ca(called, 0);
        params.subject_alt_names = vec![uri(&spiffe::trust_domain_id(ISSUER))];
        let issuing = params.signed_by(&issuing_key, &rcgen::Issuer::new(root_params, root_key)).unwrap();
        Self { root, issuing, issuing_key }
    }

    async fn step_ca(&self, world: &World, anchor: &[u8]) -> Option<(Program, StepCa)> {
        let unused = Authority::create(world, ISSUER).unwrap();
        let program = Program::start(&unused, |dir, config| {
            let write = |name: &str, text: String| std::fs::write(dir.join(name), text).unwrap();
            write(setup::ROOT, self.root.pem());
            write("issuing.crt", self.issuing.pem());
            write("issuing.key", self.issuing_key.serialize_pem());
            config["crt"] = "issuing.crt".into();
            config["key"] = "issuing.key".into();
        });
        let program = program.await?;
        let issuer = program.issuer(anchor, &program.key(), world);
        Some((program, issuer))
    }
}

#[tokio::test]
async fn below_a_companys_root_a_link_trusts_the_issuing_certificate_alone() {
    let world = World::system();
    let company = Company::new(&world, KeyPair::generate().unwrap(), "Example Ltd issues for mosaic-fed");
    let Some((_program, issuer)) = company.step_ca(&world, company.issuing.der()).await else { return };
    drop(issuer.guard().await.unwrap());
    assert_eq!(issuer.anchor_der(), company.issuing.der().as_ref());
    let key = RequestKey::generate().unwrap();
    let grant = issuer.issue_grant(&order(&world, &key)).await.unwrap();
    let server =
        issuer.issue_instance(&InstanceOrder { names: vec![], now: world.now(), life: DAY }).await.unwrap().certificate;
    let door = verifier(company.issuing.der(), &world);
    assert!(door.judge(&grant.certificate.clone().into(), &[]).is_ok());
    assert!(believed(company.issuing.der(), &server, &world));
    // The company's root is no anchor of a link: it names no trust domain, and it issued none of these directly.
    let all = pki::enrolled::Expected {
        root: company.root.der(),
        issuer: ISSUER,
        holder: crate::forge::HOLDER,
        grant: crate::forge::GRANT,
        spki: key.spki,
    };
    let above = pki::enrolled::check(&grant.certificate, &all, world.now());
    assert_eq!(above, Err(pki::enrolled::EnrolledError::Flaw(pki::Flaw::Chain)));
    drop(issuer.crl(&pki::CrlOrder { revoked: &[], number: 1, now: world.now() }).await.unwrap());
}

#[tokio::test]
async fn a_company_may_certify_the_embedded_cas_key_and_every_link_goes_on() {
    let world = World::system();
    let authority = Authority::create(&world, ISSUER).unwrap();
    let key = KeyPair::try_from(authority.key_pkcs8().expose().as_slice()).unwrap();
    let company = Company::new(&world, key, "mosaic-fed");
    let Some((_program, issuer)) = company.step_ca(&world, authority.root_der()).await else { return };
    drop(issuer.guard().await.unwrap());
    let grant = issuer.issue_grant(&order(&world, &RequestKey::generate().unwrap())).await.unwrap();
    for anchor in [authority.root_der(), company.issuing.der()] {
        assert!(verifier(anchor, &world).judge(&grant.certificate.clone().into(), &[]).is_ok());
    }
}
