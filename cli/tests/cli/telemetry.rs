//! What is told of requests to other programs, by two instances of the built program and a collector of our own.

mod collector;
mod tls;

use super::harness::{Instance, free_port, pause, program};
use collector::{Collector, Told};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use std::{
    collections::BTreeSet,
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::{fs::PermissionsExt, net::UnixStream},
    time::{Duration, Instant},
};

/// The row's text, which must be nowhere.
const ROW: &str = "marker-1f6b2c90 the rack on the left";
/// A trace that a program of this machine began.
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const SPAN: &str = "b7ad6b7169203331";

/// Adds lines to the settings.
fn set(instance: &Instance, lines: &str) {
    let config = instance.data().join("config.toml");
    let key = |line: &str| line.split(" =").next().unwrap().to_owned();
    let written = fs::read_to_string(&config).unwrap();
    let kept = written.lines().filter(|line| lines.lines().all(|new| key(new) != key(line)));
    let all: Vec<_> = kept.chain(lines.lines()).chain([""]).collect();
    fs::write(&config, all.join("\n")).unwrap();
}

/// Two instances that are made and tell a collector of their requests, running.
fn two(collector: u16) -> (Instance, Instance) {
    let made = |name| {
        let mut instance = Instance::made(name);
        let headers = instance.file("headers", "authorization: Bearer marker-of-the-collector\n");
        fs::set_permissions(&headers, fs::Permissions::from_mode(0o600)).unwrap();
        let telemetry = format!(
            "[telemetry]\notlp_endpoint = \"http://127.0.0.1:{collector}\"\notlp_headers_file = \"{}\"",
            headers.display()
        );
        set(&instance, &telemetry);
        instance.serve_with(&["--log", "trace"], &std::env::temp_dir());
        instance
    };
    (made("office"), made("home"))
}

/// Links them, with a row to ask for. The invite.
fn linked(office: &Instance, home: &Instance) -> String {
    office.run(&["add", "tasks", ROW]).done();
    let invite = office.types("invite to-home --share tasks --rate 1000").done().out.trim().to_owned();
    home.run(&["link", &invite, "--yes", "--name", "work"]).done();
    invite
}

/// Asks the local door as a program does, with headers of its own. The whole answer.
fn ask(instance: &Instance, path: &str, headers: &str) -> String {
    let mut stream = UnixStream::connect(instance.data().join("api.sock")).unwrap();
    let head = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n{headers}connection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).unwrap();
    said
}

fn hex(bytes: &[u8]) -> String {
    hex::encode(bytes)
}

/// The ends of one question for rows: the asking side's span and the sharing side's, once both are there.
fn ends(collector: &Collector, is_it: impl Fn(&Told) -> bool) -> (Told, Told) {
    let find =
        |told: &[Told], kind: SpanKind| told.iter().find(|one| one.span.kind == kind as i32 && is_it(one)).cloned();
    let told = collector.until(|told| find(told, SpanKind::Client).is_some() && find(told, SpanKind::Server).is_some());
    (find(&told, SpanKind::Client).unwrap(), find(&told, SpanKind::Server).unwrap())
}

