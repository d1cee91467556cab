//! The store, held to one suite on PostgreSQL and on the model, and PostgreSQL to what only it can promise.
//!
//! A case of the suite is an async function over a [`bench::Bench`]; the list below makes one test of it for each store.
#![expect(clippy::unwrap_used, reason = "a case that cannot go on has failed, and says where")]
#![expect(clippy::print_stdout, reason = "seeds and counts are part of what a run tells")]

mod bench;
mod suite {
    pub mod audit;
    pub mod calls;
    pub mod ceiling;
    pub mod directory;
    pub mod grants;
    pub mod invites;
    pub mod keys;
    pub mod links;
    pub mod paging;
    pub mod people;
    pub mod renewal;
    pub mod rows;
    pub mod scope;
    pub mod tokens;
    pub mod tree;
}
mod postgres {
    mod boot;
    mod cancel;
    mod leak;
    mod lost;
    mod migrations;
    mod oracle;
    mod policies;
    mod race;
    mod refused;
    mod statements;
    mod tiles;

    use sqlx::{AssertSqlSafe, Connection, PgConnection, postgres::PgConnectOptions};

    /// Statements of a test, on a connection of their own.
    async fn run(options: &PgConnectOptions, statements: &str) -> Result<(), sqlx::Error> {
        let mut connection = PgConnection::connect_with(options).await?;
        sqlx::raw_sql(AssertSqlSafe(statements.to_owned())).execute(&mut connection).await?;
        connection.close().await
    }

    /// The first column of the first row.
    async fn ask<T>(options: &PgConnectOptions, question: &str) -> T
    where
        T: for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres> + Send + Unpin,
    {
        let mut connection = PgConnection::connect_with(options).await.unwrap();
        let question = AssertSqlSafe(question.to_owned());
        sqlx::query_scalar(question).fetch_one(&mut connection).await.unwrap()
    }
}

macro_rules! suite {
    ($($module:ident: $($case:ident)*;)*) => {
        mod on_postgres {
            $($(#[tokio::test]
            async fn $case() {
                crate::suite::$module::$case(&crate::bench::Bench::on_postgres().await).await;
            })*)*
        }
        mod on_model {
            $($(#[tokio::test]
            async fn $case() {
                crate::suite::$module::$case(&crate::bench::Bench::on_model().await).await;
            })*)*
        }
    };
}

