//! `key revoke` and `key list`, as people type them.

use super::harness::Instance;

#[test]
fn a_stolen_key_is_revoked_for_ever_with_what_is_held_with_it() {
    let (mut office, home) = (Instance::running("office"), Instance::running("home"));
    office.types("user add alice").done();
    office.types("add tasks one").done();
    let spare = home.types("link --prepare").done().out.trim().to_owned();
    let invite = office.types("invite to-home --share tasks").done().out;
    home.types(&format!("link {} --yes --name work", invite.trim())).done();
    office.types(&format!("invite bound --share tasks --key {spare}")).done();
    let shown = office.types("grant show to-home --json").done().json();
    let key = shown["key"].as_str().unwrap().to_owned();
    assert!(office.types("grant show to-home").done().out.contains(&format!("key          {key}")));
    assert!(office.types("key list").done().out.contains("no key was revoked"));
    office.types(&format!("--as alice key revoke {key}")).fails(5, &["needs owner or admin in each of them"]);
    office.types("--as alice key list").fails(5, &["needs owner or admin"]);
    office.types("key revoke abc").fails(2, &["64 hex digits"]);
    let own = office.types("id --json").done().json()["fingerprint"].as_str().unwrap().to_owned();
    office.types(&format!("key revoke {own}")).fails(2, &["this instance's own", "no key's"]);
    let long = "x".repeat(201);
    office
        .run(&["key", "revoke", &key, "--reason", &long])
        .fails(2, &["a reason is one line of at most 200 characters"]);
    assert_eq!(office.types("grant show to-home --json").done().json()["state"], "active");
    let ran = office.run(&["key", "revoke", &key, "--reason", "stolen from a train"]).done();
    for said in [
        &format!("the key {key} is refused here from now on, for ever; 1 grant ended with it")[..],
        "to-home is revoked since 20",
        "home has acknowledged it after",
    ] {
        assert!(ran.out.contains(said), "{said}: {ran:?}");
    }
    assert!(ran.err.contains("whoever held to-home needs a new grant") && ran.err.contains("key list"), "{ran:?}");
    let ended = office.types("grant show to-home").done();
    assert!(ended.out.contains("ended        dana revoked its holder's key, 20"), "{ended:?}");
    let listed = home.types("list tasks --from work --strict --fresh");
    assert!(listed.code == 7 && listed.err.contains("revoked"), "{listed:?}");
    // The other key: kept at home for an invite that is open.
    let ran = office.types(&format!("key revoke {spare}")).done();
    assert!(
        ran.out.contains("no grant is held with it, so none ended")
            && ran.err.contains("grant invite bound --key FINGERPRINT"),
        "{ran:?}"
    );
    office.types(&format!("key revoke {spare}")).fails(6, &["was revoked by dana at 20", "and stays so", "key list"]);
    office.stop();
    office.serve();
    let listed = office.types("key list").done();
    assert!(listed.out.contains(&key) && listed.out.contains("stolen from a train") && listed.out.contains(&spare));
    for line in [format!("invite anew --share tasks --key {key}"), format!("grant invite bound --key {key}")] {
        office.types(&line).fails(6, &["was revoked here, which is for ever", "`mosaic-fed link --prepare` there"]);
    }
    office.types("grant show anew").fails(4, &["no such grant"]);
    office.file("people.csv", format!("for,key\nalice,{spare}\n"));
    office.types("invite --from people.csv --share tasks").fails(2, &["people.csv:2: the key", "was revoked here"]);
}

#[test]
fn at_the_asking_side_what_uses_a_revoked_key_is_named_and_what_waits_for_an_invite_is_forgotten() {
    let (office, home) = (Instance::running("office"), Instance::running("home"));
    let spare = home.types("link --prepare").done().out.trim().to_owned();
    let key = home.types("link --prepare").done().out.trim().to_owned();
    let invite = office.types(&format!("invite to-home --share tasks --key {key}")).done().out;
    home.types(&format!("link {} --yes --name work", invite.trim())).done();
    let ran = home.types(&format!("key revoke {key}")).done();
    for said in [
        "the link work of dana uses this key",
        &format!("types `mosaic-fed key revoke {key}` there"),
        "unlink work",
        "renew work",
    ] {
        assert!(ran.err.contains(said), "{said}: {ran:?}");
    }
    // It is the other side's to refuse it: the link goes on until then.
    home.types("ping work").done();
    let ran = home.types(&format!("key revoke {spare}")).done();
    assert!(ran.err.contains("it was kept here for an invite, and is forgotten"), "{ran:?}");
    let invite = office.types(&format!("invite late --share tasks --key {spare}")).done().out;
    home.types(&format!("link {} --yes", invite.trim())).fails(6, &["is not kept here for you"]);
}
