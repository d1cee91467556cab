//! From what went wrong to the closed list of outcomes, with a reason that gives cause and next step.
//!
//! Judged by code and `ErrorInfo`, never by parsing text. Text that the other side chose is shown as one safe line.

use crate::{HubError, deadlines::message_bytes, judge::Closed};
use domain::{
    Reason, Time,
    answer::{Outcome, SourceOutcome},
    audit::one_line,
    invite::Invite,
};
use link::{DialError, Dialled, trail::NotSent};
use std::time::Duration;
use store::LinkRecord;
use tonic::{Code, Status};
use tonic_types::StatusExt;

/// Longer waits than this are not believed.
const MAX_RETRY: Duration = Duration::from_hours(24);
/// Of a text that the other side chose, this many characters are shown.
const MAX_TEXT: usize = 200;

/// Why a source did not end `ok`. Never `ok` and never `partial`: that is judged where its rows are counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) outcome: Outcome,
    pub(crate) reason: String,
    pub(crate) retry_after: Option<Duration>,
    /// The other side's own reason, where it gave one of the closed list.
    pub(crate) refusal: Option<Reason>,
    /// The words that the other side's owner has yet to be told, where nothing else is missing.
    pub(crate) words: Option<String>,
    /// The proxy that gave no connection, or one that was not the other side's, where it is that which failed.
    pub(crate) proxy: Option<String>,
    /// What this says about the connection and the rows that came before.
    pub(crate) kind: Kind,
}

/// What a failure means beyond its outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The other side answered: the connection is good.
    Answered,
    /// The connection is of no more use; the question may never have arrived.
    Broken,
    /// The other side told something that cannot be: none of its rows is believed.
    Lie,
    /// The grant ended while the question was under way: none of its rows is shown any more.
    Ended,
    /// The link was not asked: its circuit is open, no time is left, or its grant names other doors.
    HeldBack(NotSent),
    /// The link answered, and by then its grant named other doors: none of its rows is shown. Of the link it says what any answer says.
    Withheld,
}

impl Failure {
    pub(crate) fn new(outcome: Outcome, kind: Kind, reason: impl Into<String>) -> Self {
        Self { outcome, reason: reason.into(), retry_after: None, refusal: None, words: None, proxy: None, kind }
    }

    /// The other side sent what cannot be.
    pub(crate) fn lie(what: impl std::fmt::Display) -> Self {
        let reason = format!("{what}; nothing of its answer is used, tell its owner if this stays");
        Self::new(Outcome::Error, Kind::Lie, one_line(&reason))
    }

    /// This instance itself failed.
    pub(crate) fn own(what: impl std::fmt::Display) -> Self {
        Self::new(Outcome::Error, Kind::Answered, one_line(&format!("{what}; try again")))
    }

    /// An earlier answer was read, and its grant changed meanwhile.
    pub(crate) fn changed() -> Self {
        Self::new(Outcome::Error, Kind::Answered, "its grant was changed at this very moment; ask again")
    }

    /// No answer, or no further one, within the deadline.
    pub(crate) fn silent(waited: Duration) -> Self {
        let reason = format!("no answer within {}; it may be busy, try again", seconds(waited));
        Self::new(Outcome::Timeout, Kind::Broken, reason)
    }

    /// Nothing was sent, since this is how the questions before it ended, so many in a row.
    pub(crate) fn held_back(&self, failures: u32, wait: Duration) -> Self {
        let reason = format!("{}; not asked now, after {failures} failures in a row", self.reason);
        Self { reason, retry_after: Some(wait), kind: Kind::HeldBack(NotSent::Circuit), ..self.clone() }
    }

    /// Nothing was sent, since its rows may not be shown where they were asked for.
    pub(crate) fn not_asked(why: &Closed) -> Self {
        Self::new(Outcome::Denied, Kind::HeldBack(NotSent::Door), format!("not asked: {why}"))
    }

    /// There is an answer, now or from a moment ago, and its rows may not be shown where they were asked for any more.
    pub(crate) fn withheld(why: &Closed) -> Self {
        Self::new(Outcome::Denied, Kind::Withheld, format!("answered, and not shown: {why}"))
    }