suite! {
    people:
        an_instance_is_made_once
        names_and_uids_are_unique
        a_role_is_given_changed_and_taken_with_the_teams
        a_workspace_keeps_an_owner
        a_team_has_members_of_its_workspace_only
        what_does_not_exist_is_said_with_what_does
        a_removed_user_takes_links_rows_and_grants_along;
    rows:
        a_row_is_read_back_as_it_was_written
        the_same_source_updates_the_same_row
        thousands_of_rows_are_written_in_order
        members_write_their_own_and_their_teams_rows
        a_row_that_is_none_is_refused_by_name
        a_write_that_is_only_tried_says_what_it_would_do_and_leaves_nothing
        rows_of_a_source_are_counted_for_whose_they_are
        rows_like_those_of_another_place_are_counted_by_it
        everybody_reads_what_their_role_and_teams_allow
        a_taken_membership_is_missed_at_once;
    directory:
        everybody_sees_their_part_of_the_directory
        a_scope_narrows_the_directory_by_team_and_by_field
        the_directory_follows_every_change_at_once
        nobody_writes_an_entry_of_the_directory;
    paging:
        pages_are_stable_while_rows_are_added
        a_page_token_of_another_query_is_refused
        a_chunk_holds_at_most_200_rows
        a_chunk_holds_at_most_256_kib_of_bodies
        the_row_cap_ends_an_answer;
    scope:
        teams_and_personal_rows_are_alternatives
        projects_narrow
        tags_narrow_by_any_of_each_set
        since_narrows_by_the_last_change
        withheld_fields_never_leave
        native_rights_narrow_every_scope
        keys_hold_together
        a_hidden_row_is_as_missing_as_no_row
        counts_are_what_the_grant_shows;
    grants:
        a_grant_makes_only_legal_moves
        a_name_is_free_again_once_its_grant_has_ended
        every_change_moves_the_version_and_is_heard
        what_changed_since_a_version_is_told_alone
        of_refused_certificates_too_only_what_is_new_is_told
        a_new_certificate_replaces_the_old_one_which_is_refused
        a_revoked_grant_and_its_certificate_are_refused
        a_grant_needs_a_subject_and_a_workspace
        grants_are_shown_newest_first_with_their_names;
    ceiling:
        no_grant_is_made_or_edited_beyond_the_ceiling
        a_ceiling_below_a_grant_is_refused_or_narrows_it
        of_a_ceiling_and_a_grant_at_once_one_wins;
    invites:
        one_of_many_claims_wins
        an_invite_works_until_its_end_and_no_longer
        a_newer_invite_ends_the_earlier_ones
        a_revoked_grant_ends_its_invites
        the_key_that_claimed_an_invite_may_ask_again_and_is_given_the_same
        a_bound_invite_is_of_use_to_its_key_alone
        whoever_uses_an_invite_that_is_to_be_confirmed_waits_to_be_let_in
        whoever_waits_for_a_grant_that_is_active_takes_nothing_from_its_holder
        an_invite_gives_nothing_again_once_another_certificate_is_in_force
        the_last_invite_end_is_known;
    keys:
        a_revoked_key_ends_every_grant_that_is_held_with_it_and_no_other
        nothing_is_made_of_a_revoked_key_again;
    audit:
        the_log_verifies_without_the_store
        an_answer_is_withdrawn_when_its_grant_is_revoked
        an_answer_is_withdrawn_when_its_grant_changed
        an_answer_is_withdrawn_when_its_grant_expired
        only_answers_of_a_grant_are_looked_at_again
        a_change_that_fails_leaves_no_record
        entries_are_found_by_what_is_asked
        strange_records_do_not_stop_a_batch;
    renewal:
        a_successor_comes_into_force_with_its_first_use
        a_replaced_successor_is_refused
        each_unused_successor_in_a_row_doubles_the_wait
        a_former_certificate_gives_its_place_and_is_refused
        revoking_or_a_fresh_invite_refuses_every_certificate
        a_renewal_of_what_is_not_in_force_changes_nothing
        a_renewal_is_heard_and_withdraws_no_answer
        a_links_next_certificate_is_kept_taken_or_dropped
        a_links_next_certificate_follows_only_the_one_it_was_asked_with
        a_fresh_invite_forgets_a_links_next_certificate;
    links:
        links_are_hidden_from_every_other_user
        a_link_is_replaced_in_place
        the_end_of_a_link_is_remembered_until_it_has_another_certificate
        a_link_name_is_taken_only_for_its_owner
        a_kept_key_is_its_owners_until_its_time_is_over
        the_directory_says_only_that_links_exist;
    calls:
        whom_to_call_is_kept_until_its_grant_has_ended_and_its_invites_open_no_door
        an_await_is_its_owners_and_for_one_grant
        what_proves_the_calls_of_a_link_is_its_owners;
    tokens:
        a_token_is_its_owners_and_found_by_its_id
        a_token_ends_with_its_owner_and_when_it_is_taken_away
        a_user_has_so_many_tokens_and_those_that_are_over_count_for_nothing
        the_log_has_what_was_added_and_taken_away;
    tree:
        the_tree_is_of_the_log_and_taken_up_where_it_was_left
        no_checkpoint_is_signed_that_does_not_go_on_from_the_last;
}

/// Whoever adds a case adds it to both: counted in the list that the test harness itself runs.
#[test]
fn both_stores_run_the_same_cases() {
    let this = std::env::current_exe().unwrap();
    let listed = std::process::Command::new(this).arg("--list").output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let cases = |store: &str| -> Vec<String> {
        let mut cases: Vec<_> = listed.lines().filter_map(|line| line.strip_prefix(store)).map(str::to_owned).collect();
        cases.sort();
        cases
    };
    let (real, model) = (cases("on_postgres::"), cases("on_model::"));
    println!("store suite: {} cases on PostgreSQL, {} on the model", real.len(), model.len());
    assert_eq!(real, model);
    assert!(real.len() > 40, "the list was not read: {}", real.len());
}
