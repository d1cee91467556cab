//! What people's files are: known by their names, or said with `--format`. A `.json` file is one of ours only if it begins as
//! Taskwarrior prints its tasks; any other program's is left alone.

use super::open;
use clap::ValueEnum;
use std::{io::Read, path::Path};

/// What is in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// One note a file; wiki links, attachments, front matter
    Markdown,
    /// One row a line
    Jsonl,
    /// RFC 5545: events and tasks
    Icalendar,
    /// What `task export` prints
    Taskwarrior,
    /// One task a line
    Todotxt,
}

/// What a path must be to be read.
pub const IMPORTABLE: &str = "a folder, Markdown (.md, .markdown), a calendar (.ics, .ical), JSON lines (.jsonl, .ndjson), \
     todo.txt (todo.txt, done.txt, *.todo.txt), or what `task export` printed (.json)";

/// What the name of a folder's files must say.
pub const SEARCHED: &str = "a folder is searched for files that end in .md, .markdown, .ics, .ical, .jsonl, .ndjson or \
     .todo.txt, for todo.txt and done.txt, and for .json that begins as a Taskwarrior export";

/// How much of a `.json` file is looked at.
const LOOK: u64 = 8_192;

impl Format {
    /// What is in a file; none where it is not for an import. Of a name that other programs use as well, the file is looked into.
    pub fn of(path: &Path) -> Option<Self> {
        Self::of_name(path).filter(|format| !format.needs_a_look() || begins_as_tasks(path))
    }

    /// What is in a file of this name, if it [is not to be looked into](Self::needs_a_look) first. Opens nothing.
    pub fn of_name(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_string_lossy().to_lowercase();
        let ends = |endings: &[&str]| endings.iter().any(|ending| name.ends_with(ending));
        if ends(&[".md", ".markdown"]) {
            Some(Self::Markdown)
        } else if ends(&[".jsonl", ".ndjson"]) {
            Some(Self::Jsonl)
        } else if ends(&[".ics", ".ical"]) {
            Some(Self::Icalendar)
        } else if matches!(name.as_str(), "todo.txt" | "done.txt") || ends(&[".todo.txt"]) {
            Some(Self::Todotxt)
        } else {
            ends(&[".json"]).then_some(Self::Taskwarrior)
        }
    }

    /// Whether its name is also that of other programs' files.
    pub const fn needs_a_look(self) -> bool {
        matches!(self, Self::Taskwarrior)
    }

    /// Whether a file's rows are known by the folder that it lies in, so that one that moves between the folder's files is
    /// still the same: a note by its path, a line of todo.txt that was archived to done.txt.
    pub const fn is_of_its_folder(self) -> bool {
        matches!(self, Self::Markdown | Self::Todotxt)
    }
}

/// Whether the first object has what every task of an export has.
pub fn begins_as_tasks(path: &Path) -> bool {
    let mut bytes = Vec::new();
    if open::regular(path).and_then(|file| file.take(LOOK).read_to_end(&mut bytes)).is_err() {
        return false;
    }
    let text = String::from_utf8_lossy(&bytes);
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let text = text.strip_prefix('[').unwrap_or(text).trim_start();
    // An export of no tasks is an empty list.
    text.trim_end() == "]"
        || text.starts_with('{') && ["\"uuid\"", "\"description\""].iter().all(|key| text.contains(key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_name_says_what_is_in_a_file() {
        let said = |name: &str| Format::of_name(Path::new(name));
        for name in ["a.md", "b.MARKDOWN"] {
            assert_eq!(said(name), Some(Format::Markdown));
        }
        for name in ["todo.txt", "Done.txt", "work.todo.txt"] {
            assert_eq!(said(name), Some(Format::Todotxt));
        }
        assert_eq!((said("a.ics"), said("x/b.ndjson")), (Some(Format::Icalendar), Some(Format::Jsonl)));
        assert_eq!((said("notes.txt"), said("a.json"), said("md")), (None, Some(Format::Taskwarrior), None));
        assert_eq!(Format::of(Path::new("no/such.json")), None, "which says nothing yet");
    }

    #[test]
    fn json_is_taken_only_if_it_begins_as_an_export() {
        let dir = tempfile::tempdir().unwrap();
        let said = |text: &str| {
            let path = dir.path().join("x.json");
            fs::write(&path, text).unwrap();
            Format::of(&path)
        };
        for text in
            ["[\n{\"id\":1,\"description\":\"a\",\"uuid\":\"b\"}\n]\n", "{\"uuid\":\"b\",\"description\":\"a\"}", "[]"]
        {
            assert_eq!(said(text), Some(Format::Taskwarrior), "{text}");
        }
        for text in ["{\"name\":\"package\"}", "[1]", "", "[{\"uuid\":1}]"] {
            assert_eq!(said(text), None, "{text}");
        }
    }
}
