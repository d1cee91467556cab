//! Which kinds of row exist and what their fields are: declared as data in `kinds.json`, so that a new kind is a table entry, not code.

use crate::id::{Field, Resource};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

/// How freely a field may travel, from freest to never-by-default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// May be known to anybody.
    Public,
    /// Known within the workspace.
    Internal,
    /// About or written by a person.
    Personal,
    /// Leaves only when a scope names the field.
    Secret,
}

impl Class {
    /// The word people and scopes use.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Internal => "internal",
            Self::Personal => "personal",
            Self::Secret => "secret",
        }
    }
}

/// What values a field takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Type {
    /// Any text.
    Text,
    /// One of the declared values.
    Word,
    /// RFC 3339 instant, or a day as in 2026-11-21.
    Time,
    /// A finite number.
    Number,
    /// True or false.
    Flag,
    /// A list of texts.
    List,
}

/// One field of a kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FieldKind {
    /// What values it takes.
    #[serde(rename = "type")]
    pub kind: Type,
    /// How freely it travels.
    pub class: Class,
    /// For [`Type::Word`]: the words.
    #[serde(default)]
    pub values: Vec<String>,
    /// What it means, for people: one line, as `docs/kinds.md` shows it.
    pub about: String,
}

/// Where the rows of a kind come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// People and importers write them.
    #[default]
    Items,
    /// The teams of the workspace; nobody writes them as rows.
    Teams,
    /// The people of the workspace; nobody writes them as rows.
    Users,
}

/// One kind of row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kind {
    /// Whether sharing it needs an explicit confirmation.
    pub sensitive: bool,
    /// Where its rows come from.
    #[serde(default)]
    pub origin: Origin,
    /// Every field that may leave, besides id, resource and times, which always do. Those that are [common](Kinds::common) are
    /// declared once.
    pub fields: BTreeMap<Field, FieldKind>,
}

/// Fields that every item has as columns of their own; the others are typed attributes.
const COLUMNS: [&str; 6] = ["title", "body", "team", "project", "owner", "tags"];

/// All declared kinds.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "Declared")]
pub struct Kinds {
    common: BTreeMap<Field, FieldKind>,
    kinds: BTreeMap<Resource, Kind>,
}

/// `kinds.json`: each field once.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Declared {
    common: BTreeMap<Field, FieldKind>,
    kinds: BTreeMap<Resource, Kind>,
}

impl From<Declared> for Kinds {
    /// Gives the common fields to every kind whose rows are written. What is sensitive has no body: a secret stays where it is
    /// kept.
    fn from(Declared { common, mut kinds }: Declared) -> Self {
        for kind in kinds.values_mut().filter(|kind| kind.origin == Origin::Items) {
            let fits = |name: &Field| !(kind.sensitive && name.as_str() == "body");
            let fields = common.iter().filter(|(name, _)| fits(name));
            kind.fields.extend(fields.map(|(name, field)| (name.clone(), field.clone())));
        }
        Self { common, kinds }
    }
}

impl Kinds {
    /// The kinds this build knows.
    #[expect(clippy::expect_used, reason = "the file is part of the build and a test parses it")]
    pub fn builtin() -> &'static Self {
        static KINDS: LazyLock<Kinds> =
            LazyLock::new(|| serde_json::from_str(include_str!("kinds.json")).expect("kinds.json is well formed"));
        &KINDS
    }

    /// The kind called `resource`, if declared.
    pub fn get(&self, resource: &Resource) -> Option<&Kind> {
        self.kinds.get(resource)
    }

    /// The names of all kinds, in order.
    pub fn names(&self) -> impl Iterator<Item = &Resource> {
        self.kinds.keys()
    }

    /// The fields of every kind whose rows are written; `body` only of what is not sensitive.
    pub const fn common(&self) -> &BTreeMap<Field, FieldKind> {
        &self.common
    }

    /// "tasks, notes": for messages that say what would have been right.
    pub fn listed(&self) -> String {
        self.names().map(Resource::as_str).collect::<Vec<_>>().join(", ")
    }
}

/// An attribute that its kind does not allow.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadAttribute {
    /// The kind has no such attribute.
    #[error("there is no attribute `{name}`; {known} exist")]
    Unknown {
        /// What was given.
        name: String,
        /// What exists.
        known: String,
    },
    /// The value is not of the attribute's type.
    #[error("attribute `{name}` takes {wanted}")]
    Value {
        /// Which attribute.
        name: String,
        /// What it takes.
        wanted: String,
    },
}

impl Kind {
    /// Checks typed attributes (not the common columns) against this kind.
    pub fn check(&self, attributes: &Map<String, Value>) -> Result<(), BadAttribute> {
        attributes.iter().try_for_each(|(name, value)| self.check_one(name, value))
    }

