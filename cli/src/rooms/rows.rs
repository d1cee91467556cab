//! Rows: list, get, add.

use super::{
    asking, explain, joined, known_kind, minute, named, next_for_members, or_dash, segment, short, sources,
    writable_team,
};
use crate::{
    config::shell_word,
    exit::{Exit, Failure, Outcome},
    nearness,
    out::{Out, escaped, visible},
    table::Table,
};
use api::{client::Client, shape, view};
use clap::Args;
use domain::{
    answer::{HERE, One, Page, Row, SourceOutcome, Step, Verdict},
    id::{Field, ItemId, Project, Resource, Tag, TeamId},
    item::NewItem,
    kind::{Kinds, Type},
    scope::spec::MAX_ROWS,
};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};
use std::{collections::BTreeSet, io::Read};

/// Every source.
const ALL: &str = "all";
/// Rows on a page that does not say.
const PAGE: u32 = 50;

/// The arguments of `list`.
#[derive(Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags, each by itself")]
pub struct ListArgs {
    /// The kind of row, as in tasks, notes or events; `docs/kinds.md` has them all
    #[arg(value_parser = super::kind)]
    kind: Resource,
    /// all, or sources with commas between: here and names of links
    #[arg(long, value_name = "SOURCES", default_value = ALL)]
    from: String,
    /// Rows on one page, 1 to 10000; with --stream of each source
    #[arg(long, value_name = "ROWS", default_value_t = PAGE, value_parser = super::up_to(MAX_ROWS))]
    limit: u32,
    /// With their bodies (seen with --json)
    #[arg(long)]
    body: bool,
    /// Rows as they arrive instead of one ordered page
    #[arg(long, conflicts_with = "cursor")]
    stream: bool,
    /// Go on where a former page ended; the command stands beneath it
    #[arg(long, value_name = "CURSOR")]
    cursor: Option<String>,
    /// Fail unless the answer is complete: unless every source answers
    #[arg(long)]
    strict: bool,
    /// Ask links anew, also where they answered the same less than half a minute ago
    #[arg(long)]
    fresh: bool,
    /// Read no row: say who would be asked, what each grant gives and keeps back, and what it would cost of its limit
    #[arg(long, conflicts_with_all = ["stream", "cursor", "strict"])]
    explain: bool,
}

/// `list`.
pub async fn list(args: ListArgs, client: &Client, out: &Out) -> Outcome {
    let ListArgs { kind, from, limit, body, stream, cursor, strict, fresh, explain } = args;
    known_kind(&kind)?;
    if explain {
        return explain::explain(&kind, None, from, client, out).await;
    }
    // A stream's outcomes come after its rows: they are judged here.
    let asked_strictly = strict && !stream;
    let question = view::ListQuestion {
        from: Some(from.clone()),
        limit: Some(limit),
        body,
        cursor,
        strict: asked_strictly,
        stream,
        fresh,
    };
    let path = asking(&format!("/v1/rows/{kind}"), &question)?;
    let asked = again(&kind, &question, strict);
    if stream {
        return print_stream(client, out, &path, (strict, limit)).await;
    }
    let page: Page = client.get(&path).await.map_err(|error| not_whole(error.into(), ROWS))?;
    let known = sources::Known::of(&page.sources, client).await;
    out.table(&page, |page| rows_table(&page.rows, sources::no_rows(&page.sources, &known)))?;
    sources::tell(&page.sources, &known, client, out).await;
    sources::tell_bare(&page.rows, &kind, body, out);
    sources::tell_cached(&page.rows, out);
    sources::judge(&page.verdict, out);
    if let Some(more) = sources::more(&page, limit).filter(|_| !out.json) {
        out.remark(&more);
        out.remark(&format!("next page: {}", out.reach.command(&next_page(&page, &asked))));
    }
    match (page.rows.first(), sources::next(&page.sources, &known)) {
        (Some(row), _) => out.next(&format!("get {kind} {}", short(&row.item.id))),
        (None, Some(next)) => out.next(&next),
        (None, None) if asks_here(&from) => {
            next_for_members(client, out, &format!("add {kind} TITLE"), "links").await;
        }
        (None, None) => out.next(&sources::what_it_shares(&page.sources)),
    }
    Ok(ended(&page.sources, &page.verdict, strict))
}

