//! Which files an import reads: every file below a folder whose name says one of the formats, in a fixed order, hidden ones
//! too; or the one file that was named. Links are followed to what lies below the folder, and out of it only where that was
//! asked for; no folder is walked twice, so there is an end whatever leads where. What a vault keeps for itself, `.obsidian` and
//! `.trash`, is left out. Nothing is opened, but what a name leaves in doubt, and that only when it is new or another than before.

use super::{
    format::{self, Format},
    open::{self, LEADS_OUT},
    report::Refused,
};
use std::{
    collections::{HashMap, HashSet, VecDeque},
    fs::{self, Metadata},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
    vec,
};

/// Folders that belong to the program a vault is written with, not to its owner's notes.
const OF_THE_VAULT: [&str; 2] = [".obsidian", ".trash"];
/// Names of one import at most, files and folders of any sort.
const MAX_NAMES: usize = 1_000_000;

const NO_UTF8: &str = "its name is no UTF-8, and a row is known by it; rename it";

/// A file to read.
#[derive(Clone, Debug)]
pub struct File {
    /// Where it is.
    pub path: PathBuf,
    /// Where it is below the root, with `/`; the file's name where the root is the file.
    pub relative: String,
    /// What is in it.
    pub format: Format,
    /// Whether it is the root itself.
    pub named: bool,
    /// What it is told from a later one by.
    pub stamp: FileStamp,
    /// The place where or below which it must lie when it is opened; anywhere if none is said.
    below: Option<Arc<Path>>,
}

/// What is known of a file without reading it. A file with the same stamp is taken for the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileStamp {
    /// In bytes.
    pub size: u64,
    /// When it was written.
    pub modified: Option<SystemTime>,
    /// Which file it is, and when anything about it changed, also who may read it: seconds and nanoseconds.
    pub node: (u64, i64, i64),
}

impl FileStamp {
    fn of(meta: &Metadata) -> Self {
        Self { size: meta.len(), modified: meta.modified().ok(), node: (meta.ino(), meta.ctime(), meta.ctime_nsec()) }
    }
}

impl File {
    /// Opens it, if it still is a file to be read, or says why not.
    pub fn open(&self) -> Result<fs::File, String> {
        let opened = open::regular(&self.path).map_err(|error| super::unread(&error))?;
        let Some(root) = &self.below else { return Ok(opened) };
        match open::lies_below(&opened, root) {
            Ok(true) => Ok(opened),
            Ok(false) => Err(LEADS_OUT.to_owned()),
            Err(error) => Err(super::unread(&error)),
        }
    }

    /// What the keys of this file's rows begin with: its own place below the source, so that two files of a folder may have
    /// equal keys, and a file imported alone makes the rows that its folder made.
    pub fn scope(&self, source: &str) -> String {
        if self.named { source.to_owned() } else { format!("{source}/{}", self.relative) }
    }

    /// The same for the folder it lies in.
    pub fn folder_scope(&self, source: &str) -> String {
        let parent = self.relative.rsplit_once('/').map(|(parent, _)| parent).filter(|_| !self.named);
        parent.map_or_else(|| source.to_owned(), |parent| format!("{source}/{parent}"))
    }

    /// As [`Refused`], at this file.
    pub fn refuse(&self, reason: impl Into<String>) -> Refused {
        Refused { at: self.relative.clone(), reason: reason.into() }
    }

    /// The same at a line of it, from 1.
    pub fn refuse_line(&self, line: usize, reason: impl Into<String>) -> Refused {
        Refused { at: self.line(line), reason: reason.into() }
    }

    /// `file:line`.
    pub fn line(&self, line: usize) -> String {
        format!("{}:{line}", self.relative)
    }
}

/// The way through what is imported, which may be taken again.
#[derive(Clone, Debug)]
pub struct Walk {
    root: PathBuf,
    format: Option<Format>,
    /// Where every file must lie; none where links out of it are followed.
    within: Option<Arc<Path>>,
    looks: Looks,
    most: usize,
}

/// Of files that had to be looked into: whether they are for an import.
#[derive(Clone, Debug, Default)]
struct Looks(HashMap<PathBuf, (FileStamp, bool)>);

impl Walk {
    /// Takes the files below `root`, which has no links in it, of the one format asked for, or of any; or `root` itself where it
    /// is a file, whatever its name where the format is said. Links out of it are refused, unless to `follow` them was asked for.
    pub fn new(root: &Path, format: Option<Format>, follow: bool) -> Self {
        let within = (!follow).then(|| open::place(root).unwrap_or_else(|_| root.to_owned()).into());
        Self { root: root.to_owned(), format, within, looks: Looks::default(), most: MAX_NAMES }
    }

