//! The disk fills up under a running instance: what cannot be recorded is refused and counted, and once there is room again the
//! instance goes on by itself, its log whole.
//!
//! The disk is a real one of its own: a file system in memory, in a mount namespace that only this daemon sees.

use super::harness::{Instance, database, finish, pause, program, unset};
use nix::unistd::{getegid, geteuid};
use serde_json::Value;
use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// Moves the database to a small disk, which it fills and empties when told, and becomes the daemon.
const SMALL_DISK: &str = r#"
base=$1 told=$2
shift 2
disk=$(mktemp -d "$told/disk.XXXX")
mount -t tmpfs -o size=256m tmpfs "$disk"
cp -a "$base/." "$disk/"
chown --reference="$base" "$disk"
chmod --reference="$base" "$disk"
mount --bind "$disk" "$base"
until_there() { n=0; until [ -e "$told/$1" ] || [ $n = 1200 ]; do sleep 0.1; n=$((n + 1)); done; }
( until_there fill
  cat /dev/zero > "$base/ballast" || true
  touch "$told/filled"
  until_there free
  rm -f "$base/ballast"
  touch "$told/freed" ) 2>/dev/null &
exec "$@"
"#;

/// A script in a mount namespace of its own, before the command that it runs. An ordinary user mounts in a user namespace and
/// is itself again in a second one.
fn in_own_mounts(script: &str, arguments: [&str; 2]) -> Command {
    let mut command = Command::new("unshare");
    command.arg("--mount").stdin(Stdio::null());
    let mut again: Vec<String> = Vec::new();
    if !geteuid().is_root() {
        command.arg("--map-root-user");
        again = vec!["unshare".into(), format!("--map-user={}", geteuid()), format!("--map-group={}", getegid())];
    }
    command.args(["sh", "-ec", script, "disk"]).args(arguments).args(again);
    command
}

/// `serve` on a small disk.
fn serve_on_small_disk(instance: &mut Instance) {
    let cluster = database(&instance.data()).unwrap()["cluster"].as_str().unwrap().to_owned();
    let base = Path::new(&cluster).parent().unwrap().to_str().unwrap().to_owned();
    let told = instance.base.path().to_str().unwrap().to_owned();
    let serve = program(&["-C", instance.data().to_str().unwrap(), "serve"]);
    let mut command = in_own_mounts(SMALL_DISK, [&base, &told]);
    command.arg(serve.get_program()).args(serve.get_args());
    for (name, _) in serve.get_envs() {
        command.env_remove(name);
    }
    instance.start(command);
}

/// How the office ended, and why.
fn ask(home: &Instance) -> (String, String) {
    let answer: Value = home.types("list tasks --from work --fresh --json").json();
    let source = &answer["sources"][0];
    (source["outcome"].as_str().unwrap().to_owned(), source["reason"].to_string())
}

fn wait_for(file: &Path) {
    let end = Instant::now() + Duration::from_mins(1);
    while !file.exists() {
        assert!(Instant::now() < end, "{}", file.display());
        pause();
    }
}

/// Puts a disk of 20 MB where the database would lie, the programs still there, and says what a command left on it.
const TINY_DISK: &str = r#"
place=$1 aside=$2
shift 2
mkdir -p "$place" "$aside"
mount --bind "$place" "$aside"
mount -t tmpfs -o size=20m,mode=755 tmpfs "$place"
for programs in "$aside"/postgresql-*; do
  [ -d "$programs" ] || continue
  mkdir "$place/$(basename "$programs")"
  mount --bind "$programs" "$place/$(basename "$programs")"
done
code=0
"$@" || code=$?
ls "$place"
exit $code
"#;

#[test]
fn an_instance_for_which_there_is_no_room_says_how_much_it_needs_and_leaves_nothing() {
    let instance = Instance::unmade();
    let place =
        if geteuid().is_root() { Path::new("/var/lib/mosaic-fed").to_owned() } else { instance.base.path().join("x") };
    let data = if geteuid().is_root() { instance.data() } else { place.join("data") };
    let init = instance.init("home");
    let init = program(&[&["-C", data.to_str().unwrap()], &init.split(' ').collect::<Vec<_>>()[..]].concat());
    let aside = instance.base.path().join("aside");
    let mut command = in_own_mounts(TINY_DISK, [place.to_str().unwrap(), aside.to_str().unwrap()]);
    command.arg(init.get_program()).args(init.get_args());
    let ran = finish(unset(command));
    ran.fails(
        8,
        &["no room left on ", " MB free; a new instance needs about ", "next: make room there, then try again"],
    );
    assert!(!ran.err.contains("initdb"), "{ran:?}");
    let left: Vec<_> =
        ran.out.lines().filter(|name| !name.starts_with("postgresql-") && *name != "bundle.lock").collect();
    assert_eq!((left, data.exists()), (Vec::new(), false), "{ran:?}");
}

#[test]
#[expect(clippy::print_stdout, reason = "the figures are what it is run for")]
fn a_full_disk_refuses_is_counted_and_heals_by_itself() {
    let (mut office, home) = (Instance::made("office"), Instance::running("home"));
    serve_on_small_disk(&mut office);
    office.types("add tasks one").done();
    let invite = office.types("invite to-home --share tasks --rate 1000").done().out;
    home.run(&["link", invite.trim(), "--yes", "--name", "work"]).done();
    assert_eq!(ask(&home).0, "ok");

    office.file("fill", "");
    wait_for(&office.base.path().join("filled"));
    let mut good = 1;
    let reason = loop {
        // What still fits on pages that are there is recorded and answered.
        match ask(&home) {
            (outcome, _) if outcome == "ok" => good += 1,
            (outcome, reason) => {
                assert_eq!(outcome, "error", "{reason}");
                break reason;
            }
        }
        assert!(good < 200, "the disk does not fill");
    };
    println!("{good} answers, then: {reason}");
    let refused = office.types("status --json").done().json()["refused_unrecorded"].as_u64().unwrap();
    assert!(refused >= 1, "nothing was counted");
    assert!(office.types("status").done().out.contains("no record of it could be written"));
    office.types("user add eve").fails(8, &["disk is full", "next:"]);
    let status = office.types("status").done();
    assert!(
        status.out.contains("ALARM        answers are refused: ") && status.out.contains("the disk is full"),
        "{status:?}"
    );
    assert!(status.err.contains("make room"), "{status:?}");

    office.file("free", "");
    wait_for(&office.base.path().join("freed"));
    let end = Instant::now() + Duration::from_secs(30);
    while ask(&home).0 != "ok" {
        assert!(Instant::now() < end, "{:?}", ask(&home));
        pause();
    }
    office.types("user add eve").done();
    assert!(!office.types("status").done().out.contains("answers are refused"));
    office.types("audit export -o log.jsonl").done();
    office.types("audit verify log.jsonl").done();
    let log = fs::read_to_string(office.base.path().join("log.jsonl")).unwrap();
    let answered = log.lines().filter(|line| line.contains("\"answered\"") && line.contains("\"rows\":1")).count();
    assert!(answered > good, "{answered} records for {good} answers and those after");
}
