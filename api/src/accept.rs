//! In which of its forms an answer is given, as `Accept` says (RFC 9110 section 12.5.1).

use crate::{Problem, problem::Kind};
use axum::http::{HeaderMap, header::ACCEPT};

/// A form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// One JSON value.
    Json,
    /// One JSON value a line.
    Lines,
    /// Server-sent events.
    Events,
}

impl Form {
    /// What it is called.
    pub(crate) const fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Lines => "application/x-ndjson",
            Self::Events => "text/event-stream",
        }
    }
}

/// The form among `offered` that is wanted most; the first of those wanted alike. A problem where none is wanted at all.
pub(crate) fn chosen(headers: &HeaderMap, offered: &[Form]) -> Result<Form, Problem> {
    let ranges: Vec<_> = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    let ranges = ranges.join(",");
    let wanted = |form: Form| if ranges.trim().is_empty() { 1_000 } else { quality(&ranges, form.media_type()) };
    let best = offered.iter().rev().copied().max_by_key(|form| wanted(*form)).filter(|form| wanted(*form) > 0);
    best.ok_or_else(|| {
        let known: Vec<_> = offered.iter().map(|form| form.media_type()).collect();
        Problem::new(Kind::NotAcceptable, "this answer has no form that `accept` names")
            .next(format!("accept {}", known.join(" or ")))
    })
}

/// How much a type is wanted, in thousandths, by the range that says most of it.
fn quality(ranges: &str, media_type: &str) -> u32 {
    let family = media_type.split('/').next().unwrap_or_default();
    let fits = |range: &str| {
        if range.eq_ignore_ascii_case(media_type) {
            Some(2)
        } else if range.strip_suffix("/*").is_some_and(|kind| kind.eq_ignore_ascii_case(family)) {
            Some(1)
        } else {
            (range == "*/*").then_some(0)
        }
    };
    let told = ranges.split(',').filter_map(|range| {
        let mut parts = range.split(';').map(str::trim);
        let closeness = fits(parts.next()?)?;
        let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        Some((closeness, weight.map_or(Some(1_000), thousandths).unwrap_or(0)))
    });
    told.max().map_or(0, |(_, weight)| weight)
}

fn thousandths(text: &str) -> Option<u32> {
    let (whole, rest) = text.split_once('.').unwrap_or((text, ""));
    let is_short = rest.len() <= 3 && rest.bytes().all(|byte| byte.is_ascii_digit());
    let rest: u32 = format!("{rest:0<3}").parse().ok().filter(|_| is_short)?;
    match whole {
        "0" => Some(rest),
        "1" if rest == 0 => Some(1_000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn said(accept: &str) -> Option<Form> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_str(accept).unwrap());
        chosen(&headers, &[Form::Lines, Form::Events]).ok()
    }

    #[test]
    fn the_form_is_the_one_that_is_wanted_most_and_the_usual_one_where_nothing_is_said() {
        assert_eq!(chosen(&HeaderMap::new(), &[Form::Json, Form::Events]).unwrap(), Form::Json);
        for (accept, form) in [
            ("*/*", Some(Form::Lines)),
            ("", Some(Form::Lines)),
            ("text/event-stream", Some(Form::Events)),
            ("text/*", Some(Form::Events)),
            ("Text/Event-Stream; q=0.5, */*;q=0.4", Some(Form::Events)),
            ("text/event-stream;q=0.5, */*", Some(Form::Lines)),
            ("text/event-stream;q=0, */*", Some(Form::Lines)),
            ("application/x-ndjson, text/event-stream", Some(Form::Lines)),
            ("text/html", None),
            ("text/event-stream;q=0", None),
            ("text/event-stream;q=7", None),
        ] {
            assert_eq!(said(accept), form, "{accept}");
        }
    }
}
