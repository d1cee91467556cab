//! Secrets lie where they belong and nowhere else: after a whole life of two instances, no file of either data directory or
//! database, no write-ahead log and no log at TRACE holds a private key, an invite's token or the key that seals the others.
//!
//! What is searched for is known bytes, raw, in hexadecimal and in base64, and the beginnings of private keys in every encoding
//! that the libraries here write. The searcher has first to find what was planted.

use super::{
    canary::{Places, files},
    harness::{Instance, pause, program},
};
use domain::{invite::Invite, world::World};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// A slice of this many bytes of an encoded secret counts: a page or a record may cut it.
const SLICE: usize = 16;
/// The tenth of the shortest life, before which nothing is renewed.
const RIPE: Duration = Duration::from_secs(32);

/// How private keys begin: PKCS #8 of P-256 (its end, since a public key begins alike) and of Ed25519, in hexadecimal, PEM.
const HEADS: [(&str, &[u8]); 8] = [
    ("P-256", &[0x86, 0x48, 0xce, 0x3d, 3, 1, 7, 4, 0x6d, 0x30, 0x6b, 2, 1, 1, 4, 0x20]),
    ("P-256 in hex", b"6d306b0201010420"),
    ("P-256 in base64", b"MIGHAgEAMBMGByqG"),
    ("Ed25519", &[0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20]),
    ("Ed25519, version 2", &[0x30, 0x51, 2, 1, 1, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20]),
    ("Ed25519 in hex", b"032b657004220420"),
    ("PEM", b"-----BEGIN PRIVA"),
    ("PEM of SEC 1", b"-----BEGIN EC PR"),
];

fn hex(bytes: &[u8]) -> String {
    hex::encode(bytes)
}

fn base64(bytes: &[u8]) -> Vec<u8> {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let three = |group: &[u8]| {
        let number = u32::from_be_bytes([0, group[0], group[1], group[2]]);
        [18, 12, 6, 0].map(|shift| LETTERS[(number >> shift & 63) as usize])
    };
    bytes.chunks_exact(3).flat_map(three).collect()
}