/// The question as it was typed, for any page of its answer.
fn again(kind: &Resource, question: &view::ListQuestion, strict: bool) -> String {
    let from = question.from.as_deref().filter(|from| *from != ALL).map(|from| format!(" --from {}", shell_word(from)));
    let limit = question.limit.filter(|limit| *limit != PAGE).map(|limit| format!(" --limit {limit}"));
    let flags = [(question.body, " --body"), (strict, " --strict"), (question.fresh, " --fresh")];
    let flags = flags.into_iter().filter(|(said, _)| *said).map(|(_, flag)| flag.to_owned());
    let said = from.into_iter().chain(limit).chain(flags).collect::<String>();
    format!("list {kind}{said}")
}

fn next_page(page: &Page, asked: &str) -> String {
    format!("{asked} --cursor {}", shell_word(page.next.as_deref().unwrap_or_default()))
}

/// Whether this instance's own rows are asked for: only these can be added to.
fn asks_here(from: &str) -> bool {
    from.split(',').any(|name| matches!(name.trim(), "all" | HERE))
}

/// What a question for rows shows without `--strict`.
const ROWS: &str = "see the rows of the sources that answered";
/// What a question for one row shows: it may be nobody's who answered.
const ONE: &str = "hear whether the sources that answered have that row";

/// The rows of those that answered are there and were not shown; where nobody did, the daemon says nothing of them.
fn not_whole(failure: Failure, otherwise: &str) -> Failure {
    match (failure.exit, &failure.next) {
        (Exit::Incomplete, Some(_)) => failure.next(format!("leave out --strict to {otherwise}")),
        (Exit::Incomplete, None) => failure.next("mosaic-fed links"),
        _ => failure,
    }
}

async fn print_stream(client: &Client, out: &Out, path: &str, (strict, limit): (bool, u32)) -> Outcome {
    let mut lines = client.lines(path).await?;
    let (mut sources, mut verdict) = (Vec::new(), None);
    while let Some(step) = lines.value::<Step>().await? {
        match &step {
            Step::Row(row) => out.line(&step, |_| stream_line(row))?,
            Step::End(source) => {
                if out.json {
                    out.line(&step, |_| String::new())?;
                }
                sources.push(source.clone());
            }
            Step::Verdict(said) => {
                if out.json {
                    out.line(&step, |_| String::new())?;
                }
                verdict = Some(said.clone());
            }
        }
    }
    let known = sources::Known::of(&sources, client).await;
    sources::tell(&sources, &known, client, out).await;
    if !out.json {
        for cut in sources::cut(&sources, limit) {
            out.remark(&cut);
        }
    }
    let verdict = verdict.ok_or_else(|| {
        Failure::new(Exit::Incomplete, "the daemon's answer was cut off before its end").next("mosaic-fed status")
    })?;
    sources::judge(&verdict, out);
    Ok(ended(&sources, &verdict, strict))
}

fn stream_line(row: &Row) -> String {
    let title = row.item.title.as_deref().unwrap_or("-");
    escaped(&format!("{}  {}  {}  {title}", row.source, short(&row.item.id), minute(row.item.created_at)))
}

/// An answer of nobody is none, with `--strict` or without.
fn ended(sources: &[SourceOutcome], verdict: &Verdict, strict: bool) -> Exit {
    if !sources::anybody_answered(sources) || strict && !verdict.complete { Exit::Incomplete } else { Exit::Done }
}

/// Attributes that have a column where any row has them.
const SHOWN: [&str; 4] = ["status", "start", "due", "path"];

