//! The file of `invite --from`: who is to be invited, as a spreadsheet writes it. Every line is read before anything is made of one, and
//! each that is wrong is told by its number.

use crate::exit::{Exit, Failure, Outcome};
use api::view::{Invitee, MOST_INVITEES};
use csv::{ReaderBuilder, StringRecord, Trim};
use domain::id::{BadId, Name, Spki};
use std::{
    collections::HashMap,
    fs::File,
    io::{self, Read},
    path::Path,
    str::FromStr,
};

/// The largest file: the most people there can be, with names and keys as long as they become, have room in it twice.
const MOST_BYTES: u64 = 4 << 20;

/// The columns there are.
const COLUMNS: [&str; 3] = ["for", "name", "key"];

/// How a file is to begin.
const BEGIN: &str =
    "let its first line name the columns, as in `for,name,key` or `for` alone, and each further line one user";

/// What is wrong with a line, and what to do.
#[derive(Debug, PartialEq, Eq)]
pub struct Bad {
    /// Which line, from 1.
    pub line: u64,
    /// What is wrong.
    pub cause: String,
    /// What to do; empty where the cause says it.
    pub next: String,
}

/// A file that was read.
#[derive(Debug, Default)]
pub struct List {
    /// Its lines that can be understood, with their numbers.
    pub people: Vec<(u64, Invitee)>,
    /// The others.
    pub bad: Vec<Bad>,
}

/// How a file is called where something is said of it.
pub fn called(path: &Path) -> String {
    if path.as_os_str() == "-" { "stdin".to_owned() } else { path.display().to_string() }
}

/// Reads it, or stdin where it is called `-`.
pub fn read(path: &Path) -> Outcome<List> {
    let mut bytes = Vec::new();
    let read = if path.as_os_str() == "-" {
        io::stdin().lock().take(MOST_BYTES + 1).read_to_end(&mut bytes)
    } else {
        File::open(path).and_then(|file| file.take(MOST_BYTES + 1).read_to_end(&mut bytes))
    };
    read.map_err(|error| Failure::input(path, &error))?;
    parse(&bytes, &called(path))
}

fn parse(bytes: &[u8], file: &str) -> Outcome<List> {
    let wrong = |cause: String, next: &str| Err(Failure::new(Exit::Usage, cause).next(next));
    if bytes.len() as u64 > MOST_BYTES {
        return wrong(format!("{file} is larger than {} MiB", MOST_BYTES >> 20), "invite in several files");
    }
    let text = match str::from_utf8(bytes) {
        Ok(text) => text.strip_prefix('\u{feff}').unwrap_or(text),
        Err(error) => {
            let line = Lines::default().number(bytes, error.valid_up_to());
            return wrong(
                format!("{file}:{line}: it is no text in UTF-8"),
                "save it as CSV in UTF-8, as spreadsheets call it",
            );
        }
    };
    let mut records = Records::new(text);
    let Some((line, header)) = records.next() else { return wrong(format!("{file} is empty"), BEGIN) };
    let columns = match columns(&header) {
        Ok(columns) => columns,
        Err(cause) => return wrong(format!("{file}:{line}: {cause}"), BEGIN),
    };
    let (mut list, mut begun) = (List::default(), line);
    let delimiter = records.delimiter;
    for (line, record) in records {
        begun = line;
        list.take(line, &record, &columns);
        if list.people.len() + list.bad.len() > MOST_INVITEES {
            return wrong(format!("{file} has more than {MOST_INVITEES} lines"), "invite in several files");
        }
    }
    // It has swallowed all that follows it, so it is in the last record.
    if let Some(at) = unclosed(text.as_bytes(), delimiter) {
        list.people.retain(|(line, _)| *line < begun);
        list.bad.retain(|bad| bad.line < begun);
        let line = Lines::default().number(text.as_bytes(), at);
        list.blame(
            line,
            "a quote mark is opened and not closed".to_owned(),
            "close it at the end of its field, or take it away",
        );
    }
    list.twice();
    if list.people.is_empty() && list.bad.is_empty() {
        return wrong(format!("{file} names nobody"), BEGIN);
    }
    Ok(list)
}

