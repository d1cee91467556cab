//! Which files an import reads: every file below a folder whose name says one of the formats, in a fixed order, hidden ones
//! too; or the one file that was named. Links are followed; one that leads in a circle is reported. What a vault keeps for
//! itself, `.obsidian` and `.trash`, is left out.

use super::{format::Format, report::Refused};
use std::path::{Path, PathBuf};
use walkdir::{DirEntry, WalkDir};

/// Folders that belong to the program a vault is written with, not to its owner's notes.
const OF_THE_VAULT: [&str; 2] = [".obsidian", ".trash"];

/// A file to read.
#[derive(Clone, Debug)]
pub struct File {
    /// Where it is.
    pub path: PathBuf,
    /// Where it is below the root, with `/`; the file's name where the root is the file.
    pub relative: String,
    /// What is in it.
    pub format: Format,
    /// Whether it is the root itself.
    pub named: bool,
    /// In bytes, as far as it is known.
    pub size: u64,
}

impl File {
    /// What the keys of this file's rows begin with: its own place below the source, so that two files of a folder may have
    /// equal keys, and a file imported alone makes the rows that its folder made.
    pub fn scope(&self, source: &str) -> String {
        if self.named { source.to_owned() } else { format!("{source}/{}", self.relative) }
    }

    /// The same for the folder it lies in.
    pub fn folder_scope(&self, source: &str) -> String {
        let parent = self.relative.rsplit_once('/').map(|(parent, _)| parent).filter(|_| !self.named);
        parent.map_or_else(|| source.to_owned(), |parent| format!("{source}/{parent}"))
    }

    /// As [`Refused`], at this file.
    pub fn refuse(&self, reason: impl Into<String>) -> Refused {
        Refused { at: self.relative.clone(), reason: reason.into() }
    }

    /// The same at a line of it, from 1.
    pub fn refuse_line(&self, line: usize, reason: impl Into<String>) -> Refused {
        Refused { at: self.line(line), reason: reason.into() }
    }

    /// `file:line`.
    pub fn line(&self, line: usize) -> String {
        format!("{}:{line}", self.relative)
    }
}

/// The files below `root` of the one format asked for, or of any; or `root` itself where it is a file, whatever its name where
/// the format is said.
pub fn files(root: &Path, format: Option<Format>) -> impl Iterator<Item = Result<File, Refused>> {
    let root = root.to_owned();
    let entries = WalkDir::new(&root).follow_links(true).sort_by_file_name().into_iter();
    let entries = entries.filter_entry(|entry| entry.depth() == 0 || !of_the_vault(entry));
    entries.filter_map(move |entry| match entry {
        Ok(entry) => wanted(&root, &entry, format).map(Ok),
        Err(error) => Some(Err(unreadable(&root, &error))),
    })
}

fn of_the_vault(entry: &DirEntry) -> bool {
    entry.file_type().is_dir() && OF_THE_VAULT.iter().any(|name| entry.file_name() == *name)
}

fn wanted(root: &Path, entry: &DirEntry, asked: Option<Format>) -> Option<File> {
    if !entry.file_type().is_file() {
        return None;
    }
    let named = entry.depth() == 0;
    let format = match asked {
        Some(asked) if named => asked,
        _ => Format::of(entry.path()).filter(|format| asked.is_none_or(|asked| asked == *format))?,
    };
    let size = entry.metadata().map_or(0, |meta| meta.len());
    Some(File { path: entry.path().to_owned(), relative: relative(root, entry.path()), format, named, size })
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
