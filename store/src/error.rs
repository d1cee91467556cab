//! What can go wrong between the daemon and its database, as far as callers must tell it apart.

/// Why the store did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database cannot be reached or failed; trying again can help.
    #[error("the database did not answer: {0}")]
    Unavailable(String),
    /// A row failed the second check; nothing of the answer may leave.
    #[error(transparent)]
    SecondCheck(#[from] domain::decide::SecondCheck),
    /// Something named does not exist; the text says what does.
    #[error("{0}")]
    Missing(String),
    /// A name is taken, or a move is not possible from where the thing stands; the text says what to do.
    #[error("{0}")]
    Conflict(String),
    /// The user may not write there; the text says who may.
    #[error("{0}")]
    Denied(String),
    /// The page token belongs to another query.
    #[error(transparent)]
    PageToken(#[from] domain::page::BadToken),
}
