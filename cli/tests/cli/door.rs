//! Who may do what at the local door.

use super::harness::{Instance, Ran, finish, pause, program};
use nix::unistd::geteuid;
use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    os::unix::{fs::PermissionsExt, net::UnixStream, process::CommandExt},
    process::{Child, ChildStdout, Command, Stdio},
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

#[test]
fn a_member_invites_for_themselves_and_manages_nothing() {
    let instance = Instance::running("office");
    instance.types("user add alice").done();
    instance.types("user add bob").done();
    instance.types("user add gina --role guest").done();
    instance.types("invite danas --share tasks").done();
    instance.types("--as alice invite alices --share tasks").done();
    let needs_a_manager =
        ["user add eve", "team add t", "audit tail", "links --all", "invite x --for alice --share tasks"];
    for line in needs_a_manager {
        instance.types(&format!("--as bob {line}")).fails(5, &["owner or admin"]);
    }
    instance.types("--as gina invite ginas --share tasks").fails(5, &["no member"]);
    for line in ["grant show danas", "grant revoke alices", "can danas list tasks"] {
        instance.types(&format!("--as bob {line}")).fails(4, &["no such grant"]);
    }
    let own = instance.types("--as alice grant list --json").done().json();
    assert_eq!(own.as_array().unwrap().len(), 1);
    instance.types("--as alice grant revoke alices").done();
    assert_eq!(instance.types("--as bob user list --json").done().json().as_array().unwrap().len(), 1);
}

/// An office where vic has a personal row and one of a team, and adam manages what vic is a member of.
fn with_vic_and_adam() -> Instance {
    let instance = Instance::running("office");
    for line in [
        "user add vic",
        "user add adam --role admin",
        "team add core",
        "team join core vic",
        "--as vic add tasks diary",
        "--as vic add tasks plan --team core",
    ] {
        instance.types(line).done();
    }
    instance
}

#[test]
fn nobody_else_shares_the_personal_rows_of_a_user() {
    let office = with_vic_and_adam();
    let scope = r#"{"workspace":"main","resources":["tasks"],"filters":{"tasks":{"include_personal":true}}}"#;
    let file = office.file("scope.json", scope);
    let by_file = format!("invite steal --for vic --scope {}", file.display());
    let asked = ["invite steal --for vic --share tasks --personal", &by_file];
    for line in asked.into_iter().flat_map(|line| [line.to_owned(), format!("{line} --dry-run")]) {
        for who in ["", "--as adam "] {
            let ran = office.types(&format!("{who}{line}"));
            ran.fails(5, &["personal rows", "`vic`", "invite steal --share tasks --personal`", "--as vic"]);
            assert!(ran.err.contains("ask `vic` to run `") && !ran.err.contains("--as adam"), "{ran:?}");
        }
    }
    assert_eq!(office.types("grant list").done().out, "no grants\n");
    let log = office.types("audit query --ending refused --json").done().out;
    assert!(log.contains("grant_create") && log.contains("personal rows"), "{log}");
    let shown = office.types("--as adam invite view --for vic --share tasks --json").done().json();
    assert_eq!(shown["rows"]["tasks"], 1, "the team's alone: {shown}");
    let own = office.types("--as vic invite mine --share tasks --json").done().json();
    assert_eq!(own["rows"]["tasks"], 2, "{own}");
}

#[test]
fn nobody_else_widens_a_grant_by_personal_rows_or_hands_such_a_grant_on() {
    let office = with_vic_and_adam();
    office.types("--as adam invite view --for vic --share tasks").done();
    office.types("--as vic invite mine --share tasks --project home --tag a --days 30").done();
    let file = office.file(
        "scope.json",
        r#"{"workspace":"main","resources":["tasks"],"filters":{"tasks":{"include_personal":true}}}"#,
    );
    let scoped = format!("grant edit view --scope {}", file.display());
    let wider = [
        "grant edit view --personal",
        &scoped,
        "grant edit mine --share tasks,notes",
        "grant edit mine --project home,work",
        "grant edit mine --tag a,b",
        "grant edit mine --days 60",
        "grant invite mine",
    ];
    let scope_of = |name: &str| office.types(&format!("grant show {name} --json")).done().json()["scope"].clone();
    let before = ["view", "mine"].map(scope_of);
    for line in wider {
        let ran = office.types(&format!("--as adam {line}"));
        ran.fails(5, &["personal rows", "ask `vic`", "--as vic"]);
        assert!(!ran.err.contains("--as adam"), "{ran:?}");
    }
    assert_eq!(["view", "mine"].map(scope_of), before);
    let log = office.types("audit query --ending refused --json").done().out;
    assert!(log.contains("grant_edit") && log.contains("personal rows of `vic`"), "{log}");
    for line in [
        "grant invite view",
        "grant edit view --share tasks,notes --days 60 --rows 9",
        "grant edit mine --rows 9 --rate 5",
        "grant edit mine --days 3",
        "grant edit mine --no-personal",
        "grant edit mine --days 60",
        "grant invite mine",
    ] {
        office.types(&format!("--as adam {line}")).done();
    }
    office.types("--as vic grant edit view --personal").done();
    office.types("--as vic grant invite view").done();
    office.types("--as adam grant invite view").fails(5, &["personal rows"]);
    office.types("--as adam grant revoke view").done();
}

