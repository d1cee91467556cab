//! What an issuer is asked to issue, and what it gives. An order is written from this side's own records only; of the other
//! side's request it takes the key and nothing else.

use crate::{CheckedCsr, CrlOrder, Why, fit::Unfit, step_ca::CaError};
use async_trait::async_trait;
use domain::{
    Time,
    grant::Leaf,
    id::{GrantId, InstanceId, Serial, UserId},
    secret::Secret,
};
use std::time::Duration;

/// How long an instance's own certificate lives; it is issued anew every day.
pub const LEAF_LIFE: Duration = Duration::from_hours(30 * 24);

/// A certificate authority: the embedded one, or a step-ca behind the same orders.
///
/// There is no renewing: a certificate that is to live on, with the same key or a new one, is a new order, so that nobody gets
/// one past the grants' own table.
#[async_trait]
pub trait Issuer: Send + Sync {
    /// Issues the certificate of an asking side.
    async fn issue_grant(&self, order: &GrantOrder) -> Result<Issued, IssueError>;

    /// Issues this instance's own server certificate, with a new key.
    async fn issue_instance(&self, order: &InstanceOrder) -> Result<InstanceIdentity, IssueError>;

    /// Tells the CA that a certificate of its making is not to be believed any more. Revoking again is no error.
    ///
    /// Who is let in is decided by the grants' own table, which must say so first; this is the second belt.
    async fn revoke(&self, serial: &Serial, why: Why) -> Result<(), IssueError>;

    /// The CA's list of revoked certificates (RFC 5280 section 5), DER, with every serial of the order on it.
    async fn crl(&self, order: &CrlOrder<'_>) -> Result<Vec<u8>, IssueError>;

    /// Who issues, and since when it does not answer. The embedded CA is always there.
    fn standing(&self) -> IssuerStanding {
        IssuerStanding::default()
    }

    /// The one certificate that links trust, X.509 DER: it issued every leaf directly.
    fn anchor_der(&self) -> &[u8];
}

/// Who issues, and how it answered when it was needed last: nobody asks it for this.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IssuerStanding {
    /// Where it is; none for the embedded CA.
    pub at: Option<String>,
    /// Since when calls to it are not answered, and why the last one was not; none while the last one was.
    pub away: Option<(Time, String)>,
}

/// The certificate of an asking side, to be issued.
pub struct GrantOrder {
    /// The asking instance.
    pub holder: InstanceId,
    /// The grant.
    pub grant: GrantId,
    /// The user on whose behalf the grant reads.
    pub subject: UserId,
    /// The asking side's request; gives the key only.
    pub csr: CheckedCsr,
    /// The present instant.
    pub now: Time,
    /// From `now` to the certificate's end: 5 minutes to 90 days. It begins 5 minutes before `now`, for clocks that are behind.
    pub life: Duration,
}

/// This instance's own server certificate, to be issued.
pub struct InstanceOrder {
    /// Public DNS names, besides the instance's own: lower case, no wildcard, no address.
    pub names: Vec<String>,
    /// The present instant.
    pub now: Time,
    /// As in [`GrantOrder::life`].
    pub life: Duration,
}

/// A certificate that was issued to an asking side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// X.509 DER.
    pub certificate: Vec<u8>,
    /// What the grant's record keeps of it.
    pub leaf: Leaf,
}

/// A sharing side's server certificate with its key.
#[derive(Clone)]
pub struct InstanceIdentity {
    /// X.509 DER.
    pub certificate: Vec<u8>,
    /// PKCS #8 DER.
    pub key: Secret<Vec<u8>>,
    /// Serial number, key and end.
    pub leaf: Leaf,
}

/// A certificate could not be issued.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// The order's life is outside the policy.
    #[error("a certificate must live 5 minutes to 90 days, not {} s; choose another lifetime", .0.as_secs())]
    Life(Duration),
    /// A public name cannot be in a certificate.
    #[error(
        "`{}` cannot be in a certificate: write a DNS name in lower case, without wildcard or port",
        .0.escape_debug()
    )]
    Name(String),
    /// Signing failed.
    #[error(
        "the certificate could not be signed: {0}; if this stays so, check that the CA key belongs to this program"
    )]
    Sign(String),
    /// What was signed does not pass this program's own profile: a defect of the issuer, caught before it leaves.
    #[error(
        "the issuer made a certificate that this program would refuse itself: {0}; check the issuer's configuration"
    )]
    Unfit(#[from] Unfit),
    /// The CA is another program, and it did not do it.
    #[error(transparent)]
    Ca(#[from] CaError),
}
