//! The record of a call or an administrative act, and the chain that makes a log of them hard to change unseen.
//!
//! A [`Record`] is what happened; an [`Entry`] is a record in its place, bound to everything before it. [`chain`] verifies an
//! exported log with no database. [`fold`] keeps a flood of equal refusals from becoming a flood of records. [`tree`] is the Merkle tree over
//! the entries, of which a [`note`] says how large it is and what its root is; a [`proof`] shows of one entry that it is in there.

pub mod chain;
pub mod fold;
pub mod note;
pub mod proof;
pub mod tree;

use crate::{
    Reason, Time,
    id::{EntryHash, GrantId, InstanceId, Name, QueryHash, RequestId, Resource, UserId},
    operation::Method,
    scope::Scope,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{fmt, time::Duration};

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $word)] $variant,)* }

        impl $name {
            /// Every value.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The word in logs and in the database.
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            /// The value with this word.
            pub fn from_word(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.word() == word)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.word())
            }
        }
    };
}

words! {
    /// Where on the road the record was made.
    Stage {
        /// Before the stack: sockets and handshakes.
        Accept = "accept",
        /// The grant's, peer's and certificate's standing.
        Standing = "standing",
        /// Rates.
        Limit = "limit",
        /// From message to value.
        Convert = "convert",
        /// The decision.
        Decide = "decide",
        /// Reading rows.
        Store = "store",
        /// The answer, or a chunk of it.
        Release = "release",
        /// An administrative act at this instance's own door.
        Admin = "admin",
        /// A question this instance asked of a link.
        Ask = "ask",
    }
}

words! {
    /// How it ended.
    Ending {
        /// Rows or another answer left.
        Answered = "answered",
        /// It was refused.
        Refused = "refused",
        /// The caller went away before it was decided.
        Abandoned = "abandoned",
        /// An administrative act took effect.
        Done = "done",
    }
}

words! {
    /// What was done, where it was no call of the wire.
    Act {
        /// A handshake or connection before any call.
        Handshake = "handshake",
        /// A grant was made.
        GrantCreate = "grant_create",
        /// A grant's scope was changed.
        GrantEdit = "grant_edit",
        /// What no grant may exceed was set or taken away.
        PolicySet = "policy_set",
        /// A grant that waited was let in by its owner, or the words were wrong.
        GrantConfirm = "grant_confirm",
        /// A grant was ended.
        GrantRevoke = "grant_revoke",
        /// A key that somebody else may have was revoked for ever.
        KeyRevoke = "key_revoke",
        /// The asking side said that it has let go of an ended grant.
        GrantAcknowledge = "grant_acknowledge",
        /// An invite was made.
        InviteCreate = "invite_create",
        /// An invite was claimed.
        InviteClaim = "invite_claim",
        /// A certificate was issued, at enrolment or as the successor of one, or a successor came into force.
        Certificate = "certificate",
        /// A link was made.
        LinkAdd = "link_add",
        /// A link was given a new certificate.
        LinkReplace = "link_replace",
        /// A link's certificate was renewed: the next one was kept, taken into use, or given up.
        LinkRenew = "link_renew",
        /// The other side said that its grant has ended; what was open under it was ended, and that was said back.
        LinkEnd = "link_end",
        /// Somebody here waits to be called by another instance, or does so no longer.
        LinkAwait = "link_await",
        /// A link was removed.
        LinkRemove = "link_remove",
        /// A user was made.
        UserAdd = "user_add",
        /// A user was changed.
        UserEdit = "user_edit",
        /// A user was removed.
        UserRemove = "user_remove",
        /// A token of a program was made for a user.
        TokenAdd = "token_add",
        /// A token of a program was taken away.
        TokenRemove = "token_remove",
        /// Somebody came to the HTTP port with no token that is good there.
        TokenUse = "token_use",
        /// A workspace was made.
        WorkspaceAdd = "workspace_add",
        /// A team was made or changed.
        TeamEdit = "team_edit",
        /// The operator acted as another user.
        Impersonate = "impersonate",
        /// The log was read.
        AuditRead = "audit_read",
        /// The log was exported.
        AuditExport = "audit_export",
        /// The CA's key was written to files, for a step-ca to go on with.
        CaExport = "ca_export",
        /// A daemon began to serve.
        Start = "start",
        /// Links were asked.
        Ask = "ask",
    }
}

/// What a record is about: a call of the wire, or an act.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// A call.
    Call(Method),
    /// A call of an unknown method.
    UnknownCall,
    /// An act.
    Act(Act),
}