#[test]
fn a_link_is_its_owners_alone_and_acting_as_them_is_recorded() {
    let (office, home) = (Instance::running("office"), Instance::running("home"));
    let invite = office.types("invite to-home --share tasks").done().out;
    home.types("user add mallory --role admin").done();
    home.run(&["link", invite.trim(), "--yes", "--name", "work"]).done();
    for line in ["ping work", "unlink work --yes", "list tasks --from work"] {
        home.types(&format!("--as mallory {line}")).fails(4, &["no such link"]);
    }
    assert_eq!(home.types("--as mallory links").done().out, "no links\n");
    assert!(home.types("--as mallory links --all").done().out.contains("work"));
    let log = home.types("audit query --json").done().out;
    assert!(log.contains("impersonate") && log.contains("dana (uid"), "{log}");
    home.run(&["--as", "mallory", "link", invite.trim(), "--yes"]).fails(6, &["invite can no longer be used"]);
    let text = invite.trim();
    home.run(&["link", &format!("{}A{}", &text[..40], &text[41..]), "--yes"]).fails(2, &["damaged"]);
    home.run(&["link", &text[..412], "--yes"])
        .fails(2, &["cut off: 412 of its about 1100 characters", "next: paste the whole line"]);
    home.run(&["link", text]).fails(2, &["--yes"]);
    home.types("unlink work --yes").done();
    assert!(office.types("grant list").done().out.contains("revoked"));
}

/// An instance with a socket for every uid, and what runs a command there as one of them. Only root can become somebody else:
/// none where an ordinary user's uid is the operator's.
struct Shared {
    instance: Instance,
    directory: TempDir,
}

impl Shared {
    fn running() -> Option<Self> {
        if !geteuid().is_root() {
            return None;
        }
        let directory = tempfile::Builder::new().permissions(fs::Permissions::from_mode(0o755)).tempdir().unwrap();
        let mut shared = Self { instance: Instance::made("office"), directory };
        let config = shared.instance.data().join("config.toml");
        let written = fs::read_to_string(&config).unwrap();
        fs::write(&config, format!("{written}socket = \"{}\"\n", shared.socket())).unwrap();
        shared.instance.serve();
        Some(shared)
    }

    fn socket(&self) -> String {
        self.directory.path().join("door.sock").display().to_string()
    }

    fn types(&self, uid: u32, line: &str) -> Ran {
        let socket = self.socket();
        let words: Vec<_> = ["--socket", &socket].into_iter().chain(line.split(' ')).collect();
        let mut command = program(&words);
        command.uid(uid).gid(uid).current_dir("/");
        finish(command)
    }
}

#[test]
fn an_unmapped_uid_is_refused_at_the_shared_socket_and_a_mapped_one_acts_as_its_user() {
    let Some(shared) = Shared::running() else { return };
    shared.types(54_321, "status").fails(3, &["no daemon"]);
    let added = shared.instance.types("user add alice --uid 54321").done();
    assert!(!added.err.contains("cannot reach"), "{added:?}");
    assert!(shared.types(54_321, "add tasks mine").done().err.contains("get tasks"));
    shared.types(54_321, "--as dana list tasks").fails(5, &["only the account that runs the daemon"]);
    shared.types(54_322, "status").fails(5, &["54322", "user add NAME --uid 54322"]);
    assert_eq!(shared.instance.types("list tasks").done().out, "no rows\n");
}

