//! Text of people's files as rows take it: whole, in UTF-8, with titles of one line.

use super::walk::File;
use domain::{Time, item::MAX_ITEM_BYTES};
use std::io::Read;
use time::OffsetDateTime;

/// Characters of a title at most.
const MAX_TITLE: usize = 300;
/// The largest file that is read whole: a calendar, an export, a todo.txt.
pub const MAX_FILE: usize = 64 << 20;
/// What is taken of a component, a task or a line: no row is larger.
pub const MAX_PART: usize = MAX_ITEM_BYTES;

/// The text of a file of at most `most` bytes without its mark of order, and when it last changed. A file that is too large is
/// not read whole first.
pub fn load(file: &File, most: usize) -> Result<(String, Option<Time>), String> {
    let opened = file.open()?;
    let changed = opened.metadata().and_then(|meta| meta.modified()).ok();
    let mut bytes = Vec::new();
    opened.take(most as u64 + 1).read_to_end(&mut bytes).map_err(|error| super::unread(&error))?;
    if bytes.len() > most {
        return Err(format!("larger than {most} bytes; split it"));
    }
    let mut text = String::from_utf8(bytes).map_err(|error| {
        format!("no UTF-8 at byte {}; convert it, as in `iconv -t UTF-8`", error.utf8_error().valid_up_to())
    })?;
    if text.contains('\0') {
        return Err("holds a NUL byte: no text; save it as text, or leave it out".to_owned());
    }
    if text.starts_with('\u{feff}') {
        text.remove(0);
    }
    Ok((text, changed.map(|changed| OffsetDateTime::from(changed).into())))
}

/// The lines of a text with their numbers, from 1, each copied when it is asked for.
pub struct Lines {
    text: String,
    at: usize,
    number: usize,
}

impl Lines {
    /// From the first.
    pub fn of(text: String) -> Self {
        Self { text, at: 0, number: 0 }
    }
}

impl Iterator for Lines {
    type Item = (usize, String);

    fn next(&mut self) -> Option<Self::Item> {
        let line = self.text.get(self.at..)?.split_inclusive('\n').next()?;
        self.at += line.len();
        self.number += 1;
        Some((self.number, line.lines().next().unwrap_or_default().to_owned()))
    }
}

/// One line of sensible length.
pub fn title(text: &str) -> String {
    let line: String = text.chars().map(|c| if is_break(c) { ' ' } else { c }).collect();
    line.trim().chars().take(MAX_TITLE).collect()
}

/// A title, and the body with the whole of it first where the title had to be shortened: nothing is lost.
pub fn titled(text: &str, body: Option<String>) -> (String, Option<String>) {
    let line = title(text);
    if line.chars().count() >= text.trim().chars().count() {
        return (line, body);
    }
    let body = body.map_or_else(|| text.to_owned(), |body| format!("{text}\n\n{body}"));
    (line, Some(body))
}

/// What is wrong with JSON of one line, whose number the parser cannot know: cause, column and next step.
pub fn no_json(error: &serde_json::Error, next: &str) -> String {
    format!("no JSON: {} at column {}; {next}", cause(error), error.column())
}

/// The same without a place.
pub fn cause(error: &serde_json::Error) -> String {
    let said = error.to_string();
    said.split(" at line ").next().unwrap_or(&said).to_owned()
}

fn is_break(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_numbered_and_without_their_ends() {
        let lines: Vec<_> = Lines::of("a\r\n\nb\n".to_owned()).collect();
        assert_eq!(lines, [(1, "a".to_owned()), (2, String::new()), (3, "b".to_owned())]);
        assert_eq!(Lines::of(String::new()).next(), None);
    }

    #[test]
    fn what_a_title_cannot_hold_stands_whole_in_the_body() {
        let long = "word ".repeat(100);
        let (title, body) = titled(&long, Some("more".into()));
        assert_eq!(title.chars().count(), 300);
        assert_eq!(body.unwrap(), format!("{long}\n\nmore"));
        assert_eq!(titled(" a\nb ", None), ("a b".to_owned(), None));
    }
}
