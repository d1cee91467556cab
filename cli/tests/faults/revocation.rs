//! kill -9 of either daemon at each named point of a revocation: whatever is lost of it, the grant is over, and stays so.

use super::{
    harness::{Instance, Ran, finish, pause, program},
    psql,
    renewal::wait_for_halt,
};
use std::{
    thread,
    time::{Duration, Instant},
};

/// Where the sharing daemon is killed, and where the asking one.
const SHARING: [&str; 3] = ["grant end stored", "grant end remembered", "grant end acknowledged"];
const ASKING: [&str; 2] = ["link end heard", "link let go"];

fn serve(instance: &mut Instance, halt: Option<&str>) {
    let mut command = program(&["-C", instance.data().to_str().unwrap(), "serve"]);
    command.envs(halt.map(|point| ("MOSAIC_TEST_HALT", point)));
    instance.start(command);
}

fn revoking(office: &Instance, grant: &str) -> thread::JoinHandle<Ran> {
    let command = program(&["-C", office.data().to_str().unwrap(), "grant", "revoke", grant, "--json"]);
    thread::spawn(move || finish(command))
}

/// A link of this name, over which its end will be heard.
fn linked(office: &Instance, home: &Instance, name: &str) {
    let invite = office.types(&format!("invite {name} --share tasks")).done().out;
    home.types(&format!("link {} --yes --name {name}", invite.trim())).done();
    in_touch(office, name);
    sql(office, &format!("CREATE TABLE before AS SELECT * FROM grants WHERE name = '{name}'"));
    // No daemon starts on a table without it.
    sql(office, "ALTER TABLE before ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY");
}

fn in_touch(office: &Instance, name: &str) {
    let end = Instant::now() + Duration::from_secs(30);
    while office.types(&format!("grant show {name} --json")).done().json()["session"].is_null() {
        assert!(Instant::now() < end, "{name} has no control session");
        pause();
    }
}

/// What a statement says, asked behind the daemon's back.
fn sql(instance: &Instance, statement: &str) -> String {
    let said = psql(instance, statement).output().unwrap();
    assert!(said.status.success(), "{said:?}");
    String::from_utf8(said.stdout).unwrap().trim().to_owned()
}

fn gives_nothing(home: &Instance, name: &str) {
    let said = home.types(&format!("list tasks --from {name} --fresh --json")).json();
    assert!(said["rows"].as_array().unwrap().is_empty(), "{name}: {said}");
    assert_eq!(said["sources"][0]["outcome"], "revoked", "{name}");
}

fn state(office: &Instance, name: &str) -> String {
    let all = office.types("grant list --json").done().json();
    let grant = all.as_array().unwrap().iter().find(|grant| grant["name"] == name).unwrap();
    grant["state"].as_str().unwrap().to_owned()
}

/// Neither rows nor a way back: the row as it was before its end is one that was put back.
fn is_over(office: &Instance, home: &Instance, name: &str) {
    gives_nothing(home, name);
    assert_eq!(state(office, name), "revoked", "{name}");
    let by_name = "SELECT count(*) FROM refused_leaves r JOIN before b ON b.serial = r.serial";
    assert_eq!(sql(office, by_name), "1", "{name}: its certificate is refused by name");
    let back =
        "UPDATE grants g SET state = b.state, generation = b.generation, seal = b.seal FROM before b WHERE g.id = b.id";
    sql(office, &format!("DELETE FROM refused_leaves; {back}; DROP TABLE before"));
    let end = Instant::now() + Duration::from_secs(10);
    while state(office, name) != "doubtful" {
        assert!(Instant::now() < end, "{name}: its end is forgotten");
        pause();
    }
    gives_nothing(home, name);
    office.types(&format!("grant revoke {name}")).done();
}

#[test]
fn a_kill_anywhere_in_a_revocation_leaves_no_grant_standing() {
    let (mut office, mut home) = (Instance::made("office"), Instance::made("home"));
    serve(&mut office, None);
    serve(&mut home, None);
    office.types("add tasks one").done();
    // With no grant that stands nothing would listen, and a grant that is over would look like a side that is away.
    linked(&office, &home, "stays");
    sql(&office, "DROP TABLE before");
    for point in SHARING {
        let name = point.replace(' ', "-");
        assert_eq!(office.stop(), Some(0));
        serve(&mut office, Some(point));
        linked(&office, &home, &name);
        let typed = revoking(&office, &name);
        wait_for_halt(&office, point);
        office.kill();
        let said = typed.join().unwrap();
        assert_ne!(said.code, 0, "{point}: {said:?}");
        serve(&mut office, None);
        is_over(&office, &home, &name);
    }
    for point in ASKING {
        let name = point.replace(' ', "-");
        assert_eq!(home.stop(), Some(0));
        serve(&mut home, Some(point));
        linked(&office, &home, &name);
        let typed = revoking(&office, &name);
        wait_for_halt(&home, point);
        home.kill();
        let said = typed.join().unwrap().done().json();
        assert_ne!(said["receipt"]["asking_side"], "acknowledged", "{point}: nobody said that it let go: {said}");
        serve(&mut home, None);
        is_over(&office, &home, &name);
    }
    office.types("audit export -o log.jsonl").done();
    office.types("audit verify log.jsonl").done();
}
