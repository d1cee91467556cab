//! What the environment says: a variable that does not fit is blamed by its own name, and one that nothing reads ends every command.

use super::harness::{Ran, finish, program};

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
fn a_variable_that_nothing_reads_ends_every_command_before_anything_is_done() {
    let base = tempfile::tempdir().unwrap();
    let home = base.path().join("home");
    for words in [
        &["init", "home"][..],
        &["serve"],
        &["status"],
        &["add", "tasks", "x"],
        &["links", "--json"],
        &["completions", "bash"],
        &["demo"],
    ] {
        let mut command = program(words);
        command.env("MOSAIC_FED_DIRECTORY", "secret").env("XDG_DATA_HOME", &home).env("HOME", &home);
        let ran = finish(command);
        ran.fails(
            2,
            &["the environment has MOSAIC_FED_DIRECTORY (MOSAIC_FED_DIR may be meant), which no command reads"],
        );
        ran.fails(2, &["call it MOSAIC_FED_DIR if that is meant, or type `unset MOSAIC_FED_DIRECTORY`"]);
        assert!(!ran.err.contains("secret") && ran.out.is_empty(), "{ran:?}");
    }
    assert!(!home.exists(), "nothing was made where nobody meant it");
    typed(&["--help"], ("MOSAIC_FED_DIRECTORY", "x")).done();
}
