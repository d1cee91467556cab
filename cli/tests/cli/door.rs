//! Who may do what at the local door.

use super::harness::{Instance, finish, program};
use nix::unistd::geteuid;
use std::{
    fs,
    os::unix::{fs::PermissionsExt, process::CommandExt},
};

#[test]
fn a_member_invites_for_themselves_and_manages_nothing() {
    let instance = Instance::running("office");
    instance.types("user add alice").done();
    instance.types("user add bob").done();
    instance.types("user add gina --role guest").done();
    instance.types("invite danas --share tasks").done();
    instance.types("--as alice invite alices --share tasks").done();
    let needs_a_manager = [
        "user add eve",
        "team add t",
        "workspace add w",
        "audit tail",
        "links --all",
        "invite x --for alice --share tasks",
    ];
    for line in needs_a_manager {
        instance.types(&format!("--as bob {line}")).fails(5, &["owner or admin"]);
    }
    instance.types("--as gina invite ginas --share tasks").fails(5, &["no member"]);
    for line in ["grant show danas", "grant revoke alices", "can danas list tasks"] {
        instance.types(&format!("--as bob {line}")).fails(4, &["no such grant"]);
    }
    let own = instance.types("--as alice grant list --json").done().json();
    assert_eq!(own.as_array().unwrap().len(), 1);
    instance.types("--as alice grant revoke alices").done();
    assert_eq!(instance.types("--as bob user list --json").done().json().as_array().unwrap().len(), 1);
}

#[test]
fn a_link_is_its_owners_alone_and_acting_as_them_is_recorded() {
    let (office, home) = (Instance::running("office"), Instance::running("home"));
    let invite = office.types("invite to-home --share tasks").done().out;
    home.types("user add mallory --role admin").done();
    home.run(&["link", invite.trim(), "--yes", "--name", "work"]).done();
    for line in ["ping work", "unlink work", "list tasks --from work"] {
        home.types(&format!("--as mallory {line}")).fails(4, &["no such link"]);
    }
    assert_eq!(home.types("--as mallory links").done().out, "no links\n");
    assert!(home.types("--as mallory links --all").done().out.contains("work"));
    let log = home.types("audit query --json").done().out;
    assert!(log.contains("impersonate") && log.contains("dana (uid"), "{log}");
    home.run(&["link", invite.trim(), "--yes"]).fails(6, &["invite can no longer be used"]);
    let text = invite.trim();
    home.run(&["link", &format!("{}A{}", &text[..40], &text[41..]), "--yes"]).fails(2, &["damaged"]);
    home.run(&["link", text]).fails(2, &["--yes"]);
    home.types("unlink work").done();
    assert!(office.types("grant list").done().out.contains("revoked"));
}

#[test]
fn an_unmapped_uid_is_refused_at_the_shared_socket_and_a_mapped_one_acts_as_its_user() {
    if !geteuid().is_root() {
        // Only root can become somebody else; an ordinary user's uid is the operator's.
        return;
    }
    let mut instance = Instance::made("office");
    let directory = tempfile::Builder::new().permissions(fs::Permissions::from_mode(0o755)).tempdir().unwrap();
    let socket = directory.path().join("door.sock");
    let config = instance.data().join("config.toml");
    let written = fs::read_to_string(&config).unwrap();
    fs::write(&config, format!("{written}socket = \"{}\"\n", socket.display())).unwrap();
    instance.serve();
    let as_uid = |uid: u32, words: &[&str]| {
        let mut command = program(&[&["--socket", socket.to_str().unwrap()], words].concat());
        command.uid(uid).gid(uid).current_dir("/");
        finish(command)
    };
    as_uid(54_321, &["status"]).fails(3, &["no daemon"]);
    let added = instance.types("user add alice --uid 54321").done();
    assert!(!added.err.contains("cannot reach"), "{added:?}");
    assert!(as_uid(54_321, &["add", "tasks", "mine"]).done().err.contains("get tasks"));
    as_uid(54_321, &["--as", "dana", "list", "tasks"]).fails(5, &["only the account that runs the daemon"]);
    as_uid(54_322, &["status"]).fails(5, &["54322", "user add NAME --uid 54322"]);
    assert_eq!(instance.types("list tasks").done().out, "no rows\n");
}
