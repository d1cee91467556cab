//! What a question would be given and cost, before it is asked.

use super::{asking, counted, joined, minute};
use crate::{
    exit::{Exit, Outcome},
    out::Out,
    table::Table,
};
use api::{client::Client, view};
use domain::{answer::HERE, id::Resource};

/// `list --explain` and `get --explain`.
pub async fn explain(kind: &Resource, id: Option<String>, from: String, client: &Client, out: &Out) -> Outcome {
    let question = view::ExplainQuestion { from: Some(from.clone()), id: id.clone() };
    let told: view::Explanation = client.get(&asking(&format!("/v1/explain/{kind}"), &question)?).await?;
    out.table(&told, |told| drawn(&told.sources))?;
    if out.json {
        return Ok(Exit::Done);
    }
    for source in &told.sources {
        if let Some(scope) = scope(source) {
            out.remark(&format!("{}: {scope}", source.source));
        }
        if let Some(reason) = &source.reason {
            out.remark(&format!("{}: {reason}", source.source));
        }
    }
    if let Some(cost) = cost(&told.sources) {
        out.remark(&cost);
    }
    let what = id.map_or_else(|| format!("list {kind}"), |id| format!("get {kind} {id}"));
    out.next(&next(&what, from, &told.sources));
    Ok(Exit::Done)
}

/// The question itself, of those that would answer it; where nobody would, what became of the links.
fn next(what: &str, from: String, sources: &[view::ExplainedSource]) -> String {
    let answering = sources.iter().filter(|source| source.allowed).map(|source| &source.source[..]);
    let from = match &answering.collect::<Vec<_>>()[..] {
        [] => return "links".to_owned(),
        all if all.len() == sources.len() => from,
        some => some.join(","),
    };
    format!("{what} --from {}", crate::config::shell_word(&from))
}

/// What this explanation itself took of the links' limits.
fn cost(sources: &[view::ExplainedSource]) -> Option<String> {
    if sources.iter().all(|source| source.source == HERE) {
        return None;
    }
    let taken: Vec<u64> = sources.iter().map(|source| source.calls_taken.into()).filter(|calls| *calls > 0).collect();
    Some(match &taken[..] {
        [] => "no row was read, and no call of a link was taken".to_owned(),
        taken => format!(
            "no row was read; asking what the grants give took {} of {}",
            counted(taken.iter().sum(), "call"),
            counted(taken.len() as u64, "link")
        ),
    })
}

fn drawn(sources: &[view::ExplainedSource]) -> Table {
    let mut table = Table::new(&["SOURCE", "ASKED", "KEPT BACK", "CALLS", "LEFT"], "nobody would be asked");
    for source in sources {
        let kept_back = match &source.withheld {
            None if source.source == HERE => "nothing".to_owned(),
            None => "not known".to_owned(),
            Some(none) if none.is_empty() => "nothing".to_owned(),
            Some(fields) => joined(fields),
        };
        let asked = match (source.asked, source.allowed) {
            (true, true) => "yes",
            (true, false) => "in vain",
            (false, _) => "no",
        };
        let calls = match (source.calls_least, source.calls_most) {
            (least, most) if least == most => most.to_string(),
            (least, most) => format!("{least} to {most}"),
        };
        let left = source.calls_left.map_or_else(|| "-".to_owned(), |left| left.to_string());
        table.row([source.source.clone(), asked.to_owned(), kept_back, calls, left]);
    }
    table
}

/// The grant in words, where it said them.
fn scope(source: &view::ExplainedSource) -> Option<String> {
    let (grant, workspace) = (source.grant.as_ref()?, source.workspace.as_ref()?);
    let until = source.not_after.map_or_else(String::new, |end| format!(", until {} UTC", minute(end)));
    let rows =
        source.max_rows.map_or_else(String::new, |rows| format!(", {} in one answer", counted(rows.into(), "row")));
    let rate = source.calls_per_minute;
    let rate = rate.map_or_else(String::new, |calls| format!(", {} a minute", counted(calls.into(), "call")));
    let (verbs, kinds) = (joined(&source.verbs), joined(&source.resources));
    Some(format!("its grant {grant} allows {verbs} of {kinds} in its workspace {workspace}{rows}{rate}{until}"))
}
