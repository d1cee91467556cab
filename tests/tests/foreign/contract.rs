//! What a line of a client must hold, and which exit code its lines call for, whatever was asked: `tests/foreign/README.md`.

use domain::Time;
use serde_json::Value;

/// Each event with the keys that are always there.
const EVENTS: &[(&str, &[&str])] = &[
    (
        "invited",
        &[
            "instance_id",
            "instance_name",
            "grant_id",
            "grant_name",
            "workspace",
            "resources",
            "subject",
            "fingerprint",
            "expires_at",
        ],
    ),
    ("enrolled", &["grant_id", "instance_id", "certificate_not_after"]),
    (
        "connected",
        &[
            "instance_id",
            "instance_name",
            "version",
            "capabilities",
            "max_rows",
            "rate",
            "certificate_not_after",
            "request_id",
        ],
    ),
    (
        "capabilities",
        &[
            "grant_id",
            "grant_name",
            "workspace",
            "resources",
            "verbs",
            "max_rows",
            "rate",
            "calls_left",
            "not_after",
            "request_id",
        ],
    ),
    ("health", &["status", "request_id"]),
    ("row", &["id", "resource", "created_at", "updated_at"]),
    ("page", &["rows", "chunks", "truncated", "as_of", "request_id"]),
    ("end", &["pages", "rows"]),
    ("got", &["as_of", "request_id"]),
    ("answered", &["calls"]),
    ("waited", &["ms"]),
    ("watching", &["status", "request_id"]),
    ("cut", &["code"]),
    ("turned_away", &["code", "detail"]),
    ("let_in", &[]),
    ("disconnected", &["revoked_at", "request_id"]),
    (
        "begun",
        &[
            "session",
            "generation",
            "heartbeat_seconds",
            "lease_seconds",
            "capabilities",
            "max_rows",
            "rate",
            "not_after",
            "rows",
            "request_id",
        ],
    ),
    ("heard", &["time", "offset_ms"]),
    ("changed", &["generation", "capabilities", "max_rows", "rate", "not_after"]),
    ("ended", &["generation", "at"]),
    ("dropped", &["rows"]),
    ("acknowledged", &["generation"]),
    ("over", &["code"]),
    ("lost", &["code"]),
    ("given", &["certificate_not_after", "request_id"]),
    ("renewed", &["certificate_not_after", "request_id"]),
    ("bad_invite", &["why"]),
    ("wrong_fingerprint", &["expected", "found"]),
    ("occupied", &["grant_id"]),
    ("refused", &["code", "reason", "domain", "message", "violations", "request_id"]),
    ("failed", &["code", "detail"]),
    ("not_believed", &["why"]),
];

const TIMES: [&str; 9] = [
    "expires_at",
    "certificate_not_after",
    "not_after",
    "created_at",
    "updated_at",
    "as_of",
    "revoked_at",
    "time",
    "at",
];

/// What is wrong with a line, in words.
pub(crate) fn faults(line: &Value) -> Vec<String> {
    let name = line["event"].as_str().unwrap_or_default();
    let Some((_, keys)) = EVENTS.iter().find(|(event, _)| *event == name) else {
        return vec![format!("there is no event `{name}`: {line}")];
    };
    let absent = keys.iter().filter(|key| line[**key].is_null()).map(|key| format!("{name} has no `{key}`: {line}"));
    let odd = TIMES.into_iter().filter(|key| !line[*key].is_null() && time(&line[*key]).is_none());
    absent.chain(odd.map(|key| format!("`{key}` of {name} is no time in UTC: {line}"))).collect()
}

/// A time of a line: RFC 3339, in UTC with a `Z`.
pub(crate) fn time(value: &Value) -> Option<Time> {
    value.as_str().filter(|text| text.ends_with('Z'))?.parse().ok()
}

/// The exit code that these lines call for.
pub(crate) fn exit_code(lines: &[Value]) -> i32 {
    match lines.last().and_then(|line| line["event"].as_str()) {
        None => 1,
        Some("bad_invite" | "wrong_fingerprint" | "occupied") => 2,
        Some("refused") => 3,
        Some("failed" | "let_in" | "lost") => 4,
        Some("not_believed") => 5,
        Some(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_line_without_a_key_of_its_event_or_with_a_time_of_another_form_is_found_out() {
        let whole = json!({"event": "disconnected", "revoked_at": "2026-11-21T09:15:00.5Z", "request_id": "x"});
        assert!(faults(&whole).is_empty(), "{:?}", faults(&whole));
        let late = json!({"event": "disconnected", "revoked_at": "2026-11-21T10:15:00+01:00", "request_id": "x"});
        let nameless = json!({"event": "disconnected", "revoked_at": "2026-11-21T09:15:00Z", "request_id": null});
        for line in [late, nameless, json!({"event": "gone"}), json!(["end"])] {
            assert_eq!(faults(&line).len(), 1, "{line}");
        }
    }

    #[test]
    fn the_last_line_says_the_exit_code_and_silence_is_a_defect() {
        let ended = |event: &str| exit_code(&[json!({"event": "row"}), json!({"event": event})]);
        assert_eq!(["over", "occupied", "refused", "lost", "not_believed"].map(ended), [0, 2, 3, 4, 5]);
        assert_eq!(exit_code(&[]), 1);
    }
}
