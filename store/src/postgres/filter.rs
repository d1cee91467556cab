//! The only statements built at run time: reading rows within a scope's filter. Text comes from this file alone; every
//! value is bound.
//!
//! A filter here narrows what row-level security lets through. Whose rows they are is left to the policies, so that the
//! second check finds a broken one.

use crate::rules::Window;
use domain::{
    decide::{CHUNK_BYTES, CHUNK_ROWS},
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

/// One chunk of a list: one row more than `window` holds where there are so many, and sometimes some more. Rows behind a full chunk do not fit (`fits` is false) and
/// are without content: they only say that there are more.
///
/// The owner's name is looked up for the rows of the page alone, once for each owner; the running sum counts rows, which
/// spares it the search for rows of the same place.
///
/// Planning costs as much as running. Where nothing but place and rights narrows, a number of rows that the planner can read
/// makes the plan that it keeps as good as one made for the call. Where a scope narrows, the number stays a parameter: the
/// plan must know how rare the rows are, and is made for each call.
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
    query.push(CHUNK_BYTES).push(" AS fits FROM (SELECT *, sum(size) OVER newest - size AS before FROM (SELECT ");
    query.push(COLUMNS).push(listed_in(origin)).push(if include_body { BODY } else { NO_BODY });
    query.push(", octet_length(i.title) + ").push(size).push(TAGS_SIZE).push(ATTRIBUTES_SIZE).push(" AS size");
    narrow(&mut query, workspace, resource, filter);
    if let Some(after) = window.after {
        query.push(" AND (i.created_at, i.id) < (").push_bind(after.created_at.to_offset());
        query.push(", ").push_bind(after.id.0).push(")");
    }
    query.push(" ORDER BY i.created_at DESC, i.id DESC LIMIT ");
    match LIMITS.into_iter().find(|limit| *limit > window.rows).filter(|_| is_wide(filter)) {
        Some(limit) => query.push(limit),
        None => query.push_bind(i64::from(window.rows) + 1),
    };
    query.push(") AS page WINDOW newest AS (ORDER BY created_at DESC, id DESC ROWS UNBOUNDED PRECEDING)) AS sized ");
    query.push("LEFT JOIN users u ON u.id = sized.owner) AS named ORDER BY created_at DESC, id DESC");
    query
}

/// Rows that a wide list reads, the one that says whether there are more included; few, so that its statements are few.
const LIMITS: [u32; 2] = [51, CHUNK_ROWS + 1];

fn is_wide(filter: Option<&Filter>) -> bool {
    filter.is_none_or(|filter| {
        filter.teams.is_none() && filter.projects.is_none() && filter.tags.is_empty() && filter.since.is_none()
    })
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn text(rows: u32, teams: Option<BTreeSet<domain::id::TeamId>>) -> String {
        let filter = Filter {
            teams,
            personal: true,
            projects: None,
            tags: BTreeSet::new(),
            since: None,
            fields: BTreeSet::new(),
        };
        let window = Window { after: None, rows };
        let place = WorkspaceId(uuid::Uuid::nil());
        list(place, &"tasks".parse().unwrap(), Some(&filter), &window, false).sql().as_str().to_owned()
    }

    #[test]
    fn a_wide_list_is_one_of_few_statements_whose_length_the_planner_can_read() {
        let texts: BTreeSet<_> = (0..=CHUNK_ROWS).map(|rows| text(rows, None)).collect();
        assert_eq!(texts.len(), LIMITS.len());
        assert!(texts.iter().all(|text| !text.contains("LIMIT $")), "{texts:?}");
        let narrow: BTreeSet<_> = (0..=CHUNK_ROWS).map(|rows| text(rows, Some(BTreeSet::new()))).collect();
        assert_eq!(narrow.len(), 1, "and one of a team is planned for its team");
        assert!(narrow.iter().all(|text| text.contains("LIMIT $")), "{narrow:?}");
    }
}
