//! A collector over TLS, with a CA of this test's own, and what `status` says of one that takes nothing.

use super::{
    super::harness::{Instance, Ran, pause},
    collector::Collector,
    ends, linked, set,
};
use serde_json::Value;
use std::time::{Duration, Instant};

/// Sends spans to this address, with this root where there is one, and runs.
fn telling(instance: &mut Instance, address: &str, root: Option<&str>) {
    let root = root.map(|root| format!("\notlp_root = \"{}\"", instance.file("collector.pem", root).display()));
    set(instance, &format!("[telemetry]\notlp_endpoint = \"{address}\"{}", root.unwrap_or_default()));
    instance.serve();
}

/// What `status` says of the collector, once that is as `enough` says. A question makes spans each time.
fn stands(home: &Instance, enough: impl Fn(&Value) -> bool) -> Value {
    let end = Instant::now() + Duration::from_mins(1);
    loop {
        home.types("list tasks --from work --fresh");
        let said = home.types("status --json").done().json()["collector"].clone();
        if enough(&said) {
            return said;
        }
        assert!(Instant::now() < end, "{said}");
        pause();
    }
}

fn lines(ran: &Ran, begin: &str) -> String {
    ran.out.lines().filter(|line| line.starts_with(begin)).collect()
}

#[test]
fn spans_go_over_tls_to_who_has_the_right_certificate_and_status_says_why_others_take_none() {
    let (collector, root) = Collector::over_tls();
    let (_, foreign) = Collector::over_tls();
    let (plain, port) = (Collector::start(), collector.port);
    let (mut office, mut home) = (Instance::made("office"), Instance::made("home"));
    telling(&mut office, &format!("https://localhost:{port}"), Some(&root));
    telling(&mut home, &format!("https://localhost:{port}"), Some(&root));
    linked(&office, &home);
    home.types("list tasks --from work --strict --fresh").done();
    let (asked, shared) = ends(&collector, |one| one.attributes["verb"] == "list");
    assert_eq!(asked.span.trace_id, shared.span.trace_id);
    let stood = stands(&home, |said| said["taken_at"].is_string());
    assert!(stood["is_failing"] == false && stood.get("failure").is_none(), "{stood}");
    assert_eq!(stood["at"], format!("https://localhost:{port}/v1/traces"));
    let shown = home.types("status").done();
    assert!(lines(&shown, "spans to").contains(", taken last "), "{shown:?}");

    for (address, root, cause, next) in [
        (format!("https://localhost:{port}"), Some(foreign.as_str()), "its certificate is not believed", "`otlp_root`"),
        (
            format!("https://127.0.0.1:{port}"),
            Some(&root),
            "its certificate is not believed",
            "the host that it is for",
        ),
        (format!("http://127.0.0.1:{port}"), None, "does not speak HTTP", "write https://"),
        (format!("https://localhost:{}", plain.port), Some(&root), "does not speak TLS", "the port at which it does"),
    ] {
        assert_eq!(home.stop(), Some(0));
        let config = home.data().join("config.toml");
        let before = std::fs::read_to_string(&config).unwrap();
        std::fs::write(&config, before.split("[telemetry]").next().unwrap()).unwrap();
        telling(&mut home, &address, root);
        let stood = stands(&home, |said| said["is_failing"] == true);
        let why = stood["failure"].as_str().unwrap();
        assert!(why.contains(cause) && why.contains(next), "{address}: {why}");
        assert!(stood["failed_at"].is_string() && stood.get("taken_at").is_none(), "{stood}");
        let shown = home.types("status").done();
        let line = lines(&shown, "spans to");
        assert!(line.contains("none taken yet, NOT TAKEN ") && line.contains(cause), "{line}");
        let log = std::fs::read_to_string(home.base.path().join("serve.log")).unwrap();
        assert_eq!(log.matches("spans cannot be sent").count(), 1, "said once: {log}");
    }
    assert!(plain.batches().is_empty());
}

#[test]
fn status_says_what_was_set_of_proxy_and_metrics_and_that_a_collector_is_dialled_beside_the_proxy() {
    let (mut office, mut home) = (Instance::running("office"), Instance::made("home"));
    let unset = office.types("status").done();
    for (begin, words) in [("metrics at", "nowhere"), ("proxy", "none: other"), ("spans to", "nowhere")] {
        assert!(lines(&unset, begin).contains(words), "{unset:?}");
    }
    let at = format!("127.0.0.1:{}", super::free_port());
    // Loopback is never asked of a proxy, so that the link stands without one.
    set(&home, &format!("metrics_listen = \"{at}\"\n[proxy]\nurl = \"http://127.0.0.1:9\""));
    telling(&mut home, "http://127.0.0.1:9", None);
    linked(&office, &home);
    let stood = stands(&home, |said| said["is_failing"] == true);
    assert!(stood["failure"].as_str().unwrap().contains("dialled directly, not through `[proxy]`"), "{stood}");
    let shown = home.types("status").done();
    assert!(
        lines(&shown, "metrics at").contains(&at) && lines(&shown, "proxy").contains("http://127.0.0.1:9"),
        "{shown:?}"
    );
    assert_eq!(office.stop(), Some(0));
}
