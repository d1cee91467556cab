//! What link promises, tried over real sockets and real TLS on the loopback.
#![cfg(test)]

mod ages;
mod caller;
mod calls;
mod carrier;
mod crowds;
mod cuts;
mod descriptors;
mod dial_policy;
mod dialling;
mod doors;
mod endings;
mod floods;
mod frames;
mod proxy_error_closes;
mod reach;
mod resumption;
mod sharing;
mod wire;
mod zoo;
