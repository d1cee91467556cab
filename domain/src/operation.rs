//! The closed list of what can be asked. Every RPC of the wire is one [`Method`]; a method without a row here does not exist.

use crate::{
    Refusal, Time,
    caller::Presented,
    decide::Ground,
    grant::Grant,
    id::{InstanceId, ItemId, Name, QueryHash, Resource},
    page::{Binding, PageToken, Position},
    refusal::Reason,
    scope::Verb,
    words::Nonce,
};
use sha2::{Digest, Sha256};
use std::{fmt, sync::Arc};

/// One RPC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Method {
    /// `EnrolService.Enroll`
    Enroll,
    /// `ConnectService.Connect`
    Connect,
    /// `ConnectService.Disconnect`
    Disconnect,
    /// `ConnectService.Renew`
    Renew,
    /// `ConnectService.Session`
    Session,
    /// `QueryService.Capabilities`
    Capabilities,
    /// `QueryService.List`
    List,
    /// `QueryService.Get`
    Get,
    /// `grpc.health.v1.Health.Check`
    HealthCheck,
    /// `grpc.health.v1.Health.Watch`
    HealthWatch,
}

/// Which listener offers a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entrance {
    /// Mutual TLS under a grant's certificate.
    Federation,
    /// Server TLS, an invite's token in the request.
    Enrolment,
}

impl Method {
    /// Every method.
    pub const ALL: [Self; 10] = [
        Self::Enroll,
        Self::Connect,
        Self::Disconnect,
        Self::Renew,
        Self::Session,
        Self::Capabilities,
        Self::List,
        Self::Get,
        Self::HealthCheck,
        Self::HealthWatch,
    ];

    /// The HTTP/2 `:path`, compared whole: no other spelling names the method.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Enroll => "/mosaic.federation.v1.EnrolService/Enroll",
            Self::Connect => "/mosaic.federation.v1.ConnectService/Connect",
            Self::Disconnect => "/mosaic.federation.v1.ConnectService/Disconnect",
            Self::Renew => "/mosaic.federation.v1.ConnectService/Renew",
            Self::Session => "/mosaic.federation.v1.ConnectService/Session",
            Self::Capabilities => "/mosaic.federation.v1.QueryService/Capabilities",
            Self::List => "/mosaic.federation.v1.QueryService/List",
            Self::Get => "/mosaic.federation.v1.QueryService/Get",
            Self::HealthCheck => "/grpc.health.v1.Health/Check",
            Self::HealthWatch => "/grpc.health.v1.Health/Watch",
        }
    }

    /// The method with exactly this path.
    pub fn from_path(path: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.path() == path)
    }

    /// The word in the audit log.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Enroll => "enroll",
            Self::Connect => "connect",
            Self::Disconnect => "disconnect",
            Self::Renew => "renew",
            Self::Session => "session",
            Self::Capabilities => "capabilities",
            Self::List => "list",
            Self::Get => "get",
            Self::HealthCheck | Self::HealthWatch => "health",
        }
    }

    /// Which listener offers it; the other one does not know it.
    pub const fn entrance(self) -> Entrance {
        match self {
            Self::Enroll => Entrance::Enrolment,
            _ => Entrance::Federation,
        }
    }

    /// The verb a scope must permit; none for methods that every holder of an active grant may call.
    pub const fn verb(self) -> Option<Verb> {
        match self {
            Self::Capabilities => Some(Verb::Capabilities),
            Self::List => Some(Verb::List),
            Self::Get => Some(Verb::Get),
            Self::Enroll
            | Self::Connect
            | Self::Disconnect
            | Self::Renew
            | Self::Session
            | Self::HealthCheck
            | Self::HealthWatch => None,
        }
    }

    /// Whether a call takes a token from the grant's and the peer's bucket. Leaving is never refused for its rate, a grant that
    /// is busy must renew and be told of its end all the same and has measures of its own for it ([`Renew`], [`Session`]), and an enrolment has
    /// no grant's bucket yet.
    pub const fn is_limited(self) -> bool {
        !matches!(self, Self::Enroll | Self::Disconnect | Self::Renew | Self::Session)
    }

    /// Whether the call changes the standing it is decided on. Its answer stands on the change's own record, committed with
    /// the change, and is not withdrawn by it; it never holds rows.
    pub const fn moves_standing(self) -> bool {
        matches!(self, Self::Enroll | Self::Disconnect)
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

mod sealed {
    pub trait Sealed {}
}

/// A request's meaning. Sealed: the list of operations is closed in this file.
pub trait Operation: sealed::Sealed + Send + Sync + 'static {
    /// Which RPC it is.
    const METHOD: Method;
    /// On what ground it may be decided: a grant or an invite.
    type Ground: Ground;

    /// The resource asked about, where there is one.
    fn resource(&self) -> Option<&Resource> {
        None
    }

    /// The parts of the normalised query, for the hash both sides' logs share; empty where nothing is asked about.
    fn normalised(&self) -> Vec<String> {
        Vec::new()
    }

    /// What this operation asks of its ground beyond verb and resource.
    fn judge(&self, _ground: &Self::Ground) -> Result<(), Refusal> {
        Ok(())
    }

    /// SHA-256 of the normalised query: method and parts, each preceded by its length (8 bytes, big-endian).
    fn query_hash(&self) -> QueryHash {
        let mut hash = Sha256::new();
        let method = std::iter::once(Self::METHOD.word().to_owned());
        for part in method.chain(self.normalised()) {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        QueryHash(hash.finalize().into())
    }
}

/// Rows of one resource, newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List {
    /// Which kind of row.
    pub resource: Resource,
    /// Rows wanted; none means as many as the scope allows.
    pub limit: Option<u32>,
    /// Where to go on, as the asker sent it.
    pub page: Option<PageToken>,
    /// Whether rows carry their body.
    pub include_body: bool,
    /// How far this same answer has come: its later chunks are decided anew.
    pub progress: Option<Progress>,
}

