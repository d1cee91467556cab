//! The last look at a certificate before it leaves: whoever made it, it must be what was ordered, to the letter.

use crate::{
    Flaw, GrantOrder, InstanceOrder, IssueError, Issued,
    anchor::Anchor,
    profile::{self, MAX_LIFE, MIN_LIFE, is_host},
    spiffe,
};
use domain::{
    Time,
    grant::Leaf,
    id::{InstanceId, Spki},
};
use rustls_pki_types::{CertificateDer, ServerName};
use std::{collections::BTreeSet, time::Duration};

/// What is wrong with a certificate that an issuer made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// It would be refused at a door.
    #[error(transparent)]
    Flaw(#[from] Flaw),
    /// It is not what was ordered.
    #[error("the certificate has another {0} than was ordered")]
    Other(&'static str),
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
    leaf(&read.leaf, order.csr.spki(), order.now, order.life)?;
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
    leaf(&read.leaf, key, order.now, order.life)?;
    Ok(read.leaf)
}

fn leaf(read: &Leaf, key: Spki, now: Time, life: Duration) -> Result<(), Unfit> {
    same("key", &read.spki, &key)?;
    same("end", &read.not_after.seconds(), &(now + life).seconds())
}

fn same<T: PartialEq>(what: &'static str, made: &T, ordered: &T) -> Result<(), Unfit> {
    if made == ordered { Ok(()) } else { Err(Unfit::Other(what)) }
}