/// Bytes of a PEM file's only block.
fn from_pem(text: &str) -> Vec<u8> {
    let letter = |c: u8| match c {
        b'A'..=b'Z' => Some(c - b'A'),
        b'a'..=b'z' => Some(c - b'a' + 26),
        b'0'..=b'9' => Some(c - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let body: Vec<u8> =
        text.lines().filter(|line| !line.starts_with('-')).flat_map(str::bytes).filter_map(letter).collect();
    let four = |group: &[u8]| {
        let number = group.iter().fold(0_u32, |number, six| number << 6 | u32::from(*six)) << (6 * (4 - group.len()));
        number.to_be_bytes()[1..group.len()].to_vec()
    };
    body.chunks(4).flat_map(four).collect()
}

#[derive(Default)]
struct Searcher {
    slices: BTreeMap<u128, String>,
    begins: Vec<bool>,
}

impl Searcher {
    /// Every slice of this encoding.
    fn watch_encoded(&mut self, name: &str, encoded: &[u8]) {
        self.begins.resize(1 << 16, false);
        for slice in encoded.windows(SLICE) {
            self.begins[usize::from(u16::from_be_bytes([slice[0], slice[1]]))] = true;
            self.slices.insert(u128::from_be_bytes(slice.try_into().unwrap()), name.to_owned());
        }
    }

    /// A secret as it is, in hexadecimal of either case, and in base64 wherever it begins.
    fn watch(&mut self, name: &str, secret: &[u8]) {
        self.watch_encoded(&format!("{name}, raw"), secret);
        self.watch_encoded(&format!("{name}, in hex"), hex(secret).as_bytes());
        self.watch_encoded(&format!("{name}, in hex"), hex(secret).to_uppercase().as_bytes());
        for begin in 0..3 {
            self.watch_encoded(&format!("{name}, in base64"), &base64(&secret[begin..]));
        }
    }

    fn search(&self, bytes: &[u8]) -> BTreeSet<&str> {
        let slices =
            bytes.windows(SLICE).filter(|slice| self.begins[usize::from(u16::from_be_bytes([slice[0], slice[1]]))]);
        let found = slices.filter_map(|slice| self.slices.get(&u128::from_be_bytes(slice.try_into().unwrap())));
        found.map(String::as_str).collect()
    }
}

/// What is found, with the files that hold it.
type Found = BTreeMap<String, Vec<PathBuf>>;

fn search(searcher: &Searcher, places: &Places, found: &mut Found) -> usize {
    let mut looked_at = 0;
    for file in [&places.data, &places.cluster, &places.log].into_iter().flat_map(|place| files(place)) {
        // Sockets cannot be read, and end with the daemon.
        let Ok(bytes) = fs::read(&file) else { continue };
        looked_at += bytes.len();
        for name in searcher.search(&bytes) {
            found.entry(name.to_owned()).or_default().push(file.clone());
        }
    }
    looked_at
}

fn serve(instance: &mut Instance) {
    let mut command = program(&["-C", instance.data().to_str().unwrap(), "serve", "--log", "trace"]);
    command.env("MOSAIC_FED_CERTIFICATE_LIFE", "5m");
    instance.start(command);
}

/// Invite, link, ask, renew, ask, revoke. The invite.
fn life(office: &Instance, home: &Instance) -> String {
    office.types("add tasks one").done();
    let invite = office.types("invite to-home --share tasks --rate 1000").done().out.trim().to_owned();
    home.run(&["link", &invite, "--yes", "--name", "work"]).done();
    home.types("list tasks --from work --strict --fresh").done();
    let linked = Instant::now();
    while linked.elapsed() < RIPE {
        pause();
    }
    home.types("renew work").done();
    home.types("list tasks --from work --strict --fresh").done();
    office.types("grant revoke to-home").done();
    assert_ne!(home.types("list tasks --from work --strict --fresh").code, 0);
    invite
}

/// The private number of an instance's CA, from what `ca export` writes elsewhere.
fn ca_key(instance: &Instance) -> Vec<u8> {
    let exported = instance.base.path().join("exported");
    instance.run(&["ca", "export", exported.to_str().unwrap(), "--url", "https://localhost:9000"]).done();
    let pem = files(&exported).into_iter().find(|file| file.ends_with("root_ca.key")).unwrap();
    let key = from_pem(&fs::read_to_string(pem).unwrap());
    assert!(key.windows(SLICE).any(|slice| slice == HEADS[0].1), "a private key begins as is looked for");
    key[36..68].to_vec()
}

fn kek(data: &Path) -> Vec<u8> {
    let text = fs::read_to_string(data.join("kek")).unwrap();
    let text = &text.trim()[text.trim().len() - 64..];
    let digit = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..64).step_by(2).map(digit).collect()
}

#[test]
#[expect(clippy::print_stdout, reason = "the figures are what it is run for")]
fn no_secret_lies_where_it_does_not_belong() {
    let (mut office, mut home) = (Instance::made("office"), Instance::made("home"));
    serve(&mut office);
    serve(&mut home);
    let places = [&office, &home].map(|instance| Places::of(instance, instance.base.path()));
    let invite = life(&office, &home);
    let decoy: [u8; 32] = World::system().bytes();
    plant(&decoy, &places[1]);
    assert_eq!((office.stop(), home.stop()), (Some(0), Some(0)));

    let mut searcher = Searcher::default();
    for (name, head) in HEADS {
        searcher.watch_encoded(&format!("private key, {name}"), head);
    }
    searcher.watch("planted", &decoy);
    let token = Invite::decode(&invite).unwrap().token.expose().clone();
    let digits = |at: usize| u8::from_str_radix(&token[at..at + 2], 16).unwrap();
    searcher.watch("token", &(0..64).step_by(2).map(digits).collect::<Vec<_>>());
    searcher.watch_encoded("token, in hex in base64", &base64(token.as_bytes()));
    for (name, instance) in [("office", &office), ("home", &home)] {
        searcher.watch(&format!("kek of {name}"), &kek(&instance.data()));
        searcher.watch(&format!("CA key of {name}"), &ca_key(instance));
    }
    let mut found = Found::new();
    let looked_at: usize = places.iter().map(|places| search(&searcher, places, &mut found)).sum();
    proves_itself(&mut found, &places);
    assert!(found.is_empty(), "secrets lie where they do not belong: {found:#?}");
    println!("{} MB searched", looked_at >> 20);
}

/// In each encoding, and as a key in each form: in a file, a table, and a row that was taken back.
fn plant(decoy: &[u8], home: &Places) {
    let text = String::from_utf8(base64(decoy)).unwrap();
    let (hex, pem) = (hex(decoy), "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49AgEG");
    fs::write(home.data.join("planted"), [decoy, pem.as_bytes(), HEADS[0].1, HEADS[3].1].concat()).unwrap();
    home.sql("CREATE TABLE planted (what text, raw bytea)");
    home.sql("ALTER TABLE planted ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY");
    home.sql(&format!("INSERT INTO planted VALUES ('{hex} {text}', decode('{hex}', 'hex'))"));
    home.sql("CHECKPOINT");
}

/// Takes what must be found out of what was found: the planted in every encoding and place, and each key that seals the others
/// in its own file.
fn proves_itself(found: &mut Found, places: &[Places; 2]) {
    let home = &places[1];
    let wal = home.cluster.join("pg_wal");
    for name in ["planted, raw", "planted, in hex", "planted, in base64"] {
        let files = found.remove(name).unwrap_or_default();
        let in_wal = files.iter().any(|file| file.starts_with(&wal));
        let in_table = files.iter().any(|file| file.starts_with(&home.cluster) && !file.starts_with(&wal));
        assert!(in_wal && in_table, "the searcher is blind: {name} is in {files:?}");
    }
    for name in ["P-256", "P-256 in base64", "Ed25519", "PEM"] {
        let files = found.remove(&format!("private key, {name}")).unwrap_or_default();
        assert_eq!(files, [home.data.join("planted")], "{name}");
    }
    for (name, places) in [("office", &places[0]), ("home", home)] {
        let files = found.remove(&format!("kek of {name}, in hex")).unwrap_or_default();
        assert_eq!(files, [places.data.join("kek")], "the key that seals the others");
    }
}