/// What earlier chunks of the same answer held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The last row answered.
    pub after: Position,
    /// Rows answered so far.
    pub rows: u32,
}

impl List {
    /// A first question for `resource`.
    pub fn first(resource: Resource) -> Self {
        Self { resource, limit: None, page: None, include_body: false, progress: None }
    }

    /// What a page token of this query is bound to, under `owner`: a grant's id, or a local user's.
    pub fn binding(&self, owner: &str) -> Binding {
        let body = if self.include_body { "body" } else { "" };
        Binding::new(&[owner, "list", self.resource.as_str(), "newest", body])
    }

    /// The row after which this chunk begins, once [`Operation::judge`] accepted the token.
    pub fn after(&self, owner: &str) -> Result<Option<Position>, Refusal> {
        match (&self.progress, &self.page) {
            (Some(progress), _) => Ok(Some(progress.after)),
            (None, Some(token)) => {
                token.position(self.binding(owner)).map(Some).map_err(|_| Refusal::new(Reason::BadPageToken))
            }
            (None, None) => Ok(None),
        }
    }
}

impl sealed::Sealed for List {}
impl Operation for List {
    const METHOD: Method = Method::List;
    type Ground = Grant;

    fn resource(&self) -> Option<&Resource> {
        Some(&self.resource)
    }

    fn normalised(&self) -> Vec<String> {
        let page = self.page.as_ref().map(PageToken::encode).unwrap_or_default();
        let limit = self.limit.unwrap_or(0).to_string();
        vec![self.resource.to_string(), limit, page, self.include_body.to_string()]
    }

    fn judge(&self, grant: &Grant) -> Result<(), Refusal> {
        self.after(&grant.id.to_string()).map(|_| ())
    }
}

/// One row, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Get {
    /// Which kind of row.
    pub resource: Resource,
    /// Which row.
    pub id: ItemId,
}

