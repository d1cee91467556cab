//! What travels through the door as JSON: written by the routes, read by the command line, shown to people from the very
//! same values. One file per room.

mod audit;
mod calls;
mod explain;
mod grants;
mod invitees;
mod keys;
mod links;
mod people;
mod ping;
mod policy;
mod reach;
mod rows;
mod status;
mod tokens;

pub use audit::{AuditEntry, AuditFilter, ExportFilter, MAX_ENTRIES};
pub use calls::{AwaitEntry, AwaitMade, AwaitOrder, CallAgain, CallEntry, CallMade, CallOrder};
pub use explain::{ExplainQuestion, ExplainedSource, Explanation};
pub use grants::{
    CanQuestion, ConfirmOrder, Counted, EditOrder, FreshInvite, GrantEnd, GrantEntry, GrantSession, InviteMade,
    InviteOrder, InviteTerms, Receipt, RevokeReport, VerdictView,
};
pub use invitees::{Invitee, InviteeVerdict, InviteesOrder, MOST_INVITEES};
pub use keys::{KeyEntry, KeyLink, KeyOrder, KeyReport};
pub use links::{
    DirectoryEntry, InviteText, LinkCircuit, LinkEntry, LinkLatency, LinkMade, LinkOrder, LinkSession, LinkTerms,
    OfferView, OfflineOrder, OfflineReport, PreparedKey, RenewalFailure, UnlinkOrder, UnlinkReport,
};
pub use people::{
    Belongings, MemberOrder, Person, Removed, RoleOrder, TeamEntry, TeamOrder, UserEntry, UserOrder, WorkspaceEntry,
    WorkspaceOrder,
};
pub use ping::{PingReport, PingStep};
pub use policy::{Difference, Policy, PolicyOrder, PolicyReport, differences};
pub use reach::{GrantNames, Reach, TriedAddress};
pub use rows::{
    AlikeQuestion, AlikeRow, AlikeSource, GetQuestion, ItemsOrder, ListQuestion, PutVerdict, SourceEntry, SourceKeys,
    SourceQuestion, Written,
};
pub use status::{
    CollectorView, DegradedLink, DoubtfulGrant, FailingCall, GivenList, Identity, IdentityQuestion, IssuerView,
    LinkCount, Status, TakenList, WaitingGrant,
};
pub use tokens::{TokenEntry, TokenMade, TokenOrder};
