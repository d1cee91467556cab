//! The harness of the suites: a database per test, instances in this process, an asking side of a stranger's, forged
//! certificates, locks that hold a call where it is, instances without a database and a proxy that does harm between them, the direction in which sockets are opened, HTTP/2 by hand, pinned modules of other languages. The suites themselves lie in `tests/`, one folder per room.
#![expect(clippy::expect_used, clippy::missing_panics_doc, reason = "a harness that cannot set its stage fails loudly")]

pub mod asker;
pub mod clock;
pub mod cluster;
pub mod dice;
pub mod direction;
pub mod forge;
pub mod hold;
pub mod home;
pub mod instance;
pub mod modelled;
pub mod modules;
pub mod proxy;
pub mod raw;
