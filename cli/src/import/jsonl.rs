//! JSON lines: one item a line, with the fields of an item as `docs/cli.md` shows them.

use super::{Common, Found, progress::Progress, report::Refused, walk::File};
use domain::{
    id::Resource,
    item::{MAX_ITEM_BYTES, NewItem},
};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::{
    collections::{HashMap, hash_map::Entry},
    fs,
    io::{BufRead, BufReader, Read},
};

/// JSON's escapes make a line up to six times as long as what it says.
const MAX_LINE: u64 = 6 * MAX_ITEM_BYTES as u64 + 4_096;

const TOO_LONG: &str = "the line is too long, and what follows it was not read; shorten it or split it";

/// The lines of a file.
pub struct Lines {
    file: BufReader<fs::File>,
    name: String,
    number: u64,
    ended: bool,
    progress: Progress,
}

/// One line with its place.
pub struct Line {
    at: String,
    text: String,
}

impl Lines {
    /// Opens a file; what is read of it is shown by `progress`.
    pub fn open(file: &File, progress: &Progress) -> Result<Self, Refused> {
        let opened = fs::File::open(&file.path).map_err(|error| file.refuse(super::unread(&error)))?;
        let (name, progress) = (file.relative.clone(), progress.clone());
        Ok(Self { file: BufReader::new(opened), name, number: 0, ended: false, progress })
    }

    fn line(&mut self) -> Option<Result<Line, Refused>> {
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
                    .map(|text| Line { at: at.clone(), text })
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
    /// The item it says, completed with what all of this import have in common. Its key is one of `scope`.
    pub fn item(self, scope: &str, common: &Common, keys: &mut Keys) -> Result<Found, Refused> {
        let Self { at, text } = self;
        let refuse = |reason: String| Refused { at: at.clone(), reason };
        let text = text.trim_start_matches('\u{feff}').trim();
        let mut value: Value = serde_json::from_str(text).map_err(|error| refuse(no_json(&error)))?;
        let Some(fields) = value.as_object_mut() else {
            return Err(refuse(format!("JSON, but no object; {ONE_OBJECT}")));
        };
        if !fields.contains_key("resource")
            && let Some(kind) = fields.remove("kind")
        {
            fields.insert("resource".to_owned(), kind);
        }
        fields.entry("resource").or_insert_with(|| Value::from(common.kind.as_str()));
        let mut item: NewItem = serde_json::from_value(value).map_err(|error| refuse(no_item(&error)))?;
        item.team = item.team.or_else(|| common.team.clone());
        item.project = item.project.or_else(|| common.project.clone());
        let key = match item.source_key.take() {
            Some(key) => keys.first(&item.resource, key, &at).map_err(refuse)?,
            // The same line again is the same row, wherever it stands in the file.
            None => format!("{:x}", Sha256::digest(text)),
        };
        item.source_key = Some(format!("{scope}/{key}"));
        Ok(Found { at, item })
    }
}

/// People write `kind`; the item calls it `resource`.
fn no_item(error: &serde_json::Error) -> String {
    format!("{error}; correct the line").replace("`resource`", "`kind`")
}

const ONE_OBJECT: &str = "write one object on each line, as in {\"title\": \"Bleed the radiators\"}";

/// The parser counts lines within this one: only its column says something.
fn no_json(error: &serde_json::Error) -> String {
    let said = error.to_string();
    let cause = said.split(" at line ").next().unwrap_or(&said);
    format!("no JSON: {cause} at column {}; {ONE_OBJECT}", error.column())
}

/// The source keys of a file so far: a second line with one would silently take the place of the first.
#[derive(Default)]
pub struct Keys(HashMap<(Resource, String), String>);

impl Keys {
    /// Takes a key; the place of the line that has it already, if there is one.
    pub fn taken(&mut self, kind: &Resource, key: &str, at: &str) -> Option<String> {
        match self.0.entry((kind.clone(), key.to_owned())) {
            Entry::Vacant(free) => {
                free.insert(at.to_owned());
                None
            }
            Entry::Occupied(former) => Some(former.get().clone()),
        }
    }

    fn first(&mut self, kind: &Resource, key: String, at: &str) -> Result<String, String> {
        let Some(former) = self.taken(kind, &key, at) else { return Ok(key) };
        let shown: String = domain::audit::one_line(&key).chars().take(80).collect();
        Err(format!("its source_key `{shown}` is that of {former}; give each line its own, or none"))
    }
}

#[cfg(test)]
mod tests {
    use super::{super::format::Format, *};

    fn items(text: &str) -> Vec<Result<Found, Refused>> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.jsonl");
        std::fs::write(&path, text).unwrap();
        let common = Common::of_tests("tasks");
        let file = File { path, relative: "x.jsonl".into(), format: Format::Jsonl, named: true, size: 0 };
        let mut keys = Keys::default();
        let lines = Lines::open(&file, &Progress::none()).unwrap();
        lines.map(|line| line.and_then(|line| line.item("s", &common, &mut keys))).collect()
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
