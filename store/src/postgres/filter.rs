//! The only statements built at run time: reading rows within a scope's filter. Text comes from this file alone; every
//! value is bound.
//!
//! A filter here narrows what row-level security lets through. Whose rows they are is left to the policies, so that the
//! second check finds a broken one.

use crate::rules::Window;
use domain::{
    decide::CHUNK_BYTES,
    id::{ItemId, Resource, WorkspaceId},
    kind::{Kinds, Origin},
    scope::Filter,
};
use sqlx::{Postgres, QueryBuilder};

/// As much of a row as its place and its judgement need; the body only where it is asked for.
const COLUMNS: &str = "i.id, i.workspace, i.kind, i.team, i.project, i.owner, i.title, i.tags, i.attributes, i.created_at, \
                       i.updated_at, ";
const BODY: &str = "i.body";
const NO_BODY: &str = "NULL::text AS body";
/// Only what is stored compressed is larger than it looks.
const TAGS_SIZE: &str = " + CASE WHEN pg_column_compression(i.tags) IS NULL THEN pg_column_size(i.tags) ELSE octet_length(i.tags::text) END";
const ATTRIBUTES_SIZE: &str =
    " + CASE WHEN pg_column_compression(i.attributes) IS NULL THEN pg_column_size(i.attributes)
    ELSE octet_length(i.attributes::text) END";

/// One chunk of a list: at most one row more than `window` holds. Rows behind a full chunk do not fit (`fits` is false) and
/// are without content: they only say that there are more.
///
/// The owner's name is looked up for the rows of the page alone, once for each owner; the running sum counts rows, which
/// spares it the search for rows of the same place.
pub(super) fn list(
    workspace: WorkspaceId,
    resource: &Resource,
    filter: Option<&Filter>,
    window: &Window,
    include_body: bool,
) -> QueryBuilder<Postgres> {
    let size = if include_body { "coalesce(octet_length(i.body), 0)" } else { "0" };
    let origin = origin(resource);
    let mut query = QueryBuilder::new(
        "SELECT id, workspace, kind, team, project, owner, title, tags, created_at, updated_at, listed_in, owner_name, fits,
            CASE WHEN fits THEN attributes ELSE '{}' END AS attributes, CASE WHEN fits THEN body END AS body
        FROM (SELECT sized.*, u.name AS owner_name, before < ",
    );
    query.push_bind(i64::try_from(CHUNK_BYTES).unwrap_or(i64::MAX));
    query.push(" AS fits FROM (SELECT *, sum(size) OVER newest - size AS before FROM (SELECT ");
    query.push(COLUMNS).push(listed_in(origin)).push(if include_body { BODY } else { NO_BODY });
    query.push(", octet_length(i.title) + ").push(size).push(TAGS_SIZE).push(ATTRIBUTES_SIZE).push(" AS size");
    narrow(&mut query, workspace, resource, filter);
    if let Some(after) = window.after {
        query.push(" AND (i.created_at, i.id) < (").push_bind(after.created_at.to_offset());
        query.push(", ").push_bind(after.id.0).push(")");
    }
    query.push(" ORDER BY i.created_at DESC, i.id DESC LIMIT ").push_bind(i64::from(window.rows) + 1);
    query.push(") AS page WINDOW newest AS (ORDER BY created_at DESC, id DESC ROWS UNBOUNDED PRECEDING)) AS sized ");
    query.push("LEFT JOIN users u ON u.id = sized.owner) AS named ORDER BY created_at DESC, id DESC");
    query
}

/// One row with its body.
pub(super) fn get(
    workspace: WorkspaceId,
    resource: &Resource,
    filter: Option<&Filter>,
    id: ItemId,
) -> QueryBuilder<Postgres> {
    let mut query = QueryBuilder::new("SELECT ");
    query.push(COLUMNS).push(listed_in(origin(resource))).push(BODY);
    query.push(", (SELECT u.name FROM users u WHERE u.id = i.owner) AS owner_name");
    narrow(&mut query, workspace, resource, filter);
    query.push(" AND i.id = ").push_bind(id.0);
    query
}

/// How many rows the filter lets through.
pub(super) fn count(workspace: WorkspaceId, resource: &Resource, filter: &Filter) -> QueryBuilder<Postgres> {
    let mut query = QueryBuilder::new("SELECT count(*)");
    narrow(&mut query, workspace, resource, Some(filter));
    query
}

fn narrow(query: &mut QueryBuilder<Postgres>, workspace: WorkspaceId, resource: &Resource, filter: Option<&Filter>) {
    let origin = origin(resource);
    query.push(match origin {
        Origin::Items => " FROM items i",
        Origin::Teams => " FROM team_rows i",
        Origin::Users => " FROM user_rows i",
    });
    query.push(" WHERE i.workspace = ").push_bind(workspace.0);
    query.push(" AND i.kind = ").push_bind(resource.as_str().to_owned());
    let Some(filter) = filter else { return };
    match (&filter.teams, filter.personal) {
        (None, _) if origin != Origin::Items => {}
        (Some(teams), _) if origin != Origin::Items => {
            query.push(" AND i.listed_in && ").push_bind(texts(teams));
        }
        (None, true) => {}
        (None, false) => drop(query.push(" AND i.team IS NOT NULL")),
        (Some(teams), personal) => {
            query.push(" AND (i.team = ANY (").push_bind(texts(teams)).push(")");
            query.push(if personal { " OR i.team IS NULL)" } else { ")" });
        }
    }
    if let Some(projects) = &filter.projects {
        query.push(" AND i.project = ANY (").push_bind(texts(projects)).push(")");
    }
    for any in &filter.tags {
        query.push(" AND i.tags && ").push_bind(texts(any));
    }
    if let Some(since) = filter.since {
        query.push(" AND i.updated_at >= ").push_bind(since.to_offset());
    }
}

fn origin(resource: &Resource) -> Origin {
    Kinds::builtin().get(resource).map_or(Origin::Items, |kind| kind.origin)
}

const fn listed_in(origin: Origin) -> &'static str {
    match origin {
        Origin::Items => "NULL::text[] AS listed_in, ",
        Origin::Teams | Origin::Users => "i.listed_in, ",
    }
}

fn texts<T: ToString>(set: &std::collections::BTreeSet<T>) -> Vec<String> {
    set.iter().map(ToString::to_string).collect()
}
