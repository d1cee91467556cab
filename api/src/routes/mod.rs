//! Everything that can be asked at this door, in one list. One file per room answers.

mod audit;
mod calls;
mod grants;
mod invitees;
mod keys;
mod links;
mod people;
mod personal;
mod policy;
mod rows;
pub(crate) mod status;
mod tokens;
mod write;

use crate::{
    Door, Problem,
    accept::Form,
    problem::{Kind, MEDIA_TYPE},
    shape, tags, view,
};
use axum::{
    Json, Router,
    body::{Body, to_bytes},
    extract::{DefaultBodyLimit, FromRequest, FromRequestParts, Query, Request, rejection::JsonRejection},
    http::{
        HeaderValue, StatusCode, Uri,
        header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS},
        request::Parts,
    },
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::MethodRouter,
};
use domain::{id::Resource, kind::Kinds};
use http_body_util::LengthLimitError;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;
use std::{collections::BTreeMap, error::Error as _, sync::Arc, time::Duration};

/// The largest request: one item of the largest size, with room for JSON's escapes.
const MAX_BODY: usize = 8 << 20;
/// How long a request may go on before its answer begins; a revocation or a link takes seconds at most.
const PATIENCE: Duration = Duration::from_mins(1);

/// One list of all there is: what is routed, and what the page about this door is generated from.
macro_rules! door {
    ($($path:literal { $($method:ident $handler:path, $about:literal $(, query $query:ty)? $(, body $body:ty)?
        => $($form:ident $answer:ty)|+;)* })*) => {
        /// The routes of the door.
        pub(crate) fn all(door: Arc<Door>) -> Router {
            Router::new()
                $(.route($path, MethodRouter::new()$(.$method($handler))*))*
                .fallback(unknown)
                .layer(DefaultBodyLimit::max(MAX_BODY))
                .layer(middleware::from_fn(whole))
                .layer(middleware::from_fn(tags::unless_known))
                .layer(middleware::map_response(told))
                .layer(middleware::map_response(async |response| plain(response)))
                .layer(middleware::from_fn(in_time))
                .with_state(door)
        }

        /// Where all of them are.
        const PATHS: &[&str] = &[$($path),*];

        /// The same routes, described.
        pub(crate) fn described(schemas: &mut SchemaGenerator) -> Vec<Operation> {
            vec![$($(Operation {
                path: $path,
                method: stringify!($method),
                about: $about,
                query: None$(.or(Some(<$query>::json_schema(schemas))))?,
                body: None$(.or(Some(schemas.subschema_for::<$body>())))?,
                answers: vec![$((Form::$form, schemas.subschema_for::<$answer>())),+],
            },)*)*]
        }
    };
}

