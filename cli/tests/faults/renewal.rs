//! kill -9 of either daemon at each named point of a renewal: one certificate is good and kept, nothing is half issued, and the
//! renewal is done once the daemon is back.

use super::harness::{Instance, Ran, finish, pause, program};
use domain::Time;
use std::{
    fs,
    process::Command,
    thread,
    time::{Duration, Instant},
};

/// Where the asking daemon is killed, and where the sharing one.
const ASKING: [&str; 3] = ["renewal answered", "renewal kept", "renewal used"];
const SHARING: [&str; 2] = ["successor issued", "successor stored"];
/// The tenth of the shortest life, before which nothing is renewed.
const RIPE: Duration = Duration::from_secs(31);
/// Until a daemon has looked at its links and the other side lets a lost answer be asked for again.
const SOON: Duration = Duration::from_secs(90);

/// The link that is renewed at this point.
fn name(point: &str) -> String {
    point.replace(' ', "-")
}

fn serve(instance: &mut Instance, halt: Option<&str>) {
    let mut command = program(&["-C", instance.data().to_str().unwrap(), "serve"]);
    command.env("MOSAIC_FED_CERTIFICATE_LIFE", "5m").envs(halt.map(|point| ("MOSAIC_TEST_HALT", point)));
    instance.start(command);
}

fn renewing(home: &Instance, link: &str) -> thread::JoinHandle<Ran> {
    let command: Command = program(&["-C", home.data().to_str().unwrap(), "renew", link]);
    thread::spawn(move || finish(command))
}

pub fn wait_for_halt(instance: &Instance, point: &str) {
    let end = Instant::now() + Duration::from_secs(30);
    let log = || fs::read_to_string(instance.base.path().join("serve.log")).unwrap();
    while !log().lines().any(|line| line.contains("halted") && line.contains(point)) {
        assert!(Instant::now() < end, "{point} was not reached: {}", log());
        pause();
    }
}

/// When the link's certificate ends.
fn end_of(home: &Instance, link: &str) -> Time {
    let links = home.types("links --json").done().json();
    let links = links.as_array().unwrap();
    let found = links.iter().find(|one| one["name"] == link).unwrap();
    found["certificate_not_after"].as_str().unwrap().parse().unwrap()
}

/// That questions are answered at every moment until the certificate is another one, and after that.
fn is_renewed_meanwhile(home: &Instance, link: &str, before: Time) {
    let end = Instant::now() + SOON;
    let mut asked = 0;
    while end_of(home, link) == before {
        home.types(&format!("list tasks --from {link} --strict --fresh")).done();
        let tried = home.types(&format!("renew {link}"));
        assert!(Instant::now() < end, "{link} is not renewed: {tried:?}");
        asked += 1;
        pause();
    }
    home.types(&format!("list tasks --from {link} --strict --fresh")).done();
    println!("{link}: renewed after the kill, {asked} questions answered before");
}

#[test]
fn a_kill_anywhere_in_a_renewal_leaves_one_good_certificate() {
    let (mut office, mut home) = (Instance::made("office"), Instance::made("home"));
    serve(&mut office, None);
    serve(&mut home, None);
    office.types("add tasks one").done();
    for point in ASKING.into_iter().chain(SHARING) {
        let link = name(point);
        let made = office.types(&format!("invite {link} --share tasks --rate 1000 --json")).done().json();
        let invite = made["invite"].as_str().unwrap();
        home.types(&format!("link {invite} --yes --name {link}")).done();
    }
    let linked = Instant::now();
    while linked.elapsed() < RIPE {
        pause();
    }
    for point in ASKING {
        let link = name(point);
        let before = end_of(&home, &link);
        assert_eq!(home.stop(), Some(0));
        serve(&mut home, Some(point));
        let typed = renewing(&home, &link);
        wait_for_halt(&home, point);
        home.kill();
        assert_ne!(typed.join().unwrap().code, 0, "{point}");
        serve(&mut home, None);
        is_renewed_meanwhile(&home, &link, before);
    }
    for point in SHARING {
        let link = name(point);
        let before = end_of(&home, &link);
        assert_eq!(office.stop(), Some(0));
        serve(&mut office, Some(point));
        let typed = renewing(&home, &link);
        wait_for_halt(&office, point);
        office.kill();
        assert_ne!(typed.join().unwrap().code, 0, "{point}");
        serve(&mut office, None);
        is_renewed_meanwhile(&home, &link, before);
    }
    let status = office.types("status --json").done().json();
    assert_eq!(status["unknown_certificates"], 0, "a certificate was half issued");
    assert!(!home.types("links").done().out.contains("revoked"));
    office.types("audit export -o log.jsonl").done();
    office.types("audit verify log.jsonl").done();
}