/// Where the quote mark stands that is opened and never closed, if there is one.
fn unclosed(bytes: &[u8], delimiter: u8) -> Option<usize> {
    let (mut open, mut begins, mut at) = (None, true, 0);
    while let Some(&byte) = bytes.get(at) {
        match (open, byte) {
            (None, b'"') if begins => open = Some(at),
            // Two of them stand for one.
            (Some(_), b'"') if bytes.get(at + 1) == Some(&b'"') => at += 1,
            (Some(_), b'"') => open = None,
            _ => {}
        }
        begins = open.is_none() && (byte == delimiter || matches!(byte, b'\n' | b'\r'));
        at += 1;
    }
    open
}

/// Where each column stands, in the order of [`COLUMNS`].
fn columns(header: &StringRecord) -> Result<[Option<usize>; 3], String> {
    let mut columns = [None; 3];
    // Spreadsheets write columns without a name behind the last one that has any.
    for (at, name) in header.iter().enumerate().filter(|(_, name)| !name.is_empty()) {
        let known = COLUMNS.iter().position(|column| column.eq_ignore_ascii_case(name));
        let Some(column) = known else {
            let name: String = name.chars().take(80).collect();
            return Err(format!("there is no column `{name}`: the columns are `for`, `name` and `key`"));
        };
        if columns[column].replace(at).is_some() {
            return Err(format!("the column `{}` is there twice", COLUMNS[column]));
        }
    }
    if columns[0].is_none() { Err("the column `for` is missing".to_owned()) } else { Ok(columns) }
}

impl List {
    /// Takes a line, or says all that is wrong with it. One with nothing in it is none, as spreadsheets leave them behind.
    fn take(&mut self, line: u64, record: &StringRecord, columns: &[Option<usize>; 3]) {
        if record.iter().all(str::is_empty) {
            return;
        }
        let before = self.bad.len();
        let cell = |column: usize| columns[column].and_then(|at| record.get(at)).unwrap_or_default();
        let named = |at: usize| columns.contains(&Some(at));
        if let Some((_, extra)) = record.iter().enumerate().find(|(at, text)| !named(*at) && !text.is_empty()) {
            let extra: String = extra.chars().take(80).collect();
            self.blame(line, format!("`{extra}` stands in no column"), "put quote marks around what holds a comma");
        }
        if cell(0).is_empty() {
            self.blame(
                line,
                "the column `for` is empty".to_owned(),
                "write the user whose view is shared: `mosaic-fed user list`",
            );
        }
        let subject = self.cell::<Name>(line, 0, cell(0), "see `mosaic-fed user list`");
        let home = format!("{}-home", cell(0));
        let name = match cell(1) {
            "" if subject.is_none() => None,
            "" => self.cell::<Name>(line, 1, &home, "write another name in the column `name`"),
            name => self.cell(line, 1, name, "write another name in the column `name`"),
        };
        let key = self.cell::<Spki>(
            line,
            2,
            cell(2),
            "write what `mosaic-fed link --prepare` printed there, or leave it empty",
        );
        if let (Some(name), Some(subject), true) = (name, subject, before == self.bad.len()) {
            self.people.push((line, Invitee { name, subject, key }));
        }
    }

    fn blame(&mut self, line: u64, cause: String, next: &str) {
        self.bad.push(Bad { line, cause, next: next.to_owned() });
    }

    /// What a cell says; nothing where it is empty, or wrong, which is told.
    fn cell<T: FromStr<Err = BadId>>(&mut self, line: u64, column: usize, text: &str, next: &str) -> Option<T> {
        if text.is_empty() {
            return None;
        }
        match text.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                self.blame(line, format!("{error}, in the column `{}`", COLUMNS[column]), next);
                None
            }
        }
    }

    /// Blames lines that want what an earlier one wants.
    fn twice(&mut self) {
        let (mut names, mut keys) = (HashMap::new(), HashMap::new());
        let (mut good, mut bad) = (Vec::new(), Vec::new());
        for (line, invitee) in self.people.drain(..) {
            let name = names.insert(invitee.name.clone(), line);
            let key = invitee.key.and_then(|key| keys.insert(key, line));
            let (cause, next) = match (name, key) {
                (Some(first), _) => (
                    format!("the name {} is that of line {first} already", invitee.name),
                    "write another name in the column `name`, or leave the line out",
                ),
                (None, Some(first)) => (
                    format!("the key is that of line {first} already, and a key is good for one invite"),
                    "let each user make a key of their own: `mosaic-fed link --prepare` there",
                ),
                (None, None) => {
                    good.push((line, invitee));
                    continue;
                }
            };
            bad.push(Bad { line, cause, next: next.to_owned() });
        }
        self.people = good;
        self.bad.extend(bad);
    }
}

