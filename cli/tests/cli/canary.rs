//! What one instance shows another stays nowhere: after many questions the asking side's database, its files, its write-ahead
//! log, its temporary files and its log at TRACE hold nothing of the other side's rows.
//!
//!
//! Half a minute later nothing of them is in its memory either.
//!
//! The searcher has first to find what was planted where it looks, or its silence would mean nothing.

use super::harness::{Instance, database, pause};
use domain::world::World;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{Read, Write},
    os::unix::{fs::FileExt, net::UnixStream},
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

/// A slice this long of a marker counts as a find: PostgreSQL compresses what is long, and cuts it where it likes.
const SLICE: usize = 8;
/// Length of a marker.
const MARKER: usize = 32;
/// Rows of the other side, each with markers of its own in every field.
const ROWS: usize = 40;

/// 32 letters and digits that are nowhere else in the world.
fn marker(world: &World) -> String {
    const LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    world.bytes::<MARKER>().iter().map(|byte| char::from(LETTERS[usize::from(*byte) % LETTERS.len()])).collect()
}

/// Finds markers in bytes.
#[derive(Default)]
struct Searcher {
    slices: BTreeMap<u64, String>,
    /// Which first bytes begin any slice: almost every place of a file is passed over by this alone.
    begins: Vec<bool>,
}

impl Searcher {
    /// Looks for `marker` from now on, reported as `name`. A marker shorter than a slice cannot be told from chance.
    fn watch(&mut self, name: &str, marker: &str) {
        self.begins.resize(1 << 16, false);
        for slice in marker.as_bytes().windows(SLICE) {
            self.begins[usize::from(u16::from_be_bytes([slice[0], slice[1]]))] = true;
            self.slices.insert(u64::from_be_bytes(slice.try_into().unwrap()), name.to_owned());
        }
    }

    /// The names of what is found in `bytes`, each with how often.
    fn search(&self, bytes: &[u8], found: &mut BTreeMap<String, usize>) {
        for slice in bytes.windows(SLICE) {
            if self.begins[usize::from(u16::from_be_bytes([slice[0], slice[1]]))]
                && let Some(name) = self.slices.get(&u64::from_be_bytes(slice.try_into().unwrap()))
            {
                *found.entry(name.clone()).or_default() += 1;
            }
        }
    }
}

/// Where an instance could have left something, by name.
pub struct Places {
    pub data: PathBuf,
    pub cluster: PathBuf,
    socket: String,
    temporary: PathBuf,
    pub log: PathBuf,
}

impl Places {
    pub fn of(instance: &Instance, temporary: &Path) -> Self {
        let record = database(&instance.data()).unwrap();
        let text = |key: &str| record[key].as_str().unwrap().to_owned();
        Self {
            data: instance.data(),
            cluster: text("cluster").into(),
            socket: text("socket"),
            temporary: temporary.to_owned(),
            log: instance.base.path().join("serve.log"),
        }
    }

    /// A PostgreSQL program of the running server's own version.
    fn program(&self, name: &str) -> Command {
        let pid = fs::read_to_string(self.cluster.join("postmaster.pid")).unwrap();
        let server = fs::read_link(format!("/proc/{}/exe", pid.lines().next().unwrap())).unwrap();
        let mut command = Command::new(server.with_file_name(name));
        command.args(["-h", &self.socket, "-U", "mosaic_super", "-d", "mosaic"]);
        command
    }

    pub fn sql(&self, statements: &str) {
        let mut command = self.program("psql");
        let ran = command.args(["-q", "-v", "ON_ERROR_STOP=1", "-c", statements]).output().unwrap();
        assert!(ran.status.success(), "{ran:?}");
    }

    /// What is found, and where. The database's pages are written out first, so that nothing is in memory alone.
    fn search(&self, searcher: &Searcher) -> BTreeMap<&'static str, BTreeMap<String, usize>> {
        self.sql("CHECKPOINT");
        let dump = self.program("pg_dump").output().unwrap();
        assert!(dump.status.success() && dump.stdout.len() > 10_000, "{dump:?}");
        let wal = self.cluster.join("pg_wal");
        let mut found: BTreeMap<&'static str, BTreeMap<String, usize>> = BTreeMap::new();
        searcher.search(&dump.stdout, found.entry("dump").or_default());
        let everywhere = [&self.data, &self.cluster, &self.temporary, &self.log];
        for file in everywhere.into_iter().flat_map(|place| files(place)) {
            let place = match &file {
                file if file.starts_with(&wal) => "write-ahead log",
                file if file.starts_with(&self.cluster) => "database files",
                file if file == &self.log => "log",
                file if file.starts_with(&self.temporary) => "temporary files",
                _ => "data directory",
            };
            let mut bytes = Vec::new();
            // Sockets cannot be read; files that the server removed meanwhile hold nothing.
            if File::open(&file).and_then(|mut file| file.read_to_end(&mut bytes)).is_ok() {
                searcher.search(&bytes, found.entry(place).or_default());
            }
        }
        found
    }
}

