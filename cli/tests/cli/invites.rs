//! Who may use an invite: the holder of a prepared key, as people type it.

use super::harness::Instance;

/// The fingerprint that `link --prepare` prints, alone on stdout.
fn prepared(home: &Instance) -> String {
    let ran = home.types("link --prepare").done();
    let key = ran.out.trim().to_owned();
    assert!(key.len() == 64 && key.bytes().all(|byte| byte.is_ascii_hexdigit()), "{ran:?}");
    assert!(ran.err.contains(&format!("--key {key}")), "{ran:?}");
    key
}

#[test]
fn an_invite_that_is_bound_to_a_key_is_of_use_where_that_key_was_prepared_and_nowhere_else() {
    let (office, home) = (Instance::running("office"), Instance::running("home"));
    let elsewhere = Instance::running("elsewhere");
    home.types("user add eve").done();
    office.types("add tasks one").done();
    let key = prepared(&home);
    assert_ne!(prepared(&home), key, "each invite has a key of its own");
    office.types("invite odd --share tasks --key abc").fails(2, &["64 hex digits"]);
    let made = office.types(&format!("invite to-home --share tasks --key {key} --json")).done().json();
    assert_eq!(made["key"], key);
    let said = office.types(&format!("invite again --share tasks --key {key}")).done();
    assert!(said.err.contains(&format!("of use to the holder of the key {key} alone, until ")), "{said:?}");
    let invite = made["invite"].as_str().unwrap();
    // Another person on the same machine, and another machine: neither has the key, and neither uses anything up.
    for thief in
        [home.types(&format!("--as eve link {invite} --yes")), elsewhere.types(&format!("link {invite} --yes"))]
    {
        let cause = format!("this invite is bound to the key {key}, which is not kept here for you");
        thief.fails(
            6,
            &[&cause, "use it where and as whom that key was made", "link --prepare` and send its fingerprint"],
        );
    }
    assert_eq!(office.types("grant show to-home --json").done().json()["state"], "pending");
    let linked = home.types(&format!("link {invite} --yes --name work")).done();
    assert!(linked.out.contains("work is linked") && linked.out.contains("one"), "{linked:?}");
    // The key is the link's now, and a second use of the invite finds none.
    home.types("unlink work --yes").done();
    home.types(&format!("link {invite} --yes")).fails(6, &["is bound to the key"]);
}
