//! Which files an import reads: every Markdown file below a folder, in a fixed order, hidden ones too; or the one file that
//! was named. Links are followed; one that leads in a circle is reported. JSON lines are read only from a file that was
//! named: in a folder they may be anybody's.

use super::Refused;
use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
};
use walkdir::{DirEntry, WalkDir};

/// What is in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One note.
    Markdown,
    /// One item a line.
    Lines,
}

/// What a named file must be called to be read.
pub const IMPORTABLE: &str = "a folder of Markdown, a Markdown file (.md), or JSON lines (.jsonl, .ndjson)";

/// What is in a file of this name; none where it is not for an import.
pub fn kind(path: &Path) -> Option<Kind> {
    match path.extension().and_then(OsStr::to_str).map(str::to_lowercase).as_deref() {
        Some("md") => Some(Kind::Markdown),
        Some("jsonl" | "ndjson") => Some(Kind::Lines),
        _ => None,
    }
}

/// A file to read.
#[derive(Clone, Debug)]
pub struct File {
    /// Where it is.
    pub path: PathBuf,
    /// Where it is below the root, with `/`; the file's name where the root is the file.
    pub relative: String,
    /// What is in it.
    pub kind: Kind,
}

/// The files below `root`, or `root` itself where it is a file.
pub fn files(root: &Path) -> impl Iterator<Item = Result<File, Refused>> {
    let root = root.to_owned();
    let entries = WalkDir::new(&root).follow_links(true).sort_by_file_name().into_iter();
    entries.filter_map(move |entry| match entry {
        Ok(entry) => wanted(&root, &entry).map(Ok),
        Err(error) => Some(Err(unreadable(&root, &error))),
    })
}

fn wanted(root: &Path, entry: &DirEntry) -> Option<File> {
    if !entry.file_type().is_file() {
        return None;
    }
    let named = entry.depth() == 0;
    let kind = kind(entry.path()).filter(|kind| named || *kind == Kind::Markdown)?;
    Some(File { path: entry.path().to_owned(), relative: relative(root, entry.path()), kind })
}

fn relative(root: &Path, path: &Path) -> String {
    let below = path.strip_prefix(root).ok().filter(|below| !below.as_os_str().is_empty());
    let shown = below.or_else(|| path.file_name().map(Path::new)).unwrap_or(path);
    shown.to_string_lossy().into_owned()
}

fn unreadable(root: &Path, error: &walkdir::Error) -> Refused {
    let at = error.path().map_or_else(String::new, |path| relative(root, path));
    let reason = match (error.loop_ancestor(), error.io_error()) {
        (Some(ancestor), _) => format!("a link in a circle: it leads back to {}", relative(root, ancestor)),
        (None, Some(error)) => super::unread(error),
        (None, None) => error.to_string(),
    };
    Refused { at, reason }
}
