//! The sharing side: what another instance meets when it connects to this one.
//!
//! Map: [`road`] is the way of every call, its layers and its gate, to be read in order; [`connect`] and [`query`] are the
//! rooms behind the gate, named as in the protocol; [`snapshot`] is what standing is judged by, [`confirming`] what puts a
//! renewed certificate in force, [`control`] how the other side hears of changes,
//! [`renewals`] what keeps the CA from being kept busy;
//! [`listeners`] opens and closes the two doors, [`calls`] calls those who cannot reach them; [`reach`] has others try where this one is
//! reached; [`lists`] gives and takes lists of revoked certificates; [`grants`] is what an owner does: create and edit, [`ending`] how all grants end, [`invites`] how a
//! grant comes to its holder, [`invitees`] how many do at once, [`keys`] revokes what its holder may have lost, and [`told`] what the CA hears of
//! it; [`policy`] is what no grant may exceed, `sane_clock`
//! when none is made.
//!
//! Must not: name the asking side (`hub`), SQL, or certificates' insides; read rows on any authority but a permit.

pub mod calls;
pub mod confirming;
pub mod connect;
pub mod control;
pub mod ending;
pub mod grants;
pub mod invitees;
pub mod invites;
pub mod keys;
pub mod listeners;
pub mod lists;
pub mod policy;
pub mod query;
pub mod reach;
mod renewals;
pub mod road;
mod sane_clock;
pub mod snapshot;
mod spoke;
mod told;

pub use calls::{CallState, CallView};
pub use control::SessionView;
pub use ending::{Receipt, Revoked};
pub use grants::{AdminError, By, Created, Edit, GrantOrder, Preview, Verdict};
pub use invitees::{Invitee, Judged, OneForAll};
pub use invites::Terms;
pub use keys::KeyRevoked;
pub use listeners::Listen;
pub use policy::NarrowedGrant;
pub use reach::{Reach, ReachState};
pub use sane_clock::CLOCK_IS_RIGHT;
pub use spoke::{Parts, Spoke, SpokeStatus, StartError};
