//! Every command that `--help` names, run for real with `--json`, and each value that it printed held to the schema of that command in
//! `docs/api/commands`. One pair of instances and one test: what is typed is a story, in which every command answers and fails, and
//! every field that a schema names is printed.

mod form;
mod judge;

use super::{
    demo::on_anybodys_folder,
    harness::{Instance, PROGRAM, Ran, pause, unset},
    port::ask,
};
use judge::Judge;
use std::{
    fs,
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

#[test]
fn what_every_command_prints_is_what_its_schema_says() {
    let demo = thread::spawn(on_anybodys_folder);
    let mut judge = Judge::new();
    let office = begun(&mut judge);
    let home = Instance::running("home");
    people(&mut judge, &office);
    rows(&mut judge, &office);
    shared(&mut judge, &office, &home);
    audited(&mut judge, &office);
    refused(&mut judge, &office);
    bounded(&mut judge, &office);
    ended(&mut judge, office, &home);
    judge.judge("demo", &demo.join().unwrap());
    judge.has_seen_all();
}

/// An office that was made and started with `--json`.
fn begun(judge: &mut Judge) -> Instance {
    let mut office = Instance::unmade();
    let init = office.init("office");
    judge.does(&office, &init);
    judge.ends(6, &office, &init);
    let (said, data) = (office.base.path().join("serve.json"), office.data());
    let mut command = Command::new("sh");
    command.args(["-c", "exec \"$@\" > \"$0\""]).arg(&said).args([PROGRAM, "-C"]).arg(data).args(["serve", "--json"]);
    let mut command = unset(command);
    command.env("MOSAIC_FED_CERTIFICATE_LIFE", "5m").env("MOSAIC_FED_ADVERTISE", "127.0.0.1,localhost");
    command.env("MOSAIC_FED_HTTP", "127.0.0.1:0");
    office.start(command);
    judge.judge("serve", &Ran { code: 0, out: whole(&said), err: String::new() });
    judge.ends(6, &office, "serve");
    office
}

/// What a file holds once its one value is all there.
fn whole(file: &Path) -> String {
    let read = || fs::read_to_string(file).unwrap();
    let end = Instant::now() + Duration::from_secs(30);
    while !read().ends_with("}\n") {
        assert!(Instant::now() < end, "{}", read());
        pause();
    }
    read()
}

fn people(judge: &mut Judge, office: &Instance) {
    for line in [
        "status",
        "id",
        "user add alice",
        "user add bob --uid 54321 --role guest",
        "user role bob member",
        "user list",
        "team add core",
        "team join core alice --role admin",
        "team join core dana",
        "team join core bob",
        "team leave core bob",
        "team list",
        "workspace add side",
        "workspace list",
        "user remove bob --yes",
        "token list",
        "token add cron --days 7",
        "token remove cron",
    ] {
        judge.does(office, line);
    }
    let token = judge.does(office, "token add ci").json()["token"].as_str().unwrap().to_owned();
    let at = judge.does(office, "status").json()["http_listener"].as_str().unwrap().to_owned();
    assert_eq!(ask(&at, &token, "GET /v1/me").0, 200);
    judge.does(office, "token list");
}

fn rows(judge: &mut Judge, office: &Instance) {
    let tasks = "{\"kind\":\"tasks\",\"title\":\"a\",\"tags\":[\"red\"]}\nnone\n";
    office.file("tasks.jsonl", tasks);
    office.file("notes/a.md", "# A\n[[b]]");
    for line in [
        "add tasks one --body text --team core --project move --tag red --set status=open --set due=2027-01-01",
        "import tasks.jsonl --check",
        "import tasks.jsonl",
        "import notes --team core",
        "list tasks --body",
        "list tasks --stream",
        "list notes",
        "export out",
    ] {
        judge.does(office, line);
    }
    let page = judge.does(office, "list tasks --limit 1").json();
    judge.does(office, &format!("list tasks --cursor {}", page["next"].as_str().unwrap()));
    judge.does(office, &format!("get tasks {}", page["rows"][0]["id"].as_str().unwrap()));
    judge.ends(7, office, "import tasks.jsonl --strict");
    judge.goes_on(office, "import notes --team core --watch", || drop(office.file("notes/b.md", "# B")));
}

/// Everything that a scope can say.
const SCOPE: &str = r#"{
    "workspace": "main", "resources": ["tasks"], "excluded_resources": ["notes"], "commands": ["c"], "topics": ["t"],
    "filters": { "tasks": { "include_projects": ["move"], "include_tags": [["red"], ["blue"]] } }
}"#;

