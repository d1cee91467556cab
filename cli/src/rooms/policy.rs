//! What this instance allows at all: the ceiling over every grant.

use super::{joined, limits, minute};
use crate::{
    exit::{Exit, Outcome},
    out::{Out, escaped},
    rooms::scope_flags::read_json,
};
use api::{client::Client, view};
use clap::Subcommand;
use domain::scope::{
    Context, Scope, Spec,
    ceiling::{Ceiling, Difference},
};
use std::path::PathBuf;

/// The commands of `policy`.
#[derive(Subcommand)]
pub enum PolicyCommand {
    /// What no grant may exceed
    Show,
    /// Set what no grant may exceed; docs/scope.md has the keys. For the operator, and for those who manage every workspace
    Set {
        /// The ceiling as JSON, or - for stdin
        file: PathBuf,
        /// Narrow the grants that are beyond it; else it is refused where there are any
        #[arg(long)]
        narrow: bool,
    },
    /// Take it away; grants stay as they are
    Clear,
}

/// `policy`.
pub async fn run(command: PolicyCommand, client: &Client, out: &Out) -> Outcome {
    match command {
        PolicyCommand::Show => {
            let policy: view::Policy = client.get("/v1/policy").await?;
            out.value(&policy, shown)?;
            out.next("grant list");
        }
        PolicyCommand::Set { file, narrow } => {
            let ceiling: Ceiling = read_json(&file, "ceiling", "docs/scope.md has the keys")?;
            let report: view::PolicyReport = client.put("/v1/policy", &view::PolicyOrder { ceiling, narrow }).await?;
            told(&report, out)?;
        }
        PolicyCommand::Clear => told(&client.delete("/v1/policy").await?, out)?,
    }
    Ok(Exit::Done)
}

fn told(report: &view::PolicyReport, out: &Out) -> Outcome<()> {
    out.value(report, |report| shown(&report.policy))?;
    for grant in &report.narrowed {
        lost(grant, out);
    }
    out.next("grant list");
    Ok(())
}

/// What a grant lost to the ceiling, where people read.
pub fn lost(grant: &view::GrantEntry, out: &Out) {
    for lost in grant.narrowed.iter().filter(|_| !out.json) {
        out.remark(&format!("grant {} was narrowed: {}", grant.name, lost.text));
    }
}

/// What a spec comes to below the ceiling in force, and what it would lose; none where it is no scope at all.
pub async fn within(
    mut spec: Spec,
    context: Context<'_>,
    client: &Client,
) -> Outcome<Option<(Scope, Vec<Difference>)>> {
    let policy: view::Policy = client.get("/v1/policy").await?;
    let Some(ceiling) = policy.ceiling else { return Ok(spec.close(context).ok().map(|scope| (scope, Vec::new()))) };
    ceiling.fill(&mut spec, context.kinds, context.now);
    let Ok(scope) = spec.close(context) else { return Ok(None) };
    let excess = ceiling.judge(&scope, context.kinds, context.now).ok().flatten();
    let differing = excess.as_ref().map(|excess| excess.differing.clone()).unwrap_or_default();
    Ok(Some((excess.and_then(|excess| excess.within).unwrap_or(scope), differing)))
}

fn shown(policy: &view::Policy) -> String {
    let Some(ceiling) = &policy.ceiling else {
        return "no ceiling: a grant may share what its subject sees".to_owned();
    };
    let mut lines = ceiling_lines(ceiling);
    if lines.is_empty() {
        lines.push("a ceiling that bounds nothing".to_owned());
    }
    let at = policy.set_at.map(|at| format!(", {} UTC", minute(at))).unwrap_or_default();
    lines.extend(policy.set_by.as_ref().map(|by| format!("set by       {by}{at}")));
    lines.iter().map(|line| escaped(line)).collect::<Vec<_>>().join("\n")
}

fn ceiling_lines(ceiling: &Ceiling) -> Vec<String> {
    let rows = ceiling.filters.iter().map(|(kind, filter)| format!("{kind}: {}", limits::rows_only(filter).join("; ")));
    let fields = ceiling.fields.iter().map(|(kind, fields)| format!("{kind}: {}", joined(fields)));
    let some = |lines: Vec<String>| (!lines.is_empty()).then(|| lines.join(", "));
    let facts = [
        ("only", ceiling.resources.as_ref().map(joined)),
        ("never", some(ceiling.excluded_resources.clone())),
        ("rows", some(rows.collect())),
        ("fields", some(fields.collect())),
        ("keeps back", some(ceiling.withhold.iter().map(|class| format!("{} fields", class.word())).collect())),
        ("may", ceiling.verbs.as_ref().map(joined)),
        ("rows each", ceiling.max_rows_per_query.map(|rows| rows.to_string())),
        ("calls", ceiling.rate.map(|rate| format!("{} a minute, {} at once", rate.per_minute, rate.burst))),
        ("days", ceiling.max_days.map(|days| days.to_string())),
    ];
    facts.into_iter().filter_map(|(name, value)| Some(format!("{name:<12} {}", value?))).collect()
}
