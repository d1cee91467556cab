//! What pki promises, tried from outside: certificates are forged with the real CA's key, so that nothing but the profile can
//! stop them, and handshakes are real TLS over memory.
#![cfg(test)]

mod audit_key;
mod authority;
mod compose;
mod contract;
mod crl;
mod crl_read;
mod der;
mod enrolled;
mod forge;
mod handshake;
mod identity;
mod profile;
mod requests;
mod seal;
mod servers;
mod verify;
