//! One way to read any file: its format's reader makes rows one by one, and what must outlive the file stands in [`Reading`].

use super::{
    Common, calendar,
    format::Format,
    jsonl, keys, markdown,
    progress::Progress,
    report::{Refused, Tally},
    taskwarrior, todo_txt,
    walk::File,
};
use domain::item::NewItem;
use std::iter;

/// An item with the place it was found at.
#[derive(Debug)]
pub struct Sourced {
    /// `file`, `file:line` or `file: item`.
    pub at: String,
    /// The item.
    pub item: NewItem,
}

/// The rows of a file, made as they are asked for: a series is many of them, each with the whole text.
pub type Rows<'a> = Box<dyn Iterator<Item = Result<Sourced, Refused>> + 'a>;

/// An import's files being read.
#[derive(Debug)]
pub struct Reading<'a> {
    /// What every item has in common.
    pub common: &'a Common,
    /// How far it is.
    pub progress: Progress,
    /// What was left out or read in part.
    pub tally: Tally,
    /// The tasks of each folder of todo.txt.
    pub todo: todo_txt::Repeats,
}

impl<'a> Reading<'a> {
    /// Nothing is read yet.
    pub fn new(common: &'a Common, progress: Progress) -> Self {
        Self { common, progress, tally: Tally::default(), todo: todo_txt::Repeats::default() }
    }

    /// Reads a file. What is wrong with the whole of it is a refusal among its rows.
    pub fn rows<'r>(&'r mut self, file: &'r File) -> Rows<'r> {
        let source = self.common.source.clone();
        let fitting = move |mut row: Sourced| {
            row.item.source_key = row.item.source_key.map(|key| keys::fitting(key, &source));
            row
        };
        Box::new(self.of_format(file).map(move |row| row.map(&fitting)))
    }

    fn of_format<'r>(&'r mut self, file: &'r File) -> Rows<'r> {
        let progress = self.progress.clone();
        let rows = match file.format {
            // Read line by line, and shown so.
            Format::Jsonl => return jsonl::rows(file, self),
            Format::Markdown => markdown::rows(file, self),
            Format::Icalendar => calendar::rows(file, self),
            Format::Taskwarrior => taskwarrior::rows(file, self),
            Format::Todotxt => todo_txt::rows(file, self),
        };
        let read = iter::from_fn(move || {
            progress.bytes(file.stamp.size);
            None
        });
        Box::new(rows.chain(read))
    }
}

/// A file of which nothing could be read.
pub fn nothing(refused: Refused) -> Rows<'static> {
    Box::new(iter::once(Err(refused)))
}

#[cfg(test)]
pub mod tests {
    use super::{super::walk::Walk, *};

    /// The rows of a file of this name and content, read as one of `kind` where it does not say, and what was left out.
    pub fn rows_of(name: &str, content: &[u8], kind: &str) -> (Vec<Result<Sourced, Refused>>, Tally) {
        taken_of(name, content, kind, |rows| rows.collect())
    }

    /// As [`rows_of`], with what `take` makes of the rows one by one.
    pub fn taken_of<T>(name: &str, content: &[u8], kind: &str, take: impl FnOnce(Rows<'_>) -> T) -> (T, Tally) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(name), content).unwrap();
        let path = dir.path().canonicalize().unwrap().join(name);
        let file = Walk::new(&path, Format::of_name(name.as_ref()), false).files().next().unwrap().unwrap();
        let common = Common::of_tests(kind);
        let mut reading = Reading::new(&common, Progress::none());
        let taken = take(reading.rows(&file));
        (taken, reading.tally)
    }
}
