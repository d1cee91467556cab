//! What this instance's own state is tagged with (RFC 9110 section 8.8.3), so that a program need not read twice what is as it was, and changes only
//! what is as it saw it. Never on an answer with rows of other instances: nothing of those is kept, by nobody.

use crate::{Problem, problem::Kind};
use axum::{
    Json,
    extract::Request,
    http::{
        HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
        header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_MATCH, IF_NONE_MATCH},
    },
    middleware::Next,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use sha2::{Digest, Sha256};

/// An answer with its tag.
pub(crate) struct Tagged<T> {
    value: T,
    tag: String,
}

impl<T: Serialize> Tagged<T> {
    /// With the tag of all of it.
    pub(crate) fn whole(value: T) -> Self {
        let tag = of(&value);
        Self { value, tag }
    }

    /// With the tag of `kept`, which is all of it that does not change by itself: how long ago somebody was heard, say.
    pub(crate) fn but_for_the_moment(value: T, kept: &impl Serialize) -> Self {
        Self { value, tag: of(kept) }
    }
}

impl<T: Serialize> IntoResponse for Tagged<T> {
    fn into_response(self) -> Response {
        let tag = HeaderValue::try_from(self.tag).ok().map(|tag| (ETAG, tag));
        let mut response = Json(self.value).into_response();
        response.headers_mut().extend(tag);
        response
    }
}

/// The strong tag of a value.
pub(crate) fn of(value: &impl Serialize) -> String {
    // Serialising plain data cannot fail; a tag of nothing would only have it read again.
    let text = serde_json::to_vec(value).unwrap_or_default();
    let hash: [u8; 32] = Sha256::digest(&text).into();
    format!("\"{}\"", hex::encode(&hash[..16]))
}

/// Refuses to change what is not as the caller saw it, if they say what they saw. `look` is where they see what is there.
pub(crate) fn must_match(headers: &HeaderMap, what: &str, now: &impl Serialize, look: &str) -> Result<(), Problem> {
    match listed(headers, &IF_MATCH)? {
        None => Ok(()),
        // Only a strong tag says that something is the same.
        Some(tags) if tags.iter().any(|tag| tag == "*" || *tag == of(now)) => Ok(()),
        Some(_) => {
            Err(Problem::new(Kind::Changed, format!("{what} is not as `if-match` says: somebody changed it meanwhile"))
                .next(format!("ask for it again, GET {look}, look at what changed, and send its `etag` as `if-match`")))
        }
    }
}

/// The tags of a header; none where there is no such header. What is no tag is refused: whoever sends one that was torn must not be told that somebody
/// else changed something.
fn listed(headers: &HeaderMap, name: &HeaderName) -> Result<Option<Vec<String>>, Problem> {
    let mut found = None;
    for value in headers.get_all(name) {
        let tags = value.to_str().ok().and_then(tags).ok_or_else(|| {
            Problem::new(Kind::Invalid, format!("`{name}` is neither `*` nor a tag in quotation marks"))
                .next("send it as it was in `etag`, quotation marks included, or leave it out")
        })?;
        found.get_or_insert_with(Vec::new).extend(tags.into_iter().map(str::to_owned));
    }
    Ok(found)
}

/// The entity tags of a list with commas between, `*` alone, or none where there is anything else.
fn tags(text: &str) -> Option<Vec<&str>> {
    let (mut tags, mut rest) = (Vec::new(), text.trim());
    if rest == "*" {
        return Some(vec![rest]);
    }
    while !rest.is_empty() {
        let opaque = rest.strip_prefix("W/").unwrap_or(rest).strip_prefix('"')?;
        let (inside, after) = opaque.split_once('"')?;
        if !inside.bytes().all(|byte| byte.is_ascii_graphic()) {
            return None;
        }
        tags.push(rest.strip_suffix(after)?);
        rest = after.trim_start();
        if !rest.is_empty() {
            rest = rest.strip_prefix(',')?.trim_start();
        }
    }
    (!tags.is_empty()).then_some(tags)
}

/// Answers with 304 where the reader has what is there.
pub(crate) async fn unless_known(request: Request, next: Next) -> Response {
    if ![Method::GET, Method::HEAD].contains(request.method()) {
        return next.run(request).await;
    }
    let known = match listed(request.headers(), &IF_NONE_MATCH) {
        Ok(known) => known.unwrap_or_default(),
        Err(problem) => return problem.into_response(),
    };
    let response = next.run(request).await;
    let Some(tag) = response.headers().get(ETAG).filter(|_| response.status().is_success()) else {
        return response;
    };
    let bare = |tag: &str| tag.trim_start_matches("W/").to_owned();
    let tag = bare(tag.to_str().unwrap_or_default());
    if !known.iter().any(|known| known == "*" || bare(known) == tag) {
        return response;
    }
    let (mut parts, _) = response.into_parts();
    parts.status = StatusCode::NOT_MODIFIED;
    for name in [CONTENT_TYPE, CONTENT_LENGTH] {
        parts.headers.remove(name);
    }
    Response::from_parts(parts, axum::body::Body::empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(tags: &[&str]) -> HeaderMap {
        tags.iter().map(|tag| (IF_MATCH, HeaderValue::from_str(tag).unwrap())).collect()
    }

    #[test]
    fn only_what_is_as_it_was_seen_is_changed() {
        let (now, tag) = ("state", of(&"state"));
        assert!(tag.starts_with('"') && tag.len() == 34 && tag != of(&"other"));
        let judged = |headers: &HeaderMap| must_match(headers, "it", &now, "/v1/it");
        for fits in [vec![], vec!["*"], vec![tag.as_str()], vec!["\"a\"", &tag], vec![&format!("\"a\", {tag}")]] {
            assert!(judged(&said(&fits)).is_ok(), "{fits:?}");
        }
        for other in ["\"a\"", "\"\"", "\"a,b\"", &format!("W/{tag}")] {
            let problem = judged(&said(&[other])).unwrap_err();
            assert_eq!(problem.kind, Kind::Changed, "{other}");
            assert!(problem.next.unwrap().contains("GET /v1/it"));
        }
        for torn in ["", "{}", ",", "\"a", "\"a\" \"b\"", "*, \"a\"", "\"a b\"", "w/\"a\"", tag.trim_matches('"')] {
            let problem = judged(&said(&[torn])).unwrap_err();
            assert_eq!(problem.kind, Kind::Invalid, "{torn}");
            assert!(problem.next.unwrap().contains("quotation marks"));
        }
    }
}