impl Subject {
    /// The word in logs and in the database.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Call(method) => method.word(),
            Self::UnknownCall => "unknown_call",
            Self::Act(act) => act.word(),
        }
    }
}

/// What happened. Bodies, tokens and row contents are never part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// When it ended.
    pub time: Time,
    /// Where on the road.
    pub stage: Stage,
    /// How it ended.
    pub ending: Ending,
    /// What it is about.
    pub about: Subject,
    /// Which call; both sides' logs name it.
    pub request: RequestId,
    /// Where the caller is, `address:port`, or empty for this instance's own door.
    pub address: String,
    /// Under which grant or link.
    pub grant: Option<GrantId>,
    /// With which other instance.
    pub peer: Option<InstanceId>,
    /// On behalf of which user, or by whom an act was done.
    pub subject: Option<UserId>,
    /// Which kind of row.
    pub resource: Option<Resource>,
    /// SHA-256 of the normalised query.
    pub query: Option<QueryHash>,
    /// Why it was refused.
    pub reason: Option<Reason>,
    /// One short line for this side's operator; peer-controlled text never enters it unescaped.
    pub note: String,
    /// Rows answered, or repeats folded into this record.
    pub rows: u64,
    /// Bytes answered, before TLS.
    pub bytes: u64,
    /// From the call's arrival to this record.
    pub latency: Duration,
    /// The grant's generation the answer was decided under: re-read before the answer leaves. Not part of the chain.
    pub generation: Option<u64>,
}

impl Record {
    /// A record with nothing filled in but what every record has.
    pub fn new(time: Time, stage: Stage, ending: Ending, about: Subject, request: RequestId) -> Self {
        Self {
            time,
            stage,
            ending,
            about,
            request,
            address: String::new(),
            grant: None,
            peer: None,
            subject: None,
            resource: None,
            query: None,
            reason: None,
            note: String::new(),
            rows: 0,
            bytes: 0,
            latency: Duration::ZERO,
            generation: None,
        }
    }

    /// The record of an act at this instance's own door, done by `user`.
    pub fn act(time: Time, act: Act, user: UserId, request: RequestId) -> Self {
        Self { subject: Some(user), ..Self::new(time, Stage::Admin, Ending::Done, Subject::Act(act), request) }
    }

    /// The same with a note, cut to one short line without control or direction characters.
    #[must_use]
    pub fn noting(mut self, note: &str) -> Self {
        self.note = one_line(note);
        self
    }

    /// Turns an answer that must not leave into the refusal that is logged in its place.
    #[must_use]
    pub fn withdrawn(self, reason: Reason, note: &str) -> Self {
        Self { ending: Ending::Refused, reason: Some(reason), rows: 0, bytes: 0, ..self }.noting(note)
    }
}

const MAX_NOTE: usize = 400;

/// `text` as one line of at most 400 characters: control, line-separator and direction characters become `\u{..}`.
pub fn one_line(text: &str) -> String {
    crate::say::escaped(text).take(MAX_NOTE).collect()
}

/// A record in its place in the log. Exported as one JSON line with these names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// 1, 2, 3 … without a gap.
    pub sequence: u64,
    /// When it ended.
    pub time: Time,
    /// Where on the road.
    pub stage: Stage,
    /// How it ended.
    pub ending: Ending,
    /// The method or act.
    pub about: String,
    /// Which call.
    pub request: RequestId,
    /// Where the caller is.
    pub address: String,
    /// Under which grant or link.
    pub grant: Option<GrantId>,
    /// With which other instance.
    pub peer: Option<InstanceId>,
    /// On behalf of whom, or by whom.
    pub subject: Option<UserId>,
    /// Which kind of row.
    pub resource: Option<Resource>,
    /// SHA-256 of the normalised query.
    pub query: Option<QueryHash>,
    /// Why it was refused, as a code.
    pub reason: Option<String>,
    /// One short line.
    pub note: String,
    /// Rows answered, or repeats folded.
    pub rows: u64,
    /// Bytes answered.
    pub bytes: u64,
    /// Microseconds.
    pub latency_us: u64,
    /// The hash of the entry before; all zero before the first.
    pub previous: EntryHash,
    /// SHA-256 over `previous` and every field above it.
    pub hash: EntryHash,
}

