//! What an instance allows at all: set, shown, refused below it, narrowed to it.

use super::harness::Instance;

#[test]
fn what_no_grant_may_exceed_is_set_refuses_and_narrows_with_the_keys_that_differ() {
    let office = Instance::running("office");
    assert!(office.types("policy show").done().out.contains("no ceiling"));
    office.types("invite wide --share tasks,notes --rows 500").done();
    let file = office.file("ceiling.json", r#"{"resources": ["tasks"], "max_rows_per_query": 100, "max_days": 30}"#);
    let set = format!("policy set {}", file.display());
    let beyond = ["wide (", "resources without notes", "max_rows_per_query is 500, at most 100", "--narrow"];
    office.types(&set).fails(6, &beyond);
    assert!(office.types("policy show").done().out.contains("no ceiling"), "nothing was changed");
    let narrowed = office.types(&format!("{set} --narrow")).done();
    assert!(narrowed.err.contains("grant wide was narrowed: resources without notes"), "{narrowed:?}");
    let shown = office.types("policy show").done().out;
    assert!(shown.contains("only         tasks") && shown.contains("set by       dana"), "{shown}");
    assert!(office.types("grant show wide").done().out.contains("100 rows an answer"));
    for line in ["invite more --share notes", "invite more --share tasks,notes --dry-run", "grant edit wide --rows 101"]
    {
        let refused = office.types(line);
        refused.fails(6, &["does not allow so much", " policy show`"]);
    }
    let made = office.types("invite less --share tasks,notes --narrow").done();
    assert!(made.err.contains("grant less was narrowed: resources without notes"), "{made:?}");
    assert!(made.err.contains("it shares tasks of main"), "{made:?}");
    let would = office.types("invite least --share tasks,notes --narrow --dry-run").done();
    assert!(would.err.contains("it shares tasks of main") && would.err.contains("narrows it: resources"), "{would:?}");
    let edited = office.types("grant edit wide --rows 1000 --narrow").done();
    assert!(edited.err.contains("max_rows_per_query is 1000, at most 100"), "{edited:?}");
    let log = office.types("audit query --json").done().out;
    assert!(log.contains("policy_set") && log.contains("grant_edit"), "{log}");
    office.types("policy clear").done();
    office.types("invite more --share notes").done();
}

#[test]
fn a_ceiling_is_set_by_those_who_manage_everything_and_a_bad_one_says_what_is_right() {
    let office = Instance::running("office");
    let file = office.file("ceiling.json", r#"{"max_rows_per_query": 10}"#);
    office.types("user add mallory --role admin").done();
    office.types("workspace add side").done();
    let set = format!("policy set {}", file.display());
    office.types(&format!("--as mallory {set}")).fails(5, &["owner or admin in each", "next: ask the operator"]);
    assert!(office.types("--as mallory policy show").done().out.contains("no ceiling"));
    for (text, words) in [
        (r#"{"max_row": 1}"#, "is no ceiling"),
        (r#"{"max_days": 0}"#, "must be 1 to 36500"),
        (r#"{"resources": ["taks"]}"#, "no kind `taks`"),
        ("", "is no ceiling"),
    ] {
        let file = office.file("bad.json", text);
        office.types(&format!("policy set {}", file.display())).fails(2, &[words]);
    }
    office.types("policy set nowhere.json").fails(4, &["nowhere.json", "next: "]);
}