    fn check_one(&self, name: &str, value: &Value) -> Result<(), BadAttribute> {
        let field = self.attribute(name).ok_or_else(|| BadAttribute::Unknown {
            name: name.chars().filter(|c| !c.is_control()).take(80).collect(),
            known: self.attributes().map(Field::as_str).collect::<Vec<_>>().join(", "),
        })?;
        if field.takes(value) {
            Ok(())
        } else {
            Err(BadAttribute::Value { name: name.to_owned(), wanted: field.wanted() })
        }
    }

    /// Whether its rows have this field.
    pub fn has(&self, field: &str) -> bool {
        self.fields.keys().any(|name| name.as_str() == field)
    }

    fn attribute(&self, name: &str) -> Option<&FieldKind> {
        let name: Field = name.parse().ok()?;
        (!COLUMNS.contains(&name.as_str())).then(|| self.fields.get(&name)).flatten()
    }

    /// The names of the typed attributes, without the common columns.
    pub fn attributes(&self) -> impl Iterator<Item = &Field> {
        self.fields.keys().filter(|name| !COLUMNS.contains(&name.as_str()))
    }

    /// The fields whose class is not in `withheld`.
    pub fn fields_without(&self, withheld: &BTreeSet<Class>) -> BTreeSet<Field> {
        let free = self.fields.iter().filter(|(_, field)| !withheld.contains(&field.class));
        free.map(|(name, _)| name.clone()).collect()
    }
}

impl FieldKind {
    fn takes(&self, value: &Value) -> bool {
        match (self.kind, value) {
            (Type::Text, Value::String(_)) | (Type::Number, Value::Number(_)) | (Type::Flag, Value::Bool(_)) => true,
            (Type::Word, Value::String(word)) => self.values.contains(word),
            (Type::Time, Value::String(text)) => is_time(text),
            (Type::List, Value::Array(items)) => items.iter().all(Value::is_string),
            _ => false,
        }
    }

    fn wanted(&self) -> String {
        match self.kind {
            Type::Text => "text".into(),
            Type::Word => format!("one of {}", self.values.join(", ")),
            Type::Time => "a day or time, as in 2026-11-21 or 2026-11-21T09:30:00Z".into(),
            Type::Number => "a number".into(),
            Type::Flag => "true or false".into(),
            Type::List => "a list of texts".into(),
        }
    }
}

fn is_time(text: &str) -> bool {
    text.parse::<crate::Time>().is_ok() || format!("{text}T00:00:00Z").parse::<crate::Time>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(attributes: &Value) -> Result<(), BadAttribute> {
        let tasks = Kinds::builtin().get(&"tasks".parse().unwrap()).unwrap();
        tasks.check(attributes.as_object().unwrap())
    }

    #[test]
    fn attributes_are_checked_against_their_kind() {
        assert_eq!(check(&json!({"status": "open", "due": "2026-11-21", "estimate_minutes": 3})), Ok(()));
        assert!(check(&json!({"status": "opened"})).unwrap_err().to_string().contains("one of open, doing"));
        assert!(check(&json!({"due": "tomorrow"})).is_err());
        assert!(check(&json!({"colour": "red"})).unwrap_err().to_string().contains("no attribute `colour`"));
    }

    #[test]
    fn a_common_column_is_no_attribute() {
        assert!(check(&json!({"title": "twice"})).is_err());
    }

    #[test]
    fn every_field_is_declared_once_and_says_what_it_means() {
        let Declared { common, kinds } = serde_json::from_str(include_str!("kinds.json")).unwrap();
        assert!(common.keys().all(|name| COLUMNS.contains(&name.as_str())) && common.len() == COLUMNS.len());
        let written = kinds.values().filter(|kind| kind.origin == Origin::Items);
        assert!(written.flat_map(|kind| kind.fields.keys()).all(|name| !common.contains_key(name)));
        for field in kinds.values().flat_map(|kind| kind.fields.values()).chain(common.values()) {
            assert!(
                !field.about.is_empty() && !field.about.ends_with('.') && !field.about.contains(['\n', '|']),
                "{field:?}"
            );
            assert_eq!(field.kind == Type::Word, !field.values.is_empty(), "{field:?}");
        }
    }

    #[test]
    fn what_is_written_has_every_common_column_and_what_is_sensitive_no_body() {
        for (name, kind) in Kinds::builtin().kinds.iter().filter(|(_, kind)| kind.origin == Origin::Items) {
            for column in COLUMNS {
                let declared = kind.fields.contains_key(&column.parse().unwrap());
                assert_eq!(declared, column != "body" || !kind.sensitive, "{name} {column}");
                assert_eq!(declared, kind.has(column), "{name} {column}");
            }
        }
    }
}
