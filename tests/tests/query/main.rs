//! The room of questions, on running listeners: what a grant shows, what it hides, and how refusals look from outside.
#![expect(clippy::expect_used, reason = "a test that cannot set its stage fails loudly")]

mod limits;
mod log;
mod paths;
mod scope;
mod second_check;
mod stream;
