//! What a command printed against its schema, and which commands were judged: the schemas are the files of `docs/api/commands`, the
//! commands those that the program names in its `--help`.

use crate::harness::{Instance, Ran, finish, program, tell};
use jsonschema::Validator;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{BufRead, BufReader},
    process::Stdio,
    rc::Rc,
};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/api/commands");

/// Fields that nothing prints here, and why.
const UNSEEN: [(&str, &str); 2] = [
    ("Row._late", "its source would have to be late between two pages"),
    ("Scope.withhold", "it is said by who writes a scope; what is printed says every field instead"),
];

/// One way in which a command prints.
struct Form {
    /// The option that makes it print so.
    option: Option<String>,
    /// value, lines or nothing.
    how: String,
    values: Validator,
    schema: Value,
}

/// Judges everything that is typed through it.
pub struct Judge {
    forms: BTreeMap<String, Vec<Rc<Form>>>,
    errors: Rc<Form>,
    /// Commands with the option that mattered, whose answer was as its schema says.
    answered: BTreeSet<(String, Option<String>)>,
    /// Fields that were printed, as `Type.field`.
    printed: BTreeSet<String>,
    /// Commands that failed as `error.json` says.
    failed: BTreeSet<String>,
}

impl Judge {
    /// With every schema there is.
    pub fn new() -> Self {
        let mut forms = BTreeMap::new();
        for entry in fs::read_dir(FOLDER).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "json") && !path.ends_with("error.json") {
                let command = path.file_stem().unwrap().to_str().unwrap().replace('-', " ");
                forms.insert(command, read(path.to_str().unwrap()));
            }
        }
        let errors = read(&format!("{FOLDER}/error.json")).remove(0);
        Self { forms, errors, answered: BTreeSet::new(), printed: BTreeSet::new(), failed: BTreeSet::new() }
    }

    /// Types a command that ends with `code`, and judges what it prints.
    #[track_caller]
    pub fn ends(&mut self, code: i32, instance: &Instance, line: &str) -> Ran {
        let ran = instance.types(&format!("{line} --json"));
        assert_eq!(ran.code, code, "{line}: {ran:?}");
        self.judge(line, &ran);
        ran
    }

    /// Types a command that ends well, and judges what it prints.
    #[track_caller]
    pub fn does(&mut self, instance: &Instance, line: &str) -> Ran {
        self.ends(0, instance, line)
    }

    /// Starts a command that does not end, and judges what it has printed once that is as many lines as wanted.
    #[track_caller]
    pub fn goes_on(&mut self, instance: &Instance, line: &str, wanted: usize) {
        let data = instance.data();
        let words: Vec<_> =
            ["-C", data.to_str().unwrap()].into_iter().chain(line.split(' ')).chain(["--json"]).collect();
        let mut command = program(&words);
        command.current_dir(instance.base.path()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().take(wanted);
        let out = lines.map(|line| line.unwrap() + "\n").collect();
        tell(&child, Signal::SIGTERM);
        child.wait().unwrap();
        self.judge(line, &Ran { code: 0, out, err: String::new() });
    }

    /// Judges what a command printed: the values that its schema names or, if there is none and it failed, an error.
    #[track_caller]
    pub fn judge(&mut self, line: &str, ran: &Ran) {
        let (command, form) = self.form(line);
        let values: Vec<Value> = match form.how.as_str() {
            "value" if !ran.out.is_empty() => vec![parsed(line, &ran.out)],
            "lines" => ran.out.lines().map(|text| parsed(line, text)).collect(),
            _ => Vec::new(),
        };
        values.iter().for_each(|value| fits(line, &form.values, value));
        values.iter().for_each(|value| note(&form.schema, &form.schema, value, &mut self.printed));
        let judged = (command.clone(), form.option.clone());
        let answers = if form.how == "nothing" { is_no_json(&ran.out) } else { !values.is_empty() };
        if answers {
            self.answered.insert(judged);
        }
        if ran.code != 0 && !answers {
            fits(line, &self.errors.values, &parsed(line, ran.err.lines().next_back().unwrap_or_default()));
            self.failed.insert(command);
        }
        assert!(ran.code != 0 || answers, "{line} printed nothing: {ran:?}");
    }

    /// The form in which a command line prints.
    #[track_caller]
    fn form(&self, line: &str) -> (String, Rc<Form>) {
        let words: Vec<_> = line.split(' ').skip_while(|word| word.starts_with("--")).collect();
        let words = if line.starts_with("--") { &words[1..] } else { &words[..] };
        let typed = |count: usize| words.get(..count).map(|words| words.join(" "));
        let found = [2, 1].into_iter().filter_map(typed).find_map(|words| self.forms.get_key_value(&words));
        let (command, forms) = found.unwrap_or_else(|| panic!("no schema for `{line}`"));
        let said = |form: &&Rc<Form>| form.option.as_ref().is_some_and(|option| words.contains(&option.as_str()));
        let form = forms.iter().find(said).or_else(|| forms.iter().find(|form| form.option.is_none()));
        (command.clone(), Rc::clone(form.unwrap()))
    }

    /// That every command of the program was judged, in each of its forms, and that each failed once as well.
    pub fn has_seen_all(&self) {
        let named = leaves("");
        let known: BTreeSet<_> = self.forms.keys().cloned().collect();
        assert_eq!(named, known, "the commands of --help and those with a schema are not the same");
        let forms = self
            .forms
            .iter()
            .flat_map(|(command, forms)| forms.iter().map(|form| (command.clone(), form.option.clone())));
        let unseen: Vec<_> = forms.filter(|form| !self.answered.contains(form)).collect();
        assert!(unseen.is_empty(), "never ran, or never answered: {unseen:?}");
        let mut all = BTreeSet::new();
        self.forms.values().flatten().for_each(|form| declared(&form.schema, &mut all));
        let missing: Vec<_> = all.difference(&self.printed).map(String::as_str).collect();
        assert_eq!(missing, UNSEEN.map(|(field, _)| field), "named by a schema and printed by nothing here");
        let never: Vec<_> = named.difference(&self.failed).collect();
        assert!(never.is_empty(), "never failed: {never:?}");
    }
}

