//! A CA that lies or fails: each field of a certificate wrong once, each way an answer can be none.

use super::liar::{Liar, Reply, instance_params, issued, key_of};
use crate::forge::{DAY, Forge, GRANT, GRANT_OID, HOLDER, ISSUER, NOW, SUBJECT, SUBJECT_OID, grant_params, uri, utf8};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use pki::{
    CheckedCsr, Flaw, GrantOrder, InstanceOrder, IssueError, Issued, Issuer, RequestKey, Unfit, Why,
    crl::{CrlError, MAX_CRL_BYTES},
    spiffe,
    step_ca::{CaError, GuardError, client::DEADLINE, client::MAX_ANSWER},
};
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, ExtendedKeyUsagePurpose as Purpose, IsCa, KeyPair,
    SerialNumber,
};
use serde_json::json;
use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;

const PROVISIONER_OID: &[u64] = &[1, 3, 6, 1, 4, 1, 37_476, 9_000, 64, 1];

type Change = fn(&mut CertificateParams);

fn order() -> GrantOrder {
    let csr = CheckedCsr::parse(&RequestKey::generate().unwrap().csr).unwrap();
    GrantOrder { holder: HOLDER, grant: GRANT, subject: SUBJECT, csr, now: NOW, life: 30 * DAY }
}

async fn ordered(liar: &Liar, forge: &Forge) -> Result<Issued, IssueError> {
    liar.issuer(forge, forge).issue_grant(&order()).await
}

/// What becomes of a grant certificate that the CA makes with this change, for the right key.
async fn changed(forge: &Arc<Forge>, change: Change) -> Result<Issued, IssueError> {
    let signer = Arc::clone(forge);
    let liar = Liar::start(forge, move |asked| {
        let mut params = marked();
        change(&mut params);
        issued(&signer.sign(&params, &key_of(asked).public_key))
    });
    ordered(&liar.await, forge).await
}

/// As a step-ca makes it: with the mark of its provisioner.
fn marked() -> CertificateParams {
    let mut params = grant_params();
    params.custom_extensions.push(CustomExtension::from_oid_content(PROVISIONER_OID, vec![0x30, 0]));
    params
}

fn instead(params: &mut CertificateParams, oid: &[u64], id: &str) {
    params.custom_extensions.retain(|extension| !extension.oid_components().eq(oid.iter().copied()));
    params.custom_extensions.push(utf8(oid, id));
}

#[tokio::test]
async fn a_certificate_that_is_not_the_order_never_leaves() {
    let forge = Arc::new(Forge::new());
    assert!(changed(&forge, |_| {}).await.is_ok(), "so that each refusal has one cause");
    let cases: [(&str, Unfit, Change); 19] = [
        ("another holder", Unfit::Other("holder"), |p| {
            p.subject_alt_names = vec![uri(&spiffe::instance_id(ISSUER, ISSUER))];
        }),
        ("another trust domain", Flaw::Instance.into(), |p| {
            p.subject_alt_names = vec![uri(&spiffe::instance_id(HOLDER, HOLDER))];
        }),
        ("another grant", Unfit::Other("grant"), |p| instead(p, GRANT_OID, &SUBJECT.to_string())),
        ("another subject", Unfit::Other("subject"), |p| instead(p, SUBJECT_OID, &GRANT.to_string())),
        ("no grant", Flaw::Extension.into(), |p| p.custom_extensions.truncate(0)),
        ("a second name", Flaw::Names.into(), |p| p.subject_alt_names.push(uri("spiffe://example.org/x"))),
        ("a second longer", Unfit::Other("end"), |p| p.not_after += Duration::from_secs(1)),
        ("a second shorter", Unfit::Other("end"), |p| p.not_after -= Duration::from_secs(1)),
        ("two seconds older", Unfit::Other("beginning"), |p| p.not_before -= Duration::from_secs(2)),
        ("two seconds younger", Unfit::Other("beginning"), |p| p.not_before += Duration::from_secs(2)),
        ("a day older", Unfit::Other("beginning"), |p| p.not_before -= DAY),
        ("without the mark of its provisioner", Unfit::Unmarked, |p| drop(p.custom_extensions.pop())),
        ("not valid yet", Flaw::NotYetValid.into(), |p| p.not_before = (NOW + Duration::from_secs(1)).to_offset()),
        ("over already", Flaw::Expired.into(), |p| {
            p.not_before = NOW.before(DAY).to_offset();
            p.not_after = NOW.before(Duration::from_secs(1)).to_offset();
        }),
        ("for servers", Flaw::Purpose.into(), |p| p.extended_key_usages = vec![Purpose::ServerAuth]),
        ("for both", Flaw::Purpose.into(), |p| p.extended_key_usages.push(Purpose::ServerAuth)),
        ("a CA", Flaw::Authority.into(), |p| p.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)),
        ("a short serial number", Flaw::Serial.into(), |p| {
            p.serial_number = Some(SerialNumber::from_slice(&[0x41; 7]));
        }),
        ("too long for any", Flaw::Lifetime.into(), |p| p.not_after = (NOW + 91 * DAY).to_offset()),
    ];
    for (what, unfit, change) in cases {
        let refused = changed(&forge, change).await;
        assert!(matches!(refused, Err(IssueError::Unfit(found)) if found == unfit), "{what}: {refused:?}");
    }
}

