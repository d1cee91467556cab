//! What people are told of sources that did not simply answer, and what to do about the first of them.

use super::joined;
use crate::out::Out;
use domain::answer::{HERE, Outcome as Ended, Page, SourceOutcome};

/// Every source that did not simply answer, with its reason, beside the rows.
pub fn tell(sources: &[SourceOutcome], out: &Out) {
    for source in failed(sources) {
        let reason = source.reason.as_deref().unwrap_or("no reason given");
        out.remark(&format!("{}: {} ({reason})", source.source, source.outcome));
        if source.outcome == Ended::Revoked {
            relink(&source.source, out);
        }
    }
}

/// How a link that has ended is made anew: nothing else brings its rows back.
pub fn relink(link: &str, out: &Out) {
    let (unlink, again) = (out.reach.command(&unlink(link)), out.reach.command(&format!("link INVITE --name {link}")));
    out.remark(&format!("{link}: with a new invite from its owner, type `{unlink}`, then `{again}`"));
}

/// The command that ends a link.
pub fn unlink(link: &str) -> String {
    format!("unlink {link}")
}

/// The command for the first source that did not answer, where there is one.
pub fn next(sources: &[SourceOutcome]) -> Option<String> {
    let first = failed(sources).next()?;
    Some(match (first.source.as_str(), first.outcome) {
        (HERE, _) => "status".to_owned(),
        (link, Ended::Revoked) => unlink(link),
        (link, _) => format!("ping {link}"),
    })
}

/// What is said in place of a table without rows: nobody's silence is taken for an answer.
pub fn no_rows(sources: &[SourceOutcome]) -> &'static str {
    match failed(sources).count() {
        0 => "no rows",
        all if all == sources.len() => "no source answered",
        _ => "no rows from the sources that answered",
    }
}

/// Whether rows follow this page, and how to get at them; a source that did not answer has rows that nobody knows of.
pub fn more(page: &Page) -> Option<String> {
    page.next.as_ref()?;
    if page.sources.iter().any(|source| source.truncated) {
        return Some("more rows follow: a higher --limit, or --cursor with what --json calls `next`".to_owned());
    }
    let silent = joined(failed(&page.sources).map(|source| &source.source));
    Some(format!("these are all rows but those of {silent}: ask again once it answers"))
}

fn failed(sources: &[SourceOutcome]) -> impl Iterator<Item = &SourceOutcome> {
    sources.iter().filter(|source| source.outcome != Ended::Ok)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn ended(source: &str, outcome: Ended, truncated: bool) -> SourceOutcome {
        SourceOutcome { truncated, ..SourceOutcome::empty(source, outcome, "why", Duration::ZERO) }
    }

    #[test]
    fn more_rows_are_promised_only_where_an_answer_was_cut() {
        let said = |cut| {
            let sources = vec![ended("here", Ended::Ok, cut), ended("work", Ended::Offline, false)];
            more(&Page { rows: Vec::new(), sources, next: Some("cursor".to_owned()) }).unwrap()
        };
        assert!(said(true).starts_with("more rows follow"));
        assert!(said(false).starts_with("these are all rows but those of work"), "{}", said(false));
        assert_eq!(more(&Page { rows: Vec::new(), sources: Vec::new(), next: None }), None);
    }

    #[test]
    fn a_source_that_did_not_answer_is_not_taken_for_an_empty_one() {
        let (here, work) = (ended("here", Ended::Ok, false), ended("work", Ended::Offline, false));
        assert_eq!(no_rows(std::slice::from_ref(&here)), "no rows");
        assert_eq!(no_rows(&[here.clone(), work.clone()]), "no rows from the sources that answered");
        assert_eq!(no_rows(std::slice::from_ref(&work)), "no source answered");
        assert_eq!(next(&[here.clone(), work]), Some("ping work".to_owned()));
        assert_eq!(next(&[ended("lab", Ended::Revoked, false)]), Some("unlink lab".to_owned()));
        assert_eq!(next(&[here]), None);
    }
}
