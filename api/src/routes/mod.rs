//! Everything that can be asked at this door, in one list. One file per room answers.

mod audit;
mod grants;
mod links;
mod people;
mod personal;
mod rows;
mod status;
mod write;

use crate::{Door, Problem, problem::Kind};
use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, FromRequest, FromRequestParts, Query, Request, rejection::JsonRejection},
    http::{StatusCode, Uri, request::Parts},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{delete, get, post, put},
};
use domain::{id::Resource, kind::Kinds};
use serde::de::DeserializeOwned;
use std::{sync::Arc, time::Duration};

/// The largest request: one item of the largest size, with room for JSON's escapes.
const MAX_BODY: usize = 8 << 20;
/// How long a request may go on before its answer begins; a revocation or a link takes seconds at most.
const PATIENCE: Duration = Duration::from_mins(1);

/// The routes of the door.
pub(crate) fn all(door: Arc<Door>) -> Router {
    Router::new()
        .route("/v1/status", get(status::status))
        .route("/v1/id", get(status::identity))
        .route("/v1/me", get(status::me))
        .route("/v1/users", get(people::users).post(people::add_user))
        .route("/v1/users/{name}", delete(people::remove_user))
        .route("/v1/users/{name}/belongings", get(people::belongings))
        .route("/v1/users/{name}/role", put(people::set_role))
        .route("/v1/workspaces", get(people::workspaces).post(people::add_workspace))
        .route("/v1/teams", get(people::teams).post(people::add_team))
        .route("/v1/teams/members", put(people::set_member))
        .route("/v1/grants", get(grants::list).post(grants::create))
        .route("/v1/grants/preview", post(grants::preview))
        .route("/v1/grants/{grant}", get(grants::show).put(grants::edit))
        .route("/v1/grants/{grant}/revoke", post(grants::revoke))
        .route("/v1/grants/{grant}/invite", post(grants::invite))
        .route("/v1/grants/{grant}/can", post(grants::can))
        .route("/v1/links", get(links::list).post(links::create))
        .route("/v1/links/offer", post(links::offer))
        .route("/v1/links/{link}/ping", post(links::ping))
        .route("/v1/links/{link}/unlink", post(links::unlink))
        .route("/v1/directory", get(links::directory))
        .route("/v1/directory/{link}", delete(links::forget))
        .route("/v1/rows/{kind}", get(rows::list))
        .route("/v1/rows/{kind}/{id}", get(rows::get))
        .route("/v1/items", post(write::items))
        .route("/v1/audit", get(audit::query))
        .route("/v1/audit/follow", get(audit::follow))
        .route("/v1/audit/export", get(audit::export))
        .fallback(unknown)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(middleware::from_fn(in_time))
        .with_state(door)
}

async fn unknown(path: Uri) -> Problem {
    if path.path().split('/').skip(1).any(str::is_empty) {
        let cause = format!("a name or an id in {} is empty", path.path());
        return Problem::invalid(cause).next("say which one is meant");
    }
    Problem::missing("no such path")
        .next("the command line and this daemon are of different versions: update the older")
}

async fn in_time(request: Request, next: Next) -> Response {
    let late = |_| Problem::new(Kind::Timeout, format!("no answer within {} s", PATIENCE.as_secs())).into_response();
    tokio::time::timeout(PATIENCE, next.run(request)).await.unwrap_or_else(late)
}

/// A JSON body.
pub(crate) struct Asked<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<Arc<Door>> for Asked<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, door: &Arc<Door>) -> Result<Self, Problem> {
        Json::from_request(request, door).await.map(|Json(value)| Self(value)).map_err(|rejection| misread(&rejection))
    }
}

fn misread(rejection: &JsonRejection) -> Problem {
    let kind = match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Kind::TooLarge,
        _ => Kind::Invalid,
    };
    Problem::new(kind, rejection.body_text())
}

/// A query string.
pub(crate) struct Queried<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequestParts<Arc<Door>> for Queried<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _door: &Arc<Door>) -> Result<Self, Problem> {
        let read = Query::try_from_uri(&parts.uri).map(|Query(value)| Self(value));
        read.map_err(|rejection| Problem::invalid(rejection.body_text()))
    }
}

/// A name in a path.
fn name(text: &str) -> Result<domain::id::Name, Problem> {
    text.parse().map_err(|cause: domain::id::BadId| Problem::invalid(cause.to_string()))
}

/// A kind of row that exists.
fn resource(kind: &str) -> Result<Resource, Problem> {
    let known = Kinds::builtin();
    let resource = kind.parse().ok().filter(|resource| known.get(resource).is_some());
    resource.ok_or_else(|| {
        Problem::missing(format!("there is no kind `{kind}`")).next(format!("name one that exists: {}", known.listed()))
    })
}

/// Of those with an id, the ones whose id begins with `text`; at least four characters, so that nothing is hit by chance.
fn by_id<'a, T>(all: &'a [T], text: &str, id: impl Fn(&T) -> String) -> Vec<&'a T> {
    if text.len() < 4 {
        return Vec::new();
    }
    all.iter().filter(|one| id(one).starts_with(text)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_empty_name_in_a_path_is_told_apart_from_a_path_of_another_version() {
        for (path, kind) in
            [("/v1/rows/tasks/", Kind::Invalid), ("/v1/links//ping", Kind::Invalid), ("/v9", Kind::Missing)]
        {
            let problem = unknown(Uri::from_static(path)).await;
            assert_eq!(problem.kind, kind, "{path}");
            assert!(problem.next.is_some());
        }
    }
}
