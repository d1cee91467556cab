//! Starts in surroundings that are not as `init` left them: each is told with its cause and the next step, and refused only
//! where serving would be unsafe or impossible. Nothing is lost: put right, the same directory serves again.

use super::{
    harness::{Instance, finish, free_port, program},
    lock_file, psql,
};
use nix::unistd::{Uid, chown, geteuid};
use std::{fs, net::TcpListener, os::unix::fs::PermissionsExt};

fn mode(instance: &Instance, mode: u32) {
    fs::set_permissions(instance.data(), fs::Permissions::from_mode(mode)).unwrap();
}

/// What the daemon said before its door was open.
fn said(instance: &mut Instance) -> String {
    instance.serve();
    assert!(instance.types("status").done().out.contains("office"));
    assert_eq!(instance.stop(), Some(0));
    fs::read_to_string(instance.base.path().join("serve.log")).unwrap()
}

#[test]
fn a_directory_that_others_may_look_into_is_served_with_a_remark_and_one_they_may_write_in_is_refused() {
    let mut instance = Instance::made("office");
    let words = said(&mut instance);
    assert!(!words.contains("WARN"), "{words}");
    mode(&instance, 0o755);
    let words = said(&mut instance);
    assert!(words.contains("WARN") && words.contains("mode 755") && words.contains("chmod 700"), "{words}");
    for open in [0o777, 0o770, 0o722] {
        mode(&instance, open);
        instance.run(&["serve"]).fails(5, &["others may write", &format!("{open:o}"), "chmod 700"]);
    }
    mode(&instance, 0o700);
    let words = said(&mut instance);
    assert!(!words.contains("WARN"), "{words}");
}

#[test]
fn a_directory_of_another_account_is_refused_by_serve_and_init() {
    if !geteuid().is_root() {
        // Only root can give a directory away.
        return;
    }
    let mut instance = Instance::made("office");
    chown(&instance.data(), Some(Uid::from_raw(54_321)), None).unwrap();
    instance.run(&["serve"]).fails(5, &["54321", "account"]);
    chown(&instance.data(), Some(geteuid()), None).unwrap();
    let words = said(&mut instance);
    assert!(!words.contains("WARN"), "{words}");
    let theirs = tempfile::tempdir().unwrap();
    chown(theirs.path(), Some(Uid::from_raw(54_321)), None).unwrap();
    finish(program(&["-C", theirs.path().to_str().unwrap(), "init", "office"])).fails(5, &["54321", "account"]);
    assert_eq!(fs::read_dir(theirs.path()).unwrap().count(), 0);
}

#[test]
fn a_missing_configuration_is_remarked_upon_and_the_environment_may_stand_in_for_it() {
    let mut instance = Instance::made("office");
    let file = instance.data().join("config.toml");
    let written = fs::read_to_string(&file).unwrap();
    fs::remove_file(&file).unwrap();
    let words = said(&mut instance);
    assert!(
        words.contains("WARN") && words.contains("config.toml is missing") && words.contains("restore it"),
        "{words}"
    );
    fs::write(&file, written).unwrap();
    let words = said(&mut instance);
    assert!(!words.contains("WARN"), "{words}");
}

#[test]
fn a_senseless_filter_of_the_log_is_refused_with_an_example_before_anything_is_started() {
    let instance = Instance::made("office");
    for senseless in ["inof", "info,spoke=loud", ""] {
        instance.run(&["serve", "--log", senseless]).fails(2, &["`log` is no filter", "warn,spoke=debug"]);
    }
    let config = instance.data().join("config.toml");
    let written = fs::read_to_string(&config).unwrap().replace("\"info\"", "\"inof\"");
    fs::write(&config, written).unwrap();
    instance.run(&["serve"]).fails(2, &["inof", "warn,spoke=debug"]);
}

#[test]
fn a_port_in_use_is_named_at_a_start_with_its_setting_and_leaves_no_server_behind() {
    let mut instance = Instance::running("office");
    instance.types("invite first --share tasks").done();
    assert_eq!(instance.stop(), Some(0));
    let taken = TcpListener::bind(("127.0.0.1", instance.links)).unwrap();
    instance.run(&["serve"]).fails(8, &[&instance.links.to_string(), "`listen`", "config.toml"]);
    assert!(!lock_file(&instance).exists());
    let config = instance.data().join("config.toml");
    let other = fs::read_to_string(&config).unwrap().replace(&instance.links.to_string(), &free_port().to_string());
    fs::write(&config, other).unwrap();
    assert!(said(&mut instance).contains("127.0.0.1"));
    drop(taken);
}

#[test]
fn a_directory_or_a_database_of_a_newer_version_is_refused_and_left_as_it_is() {
    let mut instance = Instance::made("office");
    let marker = instance.data().join("instance.json");
    let written = fs::read_to_string(&marker).unwrap();
    fs::write(&marker, "{\"version\": 2, \"of\": {\"what\": \"nobody knows yet\"}}").unwrap();
    instance.run(&["serve"]).fails(6, &["layout 2", "newer"]);
    fs::write(&marker, written).unwrap();
    instance.serve();
    assert!(
        psql(&instance, "INSERT INTO _sqlx_migrations SELECT 99990101000000, 'newer', now(), true, 'x', 1")
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(instance.stop(), Some(0));
    instance.run(&["serve"]).fails(8, &["99990101000000", "newer build"]);
    assert!(!lock_file(&instance).exists());
}
