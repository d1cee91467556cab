//! Making and running an instance, and what is refused on the way.

use super::harness::{Instance, finish, free_port, program};
use std::{fs, net::TcpListener, os::unix::fs::PermissionsExt, process::Stdio};

#[test]
fn a_wrong_command_line_ends_with_two_and_says_what_is_right() {
    for words in [
        &["lst"][..],
        &["list"],
        &["init", "Capital"],
        &["list", "tasks", "--limit", "x"],
        &["can", "g", "own", "tasks"],
    ] {
        let ran = finish(program(words));
        ran.fails(2, &["error"]);
        assert!(ran.out.is_empty(), "{ran:?}");
    }
}

#[test]
fn the_place_that_is_really_used_for_the_database_is_said() {
    let mut instance = Instance::unmade();
    let made = instance.types(&instance.init("office")).done();
    let database = super::harness::database(&instance.data()).unwrap();
    let files = std::path::Path::new(database["cluster"].as_str().unwrap()).parent().unwrap().to_owned();
    assert!(made.out.contains(&format!(" in {}", files.display())), "{made:?}");
    instance.serve();
    let status = instance.types("status --json").done().json();
    assert!(status["database"].as_str().unwrap().ends_with(&format!(" in {}", files.display())), "{status}");
}

#[test]
fn completions_exist_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(finish(program(&["completions", shell])).done().out.contains("mosaic-fed"), "{shell}");
    }
}

#[test]
fn without_an_instance_or_a_daemon_the_next_step_is_said() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path().join("Büro und Zuhause");
    let typed = |word| finish(program(&["-C", dir.to_str().unwrap(), word]));
    typed("serve").fails(4, &["no instance", "init NAME"]);
    typed("status").fails(4, &["no instance", "init NAME", "'"]);
    assert!(!dir.exists());
}

#[test]
fn nobody_acts_as_anybody_where_an_instance_is_made_or_run() {
    let instance = Instance::unmade();
    instance
        .types("--as anna init home")
        .fails(2, &["`--as anna` has no effect", "next: name the first user with --user"]);
    assert!(!instance.data().exists());
    instance.types("--as anna serve").fails(2, &["`--as anna` has no effect", "next: leave it out"]);
}

#[test]
fn a_daemon_that_starts_is_waited_for() {
    let mut instance = Instance::made("office");
    instance.types("status").fails(3, &["no daemon listens"]);
    let waiting = program(&["-C", instance.data().to_str().unwrap(), "status", "--wait", "--json"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    instance.serve();
    let ended = waiting.wait_with_output().unwrap();
    let status: serde_json::Value = serde_json::from_slice(&ended.stdout).unwrap();
    assert!(ended.status.success() && status["name"] == "office", "{status}");
}

/// What a line of metrics says: name with labels, and value.
fn metrics(text: &str) -> std::collections::BTreeMap<&str, f64> {
    assert!(text.ends_with("# EOF\n"), "{text}");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.rsplit_once(' ').unwrap()).map(|(name, value)| (name, value.parse().unwrap())).collect()
}

#[test]
fn status_is_told_in_numbers_also_while_nothing_runs() {
    let mut office = Instance::made("office");
    let ran = office.types("status --metrics");
    assert_eq!((ran.code, metrics(&ran.out)), (3, [("mosaic_fed_up", 0.0)].into()));
    office.serve();
    office.types("add tasks one").done();
    office.types("invite to-home --share tasks").done();
    let text = office.types("status --metrics").done().out;
    let told = metrics(&text);
    for (name, value) in [
        ("mosaic_fed_up", 1.0),
        ("mosaic_fed_database_up", 1.0),
        ("mosaic_fed_grants{state=\"pending\"}", 1.0),
        ("mosaic_fed_grants{state=\"active\"}", 0.0),
        ("mosaic_fed_degraded_links", 0.0),
        ("mosaic_fed_audit_fault", 0.0),
        ("mosaic_fed_renewals_failed_total", 0.0),
    ] {
        assert_eq!(told.get(name), Some(&value), "{name}: {text}");
    }
    assert!(told["mosaic_fed_audit_head"] > 0.0, "{text}");
    assert!(told["mosaic_fed_start_time_seconds"] > 1.7e9);
    office.types("status --metrics --json").fails(2, &["--json prints JSON", "status --metrics"]);
}

#[test]
fn a_second_init_a_second_daemon_and_unknown_settings_are_refused() {
    let mut instance = Instance::made("office");
    let mode = |name: &str| fs::metadata(instance.data().join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(""), mode("kek"), mode("config.toml")), (0o700, 0o600, 0o600));
    instance.run(&["init", "office"]).fails(6, &["holds the instance `office`"]);
    let config = instance.data().join("config.toml");
    let written = fs::read_to_string(&config).unwrap();
    fs::write(&config, format!("{written}colour = \"red\"\n")).unwrap();
    instance.run(&["serve"]).fails(2, &["colour", "listen_enrolment"]);
    fs::write(&config, written).unwrap();
    instance.serve();
    instance.run(&["serve"]).fails(6, &["already runs", "kill"]);
    assert!(instance.types("status").done().out.contains("nobody is to dial this instance"));
    assert_eq!(instance.stop(), Some(0));
    assert!(!instance.data().join("api.sock").exists());
}

