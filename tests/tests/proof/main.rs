//! What the wire promises when somebody works against it: faults between two steps of a call, streams that are cut, lies,
//! malformed bytes, floods, and every limit at its edge. Against running instances with real sockets and a real database.
//!
//! Each proof has a small setting for every change and a large one (`MOSAIC_TEST_SCALE=large`). Proofs run one at a time,
//! because most of them measure this process ([`measure`]).
#![expect(clippy::expect_used, reason = "a test that cannot set its stage fails loudly")]
#![expect(clippy::print_stdout, reason = "seeds, counts and times are part of what a run tells")]

mod bytes;
mod crowd;
mod health;
mod hostile;
mod label_cardinality;
mod last_look;
mod limits;
mod malformed;
mod measure;
mod origin_field_spoof;
mod revoke_between_check_and_use;
mod revoke_while_streaming;
mod siege;
