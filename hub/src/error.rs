//! What a person at the asking side is told when a question or an act cannot even begin. How a source ended is no error
//! but an outcome: see [`domain::answer`].

use domain::{
    Reason,
    answer::{Outcome, SourceOutcome},
    id::Name,
};

/// Why nothing was done. The text is cause and next step.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// Nobody of this name is linked for this user; the text says what is.
    #[error("{0}")]
    NoSuchLink(String),
    /// The text is no invite.
    #[error(transparent)]
    Invite(#[from] domain::invite::BadInvite),
    /// A link cannot have this name, or the grant is linked under another one.
    #[error("{0}")]
    Name(String),
    /// The invite is for the grant of a link that is there, but comes from elsewhere.
    #[error("{0}")]
    OtherLink(String),
    /// The sharing instance refused the invite, and would do so again: it is used up, unknown, or not for this instance.
    #[error("the other side did not accept the invite: {said}")]
    Refused {
        /// Its own words, as one safe line.
        said: String,
        /// Its reason, where it gave one of the closed list.
        reason: Option<Reason>,
    },
    /// No key is there for the invite, or no further one can be prepared.
    #[error("{0}")]
    PreparedKey(String),
    /// The sharing instance gave no certificate, or one that cannot be trusted.
    #[error("{0}")]
    Enrolment(String),
    /// A link's certificate was not renewed.
    #[error("the certificate of {link} was not renewed: {reason}")]
    Renewal {
        /// The link.
        link: Name,
        /// Cause and next step.
        reason: String,
        /// What kind of failure it was.
        outcome: Outcome,
    },
    /// The cursor belongs to another question or user, or to other sources.
    #[error("this cursor belongs to another question; start again without it")]
    Cursor,
    /// The question cannot be asked.
    #[error("{0}")]
    Question(String),
    /// A strict question, and not every source answered: nothing is shown.
    #[error("{} source answered: {}", if .0.iter().any(|source| source.outcome.is_answer()) { "not every" } else { "no" }, listed(.0))]
    Incomplete(Vec<SourceOutcome>),
    /// Nobody can be waited for like this; the text says why.
    #[error("{0}")]
    Waiting(String),
    /// Calls cannot be taken.
    #[error("{0}")]
    Listener(String),
    /// A key could not be made, sealed or opened.
    #[error("the key of the link cannot be used: {0}")]
    Key(String),
    /// This instance's own database failed.
    #[error(transparent)]
    Store(#[from] store::StoreError),
}

fn listed(sources: &[SourceOutcome]) -> String {
    let one = |source: &SourceOutcome| format!("{} is {} ({})", source.source, source.outcome, source.why());
    sources
        .iter()
        .filter(|source| source.outcome != domain::answer::Outcome::Ok)
        .map(one)
        .collect::<Vec<_>>()
        .join(", ")
}
