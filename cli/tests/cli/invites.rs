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
            &[
                &cause,
                "use the invite where and as whom the key was made",
                "types `mosaic-fed grant invite to-home --key FINGERPRINT` there",
            ],
        );
    }
    assert_eq!(office.types("grant show to-home --json").done().json()["state"], "pending");
    let linked = home.types(&format!("link {invite} --yes --name work")).done();
    assert!(linked.out.contains("work is linked") && linked.out.contains("one"), "{linked:?}");
    // The key is the link's now, and of use with no other invite.
    let other = office.types(&format!("invite other --share tasks --key {key}")).done().out;
    home.types(&format!("link {} --yes --name other", other.trim()))
        .fails(6, &["was used already, for your link `work`"]);
    home.types("unlink work --yes").done();
    home.types(&format!("link {invite} --yes")).fails(6, &["is bound to the key"]);
}

#[test]
fn what_is_said_where_the_key_of_an_invite_is_not_kept_can_be_followed_to_a_link() {
    let (office, home) = (Instance::running("office"), Instance::running("home"));
    let nobodys = "ab".repeat(32);
    let invite = office.types(&format!("invite to-home --share tasks --key {nobodys}")).done().out;
    let ran = home.types(&format!("link {} --yes", invite.trim()));
    ran.fails(
        6,
        &["link --prepare`", "`mosaic-fed grant invite to-home --key FINGERPRINT` there", "link`, which asks for it"],
    );
    let key = prepared(&home);
    let invite = office.types(&format!("grant invite to-home --key {key}")).done();
    assert!(invite.err.contains(&format!("the holder of the key {key} alone")), "{invite:?}");
    home.types(&format!("link {} --yes", invite.out.trim())).done();
}

#[test]
fn a_further_invite_is_for_whom_the_one_before_it_was_unless_told_otherwise() {
    let (office, home) = (Instance::running("office"), Instance::running("home"));
    let (key, next) = (prepared(&home), prepared(&home));
    office.types(&format!("invite to-home --share tasks --key {key} --confirm")).done();
    let again = office.types("grant invite to-home").done();
    for said in [&format!("the holder of the key {key} alone")[..], "grant confirm to-home WORD WORD WORD WORD"] {
        assert!(again.err.contains(said), "{said}: {again:?}");
    }
    let terms = |line: &str| {
        let made = office.types(&format!("{line} --json")).done().json();
        (made["key"].as_str().map(ToOwned::to_owned), made["confirm"].as_bool().unwrap())
    };
    assert_eq!(terms(&format!("grant invite to-home --key {next}")), (Some(next.clone()), true));
    assert_eq!(terms("grant invite to-home"), (Some(next.clone()), true));
    assert_eq!(terms("grant invite to-home --no-key"), (None, true), "words that were asked for are asked for");
    assert_eq!(terms("grant invite to-home"), (None, true));
    office.types(&format!("grant invite to-home --no-key --key {key}")).fails(2, &["--no-key"]);
    let shown = office.types("grant show to-home").done();
    assert!(shown.out.contains("for no key in particular, its user to be let in by four words"), "{shown:?}");
    let bound = office.types(&format!("grant invite to-home --key {key}")).done();
    let shown = office.types("grant show to-home").done();
    assert!(shown.out.contains(&format!("for the key {key} alone")), "{shown:?}");
    let linked = home.types(&format!("link {} --yes --name work --json", bound.out.trim())).done().json();
    office.types(&format!("grant confirm to-home {}", linked["words"].as_str().unwrap())).done();
    // A key is used once.
    let held = office.types("grant invite to-home").done();
    assert!(held.err.contains("only that instance can use this invite") && !held.err.contains(&key), "{held:?}");
    assert_eq!(terms("grant invite to-home"), (None, true));
    office.types("invite open --share tasks").done();
    let open = office.types("grant invite open").done();
    assert!(
        open.err.contains("bound to no key; --key binds it") && open.err.contains("no words are asked for"),
        "{open:?}"
    );
}