#[tokio::test]
async fn a_certificate_for_another_key_or_by_another_ca_never_leaves() {
    let (forge, foreign) = (Arc::new(Forge::new()), Forge::new());
    let signer = Arc::clone(&forge);
    let other_key = move |_: &_| issued(&signer.sign(&marked(), &KeyPair::generate().unwrap()));
    let refused = ordered(&Liar::start(&forge, other_key).await, &forge).await;
    assert!(matches!(refused, Err(IssueError::Unfit(Unfit::Other("key")))), "{refused:?}");
    let by_another = move |asked: &_| issued(&foreign.sign(&marked(), &key_of(asked).public_key));
    let refused = ordered(&Liar::start(&forge, by_another).await, &forge).await;
    assert!(matches!(refused, Err(IssueError::Unfit(Unfit::Flaw(Flaw::Chain)))), "{refused:?}");
}

#[tokio::test]
async fn an_instance_certificate_with_other_names_or_another_key_never_leaves() {
    let own: &'static str = spiffe::tls_name(ISSUER).leak();
    let forge = Arc::new(Forge::new());
    let cases: [(&[&str], bool, Result<(), Unfit>); 5] = [
        (&[own, "fed.example.org"], true, Ok(())),
        (&[own], true, Err(Unfit::Other("set of names"))),
        (&[own, "fed.example.org", "evil.example"], true, Err(Unfit::Other("set of names"))),
        (&["fed.example.org"], true, Err(Flaw::Names.into())),
        (&[own, "fed.example.org"], false, Err(Unfit::Other("key"))),
    ];
    for (names, right_key, expected) in cases {
        let (signer, params) = (Arc::clone(&forge), instance_params(names));
        let answer = move |asked: &_| {
            let other = KeyPair::generate().unwrap();
            let made =
                if right_key { signer.sign(&params, &key_of(asked).public_key) } else { signer.sign(&params, &other) };
            issued(&made)
        };
        let liar = Liar::start(&forge, answer).await;
        let order = InstanceOrder { names: vec!["fed.example.org".to_owned()], now: NOW, life: 30 * DAY };
        match (liar.issuer(&forge, &forge).issue_instance(&order).await, expected) {
            (Ok(_), Ok(())) => {}
            (Err(IssueError::Unfit(found)), Err(expected)) => assert_eq!(found, expected),
            (other, expected) => panic!("{names:?}: {:?}, not {expected:?}", other.map(|made| made.leaf)),
        }
    }
}

#[tokio::test]
async fn an_instance_certificate_by_another_ca_never_leaves() {
    let own: &'static str = spiffe::tls_name(ISSUER).leak();
    let (forge, foreign) = (Arc::new(Forge::new()), Arc::new(Forge::new()));
    for (by, right) in [(&forge, true), (&foreign, false)] {
        let signer = Arc::clone(by);
        let answer = move |asked: &_| issued(&signer.sign(&instance_params(&[own]), &key_of(asked).public_key));
        let liar = Liar::start(&forge, answer).await;
        let order = InstanceOrder { names: vec![], now: NOW, life: 30 * DAY };
        let made = liar.issuer(&forge, &forge).issue_instance(&order).await.map(|made| made.leaf);
        let foreign = matches!(&made, Err(IssueError::Unfit(Unfit::Flaw(Flaw::Chain))));
        assert_eq!((made.is_ok(), foreign), (right, !right), "{made:?}");
    }
}

