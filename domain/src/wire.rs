//! Between messages and values. Everything a peer sends passes here once, and what does not fit is refused with its field's name.

use crate::{
    Refusal, Time,
    caller::Presented,
    id::{InstanceId, ItemId, Name, Resource},
    invite::Token,
    item::{Item, MAX_ITEM_BYTES},
    operation::{Connect, Enroll, Get, List, Renew},
    page::PageToken,
    refusal::Reason,
    scope::{Door, Filter, Rate, Scope, Verb, spec::MAX_ROWS},
    words::Nonce,
};
use prost_types::{Struct, Timestamp, Value as WireValue, value::Kind};
use proto::v1;
use serde_json::{Map, Number, Value};
use std::{collections::BTreeSet, sync::Arc};

/// Attributes deeper than this are refused: nothing real is, and recursion must end.
const MAX_DEPTH: usize = 16;
/// The largest certificate signing request that is read, in bytes.
const MAX_CSR: usize = 4 * 1024;

/// An instant as the wire writes it.
pub fn timestamp(time: Time) -> Timestamp {
    let nanos = time.micros().rem_euclid(1_000_000) * 1_000;
    Timestamp { seconds: time.seconds(), nanos: i32::try_from(nanos).unwrap_or(0) }
}

/// An instant as the wire wrote it; anything outside the years 1 to 9999 becomes the nearest one within.
pub fn time(wire: Timestamp) -> Time {
    let micros = wire.seconds.saturating_mul(1_000_000);
    Time::from_micros(micros.saturating_add(i64::from(wire.nanos.clamp(0, 999_999_999) / 1_000)))
}

/// What a scope shares, with the fields that may leave.
pub fn resources(scope: &Scope) -> Vec<v1::ResourceScope> {
    let resource = |(name, filter): (&Resource, &Filter)| v1::ResourceScope {
        resource: name.to_string(),
        fields: filter.fields.iter().map(ToString::to_string).collect(),
    };
    scope.resources().map(resource).collect()
}

/// What a scope lets be done.
pub fn verbs(scope: &Scope) -> Vec<i32> {
    scope.verbs().map(|one| verb(one).into()).collect()
}

/// Where a scope lets rows be shown.
pub fn doors(scope: &Scope) -> Vec<String> {
    scope.doors().map(|door| door.word().to_owned()).collect()
}

/// The doors that are named, by the words of [`doors`]: every one where none is, for then nothing is said of them. A word of a later
/// version names none that there is here.
pub fn named_doors(words: &[String]) -> BTreeSet<Door> {
    let named = |door: &Door| words.is_empty() || words.iter().any(|word| word == door.word());
    Door::ALL.into_iter().filter(named).collect()
}

/// Reads a list request.
pub fn list(wire: &v1::ListRequest) -> Result<List, Refusal> {
    if wire.limit > MAX_ROWS {
        return Err(Refusal::malformed("limit", format!("at most {MAX_ROWS}; 0 means the grant's cap")));
    }
    let page = (!wire.page_token.is_empty()).then(|| PageToken::decode(&wire.page_token));
    Ok(List {
        resource: resource(&wire.resource)?,
        limit: (wire.limit > 0).then_some(wire.limit),
        page: page.transpose().map_err(|_| Refusal::new(Reason::BadPageToken))?,
        include_body: wire.include_body,
        progress: None,
    })
}

/// Reads a get request.
pub fn get(wire: &v1::GetRequest) -> Result<Get, Refusal> {
    let id: ItemId = wire.id.parse().map_err(|cause| malformed("id", cause))?;
    Ok(Get { resource: resource(&wire.resource)?, id })
}

/// Reads a connect request.
pub fn connect(wire: &v1::ConnectRequest) -> Connect {
    Connect { version_min: wire.version_min, version_max: wire.version_max }
}

/// Reads an enrolment: the token to look the invite up by, and the operation.
pub fn enroll(wire: v1::EnrollRequest, at: Time) -> Result<(Token, Enroll), Refusal> {
    let token = Token::parse(&wire.token).ok_or_else(|| Refusal::malformed("token", "64 lower-case hex digits"))?;
    if wire.csr.len() > MAX_CSR {
        return Err(Refusal::malformed("csr", format!("at most {MAX_CSR} bytes")));
    }
    let instance: InstanceId = wire.instance_id.parse().map_err(|cause| malformed("instance_id", cause))?;
    if instance.0.is_nil() {
        return Err(Refusal::malformed("instance_id", "nobody's"));
    }
    let name: Name = wire.instance_name.parse().map_err(|cause| malformed("instance_name", cause))?;
    let nonce = wire.words_nonce.try_into().map_err(|_| Refusal::malformed("words_nonce", "32 bytes"))?;
    Ok((token, Enroll { csr: wire.csr, nonce: Nonce(nonce), instance, name, at }))
}

