//! Files that hold a secret: read only where nobody else may read them.

use crate::exit::{Exit, Failure, Outcome};
use domain::secret::Secret;
use std::{
    fs::File,
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    path::Path,
};

/// The text of a file that nobody else may read. `what` is in it, as in "the proxy's password", and `unreadable` says that it cannot be read.
///
/// It is opened once: what is judged is what is read, also where somebody puts another file in its place meanwhile.
pub fn text(path: &Path, what: &str, unreadable: impl Fn(&io::Error) -> Failure) -> Outcome<Secret<String>> {
    let mut file = File::open(path).map_err(|error| unreadable(&error))?;
    let found = file.metadata().map_err(|error| unreadable(&error))?;
    if found.mode() & 0o077 != 0 {
        let cause = format!("others may read {what} in {}", path.display());
        return Err(Failure::new(Exit::Forbidden, cause).next(format!("chmod 600 {}", path.display())));
    }
    let mut text = String::with_capacity(usize::try_from(found.len()).unwrap_or_default().min(1 << 20));
    file.read_to_string(&mut text).map_err(|error| unreadable(&error))?;
    Ok(Secret::new(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::PermissionsExt as _, thread};

    fn read(path: &Path) -> Outcome<Secret<String>> {
        text(path, "the key", |error| Failure::input(path, error))
    }

    #[test]
    fn what_others_may_read_is_no_secret_and_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        assert_eq!(read(&path).err().unwrap().exit, Exit::Missing);
        fs::write(&path, "hunter2").unwrap();
        for (mode, is_fine) in
            [(0o600, true), (0o400, true), (0o700, true), (0o640, false), (0o604, false), (0o620, false)]
        {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let read = read(&path);
            assert_eq!(read.is_ok(), is_fine, "{mode:o}");
            if let Err(failure) = read {
                assert!(failure.cause.contains("others may read the key in") && !failure.cause.contains("hunter2"));
                assert!(failure.next.unwrap().starts_with("chmod 600 "));
            }
        }
    }

    #[test]
    fn the_file_that_is_judged_is_the_one_that_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str, mode| {
            let path = dir.path().join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            path
        };
        let (own, open, path) = (put("own", "own", 0o600), put("open", "open", 0o644), dir.path().join("key"));
        // Somebody swaps a private file and an open one under the name as fast as they can.
        let (swapped, new) = (path.clone(), dir.path().join("new"));
        let swap = move |to: &Path| {
            std::os::unix::fs::symlink(to, &new).unwrap();
            fs::rename(&new, &swapped).unwrap();
        };
        swap(&own);
        let swapping = thread::spawn(move || (0..20_000).for_each(|at| swap(if at % 2 == 0 { &open } else { &own })));
        while !swapping.is_finished() {
            if let Ok(text) = read(&path) {
                assert_eq!(text.expose(), "own");
            }
        }
        swapping.join().unwrap();
    }
}
