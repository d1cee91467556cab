//! Files that are whole whenever the machine stops.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions, Permissions},
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// Puts a file with this content and mode, whatever the umask, in the place of the one at `path`: after a crash or a loss of power it is the
/// one or the other. It is given open for appending.
///
/// It is written beside `path` first, as a file that is made here: what lies there is removed and never opened, so that a link leads
/// nowhere.
///
/// # Errors
/// It cannot be written, or somebody else makes a file beside it at the same time. The one at `path` is as it was, unless all that
/// failed was to make the new one's name durable.
pub fn replace(path: &Path, content: &[u8], mode: u32) -> io::Result<File> {
    let new = beside(path);
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().append(true).create_new(true).mode(mode).open(&new)?;
    let written = write(&mut file, content, mode).and_then(|()| fs::rename(&new, path));
    if let Err(error) = written {
        // A disk that is full is not to be filled by what is of no use.
        fs::remove_file(&new).ok();
        return Err(error);
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()?;
    Ok(file)
}

fn write(file: &mut File, content: &[u8], mode: u32) -> io::Result<()> {
    file.set_permissions(Permissions::from_mode(mode))?;
    file.write_all(content)?;
    file.sync_all()
}

fn beside(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".new");
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_file_is_replaced_whole_with_its_mode_and_what_follows_is_appended_to_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        replace(&path, b"one", 0o644).unwrap();
        let mut file = replace(&path, b"two ", 0o600).unwrap();
        file.write_all(b"three").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two three");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn what_lies_beside_it_leads_nowhere() {
        let folder = tempfile::tempdir().unwrap();
        let [path, victim] = ["file", "victim"].map(|name| folder.path().join(name));
        fs::write(&victim, "mine").unwrap();
        symlink(&victim, beside(&path)).unwrap();
        replace(&path, b"new", 0o600).unwrap();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "mine");
        assert!(fs::symlink_metadata(&path).unwrap().is_file());
        assert_eq!(fs::read(&path).unwrap(), b"new");
        // What cannot be removed is not written into either.
        fs::create_dir(beside(&path)).unwrap();
        replace(&path, b"newer", 0o600).unwrap_err();
        assert_eq!(fs::read(&path).unwrap(), b"new");
    }
}
