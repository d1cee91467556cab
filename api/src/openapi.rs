//! The door as programs read it: `OpenAPI` 3.1, made of the list of routes and of the very types they answer with.
//!
//! `docs/api/openapi.json` is this, written by `UPDATE_DOCS=1 cargo test -p api openapi`; without that variable the same test says
//! where the file is behind. What a route answers is a schema of JSON Schema 2020-12, which `OpenAPI` 3.1 takes as it is.

use crate::{
    person::{AS, DOOR, WORKSPACE},
    problem::{Details, Kind, MEDIA_TYPE},
    routes::{self, Operation},
    schemas::{never_null, without_code_links},
};
use schemars::{Schema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

/// The whole document.
pub fn document() -> Value {
    let mut schemas = generator();
    let problem = schemas.subschema_for::<Details>();
    let operations = routes::described(&mut schemas);
    let mut paths = Map::new();
    for operation in &operations {
        let at = paths.entry(operation.path).or_insert_with(|| json!({ "parameters": common(operation.path) }));
        at[operation.method] = described(operation);
    }
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "mosaic-fed, the door of an instance",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "HTTP/JSON on a Unix socket, for the people and programs of this machine: who asks is who the kernel says is at \
                the other end of the socket. The same over TCP where the setting `http` says so: who asks is the user of a token. See \
                docs/api/README.md.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [
            { "url": "http://localhost", "description": "over the socket `api.sock` of the data directory" },
            { "url": "http://127.0.0.1:7480", "description": "over TCP, with a token, where the setting `http` says so" },
        ],
        "security": [{}, { "token": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": { "token": {
                "type": "http",
                "scheme": "bearer",
                "description": "What `mosaic-fed token add NAME` printed; over TCP alone.",
            } },
            "responses": { "Known": { "description": "It is as `if-none-match` says." }, "Problem": {
                "description": problems(),
                "content": { MEDIA_TYPE: { "schema": problem } },
            } },
            "schemas": schemas.take_definitions(true),
        },
    });
    without_code_links(&mut document);
    document
}

fn generator() -> SchemaGenerator {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    settings.into_generator()
}

fn described(operation: &Operation) -> Value {
    let content =
        operation.answers.iter().map(|(form, schema)| (form.media_type().to_owned(), json!({ "schema": schema })));
    let mut described = json!({
        "operationId": name(operation),
        "summary": operation.about,
        "responses": {
            "200": { "description": "Done.", "content": content.collect::<Map<_, _>>() },
            "304": { "$ref": "#/components/responses/Known" },
            "default": { "$ref": "#/components/responses/Problem" },
        },
    });
    let tag = tag(operation);
    if tag != Some(IF_NONE_MATCH)
        && let Some(responses) = described["responses"].as_object_mut()
    {
        responses.remove("304");
    }
    let parameters =
        operation.query.iter().map(in_query).chain(tag.map(tagged)).filter_map(|some| some.as_array().cloned());
    let parameters: Vec<_> = parameters.flatten().collect();
    if !parameters.is_empty() {
        described["parameters"] = parameters.into();
    }
    if let Some(body) = &operation.body {
        described["requestBody"] = json!({ "required": true, "content": { "application/json": { "schema": body } } });
    }
    described
}

/// One tag, or any (RFC 9110 section 8.8.3); several with commas between are taken, too.
const TAG: &str = r#"^(\*|(W/)?"[!#-~]*")$"#;
const IF_MATCH: &str = "if-match";
const IF_NONE_MATCH: &str = "if-none-match";

/// By which header a tag is sent along, if it is heeded there.
fn tag(operation: &Operation) -> Option<&'static str> {
    match (operation.method, operation.path) {
        (
            "get",
            "/v1/grants"
            | "/v1/grants/{grant}"
            | "/v1/policy"
            | "/v1/users"
            | "/v1/users/{name}"
            | "/v1/teams"
            | "/v1/links"
            | "/v1/rows/{kind}/{id}",
        ) => Some(IF_NONE_MATCH),
        ("put", "/v1/grants/{grant}" | "/v1/users/{name}/role" | "/v1/policy") | ("delete", "/v1/policy") => {
            Some(IF_MATCH)
        }
        _ => None,
    }
}