    /// Nothing was sent, since what was asked before, for the same answer, has used up its time.
    pub(crate) fn no_time() -> Self {
        let reason =
            "not asked: looking for the beginning of the id took the time of this answer; ask again with the whole id";
        Self::new(Outcome::Timeout, Kind::HeldBack(NotSent::Time), reason)
    }

    /// No link within the deadline.
    pub(crate) fn unreachable(waited: Duration) -> Self {
        let reason = format!("no link within {}; check that the other instance runs and is reachable", seconds(waited));
        Self::new(Outcome::Offline, Kind::Broken, reason)
    }

    /// Why no connection came about.
    pub(crate) fn dial(error: &DialError) -> Self {
        let outcome = match error {
            DialError::OurCertificate(_) => Outcome::Revoked,
            _ if error.is_offline() => Outcome::Offline,
            _ => Outcome::Error,
        };
        let proxy = match error {
            DialError::Proxy(error) => Some(error.proxy.clone()),
            DialError::Intercepted { proxy, .. } => Some(proxy.clone()),
            _ => None,
        };
        Self { proxy, ..Self::new(outcome, Kind::Broken, one_line(&error.to_string())) }
    }

    /// The other side refused this link's certificate or grant.
    pub(crate) fn revoked(said: &str) -> Self {
        let reason =
            format!("the other side no longer accepts this link ({}); ask its owner for a new invite", quoted(said));
        Self::new(Outcome::Revoked, Kind::Broken, reason)
    }

    /// The other side said that the grant has ended.
    pub(crate) fn ended() -> Self {
        let reason = "this link's grant has ended; ask the owner of the other side for a new invite";
        Self::new(Outcome::Revoked, Kind::Ended, reason)
    }

    /// The link's certificate is past its end, and nobody said that its grant has ended.
    pub(crate) fn expired(link: &LinkRecord, calls: bool) -> Self {
        Self::new(Outcome::Revoked, Kind::Broken, expired(link, calls))
    }

    /// The link was removed here after the first page of the answer.
    pub(crate) fn removed() -> Self {
        let reason = "this link was removed since the answer began; ask again without the cursor, or link again with a new invite";
        Self::new(Outcome::Revoked, Kind::Ended, reason)
    }

    /// As [`Failure::ended`], of a link whose other side is away now and said so before.
    pub(crate) fn ended_before() -> Self {
        Self { kind: Kind::Broken, ..Self::ended() }
    }

    /// The other side's owner has not let this link in yet; nothing is wrong with it.
    pub(crate) fn unconfirmed(link: &LinkRecord, words: &str) -> Self {
        let failure = Self::new(Outcome::Denied, Kind::Broken, unconfirmed(link, words));
        Self { words: Some(words.to_owned()), ..failure }
    }

    /// The stream ended without saying that it came to its end.
    pub(crate) fn unfinished() -> Self {
        Self::new(Outcome::Error, Kind::Broken, "the answer stopped before its end; ask again for the rest")
    }

    /// Whether rows that came before it are not to be used.
    pub(crate) fn spoils_rows(&self) -> bool {
        matches!(self.kind, Kind::Lie | Kind::Ended | Kind::HeldBack(_) | Kind::Withheld)
    }

    /// Whether asking again cannot help while the grant stays as it is.
    pub(crate) fn is_final(&self) -> bool {
        matches!(self.outcome, Outcome::Denied | Outcome::Revoked)
    }

    /// Whether the question that failed so took a call of its grant's limit: it came as far as that, and the limit let it pass.
    pub(crate) fn took_a_call(&self) -> bool {
        match self.outcome {
            Outcome::Timeout => true,
            Outcome::RateLimited => false,
            _ => self.kind != Kind::Broken,
        }
    }

    /// As [`SourceOutcome`], `rows` of which were given before.
    pub(crate) fn ending(&self, source: &str, rows: u64, took: Duration) -> SourceOutcome {
        let outcome = if rows > 0 && !self.spoils_rows() { Outcome::Partial } else { self.outcome };
        SourceOutcome {
            rows,
            retry_after_ms: self.retry_after.map(|after| u64::try_from(after.as_millis()).unwrap_or(u64::MAX)),
            words: self.words.clone(),
            ..SourceOutcome::empty(source, outcome, self.reason.clone(), took)
        }
    }