#[test]
fn one_question_is_one_trace_on_both_sides_and_nothing_of_a_row_or_a_secret_is_in_it() {
    let collector = Collector::start();
    let (office, home) = two(collector.port);
    let invite = linked(&office, &home);
    let listed = home.types("list tasks --from work --strict --fresh").done();
    assert!(listed.out.contains("marker-1f6b2c90"), "{listed:?}");

    let (asked, shared) = ends(&collector, |one| one.attributes["verb"] == "list");
    assert_eq!((&*asked.span.name, &*shared.span.name), ("federation.request", "federation.request"));
    assert_eq!(hex(&asked.span.trace_id), hex(&shared.span.trace_id));
    assert_eq!(hex(&shared.span.parent_span_id), hex(&asked.span.span_id));
    assert_eq!(hex(&asked.span.parent_span_id), "", "nobody before it named a trace");
    let id = |instance: &Instance| instance.types("id --json").done().json()["instance"].as_str().unwrap().to_owned();
    let (here, there) = (id(&home), id(&office));
    for (told, instance, peer) in [(&asked, &here, &there), (&shared, &there, &here)] {
        let grant = office.types("grant show to-home --json").done().json()["id"].as_str().unwrap().to_owned();
        let said: Vec<_> = ["grant_id", "peer", "verb", "resource", "outcome", "cached", "rows"]
            .iter()
            .map(|name| &*told.attributes[*name])
            .collect();
        assert_eq!(said, [&grant, peer, "list", "tasks", "ok", "false", "1"], "{told:?}");
        assert!(told.attributes["latency_ms"].parse::<u64>().is_ok(), "{told:?}");
        assert_eq!(&told.instance, instance);
        let names: BTreeSet<_> = told.attributes.keys().map(String::as_str).collect();
        let known = ["cached", "grant_id", "latency_ms", "outcome", "peer", "request_id", "resource", "rows", "verb"];
        assert_eq!(names, BTreeSet::from(known), "nothing else is told");
        assert!(told.span.events.is_empty() && told.span.trace_state.is_empty(), "{told:?}");
    }

    let token = domain::invite::Invite::decode(&invite).unwrap().token.expose().clone();
    let batches = collector.batches();
    assert!(
        batches.iter().all(|batch| batch.head.contains(&"authorization: bearer marker-of-the-collector".to_owned()))
    );
    for batch in batches.iter() {
        let text = String::from_utf8_lossy(&batch.body).to_lowercase();
        for secret in [ROW, "marker-1f6b2c90", &token, &invite[..40], "begin cert", "bearer", "alice"] {
            assert!(!text.contains(&secret.to_lowercase()), "{secret} in a span");
        }
    }
    for instance in [&office, &home] {
        let log = fs::read_to_string(instance.base.path().join("serve.log")).unwrap();
        assert!(!log.contains("marker-of-the-collector") && !log.contains(ROW), "a secret is in the log");
    }
}

#[test]
fn a_program_that_names_its_trace_finds_both_sides_in_it_and_one_that_names_it_badly_begins_a_new_one() {
    let collector = Collector::start();
    let (office, home) = two(collector.port);
    linked(&office, &home);
    let path = "/v1/rows/tasks?from=work&fresh=true";
    let traced =
        format!("traceparent: 00-{TRACE}-{SPAN}-00\r\ntracestate: secret=hunter2\r\nbaggage: user=hunter2\r\n");
    assert!(ask(&home, path, &traced).starts_with("HTTP/1.1 200"));
    let (asked, shared) = ends(&collector, |one| hex(&one.span.trace_id) == TRACE);
    assert_eq!(hex(&asked.span.parent_span_id), SPAN);
    assert_eq!(hex(&shared.span.parent_span_id), hex(&asked.span.span_id));
    assert!(shared.span.trace_state.is_empty() && asked.span.trace_state.is_empty());

    let others =
        ["garbage", "00-00000000000000000000000000000000-b7ad6b7169203331-01", &format!("ff-{TRACE}-{SPAN}-01")];
    for bad in others {
        assert!(ask(&home, path, &format!("traceparent: {bad}\r\n")).starts_with("HTTP/1.1 200"));
    }
    let twice = format!("traceparent: 00-{TRACE}-{SPAN}-01\r\n").repeat(2);
    assert!(ask(&home, path, &twice).starts_with("HTTP/1.1 200"));
    let lists = |told: &[Told]| told.iter().filter(|one| one.attributes["verb"] == "list").cloned().collect::<Vec<_>>();
    let told = collector.until(|told| lists(told).len() >= 2 * 6);
    let roots: Vec<_> = lists(&told).into_iter().filter(|one| one.span.parent_span_id.is_empty()).collect();
    // The four, and the one by which whoever links sees that there are rows.
    assert_eq!(roots.len(), 5, "{told:#?}");
    assert_eq!(lists(&told).iter().filter(|one| hex(&one.span.trace_id) == TRACE).count(), 2);
    assert!(!collector.batches().iter().any(|batch| String::from_utf8_lossy(&batch.body).contains("hunter2")));
}