#[test]
fn the_command_after_an_end_makes_the_same_again() {
    let (office, home) = (Instance::running("office"), Instance::running("home"));
    let key = prepared(&home);
    office.types(&format!("invite unused --share tasks,notes --key {key} --confirm")).done();
    office.types("grant revoke unused").done();
    let next = format!("make a new one: mosaic-fed -C {} invite unused --for dana --share ", office.data().display());
    office
        .types("grant invite unused")
        .fails(6, &["grant unused is revoked", &next, &format!("--key {key} --confirm")]);
    let can = office.types("can unused list tasks");
    assert!(can.code == 1 && can.err.contains(&format!("--key {key} --confirm")), "{can:?}");
    let bound = office.types(&format!("invite used --share tasks --key {key}")).done().out;
    home.types(&format!("link {} --yes --name used", bound.trim())).done();
    office.types("grant revoke used").done();
    office.types("grant edit used --days 3").fails(6, &["--key FINGERPRINT"]);
}

#[test]
fn an_end_is_told_with_who_ended_it_and_when() {
    let (office, home) = (Instance::running("office"), Instance::running("home"));
    office.types("user add alice").done();
    for (grant, user) in [("left", "dana"), ("gone", "alice"), ("cut", "dana")] {
        let invite = office.types(&format!("invite {grant} --for {user} --share tasks")).done().out;
        home.types(&format!("link {} --yes --name {grant}", invite.trim())).done();
    }
    home.types("unlink left --yes").done();
    office.types("user remove alice --yes").done();
    office.types("grant revoke cut").done();
    for (grant, how, why) in [
        ("left", "unlinked", "its holder home unlinked it, 20"),
        ("gone", "user_removed", "its user alice was removed, 20"),
        ("cut", "revoked", "dana revoked it, 20"),
    ] {
        let shown = office.types(&format!("grant show {grant}")).done();
        assert!(shown.out.contains(&format!("ended        {why}")), "{shown:?}");
        let end = office.types(&format!("grant show {grant} --json")).done().json()["ended"].clone();
        assert_eq!((&end["how"], end["at"].is_string()), (&how.into(), true), "{end}");
        for line in [format!("grant invite {grant}"), format!("grant edit {grant} --days 3")] {
            office.types(&line).fails(6, &[&format!("grant {grant} is revoked and does not come back: {why}")]);
        }
        office.types(&format!("grant confirm {grant} zoo zoo zoo zoo")).fails(6, &[why]);
    }
}

#[test]
fn the_fingerprint_of_an_instance_is_taken_for_no_key() {
    let (office, home) = (Instance::running("office"), Instance::running("home"));
    let fingerprint = |of: &Instance| of.types("id --json").done().json()["fingerprint"].as_str().unwrap().to_owned();
    let (own, peer) = (fingerprint(&office), fingerprint(&home));
    let says = |line: &str, whose: &str| {
        office.types(line).fails(2, &[whose, "no key's", "`mosaic-fed link --prepare` printed there"]);
    };
    says(&format!("invite x --share tasks --key {own}"), "this instance's own");
    // Nothing here knows the other instance yet: it says so itself.
    let invite = office.types(&format!("invite to-home --share tasks --key {peer}")).done().out;
    home.types(&format!("link {} --yes", invite.trim()))
        .fails(6, &["bound to the fingerprint of this instance", "grant invite to-home --key FINGERPRINT` there"]);
    let back = home.types("invite to-office --share tasks").done().out;
    office.types(&format!("link {} --yes", back.trim())).done();
    for line in ["invite x --share tasks --key", "grant invite to-home --key"] {
        says(&format!("{line} {peer}"), "that of the instance home");
    }
}