impl sealed::Sealed for Get {}
impl Operation for Get {
    const METHOD: Method = Method::Get;
    type Ground = Grant;

    fn resource(&self) -> Option<&Resource> {
        Some(&self.resource)
    }

    fn normalised(&self) -> Vec<String> {
        vec![self.resource.to_string(), self.id.to_string()]
    }
}

/// What the grant may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities;

impl sealed::Sealed for Capabilities {}
impl Operation for Capabilities {
    const METHOD: Method = Method::Capabilities;
    type Ground = Grant;
}

/// The exchange that opens a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connect {
    /// Lowest protocol version the asker speaks.
    pub version_min: u32,
    /// Highest protocol version the asker speaks.
    pub version_max: u32,
}

/// The one protocol version there is.
pub const PROTOCOL_VERSION: u32 = 1;

impl sealed::Sealed for Connect {}
impl Operation for Connect {
    const METHOD: Method = Method::Connect;
    type Ground = Grant;

    fn judge(&self, _grant: &Grant) -> Result<(), Refusal> {
        if (self.version_min..=self.version_max).contains(&PROTOCOL_VERSION) {
            Ok(())
        } else {
            Err(Refusal::new(Reason::Version))
        }
    }
}

/// The asking side ends its own grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disconnect;

impl sealed::Sealed for Disconnect {}
impl Operation for Disconnect {
    const METHOD: Method = Method::Disconnect;
    type Ground = Grant;
}

/// A further certificate for the same grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Renew {
    /// PKCS #10, DER; only its key is used.
    pub csr: Vec<u8>,
    /// The certificate that the connection showed: only the one in force is followed by another.
    pub presented: Arc<Presented>,
    /// The time of asking.
    pub at: Time,
}

impl sealed::Sealed for Renew {}
impl Operation for Renew {
    const METHOD: Method = Method::Renew;
    type Ground = Grant;

    fn judge(&self, grant: &Grant) -> Result<(), Refusal> {
        Ok(grant.may_renew(&self.presented, self.at)?)
    }
}

/// The stream over which the sharing side tells of the grant's changes and its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session;

impl sealed::Sealed for Session {}
impl Operation for Session {
    const METHOD: Method = Method::Session;
    type Ground = Grant;
}

/// Whether the daemon serves; `grpc.health.v1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    /// Full service name, or empty for the daemon as a whole.
    pub service: String,
}

impl sealed::Sealed for HealthCheck {}
impl Operation for HealthCheck {
    const METHOD: Method = Method::HealthCheck;
    type Ground = Grant;
}

/// As [`HealthCheck`], staying open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthWatch {
    /// Full service name, or empty for the daemon as a whole.
    pub service: String,
}

impl sealed::Sealed for HealthWatch {}
impl Operation for HealthWatch {
    const METHOD: Method = Method::HealthWatch;
    type Ground = Grant;
}

/// Trade an invite for a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enroll {
    /// PKCS #10, DER; only its key is used.
    pub csr: Vec<u8>,
    /// What the asking side adds to the words.
    pub nonce: Nonce,
    /// The instance that will hold the certificate.
    pub instance: InstanceId,
    /// What that instance calls itself.
    pub name: Name,
    /// The time of asking, for the record.
    pub at: Time,
}

impl sealed::Sealed for Enroll {}
impl Operation for Enroll {
    const METHOD: Method = Method::Enroll;
    type Ground = crate::invite::Invited;

    fn judge(&self, invited: &crate::invite::Invited) -> Result<(), Refusal> {
        // A grant never moves to another instance: the peer's limit and record hang on it.
        match invited.grant.peer {
            Some(holder) if holder != self.instance => Err(Refusal::new(Reason::InviteSpent)
                .because(format!("the grant is held by instance {holder}, not {}", self.instance))),
            _ => Ok(()),
        }
    }
}