    /// Reads a refusal of the other side, or the news that the connection broke. `waited` is set once the deadline is
    /// reached: then whatever cut the call short, on either side, was the deadline.
    pub(crate) fn from_status(status: &Status, waited: Option<Duration>) -> Self {
        let broken = is_broken(status);
        if let Some(waited) = waited.filter(|_| broken || status.code() == Code::Cancelled) {
            return Self::silent(waited);
        }
        if broken {
            return Self::new(Outcome::Error, Kind::Broken, "the connection broke before the answer ended; try again");
        }
        let refusal = reason_of(status);
        let retry_after = status.get_details_retry_info().and_then(|info| info.retry_delay).map(|d| d.min(MAX_RETRY));
        let failure = refusal.map_or_else(|| by_code(status), |reason| by_reason(reason, status));
        Self { retry_after, refusal, ..failure }
    }
}

impl Failure {
    /// What a bad status means on a connection that was just made.
    pub(crate) fn of_connection(status: &Status, dialled: &Dialled) -> Self {
        let failure = Self::from_status(status, None);
        match (failure.kind, dialled.failure.refused_our_certificate()) {
            (Kind::Broken, Some(why)) => Self::dial(&DialError::OurCertificate(why)),
            _ => failure,
        }
    }
}

/// What a bad status says of an invite that was sent. Only a refusal that would stay the same is one.
pub(crate) fn enrolment(status: &Status, invite: &Invite, now: Time) -> HubError {
    if is_broken(status) {
        return unclear("the connection broke", invite, now);
    }
    let passing = [Code::Unavailable, Code::ResourceExhausted, Code::DeadlineExceeded, Code::Cancelled, Code::Internal];
    if passing.contains(&status.code()) {
        return unclear(&format!("the other side could not answer ({})", quoted(status.message())), invite, now);
    }
    let reason = reason_of(status);
    let said = match reason {
        Some(Reason::InviteSpent) => SPENT.to_owned(),
        Some(Reason::InviteUnknown) => UNKNOWN.to_owned(),
        _ => quoted(status.message()),
    };
    HubError::Refused { said: format!("{said}; {}", anew(invite)), reason }
}

/// What came of the invite is not known. It is this instance's to use again with the key that is kept, while it lives.
pub(crate) fn unclear(what: &str, invite: &Invite, now: Time) -> HubError {
    let what = format!("{what} after the invite was sent");
    HubError::Enrolment(if now < invite.expires_at {
        let end = invite.expires_at;
        format!(
            "{what}; nothing is lost: until {end}, type the same link command again: `mosaic-fed link`, which asks for the same invite"
        )
    } else {
        format!("{what}; {}", anew(invite))
    })
}

/// Nobody could be asked. The door for invites is open only while one is.
pub(crate) fn unreached(error: &DialError, invite: &Invite, now: Time) -> HubError {
    let cause = error.to_string();
    if now < invite.expires_at {
        use DialError::{ConnectTimeout, HandshakeTimeout, Refused, Unreachable};
        // Who answered and was somebody else is nobody to try again.
        let is_silent = matches!(error, Unreachable { .. } | Refused { .. } | ConnectTimeout { .. } | HandshakeTimeout);
        let again = format!(
            "; the invite was not used; once the other side is up, and until {}, type the same link command again: `mosaic-fed link`, \
             which asks for the same invite",
            invite.expires_at
        );
        let allowed = "; the invite was not used: type the same link command again then";
        return HubError::Enrolment(match error {
            DialError::Forbidden(_) | DialError::Proxy(_) => cause + allowed,
            _ if is_silent => cause + &again,
            _ => cause,
        });
    }
    let cause = cause.split("; ").next().unwrap_or_default();
    HubError::Enrolment(format!("{cause}, and the invite has expired at {}; {}", invite.expires_at, anew(invite)))
}

/// What helps with an invite that is of no use, and the command that the other one types.
fn anew(invite: &Invite) -> String {
    format!(
        "ask the owner of {} for a new one, who types `mosaic-fed grant invite {}` there",
        invite.instance_name, invite.offer.grant_name
    )
}

