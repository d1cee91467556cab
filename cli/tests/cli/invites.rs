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

#[test]
fn a_link_that_is_to_be_confirmed_waits_until_its_words_were_typed_at_the_other_side() {
    let (office, home) = (Instance::running("office"), Instance::running("home"));
    office.types("add tasks one").done();
    let made = office.types("invite to-home --share tasks --confirm").done();
    assert!(made.err.contains("mosaic-fed grant confirm to-home WORD WORD WORD WORD"), "{made:?}");
    let linked = home.types(&format!("link {} --yes --name work --json", made.out.trim())).done().json();
    let words = linked["words"].as_str().unwrap().to_owned();
    assert_eq!(words.split(' ').count(), 4, "{words}");
    let waits = format!("read these words to them: {words}");
    let ping = home.types("ping work --json");
    assert!(ping.code == 7 && ping.out.contains("denied") && ping.out.contains(&waits), "{ping:?}");
    let listed = home.types("list tasks --from work");
    assert!(!listed.out.contains("one") && listed.err.contains(&waits), "{listed:?}");
    let link = home.types("links --json").done().json()[0].clone();
    assert_eq!((&link["state"], link["words"].as_str()), (&"waiting".into(), Some(&words[..])));
    assert!(home.types("links").done().err.contains(&words));
    // What the other side has to say is not to be read off here.
    let shown = office.types("grant show to-home").done();
    assert!(!shown.out.contains(&words) && shown.err.contains("grant confirm to-home WORD"), "{shown:?}");
    let can = office.types("can to-home list tasks");
    assert!(can.code == 1 && can.out.contains("its owner has not confirmed the holder yet"), "{can:?}");
    let other = ["these are not the four words that the other side shows"];
    let turned = words.split(' ').rev().collect::<Vec<_>>().join(" ");
    for typed in [&turned, "zoo zoo zoo zoo"] {
        office.types(&format!("grant confirm to-home {typed}")).fails(6, &other);
    }
    // What is nobody's words uses up nothing.
    for (slip, said) in
        [("abandon", "there are four words and not 1"), ("crakc zoo zoo zoo", "`crakc` is none of the words")]
    {
        office.types(&format!("grant confirm to-home {slip}")).fails(2, &[said, "this was no try"]);
    }
    office.types(&format!("grant confirm to-home {}", words.to_uppercase().replace(' ', ", "))).done();
    let rows = home.types("list tasks --from work --strict").done();
    assert!(rows.out.contains("one"), "{rows:?}");
    assert_eq!(home.types("links --json").done().json()[0]["state"], "up");
    assert!(office.types("grant show to-home").done().out.contains(&words), "to be compared later");
    office.types(&format!("grant confirm to-home {words}")).fails(6, &["does not wait to be confirmed"]);
    // A link that need not wait shows the same words on both sides.
    let invite = office.types("invite plain --share tasks").done().out;
    let plain = home.types(&format!("link {} --yes --name plain", invite.trim())).done();
    let words = plain.err.split("its four words are ").nth(1).unwrap().split(';').next().unwrap();
    assert!(office.types("grant show plain").done().out.contains(words), "{plain:?}");
}

#[test]
fn the_third_time_of_other_words_ends_the_grant_and_is_on_record() {
    let (office, home) = (Instance::running("office"), Instance::running("home"));
    let invite = office.types("invite to-home --share tasks --confirm").done().out;
    office.types("grant confirm to-home zoo zoo zoo zoo").fails(6, &["does not wait to be confirmed"]);
    let linked = home.types(&format!("link {} --yes --name work --json", invite.trim())).done().json();
    let said: Vec<_> = (0..3).map(|_| office.types("grant confirm to-home zoo zoo zoo zoo").err).collect();
    assert!(said[0].contains("at the third time the grant ends") && said[0] == said[1], "{said:?}");
    let words = linked["words"].as_str().unwrap();
    office.types(&format!("grant confirm to-home {words}")).fails(6, &["grant to-home is revoked"]);
    assert_eq!(office.types("grant show to-home --json").done().json()["state"], "revoked");
    let log = office.types("audit query --json").done().json();
    let is = |line: &serde_json::Value, key: &str, word: &str| line["entry"][key] == word;
    let tried = |line: &&serde_json::Value| is(line, "about", "grant_confirm") && is(line, "ending", "refused");
    assert_eq!(log.as_array().unwrap().iter().filter(tried).count(), 3, "{log}");
    assert!(!log.to_string().contains(words), "the words are on record");
    assert!(home.types("ping work").out.contains("revoked"));
}
