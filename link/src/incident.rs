//! What a listener turned away before any call. Nobody waits for its record: a flood of knocks must not slow the door.

use crate::Trails;
use domain::{
    Time,
    id::{GrantId, Serial},
};
use pki::Flaw;
use std::{
    fmt,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::sync::mpsc;

/// Why a connection came to nothing: a closed list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Too many new connections from its address.
    Rate,
    /// Too many unproven connections from its address.
    AddressFull,
    /// It had to give way: too many unproven connections in all.
    Full,
    /// It did not finish its handshake in time.
    HandshakeTimeout,
    /// It went away during the handshake.
    Closed,
    /// It spoke no TLS 1.3 that we understand.
    Garbage,
    /// It ended the handshake with an alert: it does not believe this side.
    Alert,
    /// It has no certificate where one is needed.
    NoCertificate,
    /// Its certificate was refused.
    Certificate(Flaw),
    /// It does not speak HTTP/2.
    Protocol,
    /// It resumed a session: this must never happen and is refused.
    Resumed,
    /// Its grant has too many connections.
    GrantFull,
    /// It called, and did not prove that it may: no such form, no such id, or not its proof.
    Call,
    /// It called, and said more than a call says.
    CallTooLong,
    /// The listener itself had to rest: no descriptors or no memory.
    Exhausted,
}

impl Class {
    /// One stable word, or two joined by a dot, for logs, audit and metrics.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::AddressFull => "address_full",
            Self::Full => "full",
            Self::HandshakeTimeout => "handshake_timeout",
            Self::Closed => "closed",
            Self::Garbage => "garbage",
            Self::Alert => "alert",
            Self::NoCertificate => "no_certificate",
            Self::Certificate(flaw) => flaw.word(),
            Self::Protocol => "protocol",
            Self::Resumed => "resumed",
            Self::GrantFull => "grant_full",
            Self::Call => "call",
            Self::CallTooLong => "call_too_long",
            Self::Exhausted => "exhausted",
        }
    }

    /// Whether this is a judgement about a certificate, which deserves its own record even in a flood of the others.
    pub const fn is_certificate(self) -> bool {
        matches!(self, Self::NoCertificate | Self::Certificate(_))
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// One connection that came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incident {
    /// Where it came from; for [`Class::Exhausted`] the listener's own address.
    pub address: SocketAddr,
    /// Why it ended.
    pub class: Class,
    /// The serial number of the refused certificate, as far as it could be read.
    pub serial: Option<Serial>,
    /// The grant of the refused certificate, only where this instance's CA had issued it.
    pub grant: Option<GrantId>,
    /// When.
    pub at: Time,
}

/// The bounded way out for incidents. When nobody keeps up, incidents are counted and dropped.
#[derive(Clone, Debug)]
pub struct Incidents {
    sender: mpsc::Sender<Incident>,
    dropped: Arc<AtomicU64>,
    trails: Option<Trails>,
}

impl Incidents {
    /// A way that holds at most `capacity` incidents, and its end.
    pub fn channel(capacity: usize) -> (Self, mpsc::Receiver<Incident>) {
        let (sender, receiver) = mpsc::channel(capacity.max(1));
        (Self { sender, dropped: Arc::default(), trails: None }, receiver)
    }

    /// The same, counted by its reason also where it finds no room.
    #[must_use]
    pub fn counted(self, trails: &Trails) -> Self {
        Self { trails: Some(trails.clone()), ..self }
    }

    /// Hands an incident over, without waiting.
    pub fn report(&self, incident: Incident) {
        if let Some(trails) = &self.trails {
            trails.turned_away(incident.class);
        }
        if self.sender.try_send(incident).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many incidents found no room.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}