door! {
    "/v1/status" {
        get status::status, "What runs" => Json view::Status;
    }
    "/v1/id" {
        get status::identity, "Who this instance is", query view::IdentityQuestion => Json view::Identity;
    }
    "/v1/me" {
        get status::me, "Who the caller is" => Json view::Person;
    }
    "/v1/users" {
        get people::users, "The users whom the caller may know of" => Json Vec<view::UserEntry>;
        post people::add_user, "Adds a user to the workspace", body view::UserOrder => Json view::UserEntry;
    }
    "/v1/users/{name}" {
        get people::user, "A user whom the caller may know of" => Json view::UserEntry;
        delete people::remove_user, "Removes a user with their personal rows, links and grants" => Json view::Removed;
    }
    "/v1/users/{name}/belongings" {
        get people::belongings, "What would go with a user" => Json view::Belongings;
    }
    "/v1/users/{name}/role" {
        put people::set_role, "Gives a user a role in the workspace, or takes them out of it", body view::RoleOrder
            => Json view::UserEntry;
    }
    "/v1/workspaces" {
        get people::workspaces, "The workspaces that the caller is in" => Json Vec<view::WorkspaceEntry>;
        post people::add_workspace, "Adds a workspace; the operator's to do", body view::WorkspaceOrder
            => Json view::WorkspaceEntry;
    }
    "/v1/teams" {
        get people::teams, "The teams of the workspace that the caller may know of" => Json Vec<view::TeamEntry>;
        post people::add_team, "Adds a team to the workspace", body view::TeamOrder => Json view::TeamEntry;
    }
    "/v1/teams/members" {
        put people::set_member, "Puts a user into a team, or takes them out", body view::MemberOrder
            => Json view::TeamEntry;
    }
    "/v1/tokens" {
        get tokens::list, "The caller's tokens, but never what they are; at the socket alone" => Json Vec<view::TokenEntry>;
        post tokens::add, "Makes a token of the caller for a program and says it, once; at the socket alone", body view::TokenOrder
            => Json view::TokenMade;
    }
    "/v1/tokens/{name}" {
        delete tokens::remove, "Ends a token; answers with what is left; at the socket alone" => Json Vec<view::TokenEntry>;
    }
    "/v1/grants" {
        get grants::list, "The grants that the caller may know of, newest first" => Json Vec<view::GrantEntry>;
        post grants::create, "Makes a grant and its invite", body view::InviteOrder => Json view::InviteMade;
    }
    "/v1/grants/preview" {
        post grants::preview, "How many rows a grant would show, without making it", body view::InviteOrder
            => Json BTreeMap<String, u64>;
    }
    "/v1/grants/call" {
        post calls::create, "Makes a grant, and brings its invite to whoever waits for it", body view::CallOrder
            => Json view::CallMade;
    }
    "/v1/grants/{grant}" {
        get grants::show, "One grant, by its name or the beginning of its id" => Json view::GrantEntry;
        put grants::edit, "Puts another scope in force", body view::EditOrder => Json view::GrantEntry;
    }
    "/v1/grants/{grant}/revoke" {
        post grants::revoke, "Ends a grant; answers when its connections and calls are gone" => Json view::RevokeReport;
    }
    "/v1/grants/{grant}/invite" {
        post grants::invite, "A fresh invite for a grant that has not ended", body view::FreshInvite => Json view::InviteMade;
    }
    "/v1/grants/{grant}/call" {
        post calls::again, "Brings a fresh invite of a grant to whoever waits for it", body view::CallAgain
            => Json view::CallMade;
    }
    "/v1/grants/{grant}/confirm" {
        post grants::confirm, "Lets in the holder of a grant that waits, by the four words that they see", body view::ConfirmOrder
            => Json view::GrantEntry;
    }
    "/v1/grants/{grant}/can" {
        post grants::can, "What a grant may do, and why", body view::CanQuestion => Json view::VerdictView;
    }
    "/v1/invitees" {
        post invitees::judge, "Whether many grants could be made with their invites, one verdict for each, in order; none is made",
            body view::InviteesOrder => Json Vec<view::InviteeVerdict>;
    }
    "/v1/keys" {
        get keys::list, "The keys that are refused for ever, for those who manage the workspace" => Json Vec<view::KeyEntry>;
        post keys::revoke, "Revokes a key for ever, with every grant that is held with it, for those who manage every workspace",
            body view::KeyOrder => Json view::KeyReport;
    }
    "/v1/policy" {
        get policy::show, "What no grant of this instance may exceed" => Json view::Policy;
        put policy::set, "Sets what no grant may exceed, for those who manage every workspace", body view::PolicyOrder
            => Json view::PolicyReport;
        delete policy::clear, "Takes it away" => Json view::PolicyReport;
    }
    "/v1/links" {
        get links::list, "The caller's links" => Json Vec<view::LinkEntry>;
        post links::create, "Makes a link of an invite and asks one question over it", body view::LinkOrder
            => Json view::LinkMade;
    }
    "/v1/links/offer" {
        post links::offer, "What an invite offers; nothing is sent anywhere", body view::InviteText
            => Json view::OfferView;
    }
    "/v1/links/prepare" {
        post links::prepare, "Makes and keeps a key for an invite that is to be bound to it" => Json view::PreparedKey;
    }
    "/v1/links/offline" {
        post links::offline, "Which links that are offline a session has not been told of; it counts as told", body view::OfflineOrder
            => Json view::OfflineReport;
    }
    "/v1/awaits" {
        get calls::awaits, "Whose calls the caller waits for, and what came of it" => Json Vec<view::AwaitEntry>;
        post calls::wait, "Waits to be called by an instance that cannot be reached", body view::AwaitOrder
            => Json view::AwaitMade;
    }
    "/v1/awaits/{id}" {
        delete calls::end, "Waits no longer; found by the beginning of its id" => Json Vec<view::AwaitEntry>;
    }
    "/v1/links/{link}/ping" {
        post links::ping, "Whether a link answers, and what its grant may do" => Json view::PingReport;
    }
    "/v1/links/{link}/renew" {
        post links::renew, "Gives a link its next certificate now" => Json view::LinkEntry;
    }
    "/v1/links/{link}/unlink" {
        post links::unlink, "Ends a link", body view::UnlinkOrder => Json view::UnlinkReport;
    }
    "/v1/directory" {
        get links::directory, "Everybody's links as bare facts, for those who manage the workspace"
            => Json Vec<view::DirectoryEntry>;
    }
    "/v1/directory/{link}" {
        delete links::forget, "Removes somebody's link, for those who manage the workspace"
            => Json Vec<view::DirectoryEntry>;
    }
    "/v1/rows/{kind}" {
        get rows::list, "Many rows of here and of links: one ordered page, or with `stream` or as events as they arrive",
            query view::ListQuestion => Json shape::Page | Lines shape::Step | Events String;
    }
    "/v1/rows/{kind}/{id}" {
        get rows::get, "One row with its body, by its id or the beginning of it", query view::GetQuestion
            => Json shape::One;
    }
    "/v1/explain/{kind}" {
        get rows::explain, "What a question for rows of a kind would be given and cost; no row is read", query view::ExplainQuestion
            => Json view::Explanation;
    }
    "/v1/items" {
        post write::items, "Writes rows as the caller; one verdict for each, in order", body view::ItemsOrder
            => Json Vec<view::Written>;
    }
    "/v1/items/source" {
        get write::source, "How many rows the caller has of a source, and in which teams", query view::SourceQuestion
            => Json view::SourceEntry;
        post write::keyed, "The same of its rows with these keys", body view::SourceKeys => Json view::SourceEntry;
    }
    "/v1/items/alike" {
        post write::alike, "Which other sources have rows of the caller's like these", body view::AlikeQuestion
            => Json Vec<view::AlikeSource>;
    }
    "/v1/audit" {
        get audit::query, "Entries of the log", query view::AuditFilter => Json Vec<view::AuditEntry>;
    }
    "/v1/audit/follow" {
        get audit::follow, "Entries of the log as they come, until the reader goes away", query view::AuditFilter
            => Lines view::AuditEntry | Events String;
    }
    "/v1/audit/export" {
        get audit::export, "The whole log, or its end after one entry, with the signed head it reaches",
            query view::ExportFilter => Lines shape::Line | Events String;
    }
}

