//! How far grants have come, in a file beside the database: nothing that is done to the database makes it forget.
//!
//! One line for each grant that moved, `ID GENERATION RENEWALS MAC`, appended and synced; the highest of a grant counts, and nothing is
//! higher than its end. `key SHA-256 MAC` is a key that was revoked, and stays so; `token ID MAC` a
//! program's token that was taken away. `sealing MAC` is written before the database gets a place for seals, `sealed MAC` once every row that was there
//! before has its own: where the first is the last of the two, rows without one are of that time still. A line that was cut off by a
//! crash, or that somebody else wrote, does not count; what somebody else wrote is put aside (`grants.floor.lost`), and so it is said
//! that the file was lost.

use crate::file;
use domain::{
    grant::Grant,
    id::{GrantId, Spki, TokenId},
    seal::RowKey,
};
use std::{
    collections::{BTreeSet, HashMap},
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

/// Ends what is left of a line whose writing failed: a line that ends so is nobody's.
const TORN: &str = " ~\n";
/// Digits of the MAC that are kept: 128 bits.
const MAC: usize = 32;
/// How the line of a revoked key begins.
const KEY: &str = "key";
/// How the line of a token begins that was taken away.
const TOKEN: &str = "token ";
/// The file is written anew, shorter, once it got so many lines more than it had then.
const SURPLUS: usize = 4_096;
/// What is written above that which is put aside.
const LOST: &str = "# How far grants had come was lost from grants.floor, or these lines of it are of another key or damaged. Grants that were ended,\n\
                    # narrowed or renewed before may stand again if the database was put back, keys that were revoked be taken again, and tokens be good\n\
                    # that were taken away: look through `mosaic-fed grant list`, `key list` and `token list`, end what should not stand, then remove\n\
                    # this file.\n";

/// How far a grant has come: a row of it that is behind was put back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Floor {
    /// The lowest generation in which it may stand.
    pub generation: u64,
    /// How often its certificate was followed by another one at least.
    pub renewals: u64,
}

/// Above everything: a grant that has ended does not stand again.
pub const END: Floor = Floor { generation: u64::MAX, renewals: u64::MAX };

impl Floor {
    /// As far as this grant has come.
    pub fn of(grant: &Grant) -> Self {
        Self { generation: grant.generation, renewals: grant.renewals }
    }

    /// What is above both.
    pub(crate) fn join(self, other: Self) -> Self {
        Self { generation: self.generation.max(other.generation), renewals: self.renewals.max(other.renewals) }
    }
}

/// What is said of the rows that were there before there were seals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Sealing {
    /// They are to get theirs.
    Begun,
    /// They have theirs.
    Done,
}

impl Sealing {
    const fn word(self) -> &'static str {
        match self {
            Self::Begun => "sealing",
            Self::Done => "sealed",
        }
    }
}

/// What the file says, or is to say.
#[derive(Clone, Debug, Default)]
pub(crate) struct Said {
    pub(crate) floors: HashMap<GrantId, Floor>,
    pub(crate) sealing: Option<Sealing>,
    /// Keys that were revoked.
    pub(crate) keys: BTreeSet<Spki>,
    /// Tokens of programs that were taken away.
    pub(crate) tokens: BTreeSet<TokenId>,
}

impl Said {
    pub(crate) fn is_empty(&self) -> bool {
        self.floors.is_empty() && self.sealing.is_none() && self.keys.is_empty() && self.tokens.is_empty()
    }

    /// How many lines say it.
    fn count(&self) -> usize {
        self.floors.len() + self.keys.len() + self.tokens.len()
    }

    /// Takes what is higher. How far the grant has come where that is further than it was.
    pub(crate) fn raise(&mut self, grant: GrantId, floor: Floor) -> Option<Floor> {
        let known = self.floors.entry(grant).or_default();
        let before = *known;
        *known = before.join(floor);
        (*known != before).then_some(*known)
    }

    pub(crate) fn join(&mut self, other: Self) {
        self.sealing = self.sealing.max(other.sealing);
        self.keys.extend(other.keys);
        self.tokens.extend(other.tokens);
        for (grant, floor) in other.floors {
            self.raise(grant, floor);
        }
    }

    fn lines(&self, key: &RowKey) -> String {
        let floor = |(grant, Floor { generation, renewals }): (&GrantId, &Floor)| {
            signed(key, &format!("{grant} {generation} {renewals}"))
        };
        let sealing = self.sealing.map(|sealing| signed(key, sealing.word()));
        let keys = self.keys.iter().map(|revoked| signed(key, &format!("{KEY} {revoked}")));
        let tokens = self.tokens.iter().map(|token| signed(key, &format!("{TOKEN}{token}")));
        sealing.into_iter().chain(keys).chain(tokens).chain(self.floors.iter().map(floor)).collect()
    }
}

