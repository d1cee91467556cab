//! The container of `compose/step-ca`: read with a YAML parser, and held to what it promises.

use pki::step_ca::guard::{FLOOR, Version};
use saphyr_parser::{Event, Parser};
use serde_json::{Value, json};

/// The next value of a document; none where a list or a table ends.
fn value<'a>(events: &mut impl Iterator<Item = Event<'a>>) -> Option<Value> {
    match events.next()? {
        Event::Scalar(text, ..) => Some(Value::from(text.into_owned())),
        Event::SequenceStart(..) => Some(std::iter::from_fn(|| value(events)).collect()),
        Event::MappingStart(..) => {
            let mut table = serde_json::Map::new();
            while let Some(key) = value(events) {
                table.insert(key.as_str().unwrap().to_owned(), value(events).unwrap());
            }
            Some(table.into())
        }
        Event::StreamStart | Event::DocumentStart(_) => value(events),
        _ => None,
    }
}

#[test]
fn the_container_starts_a_new_enough_step_ca_by_our_init_and_shows_it_to_this_machine_alone() {
    let text = include_str!("../../../compose/step-ca/compose.yaml");
    let mut events = Parser::new_from_str(text).map(|event| event.unwrap().0);
    let read = value(&mut events).unwrap();
    let service = &read["services"]["step-ca"];
    let (image, version) = service["image"].as_str().unwrap().split_once(':').unwrap();
    assert!(image == "smallstep/step-ca" && Version::parse(version).unwrap() >= FLOOR, "{image} {version}");
    assert_eq!(service["entrypoint"], json!(["/bin/sh", "/mosaic-fed/init"]));
    let mounted = |at: &str| service["volumes"].as_array().unwrap().iter().find(|one| one["target"] == at).unwrap();
    // What lies beside the file is what starts it; the template there is the one that this program knows.
    assert_eq!(
        (&mounted("/mosaic-fed")["source"], &mounted("/mosaic-fed")["read_only"]),
        (&json!("."), &json!("true"))
    );
    assert!(mounted("/home/step")["source"].as_str().unwrap().starts_with("${STEP_CA_FILES:?"));
    assert!(include_str!("../../../compose/step-ca/init").contains("folder=${1:-/home/step}"));
    assert_eq!(pki::step_ca::TEMPLATE, include_str!("../../../compose/step-ca/leaf.tpl"));
    for port in service["ports"].as_array().unwrap() {
        assert!(port.as_str().unwrap().starts_with("127.0.0.1:"), "{port}");
    }
}
