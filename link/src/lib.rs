//! The wire between two instances: who may connect, over what, for how long, and how a connection is ended.
//!
//! Map. Sharing side: [`accept::listen`] takes sockets (limits before cryptography: [`limits`], `crowd`, `bucket`), does
//! the handshake ([`tls`]) and yields [`Accepted`] streams for a tonic server, each with a [`Connection`] that says who calls.
//! [`Registry`] knows the live ones by grant and cuts them. What was turned away goes to [`Incidents`]. Asking side:
//! [`dial::Dialler`] makes a channel of one connection and keeps why it failed. [`call`] is the other way round: a sharing side that
//! nobody can reach opens the sockets, and both go on as always; [`hosts`] says where others reach this machine. [`trail`] is what is told of each request, on both sides.
//!
//! Must not: judge a grant, know an RPC, or touch a database. Identity ends here: above, it is a [`Connection`].
#![deny(missing_docs)]

pub mod accept;
mod bucket;
pub mod call;
pub mod connection;
mod crowd;
mod cut;
pub mod dial;
mod handshake;
pub mod hosts;
pub mod incident;
pub mod limits;
pub mod registry;
pub mod tls;
pub mod trail;

pub use accept::{Called, Door, Incoming, Options, listen, serve_called};
pub use connection::{Accepted, Connection, Io};
pub use dial::{ClientCredential, DialError, DialPolicy, Dialled, Dialler, ErrorCell, Target, Ways};
pub use incident::{Class, Incident, Incidents};
pub use limits::Limits;
pub use registry::{CallGuard, Registry};
pub use tls::Identity;
pub use trail::{Trail, Trails};