#[test]
fn a_refused_and_a_kept_answer_are_told_as_that() {
    let collector = Collector::start();
    let (office, home) = two(collector.port);
    linked(&office, &home);
    home.types("list tasks --from work --strict --fresh").done();
    home.types("list tasks --from work --strict").done();
    let kept = |told: &[Told]| told.iter().filter(|one| one.attributes["cached"] == "true").count();
    collector.until(|told| kept(told) == 1);
    office.types("grant edit to-home --share notes").done();
    assert_ne!(home.types("list tasks --from work --strict --fresh").code, 0);
    let refused = |one: &Told| one.attributes["outcome"] != "ok" && one.attributes["verb"] == "list";
    let (asked, shared) = ends(&collector, refused);
    assert_eq!((&*asked.attributes["outcome"], &*shared.attributes["outcome"]), ("denied", "OUT_OF_SCOPE"));
}

#[test]
fn a_collector_that_is_away_or_silent_holds_up_no_call_and_no_end() {
    // It takes connections and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let (mut office, mut home) = two(silent.local_addr().unwrap().port());
    linked(&office, &home);
    for _ in 0..20 {
        home.types("list tasks --from work --strict --fresh").done();
    }
    let log = || fs::read_to_string(home.base.path().join("serve.log")).unwrap();
    let end = Instant::now() + Duration::from_mins(1);
    while !log().contains("spans cannot be sent") {
        assert!(Instant::now() < end, "{}", log());
        pause();
    }
    home.types("list tasks --from work --strict --fresh").done();
    assert_eq!((office.stop(), home.stop()), (Some(0), Some(0)));
    drop(silent);
    home.serve();
    home.types("status").done();
    assert_eq!(home.stop(), Some(0));
}

#[test]
fn what_waits_is_sent_before_the_daemon_ends() {
    let collector = Collector::start();
    let (office, mut home) = two(collector.port);
    linked(&office, &home);
    home.types("list tasks --from work --strict --fresh").done();
    assert_eq!(home.stop(), Some(0));
    let told = collector.told();
    let asked = told.iter().filter(|one| one.span.kind == SpanKind::Client as i32 && one.attributes["verb"] == "list");
    assert_eq!(asked.count(), 2, "the one that linking ends with, and this one: {told:#?}");
}

/// What the port for numbers answers: head and body.
fn scraped(at: &str, line: &str, host: &str) -> (String, String) {
    let mut stream = TcpStream::connect(at).unwrap();
    stream.write_all(format!("{line} HTTP/1.1\r\nhost: {host}\r\n\r\n").as_bytes()).unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).unwrap();
    let (head, body) = said.split_once("\r\n\r\n").unwrap();
    (head.to_lowercase(), body.to_owned())
}

#[test]
fn prometheus_reads_numbers_of_nobody_in_particular_and_what_was_slow_is_in_the_log() {
    let at = [format!("127.0.0.1:{}", free_port()), format!("127.0.0.1:{}", free_port())];
    let made = |name, at: &str| {
        let mut instance = Instance::made(name);
        set(&instance, &format!("metrics_listen = \"{at}\"\nslow_request = \"1ms\"\nlog_format = \"json\""));
        instance.serve_with(&["--log", "trace"], &std::env::temp_dir());
        instance
    };
    let (office, home) = (made("office", &at[0]), made("home", &at[1]));
    let invite = linked(&office, &home);
    home.types("list tasks --from work --strict --fresh").done();
    home.types("list tasks --from work --strict").done();
    let page = |at: &str| {
        let (head, body) = scraped(at, "GET /metrics", at);
        assert!(
            head.starts_with("http/1.1 200") && head.contains("application/openmetrics-text; version=1.0.0"),
            "{head}"
        );
        assert!(body.ends_with("# EOF\n"), "{body}");
        body
    };
    let [shared, asked] = [page(&at[0]), page(&at[1])];
    for (page, line) in [
        (&shared, "mosaic_fed_requests_total{side=\"sharing\",verb=\"list\",outcome=\"ok\"} "),
        (&asked, "mosaic_fed_requests_total{side=\"asking\",verb=\"list\",outcome=\"ok\"} "),
        (&shared, "mosaic_fed_rows_total{side=\"sharing\",resource=\"tasks\"} "),
        (&asked, "mosaic_fed_kept_answers_total 1"),
        (&asked, "mosaic_fed_links{state=\"up\"} 1"),
        (&asked, "mosaic_fed_circuits{state=\"closed\"} 1"),
        (&shared, "mosaic_fed_sessions 1"),
        (&shared, "mosaic_fed_audit_queue "),
        (&shared, "mosaic_fed_database_connections "),
    ] {
        assert!(page.lines().any(|said| said.starts_with(line)), "{line} in {page}");
    }
    let series = |page: &str| page.lines().filter(|line| !line.starts_with('#')).count();
    for number in 0..200 {
        let (line, host) = (format!("GET /metrics{number}"), format!("host-{number}.example"));
        assert!(scraped(&at[0], &line, &at[0]).0.starts_with("http/1.1 404"));
        assert!(scraped(&at[0], "GET /metrics", &host).0.starts_with("http/1.1 421"));
    }
    assert_eq!(series(&page(&at[0])), series(&shared), "nothing that is asked for makes it longer");

    let token = domain::invite::Invite::decode(&invite).unwrap().token.expose().clone();
    let logs = [&office, &home].map(|instance| fs::read_to_string(instance.base.path().join("serve.log")).unwrap());
    for text in logs.iter().chain([&shared, &asked]) {
        for secret in [ROW, "marker-1f6b2c90", &token, &invite[..40], "BEGIN PRIVATE"] {
            assert!(!text.contains(secret), "{secret} is told");
        }
    }
    assert!(
        ![&shared, &asked]
            .iter()
            .any(|page| page.contains("work") || page.contains("to-home") || page.contains("dana"))
    );
    for (log, side) in logs.iter().zip(["sharing", "asking"]) {
        let lines = log.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        let slow = lines
            .map(|line| line["fields"].clone())
            .find(|fields| fields["message"] == "a slow request" && fields["side"] == side && fields["verb"] == "list");
        let slow = slow.unwrap_or_else(|| panic!("nothing was slow: {log}"));
        let parts =
            ["queue_ms", "database_ms", "record_ms", "wire_ms", "rest_ms"].map(|part| slow[part].as_u64().unwrap());
        let took = slow["took_ms"].as_u64().unwrap();
        assert!(took >= 1 && parts.iter().sum::<u64>() <= took, "{slow}");
    }
}

