//! What people and programs see: tables or JSON of the same value on stdout, everything else on stderr.

use crate::{
    exit::{Exit, Failure},
    reach::Reach,
    table::Table,
};
use domain::{id::Name, say};
use serde::Serialize;
use std::io::{self, IsTerminal, Write};

/// Where a command writes.
#[derive(Clone, Debug)]
pub struct Out {
    /// Whether values are printed as JSON.
    pub json: bool,
    /// How a next command reaches the same instance.
    pub reach: Reach,
}

impl Out {
    /// Prints JSON if asked; next commands reach what this one did.
    pub fn new(json: bool, reach: Reach) -> Self {
        Self { json, reach }
    }

    /// The same for next commands in another workspace.
    pub fn in_workspace(&self, workspace: Name) -> Self {
        Self { reach: Reach { workspace: Some(workspace), ..self.reach.clone() }, ..*self }
    }

    /// A value: as JSON, or as `shown` draws it.
    pub fn value<T: Serialize>(&self, value: &T, shown: impl FnOnce(&T) -> String) -> Result<(), Failure> {
        let json = || serde_json::to_string_pretty(value).map(|text| plain_json(&text)).map_err(Failure::of);
        let mut text = if self.json { json()? } else { shown(value) };
        if !text.ends_with('\n') && !text.is_empty() {
            text.push('\n');
        }
        self.raw(text.as_bytes())
    }

    /// Many values of one kind: as JSON, or as a table.
    pub fn table<T: Serialize>(&self, value: &T, table: impl FnOnce(&T) -> Table) -> Result<(), Failure> {
        self.value(value, |value| self.drawn(&table(value)))
    }

    /// A table as wide as the terminal at most.
    #[expect(clippy::unused_self, reason = "every way out is a method of the same thing")]
    pub fn drawn(&self, table: &Table) -> String {
        table.draw(width())
    }

    /// One value of a stream: as a line of JSON, or as `shown` draws it.
    pub fn line<T: Serialize>(&self, value: &T, shown: impl FnOnce(&T) -> String) -> Result<(), Failure> {
        let json = || serde_json::to_string(value).map(|text| plain_json(&text)).map_err(Failure::of);
        let mut text = if self.json { json()? } else { shown(value) };
        text.push('\n');
        self.raw(text.as_bytes())
    }

    /// Bytes as they are. A reader that has seen enough is [`Failure::unread`].
    #[expect(clippy::unused_self, reason = "every way out is a method of the same thing")]
    pub fn raw(&self, bytes: &[u8]) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Failure::unread()),
            written => written.map_err(|error| Failure::new(Exit::Failed, format!("cannot print: {error}"))),
        }
    }

    /// A remark beside the answer, for people.
    #[expect(clippy::unused_self, reason = "every way out is a method of the same thing")]
    pub fn remark(&self, text: &str) {
        // stderr that is closed takes no remarks; the answer is on stdout
        drop(writeln!(io::stderr().lock(), "{}", escaped(text)));
    }

    /// The command to try next, where people read.
    pub fn next(&self, command: &str) {
        if !self.json {
            self.remark(&format!("next: {}", self.reach.command(command)));
        }
    }

    /// A failure: cause and next step, on stderr. That nobody reads any further is no reason to complain.
    pub fn failure(&self, failure: &Failure) {
        if failure.is_unread() {
            return;
        }
        let mut stderr = io::stderr().lock();
        let next = failure.next.as_deref().map(|next| self.reach.rewrite(next));
        let written = if self.json {
            let failure = Failure { next, ..failure.clone() };
            serde_json::to_string(&failure)
                .map_err(io::Error::other)
                .and_then(|text| writeln!(stderr, "{}", plain_json(&text)))
        } else {
            let next = next.map_or_else(String::new, |next| format!("\n  next: {}", visible(&next)));
            writeln!(stderr, "error: {}{next}", visible(&failure.cause))
        };
        drop(written);
    }
}

/// Text of ours with line breaks, with everything escaped that could play with a terminal.
pub fn visible(text: &str) -> String {
    text.split('\n').map(escaped).collect::<Vec<_>>().join("\n")
}

/// One line, whole, with control and direction characters escaped.
pub fn escaped(line: &str) -> String {
    say::escaped(line).collect()
}

/// JSON of the same value in which nothing plays with a terminal: such characters stand in strings alone, where `\u` says the same.
fn plain_json(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        if say::is_hidden(c) && c != '\n' {
            plain.extend(c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")));
        } else {
            plain.push(c);
        }
    }
    plain
}

/// Columns of the terminal; none when stdout is no terminal.
fn width() -> Option<usize> {
    let (width, _) = io::stdout().is_terminal().then(terminal_size::terminal_size).flatten()?;
    Some(usize::from(width.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_says_the_same_value_with_nothing_hidden_in_it() {
        let hidden = "a\u{1b}[2J\u{7f}\u{85}\u{9b}31m\u{200b}\u{2028}\u{202e}\u{2066}\u{feff}\n\"é😀";
        for text in [serde_json::to_string(hidden).unwrap(), serde_json::to_string_pretty(&[hidden]).unwrap()] {
            let plain = plain_json(&text);
            assert!(!plain.chars().any(|c| say::is_hidden(c) && c != '\n'), "{plain:?}");
            let said: serde_json::Value = serde_json::from_str(&plain).unwrap();
            assert_eq!(said, serde_json::from_str::<serde_json::Value>(&text).unwrap());
        }
    }
}
