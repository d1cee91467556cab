//! What every issuer promises, held by the embedded CA and by a real step-ca alike; then what only a step-ca must show, and what
//! becomes of one that lies.
//!
//! The step-ca is the program that `STEP_CA` names, else the one on PATH. Without one its half says loudly that it was left
//! out; where `CI` is `true` that is a failure.

mod bench;
mod cases;
mod hostile;
mod liar;
mod moves;
mod program;
mod real;
mod wire;

macro_rules! contract {
    ($($case:ident)*) => {
        mod on_embedded {
            $(#[tokio::test]
            async fn $case() {
                super::cases::$case(&super::bench::Bench::on_embedded()).await;
            })*
        }
        mod on_step_ca {
            $(#[tokio::test]
            async fn $case() {
                if let Some(bench) = super::bench::Bench::on_step_ca().await {
                    super::cases::$case(&bench).await;
                }
            })*
        }
    };
}

contract! {
    a_grant_certificate_is_its_order_to_the_letter
    an_instance_certificate_has_the_instances_names_and_the_public_ones
    a_certificate_lives_as_long_as_was_ordered_and_no_longer_than_the_policy
    a_public_name_that_is_none_is_refused
    an_order_with_the_same_key_renews_and_one_with_another_key_rekeys
    both_kinds_of_keys_are_certified
    serial_numbers_never_repeat
    many_orders_at_once_are_each_fulfilled
    a_revoked_certificate_is_on_the_list_and_revoking_twice_is_no_error
    a_list_is_signed_by_the_anchor_and_lives_a_day
    what_has_ended_by_itself_need_not_be_on_the_list
}