/// Reads a renewal over a connection that showed `presented`.
pub fn renew(wire: v1::RenewRequest, presented: Arc<Presented>, at: Time) -> Result<Renew, Refusal> {
    if wire.csr.len() > MAX_CSR {
        return Err(Refusal::malformed("csr", format!("at most {MAX_CSR} bytes")));
    }
    Ok(Renew { csr: wire.csr, presented, at })
}

fn resource(text: &str) -> Result<Resource, Refusal> {
    text.parse().map_err(|cause| malformed("resource", cause))
}

fn malformed(field: &'static str, cause: impl std::fmt::Display) -> Refusal {
    Refusal::malformed(field, cause.to_string())
}

/// Writes a row that passed the second check.
pub fn item(item: Item) -> v1::Item {
    v1::Item {
        id: item.id.to_string(),
        resource: item.resource.into(),
        created_at: Some(timestamp(item.created_at)),
        updated_at: Some(timestamp(item.updated_at)),
        title: item.title,
        body: item.body,
        team: item.team.map(Into::into),
        project: item.project.map(Into::into),
        owner: item.owner.map(Into::into),
        tags: item.tags.into_iter().map(Into::into).collect(),
        attributes: (!item.attributes.is_empty()).then(|| wire_struct(item.attributes)),
    }
}

/// The other side sent a row that cannot be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the other side sent a row with a bad `{0}`")]
pub struct BadItem(&'static str);

/// Reads a row that a peer sent; it may lie in every field.
pub fn read_item(wire: v1::Item) -> Result<Item, BadItem> {
    let item = Item {
        id: wire.id.parse().map_err(|_| BadItem("id"))?,
        resource: wire.resource.parse().map_err(|_| BadItem("resource"))?,
        created_at: wire.created_at.map(time).ok_or(BadItem("created_at"))?,
        updated_at: wire.updated_at.map(time).ok_or(BadItem("updated_at"))?,
        title: wire.title,
        body: wire.body,
        team: wire.team.map(|team| team.parse().map_err(|_| BadItem("team"))).transpose()?,
        project: wire.project.map(|project| project.parse().map_err(|_| BadItem("project"))).transpose()?,
        owner: wire.owner.map(|owner| owner.parse().map_err(|_| BadItem("owner"))).transpose()?,
        tags: wire.tags.iter().map(|tag| tag.parse().map_err(|_| BadItem("tags"))).collect::<Result<_, _>>()?,
        attributes: read_struct(wire.attributes.unwrap_or_default(), 0).ok_or(BadItem("attributes"))?,
    };
    if item.size() > 2 * MAX_ITEM_BYTES { Err(BadItem("size")) } else { Ok(item) }
}

fn wire_struct(map: Map<String, Value>) -> Struct {
    Struct { fields: map.into_iter().map(|(name, value)| (name, wire_value(value))).collect() }
}

fn wire_value(value: Value) -> WireValue {
    let kind = match value {
        Value::Null => Kind::NullValue(0),
        Value::Bool(flag) => Kind::BoolValue(flag),
        Value::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or(0.0)),
        Value::String(text) => Kind::StringValue(text),
        Value::Array(values) => {
            Kind::ListValue(prost_types::ListValue { values: values.into_iter().map(wire_value).collect() })
        }
        Value::Object(map) => Kind::StructValue(wire_struct(map)),
    };
    WireValue { kind: Some(kind) }
}

fn read_struct(wire: Struct, depth: usize) -> Option<Map<String, Value>> {
    wire.fields.into_iter().map(|(name, value)| Some((name, read_value(value, depth + 1)?))).collect()
}

/// None where the value is too deep or no JSON number.
fn read_value(wire: WireValue, depth: usize) -> Option<Value> {
    if depth > MAX_DEPTH {
        return None;
    }
    Some(match wire.kind? {
        Kind::NullValue(_) => Value::Null,
        Kind::BoolValue(flag) => Value::Bool(flag),
        Kind::NumberValue(number) => Value::Number(read_number(number)?),
        Kind::StringValue(text) => Value::String(text),
        Kind::ListValue(list) => {
            Value::Array(list.values.into_iter().map(|value| read_value(value, depth + 1)).collect::<Option<_>>()?)
        }
        Kind::StructValue(map) => Value::Object(read_struct(map, depth)?),
    })
}

/// Whole numbers within the exact range of a double stay whole, so that 3 is not shown as 3.0.
fn read_number(number: f64) -> Option<Number> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if number.fract() == 0.0 && number.abs() < EXACT {
        #[expect(clippy::cast_possible_truncation, reason = "whole and within the exact range")]
        return Some(Number::from(number as i64));
    }
    Number::from_f64(number)
}