/// The forms of a file. Objects are closed: readers take fields that are not named, the program prints none.
fn read(path: &str) -> Vec<Rc<Form>> {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let mut schema: Value = serde_json::from_str(&text).unwrap();
    close(&mut schema);
    let options = schema["anyOf"].as_array().cloned().unwrap_or_else(|| vec![schema.clone()]);
    options.into_iter().map(|option| Rc::new(form(option, &schema["$defs"]))).collect()
}

fn form(mut schema: Value, definitions: &Value) -> Form {
    let (option, how) =
        (schema["x-with"].as_str().map(ToOwned::to_owned), schema["x-printed"].as_str().unwrap().to_owned());
    schema["$defs"] = if definitions.is_null() { json!({}) } else { definitions.clone() };
    let values = jsonschema::draft202012::options().should_validate_formats(true).build(&schema).unwrap();
    Form { option, how, values, schema }
}

fn declared(schema: &Value, all: &mut BTreeSet<String>) {
    for (name, definition) in schema["$defs"].as_object().unwrap() {
        let fields = definition["properties"].as_object().into_iter().flatten();
        all.extend(fields.map(|(field, _)| format!("{name}.{field}")));
    }
}

/// The fields of a value by the schema's types.
fn note(root: &Value, schema: &Value, value: &Value, printed: &mut BTreeSet<String>) {
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.strip_prefix("#/$defs/")) {
        let definition = &root["$defs"][name];
        if !definition["properties"].is_null() {
            printed.extend(value.as_object().into_iter().flatten().map(|(field, _)| format!("{name}.{field}")));
        }
        note(root, definition, value, printed);
    }
    for option in ["anyOf", "oneOf"].into_iter().filter_map(|of| schema[of].as_array()).flatten() {
        note(root, option, value, printed);
    }
    for (name, field) in value.as_object().into_iter().flatten() {
        let of = schema["properties"].get(name).unwrap_or(&schema["additionalProperties"]);
        note(root, of, field, printed);
    }
    value.as_array().into_iter().flatten().for_each(|one| note(root, &schema["items"], one, printed));
}

fn close(schema: &mut Value) {
    match schema {
        Value::Array(values) => values.iter_mut().for_each(close),
        Value::Object(fields) => {
            fields.values_mut().for_each(close);
            if fields.contains_key("properties") {
                assert!(
                    !fields.contains_key("additionalProperties"),
                    "a schema that consumers read is closed: {fields:?}"
                );
                fields.insert("additionalProperties".to_owned(), Value::Bool(false));
            }
        }
        _ => {}
    }
}

#[track_caller]
fn parsed(line: &str, text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{line}: {error} in {text:?}"))
}

#[track_caller]
fn fits(line: &str, schema: &Validator, value: &Value) {
    let wrong: Vec<_> = schema.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(wrong.is_empty(), "`{line} --json` printed what its schema does not say: {wrong:#?}");
}

fn is_no_json(text: &str) -> bool {
    !text.is_empty() && serde_json::from_str::<Value>(text).is_err()
}

/// The commands below these words that have none below them, as `--help` names them.
fn leaves(words: &str) -> BTreeSet<String> {
    let typed: Vec<_> = words.split_whitespace().chain(["--help"]).collect();
    let help = finish(program(&typed)).done().out;
    let Some((_, below)) = help.split_once("\nCommands:\n") else { return BTreeSet::from([words.to_owned()]) };
    let named = below.lines().take_while(|line| !line.is_empty()).filter_map(|line| line.strip_prefix("  "));
    let named = named.filter_map(|line| line.split(' ').next()).filter(|word| !word.is_empty() && *word != "help");
    named.flat_map(|word| leaves(format!("{words} {word}").trim())).collect()
}
