//! Every word in code style that looks like a name is one: of a call, a message, a field, an enum value, a reason, a code.

use super::page;
use domain::{Reason, operation::Method};
use prost_reflect::DescriptorPool;
use std::collections::BTreeSet;
use tonic::Code;

/// Names of others' making that the page uses: public gRPC and protobuf messages that are in no descriptor of ours.
const PUBLIC: [&str; 7] = [
    "google.rpc.Status",
    "google.rpc.ErrorInfo",
    "google.rpc.RetryInfo",
    "google.rpc.BadRequest",
    "google.protobuf.Any",
    "google.protobuf.Duration",
    "grpc.health.v1",
];

/// Words of the page that are no names of the descriptor: TLS alerts, texts that go into hashes, fields of a refusal,
/// a setting.
const WORDS: [&str; 21] = [
    "certificate_revoked",
    "certificate_expired",
    "unknown_ca",
    "certificate_required",
    "bad_certificate",
    "access_denied",
    "no_application_protocol",
    "protocol_version",
    "list",
    "get",
    "newest",
    "true",
    "false",
    "tasks",
    "try_addresses",
    "traceparent",
    "tracestate",
    "baggage",
    "request",
    "message",
    "REASON_",
];

/// `DeadlineExceeded` as gRPC writes it.
fn upper(code: Code) -> String {
    let name = format!("{code:?}");
    let word = |(at, c): (usize, char)| {
        let dash = if at > 0 && c.is_uppercase() { "_" } else { "" };
        format!("{dash}{}", c.to_ascii_uppercase())
    };
    name.char_indices().map(word).collect()
}

/// Every name that the page may use.
fn names() -> BTreeSet<String> {
    let mut names: BTreeSet<String> = PUBLIC.iter().chain(&WORDS).map(ToString::to_string).collect();
    names.insert(proto::PACKAGE.to_owned());
    names.extend((0..=16).map(|code| upper(Code::from(code))));
    names.extend(Reason::ALL.map(|reason| reason.code().to_owned()));
    names.extend(domain::scope::Door::ALL.map(|door| door.word().to_owned()));
    for descriptors in [proto::DESCRIPTOR, tonic_health::pb::FILE_DESCRIPTOR_SET] {
        let pool = DescriptorPool::decode(descriptors).unwrap();
        pool.services().for_each(|service| {
            names.insert(service.full_name().to_owned());
            names.extend(service.methods().map(|rpc| format!("{}.{}", service.name(), rpc.name())));
        });
        pool.all_messages().for_each(|message| {
            names.extend([message.full_name().to_owned(), message.name().to_owned()]);
            let fields = message.fields().map(|field| field.name().to_owned()).collect::<Vec<_>>();
            names.extend(fields.iter().map(|field| format!("{}.{field}", message.name())));
            names.extend(fields.into_iter().filter(|_| message.package_name() == proto::PACKAGE));
        });
        pool.all_enums().for_each(|kind| {
            names.insert(kind.name().to_owned());
            names.extend(kind.values().map(|value| value.name().to_owned()));
        });
    }
    names
}

/// Code style outside fenced blocks.
fn spans(page: &str) -> Vec<String> {
    let prose: String = page.split("\n```").step_by(2).collect();
    prose.split('`').skip(1).step_by(2).map(|span| span.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

/// Whether it could be a name: letters and `_`, or such segments with dots between.
fn is_name(span: &str) -> bool {
    let letters = |text: &str| text.chars().all(|c| c.is_ascii_alphabetic() || c == '_');
    let segment = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_alphabetic())
            && letters(text.trim_end_matches(|c: char| c.is_ascii_digit()))
    };
    if span.contains('.') { span.split('.').all(segment) } else { segment(span) && letters(span) }
}

/// What in code style is the name of nothing.
fn faults(page: &str) -> Vec<String> {
    let names = names();
    let wrong = |span: &String| match span.strip_prefix('/') {
        Some(_) => Method::from_path(span).is_none(),
        None => is_name(span) && !names.contains(span),
    };
    spans(page).into_iter().filter(wrong).collect()
}

#[test]
fn every_name_in_code_style_is_the_name_of_something() {
    let page = page();
    assert_eq!(faults(&page), Vec::<String>::new());
    let judged = spans(&page).iter().filter(|span| is_name(span)).count();
    assert!(judged > 150, "only {judged} names were judged");
}

#[test]
fn every_call_message_enum_and_field_is_named_somewhere() {
    let page = page();
    let said: BTreeSet<_> = spans(&page).into_iter().collect();
    let pool = DescriptorPool::decode(proto::DESCRIPTOR).unwrap();
    let mut unsaid = Vec::new();
    for message in pool.all_messages().filter(|message| message.package_name() == proto::PACKAGE) {
        let fields = message.fields().map(|field| field.name().to_owned());
        unsaid.extend(fields.chain([message.name().to_owned()]).filter(|name| !said.contains(name)));
    }
    for kind in pool.all_enums().filter(|kind| kind.package_name() == proto::PACKAGE) {
        unsaid.extend(kind.values().map(|value| value.name().to_owned()).filter(|name| !said.contains(name)));
    }
    let calls = pool.services().flat_map(|service| {
        service.methods().map(|rpc| format!("{}.{}", service.name(), rpc.name())).collect::<Vec<_>>()
    });
    unsaid.extend(calls.filter(|call| !said.contains(call)));
    unsaid.extend(Reason::ALL.map(|reason| reason.code().to_owned()).into_iter().filter(|code| !said.contains(code)));
    assert_eq!(unsaid, Vec::<String>::new());
}

#[test]
fn a_planted_name_of_each_kind_is_found() {
    for wrong in
        ["QueryService.Search", "ListRequest.cursor", "Lists", "page_size", "OUT_OF_RANGES", "google.rpc.Help", "/x/Y"]
    {
        assert_eq!(faults(&format!("see `{wrong}`, not `List` or so")), [wrong, "List"], "{wrong}");
    }
    let right = "`QueryService.List`, `Item`, `page_token`, `UNAVAILABLE`, `GRANT_RATE`, `x-request-id`, `3fde`, `a b`";
    assert_eq!(faults(&format!("{right}\n```\n`Nonsense`\n```\n")), Vec::<String>::new());
}
