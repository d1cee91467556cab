//! Whether others can reach an instance, as its people are told: two daemons, of which one tries the other's addresses.

use super::harness::{Instance, pause, program};
use std::time::{Duration, Instant};

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_mins(1);
    while !holds() {
        assert!(Instant::now() < end, "{what}: still not so");
        pause();
    }
}

/// Starts the daemon with a setting in its environment.
fn serve_with(instance: &mut Instance, setting: (&str, &str)) {
    let mut command = program(&["-C", instance.data().to_str().unwrap(), "serve"]);
    command.env(setting.0, setting.1);
    instance.start(command);
}

fn in_touch(office: &Instance) -> bool {
    office.types("grant show alice-home --json").done().json()["session"].is_object()
}

fn state(office: &Instance) -> String {
    office.types("id --json").done().json()["reach"]["state"].as_str().unwrap().to_owned()
}

#[test]
fn who_invites_is_told_whether_a_linked_home_reached_the_addresses_of_the_invite() {
    let mut office = Instance::made_with("office", &["--advertise", "localhost"]);
    office.serve();
    let mut home = Instance::running("home");
    let said = "outside";
    let first = office.types("invite alice-home --share tasks").done();
    assert!(!first.err.contains(said) && !first.err.contains("nobody is linked"), "{first:?}");
    let id = office.types("id").done();
    assert!(id.err.contains("not tested from outside: nobody is linked who could try"), "{id:?}");
    home.run(&["link", first.out.trim(), "--yes", "--name", "work"]).done();
    eventually("the home is asked", || in_touch(&office) && state(&office) == "tested");
    let (links, enrolment) = (office.links, office.enrolment);
    let reached = |by: &str| format!("reached from outside: localhost:{links}, localhost:{enrolment} (by {by})");
    let second = office.types("invite bob-home --share tasks").done();
    assert!(second.err.contains(&reached("alice-home")), "{second:?}");
    assert_eq!(second.out.split_whitespace().count(), 1, "the invite alone is on stdout: {second:?}");
    assert!(office.types("id").done().err.contains(&reached("alice-home")));
    let made = office.types("grant invite bob-home --json").done().json();
    assert_eq!(made["addresses"][0], format!("localhost:{links}"), "what was reached stands first: {made}");
    assert_eq!(made["reach"]["addresses"][1]["by"][0], "alice-home", "{made}");

    // Whose grant it is that somebody tried by is not everybody's to know, and a guest sets nobody in motion.
    office.types("user add bob").done();
    office.types("user add gus --role guest").done();
    let others = office.types("--as bob invite bobs-home --share tasks").done();
    assert!(others.err.contains(&reached("another linked instance")), "{others:?}");
    let others = office.types("--as bob grant invite bobs-home --json").done();
    assert!(!others.out.contains("alice-home"), "{others:?}");
    assert!(office.types("--as gus id --json").done().json().get("reach").is_none());

    // The port is open, and the host is another machine's.
    office.stop();
    serve_with(&mut office, ("MOSAIC_FED_ADVERTISE", "192.0.2.7"));
    eventually("the home is there again", || in_touch(&office) && state(&office) == "tested");
    let third = office.types("invite carol-home --share tasks").done();
    let missed = format!("nobody of alice-home reached 192.0.2.7:{links}, 192.0.2.7:{enrolment}: open the port");
    assert!(third.err.contains(&missed) && third.err.contains("`advertise`"), "{third:?}");

    // A home that tries nothing is nobody who could be asked.
    home.stop();
    serve_with(&mut home, ("MOSAIC_FED_TRY_ADDRESSES", "false"));
    eventually("the home is there, and tries nothing", || in_touch(&office) && state(&office) == "nobody");
    home.stop();
    let config = home.data().join("config.toml");
    let written = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, written.replace("try_addresses = true", "try_addresses = no")).unwrap();
    home.run(&["serve"]).fails(2, &["config.toml, line ", "next: write it as docs/configuration.md says"]);
}
