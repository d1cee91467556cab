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