impl Entry {
    /// Puts a record in its place after `previous`.
    pub fn chain(record: &Record, sequence: u64, previous: EntryHash) -> Self {
        let mut entry = Self {
            sequence,
            time: record.time,
            stage: record.stage,
            ending: record.ending,
            about: record.about.word().to_owned(),
            request: record.request,
            address: record.address.clone(),
            grant: record.grant,
            peer: record.peer,
            subject: record.subject,
            resource: record.resource.clone(),
            query: record.query,
            reason: record.reason.map(|reason| reason.code().to_owned()),
            note: record.note.clone(),
            rows: record.rows,
            bytes: record.bytes,
            latency_us: u64::try_from(record.latency.as_micros()).unwrap_or(u64::MAX),
            previous,
            hash: EntryHash::default(),
        };
        entry.hash = entry.digest();
        entry
    }

    /// What `hash` must be: SHA-256 over a fixed prefix, `previous`, then each field in its order as text, preceded by its
    /// length (4 bytes, big-endian); an absent field has the length 0xffffffff and no text.
    pub fn digest(&self) -> EntryHash {
        let mut hash = Sha256::new_with_prefix(b"mosaic-fed audit entry 1\0");
        hash.update(self.previous.0);
        for field in self.fields() {
            match field {
                Some(text) => {
                    hash.update(u32::try_from(text.len()).unwrap_or(u32::MAX - 1).to_be_bytes());
                    hash.update(text);
                }
                None => hash.update(u32::MAX.to_be_bytes()),
            }
        }
        EntryHash(hash.finalize().into())
    }

    fn fields(&self) -> [Option<String>; 17] {
        fn text<T: fmt::Display>(value: Option<&T>) -> Option<String> {
            value.map(T::to_string)
        }
        [
            Some(self.sequence.to_string()),
            Some(self.time.micros().to_string()),
            Some(self.stage.to_string()),
            Some(self.ending.to_string()),
            Some(self.about.clone()),
            Some(self.request.to_string()),
            Some(self.address.clone()),
            text(self.grant.as_ref()),
            text(self.peer.as_ref()),
            text(self.subject.as_ref()),
            text(self.resource.as_ref()),
            text(self.query.as_ref()),
            self.reason.clone(),
            Some(self.note.clone()),
            Some(self.rows.to_string()),
            Some(self.bytes.to_string()),
            Some(self.latency_us.to_string()),
        ]
    }
}

/// Where the log ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// The last entry's sequence; 0 for an empty log.
    pub sequence: u64,
    /// The last entry's hash.
    pub hash: EntryHash,
    /// When the head was taken.
    pub time: Time,
}

impl Head {
    /// The bytes that are signed: a fixed prefix, sequence (8 bytes, big-endian), hash, microseconds (8 bytes, big-endian), the
    /// instance's id (16 bytes), its name (UTF-8, to the end).
    pub fn signed_bytes(&self, instance: InstanceId, name: &Name) -> Vec<u8> {
        let mut bytes = b"mosaic-fed audit head 2\0".to_vec();
        bytes.extend(self.sequence.to_be_bytes());
        bytes.extend(self.hash.0);
        bytes.extend(self.time.micros().to_be_bytes());
        bytes.extend(instance.0.as_bytes());
        bytes.extend(name.as_str().as_bytes());
        bytes
    }
}

/// A head with the instance's signature, as it lies in the data directory and ends every export.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedHead {
    /// Which instance's log.
    pub instance: InstanceId,
    /// Its name, for people.
    pub name: Name,
    /// Where the log ended.
    pub head: Head,
    /// Ed25519 public key (RFC 8032), 64 hex digits.
    pub key: String,
    /// Ed25519 signature over [`Head::signed_bytes`], 128 hex digits.
    pub signature: String,
}

/// What a scope shared, in one line for the record of a grant.
pub fn scope_note(scope: &Scope) -> String {
    let names: Vec<_> = scope.resources().map(|(name, _)| name.as_str()).collect();
    one_line(&format!("shares {} of {} until {}", names.join(", "), scope.workspace(), scope.not_after()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_injection_becomes_one_visible_line() {
        let hostile = "ok\r\nforged entry\u{1b}[2J\u{2028}\u{202e}evil\0";
        let line = one_line(hostile);
        assert!(!line.chars().any(char::is_control) && !line.contains(['\u{2028}', '\u{202e}']), "{line}");
        assert!(line.contains("forged entry") && line.contains("\\u{1b}"));
        assert!(one_line(&"x".repeat(1 << 20)).len() <= MAX_NOTE);
    }
}
