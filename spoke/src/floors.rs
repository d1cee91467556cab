//! What this instance remembers of its grants beside the database: how far each one has come. A database that is put back to an earlier
//! state brings back no grant that was revoked or narrowed since.
//!
//! One line for each grant that moved, `ID GENERATION MAC`, appended and synced; the highest of a grant counts. A line that was
//! cut off by a crash, or that somebody else wrote, does not.

use domain::{id::GrantId, seal::RowKey};
use std::{
    collections::HashMap,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Digits of the MAC that are kept: 128 bits.
const MAC: usize = 32;

/// The lowest generation in which each grant may stand.
pub struct Floors {
    key: RowKey,
    known: Mutex<Known>,
}

struct Known {
    floors: HashMap<GrantId, u64>,
    /// None where nothing outlives the process.
    file: Option<File>,
    /// Lines that the file may lack, and why it does.
    unwritten: String,
    failure: Option<String>,
}

impl Known {
    fn new(floors: HashMap<GrantId, u64>, file: Option<File>) -> Mutex<Self> {
        Mutex::new(Self { floors, file, unwritten: String::new(), failure: None })
    }

    /// Writes what the file lacks.
    fn write(&mut self) -> io::Result<()> {
        let Some(file) = self.file.as_mut() else { return Ok(()) };
        // What an attempt before this one left of a line ends here; a line without words does not count.
        let begin = if self.failure.is_some() { "\n" } else { "" };
        file.write_all(format!("{begin}{}", self.unwritten).as_bytes())?;
        file.sync_data()
    }
}

impl Floors {
    /// Those that are kept in the file at `path`, which is made if there is none, and written anew, shorter.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub fn open(path: &Path, key: RowKey) -> io::Result<Self> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error),
        };
        let mut floors = HashMap::new();
        for (grant, generation) in text.lines().filter_map(|line| read(&key, line)) {
            raise(&mut floors, grant, generation);
        }
        let shorter = beside(path);
        let mut file = new(&shorter)?;
        let lines: String = floors.iter().map(|(grant, generation)| line(&key, *grant, *generation)).collect();
        file.write_all(lines.as_bytes())?;
        file.sync_all()?;
        fs::rename(&shorter, path)?;
        // Lines are appended to the new file from here on: after a loss of power it must be this one that is there.
        if let Some(folder) = path.parent() {
            File::open(folder)?.sync_all()?;
        }
        let file = OpenOptions::new().append(true).open(path)?;
        Ok(Self { key, known: Known::new(floors, Some(file)) })
    }

    /// Those of an instance that ends with this process.
    pub fn of_this_process(key: RowKey) -> Self {
        Self { key, known: Known::new(HashMap::new(), None) }
    }

    /// The lowest generation in which `grant` may stand.
    pub fn of(&self, grant: GrantId) -> u64 {
        self.lock().floors.get(&grant).copied().unwrap_or(0)
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
        let written = known.write();
        known.failure = written.as_ref().err().map(ToString::to_string);
        if written.is_ok() {
            known.unwritten.clear();
        }
        written
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

fn beside(path: &Path) -> PathBuf {
    path.with_extension("new")
}

fn new(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

fn line(key: &RowKey, grant: GrantId, generation: u64) -> String {
    let said = format!("{grant} {generation}");
    let mac = mac(key, &said);
    format!("{said} {mac}\n")
}

fn read(key: &RowKey, line: &str) -> Option<(GrantId, u64)> {
    let (said, given) = line.rsplit_once(' ')?;
    // Compared in the open: whoever can try lines here can write the file, and guesses 128 bits.
    if mac(key, said) != given {
        return None;
    }
    let (grant, generation) = said.split_once(' ')?;
    Some((grant.parse().ok()?, generation.parse().ok()?))
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
        let floors = Floors::open(&path, RowKey::new(KEY)).unwrap();
        floors.learn([(id(1), 4), (id(2), 1)].into_iter()).unwrap();
        floors.learn([(id(1), 3), (id(2), 2)].into_iter()).unwrap();
        for _ in 0..2 {
            let again = Floors::open(&path, RowKey::new(KEY)).unwrap();
            assert_eq!([again.of(id(1)), again.of(id(2)), again.of(id(3))], [4, 2, 0]);
        }
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 2, "one line for each");
    }

    #[test]
    fn what_could_not_be_written_is_told_and_written_later() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("grants.floor");
        let floors = Floors::open(&path, RowKey::new(KEY)).unwrap();
        let whole = floors.lock().file.replace(File::open(&path).unwrap());
        let failed = floors.learn([(id(1), 4)].into_iter());
        assert!(failed.is_err() && floors.failure().is_some(), "a file that is open for reading alone");
        assert_eq!(floors.of(id(1)), 4);
        floors.lock().file = whole;
        floors.lock().file.as_mut().unwrap().write_all(b"half of a li").unwrap();
        floors.learn([].into_iter()).unwrap();
        assert_eq!(floors.failure(), None);
        assert_eq!(Floors::open(&path, RowKey::new(KEY)).unwrap().of(id(1)), 4);
    }

    #[test]
    fn a_line_that_is_cut_off_or_of_another_key_does_not_count() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("grants.floor");
        Floors::open(&path, RowKey::new(KEY)).unwrap().learn([(id(1), 4)].into_iter()).unwrap();
        let whole = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("{whole}{}", &line(&RowKey::new(KEY), id(1), 9)[..60])).unwrap();
        assert_eq!(Floors::open(&path, RowKey::new(KEY)).unwrap().of(id(1)), 4);
        fs::write(&path, whole.replace(" 4 ", " 1 ")).unwrap();
        assert_eq!(Floors::open(&path, RowKey::new(KEY)).unwrap().of(id(1)), 0);
        fs::write(&path, line(&RowKey::new([8; 32]), id(1), 9)).unwrap();
        assert_eq!(Floors::open(&path, RowKey::new(KEY)).unwrap().of(id(1)), 0);
    }
}