/// The office shares, and the home links and asks.
fn shared(judge: &mut Judge, office: &Instance, home: &Instance) {
    office.file("scope.json", SCOPE);
    judge.does(office, "invite to-home --share tasks,notes --team core --dry-run");
    let limits = "--team core --since 2026-01-01T00:00:00Z --tag red --rate 12";
    judge.does(office, &format!("invite to-home --share tasks,notes {limits}"));
    let invite = judge.does(office, "grant invite to-home").json()["invite"].as_str().unwrap().to_owned();
    let key = judge.does(home, "link --prepare").json()["key"].as_str().unwrap().to_owned();
    judge.does(office, &format!("invite bound --share tasks --key {key}"));
    many(judge, office);
    confirmed(judge, office, home);
    called(judge, office, home);
    judge.ends(2, home, &format!("link {invite}"));
    judge.does(home, &format!("link {invite} --yes --name work"));
    judge.does(home, &format!("link {invite} --yes --name work"));
    judge.ends(6, home, &format!("link {invite} --yes --name other"));
    office.file("held.csv", "for,name\ndana,to-home\n");
    judge.does(office, &format!("invite --from held.csv --share tasks,notes {limits}"));
    judge.ends(6, home, "renew work");
    let bare = judge.does(office, "add tasks bare --team core --tag red").json()["id"].as_str().unwrap().to_owned();
    judge.does(home, &format!("get tasks {bare} --from work"));
    for line in ["links", "links --all", "ping work", "list tasks", "list tasks --stream --from work", "status"] {
        judge.does(home, line);
    }
    judge.does(home, "list notes --explain");
    judge.does(home, "list events --explain");
    judge.does(home, &format!("get tasks {bare} --explain"));
    for line in ["grant list", "grant show to-home", "can to-home list tasks", "grant edit to-home --days 9", "status"]
    {
        judge.does(office, line);
    }
    judge.ends(1, office, "can to-home list events");
    tried(judge, office);
    // One call a minute: however slow this is, the second one comes too soon.
    judge.does(office, "grant edit to-home --rate 1");
    let limited = (0..3).any(|_| home.types("list tasks --from work --fresh --strict").code == 7);
    assert!(limited, "three calls were answered");
    // Of the calls before the last one an answer is kept.
    judge.does(home, "list tasks --fresh");
}

/// The linked home has tried the office's addresses.
fn tried(judge: &mut Judge, office: &Instance) {
    let end = Instant::now() + Duration::from_mins(1);
    while judge.does(office, "id").json()["reach"]["state"] != "tested" {
        assert!(Instant::now() < end, "nobody tries them");
        pause();
    }
}

/// People of a file.
fn many(judge: &mut Judge, office: &Instance) {
    office.file("people.csv", format!("for,name,key\nalice,,\ndana,many,{}\n", "ab".repeat(32)));
    for more in ["--check", "", "--out invites"] {
        judge.does(office, format!("invite --from people.csv --share tasks {more}").trim());
    }
    office.file("people.csv", "for,name\nalice,filed\n");
    judge.does(office, "invite --from people.csv --share tasks --out invites");
    judge.ends(2, office, "invite --from people.csv --share notes");
}

/// A link whose sharing side calls.
fn called(judge: &mut Judge, office: &Instance, home: &Instance) {
    let wait = "link await --name called --address 127.0.0.1";
    let made = judge.does(home, wait).json();
    judge.ends(6, home, "link await --name work --address nowhere:0");
    let text = made["call"].as_str().unwrap();
    judge.does(office, &format!("invite called --share tasks --call {text}"));
    judge.ends(2, office, "invite cut --share tasks --call mfa1.cut");
    // The link is there a moment before it is noted what it came of.
    let end = Instant::now() + Duration::from_mins(1);
    while judge.does(home, "link await --list").json()[0]["state"] != "linked" {
        assert!(Instant::now() < end, "the text is not used up");
        pause();
    }
    for line in ["links", "status"] {
        judge.does(home, line);
    }
    judge.does(office, "grant show called");
    // The text is used up.
    let again = judge.does(office, &format!("grant invite called --call {text}")).json();
    assert!(again["call"]["reason"].as_str().unwrap().contains("used already"), "{again}");
    judge.does(office, "status");
    judge.does(home, &format!("link await --end {}", made["id"].as_str().unwrap()));
    judge.does(home, "unlink called --now");
}

/// A link that waits for the words which it was shown.
fn confirmed(judge: &mut Judge, office: &Instance, home: &Instance) {
    let made = judge.does(office, "invite waits --share tasks --confirm").json();
    let linked = judge.does(home, &format!("link {} --yes --name waits", made["invite"].as_str().unwrap())).json();
    judge.does(home, "links");
    judge.ends(7, home, "ping waits");
    judge.ends(7, home, "list tasks --from waits");
    judge.does(office, "grant show waits");
    judge.does(office, "status");
    judge.ends(6, office, "grant confirm waits zoo zoo zoo zoo");
    judge.does(office, &format!("grant confirm waits {}", linked["words"].as_str().unwrap()));
    judge.does(home, "unlink waits");
}

/// Everything that a ceiling can say.
const CEILING: &str = r#"{
    "resources": ["tasks", "notes"], "excluded_resources": ["events"], "withhold": ["secret"], "max_rows_per_query": 900,
    "filters": { "tasks": { "include_teams": ["core"], "include_personal": true } }, "fields": { "notes": ["title"] },
    "verbs": ["capabilities", "list", "get"], "rate": { "per_minute": 100, "burst": 100 }, "max_days": 60
}"#;

