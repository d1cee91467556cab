//! `mosaic-fed export`: one's own visible rows as files that `import` reads back. Every row of this instance that the caller
//! sees, none of a link's: what others share stays theirs.

mod folder;
mod note;

use crate::{
    daemon::serve::told_to_stop,
    exit::{Exit, Failure, Outcome},
    import::ItemLine,
    out::Out,
    rooms::{NAME_ONE, asking, no_kind},
};
use api::{client::Client, view};
use clap::Args;
use domain::{
    answer::{HERE, Outcome as Ended, Page},
    id::Resource,
    item::Item,
    kind::{Kinds, Origin},
};
use folder::{Folder, Output};
use schemars::JsonSchema;
use serde::Serialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

/// Rows of one question: with the largest bodies still less than the memory of a small machine.
const PAGE: u32 = 100;
/// The folder of notes as Markdown, and their kind.
const NOTES: &str = "notes";

/// The arguments of `export`.
#[derive(Args)]
pub struct ExportArgs {
    /// A folder that does not exist yet, or an empty one
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Only rows of this kind; may be repeated
    #[arg(long, value_parser = crate::rooms::kind)]
    kind: Vec<Resource>,
    /// Notes as Markdown files instead of JSON lines
    #[arg(long)]
    markdown: bool,
}

/// What an export wrote.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct Exported {
    /// Where the files are.
    directory: PathBuf,
    /// How many by kind; kinds without a row have no file.
    #[schemars(with = "BTreeMap<String, u64>")]
    rows: BTreeMap<Resource, u64>,
}

/// `export`.
pub async fn run(args: ExportArgs, client: &Client, out: &Out) -> Outcome {
    let kinds = kinds(args.kind)?;
    let stop = told_to_stop()?;
    let folder = Folder::new(&args.folder)?;
    // Broken off, the folder is dropped, and with it everything that was written.
    let rows = tokio::select! {
        biased;
        () = stop => return Err(Failure::new(Exit::Interrupted, "interrupted; nothing was exported")),
        rows = every(&kinds, args.markdown, client, &folder) => rows?,
    };
    let exported = Exported { directory: folder.done()?, rows };
    out.value(&exported, shown)?;
    // Here the rows would be read as new ones: they do not say where they were found.
    if !out.json {
        let folder = crate::config::shell_word(&exported.directory.display().to_string());
        out.remark(&format!("next, on another instance: mosaic-fed import {folder} --check"));
    }
    Ok(Exit::Done)
}

fn shown(exported: &Exported) -> String {
    let Exported { directory, rows } = exported;
    let rows: Vec<_> = rows.iter().map(|(kind, rows)| format!("{kind} {rows}")).collect();
    let rows = if rows.is_empty() { "no row that you can see".to_owned() } else { rows.join(", ") };
    format!("{}: {rows}", directory.display())
}

fn kinds(asked: Vec<Resource>) -> Outcome<BTreeSet<Resource>> {
    let known = Kinds::builtin();
    if let Some(unknown) = asked.iter().find(|kind| known.get(kind).is_none()) {
        return Err(no_kind(Exit::Missing, unknown.as_str(), NAME_ONE));
    }
    if let Some(listed) = asked.iter().find(|kind| !is_written(kind)) {
        let cause = format!("{listed} are the workspace's directory, which no import writes");
        return Err(Failure::new(Exit::Usage, cause).next(format!("leave --kind {listed} out")));
    }
    Ok(if asked.is_empty() {
        known.names().filter(|kind| is_written(kind)).cloned().collect()
    } else {
        asked.into_iter().collect()
    })
}

/// Whether its rows are written by people and importers, and not listed by the workspace.
fn is_written(kind: &Resource) -> bool {
    Kinds::builtin().get(kind).is_some_and(|kind| kind.origin == Origin::Items)
}

async fn every(
    kinds: &BTreeSet<Resource>,
    markdown: bool,
    client: &Client,
    folder: &Folder,
) -> Outcome<BTreeMap<Resource, u64>> {
    let mut counts = BTreeMap::new();
    for kind in kinds {
        let as_notes = markdown && kind.as_str() == NOTES;
        let mut target = if as_notes { Target::Notes(note::Places::default()) } else { Target::Lines(None) };
        let count = rows(kind, client, folder, &mut target).await?;
        target.done()?;
        if count > 0 {
            counts.insert(kind.clone(), count);
        }
    }
    Ok(counts)
}

/// Writes every row of a kind, page by page.
async fn rows(kind: &Resource, client: &Client, folder: &Folder, target: &mut Target) -> Outcome<u64> {
    let (mut count, mut cursor) = (0, None);
    loop {
        let question = view::ListQuestion {
            from: Some(HERE.to_owned()),
            limit: Some(PAGE),
            body: true,
            cursor,
            ..view::ListQuestion::default()
        };
        let page: Page = client.get(&asking(&format!("/v1/rows/{kind}"), &question)?).await?;
        if let Some(source) = page.sources.iter().find(|source| source.outcome != Ended::Ok) {
            let cause = format!("{kind} could not be read to the end: {}; nothing was exported", source.outcome);
            return Err(Failure::new(Exit::Unavailable, cause).next("try again; see `mosaic-fed status`"));
        }
        for row in page.rows {
            target.row(folder, kind, row.item)?;
            count += 1;
        }
        cursor = page.next;
        if cursor.is_none() {
            return Ok(count);
        }
    }
}

/// Where the rows of a kind go.
enum Target {
    /// One file of JSON lines, made with the first row.
    Lines(Option<Output>),
    /// A file each, with the places that are taken.
    Notes(note::Places),
}

impl Target {
    fn row(&mut self, folder: &Folder, kind: &Resource, item: Item) -> Outcome<()> {
        match self {
            Self::Lines(open) => {
                let file = match open {
                    Some(file) => file,
                    None => open.insert(folder.file(&format!("{kind}.jsonl"))?),
                };
                let line = serde_json::to_string(&ItemLine::from(item)).map_err(Failure::of)?;
                file.write(format!("{line}\n").as_bytes())
            }
            Self::Notes(places) => {
                let relative = format!("{NOTES}/{}", note::place(&item, places));
                let mut file = folder.file(&relative)?;
                file.write(note::text(&item, &relative)?.as_bytes())?;
                file.done()
            }
        }
    }

    fn done(self) -> Outcome<()> {
        match self {
            Self::Lines(Some(file)) => file.done(),
            Self::Lines(None) | Self::Notes(_) => Ok(()),
        }
    }
}