#[test]
fn a_workspace_is_added_by_the_operator_alone() {
    let Some(shared) = Shared::running() else { return };
    let office = &shared.instance;
    for line in ["user add adam --uid 54321 --role admin", "user add vic --uid 54322"] {
        office.types(line).done();
    }
    for uid in [54_321, 54_322] {
        shared
            .types(uid, "workspace add adamws")
            .fails(5, &["operator", "ask the operator to run", "workspace add adamws"]);
    }
    assert!(!office.types("workspace list").done().out.contains("adamws"));
    let log = office.types("audit query --ending refused --json").done().out;
    assert!(log.contains("workspace_add"), "{log}");
    office.types("user add otto --role owner").done();
    assert!(office.types("--as otto audit query").code == 0, "an owner of every workspace there is reads the log");
    office.types("--as otto user remove adam --yes").done();
    office.types("workspace add side").done();
    office.types("--as otto workspace add third").done();
}

/// Whether a question is answered.
fn asks(stream: &mut UnixStream) -> bool {
    let sent = stream.write_all(b"GET /v1/me HTTP/1.1\r\nhost: localhost\r\n\r\n");
    sent.is_ok() && matches!(stream.read(&mut [0; 4_096]), Ok(1..))
}

/// Becomes another uid's process when the tests below start this program so: opens connections until one is closed at once,
/// says how many answered, and holds them until its input ends.
#[test]
#[ignore = "the tests below start it as another user"]
fn holder() {
    let socket = std::env::var("MOSAIC_FED_TEST_SOCKET").unwrap();
    let connect = || {
        let mut stream = UnixStream::connect(&socket).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        asks(&mut stream).then_some(stream)
    };
    let mut held: Vec<_> = std::iter::from_fn(connect).take(300).collect();
    writeln!(std::io::stdout(), "held {}", held.len()).unwrap();
    let waiting = thread::spawn(|| std::io::stdin().read_to_end(&mut Vec::new()).unwrap());
    // One that is idle for five seconds is closed.
    while !waiting.is_finished() {
        assert!(held.iter_mut().all(asks));
        (0..30).for_each(|_| pause());
    }
}

/// A process of this uid that holds as many connections as it gets.
struct Holder {
    child: Child,
    out: BufReader<ChildStdout>,
    held: usize,
}

impl Holder {
    fn start(shared: &Shared, uid: u32) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "door::holder", "--ignored", "--nocapture"]);
        command.env("MOSAIC_FED_TEST_SOCKET", shared.socket()).uid(uid).gid(uid).current_dir("/");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let held = out.by_ref().lines().find_map(|line| line.unwrap().split_once("held ")?.1.parse().ok()).unwrap();
        Self { child, out, held }
    }

    /// Ends it, if all that it held was answered until now.
    fn end(mut self) {
        drop(self.child.stdin.take());
        let mut said = String::new();
        self.out.read_to_string(&mut said).unwrap();
        assert!(self.child.wait().unwrap().success(), "{said}");
    }
}

#[test]
fn one_uid_does_not_shut_another_out_of_the_shared_socket() {
    let Some(shared) = Shared::running() else { return };
    shared.instance.types("user add alice --uid 54321").done();
    shared.instance.types("user add bob --uid 54322").done();
    let strangers: Vec<_> = (54_400..54_410).map(|uid| Holder::start(&shared, uid)).collect();
    let held: Vec<_> = strangers.iter().map(|holder| holder.held).collect();
    assert_eq!(held, [4, 4, 4, 4, 4, 4, 4, 4, 0, 0], "four each, 32 together");
    let bob = Holder::start(&shared, 54_322);
    assert_eq!(bob.held, 32);
    shared.types(54_321, "list tasks").done();
    assert_ne!(shared.types(54_322, "list tasks").code, 0);
    strangers.into_iter().chain([bob]).for_each(Holder::end);
    let end = Instant::now() + Duration::from_secs(20);
    while shared.types(54_322, "list tasks").code != 0 {
        assert!(Instant::now() < end, "the places of connections that ended are not free again");
        pause();
    }
    shared.instance.types("user remove bob --yes").done();
    let unmapped = Holder::start(&shared, 54_322);
    assert_eq!(unmapped.held, 4, "a uid whose user is gone acts as nobody");
    unmapped.end();
    shared.types(54_400, "status").fails(5, &["54400", "user add NAME --uid 54400"]);
}