#[test]
fn a_key_file_that_others_may_read_or_that_is_another_ones_stops_the_start() {
    let instance = Instance::made("office");
    let kek = instance.data().join("kek");
    fs::set_permissions(&kek, fs::Permissions::from_mode(0o644)).unwrap();
    instance.run(&["serve"]).fails(5, &["chmod 600"]);
    fs::set_permissions(&kek, fs::Permissions::from_mode(0o600)).unwrap();
    let text = fs::read_to_string(&kek).unwrap();
    fs::write(&kek, text.chars().map(|c| if c == 'a' { 'b' } else { c }).collect::<String>()).unwrap();
    let ran = instance.run(&["serve"]);
    assert_ne!(ran.code, 0);
    assert!(!ran.err.contains(&text[8..40]), "{ran:?}");
}

#[test]
fn another_instances_key_writes_nothing_and_a_lost_memory_of_grants_is_told_until_somebody_has_looked() {
    let mut instance = Instance::running("office");
    instance.types("invite home --share tasks").done();
    instance.stop();
    let [kek, floors, lost] = ["kek", "grants.floor", "grants.floor.lost"].map(|name| instance.data().join(name));
    let key = fs::read_to_string(&kek).unwrap();
    fs::remove_file(&floors).unwrap();
    fs::copy(Instance::made("other").data().join("kek"), &kek).unwrap();
    instance.run(&["serve"]).fails(1, &["cannot be opened", "restore the right one"]);
    assert!(!floors.exists(), "with a key that is not the instance's nothing is written");
    fs::write(&kek, key).unwrap();
    instance.serve();
    let told = |instance: &Instance| {
        let (status, json) = (instance.types("status").done().out, instance.types("status --json").done().json());
        (status.contains("`grants.floor` was lost"), json["floors_lost"].as_bool().unwrap())
    };
    assert_eq!(told(&instance), (true, true));
    let status = instance.types("status").done().out;
    assert!(status.contains("`mosaic-fed grant list`") && status.contains("remove `grants.floor.lost`"), "{status}");
    instance.stop();
    instance.serve();
    assert_eq!(told(&instance), (true, true), "until somebody has looked");
    fs::remove_file(lost).unwrap();
    assert_eq!(told(&instance), (false, false));
    instance.stop();
    instance.serve();
    assert_eq!(told(&instance), (false, false));
    assert!(instance.types("grant list").done().out.contains("pending"), "each grant is as it was");
}

#[test]
fn an_init_that_cannot_be_says_what_is_in_the_way() {
    let base = tempfile::tempdir().unwrap();
    let init = |dir: &str, words: &[&str]| {
        let dir = base.path().join(dir);
        finish(program(&[&["-C", dir.to_str().unwrap(), "init", "office"], words].concat()))
    };
    fs::write(base.path().join("file"), "x").unwrap();
    fs::create_dir(base.path().join("full")).unwrap();
    fs::write(base.path().join("full/letter.txt"), "x").unwrap();
    for dir in ["file", "file/below"] {
        init(dir, &[]).fails(2, &["file is a file, no directory", "next: name a directory", "-C DIR"]);
    }
    init("full", &[]).fails(6, &["full is not empty: it holds letter.txt", "next: name another directory"]);
    let port = free_port().to_string();
    init("new", &["--listen", &port])
        .fails(2, &["--listen", "a port alone", &format!("127.0.0.1:{port}"), "init --help"]);
    for wrong in ["127.0.0.1:99", "[::1]:99", "office.example:0", ":7443"] {
        let refused = init("new", &[&format!("--advertise={wrong}")]);
        refused.fails(2, &["--advertise", wrong, "it names a port", "write the host alone"]);
    }
    init("new", &["--advertise", "a b"]).fails(2, &["`a b`", "it is no host", "office.example"]);
    assert!(!base.path().join("new").exists());
    let instance = Instance::made("office");
    let config = instance.data().join("config.toml");
    let written = fs::read_to_string(&config).unwrap();
    fs::write(&config, written.replace("advertise = [\"127.0.0.1\"]", "advertise = [\"127.0.0.1:99\"]")).unwrap();
    instance
        .run(&["serve"])
        .fails(2, &["config.toml", "`127.0.0.1:99`", "next: write the host alone, as in 127.0.0.1"]);
}

#[test]
fn a_failed_init_leaves_nothing_behind() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path().join("data");
    let nowhere = format!("postgres://u:hunter2@127.0.0.1:{}/mosaic", free_port());
    let words = ["-C", dir.to_str().unwrap(), "init", "office", "--postgres", &nowhere, "--postgres-app", &nowhere];
    let ran = finish(program(&words));
    assert_eq!(ran.code, 8, "{ran:?}");
    assert!(!ran.err.contains("hunter2") && !dir.exists(), "{ran:?}");
}

#[test]
fn a_port_in_use_is_named_when_the_first_grant_needs_it() {
    let instance = Instance::running("office");
    let _taken = TcpListener::bind(("127.0.0.1", instance.links)).unwrap();
    let ran = instance.types("invite first --share tasks");
    let config = instance.data().join("config.toml");
    ran.fails(8, &[&instance.links.to_string(), "next: ", "`listen`", config.to_str().unwrap(), "serve"]);
}
