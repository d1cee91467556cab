//! The last look at a certificate before it leaves: whoever made it, it must be what was ordered, to the letter.

use crate::{
    Flaw, GrantOrder, InstanceOrder, IssueError, Issued,
    anchor::Anchor,
    profile::{self, MAX_LIFE, MIN_LIFE, SKEW, WholeCertificate, is_host},
    spiffe,
};
use domain::{
    Time,
    grant::Leaf,
    id::{InstanceId, Spki},
};
use rustls_pki_types::{CertificateDer, ServerName};
use std::{collections::BTreeSet, time::Duration};

/// How far the beginning of a certificate may be from the one ordered: it is written in whole seconds.
const TOLERANCE: Duration = Duration::from_secs(1);
/// 1.3.6.1.4.1.37476.9000.64.1, as encoded in DER without tag and length.
const PROVISIONER: &[u8] = &[0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0xa4, 0x64, 0xc6, 0x28, 0x40, 0x01];

/// What is wrong with a certificate that an issuer made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// It would be refused at a door.
    #[error(transparent)]
    Flaw(#[from] Flaw),
    /// It is not what was ordered.
    #[error("the certificate has another {0} than was ordered")]
    Other(&'static str),
    /// It lacks the mark of its provisioner (1.3.6.1.4.1.37476.9000.64.1), by which a step-ca knows that it must not renew it.
    #[error(
        "the certificate lacks the mark of its provisioner, and step-ca would renew it past the grants: take \
         `disableSmallstepExtensions` out of every `claims` in ca.json"
    )]
    Unmarked,
}

/// Whether an order's life is within the policy.
pub(crate) fn life(life: Duration) -> Result<(), IssueError> {
    if (MIN_LIFE..=MAX_LIFE).contains(&life) { Ok(()) } else { Err(IssueError::Life(life)) }
}

/// Whether a public name may be in a certificate.
pub(crate) fn public_name(name: &str) -> Result<(), IssueError> {
    if is_host(name) { Ok(()) } else { Err(IssueError::Name(name.chars().take(253).collect())) }
}

/// Checks a grant certificate against its order: profile, holder, grant, subject, key, end, and issued by `anchor`.
pub(crate) fn grant(
    certificate: Vec<u8>,
    order: &GrantOrder,
    anchor: &Anchor,
    issuer: InstanceId,
) -> Result<Issued, Unfit> {
    let read = profile::grant_leaf(&certificate, issuer)?;
    anchor.issued_client(&CertificateDer::from(certificate.as_slice()), order.now)?;
    same("holder", &read.holder, &order.holder)?;
    same("grant", &read.grant, &order.grant)?;
    same("subject", &read.subject, &order.subject)?;
    leaf(&certificate, &read.leaf, order.csr.spki(), (order.now, order.life))?;
    Ok(Issued { certificate, leaf: read.leaf })
}

/// Checks an instance certificate against its order: profile, names, key, end, and issued by `anchor`.
pub(crate) fn instance(
    certificate: &[u8],
    order: &InstanceOrder,
    key: Spki,
    anchor: &Anchor,
    issuer: InstanceId,
) -> Result<Leaf, Unfit> {
    let read = profile::instance_leaf(certificate, issuer)?;
    let own = spiffe::tls_name(issuer);
    let name = ServerName::try_from(own.as_str()).map_err(|_| Flaw::Names)?;
    anchor.issued_server(&CertificateDer::from(certificate), &name, order.now)?;
    let ordered: BTreeSet<_> = order.names.iter().chain([&own]).collect();
    same("set of names", &read.names.iter().collect(), &ordered)?;
    leaf(certificate, &read.leaf, key, (order.now, order.life))?;
    Ok(read.leaf)
}

/// Whether a certificate that a step-ca issued bears the mark of a provisioner.
pub(crate) fn marked(certificate: &[u8]) -> Result<(), Unfit> {
    let certificate = WholeCertificate::parse(certificate)?;
    let marked = certificate.extensions().iter().any(|extension| extension.oid.as_bytes() == PROVISIONER);
    if marked { Ok(()) } else { Err(Unfit::Unmarked) }
}

/// A beginning that lies earlier would make the certificate look older than it is, and be renewed sooner than the rule has it.
fn leaf(certificate: &[u8], read: &Leaf, key: Spki, (now, life): (Time, Duration)) -> Result<(), Unfit> {
    same("key", &read.spki, &key)?;
    same("end", &read.not_after.seconds(), &(now + life).seconds())?;
    let (begins, ordered) = (WholeCertificate::parse(certificate)?.validity().0, now.before(SKEW));
    if begins.since(ordered).max(ordered.since(begins)) > TOLERANCE { Err(Unfit::Other("beginning")) } else { Ok(()) }
}

fn same<T: PartialEq>(what: &'static str, made: &T, ordered: &T) -> Result<(), Unfit> {
    if made == ordered { Ok(()) } else { Err(Unfit::Other(what)) }
}