/// One thing that can be asked, as the page about this door says it.
pub(crate) struct Operation {
    /// Where, with the parts of the path that are named in braces.
    pub(crate) path: &'static str,
    /// The HTTP method, lower case.
    pub(crate) method: &'static str,
    /// What it does, in half a sentence.
    pub(crate) about: &'static str,
    /// The query string, as an object.
    pub(crate) query: Option<Schema>,
    /// The JSON body.
    pub(crate) body: Option<Schema>,
    /// What comes back.
    pub(crate) answers: Vec<(Form, Schema)>,
}

async fn unknown(path: Uri) -> Problem {
    if path.path().split('/').skip(1).any(str::is_empty) {
        let cause = format!("a name or an id in {} is empty", path.path());
        return Problem::invalid(cause).next("say which one is meant");
    }
    Problem::missing("nothing is asked for at this path").next(format!(
        "ask below {}; docs/api/openapi.json says what for. A command line that asked so is of another version than this daemon: update \
         the older",
        rooms().join(", ")
    ))
}

/// The beginnings of all paths, each once, in the order of the list.
fn rooms() -> Vec<String> {
    let mut rooms = Vec::new();
    for room in PATHS.iter().map(|path| path.split('/').take(3).collect::<Vec<_>>().join("/")) {
        if !rooms.contains(&room) {
            rooms.push(room);
        }
    }
    rooms
}

