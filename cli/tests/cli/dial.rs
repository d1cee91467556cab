//! Where a daemon may be sent by an invite, as its person is told: two instances on one machine, and the setting that allows it.

use super::harness::Instance;
use std::fs;

#[test]
fn an_invite_to_this_machine_is_used_only_once_the_line_that_the_refusal_names_was_written() {
    let office = Instance::running("office");
    let mut home = Instance::made("home");
    let config = home.data().join("config.toml");
    let written = fs::read_to_string(&config).unwrap();
    let loopback = "dial_allow = [\"127.0.0.0/8\", \"::1/128\"]\n";
    assert!(written.contains(loopback), "who advertises loopback may dial it: {written}");
    fs::write(&config, written.replace(loopback, "")).unwrap();
    home.serve();

    let invite = office.types("invite alice-home --share tasks").done().out;
    let link = ["link", invite.trim(), "--yes", "--name", "work"];
    let allowing = "dial_allow = [\"127.0.0.1/32\"]";
    let settings = config.display().to_string();
    let restart = "start `mosaic-fed serve` again";
    home.run(&link).fails(8, &["127.0.0.1 is this machine itself (loopback)", allowing, &settings, restart]);

    // Nothing was used up: what the refusal says is done, and the same command works.
    home.stop();
    fs::write(&config, format!("{allowing}\n{}", written.replace(loopback, ""))).unwrap();
    home.serve();
    home.run(&link).done();
    home.types("ping work").done();

    // A link that was made before is judged at each dial.
    home.stop();
    fs::write(&config, written.replace(loopback, "")).unwrap();
    home.serve();
    let ping = home.types("ping work");
    assert!(ping.code == 7 && ping.out.contains(allowing) && ping.out.contains(&settings), "{ping:?}");
    home.stop();
    fs::write(&config, written.replace("127.0.0.0/8", "127.0.0.0/99")).unwrap();
    home.run(&["serve"]).fails(2, &["`dial_allow` has `127.0.0.0/99`, which is no network", "127.0.0.0/8"]);
}