/// Rows with the source of each; `empty` is said where there is none.
pub fn rows_table(rows: &[Row], empty: &'static str) -> Table {
    let has = |name: &str| rows.iter().any(|row| row.item.attributes.contains_key(name));
    let shown: Vec<_> = SHOWN.into_iter().filter(|name| has(name)).collect();
    let mut head = vec!["SOURCE", "ID", "CREATED (UTC)", "TITLE", "TEAM", "PROJECT"];
    head.extend(shown.iter().map(|name| heading(name)));
    let mut table = Table::new(&head, empty);
    for row in rows {
        let item = &row.item;
        let marks = [(row.late, " (late)"), (row.cached, " (cached)")];
        let marks = marks.into_iter().filter_map(|(is_so, mark)| is_so.then_some(mark));
        let source = std::iter::once(row.source.as_str()).chain(marks).collect::<String>();
        let mut cells = vec![source, short(&item.id), minute(item.created_at), or_dash(item.title.as_ref())];
        cells.extend([or_dash(item.team.as_ref()), or_dash(item.project.as_ref())]);
        cells.extend(shown.iter().map(|name| item.attributes.get(*name).map_or_else(|| "-".to_owned(), plain)));
        table.row(cells);
    }
    table
}

fn heading(name: &str) -> &'static str {
    match name {
        "status" => "STATUS",
        "start" => "START",
        "due" => "DUE",
        _ => "PATH",
    }
}

/// A value without the marks of JSON.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => joined(items.iter().map(plain)),
        other => other.to_string(),
    }
}

/// The arguments of `get`.
#[derive(Args)]
pub struct GetArgs {
    /// The kind of row, as in tasks, notes or events; `docs/kinds.md` has them all
    #[arg(value_parser = super::kind)]
    kind: Resource,
    /// Its id, or the beginning of it as `list` shows it
    #[arg(value_parser = named)]
    id: String,
    /// all, or sources with commas between: here and names of links
    #[arg(long, value_name = "SOURCES", default_value = "all")]
    from: String,
    /// Ask links anew, also where they gave the row less than half a minute ago
    #[arg(long)]
    fresh: bool,
    /// Fail unless the answer is complete; with the beginning of an id, unless every source answers: another row may begin so
    #[arg(long)]
    strict: bool,
    /// As for `list`
    #[arg(long, conflicts_with = "strict")]
    explain: bool,
}

/// `get`.
pub async fn get(args: GetArgs, client: &Client, out: &Out) -> Outcome {
    let GetArgs { kind, id, from, fresh, strict, explain } = args;
    known_kind(&kind)?;
    if explain {
        return explain::explain(&kind, Some(id), from, client, out).await;
    }
    let question = view::GetQuestion { from: Some(from), fresh, strict };
    let one = client.get(&asking(&format!("/v1/rows/{kind}/{}", segment(&id)), &question)?).await;
    let one: One = one.map_err(|error| not_whole(error.into(), ONE))?;
    let Some(row) = &one.row else {
        let known = sources::Known::of(&one.sources, client).await;
        sources::tell(&one.sources, &known, client, out).await;
        if let Some((cause, next)) =
            sources::not_found(&kind, &id, &one.sources, &known).zip(sources::next(&one.sources, &known))
        {
            return Err(Failure::new(Exit::Incomplete, cause).next(format!("mosaic-fed {next}")));
        }
        return Err(
            Failure::new(Exit::Missing, format!("no such row in {kind}")).next(format!("mosaic-fed list {kind}"))
        );
    };
    out.value(&one, |one| row_text(row, one.withheld.as_deref()))?;
    out.next(&format!("list {kind} --from {}", row.source));
    Ok(Exit::Done)
}

