//! What the environment says: a variable that does not fit is blamed by its own name, and one that nothing reads is told.

use super::harness::{Instance, Ran, finish, program};

/// Types a command with a variable set.
fn typed(words: &[&str], (name, value): (&str, &str)) -> Ran {
    let mut command = program(words);
    command.env(name, value);
    finish(command)
}

#[test]
fn a_variable_that_does_not_fit_is_blamed_by_its_own_name() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path().join("data");
    let init = ["-C", dir.to_str().unwrap(), "init", "home"];
    let listen = typed(&init, ("MOSAIC_FED_LISTEN", "nowhere"));
    listen.fails(2, &["`nowhere` for MOSAIC_FED_LISTEN in the environment: it is no IP address", "next: unset it"]);
    let given = typed(&[&init[..], &["--listen", "nowhere"]].concat(), ("MOSAIC_FED_LISTEN", "[::]:1"));
    given.fails(2, &["`nowhere` for --listen: "]);
    assert!(!given.err.contains("environment"), "{given:?}");
    let workspace = typed(&["list", "tasks"], ("MOSAIC_FED_WORKSPACE", "No Name"));
    workspace.fails(2, &["`No Name` for MOSAIC_FED_WORKSPACE in the environment: ", "next: unset it"]);
    assert!(!dir.exists());
}

#[test]
fn a_variable_that_nothing_reads_is_told_by_every_command_and_refused_by_those_that_read_settings() {
    let instance = Instance::running("home");
    let data = instance.data();
    let at = |words: &[&'static str]| [&["-C", data.to_str().unwrap()], words].concat();
    for words in [&["status"][..], &["list", "tasks"], &["links", "--json"], &["completions", "bash"]] {
        let ran = typed(&at(words), ("MOSAIC_FED_DIRECTORY", "secret")).done();
        let told = "the environment has MOSAIC_FED_DIRECTORY (MOSAIC_FED_DIR may be meant), which no command reads\n";
        assert_eq!(ran.err.matches(told).count(), 1, "{ran:?}");
        assert!(!ran.err.contains("secret") && !ran.out.contains("may be meant"), "{ran:?}");
    }
    let served = typed(&at(&["serve"]), ("MOSAIC_FED_LISTN", "[::]:1"));
    served.fails(2, &["MOSAIC_FED_LISTN, which is no setting", "next: call it MOSAIC_FED_LISTEN if that is meant"]);
}