/// Records with the number of the line that each begins at. The reader's own numbers are behind where lines are empty.
struct Records<'a> {
    text: &'a str,
    reader: csv::Reader<&'a [u8]>,
    lines: Lines,
    delimiter: u8,
}

impl<'a> Records<'a> {
    /// Separated by what the first line has more of.
    fn new(text: &'a str) -> Self {
        let first = text.trim_start().lines().next().unwrap_or_default();
        let many = |mark: char| first.chars().filter(|c| *c == mark).count();
        let delimiter = if many(';') > many(',') { b';' } else { b',' };
        let mut builder = ReaderBuilder::new();
        builder.has_headers(false).flexible(true).trim(Trim::All).delimiter(delimiter);
        Self { text, reader: builder.from_reader(text.as_bytes()), lines: Lines::default(), delimiter }
    }
}

impl Iterator for Records<'_> {
    type Item = (u64, StringRecord);

    fn next(&mut self) -> Option<Self::Item> {
        let start = usize::try_from(self.reader.position().byte()).unwrap_or(self.text.len()).min(self.text.len());
        let bytes = self.text.as_bytes();
        let empty = bytes[start..].iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        let mut record = StringRecord::new();
        // Of text that is there as a whole nothing can fail: neither its encoding, nor how many fields a line has.
        let read = self.reader.read_record(&mut record).unwrap_or(false);
        read.then(|| (self.lines.number(bytes, start + empty), record))
    }
}

/// Counts lines, forwards only.
struct Lines {
    at: usize,
    number: u64,
}

impl Default for Lines {
    fn default() -> Self {
        Self { at: 0, number: 1 }
    }
}

impl Lines {
    /// The line in which the byte at `offset` stands.
    fn number(&mut self, bytes: &[u8], offset: usize) -> u64 {
        let ends = (self.at..offset).filter(|at| match bytes[*at] {
            b'\n' => true,
            b'\r' => bytes.get(at + 1) != Some(&b'\n'),
            _ => false,
        });
        self.number += ends.count() as u64;
        self.at = self.at.max(offset);
        self.number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: impl AsRef<[u8]>) -> List {
        parse(text.as_ref(), "people.csv").unwrap_or_else(|failure| panic!("{failure:?}"))
    }

    fn told(people: &[(u64, Invitee)]) -> Vec<String> {
        let key = |key: Option<Spki>| key.map_or_else(String::new, |key| format!(" {}", &key.to_string()[..4]));
        people.iter().map(|(line, one)| format!("{line} {} {}{}", one.subject, one.name, key(one.key))).collect()
    }

    #[test]
    fn a_list_is_read_as_spreadsheets_and_people_write_it() {
        let key = "ab".repeat(32);
        for (text, wanted) in [
            ("for\nalice\nbob\n".to_owned(), &["2 alice alice-home", "3 bob bob-home"][..]),
            ("for,name,key\nalice,,\n".to_owned(), &["2 alice alice-home"]),
            ("\u{feff}name;for\r\n;alice\r\nbobs;bob\r\n".to_owned(), &["2 alice alice-home", "3 bob bobs"]),
            ("For , KEY\n\n \n alice , \n\n\"bob\"\n".to_owned(), &["4 alice alice-home", "6 bob bob-home"]),
            (format!("key;for;;\n{};alice;;\n;;;\n", key.to_uppercase()), &["2 alice alice-home abab"]),
            ("for,name\ralice,x\rbob".to_owned(), &["2 alice x", "3 bob bob-home"]),
            ("for,name\n\"alice\",\"a\"\n".to_owned(), &["2 alice a"]),
        ] {
            let list = parsed(&text);
            assert_eq!(
                (told(&list.people), list.bad),
                (wanted.iter().map(ToString::to_string).collect(), vec![]),
                "{text:?}"
            );
        }
    }

