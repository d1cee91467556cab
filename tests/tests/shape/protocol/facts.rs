//! The tables of the page: calls, reasons with their codes, limits, and the reference, which this test writes itself.

use super::{page, path, section, table};
use domain::{
    Reason,
    calling::AWAIT_LIFE,
    decide::{CHUNK_BYTES, CHUNK_ROWS},
    invite::{BOUND_LIFE, OPEN_LIFE},
    item::MAX_ITEM_BYTES,
    operation::{Entrance, Method},
    reach,
    renewal::{AGAIN, LIFE, OVERLAP},
    scope::{Rate, spec::MAX_ROWS},
    wire,
};
use link::call::{MOST_PARKED, preamble::MAX_SEALED};
use prost_reflect::{DescriptorPool, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor};
use spoke::road::{
    limit::PEER,
    status,
    tries::{TRIES, WIDE},
};
use std::{fs, time::Duration};

const BEGIN: &str = "<!-- what follows is written by `UPDATE_DOCS=1 cargo test -p tests --test shape protocol` -->\n";

fn code(text: &str) -> String {
    format!("`{text}`")
}

fn call(method: Method) -> [String; 5] {
    let (service, rpc) = method.path().trim_start_matches('/').split_once('/').unwrap();
    let listener = match method.entrance() {
        Entrance::Enrolment => "enrolment",
        Entrance::Federation => "links",
    };
    let verb = method.verb().map_or("none".to_owned(), |verb| code(wire::verb(verb).as_str_name()));
    let service = service.rsplit('.').next().unwrap();
    let limited = if method.is_limited() { "yes" } else { "no" };
    [code(&format!("{service}.{rpc}")), code(method.path()), listener.to_owned(), verb, limited.to_owned()]
}

#[test]
fn the_table_of_calls_is_the_list_of_methods() {
    let page = page();
    let rows = table(
        section(&page, "Services and listeners"),
        "| call | path | listener | verb it needs | takes from the rate |",
    );
    assert_eq!(rows, Method::ALL.map(call));
}

#[test]
fn the_table_of_refusals_has_every_reason_with_its_code_and_a_step_for_each() {
    let page = page();
    let rows = table(section(&page, "Refusals"), "| reason | code | details besides | outcome | what to do |");
    let told: Vec<_> = rows.iter().map(|row| (row[0].to_owned(), row[1].to_owned())).collect();
    let upper = |reason| format!("{:?}", status::code(reason)).to_uppercase();
    let plain = |text: &str| text.replace(['_', '`'], "");
    let real = Reason::ALL.map(|reason| (code(reason.code()), upper(reason)));
    assert_eq!(told.iter().map(|(reason, code)| (reason.clone(), plain(code))).collect::<Vec<_>>(), real);
    assert!(rows.iter().all(|row| row.len() == 5 && row[4].len() > 20), "a reason without a step");
}