/// A row in words; what is absent because the grant keeps it back, of which `withheld` has the names, is told from what the row
/// does not have.
fn row_text(row: &Row, withheld: Option<&[Field]>) -> String {
    let item = &row.item;
    let is_kept_back = |name: &str| withheld.is_some_and(|fields| fields.iter().any(|field| field.as_str() == name));
    let untitled = if is_kept_back("title") { "(title: not shown by this grant)" } else { "(no title)" };
    let mut lines = vec![
        format!("# {}", item.title.as_deref().unwrap_or(untitled)),
        format!(
            "source       {} as of {} UTC{}",
            row.source,
            minute(row.as_of),
            if row.cached { ", cached" } else { "" }
        ),
        format!("id           {}", item.id),
        format!("created      {} UTC, changed {} UTC", minute(item.created_at), minute(item.updated_at)),
    ];
    let facts = [
        ("team", item.team.as_ref().map(ToString::to_string)),
        ("project", item.project.as_ref().map(ToString::to_string)),
        ("owner", item.owner.as_ref().map(ToString::to_string)),
        ("tags", (!item.tags.is_empty()).then(|| joined(&item.tags))),
    ];
    lines.extend(facts.into_iter().filter_map(|(name, value)| Some(format!("{name:<12} {}", value?))));
    lines.extend(item.attributes.iter().map(|(name, value)| format!("{name:<12} {}", plain(value))));
    let others = withheld.unwrap_or_default().iter().filter(|field| field.as_str() != "body");
    let others = joined(others);
    lines.extend((!others.is_empty()).then(|| format!("kept back    {others}, where there is any, by this grant")));
    let mut text = lines.iter().map(|line| escaped(line)).collect::<Vec<_>>().join("\n");
    if let Some(body) = &item.body {
        text = format!("{text}\n\n{}", visible(&body.replace("\r\n", "\n").replace('\t', "    ")));
    } else if let Some(none) = bodiless(row, withheld) {
        text = format!("{text}\n\n{none}");
    }
    text
}

/// What stands in the place of a body that is not there. Only a link's grant keeps one back.
fn bodiless(row: &Row, withheld: Option<&[Field]>) -> Option<&'static str> {
    let has_body = Kinds::builtin().get(&row.item.resource).is_some_and(|kind| kind.has("body"));
    match withheld {
        Some(fields) => fields.iter().any(|field| field.as_str() == "body").then_some("body: not shown by this grant"),
        None if row.source == HERE || !has_body => None,
        None => Some("body: none came, and the other side does not say whether this grant shows one"),
    }
}

/// The arguments of `add`.
#[derive(Args)]
pub struct AddArgs {
    /// The kind of row, as in tasks, notes or events; `docs/kinds.md` has them all
    #[arg(value_parser = super::kind)]
    kind: Resource,
    /// One line
    title: String,
    /// Markdown, or - for stdin
    #[arg(long, value_name = "TEXT")]
    body: Option<String>,
    /// The team whose row it is; yours alone if not given
    #[arg(long)]
    team: Option<TeamId>,
    /// The project it belongs to
    #[arg(long)]
    project: Option<Project>,
    /// A label; may be repeated
    #[arg(long, value_name = "TAG")]
    tag: Vec<Tag>,
    /// An attribute of its kind, as in status=open; may be repeated
    #[arg(long = "set", value_name = "NAME=VALUE")]
    attributes: Vec<String>,
}

/// The row that was written.
#[derive(Serialize, JsonSchema)]
pub struct Added {
    /// Which row.
    #[schemars(with = "Option<shape::Id>")]
    id: Option<ItemId>,
    /// Which kind of row.
    #[schemars(with = "shape::Kind")]
    kind: Resource,
}

/// `add`.
pub async fn add(args: AddArgs, client: &Client, out: &Out) -> Outcome {
    let kind = args.kind.clone();
    known_kind(&kind)?;
    if let Some(team) = &args.team {
        writable_team(client, team).await?;
    }
    let order = view::ItemsOrder { items: vec![args.item()?], check: false };
    let written: Vec<view::Written> = client.post("/v1/items", &order).await?;
    let written = written.into_iter().next().ok_or_else(|| Failure::of("the daemon gave no verdict"))?;
    if written.verdict == view::PutVerdict::Refused {
        return Err(refused(&kind, written.reason.as_deref().unwrap_or("refused without a reason")));
    }
    out.value(&Added { id: written.id, kind: kind.clone() }, |added| or_dash(added.id.as_ref()))?;
    out.next(&format!("get {kind} {}", written.id.map(|id| short(&id)).unwrap_or_default()));
    Ok(Exit::Done)
}

