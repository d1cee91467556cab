//! Making an instance, running it, and handing out its CA: the only part of the command line that opens a database or a key.

mod alert;
mod ca;
pub mod ca_export;
mod database;
mod identity;
pub mod init;
mod kek;
mod log;
mod otlp;
pub mod serve;