/// What the page tells of each limit, from the limits that are in force.
fn limits() -> Vec<[String; 2]> {
    let limits = link::Limits::default();
    let kib = |bytes: usize| format!("{} KiB", bytes >> 10);
    let mib = |bytes: usize| format!("{} MiB", bytes >> 20);
    let minutes = |time: Duration| time.as_secs() / 60;
    let rate = |rate: Rate| format!("{} a minute, {} at once", rate.per_minute, rate.burst);
    let bytes = |number: u32| usize::try_from(number).unwrap();
    let told = [
        ("one message, either way", mib(limits.message)),
        ("one message to `mosaic.federation.v1.ConnectService`", kib(domain::session::MESSAGE)),
        ("one row: title, body, tags and attributes together", mib(MAX_ITEM_BYTES)),
        ("header list of a call", kib(bytes(limits.headers))),
        ("HTTP/2 frame", kib(bytes(limits.frame))),
        ("certificate request", kib(pki::request::MAX_BYTES)),
        ("rows asked for", format!("{},{:03}", MAX_ROWS / 1_000, MAX_ROWS % 1_000)),
        ("chunk of a List", format!("{CHUNK_ROWS} rows, {}", kib(CHUNK_BYTES))),
        ("calls of a grant", format!("{}, unless its owner says otherwise", rate(Rate::DEFAULT))),
        ("calls of one asking instance, all grants of one subject together", rate(PEER)),
        ("connections of one grant", limits.connections_per_grant.to_string()),
        ("open streams of a connection", limits.streams.to_string()),
        ("calls in work of a connection", limits.in_flight.to_string()),
        (
            "new connections of one address",
            format!("{} a second, {} at once", limits.address_rate, limits.address_burst),
        ),
        ("unproven connections of one address", limits.unproven_per_address.to_string()),
        ("handshake", format!("{} s", limits.handshake.as_secs())),
        ("age of a connection", format!("{} min", minutes(limits.connection_age))),
        ("age of a connection for enrolment", format!("{} min", minutes(limits.enrolment_age))),
        ("streams that you reset before they were looked at", limits.pending_resets.to_string()),
        ("certificate", format!("{} h, unless its owner says otherwise", minutes(LIFE) / 60)),
        (
            "renewal of a certificate",
            format!("after a tenth of its life; every {} s while the last one given was not used", AGAIN.as_secs()),
        ),
        ("former certificate after the new one's first use", format!("{} s", OVERLAP.as_secs())),
        (
            "invite",
            format!(
                "{} min, one key; {} days where it is bound to one",
                minutes(OPEN_LIFE),
                minutes(BOUND_LIFE) / 60 / 24
            ),
        ),
        ("the same key again, once its certificate is stored", format!("{} min", minutes(domain::invite::AGAIN))),
        (
            "tries to enrol of one address (IPv6: /64) that do not end well",
            format!("{} at once, {} a minute", TRIES.burst, TRIES.per_minute),
        ),
        (
            "the same of one /48 of IPv6",
            format!("{} at once, {} a minute", WIDE * TRIES.burst, WIDE * TRIES.per_minute),
        ),
        ("a text to be called with", format!("{} days, one link", minutes(AWAIT_LIFE) / 60 / 24)),
        ("sealed invite of a call", kib(MAX_SEALED)),
        ("connections that wait for one link, where the sharing side calls", MOST_PARKED.to_string()),
        (
            "addresses that an asking side tries for one request, and requests of one link",
            format!("{}, and {} a minute", reach::ADDRESSES, reach::REQUESTS),
        ),
    ];
    told.map(|(what, limit)| [what.to_owned(), limit]).to_vec()
}

#[test]
fn the_limits_it_tells_are_the_ones_in_force() {
    let page = page();
    let rows = table(section(&page, "Limits"), "| what | limit | beyond it |");
    let told: Vec<_> = rows.iter().map(|row| [row[0].to_owned(), row[1].to_owned()]).collect();
    assert_eq!(told, limits());
}

fn field(field: &FieldDescriptor) -> String {
    let kind = match field.kind() {
        Kind::Message(message) if message.package_name() == proto::PACKAGE => message.name().to_owned(),
        Kind::Message(message) => message.full_name().to_owned(),
        Kind::Enum(kind) => kind.name().to_owned(),
        scalar => format!("{scalar:?}"),
    };
    let optional = field.field_descriptor_proto().proto3_optional().then_some("optional ");
    let repeated = field.is_list().then_some("repeated ");
    format!("{} `{}` {}{kind}", field.number(), field.name(), repeated.or(optional).unwrap_or_default())
}

fn message(message: &MessageDescriptor) -> String {
    let fields: Vec<_> = message.fields().map(|one| field(&one)).collect();
    let fields = if fields.is_empty() { "none".to_owned() } else { fields.join(", ") };
    format!("| `{}` | {fields} |\n", message.name())
}

fn values(kind: &EnumDescriptor) -> String {
    let values: Vec<_> = kind.values().map(|value| format!("{} `{}`", value.number(), value.name())).collect();
    format!("| `{}` | {} |\n", kind.name(), values.join(", "))
}

fn reference() -> String {
    let pool = DescriptorPool::decode(proto::DESCRIPTOR).unwrap();
    let messages = pool.all_messages().filter(|one| one.package_name() == proto::PACKAGE);
    let messages: String = messages.map(|one| message(&one)).collect();
    let enums = pool.all_enums().filter(|one| one.package_name() == proto::PACKAGE);
    let enums: String = enums.map(|one| values(&one)).collect();
    format!("\n| message | fields |\n|---|---|\n{messages}\n| enum | values |\n|---|---|\n{enums}")
}

#[test]
fn the_reference_is_the_descriptor_itself() {
    let page = page();
    let (head, written) = page.split_once(BEGIN).expect("the page has the line after which it is written");
    let wanted = reference();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(path(), format!("{head}{BEGIN}{wanted}")).unwrap();
    } else {
        assert!(
            written == wanted,
            "docs/protocol.md is behind: UPDATE_DOCS=1 cargo test -p tests --test shape protocol"
        );
    }
}