    /// The files as they are.
    pub fn files(&mut self) -> Files<'_> {
        let former = std::mem::take(&mut self.looks);
        let begin = vec![self.root.clone()].into_iter();
        let most = self.most;
        Files { walk: self, former, open: vec![begin], links: VecDeque::new(), walked: HashSet::new(), left: most }
    }

    /// Bytes of all files.
    pub fn bytes(&mut self) -> u64 {
        self.files().filter_map(|file| Some(file.ok()?.stamp.size)).sum()
    }
}

impl Looks {
    /// Looks into a file, unless the former look was at the same.
    fn again(&mut self, former: &mut Self, path: &Path, stamp: FileStamp) -> bool {
        let known = former.0.remove(path).filter(|(looked_at, _)| *looked_at == stamp);
        let says = known.map_or_else(|| format::begins_as_tasks(path), |(_, says)| says);
        self.0.insert(path.to_owned(), (stamp, says));
        says
    }
}

/// The files on the way, one after the other.
#[derive(Debug)]
pub struct Files<'w> {
    walk: &'w mut Walk,
    former: Looks,
    /// What is still to be seen of each folder on the way down.
    open: Vec<vec::IntoIter<PathBuf>>,
    /// Links to folders. They come last: what lies below the root is known by its own place.
    links: VecDeque<PathBuf>,
    /// Folders by device and number.
    walked: HashSet<(u64, u64)>,
    /// Names that may still be listed.
    left: usize,
}

type Found = Option<Result<File, Refused>>;

impl Iterator for Files<'_> {
    type Item = Result<File, Refused>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let found = if let Some(path) = self.step() {
                self.see(&path)
            } else {
                let link = self.links.pop_front()?;
                self.enter(&link)
            };
            if found.is_some() {
                return found;
            }
        }
    }
}

impl Files<'_> {
    /// The next name on the way.
    fn step(&mut self) -> Option<PathBuf> {
        while let Some(folder) = self.open.last_mut() {
            if let Some(path) = folder.next() {
                return Some(path);
            }
            self.open.pop();
        }
        None
    }

    /// Takes a name for what it is: a file, or a folder or link to go on with.
    fn see(&mut self, path: &Path) -> Found {
        match path.symlink_metadata() {
            Ok(meta) if meta.is_symlink() => self.link(path),
            Ok(meta) if meta.is_dir() => self.enter(path),
            Ok(meta) => self.file(path, &meta),
            // It went away since its folder was read.
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => self.refuse(path, super::unread(&error)),
        }
    }

    fn link(&mut self, path: &Path) -> Found {
        let led = path.canonicalize().and_then(|target| Ok((target.metadata()?, target)));
        let (meta, target) = match led {
            Ok(led) => led,
            Err(error) => return self.refuse(path, super::unread(&error)),
        };
        let (root, inside) = (&self.walk.root, target.starts_with(&self.walk.root));
        if meta.is_dir() && inside && path.starts_with(&target) {
            let back = relative(root, &target);
            return self.refuse(path, format!("a link in a circle: it leads back to {back}; remove it"));
        }
        let may = inside || self.walk.within.is_none();
        if !meta.is_dir() {
            let found = self.file(path, &meta);
            return if may || found.is_none() { found } else { self.refuse(path, LEADS_OUT) };
        }
        if !may {
            return self.refuse(path, LEADS_OUT);
        }
        self.links.push_back(path.to_owned());
        None
    }

    /// Goes on with what is in a folder, unless it was walked before.
    fn enter(&mut self, path: &Path) -> Found {
        if path != self.walk.root && of_the_vault(path) {
            return None;
        }
        if path.strip_prefix(&self.walk.root).is_ok_and(|below| below.to_str().is_none()) {
            return self.refuse(path, NO_UTF8);
        }
        let listed = fs::metadata(path).and_then(|meta| {
            let is_new = self.walked.insert((meta.dev(), meta.ino()));
            if is_new { names(path, self.left) } else { Ok(Vec::new()) }
        });
        let listed = match listed {
            Ok(listed) => listed,
            Err(error) => return self.refuse(path, super::unread(&error)),
        };
        if listed.len() > self.left {
            return self.too_many(path);
        }
        self.left -= listed.len();
        self.open.push(listed.into_iter());
        None
    }

    /// Ends the way: what is left of it could have no end.
    fn too_many(&mut self, path: &Path) -> Found {
        self.open.clear();
        self.links.clear();
        let most = self.walk.most;
        self.refuse(path, format!("more than {most} files and folders; the rest was not read: import smaller folders"))
    }

    fn file(&mut self, path: &Path, meta: &Metadata) -> Found {
        let Walk { root, format: asked, within, .. } = &*self.walk;
        let (named, asked, below) = (path == root, *asked, within.clone());
        let format = match asked {
            Some(asked) if named => asked,
            _ => Format::of_name(path).filter(|format| asked.is_none_or(|asked| asked == *format))?,
        };
        if path.file_name().is_some_and(|name| name.to_str().is_none()) {
            return self.refuse(path, NO_UTF8);
        }
        if !meta.is_file() {
            return self.refuse(path, super::unread(&open::irregular()));
        }
        let stamp = FileStamp::of(meta);
        let in_doubt = format.needs_a_look() && !(named && asked.is_some());
        if in_doubt && !self.walk.looks.again(&mut self.former, path, stamp) {
            return None;
        }
        let relative = relative(&self.walk.root, path);
        Some(Ok(File { path: path.to_owned(), relative, format, named, stamp, below }))
    }

    #[expect(clippy::unnecessary_wraps, reason = "it is what was found at this name")]
    fn refuse(&self, path: &Path, reason: impl Into<String>) -> Found {
        Some(Err(Refused { at: relative(&self.walk.root, path), reason: reason.into() }))
    }
}