/// A verb as the wire writes it.
pub const fn verb(verb: Verb) -> v1::Verb {
    match verb {
        Verb::Capabilities => v1::Verb::Capabilities,
        Verb::List => v1::Verb::List,
        Verb::Get => v1::Verb::Get,
        Verb::Search => v1::Verb::Search,
    }
}

/// A rate as the wire writes it.
pub const fn rate(rate: Rate) -> v1::Rate {
    v1::Rate { per_minute: rate.per_minute, burst: rate.burst }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::ItemId;
    use proptest::prelude::*;
    use prost::Message;
    use serde_json::json;
    use uuid::Uuid;

    proptest! {
        #[test]
        fn every_time_survives_the_wire(micros: i64) {
            let before = Time::from_micros(micros);
            prop_assert_eq!(time(timestamp(before)), before);
        }

        #[test]
        fn no_timestamp_makes_the_reader_panic(seconds: i64, nanos: i32) {
            let _ = time(Timestamp { seconds, nanos });
        }
    }

    /// A row that may be stored must be one that may be sent: else one row would keep a peer from all behind it.
    #[test]
    fn oversize_outbound() {
        let largest = |each: &dyn Fn(usize) -> Value, size: usize| {
            let values: Vec<_> = (0..MAX_ITEM_BYTES / size).map(each).collect();
            Map::from_iter([("list".to_owned(), Value::from(values))])
        };
        let named = (0..MAX_ITEM_BYTES / 11).map(|n| (format!("{n:06x}"), json!(""))).collect::<Map<_, _>>();
        let shapes = [
            largest(&|_| json!(0.1), 24),
            largest(&|_| json!(null), 24),
            largest(&|_| json!(""), 4),
            largest(&|_| json!([]), 4),
            largest(&|_| json!({ "": "" }), 8),
            Map::from_iter([("map".to_owned(), named.into())]),
            Map::new(),
        ];
        for attributes in shapes {
            let mut new: crate::item::NewItem =
                serde_json::from_value(json!({"resource": "tasks", "title": ""})).unwrap();
            new.attributes = attributes;
            if new.attributes.is_empty() {
                new.tags = (0..MAX_ITEM_BYTES / 8).map(|n| format!("{n:06x}").parse().unwrap()).collect();
            }
            while new.check_size().is_err() {
                let Some(Value::Array(values)) = new.attributes.get_mut("list") else { panic!("too large") };
                values.pop();
            }
            let row = Item {
                id: ItemId(Uuid::from_u128(3)),
                resource: new.resource,
                created_at: Time::from_micros(0),
                updated_at: Time::from_micros(0),
                title: Some(new.title),
                body: None,
                team: None,
                project: None,
                owner: None,
                tags: new.tags,
                attributes: new.attributes,
            };
            let said = format!("{:.80}", serde_json::to_string(&row).unwrap());
            let sent = item(row.clone());
            assert!(sent.encoded_len() <= 3 * MAX_ITEM_BYTES + 1_000, "{} bytes: {said}", sent.encoded_len());
            assert!(read_item(sent).is_ok(), "{said}");
        }
    }

    #[test]
    fn a_row_survives_the_wire() {
        let attributes =
            json!({"status": "open", "estimate_minutes": 30, "ratio": 0.5, "list": ["a"], "deep": {"x": null}});
        let before = Item {
            id: ItemId(Uuid::from_u128(3)),
            resource: "tasks".parse().unwrap(),
            created_at: Time::from_micros(1_790_000_000_123_456),
            updated_at: Time::from_micros(1_790_000_001_000_000),
            title: Some("Grüße".into()),
            body: None,
            team: Some("T1".parse().unwrap()),
            project: None,
            owner: Some("alice".parse().unwrap()),
            tags: ["x".parse().unwrap()].into(),
            attributes: attributes.as_object().unwrap().clone(),
        };
        assert_eq!(read_item(item(before.clone())).unwrap(), before);
    }

    #[test]
    fn a_deep_attribute_is_refused_instead_of_followed() {
        let mut value = WireValue { kind: Some(Kind::BoolValue(true)) };
        for _ in 0..1_000 {
            value = WireValue { kind: Some(Kind::ListValue(prost_types::ListValue { values: vec![value] })) };
        }
        assert_eq!(read_value(value, 0), None);
        assert_eq!(read_value(WireValue { kind: Some(Kind::NumberValue(f64::NAN)) }, 0), None);
    }

    #[test]
    fn limits_are_checked_at_the_edge() {
        for (limit, ok) in [(0, true), (10_000, true), (10_001, false), (u32::MAX, false)] {
            let wire = v1::ListRequest { resource: "tasks".into(), limit, ..Default::default() };
            assert_eq!(list(&wire).is_ok(), ok, "{limit}");
        }
    }
}
