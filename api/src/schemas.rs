//! What every generated schema has in common, whatever page it is for: descriptions are the code's own, what is left out where there is
//! nothing to say is never null, and what is printed may get more fields.

use serde_json::Value;

/// Descriptions without the code's links: what they link there is a mere word here.
pub fn without_code_links(schema: &mut Value) {
    match schema {
        Value::Array(values) => values.iter_mut().for_each(without_code_links),
        Value::Object(fields) => {
            for (name, field) in fields {
                match field {
                    Value::String(text) if name == "description" => *text = unlinked(text),
                    other => without_code_links(other),
                }
            }
        }
        _ => {}
    }
}

fn unlinked(text: &str) -> String {
    let plain = text.replace("[`", "`").replace("`]", "`");
    let last = |(at, piece): (usize, &str)| {
        if at % 2 == 1 { piece.rsplit("::").next().unwrap_or(piece).to_owned() } else { piece.to_owned() }
    };
    plain.split('`').enumerate().map(last).collect::<Vec<_>>().join("`")
}

/// The schema of a field that is left out where there is nothing to say.
pub fn never_null(schema: &Value) -> Value {
    let mut said = schema.clone();
    if let Some(types) = said["type"].as_array() {
        said["type"] = types.iter().find(|one| *one != "null").cloned().unwrap_or_default();
    }
    let one = said["anyOf"].as_array().and_then(|any| any.iter().find(|one| one["type"] != "null")).cloned();
    if let (Some(one), Some(fields)) = (one, said.as_object_mut()) {
        fields.remove("anyOf");
        fields.extend(one.as_object().cloned().unwrap_or_default());
    }
    if said["type"].is_null()
        && let Some(fields) = said.as_object_mut()
    {
        fields.remove("type");
    }
    said
}

/// The schema of what is printed, as readers are to take it: a field that need not be there is absent and not null, and one that is
/// not named may come with any version.
pub fn open(schema: &mut Value) {
    match schema {
        Value::Array(values) => values.iter_mut().for_each(open),
        Value::Object(fields) => {
            if fields.get("additionalProperties") == Some(&Value::Bool(false)) {
                fields.remove("additionalProperties");
            }
            let required = fields.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
            if let Some(Value::Object(properties)) = fields.get_mut("properties") {
                let optional = properties.iter_mut().filter(|(name, _)| !required.contains(&name.as_str().into()));
                optional.for_each(|(_, field)| *field = never_null(field));
            }
            fields.values_mut().for_each(open);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_the_code_links_is_a_mere_word_and_what_is_left_out_is_not_null() {
        assert_eq!(unlinked("1 to [`MAX`] of [`domain::answer::Step`], `a::b`."), "1 to `MAX` of `Step`, `b`.");
        let optional = json!({ "type": ["string", "null"], "description": "d" });
        assert_eq!(never_null(&optional), json!({ "type": "string", "description": "d" }));
        let named = json!({ "anyOf": [{ "$ref": "#/x" }, { "type": "null" }], "description": "d" });
        assert_eq!(never_null(&named), json!({ "$ref": "#/x", "description": "d" }));
    }

    #[test]
    fn what_is_printed_may_get_more_fields_and_says_null_only_where_a_field_is_always_there() {
        let text = json!({ "type": ["string", "null"] });
        let mut schema = json!({ "$defs": { "A": {
            "type": "object",
            "properties": { "always": text, "sometimes": text },
            "required": ["always"],
            "additionalProperties": false,
        } } });
        open(&mut schema);
        let wanted = json!({ "type": "object", "properties": { "always": text, "sometimes": { "type": "string" } },
            "required": ["always"] });
        assert_eq!(schema["$defs"]["A"], wanted);
    }
}
