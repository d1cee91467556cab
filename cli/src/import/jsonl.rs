//! JSON lines: one item a line, as [`ItemLine`] says it, each read when it is asked for.

use super::{
    Common,
    item_line::ItemLine,
    keys::Keys,
    progress::Progress,
    reading::{Reading, Rows, Sourced, nothing},
    report::Refused,
    text,
    walk::File,
};
use domain::{id::Resource, item::MAX_ITEM_BYTES};
use sha2::{Digest, Sha256};
use std::{
    fs,
    io::{BufRead, BufReader, Read},
};

/// JSON's escapes make a line up to six times as long as what it says.
const MAX_LINE: u64 = 6 * MAX_ITEM_BYTES as u64 + 4_096;

const TOO_LONG: &str = "the line is too long, and what follows it was not read; shorten it or split it";

/// Reads a file of lines.
pub fn rows<'r>(file: &'r File, reading: &'r mut Reading<'_>) -> Rows<'r> {
    let (common, mut keys) = (reading.common, Keys::default());
    let scope = file.scope(&common.source);
    match Lines::open(file, &reading.progress) {
        Ok(lines) => Box::new(lines.map(move |line| line?.item(&scope, common, &mut keys))),
        Err(refused) => nothing(refused),
    }
}

/// The lines of a file that say something.
struct Lines {
    file: BufReader<fs::File>,
    name: String,
    number: u64,
    ended: bool,
    progress: Progress,
}

/// One line with its place.
struct TextLine {
    at: String,
    text: String,
}

impl Lines {
    /// Opens a file; what is read of it is shown by `progress`.
    fn open(file: &File, progress: &Progress) -> Result<Self, Refused> {
        let opened = file.open().map_err(|reason| file.refuse(reason))?;
        let (name, progress) = (file.relative.clone(), progress.clone());
        Ok(Self { file: BufReader::new(opened), name, number: 0, ended: false, progress })
    }

    fn line(&mut self) -> Option<Result<TextLine, Refused>> {
        self.number += 1;
        let at = format!("{}:{}", self.name, self.number);
        let mut bytes = Vec::new();
        let read = self.file.by_ref().take(MAX_LINE).read_until(b'\n', &mut bytes);
        self.progress.bytes(bytes.len() as u64);
        match read {
            Ok(0) => None,
            Ok(read) if read as u64 == MAX_LINE && !bytes.ends_with(b"\n") => {
                self.ended = true;
                Some(Err(Refused { at, reason: TOO_LONG.to_owned() }))
            }
            Ok(_) => Some(
                String::from_utf8(bytes)
                    .map(|text| TextLine { at: at.clone(), text })
                    .map_err(|_| Refused { at, reason: "no UTF-8; convert it, as in `iconv -t UTF-8`".to_owned() }),
            ),
            Err(error) => {
                self.ended = true;
                Some(Err(Refused { at, reason: super::unread(&error) }))
            }
        }
    }
}

impl Iterator for Lines {
    type Item = Result<TextLine, Refused>;

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

impl TextLine {
    /// The item it says, completed with what all of this import have in common. Its key is one of `scope`.
    fn item(self, scope: &str, common: &Common, keys: &mut Keys) -> Result<Sourced, Refused> {
        let Self { at, text } = self;
        let text = text.trim_start_matches('\u{feff}').trim();
        let mut read = || {
            let mut item = read(text)?.completed(common);
            let key = match item.source_key.take() {
                Some(key) => first(keys, &item.resource, key, &at)?,
                // The same line again is the same row, wherever it stands in the file.
                None => hex::encode(Sha256::digest(text)),
            };
            item.source_key = Some(format!("{scope}/{key}"));
            Ok(item)
        };
        match read() {
            Ok(item) => Ok(Sourced { at, item }),
            Err(reason) => Err(Refused { at, reason }),
        }
    }
}

const ONE_OBJECT: &str = "write one object on each line, as in {\"title\": \"Bleed the radiators\"}";

fn read(text: &str) -> Result<ItemLine, String> {
    let read = serde_json::from_str::<ItemLine>(text);
    match read {
        Err(error) if !error.is_data() => Err(text::no_json(&error, ONE_OBJECT)),
        // A list of fields would be taken for them in their order.
        _ if !text.starts_with('{') => Err(format!("JSON, but no object; {ONE_OBJECT}")),
        read => read.map_err(|error| format!("{}; correct the line", text::cause(&error))),
    }
}

fn first(keys: &mut Keys, kind: &Resource, key: String, at: &str) -> Result<String, String> {
    let Some(former) = keys.taken(kind, &key, at) else { return Ok(key) };
    let shown: String = domain::audit::one_line(&key).chars().take(80).collect();
    Err(format!("its source_key `{shown}` is that of {former}; give each line its own, or none"))
}

#[cfg(test)]
mod tests {
    use super::{super::reading::tests::rows_of, *};

    fn items(text: &str) -> Vec<Result<Sourced, Refused>> {
        rows_of("x.jsonl", text.as_bytes(), "tasks").0
    }

    #[test]
    fn a_broken_line_is_reported_at_its_place_and_the_others_are_read() {
        let found = items("{\"title\":\"one\"}\n\nnot json\n{\"title\":\"two\",\"colour\":1}\n{\"title\":\"three\"}");
        let places: Vec<_> =
            found.iter().map(|one| one.as_ref().map_or_else(|r| r.at.clone(), |f| f.item.title.clone())).collect();
        assert_eq!(places, ["one", "x.jsonl:3", "x.jsonl:4", "three"]);
    }

    #[test]
    fn a_kind_is_read_by_either_of_its_names() {
        let found = items("{\"title\":\"a\",\"kind\":\"notes\"}\n{\"title\":\"b\",\"resource\":\"notes\"}");
        assert!(found.iter().all(|one| one.as_ref().is_ok_and(|found| found.item.resource.as_str() == "notes")));
        let both = items("{\"title\":\"a\",\"kind\":\"notes\",\"resource\":\"tasks\"}").remove(0);
        assert!(both.is_err_and(|refused| refused.reason.contains("kind")));
    }

    #[test]
    fn a_second_line_with_a_source_key_is_refused_and_names_the_first() {
        let found = items(
            "{\"title\":\"one\",\"source_key\":\"k\"}\n{\"title\":\"two\",\"source_key\":\"k\"}\n\
             {\"title\":\"three\",\"source_key\":\"k\",\"resource\":\"notes\"}",
        );
        let refused = found[1].as_ref().err().unwrap();
        assert!(refused.at == "x.jsonl:2" && refused.reason.contains("x.jsonl:1"), "{refused:?}");
        assert!(found[0].is_ok() && found[2].is_ok());
    }

    #[test]
    fn broken_json_says_its_column_and_what_a_line_is() {
        let reasons =
            ["not json", "[1]", "{\"title\":7}", "{\"title\":"].map(|text| items(text).remove(0).err().unwrap());
        assert!(reasons[0].reason.contains("column 2") && !reasons[0].reason.contains("at line"), "{reasons:?}");
        assert!(
            reasons.iter().all(|refused| refused.at == "x.jsonl:1" && refused.reason.contains("; ")),
            "{reasons:?}"
        );
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
