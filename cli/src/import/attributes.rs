//! The attributes of a row being read: every format says them the same way, and what says nothing is left out.

use domain::item::NewItem;
use serde_json::{Map, Value};

/// Attributes as they are said, one after the other. What each means is in `domain/src/kinds.json`.
#[derive(Clone, Debug, Default)]
pub struct Attributes(Map<String, Value>);

impl Attributes {
    /// A text, a word or a time; none and blanks say nothing.
    #[must_use]
    pub fn text(mut self, name: &str, text: Option<impl ToString>) -> Self {
        let text = text.map(|text| text.to_string()).filter(|text| !text.trim().is_empty());
        self.0.extend(text.map(|text| (name.to_owned(), Value::from(text))));
        self
    }

    /// A list of texts; an empty one says nothing.
    #[must_use]
    pub fn list(mut self, name: &str, texts: Vec<String>) -> Self {
        if !texts.is_empty() {
            self.0.insert(name.to_owned(), Value::from(texts));
        }
        self
    }

    /// Puts them into a row, in the place of those of the same name.
    pub fn put_into(self, item: &mut NewItem) {
        item.attributes.extend(self.0);
    }

    /// As a row has them.
    pub fn done(self) -> Map<String, Value> {
        self.0
    }
}
