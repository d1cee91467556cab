//! The pages of `docs/api/commands`: one schema for each command, and a table of them.

use super::{FAILED, Form, How, PRINTED};
use crate::args::Cli;
use clap::{Command, CommandFactory};
use schemars::{SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
};

/// What a schema says of itself for programs: how values come, and the option that it is about.
const HOW: &str = "x-printed";
const WITH: &str = "x-with";

impl How {
    fn word(self) -> &'static str {
        match self {
            Self::Value => "value",
            Self::Lines => "lines",
            Self::Nothing => "nothing",
        }
    }

    fn meaning(self) -> &'static str {
        match self {
            Self::Value => "one JSON value",
            Self::Lines => "one JSON value a line",
            Self::Nothing => "no JSON",
        }
    }
}

impl Form {
    fn command(&self) -> &str {
        self.typed.split(" --").next().unwrap_or_default()
    }

    fn option(&self) -> Option<String> {
        self.typed.split_once(" --").map(|(_, option)| format!("--{option}"))
    }

    fn described(&self, schemas: &mut SchemaGenerator) -> Map<String, Value> {
        let schema = (self.schema)(schemas).to_value();
        // No value is one of those that are never printed.
        let mut described = schema.as_object().cloned().unwrap_or_else(|| Map::from_iter([("not".into(), json!({}))]));
        described.insert(HOW.into(), self.how.word().into());
        described.extend(self.option().map(|option| (WITH.into(), option.into())));
        let note = [self.note].into_iter().filter(|note| !note.is_empty());
        let said = described.remove("description").and_then(|said| said.as_str().map(ToOwned::to_owned));
        let said: Vec<_> = note.map(ToOwned::to_owned).chain(said).collect();
        if !said.is_empty() {
            described.insert("description".into(), said.join(" ").into());
        }
        described
    }
}

fn document(file: &str, title: &str, forms: &[&Form]) -> Value {
    let mut schemas = SchemaSettings::draft2020_12().for_serialize().into_generator();
    let mut described: Vec<_> = forms.iter().map(|form| form.described(&mut schemas)).collect();
    let mut document = match &mut described[..] {
        [one] => std::mem::take(one),
        _ => Map::from_iter([("anyOf".into(), described.into())]),
    };
    let definitions = schemas.take_definitions(true);
    document.extend([
        ("$schema".into(), "https://json-schema.org/draft/2020-12/schema".into()),
        ("$id".into(), file.into()),
        ("title".into(), title.into()),
    ]);
    if !definitions.is_empty() {
        document.insert("$defs".into(), definitions.into());
    }
    let mut document = Value::from(document);
    api::schemas::without_code_links(&mut document);
    api::schemas::open(&mut document);
    document
}

fn file(command: &str) -> String {
    format!("{}.json", command.replace(' ', "-"))
}

/// The commands that do something, hidden ones among them, with what each is for.
fn leaves() -> BTreeMap<String, Command> {
    fn below(command: &Command, path: &str, found: &mut BTreeMap<String, Command>) {
        // `help` is the parser's own and prints the text that `--help` prints.
        for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
            let path = format!("{path}{}", sub.get_name());
            below(sub, &format!("{path} "), found);
            // One that has others below it may do something by itself as well.
            if !sub.is_subcommand_required_set() {
                found.insert(path, sub.clone());
            }
        }
    }
    let (mut root, mut found) = (Cli::command(), BTreeMap::new());
    root.build();
    below(&root, "", &mut found);
    found
}

/// Every file of `docs/api/commands` with what it must hold.
fn wanted() -> BTreeMap<String, String> {
    let written = |document: Value| format!("{document:#}\n");
    let leaf = |(command, leaf): (String, Command)| {
        let forms: Vec<_> = PRINTED.iter().filter(|form| form.command() == command).collect();
        let about = leaf.get_about().map(ToString::to_string).unwrap_or_default();
        let title = format!("mosaic-fed {command} --json: {about}");
        (file(&command), written(document(&file(&command), &title, &forms)))
    };
    let error = document("error.json", "Why a command with --json did not do what was asked", &[&FAILED]);
    let others = [("error.json".to_owned(), written(error)), ("README.md".to_owned(), table())];
    leaves().into_iter().map(leaf).chain(others).collect()
}

fn table() -> String {
    let row = |form: &Form| {
        let file = file(form.command());
        format!("| `{}` | {} | [{file}]({file}) |\n", form.typed, form.how.meaning())
    };
    format!(
        "# What every command prints with --json\n\n\
         JSON Schema 2020-12, one file for each command, made of the program's own types and of the list in\n\
         [cli/src/printed.rs](../../../cli/src/printed.rs): `UPDATE_DOCS=1 cargo test -p cli printed` writes this folder. What may change \
         is said\nin [docs/api](../README.md). Where an option changes what is printed, the file has one schema for each, told apart by\n\
         `{WITH}`; `{HOW}` says how values come. What a command prints on stderr in place of an answer: [error.json](error.json).\n\n\
         | command | prints | schema |\n|---|---|---|\n{}",
        PRINTED.iter().map(row).collect::<String>()
    )
}

#[test]
fn every_command_says_what_it_prints_and_with_which_of_its_options_something_else() {
    let leaves = leaves();
    let said: BTreeSet<_> = PRINTED.iter().filter(|form| form.option().is_none()).map(Form::command).collect();
    let unsaid: Vec<_> = leaves.keys().filter(|command| !said.contains(command.as_str())).collect();
    assert!(
        unsaid.is_empty(),
        "add to PRINTED in cli/src/printed.rs what these commands print with --json: {unsaid:?}"
    );
    for form in PRINTED {
        let leaf = leaves.get(form.command()).unwrap_or_else(|| panic!("there is no command `{}`", form.typed));
        let has = |option: String| leaf.get_arguments().any(|arg| arg.get_long() == option.strip_prefix("--"));
        assert!(form.option().is_none_or(has), "`{}` has no such option", form.typed);
        assert!(form.how != How::Nothing || !form.note.is_empty(), "why does `{}` print no JSON?", form.typed);
    }
}

#[test]
fn the_schemas_of_commands_are_what_their_types_say() {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/api/commands"));
    let wanted = wanted();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::create_dir_all(&folder).unwrap();
        for entry in fs::read_dir(&folder).unwrap() {
            fs::remove_file(entry.unwrap().path()).unwrap();
        }
        for (name, text) in wanted {
            fs::write(folder.join(name), text).unwrap();
        }
        return;
    }
    let there = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let names: BTreeSet<_> = there.chain(wanted.keys().cloned()).collect();
    let is_behind = |name: &&String| fs::read_to_string(folder.join(name)).ok().as_ref() != wanted.get(*name);
    let behind: Vec<_> = names.iter().filter(is_behind).collect();
    assert!(behind.is_empty(), "{behind:?} are behind the code: UPDATE_DOCS=1 cargo test -p cli printed");
}
