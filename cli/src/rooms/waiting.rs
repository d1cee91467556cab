//! What is said at the sharing side of grants whose holder waits, or will wait, to be let in by four words.

use api::view;

/// The command that lets a holder in; the words are theirs to say.
pub(super) fn confirm(grant: &str) -> String {
    format!("grant confirm {grant} WORD WORD WORD WORD")
}

/// What the owner of a grant that waits, or will, has to do.
pub(super) fn to_confirm(grant: &str) -> String {
    format!(
        "whoever links waits until you let them in: have them read their four words to you, by telephone say, and type \
         `mosaic-fed {}`",
        confirm(grant)
    )
}

/// The same where somebody waits.
pub(super) fn waits(waiting: &view::WaitingGrant) -> String {
    let holder = waiting.holder.as_ref().map_or("its holder", |holder| holder.as_str());
    format!(
        "{grant}: {holder} waits until you let them in: have them read their four words to you, by telephone say, and type \
         `mosaic-fed {}`",
        confirm(waiting.grant.as_str()),
        grant = waiting.grant
    )
}