/// The file, open.
#[derive(Debug)]
pub(crate) struct Floors {
    path: PathBuf,
    pub(crate) file: File,
    /// Lines that it got when it was written as a whole, and since.
    whole: usize,
    since: usize,
    /// Whether the last one may lack its end.
    torn: bool,
}

impl Floors {
    /// Reads it and writes it anew, shorter. What it says; nothing where it is not there.
    ///
    /// # Errors
    /// It cannot be read or written, or every line of it is another key's.
    pub(crate) fn open(path: &Path, key: &RowKey) -> io::Result<(Self, Said)> {
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        let text = String::from_utf8_lossy(&bytes);
        let mut said = Said::default();
        let foreign: String = text.split_inclusive('\n').filter(|line| !is_read(key, line, &mut said)).collect();
        // With another key it would be written anew without a line.
        if said.is_empty() && !foreign.is_empty() {
            let cause = "none of its lines was written with this instance's key; put back the key that belongs to it";
            return Err(io::Error::new(io::ErrorKind::InvalidData, cause));
        }
        if !foreign.is_empty() {
            put_aside(path, &foreign)?;
        }
        let file = file::replace(path, said.lines(key).as_bytes(), 0o600)?;
        Ok((Self { path: path.to_owned(), file, whole: said.count(), since: 0, torn: false }, said))
    }

    /// Appends what it lacks; where it has grown long, writes it anew with all there is.
    pub(crate) fn append(&mut self, key: &RowKey, lacking: &Said, all: impl FnOnce() -> Said) -> io::Result<()> {
        if self.since > self.whole + SURPLUS {
            let all = all();
            // Tried again until it is done: where that failed late, the file that is open is not the one at `path`.
            self.file = file::replace(&self.path, all.lines(key).as_bytes(), 0o600)?;
            (self.whole, self.since, self.torn) = (all.count(), 0, false);
            return Ok(());
        }
        let begin = if self.torn { TORN } else { "" };
        self.torn = true;
        self.file.write_all(format!("{begin}{}", lacking.lines(key)).as_bytes())?;
        self.file.sync_data()?;
        self.torn = false;
        self.since += lacking.count();
        Ok(())
    }
}

/// Says that the file at `path` was lost, or what of it was.
pub(crate) fn put_aside(path: &Path, foreign: &str) -> io::Result<()> {
    let aside = aside(path);
    let before = fs::read_to_string(&aside).unwrap_or_else(|_| LOST.to_owned());
    file::replace(&aside, format!("{before}{foreign}").as_bytes(), 0o600).map(drop)
}

/// Where it is said.
pub(crate) fn aside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".lost");
    name.into()
}

/// Whether a line is one of ours, or none at all. What it says is taken.
fn is_read(key: &RowKey, line: &str, said: &mut Said) -> bool {
    let Some(line) = line.strip_suffix('\n') else { return true };
    if line.is_empty() || line.ends_with(TORN.trim_end()) {
        return true;
    }
    match read(key, line) {
        Some(one) => {
            said.join(one);
            true
        }
        None => false,
    }
}

fn read(key: &RowKey, line: &str) -> Option<Said> {
    let (words, given) = line.rsplit_once(' ')?;
    // Compared in the open: whoever can try lines here can write the file, and guesses 128 bits.
    if mac(key, words) != given {
        return None;
    }
    let sealing = [Sealing::Begun, Sealing::Done].into_iter().find(|sealing| sealing.word() == words);
    let mut said = Said { sealing, ..Said::default() };
    if let Some(token) = words.strip_prefix(TOKEN) {
        said.tokens.insert(token.parse().ok()?);
    } else if let Some(revoked) = words.strip_prefix(KEY) {
        said.keys.insert(revoked.trim_start().parse().ok()?);
    } else if sealing.is_none() {
        let mut words = words.split(' ');
        let grant = words.next()?.parse().ok()?;
        let generation = words.next()?.parse().ok()?;
        // An earlier version said nothing of renewals.
        let renewals = words.next().map_or(Some(0), |renewals| renewals.parse().ok())?;
        let floor = Floor { generation, renewals };
        said.floors.insert(grant, if generation == END.generation { END } else { floor });
    }
    Some(said)
}

fn signed(key: &RowKey, words: &str) -> String {
    format!("{words} {}\n", mac(key, words))
}

fn mac(key: &RowKey, words: &str) -> String {
    let mut digits = hex::encode(key.tag(words.as_bytes()));
    digits.truncate(MAC);
    digits
}
