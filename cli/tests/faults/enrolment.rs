//! kill -9 of either daemon at each named point of an enrolment: nothing is half issued, and the same invite makes the link once the
//! daemon is back.

use super::{
    harness::{Instance, Ran, finish, pause, program},
    psql,
    renewal::wait_for_halt,
};
use std::{
    fs, thread,
    time::{Duration, Instant},
};

/// Where the asking daemon is killed, and where the sharing one.
const ASKING: [&str; 2] = ["link key kept", "link enrolled"];
const SHARING: [&str; 3] = ["invite claimed", "certificate issued", "enrolment stored"];

fn serve(instance: &mut Instance, halt: Option<&str>) {
    let mut command = program(&["-C", instance.data().to_str().unwrap(), "serve"]);
    command.envs(halt.map(|point| ("MOSAIC_TEST_HALT", point)));
    instance.start(command);
}

/// Where the asking daemon is killed besides, when it is called.
const CALLED: &str = "link calls kept";

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
    let rows = home.types(&format!("list tasks --from {name} --strict --fresh --json")).done().json();
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

/// Nobody types anything again: the sharing side brings its invite until the link is there.
fn comes_up_by_itself(office: &Instance, home: &Instance, name: &str, refused: &str) {
    let end = Instant::now() + Duration::from_mins(1);
    let list = format!("list tasks --from {name} --strict --fresh --json");
    let rows = loop {
        let ran = home.types(&list);
        if ran.code == 0 {
            break ran.json();
        }
        assert!(Instant::now() < end, "{name}: {ran:?}\n{:?}", office.types(&format!("grant show {name}")));
        pause();
    };
    assert_eq!(rows["rows"].as_array().unwrap().len(), 1);
    assert_eq!(count(office, "refused_leaves"), refused, "{name}: certificates that were in force before");
    let linked = |entry: &serde_json::Value| entry["link"] == *name && entry["state"] == "linked";
    while !home.types("link await --list --json").done().json().as_array().unwrap().iter().any(linked) {
        assert!(Instant::now() < end, "{name}: the text is not used up");
        pause();
    }
    assert_eq!(count(home, "link_keys"), "0", "{name}: the key is the link's now");
}

#[test]
fn a_kill_anywhere_in_an_enrolment_by_a_call_mends_itself() {
    let (mut office, mut home) = (Instance::made("office"), Instance::made("home"));
    serve(&mut office, None);
    serve(&mut home, None);
    office.types("add tasks one").done();
    for point in ASKING.into_iter().chain([CALLED]).chain(SHARING) {
        let name = format!("called-{}", point.replace(' ', "-"));
        let is_asking = !SHARING.contains(&point);
        let killed = if is_asking { &mut home } else { &mut office };
        assert_eq!(killed.stop(), Some(0));
        serve(killed, Some(point));
        let text = home.types(&format!("link await --name {name}")).done().out.trim().to_owned();
        let data = office.data();
        let line = ["-C", data.to_str().unwrap(), "invite", &name, "--share", "tasks", "--call", &text];
        let command = program(&line);
        let typed = thread::spawn(move || finish(command));
        let killed = if is_asking { &mut home } else { &mut office };
        wait_for_halt(killed, point);
        killed.kill();
        serve(killed, None);
        drop(typed.join().unwrap());
        comes_up_by_itself(&office, &home, &name, "0");
    }
    // A link that is there already, enrolled anew: neither its old key nor its old certificate is good, and it is there again.
    let name = format!("called-{}", CALLED.replace(' ', "-"));
    for (times, point) in ["1", "2"].into_iter().zip([CALLED, "link enrolled"]) {
        assert_eq!(home.stop(), Some(0));
        serve(&mut home, Some(point));
        let text = home.types("link await").done().out.trim().to_owned();
        let data = office.data();
        let line = ["-C", data.to_str().unwrap(), "grant", "invite", &name, "--call", &text];
        let command = program(&line);
        let typed = thread::spawn(move || finish(command));
        wait_for_halt(&home, point);
        home.kill();
        serve(&mut home, None);
        drop(typed.join().unwrap());
        comes_up_by_itself(&office, &home, &name, times);
    }
    assert_eq!(office.types("status --json").done().json()["unknown_certificates"], 0);
}
