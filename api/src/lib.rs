//! The instance's own door for its own people and programs: local HTTP/JSON on a Unix socket and, where that is set, at a TCP port that
//! answers nobody without a token.
//!
//! Map, in the order a request meets it: [`socket`] is where the door is, `serve` accepts connections and knows the peer's
//! uid, `places` says how many it may have, [`port`] is the TCP port, where a token says who asks (`shown`), [`routes`] is the list of everything that can be asked, [`person`] says who asks, one file of [`routes`] per room
//! answers with the values in [`view`], [`problem`] is what goes wrong. [`client`] is the other end, for the command line.
//! [`openapi`] describes the door to programs, from the list of routes; [`shape`] is what that needs of values from elsewhere, and
//! [`schemas`] what it has in common with the pages on the command line's JSON.
//! [`metrics`] is this instance in numbers, and `scrape` the port where Prometheus reads them.
//! [`head`] keeps the signed head of the log in the data directory.
//!
//! Must not: decide what a grant permits, name SQL or certificates' insides, or answer anything at the port before [`port`] judged its request.

mod accept;
pub mod client;
mod collector;
mod connections;
mod door;
mod events;
pub mod head;
mod held;
pub mod metrics;
mod ndjson;
pub mod openapi;
pub mod person;
mod places;
pub mod port;
pub mod problem;
mod routes;
pub mod schemas;
mod scrape;
mod serve;
pub mod shape;
mod shown;
pub mod socket;
mod tags;
pub mod view;

pub use collector::Collector;
pub use door::{About, Door, OpenError, Parts};
pub use port::Http;
pub use problem::{Kind, Problem};
