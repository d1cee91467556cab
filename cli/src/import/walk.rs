//! Which files an import reads: every file below a folder whose name says one of the formats, in a fixed order, hidden ones
//! too; or the one file that was named. Links are followed; one that leads in a circle is reported. What a vault keeps for
//! itself, `.obsidian` and `.trash`, is left out. Nothing is opened, but what a name leaves in doubt, and that only when it is
//! new or another than before.

use super::{
    format::{self, Format},
    report::Refused,
};
use std::{
    collections::HashMap,
    fs::Metadata,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::SystemTime,
};
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
    /// What it is told from a later one by.
    pub stamp: FileStamp,
}

/// What is known of a file without reading it. A file with the same stamp is taken for the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileStamp {
    /// In bytes.
    pub size: u64,
    /// When it was written.
    pub modified: Option<SystemTime>,
    /// Which file it is, and when anything about it changed, also who may read it: seconds and nanoseconds.
    pub node: (u64, i64, i64),
}

impl FileStamp {
    fn of(meta: &Metadata) -> Self {
        Self { size: meta.len(), modified: meta.modified().ok(), node: (meta.ino(), meta.ctime(), meta.ctime_nsec()) }
    }
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

/// The way through what is imported, which may be taken again.
#[derive(Debug)]
pub struct Walk {
    root: PathBuf,
    format: Option<Format>,
    looks: Looks,
}

/// Of files that had to be looked into: whether they are for an import.
#[derive(Debug, Default)]
struct Looks(HashMap<PathBuf, (FileStamp, bool)>);

impl Walk {
    /// Takes the files below `root` of the one format asked for, or of any; or `root` itself where it is a file, whatever its
    /// name where the format is said.
    pub fn new(root: &Path, format: Option<Format>) -> Self {
        Self { root: root.to_owned(), format, looks: Looks::default() }
    }

    /// The files as they are.
    pub fn files(&mut self) -> impl Iterator<Item = Result<File, Refused>> {
        let Self { root, format, looks } = self;
        let mut former = std::mem::take(looks);
        let entries = WalkDir::new(&*root).follow_links(true).sort_by_file_name().into_iter();
        let entries = entries.filter_entry(|entry| entry.depth() == 0 || !of_the_vault(entry));
        entries.filter_map(move |entry| match entry {
            Ok(entry) => wanted(root, &entry, *format, |path, stamp| looks.again(&mut former, path, stamp)).map(Ok),
            Err(error) => Some(Err(unreadable(root, &error))),
        })
    }

    /// Bytes of all files.
    pub fn bytes(&mut self) -> u64 {
        self.files().filter_map(|file| Some(file.ok()?.stamp.size)).sum()
    }
}

impl Looks {
    /// Looks into a file, unless the former look was at the same.
    fn again(&mut self, former: &mut Self, path: &Path, stamp: FileStamp) -> bool {
        let known = former.0.remove(path).filter(|(looked_at, _)| *looked_at == stamp);
        let says = known.map_or_else(|| format::begins_as_tasks(path), |(_, says)| says);
        self.0.insert(path.to_owned(), (stamp, says));
        says
    }
}

fn of_the_vault(entry: &DirEntry) -> bool {
    entry.file_type().is_dir() && OF_THE_VAULT.iter().any(|name| entry.file_name() == *name)
}

fn wanted(
    root: &Path,
    entry: &DirEntry,
    asked: Option<Format>,
    look: impl FnOnce(&Path, FileStamp) -> bool,
) -> Option<File> {
    if !entry.file_type().is_file() {
        return None;
    }
    let (path, named) = (entry.path(), entry.depth() == 0);
    let stamp = entry.metadata().map_or_else(|_| FileStamp::default(), |meta| FileStamp::of(&meta));
    let format = match asked {
        Some(asked) if named => asked,
        _ => {
            let format = Format::of_name(path).filter(|format| asked.is_none_or(|asked| asked == *format))?;
            (!format.needs_a_look() || look(path, stamp)).then_some(format)?
        }
    };
    Some(File { path: path.to_owned(), relative: relative(root, path), format, named, stamp })
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn names(walk: &mut Walk) -> Vec<String> {
        walk.files().map(|file| file.unwrap().relative).collect()
    }

    #[test]
    fn a_file_is_looked_into_again_only_if_it_is_another() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tasks.json");
        fs::write(&path, "[]").unwrap();
        fs::write(dir.path().join("package.json"), "{}").unwrap();
        let mut walk = Walk::new(dir.path(), None);
        assert_eq!(names(&mut walk), ["tasks.json"]);
        // A look would find another answer than the one that is remembered.
        for (_, says) in walk.looks.0.values_mut() {
            *says = !*says;
        }
        assert_eq!(names(&mut walk), ["package.json"], "neither was opened");
        fs::write(&path, "[ ]").unwrap();
        assert_eq!(names(&mut walk), ["package.json", "tasks.json"], "the one that changed was");
        fs::remove_file(&path).unwrap();
        assert_eq!(names(&mut walk), ["package.json"]);
        assert_eq!(walk.looks.0.len(), 1, "what is gone is forgotten");
    }
}