#[test]
fn an_invite_that_is_typed_again_after_it_went_well_is_no_error() {
    let (office, home) = (Instance::running("office"), Instance::running("home"));
    office.types("add tasks one").done();
    let invite = office.types("invite to-home --share tasks").done().out.trim().to_owned();
    let first = home.types(&format!("link {invite} --yes --name work --json")).done().json();
    for line in [format!("link {invite} --yes"), format!("link {invite} --yes --name work")] {
        let again = home.types(&line).done();
        assert!(again.out.contains("linked already as work (") && again.out.contains("one"), "{again:?}");
        let again = home.types(&format!("{line} --json")).done().json();
        assert_eq!((&first["already"], &again["already"]), (&false.into(), &true.into()));
        assert_eq!((&first["words"], &first["link"]["id"]), (&again["words"], &again["link"]["id"]));
        let fields = |made: &serde_json::Value| made.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(fields(&first), fields(&again));
    }
    home.types(&format!("link {invite} --yes --name other")).fails(6, &["linked as `work` already"]);
    assert_eq!(home.types("links --json").done().json().as_array().unwrap().len(), 1);
}

#[test]
fn an_invite_that_could_not_be_sent_is_typed_again_with_the_same_name() {
    let (mut office, home) = (Instance::running("office"), Instance::running("home"));
    let invite = office.types("invite to-home --share tasks").done().out.trim().to_owned();
    office.stop();
    let ran = home.types(&format!("link {invite} --yes --name work"));
    ran.fails(
        8,
        &["type the same link command again: `mosaic-fed -C ", "link --name work`, which asks for the same invite"],
    );
    let ran = home.types(&format!("link {invite} --yes"));
    ran.fails(8, &["link`, which asks for the same invite"]);
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
    let waits = format!(
        "waits to be let in by the owner of office; read them these four words, by telephone say: {words}; they type"
    );
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
    let turned = words.split(' ').rev().collect::<Vec<_>>().join(" ");
    for (typed, left) in [(&turned[..], "2 more tries are left"), ("zoo zoo zoo zoo", "1 more try is left")] {
        let other = ["these are not the four words that the other side shows", left, "grant confirm to-home WORD"];
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
    office
        .types(&format!("grant confirm to-home {words}"))
        .fails(6, &["does not wait to be confirmed, its holder home is let in already"]);
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
    office.types("grant confirm to-home zoo zoo zoo zoo").fails(6, &["nobody has used its invite yet"]);
    let linked = home.types(&format!("link {} --yes --name work --json", invite.trim())).done().json();
    let said: Vec<_> = (0..3).map(|_| office.types("grant confirm to-home zoo zoo zoo zoo")).collect();
    for (ran, left) in said.iter().zip(["2 more tries are left", "1 more try is left"]) {
        ran.fails(6, &[left]);
    }
    said[2].fails(6, &["it was the third time, so grant to-home has ended now", "make a new one: ", " --confirm"]);
    let words = linked["words"].as_str().unwrap();
    let why =
        "grant to-home is revoked and does not come back: other words than its holder's were typed three times, 20";
    office.types(&format!("grant confirm to-home {words}")).fails(6, &[why]);
    assert_eq!(office.types("grant show to-home --json").done().json()["ended"]["how"], "wrong_words");
    assert_eq!(office.types("grant show to-home --json").done().json()["state"], "revoked");
    let log = office.types("audit query --json").done().json();
    let is = |line: &serde_json::Value, key: &str, word: &str| line["entry"][key] == word;
    let tried = |line: &&serde_json::Value| is(line, "about", "grant_confirm") && is(line, "ending", "refused");
    assert_eq!(log.as_array().unwrap().iter().filter(tried).count(), 3, "{log}");
    assert!(!log.to_string().contains(words), "the words are on record");
    let ended = |line: &&serde_json::Value| is(line, "about", "grant_revoke") && is(line, "ending", "done");
    let ended: Vec<_> = log.as_array().unwrap().iter().filter(ended).collect();
    assert!(ended.len() == 1 && ended[0].to_string().contains("were typed three times"), "{log}");
    assert!(home.types("ping work").out.contains("revoked"));
}
