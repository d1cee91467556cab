//! What `status` says of lists of revoked certificates.

use super::{counted, minute};
use api::view::{GivenList, Status, TakenList};

/// A line for each list that is configured, and for what must not stay so.
pub(super) fn lines(status: &Status) -> Vec<String> {
    let given = status.list_given.iter().flat_map(|list| [Some(given(list)), alarm("given", list.failure.as_ref())]);
    let taken = status.list_taken.iter().flat_map(|list| [Some(taken(list)), alarm("taken", list.failure.as_ref())]);
    given.chain(taken).flatten().collect()
}

fn given(list: &GivenList) -> String {
    let made = match (list.number, list.made_at) {
        (Some(number), Some(at)) => {
            let ends = list.next_at.map_or_else(String::new, |end| format!(", good until {} UTC", minute(end)));
            format!("number {number} of {} UTC{ends}", minute(at))
        }
        _ => "not made yet".to_owned(),
    };
    format!("list given   http://{}/crl.der, {made}", list.address)
}

fn taken(list: &TakenList) -> String {
    let read = match (&list.number, list.made_at, list.next_at) {
        (Some(number), Some(made), Some(next)) => format!(
            "number {number} of {} UTC, {} on it, next due {} UTC",
            minute(made),
            counted(list.certificates, "certificate"),
            minute(next)
        ),
        _ => "none was read yet".to_owned(),
    };
    format!("list taken   {}, {read}", list.source)
}

fn alarm(which: &str, failure: Option<&String>) -> Option<String> {
    failure.map(|why| format!("ALARM        the list of revoked certificates that is {which}: {why}"))
}
