//! Whether a grant's row is to be believed: by its seal, and by how far the grant has come, which is remembered beside the
//! database. One that somebody else wrote, or that was put back to an earlier state, permits nothing.
//!
//! One line for each grant that moved, `ID GENERATION MAC`, appended and synced; the highest of a grant counts, and nothing is
//! higher than its end. `sealed MAC` is written once every row that was there before there were seals has one. A line that was
//! cut off by a crash, or that somebody else wrote, does not count.

use crate::file;
use domain::{
    grant::{Grant, State},
    id::{GrantId, InviteId},
    invite::KeptInvite,
    seal::{Doubt, RowKey, Seal},
    words::Opening,
};
use serde_json::Value;
use std::{
    collections::HashMap,
    fmt,
    fs::{self, File},
    io::{self, Write},
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Above every generation: a grant that has ended does not stand again.
pub const END: u64 = u64::MAX;
/// What is said once no row is without its seal.
const SEALED: &str = "sealed";
/// Digits of the MAC that are kept: 128 bits.
const MAC: usize = 32;

/// What judges rows of grants.
pub struct Trust {
    key: RowKey,
    known: Mutex<Known>,
}

struct Known {
    /// The lowest generation in which each grant may stand.
    floors: HashMap<GrantId, u64>,
    sealed: bool,
    /// None where nothing outlives the process.
    file: Option<File>,
    /// Lines that the file may lack, and why it does.
    unwritten: String,
    failure: Option<String>,
}

impl Known {
    fn new(floors: HashMap<GrantId, u64>, sealed: bool, file: Option<File>) -> Mutex<Self> {
        Mutex::new(Self { floors, sealed, file, unwritten: String::new(), failure: None })
    }

    /// Writes what the file lacks.
    fn write(&mut self) -> io::Result<()> {
        let written = self.append();
        self.failure = written.as_ref().err().map(ToString::to_string);
        if written.is_ok() {
            self.unwritten.clear();
        }
        written
    }

    fn append(&mut self) -> io::Result<()> {
        let Some(file) = self.file.as_mut() else { return Ok(()) };
        // What an attempt before this one left of a line ends here; a line without words does not count.
        let begin = if self.failure.is_some() { "\n" } else { "" };
        file.write_all(format!("{begin}{}", self.unwritten).as_bytes())?;
        file.sync_data()
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Trust")
    }
}

impl Trust {
    /// By what is remembered in the file at `path`, which is made if there is none, and written anew, shorter.
    ///
    /// # Errors
    /// The file cannot be read or written, or is another key's.
    pub fn open(path: &Path, key: RowKey) -> io::Result<Self> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error),
        };
        let (mut floors, mut sealed) = (HashMap::new(), false);
        let believed: Vec<_> = text.lines().filter_map(|line| read(&key, line)).collect();
        // With another key it would be written anew without a line.
        if believed.is_empty() && text.contains('\n') {
            let cause = "none of its lines was written with this instance's key; put back the key that belongs to it";
            return Err(io::Error::new(io::ErrorKind::InvalidData, cause));
        }
        for line in believed {
            match line {
                Line::Floor(grant, generation) => drop(raise(&mut floors, grant, generation)),
                Line::Sealed => sealed = true,
            }
        }
        let kept = sealed.then(|| signed(&key, SEALED));
        let kept = kept.into_iter().chain(floors.iter().map(|(grant, generation)| line(&key, *grant, *generation)));
        let file = file::replace(path, kept.collect::<String>().as_bytes(), 0o600)?;
        Ok(Self { key, known: Known::new(floors, sealed, Some(file)) })
    }

    /// Of an instance that ends with this process.
    pub fn of_this_process(key: RowKey) -> Self {
        Self { key, known: Known::new(HashMap::new(), false, None) }
    }

    /// The seal of a grant that is stored with the scope `scope`, JSON.
    pub(crate) fn seal(&self, grant: &Grant, scope: &Value) -> Seal {
        self.key.seal(grant, scope)
    }

    /// What this instance adds to the words of whoever uses an invite.
    pub fn opening(&self, invite: InviteId) -> Opening {
        self.key.opening(invite)
    }

    /// The seal of an invite.
    pub(crate) fn seal_invite(&self, invite: &KeptInvite) -> Seal {
        self.key.seal_invite(invite)
    }

    /// Whether an invite is as the daemon wrote it.
    pub(crate) fn knows(&self, invite: &KeptInvite, seal: &[u8]) -> bool {
        self.key.fits_invite(invite, seal)
    }

    /// Whether a grant, as its row says, is to be believed.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn judge(&self, grant: &Grant, scope: &Value, seal: Option<&[u8]>) -> Result<(), Doubt> {
        if !seal.is_some_and(|seal| self.key.fits(grant, scope, seal)) {
            return Err(Doubt::Tampered);
        }
        let stands = grant.state == State::Revoked || grant.generation >= self.floor(grant.id);
        if stands { Ok(()) } else { Err(Doubt::Older) }
    }

    /// The lowest generation in which `grant` may stand; [`END`] if it may not.
    pub fn floor(&self, grant: GrantId) -> u64 {
        self.lock().floors.get(&grant).copied().unwrap_or(0)
    }

    /// Whether every row that was there before there were seals has one.
    pub(crate) fn is_sealed(&self) -> bool {
        self.lock().sealed
    }

    /// Remembers that every row has its seal: one without is not as this instance wrote it.
    pub(crate) fn note_sealed(&self) -> io::Result<()> {
        let mut known = self.lock();
        known.sealed = true;
        known.unwritten.push_str(&signed(&self.key, SEALED));
        known.write()
    }

    /// Remembers that these grants have come this far; durable when it returns.
    ///
    /// # Errors
    /// The file cannot be written. What was to be remembered is until the process ends, and every later call tries again to
    /// write it.
    pub fn learn(&self, moved: impl Iterator<Item = (GrantId, u64)>) -> io::Result<()> {
        let mut known = self.lock();
        for (grant, generation) in moved {
            if raise(&mut known.floors, grant, generation) {
                known.unwritten.push_str(&line(&self.key, grant, generation));
            }
        }
        if known.unwritten.is_empty() {
            return Ok(());
        }
        known.write()
    }

    /// Why the file lacks something that is to be remembered; none while it lacks nothing.
    pub fn failure(&self) -> Option<String> {
        self.lock().failure.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// True where it was lower, or unknown.
fn raise(floors: &mut HashMap<GrantId, u64>, grant: GrantId, generation: u64) -> bool {
    let floor = floors.entry(grant).or_insert(0);
    let higher = generation > *floor;
    *floor = generation.max(*floor);
    higher
}

enum Line {
    Floor(GrantId, u64),
    Sealed,
}

fn line(key: &RowKey, grant: GrantId, generation: u64) -> String {
    signed(key, &format!("{grant} {generation}"))
}

fn signed(key: &RowKey, said: &str) -> String {
    format!("{said} {}\n", mac(key, said))
}

fn read(key: &RowKey, line: &str) -> Option<Line> {
    let (said, given) = line.rsplit_once(' ')?;
    // Compared in the open: whoever can try lines here can write the file, and guesses 128 bits.
    if mac(key, said) != given {
        return None;
    }
    if said == SEALED {
        return Some(Line::Sealed);
    }
    let (grant, generation) = said.split_once(' ')?;
    Some(Line::Floor(grant.parse().ok()?, generation.parse().ok()?))
}

fn mac(key: &RowKey, said: &str) -> String {
    let mut digits = hex::encode(key.tag(said.as_bytes()));
    digits.truncate(MAC);
    digits
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    const KEY: [u8; 32] = [7; 32];

    fn id(number: u128) -> GrantId {
        GrantId(Uuid::from_u128(number))
    }

    #[test]
    fn what_was_learnt_is_known_after_a_restart_and_never_goes_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("grants.floor");
        let trust = Trust::open(&path, RowKey::new(KEY)).unwrap();
        trust.learn([(id(1), 4), (id(2), 1)].into_iter()).unwrap();
        trust.learn([(id(1), 3), (id(2), 2)].into_iter()).unwrap();
        for _ in 0..2 {
            let again = Trust::open(&path, RowKey::new(KEY)).unwrap();
            assert_eq!([again.floor(id(1)), again.floor(id(2)), again.floor(id(3))], [4, 2, 0]);
        }
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 2, "one line for each");
    }

    #[test]
    fn what_lies_where_it_is_written_anew_leads_nowhere() {
        let folder = tempfile::tempdir().unwrap();
        let [path, victim] = ["grants.floor", "victim"].map(|name| folder.path().join(name));
        fs::write(&victim, "mine").unwrap();
        for beside in ["grants.new", "grants.floor.new"] {
            std::os::unix::fs::symlink(&victim, folder.path().join(beside)).unwrap();
        }
        drop(Trust::open(&path, RowKey::new(KEY)).unwrap());
        assert_eq!(fs::read_to_string(&victim).unwrap(), "mine");
    }

    #[test]
    fn what_could_not_be_written_is_told_and_written_later() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("grants.floor");
        let trust = Trust::open(&path, RowKey::new(KEY)).unwrap();
        let whole = trust.lock().file.replace(File::open(&path).unwrap());
        let failed = trust.learn([(id(1), 4)].into_iter());
        assert!(failed.is_err() && trust.failure().is_some(), "a file that is open for reading alone");
        assert_eq!(trust.floor(id(1)), 4);
        trust.lock().file = whole;
        trust.lock().file.as_mut().unwrap().write_all(b"half of a li").unwrap();
        trust.learn([].into_iter()).unwrap();
        assert_eq!(trust.failure(), None);
        assert_eq!(Trust::open(&path, RowKey::new(KEY)).unwrap().floor(id(1)), 4);
    }

    #[test]
    fn a_line_that_is_cut_off_or_of_another_key_does_not_count() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("grants.floor");
        Trust::open(&path, RowKey::new(KEY)).unwrap().learn([(id(1), 4)].into_iter()).unwrap();
        let whole = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("{whole}{}", &line(&RowKey::new(KEY), id(1), 9)[..60])).unwrap();
        assert_eq!(Trust::open(&path, RowKey::new(KEY)).unwrap().floor(id(1)), 4);
        let other = line(&RowKey::new([8; 32]), id(1), 9);
        fs::write(&path, format!("{}{other}{}", line(&RowKey::new(KEY), id(2), 1), whole.replace(" 4 ", " 1 ")))
            .unwrap();
        assert_eq!(Trust::open(&path, RowKey::new(KEY)).unwrap().floor(id(1)), 0);
        // A start with another key forgets nothing.
        fs::write(&path, &whole).unwrap();
        assert!(Trust::open(&path, RowKey::new([8; 32])).is_err());
        assert_eq!(Trust::open(&path, RowKey::new(KEY)).unwrap().floor(id(1)), 4);
    }
}
