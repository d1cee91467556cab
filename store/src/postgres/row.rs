//! From columns to the domain's values. What cannot be read is an error, never a guess.

use crate::{StoreError, Trust};
use domain::{
    Time,
    grant::{Grant, Leaf, State},
    id::{GrantId, InstanceId, Name, Serial, Spki, UserId, WorkspaceId},
    kind::Kinds,
    renewal::{Former, Successor},
    scope::{Context, Scope, Spec},
    seal::Doubt,
};
use sqlx::{Row, postgres::PgRow, types::Json};
use std::str::FromStr;
use time::OffsetDateTime;
use uuid::Uuid;

/// A stored value that this build cannot read.
pub(super) fn damaged(what: &str, cause: impl std::fmt::Display) -> StoreError {
    StoreError::Unavailable(format!("the database holds a {what} that this build cannot read: {cause}"))
}

/// Reads text as `T`.
pub(super) fn parsed<T: FromStr>(what: &'static str, text: &str) -> Result<T, StoreError>
where
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|cause: T::Err| damaged(what, cause))
}

/// Reads a text column as a name.
pub(super) fn name(row: &PgRow, column: &str) -> Result<Name, StoreError> {
    parsed("name", row.try_get(column)?)
}

/// Reads a timestamp column.
pub(super) fn time(row: &PgRow, column: &str) -> Result<Time, StoreError> {
    Ok(row.try_get::<OffsetDateTime, _>(column)?.into())
}

/// Reads a bigint column that is never negative.
pub(super) fn number(row: &PgRow, column: &str) -> Result<u64, StoreError> {
    u64::try_from(row.try_get::<i64, _>(column)?).map_err(|cause| damaged("number", cause))
}

/// 32 bytes.
pub(super) fn digest(bytes: &[u8]) -> Result<[u8; 32], StoreError> {
    bytes.try_into().map_err(|cause| damaged("hash", cause))
}

/// A bigint parameter to compare with, or a place in the log; what exceeds it is cut, which no real count does.
pub(super) fn bigint(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A number to be stored: what is stored must be what was meant, and sealed.
pub(super) fn stored(number: u64) -> Result<i64, StoreError> {
    i64::try_from(number).map_err(|_| StoreError::Unavailable(format!("{number} is more than the database can hold")))
}

/// A grant as its row has it, and why it is not to be believed, if it is not. Of one that cannot be read there is as much as it takes to
/// show that, and to end it.
pub(super) fn held(row: &PgRow, trust: &Trust) -> Result<(Grant, Option<Doubt>), StoreError> {
    let read = grant(row).and_then(|grant| judged(row, &grant, trust).map(|judged| (grant, judged.err())));
    read.or_else(|error| {
        let remains = remains(row)?;
        tracing::error!(%error, grant = %remains.id, "a grant cannot be read");
        Ok((remains, Some(Doubt::Unreadable)))
    })
}

/// What is left of a grant that cannot be read: its scope is nothing, and nobody waits for anything of it.
fn remains(row: &PgRow) -> Result<Grant, StoreError> {
    let id: Uuid = row.try_get("id")?;
    let named = |column| name(row, column).ok();
    let stand_in = || parsed("name", &format!("unreadable-{}", &id.to_string()[..8]));
    let workspace = named("workspace_name").map_or_else(stand_in, Ok)?;
    Ok(Grant {
        id: GrantId(id),
        name: named("name").map_or_else(stand_in, Ok)?,
        workspace: WorkspaceId(row.try_get("workspace")?),
        subject: UserId(row.try_get("subject")?),
        peer: row.try_get::<Option<Uuid>, _>("peer")?.map(InstanceId),
        scope: Scope::nothing(workspace, time(row, "created_at")?),
        state: State::Revoked,
        generation: number(row, "generation").unwrap_or(0),
        renewals: number(row, "renewals").unwrap_or(0),
        leaf: held_leaf(row).ok().flatten(),
        successor: successor(row).ok().flatten(),
        former: former(row).ok().flatten(),
    })
}

/// Reads a grant.
fn grant(row: &PgRow) -> Result<Grant, StoreError> {
    let state: &str = row.try_get("state")?;
    let Json(spec): Json<Spec> = row.try_get("scope")?;
    Ok(Grant {
        id: GrantId(row.try_get("id")?),
        name: name(row, "name")?,
        workspace: WorkspaceId(row.try_get("workspace")?),
        subject: UserId(row.try_get("subject")?),
        peer: row.try_get::<Option<Uuid>, _>("peer")?.map(InstanceId),
        scope: scope(&spec)?,
        state: State::from_word(state).ok_or_else(|| damaged("state", state))?,
        generation: number(row, "generation")?,
        renewals: number(row, "renewals")?,
        leaf: held_leaf(row)?,
        successor: successor(row)?,
        former: former(row)?,
    })
}

/// Whether the row is to be believed, and why not.
fn judged(row: &PgRow, grant: &Grant, trust: &Trust) -> Result<Result<(), Doubt>, StoreError> {
    let Json(scope): Json<serde_json::Value> = row.try_get("scope")?;
    let seal: Option<&[u8]> = row.try_get("seal")?;
    Ok(trust.judge(grant, &scope, seal))
}

/// A stored scope says everything itself, so what it is read with does not matter; what was confirmed once stays confirmed.
fn scope(spec: &Spec) -> Result<Scope, StoreError> {
    if spec.resources.is_empty() {
        return Ok(Scope::nothing(spec.workspace.clone(), spec.not_after.unwrap_or_default()));
    }
    let context = Context { kinds: Kinds::builtin(), now: Time::default(), personal: false, sensitive: true };
    spec.read(context).map_err(|cause| damaged("scope", cause))
}

fn held_leaf(row: &PgRow) -> Result<Option<Leaf>, StoreError> {
    let serial: Option<&[u8]> = row.try_get("serial")?;
    let Some(serial) = serial else { return Ok(None) };
    let not_after: OffsetDateTime = row.try_get("leaf_not_after")?;
    leaf(serial, row.try_get("spki")?, not_after).map(Some)
}

fn successor(row: &PgRow) -> Result<Option<Successor>, StoreError> {
    let serial: Option<&[u8]> = row.try_get("next_serial")?;
    let Some(serial) = serial else { return Ok(None) };
    let leaf = leaf(serial, row.try_get("next_spki")?, row.try_get("next_not_after")?)?;
    let unused: i64 = row.try_get("next_unused")?;
    let unused =
        u32::try_from(unused).map_err(|_| damaged("number of unused certificates", "it is negative or endless"))?;
    Ok(Some(Successor { leaf, issued_at: time(row, "next_issued_at")?, unused, waits: row.try_get("next_waits")? }))
}

fn former(row: &PgRow) -> Result<Option<Former>, StoreError> {
    let serial: Option<&[u8]> = row.try_get("former_serial")?;
    let Some(serial) = serial else { return Ok(None) };
    let leaf = leaf(serial, row.try_get("former_spki")?, row.try_get("former_not_after")?)?;
    Ok(Some(Former { leaf, until: time(row, "former_until")? }))
}

/// A certificate from its columns.
pub(super) fn leaf(serial: &[u8], spki: &[u8], not_after: OffsetDateTime) -> Result<Leaf, StoreError> {
    Ok(Leaf { serial: serial_number(serial)?, spki: Spki(digest(spki)?), not_after: not_after.into() })
}

/// A serial number from its bytes.
pub(super) fn serial_number(bytes: &[u8]) -> Result<Serial, StoreError> {
    Serial::new(bytes).ok_or_else(|| damaged("serial number", "it is not 8 to 20 bytes long"))
}