/// What is missing, and who does it.
pub(crate) fn unconfirmed(link: &LinkRecord, words: &str) -> String {
    format!(
        "this link waits to be let in by the owner of {}; read them these four words, by telephone say: {words}; they type \
         `mosaic-fed grant confirm {} WORD WORD WORD WORD` there",
        link.peer_name, link.offer.grant_name
    )
}

/// What brings a link back whose certificate is past its end; where the other side `calls`, an invite to dial with would be of no use.
fn expired(link: &LinkRecord, calls: bool) -> String {
    if calls {
        return format!(
            "this link's certificate was good until {} and was not renewed by then; a fresh invite for the same grant brings the link back: \
             type `mosaic-fed link await` and give its text to the owner of {}, who types `mosaic-fed grant invite {} --call -` there, if the \
             grant still stands",
            link.certificate_not_after, link.peer_name, link.offer.grant_name
        );
    }
    format!(
        "this link's certificate was good until {} and was not renewed by then; a fresh invite for the same grant brings the link back: the \
         owner of {} types `mosaic-fed grant invite {}` there, and you `mosaic-fed link` here, if the grant still stands",
        link.certificate_not_after, link.peer_name, link.offer.grant_name
    )
}

const SPENT: &str = "this invite can no longer be used: it was used, it is too old, a newer one took its place, or its grant \
                     has ended or belongs to another instance";
const UNKNOWN: &str = "it knows no such invite: a newer one took its place, or the instance was set up anew";

/// A status that was received has no cause on this side; one that this side made of a broken connection has.
fn is_broken(status: &Status) -> bool {
    std::error::Error::source(status).is_some()
}

fn reason_of(status: &Status) -> Option<Reason> {
    let info = status.get_details_error_info()?;
    (info.domain == proto::PACKAGE).then(|| Reason::from_code(&info.reason)).flatten()
}

fn by_reason(reason: Reason, status: &Status) -> Failure {
    match reason {
        Reason::NotPermitted => Failure::revoked(status.message()),
        Reason::OutOfScope => denied(status),
        Reason::GrantRate => limited(reason, status, "the calls that its grant allows are used up"),
        Reason::PeerRate => {
            limited(reason, status, "the calls that its owner allows this instance, over all links, are used up")
        }
        _ => refused(status),
    }
}

fn by_code(status: &Status) -> Failure {
    match status.code() {
        Code::PermissionDenied => denied(status),
        Code::Unauthenticated => Failure::revoked(status.message()),
        Code::ResourceExhausted => Failure::new(Outcome::RateLimited, Kind::Answered, quoted(status.message())),
        Code::DeadlineExceeded => {
            let reason = "the other side did not finish within the deadline; try again, or ask for fewer rows";
            Failure::new(Outcome::Timeout, Kind::Answered, reason)
        }
        Code::OutOfRange => Failure::lie(format!("a message of the answer was above {} MiB", message_bytes() >> 20)),
        _ => refused(status),
    }
}

fn denied(status: &Status) -> Failure {
    let reason = format!("{}; ask its owner to widen the grant, or leave this link out", quoted(status.message()));
    Failure::new(Outcome::Denied, Kind::Answered, reason)
}

/// What the other side always says of this is said here by who asks; what it says of one act alone stays. Where it says how long to wait, that is
/// told beside it.
fn limited(reason: Reason, status: &Status, what: &str) -> Failure {
    let later = if status.get_details_retry_info().is_some() { "" } else { "; try again later" };
    let said = if status.message() == reason.text() { format!("{what}{later}") } else { quoted(status.message()) };
    Failure::new(Outcome::RateLimited, Kind::Answered, said)
}

fn refused(status: &Status) -> Failure {
    let reason = format!("the other side cannot answer ({}); try again later", quoted(status.message()));
    Failure::new(Outcome::Error, Kind::Answered, reason)
}

/// A text that the other side chose, as one short safe line.
fn quoted(text: &str) -> String {
    let line: String = one_line(text).chars().take(MAX_TEXT).collect();
    if line.trim().is_empty() { "it gave no reason".to_owned() } else { line }
}

fn seconds(waited: Duration) -> String {
    format!("{} s", (waited.as_secs_f64() * 10.0).round() / 10.0)
}
