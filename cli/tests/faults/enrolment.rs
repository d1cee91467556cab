//! kill -9 of either daemon at each named point of an enrolment: nothing is half issued, and the same invite makes the link once the
//! daemon is back.

use super::{
    harness::{Instance, Ran, finish, program},
    psql,
    renewal::wait_for_halt,
};
use std::{fs, thread};

/// Where the asking daemon is killed, and where the sharing one.
const ASKING: [&str; 2] = ["link key kept", "link enrolled"];
const SHARING: [&str; 3] = ["invite claimed", "certificate issued", "enrolment stored"];

fn serve(instance: &mut Instance, halt: Option<&str>) {
    let mut command = program(&["-C", instance.data().to_str().unwrap(), "serve"]);
    command.envs(halt.map(|point| ("MOSAIC_TEST_HALT", point)));
    instance.start(command);
}

/// An invite that is used by nobody yet, in a file as a person would keep it.
fn invited(office: &Instance, grant: &str) -> String {
    let made = office.types(&format!("invite {grant} --share tasks --json")).done().json();
    made["invite"].as_str().unwrap().to_owned()
}

fn linking(home: &Instance, invite: &str, name: &str) -> thread::JoinHandle<Ran> {
    let command = program(&["-C", home.data().to_str().unwrap(), "link", invite, "--yes", "--name", name]);
    thread::spawn(move || finish(command))
}

/// How many rows of a table a statement counts, asked behind the daemon's back.
fn count(instance: &Instance, what: &str) -> String {
    let said = psql(instance, &format!("SELECT count(*) FROM {what}")).output().unwrap();
    assert!(said.status.success(), "{said:?}");
    String::from_utf8(said.stdout).unwrap().trim().to_owned()
}

/// The same invite makes the link, which answers; its one certificate is the only one that was ever good, and no key is left over.
fn is_linked_by_the_same_invite(office: &Instance, home: &Instance, invite: &str, name: &str) {
    home.types(&format!("link {invite} --yes --name {name}")).done();
    let rows = home.types(&format!("list tasks --from {name} --strict --json")).done().json();
    assert_eq!(rows["rows"].as_array().unwrap().len(), 1);
    assert_eq!(count(office, "refused_leaves"), "0", "{name}: a certificate was in force before");
    let issued =
        format!("audit WHERE about = 'certificate' AND grant_id = (SELECT id FROM grants WHERE name = '{name}')");
    assert_eq!(count(office, &issued), "1", "{name}: one certificate was stored");
    assert_eq!(count(home, "link_keys"), "0", "{name}: the key is the link's now");
}

#[test]
fn a_kill_anywhere_in_an_enrolment_costs_another_try_and_nothing_else() {
    let (mut office, mut home) = (Instance::made("office"), Instance::made("home"));
    serve(&mut office, None);
    serve(&mut home, None);
    office.types("add tasks one").done();
    for point in ASKING {
        let name = point.replace(' ', "-");
        let invite = invited(&office, &name);
        assert_eq!(home.stop(), Some(0));
        serve(&mut home, Some(point));
        let typed = linking(&home, &invite, &name);
        wait_for_halt(&home, point);
        home.kill();
        assert_ne!(typed.join().unwrap().code, 0, "{point}");
        serve(&mut home, None);
        assert_eq!(count(&home, "link_keys"), "1", "{point}");
        is_linked_by_the_same_invite(&office, &home, &invite, &name);
    }
    for point in SHARING {
        let name = point.replace(' ', "-");
        let invite = invited(&office, &name);
        assert_eq!(office.stop(), Some(0));
        serve(&mut office, Some(point));
        let typed = linking(&home, &invite, &name);
        wait_for_halt(&office, point);
        office.kill();
        let said = typed.join().unwrap();
        assert!(said.code != 0 && said.err.contains("nothing is lost"), "{point}: {said:?}");
        serve(&mut office, None);
        is_linked_by_the_same_invite(&office, &home, &invite, &name);
    }
    let status = office.types("status --json").done().json();
    assert_eq!(status["unknown_certificates"], 0, "a certificate was half issued");
    let leaked = fs::read_to_string(home.base.path().join("serve.log")).unwrap();
    assert!(!leaked.contains("mfi1."), "an invite was logged");
    office.types("audit export -o log.jsonl").done();
    office.types("audit verify log.jsonl").done();
}
