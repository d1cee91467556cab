//! Dependencies point one way. Each crate is resolved by itself: resolving the workspace at once unifies features and would
//! show edges that a crate does not have, and hide the features that only another one turns on.

use super::root;
use std::{collections::BTreeSet, process::Command};

/// Each crate and which members it may name, lowest first; what is below an allowed crate is allowed too.
const MEMBERS: [(&str, &[&str]); 9] = [
    ("proto", &[]),
    ("domain", &["proto"]),
    ("pki", &["domain", "proto"]),
    ("link", &["pki", "domain", "proto"]),
    ("store", &["domain", "proto"]),
    ("spoke", &["link", "store", "pki", "domain", "proto"]),
    ("hub", &["link", "store", "pki", "domain", "proto"]),
    ("api", &["spoke", "hub", "link", "store", "pki", "domain", "proto"]),
    ("cli", &["api", "spoke", "hub", "link", "store", "pki", "domain", "proto"]),
];

/// What sees everything and is seen by nothing.
const ABOVE: [&str; 2] = ["tests", "bench"];

/// Packages that only these members may name.
const NAMED_BY: [(&str, &[&str]); 5] = [
    ("sqlx", &["store"]),
    ("rcgen", &["pki"]),
    ("x509-parser", &["pki"]),
    ("clap", &["cli"]),
    ("axum", &["spoke", "api"]),
];

/// What decides must not do: packages that `domain` and `proto` must not have anywhere below them.
const WORLDLY: [&str; 5] = ["tokio", "tonic", "sqlx", "rustls", "hyper"];

/// Packages that must not be anywhere: there is one crypto provider and one TLS.
const BANNED: [&str; 4] = ["ring", "openssl", "openssl-sys", "native-tls"];

/// One crate's resolved graph: `cargo tree --prefix depth --format ' {p} [{f}]'`.
#[derive(Debug)]
struct Graph {
    direct: BTreeSet<String>,
    all: BTreeSet<String>,
    /// `package/feature` for the members below it.
    features: BTreeSet<String>,
}

impl Graph {
    fn parse(tree: &str) -> Self {
        let mut graph = Self { direct: BTreeSet::new(), all: BTreeSet::new(), features: BTreeSet::new() };
        for (depth, package, features) in tree.lines().filter_map(line) {
            if depth == "1" {
                graph.direct.insert(package.to_owned());
            }
            if depth != "0" {
                graph.all.insert(package.to_owned());
                graph.features.extend(features.split(',').map(|feature| format!("{package}/{feature}")));
            }
        }
        graph
    }
}

/// `1tonic v0.14.9 [channel,codegen] (*)` as depth, name and features.
fn line(line: &str) -> Option<(&str, &str, &str)> {
    let (depth, rest) = line.split_once(' ')?;
    let name = rest.split_whitespace().next()?;
    let features = rest.rsplit_once('[').and_then(|(_, tail)| tail.split_once(']')).map_or("", |(inside, _)| inside);
    Some((depth, name, features))
}

/// Every way in which the crate's graph breaks the direction, as a sentence.
fn faults(member: &str, allowed: &[&str], graph: &Graph) -> Vec<String> {
    let mut faults = Vec::new();
    let members = MEMBERS.map(|(name, _)| name).into_iter().chain(ABOVE);
    for other in members.filter(|other| graph.all.contains(*other) && !allowed.contains(other)) {
        faults.push(format!("{member} depends on {other}"));
    }
    for (package, by) in NAMED_BY {
        if graph.direct.contains(package) && !by.contains(&member) {
            faults.push(format!("{member} names {package}, which only {} may", by.join(" and ")));
        }
    }
    if ["proto", "domain"].contains(&member) {
        let found = WORLDLY.into_iter().filter(|package| graph.all.contains(*package));
        faults.extend(found.map(|package| format!("{member} reaches {package}: it decides, it does no I/O")));
    }
    let banned = BANNED.into_iter().filter(|package| graph.all.contains(*package));
    faults.extend(banned.map(|package| format!("{member} reaches {package}, which is banned")));
    if graph.features.contains("store/model") {
        faults.push(format!("{member} turns on the store model, which exists for tests only"));
    }
    faults
}

/// What cargo resolves for one member alone.
fn resolve(member: &str, edges: &str) -> Graph {
    let arguments = ["tree", "--locked", "--package", member, "--edges", edges, "--prefix", "depth"];
    let output = Command::new(env!("CARGO"))
        .args(arguments)
        .args(["--format", " {p} [{f}]"])
        .current_dir(root())
        .output()
        .unwrap_or_else(|error| panic!("cargo tree did not start: {error}"));
    assert!(output.status.success(), "cargo tree: {}", String::from_utf8_lossy(&output.stderr));
    Graph::parse(&String::from_utf8_lossy(&output.stdout))
}