/// Without names in its token, step-ca would take those of the request.
#[tokio::test]
async fn every_token_that_is_shown_for_a_certificate_has_its_names() {
    let forge = Forge::new();
    let liar = Liar::start(&forge, |_| Reply::Answer(400, "{}".to_owned())).await;
    let issuer = liar.issuer(&forge, &forge);
    issuer.issue_grant(&order()).await.unwrap_err();
    for names in [vec![], vec!["fed.example.org".to_owned()]] {
        let order = InstanceOrder { names, now: NOW, life: 30 * DAY };
        assert!(issuer.issue_instance(&order).await.is_err());
    }
    let sans = liar.tokens().into_iter().map(|token| {
        let body = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
        serde_json::from_slice::<serde_json::Value>(&body).unwrap()["sans"].clone()
    });
    let (own, id) = (spiffe::tls_name(ISSUER), spiffe::instance_id(ISSUER, ISSUER));
    let expected =
        [json!([spiffe::instance_id(ISSUER, HOLDER)]), json!([id, own]), json!([id, own, "fed.example.org"])];
    assert_eq!(sans.collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn an_answer_that_is_none_is_said_and_not_asked_for_again() {
    let forge = Forge::new();
    let long = format!("{{\"crt\": \"{}\"}}", "x".repeat(MAX_ANSWER));
    for (what, answer) in [
        ("no JSON", "<html>".to_owned()),
        ("JSON without a certificate", "{}".to_owned()),
        ("no PEM", json!({"crt": "x"}).to_string()),
        ("too long", long),
    ] {
        let liar = Liar::start(&forge, move |_| Reply::Answer(201, answer.clone())).await;
        let refused = ordered(&liar, &forge).await;
        assert!(matches!(refused, Err(IssueError::Ca(CaError::Unreadable { .. }))), "{what}: {refused:?}");
        assert_eq!(liar.tokens().len(), 1, "{what}");
    }
    let liar = Liar::start(&forge, |_| issued(b"no certificate")).await;
    let refused = ordered(&liar, &forge).await;
    assert!(matches!(refused, Err(IssueError::Unfit(Unfit::Flaw(Flaw::Encoding)))), "{refused:?}");
}

#[tokio::test]
async fn a_refusal_or_a_redirect_is_final_and_shows_no_token() {
    let forge = Forge::new();
    for status in [400, 401, 403, 404, 301, 302, 307, 308] {
        let liar = Liar::start(&forge, move |_| Reply::Answer(status, r#"{"message": "no"}"#.to_owned())).await;
        let refused = ordered(&liar, &forge).await.unwrap_err();
        assert!(matches!(refused, IssueError::Ca(CaError::Refused { .. })), "{refused}");
        let tokens = liar.tokens();
        assert_eq!((tokens.len(), liar.asked.lock().unwrap().len()), (1, 1), "{status}");
        assert!(!refused.to_string().contains(&tokens[0]) && refused.to_string().contains(&status.to_string()));
    }
}

#[tokio::test]
async fn what_may_pass_is_tried_three_times_each_with_a_fresh_token() {
    let forge = Arc::new(Forge::new());
    for reply in [Reply::Answer(500, String::new()), Reply::Answer(503, String::new()), Reply::Cut] {
        let liar = Liar::start(&forge, move |_| reply.clone()).await;
        let refused = ordered(&liar, &forge).await;
        assert!(matches!(refused, Err(IssueError::Ca(CaError::Refused { .. } | CaError::Away { .. }))), "{refused:?}");
        let tokens = liar.tokens();
        assert_eq!((tokens.len(), tokens.iter().collect::<HashSet<_>>().len()), (3, 3));
    }
    // It was only a moment.
    let (signer, count) = (Arc::clone(&forge), AtomicUsize::new(0));
    let recovering = move |asked: &_| match count.fetch_add(1, Ordering::Relaxed) {
        0 => Reply::Cut,
        1 => Reply::Answer(502, String::new()),
        _ => issued(&signer.sign(&marked(), &key_of(asked).public_key)),
    };
    let liar = Liar::start(&forge, recovering).await;
    assert!(ordered(&liar, &forge).await.is_ok());
    assert_eq!(liar.tokens().len(), 3);
}

#[tokio::test]
async fn a_ca_that_is_silent_costs_five_seconds_in_all() {
    let forge = Forge::new();
    let liar = Liar::start(&forge, |_| Reply::Silence).await;
    let issuer = liar.issuer(&forge, &forge);
    let began = Instant::now();
    let orders = (order(), order());
    let (one, two, guard) = tokio::join!(issuer.issue_grant(&orders.0), issuer.issue_grant(&orders.1), issuer.guard());
    let took = began.elapsed();
    assert!(took >= DEADLINE && took < DEADLINE + Duration::from_secs(2), "{took:?}");
    for refused in [one, two] {
        assert!(matches!(refused, Err(IssueError::Ca(CaError::Slow { .. }))), "{refused:?}");
    }
    assert!(matches!(guard, Err(GuardError::Ca(CaError::Slow { .. }))), "{guard:?}");
}

#[tokio::test]
async fn a_server_under_another_root_is_told_nothing() {
    let (forge, pinned) = (Forge::new(), Forge::new());
    let liar = Liar::start(&forge, |_| Reply::Answer(200, "{}".to_owned())).await;
    let refused = liar.issuer(&forge, &pinned).issue_grant(&order()).await.unwrap_err();
    assert!(matches!(refused, IssueError::Ca(CaError::Untrusted { .. })), "{refused}");
    assert!(liar.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_guard_believes_neither_an_ill_ca_nor_an_endless_one_nor_another_anchors() {
    let (forge, other) = (Forge::new(), Forge::new());
    let with = |health: &'static str, version: &'static str, provisioners: &'static str| {
        move |asked: &(String, serde_json::Value)| {
            let answer = match asked.0.split('?').next().unwrap() {
                "/health" => health,
                "/version" => version,
                _ => provisioners,
            };
            Reply::Answer(200, answer.to_owned())
        }
    };
    let (ok, version) = (r#"{"status": "ok"}"#, r#"{"version": "0.30.2"}"#);
    let ill = Liar::start(&forge, with(r#"{"status": "no"}"#, version, "{}")).await;
    let judged = ill.issuer(&forge, &forge).guard().await;
    assert!(matches!(judged, Err(GuardError::Ill { .. })), "{judged:?}");
    let endless = Liar::start(&forge, with(ok, version, r#"{"provisioners": [], "nextCursor": "ff"}"#)).await;
    let judged = endless.issuer(&forge, &forge).guard().await;
    assert!(matches!(judged, Err(GuardError::Endless { .. })), "{judged:?}");
    let odd = Liar::start(&forge, with(ok, version, r#"{"provisioners": [], "nextCursor": "a b\r\nX: y"}"#)).await;
    let judged = odd.issuer(&forge, &forge).guard().await;
    assert!(matches!(judged, Err(GuardError::Ca(CaError::Unreadable { .. }))), "{judged:?}");
    let empty = Liar::start(&forge, with(ok, version, r#"{"provisioners": null, "nextCursor": ""}"#)).await;
    let judged = empty.issuer(&forge, &forge).guard().await;
    assert!(matches!(judged, Err(GuardError::NoProvisioner { .. })), "{judged:?}");
    // Its TLS certificate is of the pinned root, but links trust another.
    let judged = empty.issuer(&other, &forge).guard().await;
    assert!(matches!(judged, Err(GuardError::OtherAnchor { .. })), "{judged:?}");
}

#[tokio::test]
async fn a_list_that_another_signed_or_that_lacks_a_serial_is_not_believed() {
    let (forge, foreign) = (Forge::new(), Forge::new());
    let serial = domain::id::Serial::new(&[7; 16]).unwrap();
    let revoked = [pki::Revoked { serial: serial.clone(), at: NOW, why: Why::Ended, not_after: NOW + DAY }];
    let order = |revoked| pki::CrlOrder { revoked, number: 1, now: NOW };
    let old = pki::CrlOrder { now: NOW.before(2 * DAY), ..order(&revoked) };
    let lists = [
        (forge.authority.crl(&order(&revoked)).unwrap(), None),
        (foreign.authority.crl(&order(&revoked)).unwrap(), Some(CrlError::Signature)),
        (forge.authority.crl(&order(&[])).unwrap(), Some(CrlError::Lacks(serial.clone()))),
        (forge.authority.crl(&old).unwrap(), Some(CrlError::Expired)),
        (b"no list".to_vec(), Some(CrlError::Encoding)),
        (vec![0x30; MAX_CRL_BYTES + 1], None),
    ];
    for (at, (list, expected)) in lists.into_iter().enumerate() {
        let liar = Liar::start(&forge, move |_| Reply::Bytes(list.clone())).await;
        match (liar.issuer(&forge, &forge).crl(&order(&revoked)).await, expected) {
            (Ok(_), None) => assert_eq!(at, 0),
            (Err(IssueError::Ca(CaError::Crl { flaw, .. })), Some(expected)) => assert_eq!(flaw, expected),
            (Err(IssueError::Ca(CaError::Unreadable { .. })), None) => assert_eq!(at, 5),
            (other, expected) => panic!("{at}: {other:?}, not {expected:?}"),
        }
    }
    // A CA that refuses to revoke and does not have it on its list did not revoke.
    let liar = Liar::start(&forge, |asked| match asked.0.as_str() {
        "/1.0/revoke" => Reply::Answer(400, r#"{"message": "already revoked, believe me"}"#.to_owned()),
        _ => Reply::Answer(200, "no list".to_owned()),
    });
    let refused = liar.await.issuer(&forge, &forge).revoke(&serial, Why::Ended).await;
    assert!(matches!(refused, Err(IssueError::Ca(CaError::Refused { .. }))), "{refused:?}");
}
