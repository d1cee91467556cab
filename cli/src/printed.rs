//! What each command prints with `--json`, said here and nowhere else: `docs/api/commands` is made of this list and of the types that it
//! names. A command that is missing here fails a test by its name, and `cli/tests/cli/schemas.rs` holds what the built program prints
//! to the files that were written.

mod page;

use crate::{daemon, demo, exit::Failure, export, import, rooms};
use api::{shape, view};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use std::collections::BTreeMap;

/// What a command prints, without options or with one that changes it.
struct Form {
    /// The words of the command; an option stands last.
    typed: &'static str,
    how: How,
    /// What a reader must know beside the type.
    note: &'static str,
    schema: fn(&mut SchemaGenerator) -> Schema,
}

/// How values come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    /// One JSON value.
    Value,
    /// One JSON value a line, each as soon as it is there.
    Lines,
    /// No JSON at all.
    Nothing,
}

/// Prints one value.
const fn value<T: JsonSchema>(typed: &'static str) -> Form {
    Form { typed, how: How::Value, note: "", schema: SchemaGenerator::subschema_for::<T> }
}

/// Prints a value a line.
const fn lines<T: JsonSchema>(typed: &'static str) -> Form {
    Form { how: How::Lines, ..value::<T>(typed) }
}

/// Prints no JSON, because of this.
const fn nothing(typed: &'static str, note: &'static str) -> Form {
    Form { typed, how: How::Nothing, note, schema: |_| Schema::from(false) }
}

impl Form {
    const fn noting(self, note: &'static str) -> Self {
        Self { note, ..self }
    }
}

/// Rows by kind of row.
type Counts = BTreeMap<String, u64>;

const NO: &str = "Exit code 1 with this value says no.";
const SILENT: &str = "Printed also where the other side did not answer, with exit code 7.";

const PRINTED: &[Form] = &[
    value::<daemon::init::Made>("init"),
    value::<daemon::serve::Running>("serve")
        .noting("Printed once its door is open; then nothing more. Its log is on stderr."),
    value::<view::Status>("status"),
    value::<view::Identity>("id"),
    value::<view::InviteMade>("invite"),
    value::<view::CallMade>("invite --call"),
    lines::<rooms::invitees::Invited>("invite --from")
        .noting("One for each line of the file; none where one of them is wrong."),
    value::<Counts>("invite --dry-run").noting("Rows that the grant would show, by kind."),
    value::<Vec<view::GrantEntry>>("grant list"),
    value::<view::GrantEntry>("grant show"),
    value::<view::GrantEntry>("grant edit"),
    value::<view::GrantEntry>("grant confirm"),
    value::<view::RevokeReport>("grant revoke"),
    value::<view::InviteMade>("grant invite"),
    value::<view::CallMade>("grant invite --call"),
    value::<view::KeyReport>("key revoke"),
    value::<Vec<view::KeyEntry>>("key list"),
    value::<view::VerdictView>("can").noting(NO),
    value::<view::Policy>("policy show"),
    value::<view::PolicyReport>("policy set"),
    value::<view::PolicyReport>("policy clear"),
    value::<view::LinkMade>("link").noting(SILENT),
    value::<view::PreparedKey>("link --prepare"),
    value::<view::AwaitMade>("link await"),
    value::<Vec<view::AwaitEntry>>("link await --list"),
    value::<Vec<view::AwaitEntry>>("link await --end").noting("What is left."),
    value::<Vec<view::LinkEntry>>("links"),
    value::<Vec<view::DirectoryEntry>>("links --all"),
    lines::<Vec<view::LinkEntry>>("links --watch")
        .noting("All links, at first and whenever one has changed; it goes on until it is told to stop."),
    value::<view::PingReport>("ping").noting(SILENT),
    value::<view::LinkEntry>("renew"),
    value::<view::UnlinkReport>("unlink"),
    value::<Vec<view::DirectoryEntry>>("unlink --any"),
    value::<shape::Page>("list"),
    value::<view::Explanation>("list --explain"),
    lines::<shape::Step>("list --stream")
        .noting("The last line is the verdict. With --strict exit code 7 says that the answer is not complete."),
    value::<shape::One>("get"),
    value::<view::Explanation>("get --explain"),
    value::<rooms::rows::Added>("add"),
    value::<import::report::Report>("import").noting("With --strict exit code 7 says that not everything was taken."),
    lines::<import::report::Report>("import --watch")
        .noting("One for each import that changed something, and for the first."),
    value::<export::Exported>("export"),
    value::<Vec<view::UserEntry>>("user add").noting("The one user."),
    value::<Vec<view::UserEntry>>("user list"),
    value::<Vec<view::UserEntry>>("user role").noting("The one user."),
    value::<view::Removed>("user remove"),
    value::<Vec<view::TeamEntry>>("team add").noting("The one team."),
    value::<Vec<view::TeamEntry>>("team list"),
    value::<Vec<view::TeamEntry>>("team join").noting("The one team."),
    value::<Vec<view::TeamEntry>>("team leave").noting("The one team."),
    value::<Vec<view::WorkspaceEntry>>("workspace add").noting("The one workspace."),
    value::<Vec<view::WorkspaceEntry>>("workspace list"),
    value::<view::TokenMade>("token add"),
    value::<Vec<view::TokenEntry>>("token list"),
    value::<Vec<view::TokenEntry>>("token remove").noting("What is left."),
    value::<Vec<view::AuditEntry>>("audit tail"),
    lines::<view::AuditEntry>("audit tail --follow").noting("It goes on until it is told to stop."),
    value::<Vec<view::AuditEntry>>("audit query"),
    value::<view::AuditProof>("audit prove"),
    value::<view::AuditProof>("audit prove --output")
        .noting("The same as without it; what it calls proof is in the file as well."),
    value::<rooms::audit_verify::Report>("audit verify"),
    lines::<shape::Line>("audit export").noting("The same without --json."),
    value::<shape::SignedHead>("audit export --output").noting("The lines are in the file."),
    value::<daemon::ca_export::CaExported>("ca export"),
    lines::<demo::shell::Ran>("demo").noting("One for each command that it ran to its end."),
    nothing("mcp", "It speaks to the assistant that started it, with --json as well."),
    nothing("completions", "It prints a script for a shell, with --json as well."),
];

/// What a command prints on stderr in place of an answer.
const FAILED: Form = value::<Failure>("error")
    .noting("One JSON value on one line, the last on stderr; remarks for people may stand before it.");