#[test]
fn numbers_are_for_this_machine_unless_that_is_said_otherwise() {
    for (lines, words) in [
        ("metrics_listen = \"0.0.0.0:9464\"", ["other machines", "next: listen at 127.0.0.1"]),
        ("metrics_listen = \"localhost:9464\"", ["no IP address", "docs/configuration.md"]),
        ("slow_request = \"soon\"", ["no span of time", "500ms"]),
    ] {
        let instance = Instance::made("office");
        set(&instance, lines);
        instance.types("serve").fails(2, &words);
    }
}

#[test]
fn settings_that_would_send_spans_in_the_clear_or_nowhere_are_refused_with_the_next_step() {
    for (lines, words) in [
        ("[telemetry]\notlp_endpoint = \"collector\"", ["otlp_endpoint", "next: write it as in http://127.0.0.1:4318"]),
        ("[telemetry]\notlp_endpoint = \"http://192.0.2.7:4318\"", ["in the clear", "next: write https://"]),
        ("[telemetry]\notlp_endpoint = \"https://c.example\"", ["no `otlp_root`", "next: set `otlp_root`"]),
        ("[telemetry]\notlp_endpoint = \"http://127.0.0.1\"\notlp_share = 2", ["0 to 1", "next: "]),
        ("[telemetry]\notlp_share = 1", ["no `otlp_endpoint`", "next: write it"]),
        ("[telemetry]\ncolour = 1", ["no key `colour`", "telemetry.otlp_endpoint"]),
        ("[telemetry]\notlp_endpoit = 1", ["no key `otlp_endpoit`", "next: call it `otlp_endpoint`"]),
        (
            "[telemetry]\notlp_endpoint = \"http://127.0.0.1\"\notlp_headers_file = \"/nowhere\"",
            ["`otlp_headers_file` of `[telemetry]`: cannot read /nowhere", "next: "],
        ),
    ] {
        let instance = Instance::made("office");
        set(&instance, lines);
        let ran = instance.types("serve");
        assert!(ran.code != 0 && words.iter().all(|word| ran.err.contains(word)), "{ran:?}");
    }
    let instance = Instance::made("office");
    let mut serve = program(&["-C", instance.data().to_str().unwrap(), "serve"]);
    serve.env("MOSAIC_FED_TELEMETRY_OTLP_ENDPOINT", "http://192.0.2.7");
    super::harness::finish(serve).fails(2, &["the environment", "in the clear"]);
}