/// What no grant may exceed.
fn bounded(judge: &mut Judge, office: &Instance) {
    office.file("ceiling.json", CEILING);
    judge.does(office, "policy show");
    judge.ends(6, office, "policy set ceiling.json");
    judge.does(office, "policy set ceiling.json --narrow");
    judge.does(office, "policy show");
    judge.does(office, "invite below --share tasks --narrow");
    judge.does(office, "grant revoke below");
    keys(judge, office);
    judge.does(office, "grant show below");
    judge.does(office, "policy clear");
}

/// A key that is refused for ever.
fn keys(judge: &mut Judge, office: &Instance) {
    let key = "cd".repeat(32);
    judge.does(office, &format!("key revoke {key} --reason stolen"));
    judge.ends(6, office, &format!("key revoke {key}"));
    judge.does(office, "key list");
    judge.ends(5, office, "--as alice key list");
}

/// A link whose certificate has lived a tenth of its life, which is half a minute here.
fn renewed(judge: &mut Judge, home: &Instance) {
    let end = Instant::now() + Duration::from_mins(1);
    let ran = loop {
        let ran = home.types("renew work --json");
        if ran.code == 0 {
            break ran;
        }
        assert!(Instant::now() < end, "{ran:?}");
        pause();
    };
    judge.judge("renew work", &ran);
    judge.does(home, "links");
}

/// Links whose grant, or whose other side, has ended.
fn ended(judge: &mut Judge, mut office: Instance, home: &Instance) {
    renewed(judge, home);
    judge.does(&office, "grant revoke to-home");
    judge.ends(6, &office, "grant revoke to-home");
    judge.ends(7, home, "ping work");
    judge.ends(7, home, "list tasks --from work --stream --strict");
    judge.ends(7, home, "list tasks --strict");
    judge.does(home, "links");
    judge.does(home, "unlink work");
    for name in ["again", "late", "watched"] {
        let made = judge.does(&office, &format!("invite {name} --scope scope.json")).json();
        judge.does(home, &format!("link {} --yes --name {name}", made["invite"].as_str().unwrap()));
    }
    judge.goes_on(home, "links --watch", || drop(home.types("unlink watched").done()));
    let key = judge.does(&office, "grant show late").json()["key"].as_str().unwrap().to_owned();
    judge.does(home, &format!("key revoke {key}"));
    office.stop();
    judge.ends(3, &office, "status");
    judge.does(&office, "ca export ca");
    judge.does(home, "list tasks");
    judge.ends(7, home, "get tasks 12345678");
    judge.does(home, "unlink late");
    let links = judge.does(home, "links --all").json();
    judge.does(home, &format!("unlink {} --any", links[0]["id"].as_str().unwrap()));
}

fn audited(judge: &mut Judge, office: &Instance) {
    for line in [
        "audit tail",
        "audit query --grant to-home --ending answered",
        "audit export",
        "audit export --output log.jsonl",
        "audit verify log.jsonl",
        "audit prove 1",
        "audit prove 1 --output one.tlog-proof",
        "audit verify one.tlog-proof",
    ] {
        judge.does(office, line);
    }
    judge.goes_on(office, "audit tail --lines 1 --follow", || drop(office.types("team add later").done()));
    judge.does(office, "completions bash");
}

/// Each command once more, in a way that it cannot be done.
fn refused(judge: &mut Judge, office: &Instance) {
    for (code, line) in [
        (3, "--socket nowhere status"),
        (3, "--socket nowhere id"),
        (4, "invite third --share tasks --for nobody"),
        (4, "--as nobody grant list"),
        (4, "grant show nope"),
        (2, "grant edit to-home"),
        (4, "grant revoke nope"),
        (4, "grant invite nope"),
        (4, "can nope list tasks"),
        (4, "--as nobody policy show"),
        (5, "--as alice policy clear"),
        (5, "--as alice links --all"),
        (4, "ping nope"),
        (4, "unlink nope"),
        (4, "list plans"),
        (4, "get tasks 12345678"),
        (2, "add tasks one --set status=none"),
        (4, "import nowhere"),
        (6, "export out"),
        (6, "user add alice"),
        (4, "--as nobody user list"),
        (2, "user role alice king"),
        (2, "user remove alice"),
        (6, "token add ci"),
        (2, "token list --no-such-option"),
        (4, "token remove nope"),
        (6, "team add core"),
        (4, "--workspace nowhere team list"),
        (4, "team join core nobody"),
        (4, "team leave core nobody"),
        (6, "workspace add side"),
        (2, "workspace list --no-such-option"),
        (5, "--as alice audit tail"),
        (2, "audit query --ending none"),
        (4, "audit verify nowhere"),
        (4, "audit prove 99999"),
        (1, "audit export --output log.jsonl"),
        (6, "ca export ca"),
        (4, "demo --data nowhere"),
        (2, "completions none"),
        (1, "mcp"),
    ] {
        judge.ends(code, office, line);
    }
}
