//! A schema file as the judge uses it: one form for each way in which its command prints, closed, so that a field which is printed and
//! not named is found; and the fields that are named, so that one which is never printed is found as well.

use jsonschema::Validator;
use serde_json::{Value, json};
use std::{collections::BTreeSet, fs};

/// One way in which a command prints.
pub struct Form {
    /// The option that makes it print so.
    pub option: Option<String>,
    /// value, lines or nothing.
    pub how: String,
    values: Validator,
    schema: Value,
}

impl Form {
    /// The forms of a file.
    pub fn read(path: &str) -> Vec<Self> {
        let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let mut schema: Value = serde_json::from_str(&text).unwrap();
        close(&mut schema);
        let options = schema["anyOf"].as_array().cloned().unwrap_or_else(|| vec![schema.clone()]);
        options.into_iter().map(|option| Self::new(option, &schema["$defs"])).collect()
    }

    fn new(mut schema: Value, definitions: &Value) -> Self {
        let said = |name: &str| schema[name].as_str().map(ToOwned::to_owned);
        let (option, how) = (said("x-with"), said("x-printed").unwrap());
        schema["$defs"] = if definitions.is_null() { json!({}) } else { definitions.clone() };
        let values = jsonschema::draft202012::options().should_validate_formats(true).build(&schema).unwrap();
        Self { option, how, values, schema }
    }

    /// Fails if the value is not what the schema says; `line` is the command that printed it.
    #[track_caller]
    pub fn fits(&self, line: &str, value: &Value) {
        let wrong = self.values.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path()));
        let wrong: Vec<_> = wrong.collect();
        assert!(wrong.is_empty(), "`{line} --json` printed what its schema does not say: {wrong:#?}");
    }

    /// Every field that it names, as `Type.field`.
    pub fn names(&self) -> impl Iterator<Item = String> {
        self.schema["$defs"].as_object().into_iter().flatten().flat_map(|(name, definition)| {
            let fields = definition["properties"].as_object().into_iter().flatten();
            fields.map(move |(field, _)| format!("{name}.{field}"))
        })
    }

    /// Those of them that a value has.
    pub fn printed(&self, value: &Value) -> BTreeSet<String> {
        let mut printed = BTreeSet::new();
        self.note(&self.schema, value, &mut printed);
        printed
    }

    fn note(&self, schema: &Value, value: &Value, printed: &mut BTreeSet<String>) {
        let fields = || value.as_object().into_iter().flatten();
        if let Some(name) = schema["$ref"].as_str().and_then(|path| path.strip_prefix("#/$defs/")) {
            printed.extend(fields().map(|(field, _)| format!("{name}.{field}")));
            self.note(&self.schema["$defs"][name], value, printed);
        }
        for option in ["anyOf", "oneOf"].into_iter().filter_map(|of| schema[of].as_array()).flatten() {
            self.note(option, value, printed);
        }
        for (name, field) in fields() {
            let of = schema["properties"].get(name).unwrap_or(&schema["additionalProperties"]);
            self.note(of, field, printed);
        }
        value.as_array().into_iter().flatten().for_each(|one| self.note(&schema["items"], one, printed));
    }
}

/// Readers take fields that are not named; the program prints none.
fn close(schema: &mut Value) {
    match schema {
        Value::Array(values) => values.iter_mut().for_each(close),
        Value::Object(fields) => {
            fields.values_mut().for_each(close);
            if fields.contains_key("properties") {
                let before = fields.insert("additionalProperties".to_owned(), Value::Bool(false));
                assert_eq!(before, None, "a schema for readers says what other fields there are: {fields:?}");
            }
        }
        _ => {}
    }
}
