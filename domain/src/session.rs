//! The control session: how often each side says that it is there, and how long it is waited for.

use std::time::Duration;

/// How often the asking side says that it is there.
pub const HEARTBEAT: Duration = Duration::from_secs(15);
/// After this long without a word the session is over, on either side.
pub const SILENCE: Duration = Duration::from_secs(45);
/// How long what was answered may go on being shown or kept once the session is lost.
pub const LEASE: Duration = Duration::from_mins(1);
/// How long the sharing side waits for the word that the asking side has let go of an ended grant, before it cuts the connection that the
/// word would have come over. Less than the two seconds after which a revocation is over.
pub const ACKNOWLEDGE: Duration = Duration::from_secs(1);
/// The least time between two sessions of one grant.
pub const AGAIN: Duration = Duration::from_secs(1);
/// No message of a session is longer, in bytes: the longest there is names a grant's terms, and is below one KiB.
pub const MESSAGE: usize = 16 * 1024;
/// The most words that the asking side may say in one [`HEARTBEAT`]: sixteen a second. It says one each second at most that it is there,
/// and the rest is room to acknowledge what a script of the owner's changes. Who says more costs time and gains nothing.
pub const WORDS: u32 = 240;
