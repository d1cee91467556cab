//! Suites over the whole workspace, and what they share. Sees every crate; no crate sees it.

pub mod cluster;