fn tagged(name: &str) -> Value {
    let about = if name == IF_MATCH {
        "The `etag` of what is to be changed, as it was seen: where it is another by now, nothing is done (412)."
    } else {
        "The `etag` of what is known already: where it is the same, nothing is sent (304)."
    };
    json!([{ "name": name, "in": "header", "description": about, "schema": { "type": "string", "pattern": TAG } }])
}

/// `get_users_name_belongings`: what a generated client calls it.
fn name(operation: &Operation) -> String {
    let words = operation.path.split(['/', '{', '}']).filter(|word| !word.is_empty() && *word != "v1");
    [operation.method].into_iter().chain(words).collect::<Vec<_>>().join("_")
}

/// What every operation of a path takes: the named parts of the path, and two headers.
fn common(path: &str) -> Vec<Value> {
    let text = json!({ "type": "string" });
    let parts = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let parts = parts.map(|part| json!({ "name": part, "in": "path", "required": true, "schema": text }));
    let named = json!({ "type": "string", "pattern": "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$" });
    let header =
        |name: &str, about: &str| json!({ "name": name, "in": "header", "description": about, "schema": named });
    let headers = [
        header(AS, "The user to act as; for the operator, and recorded."),
        header(WORKSPACE, "The workspace it is about, for users who are in several."),
        header(
            DOOR,
            "At the socket, what the program is: cli, which is meant where it is left out, mcp, api or console. Links are asked only \
            for doors that their grants name. At the HTTP port it is api, whatever is said.",
        ),
    ];
    parts.chain(headers).collect()
}

/// An object of a query string, as parameters; a query string leaves out what it does not say.
fn in_query(query: &Schema) -> Value {
    let properties = query.get("properties").and_then(Value::as_object).into_iter().flatten();
    properties.map(|(name, schema)| json!({ "name": name, "in": "query", "schema": never_null(schema) })).collect()
}

fn problems() -> String {
    let status = |kind: &Kind| format!("{} {}", kind.status().as_u16(), serde_json::to_value(kind).unwrap_or_default());
    let words: Vec<_> = Kind::ALL.iter().map(status).collect();
    format!("Not done, with the cause and the next step: {}.", words.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        fs,
        path::{Path, PathBuf},
    };

    #[test]
    fn the_openapi_page_is_what_the_routes_say() {
        let wanted = format!("{:#}\n", document());
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/api/openapi.json");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            fs::write(path, wanted).unwrap();
        } else {
            let written = fs::read_to_string(path).unwrap_or_default();
            assert!(
                written == wanted,
                "docs/api/openapi.json is behind the code: UPDATE_DOCS=1 cargo test -p api openapi"
            );
        }
    }

    #[test]
    fn nothing_is_routed_beside_the_list() {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let files = [source.clone(), source.join("routes")].into_iter().flat_map(|at| fs::read_dir(at).unwrap());
        let files =
            files.map(|file| file.unwrap().path()).filter(|path| path.is_file() && !path.ends_with("openapi.rs"));
        let names_routes = |path: &PathBuf| {
            let text = fs::read_to_string(path).unwrap();
            [".route(", ".nest(", "Router::new()."].iter().any(|call| text.contains(call))
        };
        let routed: Vec<_> = files.filter(names_routes).collect();
        assert_eq!(routed, [source.join("routes/mod.rs")]);
    }

    #[test]
    fn every_reference_leads_somewhere_and_every_operation_has_a_name_of_its_own() {
        let document = document();
        let text = document.to_string();
        for reference in text.split("\"$ref\":\"#").skip(1).filter_map(|rest| rest.split('"').next()) {
            assert!(document.pointer(reference).is_some(), "{reference}");
        }
        let operations = routes::described(&mut generator());
        let names: std::collections::BTreeSet<_> = operations.iter().map(name).collect();
        assert_eq!(names.len(), operations.len());
        assert!(operations.iter().all(|operation| text.contains(operation.path)));
    }
}
