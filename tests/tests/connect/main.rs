//! The room of links, on running listeners: who gets in, who is turned away where, and what enrolment gives to whom.
#![expect(clippy::expect_used, reason = "a test that cannot set its stage fails loudly")]

mod certificates;
mod clock;
mod enrolment;
mod lists;
mod resumption;
mod standing;
