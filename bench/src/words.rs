//! What the bench says to its children and hears from them: one line of JSON each way, over their standard streams.
//!
//! The sharing side runs in a child so that its processor time and memory are its own; the load comes from the parent.

use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// What a child is asked to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Order {
    /// Make a grant of this scope (JSON) and its invite.
    Invite(String),
    /// Say where the sharing side listens that keeps no records.
    Unrecorded,
    /// Answer every List at the floor with this message (protobuf, hex).
    Canned(String),
    /// Commit single rows for so many milliseconds.
    Commits(u64),
    /// End the grant.
    Revoke(String),
    /// End these grants, all at once.
    End(Vec<String>),
    /// Stand with so many grants, and decide so many calls.
    Decide {
        /// Grants besides those that stand.
        grants: u32,
        /// Calls to decide.
        calls: u32,
    },
    /// Trade these invites for certificates.
    Enrol(Vec<String>),
    /// Connect so many more of the links.
    Dial(usize),
    /// Open a stream on each connection and leave it open.
    Watch,
    /// Hold a control session, over a connection of its own, of each link that is connected.
    Touch,
    /// Hold a control session of every link, and an open stream beside it.
    Keep,
    /// Let so many of the links that are kept ask, one question after the other.
    Ask(usize),
    /// Say how these links ended, once they have.
    Over(Vec<String>),
}

/// What a child answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Reply {
    /// It is there.
    Ready(Ready),
    /// The invite.
    Invited(String),
    /// The address.
    Unrecorded(SocketAddr),
    /// It is done.
    Done,
    /// How fast single rows were committed.
    Commits(Commits),
    /// The grant has ended.
    Revoked(Revoked),
    /// The grants have ended.
    Ended(Ended),
    /// How the links ended.
    Over(Vec<Seen>),
    /// How long decisions took.
    Decided(Decided),
    /// It was not done, and why.
    Failed(String),
}

/// Where a sharing side is to be met.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ready {
    /// Process id of its PostgreSQL.
    pub postmaster: u32,
    /// The version of its PostgreSQL.
    pub postgres: String,
    /// The bare tonic server.
    pub floor: SocketAddr,
    /// Rows it was filled with, and how long that took in milliseconds.
    pub filled: (u64, u64),
}

/// What this machine's disk allows.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Commits {
    /// Rows of a record's size, one transaction each, one after the other.
    pub per_second: f64,
    /// Median of writing and syncing 8 KiB of a preallocated file, in microseconds.
    pub sync: u32,
}

/// As the sharing side saw a revocation.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Revoked {
    /// From the order until its calls were gone, in microseconds.
    pub took: u32,
    /// Whether they were.
    pub drained: bool,
}

/// Grants that ended at once, and how many control sessions were live then.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ended {
    /// In the order they were named.
    pub each: Vec<End>,
    /// Live sessions afterwards.
    pub live: usize,
}

/// A grant's end as the sharing side saw it, in microseconds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct End {
    /// Which.
    pub grant: String,
    /// When the order was given, by the wall clock, since 1970.
    pub began: i64,
    /// From then until it was committed.
    pub committed: u32,
    /// From then until its receipt was there, its word recorded, and everything of it gone.
    pub took: u32,
    /// Whether the receipt says that the asking side has let go, and everything was gone.
    pub acknowledged: bool,
}

/// A grant's end as the asking side saw it, in microseconds since 1970 by the wall clock.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Seen {
    /// Which.
    pub grant: String,
    /// When the word of the end was read.
    pub told: i64,
    /// When the open stream had ended and its connection was gone.
    pub stream: i64,
    /// When the session had ended and its connection was gone.
    pub session: i64,
}

/// Decisions, in nanoseconds.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Decided {
    /// Grants that stood.
    pub grants: usize,
    /// Half of them took no longer.
    pub p50: u32,
    /// 99 of 100 took no longer.
    pub p99: u32,
    /// 999 of 1,000 took no longer.
    pub p999: u32,
    /// Reading all grants, as at a start, in microseconds.
    pub reading: u32,
    /// Taking over the change of one, median, in microseconds.
    pub change: u32,
}