async fn in_time(request: Request, next: Next) -> Response {
    let late = |_| {
        let cause = format!("no answer within {} s", PATIENCE.as_secs());
        Problem::new(Kind::Timeout, cause).next("see `mosaic-fed status`, then try again").into_response()
    };
    tokio::time::timeout(PATIENCE, next.run(request)).await.unwrap_or_else(late)
}

/// Nobody is judged before their body is here: somebody may be taken out, or their token taken away, while it trickles in.
async fn whole(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let failed = match to_bytes(body, MAX_BODY).await {
        Ok(bytes) => return next.run(Request::from_parts(parts, Body::from(bytes))).await,
        Err(error) => error,
    };
    let problem = match failed.source() {
        Some(source) if source.is::<LengthLimitError>() => too_large(),
        _ => Problem::invalid(said(&failed)).next("send the request again"),
    };
    problem.into_response()
}

/// What is answered here is for whoever asked and for nobody's cache, and is nothing but what it says it is.
pub(crate) fn plain(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// What the router itself refuses, in the form of every other refusal.
async fn told(response: Response) -> Response {
    let status = response.status();
    let is_told = response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == MEDIA_TYPE);
    if is_told || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let problem = match status {
        StatusCode::METHOD_NOT_ALLOWED => {
            Problem::new(Kind::Method, "nothing at this path is asked for with this method")
        }
        _ if status.is_client_error() => Problem::invalid(format!("the request cannot be read ({status})")),
        _ => Problem::new(Kind::Internal, format!("the daemon has no answer ({status})")),
    };
    let allowed = response.headers().get(ALLOW).cloned();
    let mut told = problem.next(WRITTEN).into_response();
    told.headers_mut().extend(allowed.map(|methods| (ALLOW, methods)));
    told
}

/// A JSON body.
pub(crate) struct Asked<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<Arc<Door>> for Asked<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, door: &Arc<Door>) -> Result<Self, Problem> {
        Json::from_request(request, door).await.map(|Json(value)| Self(value)).map_err(|rejection| misread(&rejection))
    }
}

/// Where it is written what a request may hold.
const WRITTEN: &str = "send what docs/api/openapi.json says of this path";

fn too_large() -> Problem {
    let cause = format!("the body is larger than {} MiB, the most that this door takes", MAX_BODY >> 20);
    Problem::new(Kind::TooLarge, cause).next("send less in one request, as in fewer rows at once")
}

fn misread(rejection: &JsonRejection) -> Problem {
    match rejection {
        _ if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => too_large(),
        JsonRejection::MissingJsonContentType(_) => Problem::new(Kind::MediaType, "the body is not said to be JSON")
            .next("send it with the header content-type: application/json"),
        JsonRejection::JsonSyntaxError(error) => Problem::invalid(said(error)).next("send one JSON value, whole"),
        JsonRejection::JsonDataError(error) => Problem::invalid(said(error)).next(WRITTEN),
        other => Problem::invalid(said(other)).next("send the request again"),
    }
}

/// What the reader below says is wrong, in one line, without its own first words.
fn said(error: &impl std::error::Error) -> String {
    let cause = error.source().map_or_else(|| error.to_string(), ToString::to_string);
    format!("the request cannot be read: {cause}")
}

/// A query string.
pub(crate) struct Queried<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequestParts<Arc<Door>> for Queried<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _door: &Arc<Door>) -> Result<Self, Problem> {
        let read = Query::try_from_uri(&parts.uri).map(|Query(value)| Self(value));
        read.map_err(|rejection| Problem::invalid(said(&rejection)).next(WRITTEN))
    }
}

/// A name in a path.
fn name(text: &str) -> Result<domain::id::Name, Problem> {
    text.parse()
        .map_err(|cause: domain::id::BadId| Problem::invalid(cause.to_string()).next("write it as it is listed"))
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
        let next = unknown(Uri::from_static("/rows")).await.next.unwrap();
        assert!(
            next.contains("/v1/status, ") && next.contains("/v1/rows, ") && next.contains("docs/api/openapi.json"),
            "{next}"
        );
        assert_eq!(rooms().iter().collect::<std::collections::BTreeSet<_>>().len(), rooms().len());
    }
}