/// Every file at or below `place`.
pub fn files(place: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(place) else { return vec![place.to_owned()] };
    entries.flat_map(|entry| files(&entry.unwrap().path())).collect()
}

/// The body of what the daemon's door answers, asked as the command line does.
fn ask(instance: &Instance, path: &str) -> String {
    let mut stream = UnixStream::connect(instance.data().join("api.sock")).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: door\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{answer}");
    body.to_owned()
}

/// Makes markers and has the searcher watch for them.
struct Mint<'a> {
    world: &'a World,
    searcher: &'a mut Searcher,
}

impl Mint<'_> {
    fn marker(&mut self, name: &str) -> String {
        let marker = marker(self.world);
        self.searcher.watch(name, &marker);
        marker
    }

    /// Rows of the office, with markers in whatever can hold text, as lines for `import`. Every name begins with `office`.
    fn office(&mut self) -> String {
        let row = |number: usize| {
            let row = json!({
                "resource": "tasks",
                "source_key": format!("row-{number}"),
                "title": self.marker("office title"),
                "body": format!("{} {}", self.marker("office body"), "and so on ".repeat(200)),
                "project": self.marker("office project"),
                "tags": [self.marker("office tag")],
                "attributes": {"assignee": self.marker("office attribute")},
            });
            format!("{row}\n")
        };
        (0..ROWS).map(row).collect()
    }
}

/// The asking side's own rows and files with markers that the searcher must find: short, long and compressible, in jsonb,
/// rolled back, in the data directory and among temporary files.
fn plant(mint: &mut Mint<'_>, home: &Instance, places: &Places) {
    let long = format!("{0}{1}{0}", "z".repeat(5_000), mint.marker("planted long"));
    let rows = [
        json!({"resource": "tasks", "title": &mint.marker("planted short")[..SLICE]}),
        json!({"resource": "tasks", "title": "long", "body": long}),
        json!({"resource": "tasks", "title": "jsonb", "attributes": {"assignee": mint.marker("planted jsonb")}}),
    ];
    home.file("planted.jsonl", rows.map(|row| format!("{row}\n")).concat());
    assert!(home.types("import planted.jsonl").done().out.contains("3 added"));
    let undone = mint.marker("planted rolled back");
    places.sql("CREATE TABLE undone (what text)");
    places.sql(&format!("BEGIN; INSERT INTO undone VALUES ('{undone}'); ROLLBACK"));
    home.file("data/planted", mint.marker("planted file"));
    home.file("tmp/planted", mint.marker("planted temporary file"));
}

/// Where what was planted must be found.
const PLANTED: [(&str, &[&str]); 7] = [
    ("planted short", &["dump", "database files", "write-ahead log"]),
    ("planted long", &["dump", "database files", "write-ahead log"]),
    ("planted jsonb", &["dump", "database files", "write-ahead log"]),
    ("planted rolled back", &["database files", "write-ahead log"]),
    ("planted file", &["data directory"]),
    ("planted temporary file", &["temporary files"]),
    // Written by nothing but the log at TRACE: whom the TLS client greets.
    ("planted in the log", &["log"]),
];

/// Asks until `wanted` answers of the office were good: pages, streams and single rows, each with everything it may show.
fn ask_a_lot(home: &Instance, wanted: usize) {
    let page = ask(home, "/v1/rows/tasks?limit=100&body=true&from=work");
    let page: Value = serde_json::from_str(&page).unwrap();
    let rows = page["rows"].as_array().unwrap();
    assert_eq!(rows.len(), ROWS, "{page}");
    let id = rows[0]["id"].as_str().unwrap();
    let paths = [
        "/v1/rows/tasks?limit=100&body=true&from=work&fresh=true".to_owned(),
        "/v1/rows/tasks?limit=100&body=true&stream=true&from=all".to_owned(),
        format!("/v1/rows/tasks/{id}?from=work&fresh=true"),
        "/v1/rows/tasks?limit=100&body=true&from=work".to_owned(),
    ];
    let mut good = 0;
    for path in paths.iter().cycle() {
        if good == wanted {
            return;
        }
        let answer = ask(home, path);
        if answer.contains("rate_limited") {
            pause();
        } else {
            assert!(answer.contains(rows[0]["title"].as_str().unwrap()), "{answer}");
            good += 1;
        }
    }
}