    #[test]
    fn every_line_that_is_wrong_is_blamed_by_its_number() {
        let long = "a".repeat(60);
        let key = "cd".repeat(32);
        for (lines, wanted) in [
            (",x\n".to_owned(), &[(2, "the column `for` is empty")][..]),
            ("Alice Smith\n".to_owned(), &[(2, "`Alice Smith` is no name: 1 to 63 of a-z")]),
            ("alice,Her Laptop\n".to_owned(), &[(2, "`Her Laptop` is no name: 1 to 63 of a-z")]),
            (format!("{long}\n"), &[(2, "-home` is no name")]),
            ("alice,,abc\n".to_owned(), &[(2, "`abc` is no SHA-256: 64 hex digits, in the column `key`")]),
            ("alice,,,more\n".to_owned(), &[(2, "`more` stands in no column")]),
            ("alice\n\nbob\nalice\n".to_owned(), &[(5, "the name alice-home is that of line 2 already")]),
            ("alice,x\nbob,x\n".to_owned(), &[(3, "the name x is that of line 2 already")]),
            (format!("alice,,{key}\nbob,,{key}\n"), &[(3, "the key is that of line 2 already")]),
            ("\"alice\n".to_owned(), &[(2, "a quote mark is opened and not closed")]),
            ("alice\nbob,\"x".to_owned(), &[(3, "a quote mark is opened and not closed")]),
            ("bob,\"x\"\nalice,\"a\"\"\ncarol,,\n".to_owned(), &[(3, "a quote mark is opened and not closed")]),
            ("ALICE,B C,z\n".to_owned(), &[(2, "`ALICE`"), (2, "`B C`"), (2, "`z`")]),
        ] {
            let list = parsed(format!("for,name,key\r\n{lines}"));
            let is = |(bad, (line, cause)): (&Bad, &(u64, &str))| {
                bad.line == *line && bad.cause.contains(cause) && !bad.next.is_empty()
            };
            assert!(list.bad.len() == wanted.len() && list.bad.iter().zip(wanted).all(is), "{lines:?}: {:?}", list.bad);
        }
    }

    #[test]
    fn a_file_that_is_no_list_is_refused_as_a_whole_with_what_to_do() {
        let many = format!("for\n{}", "alice\n".repeat(MOST_INVITEES + 1));
        let large = vec![b'a'; usize::try_from(MOST_BYTES).unwrap() + 1];
        for (bytes, cause) in [
            (&b""[..], "people.csv is empty"),
            (b"\xef\xbb\xbf\r\n", "people.csv is empty"),
            (b"for\n\n,,\n", "people.csv names nobody"),
            (b"name,key\nx,\n", "people.csv:1: the column `for` is missing"),
            (b"\nfor,mail\na,b\n", "people.csv:2: there is no column `mail`: the columns are `for`, `name` and `key`"),
            (b"alice\nbob\n", "people.csv:1: there is no column `alice`"),
            (b"for,For\na,b\n", "people.csv:1: the column `for` is there twice"),
            (b"for\nalice\nJ\xf6rg\n", "people.csv:3: it is no text in UTF-8"),
            (b"\xff\xfef\0o\0r\0", "people.csv:1: it is no text in UTF-8"),
            (many.as_bytes(), "people.csv has more than 10000 lines"),
            (&large, "people.csv is larger than 4 MiB"),
        ] {
            let failure = parse(bytes, "people.csv").err().unwrap_or_else(|| panic!("{cause}"));
            assert!(failure.exit == Exit::Usage && failure.cause.starts_with(cause), "{cause}: {failure:?}");
            assert!(failure.next.is_some_and(|next| !next.is_empty()), "{cause}");
        }
    }
}
