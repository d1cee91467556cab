//! JSON lines: one item a line, with the fields of an item as `docs/cli.md` shows them.

use super::{Common, Found, Refused, walk::File};
use domain::{
    id::QueryHash,
    item::{MAX_ITEM_BYTES, NewItem},
};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::{
    fs,
    io::{BufRead, BufReader, Read},
};

/// JSON's escapes make a line up to six times as long as what it says.
const MAX_LINE: u64 = 6 * MAX_ITEM_BYTES as u64 + 4_096;

/// The lines of a file.
pub struct Lines {
    file: BufReader<fs::File>,
    name: String,
    number: u64,
    ended: bool,
}

/// One line with its place.
pub struct Line {
    at: String,
    text: String,
}

impl Lines {
    /// Opens a file.
    pub fn open(file: &File) -> Result<Self, Refused> {
        let opened = fs::File::open(&file.path);
        let opened = opened.map_err(|error| Refused { at: file.relative.clone(), reason: error.to_string() })?;
        Ok(Self { file: BufReader::new(opened), name: file.relative.clone(), number: 0, ended: false })
    }

    fn line(&mut self) -> Option<Result<Line, Refused>> {
        self.number += 1;
        let at = format!("{}:{}", self.name, self.number);
        let mut bytes = Vec::new();
        match self.file.by_ref().take(MAX_LINE).read_until(b'\n', &mut bytes) {
            Ok(0) => None,
            Ok(read) if read as u64 == MAX_LINE && !bytes.ends_with(b"\n") => {
                self.ended = true;
                Some(Err(Refused { at, reason: "the line is too long, and what follows it was not read".to_owned() }))
            }
            Ok(_) => Some(
                String::from_utf8(bytes)
                    .map(|text| Line { at: at.clone(), text })
                    .map_err(|_| Refused { at, reason: "no UTF-8; convert it, as in `iconv -t UTF-8`".to_owned() }),
            ),
            Err(error) => {
                self.ended = true;
                Some(Err(Refused { at, reason: error.to_string() }))
            }
        }
    }
}

impl Iterator for Lines {
    type Item = Result<Line, Refused>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.ended {
            match self.line()? {
                Ok(line) if line.text.trim().is_empty() => {}
                line => return Some(line),
            }
        }
        None
    }
}

impl Line {
    /// The item it says, completed with what all of this import have in common.
    pub fn item(self, common: &Common) -> Result<Found, Refused> {
        let Self { at, text } = self;
        let refuse = |reason: String| Refused { at: at.clone(), reason };
        let mut value: Value = serde_json::from_str(&text).map_err(|error| refuse(format!("no JSON: {error}")))?;
        let Some(fields) = value.as_object_mut() else { return Err(refuse("no JSON object".to_owned())) };
        fields.entry("resource").or_insert_with(|| Value::from(common.kind.as_str()));
        let mut item: NewItem = serde_json::from_value(value).map_err(|error| refuse(error.to_string()))?;
        item.team = item.team.or_else(|| common.team.clone());
        item.project = item.project.or_else(|| common.project.clone());
        // The same line again is the same row, wherever it stands in the file.
        let key = item.source_key.take().unwrap_or_else(|| QueryHash(Sha256::digest(text.trim()).into()).to_string());
        item.source_key = Some(format!("{}/{key}", common.source));
        Ok(Found { at, item })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(text: &str) -> Vec<Result<Found, Refused>> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.jsonl");
        std::fs::write(&path, text).unwrap();
        let common = Common { kind: "tasks".parse().unwrap(), team: None, project: None, source: "s".into() };
        let file = File { path, relative: "x.jsonl".into(), kind: super::super::walk::Kind::Lines };
        Lines::open(&file).unwrap().map(|line| line.and_then(|line| line.item(&common))).collect()
    }

    #[test]
    fn a_broken_line_is_reported_at_its_place_and_the_others_are_read() {
        let found = items("{\"title\":\"one\"}\n\nnot json\n{\"title\":\"two\",\"colour\":1}\n{\"title\":\"three\"}");
        let places: Vec<_> =
            found.iter().map(|one| one.as_ref().map_or_else(|r| r.at.clone(), |f| f.item.title.clone())).collect();
        assert_eq!(places, ["one", "x.jsonl:3", "x.jsonl:4", "three"]);
    }

    #[test]
    fn the_same_line_has_the_same_key_wherever_it_stands() {
        let keys = |text: &str| {
            items(text).into_iter().map(|one| one.ok().unwrap().item.source_key.unwrap()).collect::<Vec<_>>()
        };
        let (a, b) = ("{\"title\":\"a\"}\n", "{\"title\":\"b\"}\n");
        let (first, second) = (keys(&format!("{a}{b}")), keys(&format!("{b}{a}")));
        assert_eq!((&first[0], &first[1]), (&second[1], &second[0]));
    }
}