#[test]
#[expect(clippy::print_stdout, reason = "the figures are what it is run for")]
fn nothing_of_the_other_sides_rows_stays() {
    let (world, mut searcher) = (World::system(), Searcher::default());
    let mut mint = Mint { world: &world, searcher: &mut searcher };
    let office = Instance::running("office");
    office.file("rows.jsonl", mint.office());
    assert!(office.types("import rows.jsonl").done().out.contains(&format!("{ROWS} added")));
    let mut home = Instance::made("home");
    let temporary = home.base.path().join("tmp");
    fs::create_dir(&temporary).unwrap();
    home.serve_with(&["--log", "trace"], &temporary);
    let places = Places::of(&home, &temporary);
    plant(&mut mint, &home, &places);
    let id = office.types("id --json").done().json();
    searcher.watch("planted in the log", id["instance"].as_str().unwrap());
    let invite = office.types("invite to-home --share tasks --rate 1000").done().out;
    home.run(&["link", invite.trim(), "--yes", "--name", "work"]).done();
    let questions = if std::env::var("MOSAIC_TEST_SCALE").is_ok_and(|scale| scale == "large") { 1_000 } else { 60 };
    ask_a_lot(&home, questions);
    let found = places.search(&searcher);
    for (name, expected) in PLANTED {
        for place in expected {
            assert!(found[place].contains_key(name), "the searcher is blind: no {name} in the {place}: {found:#?}");
        }
    }
    let leaked = found.values().flat_map(BTreeMap::keys).any(|name| name.starts_with("office"));
    assert!(!leaked, "rows of the other side were left here: {found:#?}");
    println!("{questions} questions; nothing of {ROWS} rows in {:?}", found.keys());
}

/// How long an answer is kept, and what a sweep takes besides.
const LIFE: Duration = Duration::from_secs(32);

/// What is found in a process's memory, wherever it may write; none where this user may not look.
fn memory(pid: u32, searcher: &Searcher) -> Option<BTreeMap<String, usize>> {
    let memory = File::open(format!("/proc/{pid}/mem")).ok()?;
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).ok()?;
    let (mut found, mut buffer) = (BTreeMap::new(), vec![0; 1 << 20]);
    for map in maps.lines().filter(|map| map.split(' ').nth(1).is_some_and(|rights| rights.starts_with("rw"))) {
        let (begin, end) = map.split(' ').next().unwrap().split_once('-').unwrap();
        let [mut at, end] = [begin, end].map(|text| u64::from_str_radix(text, 16).unwrap());
        while at < end {
            let wanted = buffer.len().min(usize::try_from(end - at).unwrap());
            // What was unmapped meanwhile cannot be read.
            let Ok(read @ 1..) = memory.read_at(&mut buffer[..wanted], at) else { break };
            searcher.search(&buffer[..read], &mut found);
            // A slice may lie across two pieces.
            at += if read > SLICE && at + (read as u64) < end { read - SLICE + 1 } else { read } as u64;
        }
    }
    Some(found)
}

#[test]
#[expect(clippy::print_stdout, reason = "the figures are what it is run for")]
fn nothing_of_the_other_sides_rows_is_in_memory_once_an_answers_life_is_over() {
    let (world, mut searcher) = (World::system(), Searcher::default());
    let office = Instance::running("office");
    office.file("rows.jsonl", Mint { world: &world, searcher: &mut searcher }.office());
    assert!(office.types("import rows.jsonl").done().out.contains(&format!("{ROWS} added")));
    let home = Instance::running("home");
    let invite = office.types("invite to-home --share tasks --rate 1000").done().out;
    home.run(&["link", invite.trim(), "--yes", "--name", "work"]).done();
    if memory(home.pid(), &searcher).is_none() {
        assert!(std::env::var_os("CI").is_none(), "only root may look into the daemon's memory, and so did nobody");
        println!("LEFT OUT: only root may look into the daemon's memory");
        return;
    }
    ask_a_lot(&home, 40);
    let before = memory(home.pid(), &searcher).unwrap();
    assert!(!before.is_empty(), "the searcher is blind: a page is kept and nothing of it is found");
    let over = Instant::now() + LIFE;
    while Instant::now() < over {
        pause();
    }
    let after = memory(home.pid(), &searcher).unwrap();
    assert!(after.is_empty(), "before: {before:?}; after: {after:?}");
    println!("in memory before: {before:?}; after {LIFE:?}: nothing");
}