/// The daemon's reason as cause and next step; of an attribute that a kind has not, the one that may be meant.
fn refused(kind: &Resource, reason: &str) -> Failure {
    let (cause, next) = match reason.split_once("; ") {
        Some((cause, next)) => (cause, next.to_owned()),
        None => (reason, format!("docs/kinds.md has what each attribute of {kind} takes")),
    };
    let unknown = cause.rsplit_once("no attribute `").and_then(|(_, name)| name.strip_suffix('`'));
    let Some(unknown) = unknown else { return Failure::new(Exit::Usage, cause).next(next) };
    let known = next.trim_end_matches(" exist");
    let near = nearness::nearest(&unknown.to_lowercase(), known.split(", "));
    let meant = near.map_or_else(String::new, |near| format!(" (`{near}` may be meant)"));
    Failure::new(Exit::Usage, format!("{cause}{meant}"))
        .next(format!("name one that {kind} have: --set with one of {known}"))
}

impl AddArgs {
    fn item(self) -> Outcome<NewItem> {
        let Self { kind, title, body, team, project, tag, attributes } = self;
        let pairs = attributes.iter().map(|pair| attribute(&kind, pair));
        Ok(NewItem {
            attributes: pairs.collect::<Outcome<Map<_, _>>>()?,
            body: body.map(text_or_stdin).transpose()?,
            tags: tag.into_iter().collect::<BTreeSet<_>>(),
            resource: kind,
            title,
            team,
            project,
            source_key: None,
            created_at: None,
        })
    }
}

fn text_or_stdin(text: String) -> Outcome<String> {
    if text != "-" {
        return Ok(text);
    }
    let mut read = String::new();
    std::io::stdin().read_to_string(&mut read).map_err(|error| {
        Failure::new(Exit::Usage, format!("the body cannot be read from stdin: {error}"))
            .next("pipe UTF-8 text into it")
    })?;
    Ok(read)
}

/// `name=value` as the kind's type says; whether it fits is the daemon's to judge.
fn attribute(kind: &Resource, pair: &str) -> Outcome<(String, Value)> {
    let wrong = |cause: String| Failure::new(Exit::Usage, cause).next("as in --set status=open");
    let named = pair.split_once('=').filter(|(name, _)| !name.is_empty());
    let (name, text) = named.ok_or_else(|| wrong(format!("`{pair}` is no NAME=VALUE")))?;
    let known =
        Kinds::builtin().get(kind).and_then(|kind| kind.fields.iter().find(|(field, _)| field.as_str() == name));
    let value = match known.map(|(_, field)| field.kind) {
        Some(kind @ (Type::Number | Type::Flag)) => {
            let wanted = if kind == Type::Number { "a number" } else { "true or false" };
            serde_json::from_str(text).map_err(|_| {
                let cause = format!("`{name}` takes {wanted}, not `{text}`");
                Failure::new(Exit::Usage, cause).next(format!("write {wanted} after --set {name}="))
            })?
        }
        Some(Type::List) => text.split(',').map(|item| Value::from(item.trim())).collect(),
        _ => Value::from(text),
    };
    Ok((name.to_owned(), value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_row_that_is_refused_has_cause_and_next_step_apart() {
        let told = |reason: &str| {
            let Failure { cause, next, .. } = refused(&"tasks".parse().unwrap(), reason);
            (cause, next.unwrap())
        };
        let (cause, next) = told("`x`: there is no attribute `stat`; due, start, status exist");
        assert_eq!(cause, "`x`: there is no attribute `stat` (`start` may be meant)");
        assert_eq!(next, "name one that tasks have: --set with one of due, start, status");
        assert_eq!(told("no title; give it one"), ("no title".to_owned(), "give it one".to_owned()));
        assert!(told("`status` takes one of open, done").1.starts_with("docs/kinds.md has"));
    }

    #[test]
    fn a_value_is_shown_without_the_marks_of_json() {
        for (value, shown) in [
            (json!("a, \"b\""), "a, \"b\""),
            (json!(["Anna B.", "c@example.org"]), "Anna B., c@example.org"),
            (json!([]), ""),
            (json!(1.5), "1.5"),
            (json!(true), "true"),
        ] {
            assert_eq!(plain(&value), shown);
        }
    }
}
