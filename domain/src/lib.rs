//! What the protocol means: ids, scopes, grants, operations, the decision, refusals, the audit record and its chain.
//!
//! Map, in the order a request meets it: [`wire`] turns messages into values, [`operation`] is the closed list of what can
//! be asked, [`caller`] judges the standing of who asks, [`decide()`] turns both into a [`Permitted`] or a [`Refusal`],
//! [`audit`] is the record of it. [`scope`] and [`grant`] are what an owner wrote; [`item`] and [`kind`] are what rows are;
//! [`session`] has the times of the control session, [`reach`] what of it is about trying addresses; [`answer`] is what an asking side tells its person, [`say`] how messages
//! name what there is; [`calling`] is what a side hands over that
//! waits to be called; [`token`] is what a program shows at its own instance's door; [`trace`] is which trace a request is of; [`world`] is where time and randomness come from.
//!
//! Must not: do I/O, be async, or know of tokio, tonic, sqlx or rustls. Every decision here is a pure function over values.
#![deny(missing_docs)]

pub mod answer;
mod armour;
pub mod audit;
pub mod caller;
pub mod calling;
pub mod decide;
pub mod grant;
pub mod id;
pub mod invite;
pub mod item;
pub mod kind;
pub mod operation;
pub mod page;
pub mod reach;
pub mod refusal;
pub mod renewal;
pub mod revoked;
pub mod rights;
pub mod say;
pub mod scope;
pub mod seal;
pub mod secret;
pub mod session;
pub mod time;
pub mod token;
pub mod trace;
pub mod wire;
pub mod words;
pub mod world;

pub use caller::Caller;
pub use decide::{Permitted, decide};
pub use refusal::{Reason, Refusal};
pub use time::Time;
