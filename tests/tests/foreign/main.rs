//! Strangers ask: the clients of `tests/foreign`, in Python and for node, against a real instance.
//!
//! The contract is `tests/foreign/README.md`. Each case is run for each client: `stage` gives it a copy of what a stranger may see
//! and nothing else, `client` types a command and reads the lines, `contract` says what a line must hold, `office` is the instance
//! and what is true of it. The other files are the cases. What a client says is compared with the instance's own database and log.
#![expect(clippy::expect_used, reason = "a test that cannot set its stage fails loudly")]

mod client;
mod contract;
mod office;
mod stage;

mod calls;
mod ends;
mod enrolment;
mod kept;
mod rates;
mod replaced;
mod rows;

/// Each case as a test for Python and one for node.
macro_rules! for_each_client {
    ($($case:ident),* $(,)?) => {
        crate::for_python!($($case),*);
        mod node {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $case() {
                if let Some(stage) = crate::stage::Stage::of(crate::stage::Client::Node).await {
                    super::$case(stage).await;
                }
            })*
        }
    };
}
pub(crate) use for_each_client;

/// The same for what the client for node does not have.
macro_rules! for_python {
    ($($case:ident),* $(,)?) => {
        mod python {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $case() {
                if let Some(stage) = crate::stage::Stage::of(crate::stage::Client::Python).await {
                    super::$case(stage).await;
                }
            })*
        }
    };
}
pub(crate) use for_python;