fn check_all(edges: &str) -> Vec<String> {
    MEMBERS.iter().flat_map(|(member, allowed)| faults(member, allowed, &resolve(member, edges))).collect()
}

#[test]
fn each_crate_resolved_by_itself_points_one_way() {
    assert_eq!(check_all("normal"), Vec::<String>::new());
}

#[test]
fn tests_and_build_scripts_of_a_crate_point_the_same_way() {
    // A crate's own tests may be given what its product must not have, but no member that is above it.
    let upward: Vec<_> = MEMBERS
        .iter()
        .flat_map(|(member, allowed)| faults(member, allowed, &resolve(member, "normal,build,dev")))
        .filter(|fault| fault.contains(" depends on ") || fault.contains("banned"))
        .collect();
    assert_eq!(upward, Vec::<String>::new());
}

#[test]
fn what_is_above_all_has_no_second_crypto_provider_either() {
    for member in ABOVE {
        let graph = resolve(member, "normal,build,dev");
        assert!(BANNED.iter().all(|package| !graph.all.contains(*package)), "{member}: {BANNED:?}");
    }
}

#[test]
fn the_bench_measures_the_real_store() {
    let graph = resolve("bench", "normal,build,dev");
    assert!(graph.all.contains("store") && !graph.features.contains("store/model"));
}

#[test]
fn the_resolution_sees_what_is_there() {
    let (store, spoke) = (resolve("store", "normal"), resolve("spoke", "normal"));
    assert!(
        store.direct.contains("sqlx") && store.all.contains("sqlx-postgres") && !store.direct.contains("sqlx-postgres")
    );
    assert!(spoke.direct.contains("store") && spoke.features.contains("proto/server"));
}

#[test]
fn every_member_of_the_workspace_has_its_place_in_the_table() {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let line = manifest.lines().find(|line| line.starts_with("members")).unwrap();
    let members: BTreeSet<_> = line.split('"').skip(1).step_by(2).collect();
    let known: BTreeSet<_> = MEMBERS.iter().map(|(name, _)| *name).chain(ABOVE).collect();
    assert_eq!(members, known);
}

#[test]
fn a_planted_edge_of_each_kind_is_found() {
    let planted = |member: &str, tree: &str| {
        let allowed = MEMBERS.iter().find(|(name, _)| *name == member).unwrap().1;
        faults(member, allowed, &Graph::parse(tree))
    };
    let sound =
        "0 hub v0.1.0 [default]\n1 link v0.1.0 []\n2 tokio v1.54.0 [net]\n1 store v0.1.0 []\n2 sqlx v0.9.0 []\n";
    assert_eq!(planted("hub", sound), Vec::<String>::new());
    let cases = [
        ("hub", "0 hub v0.1.0 []\n1 spoke v0.1.0 []", "hub depends on spoke"),
        ("spoke", "0 spoke v0.1.0 []\n1 link v0.1.0 []\n2 hub v0.1.0 []", "spoke depends on hub"),
        ("store", "0 store v0.1.0 []\n1 pki v0.1.0 []", "store depends on pki"),
        ("cli", "0 cli v0.1.0 []\n1 tests v0.1.0 []", "cli depends on tests"),
        ("spoke", "0 spoke v0.1.0 []\n1 bench v0.1.0 []", "spoke depends on bench"),
        ("api", "0 api v0.1.0 []\n1 sqlx v0.9.0 [postgres]", "api names sqlx, which only store may"),
        ("link", "0 link v0.1.0 []\n1 rcgen v0.14.0 []", "link names rcgen, which only pki may"),
        ("api", "0 api v0.1.0 []\n1 clap v4.6.0 []", "api names clap, which only cli may"),
        ("hub", "0 hub v0.1.0 []\n1 axum v0.8.9 []", "hub names axum, which only spoke and api may"),
        (
            "domain",
            "0 domain v0.1.0 []\n1 proto v0.1.0 []\n2 tonic v0.14.9 [] (*)",
            "domain reaches tonic: it decides, it does no I/O",
        ),
        ("pki", "0 pki v0.1.0 []\n1 rcgen v0.14.0 []\n2 ring v0.17.0 []", "pki reaches ring, which is banned"),
        (
            "cli",
            "0 cli v0.1.0 []\n1 store v0.1.0 (/x/store) [default,model] (*)",
            "cli turns on the store model, which exists for tests only",
        ),
    ];
    for (member, tree, fault) in cases {
        assert_eq!(planted(member, tree), [fault], "{tree}");
    }
}
