//! Making an instance and running it: the only part of the command line that opens a database or a key.

mod alert;
mod database;
mod identity;
pub mod init;
mod kek;
mod log;
pub mod serve;