/// What is in a folder, by name; of too many only so many that it can be told.
fn names(path: &Path, most: usize) -> io::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(path)?.take(most + 1);
    let mut names = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    names.sort_unstable();
    Ok(names)
}

fn of_the_vault(path: &Path) -> bool {
    OF_THE_VAULT.iter().any(|name| path.file_name().is_some_and(|of| of == *name))
}

fn relative(root: &Path, path: &Path) -> String {
    let below = path.strip_prefix(root).ok().filter(|below| !below.as_os_str().is_empty());
    let shown = below.or_else(|| path.file_name().map(Path::new)).unwrap_or(path);
    shown.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::{sys::stat::Mode, unistd::mkfifo};
    use std::{
        ffi::OsStr,
        os::unix::{ffi::OsStrExt, fs::symlink},
    };
    use tempfile::TempDir;

    fn names(walk: &mut Walk) -> Vec<String> {
        walk.files().map(|file| file.unwrap().relative).collect()
    }

    /// What was found, a refusal with a mark before its place.
    fn found(walk: &mut Walk) -> Vec<String> {
        let said = |found: Result<File, Refused>| {
            found.map_or_else(|refused| format!("! {}: {}", refused.at, refused.reason), |file| file.relative)
        };
        walk.files().map(said).collect()
    }

    /// A folder to import, `root`, beside another, and the way to the first.
    fn folders() -> (TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().canonicalize().unwrap();
        for folder in ["root/real", "else"] {
            fs::create_dir_all(base.join(folder)).unwrap();
        }
        for file in ["root/a.md", "root/real/b.md", "else/secret.md"] {
            fs::write(base.join(file), file).unwrap();
        }
        (dir, base)
    }

    #[test]
    fn a_file_is_looked_into_again_only_if_it_is_another() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tasks.json");
        fs::write(&path, "[]").unwrap();
        fs::write(dir.path().join("package.json"), "{}").unwrap();
        let mut walk = Walk::new(dir.path(), None, false);
        assert_eq!(names(&mut walk), ["tasks.json"]);
        // A look would find another answer than the one that is remembered.
        for (_, says) in walk.looks.0.values_mut() {
            *says = !*says;
        }
        assert_eq!(names(&mut walk), ["package.json"], "neither was opened");
        fs::write(&path, "[ ]").unwrap();
        assert_eq!(names(&mut walk), ["package.json", "tasks.json"], "the one that changed was");
        fs::remove_file(&path).unwrap();
        assert_eq!(names(&mut walk), ["package.json"]);
        assert_eq!(walk.looks.0.len(), 1, "what is gone is forgotten");
    }

    #[test]
    fn links_are_followed_below_the_root_and_out_of_it_only_if_asked() {
        let (_dir, base) = folders();
        for (target, link) in [
            ("../else/secret.md", "c.md"),
            ("../else", "d"),
            ("real/b.md", "e.md"),
            ("/etc/hostname", "f.png"),
            ("nowhere", "g"),
        ] {
            symlink(target, base.join("root").join(link)).unwrap();
        }
        symlink(base.join("root/a.md"), base.join("root/h.md")).unwrap();
        let mut walk = Walk::new(&base.join("root"), None, false);
        let said = found(&mut walk);
        let places: Vec<_> = said.iter().map(|one| one.split(": ").next().unwrap()).collect();
        assert_eq!(places, ["a.md", "! c.md", "! d", "e.md", "! g", "h.md", "real/b.md"], "{said:?}");
        assert!(said[1].contains("leads out") && said[2].contains("--follow-links"), "{said:?}");
        let said = found(&mut Walk::new(&base.join("root"), None, true));
        let places: Vec<_> = said.iter().map(|one| one.split(": ").next().unwrap()).collect();
        assert_eq!(places, ["a.md", "c.md", "e.md", "! g", "h.md", "real/b.md", "d/secret.md"], "{said:?}");
    }

    #[test]
    fn a_file_that_became_a_link_after_it_was_found_is_not_read() {
        let (_dir, base) = folders();
        let file = Walk::new(&base.join("root"), None, false).files().next().unwrap().unwrap();
        assert!(file.open().is_ok());
        fs::remove_file(base.join("root/a.md")).unwrap();
        symlink(base.join("else/secret.md"), base.join("root/a.md")).unwrap();
        assert_eq!(file.open().unwrap_err(), LEADS_OUT);
        // The folder it lies in, too.
        let (_dir, base) = folders();
        fs::write(base.join("else/b.md"), "secret").unwrap();
        let file = Walk::new(&base.join("root"), None, false).files().last().unwrap().unwrap();
        assert_eq!(file.relative, "real/b.md");
        fs::rename(base.join("root/real"), base.join("away")).unwrap();
        symlink(base.join("else"), base.join("root/real")).unwrap();
        assert_eq!(file.open().unwrap_err(), LEADS_OUT);
    }

    #[test]
    fn folders_that_link_to_one_another_are_each_walked_once() {
        let (_dir, base) = folders();
        for level in 0..40 {
            let folder = base.join(format!("root/{level:02}"));
            fs::create_dir(&folder).unwrap();
            for link in ["x", "y"] {
                symlink(format!("../{:02}", level + 1), folder.join(link)).unwrap();
            }
        }
        fs::create_dir(base.join("root/40")).unwrap();
        fs::write(base.join("root/40/z.md"), "z").unwrap();
        assert_eq!(found(&mut Walk::new(&base.join("root"), None, false)), ["40/z.md", "a.md", "real/b.md"]);
        // From outside they lead in by two ways, and are walked by the first.
        symlink("../else", base.join("root/out")).unwrap();
        symlink("../root", base.join("else/in")).unwrap();
        symlink("..", base.join("root/real/back")).unwrap();
        let said = found(&mut Walk::new(&base.join("root"), None, true));
        let places: Vec<_> = said.iter().map(|one| one.split(" it leads").next().unwrap()).collect();
        let circle = |at: &str| format!("! {at}: a link in a circle:");
        let wanted = ["40/z.md", "a.md", "real/b.md", &circle("real/back"), &circle("out/in"), "out/secret.md"];
        assert_eq!(places, wanted, "{said:?}");
    }

    #[test]
    fn past_so_many_names_the_rest_is_left_and_told() {
        let (_dir, base) = folders();
        let mut walk = Walk::new(&base.join("root"), None, false);
        walk.most = 3;
        assert_eq!(found(&mut walk).len(), 2);
        walk.most = 2;
        let said = found(&mut walk);
        assert!(said.len() == 2 && said[1].contains("more than 2 files and folders"), "{said:?}");
    }

    #[test]
    fn what_has_no_name_or_is_no_file_is_told() {
        let (_dir, base) = folders();
        let odd = |name: &[u8]| base.join("root").join(OsStr::from_bytes(name));
        for folder in [b"\xfe", b"\xff"] {
            fs::create_dir(odd(folder)).unwrap();
            fs::write(odd(folder).join("a.md"), "x").unwrap();
        }
        fs::write(odd(b"\xff.md"), "x").unwrap();
        fs::write(odd(b"\xff.png"), "x").unwrap();
        mkfifo(&base.join("root/p.md"), Mode::S_IRWXU).unwrap();
        mkfifo(&base.join("root/p.json"), Mode::S_IRWXU).unwrap();
        let said = found(&mut Walk::new(&base.join("root"), None, false));
        assert_eq!(said.iter().filter(|one| one.ends_with("rename it")).count(), 3, "{said:?}");
        assert_eq!(said.iter().filter(|one| one.contains("no regular file")).count(), 2, "{said:?}");
        assert_eq!(said.len(), 7, "{said:?}");
    }
}
