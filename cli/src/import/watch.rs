//! `import --watch`: the same import again of the files that change. What changed is seen in names, sizes and times of the files
//! themselves; the system's word that something happened only says when to look, and where it says nothing there is a look
//! every few seconds. Editors that put a new file in the place of the old, a folder that goes away and comes back and a daemon
//! that starts again are all the same to it.

use super::{
    Done, Order,
    format::Format,
    progress::Progress,
    report::{Refused, Report},
    send::Found,
    walk::{File, FileStamp, Walk},
};
use crate::{
    daemon::serve::told_to_stop,
    exit::{Exit, Failure, Outcome},
    out::Out,
};
use api::client::Client;
use notify::{Config, RecommendedWatcher, RecursiveMode, Watcher};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::Notify,
    task::spawn_blocking,
    time::{sleep, timeout},
};

/// So long without a further change, and it is time to look: editors write in several steps.
const QUIET: Duration = Duration::from_millis(300);
/// A look even if the system says nothing.
const LOOK: Duration = Duration::from_secs(5);
/// The next try after the daemon did not answer.
const AGAIN: Duration = Duration::from_secs(1);

/// The files at a time, as far as they are known without reading them, and what was no file to be read.
#[derive(Debug, Default, PartialEq)]
struct Files(BTreeMap<PathBuf, (Format, FileStamp)>, Vec<Refused>);

/// The last round that was done.
#[derive(Debug, Default)]
struct Former {
    files: Files,
    /// Those of which something was refused: it may be no longer so, and nothing about the file tells.
    refused_in: BTreeSet<PathBuf>,
}

impl Files {
    fn of(found: &[Result<File, Refused>]) -> Self {
        let files = found.iter().filter_map(|file| file.as_ref().ok());
        let refused = found.iter().filter_map(|file| file.as_ref().err());
        Self(files.map(|file| (file.path.clone(), (file.format, file.stamp))).collect(), refused.cloned().collect())
    }

    /// The paths that are in one of the two and not the same in both.
    fn differing<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = &'a PathBuf> {
        let one_way =
            |one: &'a Self, other: &'a Self| one.0.iter().filter(|(path, file)| other.0.get(*path) != Some(file));
        one_way(self, other).chain(one_way(other, self)).map(|(path, _)| path)
    }

    fn format(&self, path: &Path) -> Option<Format> {
        self.0.get(path).map(|(format, _)| *format)
    }
}

impl Former {
    /// What is to be read of what was found: files that are new, changed, or were refused in part. Lines of todo.txt are known by
    /// the whole of their folder: of that every file is read, also when one is gone.
    fn changed(&self, found: Vec<Result<File, Refused>>) -> Vec<Result<File, Refused>> {
        let files = Files::of(&found);
        let touched: BTreeSet<_> = self.files.differing(&files).chain(&self.refused_in).collect();
        let is_todo = |path: &Path| files.format(path).or_else(|| self.files.format(path)) == Some(Format::Todotxt);
        let folders: BTreeSet<_> = touched.iter().filter(|path| is_todo(path)).map(|path| path.parent()).collect();
        let is_read = |file: &File| {
            touched.contains(&file.path) || file.format == Format::Todotxt && folders.contains(&file.path.parent())
        };
        found.into_iter().filter(|file| file.as_ref().map_or(true, is_read)).collect()
    }
}

/// Imports, and again with every change, until Ctrl-C or SIGTERM.
pub async fn run(order: &Order, client: &Client, out: &Out) -> Outcome {
    let stop = told_to_stop()?;
    let mut watch = Watch {
        order,
        client,
        out,
        walk: Some(order.walk()),
        former: None,
        told: BTreeSet::new(),
        away: false,
        gone: false,
        first: true,
    };
    tokio::select! {
        biased;
        () = stop => Ok(Exit::Done),
        ended = watch.rounds() => ended,
    }
}

struct Watch<'a> {
    order: &'a Order,
    client: &'a Client,
    out: &'a Out,
    /// Away while it is taken.
    walk: Option<Walk>,
    former: Option<Former>,
    /// What was refused and said already.
    told: BTreeSet<String>,
    /// Whether the daemon did not answer, and that was said.
    away: bool,
    /// Whether the files are not there, and that was said.
    gone: bool,
    first: bool,
}

impl Watch<'_> {
    async fn rounds(&mut self) -> Outcome {
        let changed = Arc::new(Notify::new());
        let mut watcher = None;
        loop {
            let found = self.found().await?;
            if found.is_none() {
                watcher = None;
            } else if watcher.is_none() {
                watcher = self.watcher(&changed).await?;
            }
            let wait = match found {
                None => self.wait_for_files(),
                Some(found) => self.round(found).await?,
            };
            if timeout(wait, changed.notified()).await.is_ok() {
                while timeout(QUIET, changed.notified()).await.is_ok() {}
            }
        }
    }

    /// The files as they are; none where the root is not there. The way may be long, and must hold up nothing.
    async fn found(&mut self) -> Outcome<Option<Vec<Result<File, Refused>>>> {
        if !self.order.root.exists() {
            return Ok(None);
        }
        let mut walk = self.walk.take().unwrap_or_else(|| self.order.walk());
        let walked = spawn_blocking(move || (walk.files().collect(), walk)).await;
        let (found, walk) = walked.map_err(Failure::of)?;
        self.walk = Some(walk);
        Ok(Some(found))
    }

    /// As [`watcher`], which goes through every folder.
    async fn watcher(&self, changed: &Arc<Notify>) -> Outcome<Option<RecommendedWatcher>> {
        let (root, changed) = (self.order.root.clone(), Arc::clone(changed));
        spawn_blocking(move || watcher(&root, changed)).await.map_err(Failure::of)
    }

    fn wait_for_files(&mut self) -> Duration {
        if !std::mem::replace(&mut self.gone, true) {
            let path = self.order.path.display();
            self.out.remark(&format!("{path} is not there; its rows stay, and it is read again when it comes back"));
        }
        self.former = None;
        AGAIN
    }

    /// One import of what changed, and how long to wait after it.
    async fn round(&mut self, found: Vec<Result<File, Refused>>) -> Outcome<Duration> {
        if std::mem::take(&mut self.gone) {
            self.out.remark(&format!("{} is there again", self.order.path.display()));
        }
        let files = Files::of(&found);
        let changed = match &self.former {
            Some(former) if former.files == files => return Ok(LOOK),
            Some(former) => former.changed(found),
            None => found,
        };
        match self.order.import(Found::Files(changed), self.client, Progress::none()).await {
            Ok(done) => self.done(files, done),
            Err(failure) if matches!(failure.exit, Exit::NotRunning | Exit::Unavailable) => {
                if !std::mem::replace(&mut self.away, true) {
                    self.out.remark(&format!("{}; tried again every second", failure.cause));
                }
                // A change meanwhile is no reason to try sooner.
                sleep(AGAIN).await;
                Ok(Duration::ZERO)
            }
            Err(failure) => Err(failure),
        }
    }

    fn done(&mut self, files: Files, Done { report, refused_in, .. }: Done) -> Outcome<Duration> {
        if std::mem::take(&mut self.away) {
            self.out.remark("the daemon answers again");
        }
        self.former = Some(Former { files, refused_in });
        if std::mem::take(&mut self.first) || report.changes() {
            self.out.line(&report, Report::line)?;
        }
        self.tell(&report);
        Ok(LOOK)
    }

    /// What was not said before; what is no longer so may be said again.
    fn tell(&mut self, report: &Report) {
        let said: BTreeSet<_> = report.remarks.iter().cloned().chain(report.refusals()).collect();
        if !self.out.json {
            said.difference(&self.told).for_each(|line| self.out.remark(line));
        }
        self.told = said;
    }
}

/// The system's word of changes at a root; where it has none to give, the look every few seconds must do. Links are not followed:
/// those of a folder may lead anywhere, and without an end.
fn watcher(root: &Path, changed: Arc<Notify>) -> Option<RecommendedWatcher> {
    let told = move |event: notify::Result<notify::Event>| {
        // Our own reading is no change.
        if event.is_ok_and(|event| !event.kind.is_access()) {
            changed.notify_one();
        }
    };
    // A file that is replaced is a new one: what tells of it is its folder.
    let (place, depth) = match root.parent().filter(|_| root.is_file()) {
        Some(folder) => (folder, RecursiveMode::NonRecursive),
        None => (root, RecursiveMode::Recursive),
    };
    let mut watcher = RecommendedWatcher::new(told, Config::default().with_follow_symlinks(false)).ok()?;
    watcher.watch(place, depth).ok()?;
    Some(watcher)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn what_changed_is_read_again_and_of_todo_txt_its_whole_folder() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        for name in ["a.md", "b.md", "c/todo.txt", "c/done.txt", "d/todo.txt", "tasks.json"] {
            write(name, "[]");
        }
        let mut walk = Walk::new(dir.path(), None, false);
        let mut files = || walk.files().collect::<Vec<_>>();
        let mut former = Former { files: Files::of(&files()), refused_in: BTreeSet::new() };
        let read = |former: &Former, found| {
            let changed = former.changed(found).into_iter();
            changed.map(|file| file.unwrap().relative).collect::<Vec<_>>()
        };
        assert_eq!(read(&former, files()), Vec::<String>::new());
        write("b.md", "[ ]");
        write("e.md", "new");
        assert_eq!(read(&former, files()), ["b.md", "e.md"]);
        fs::remove_file(dir.path().join("c/done.txt")).unwrap();
        assert_eq!(read(&former, files()), ["b.md", "c/todo.txt", "e.md"]);
        former.refused_in = [dir.path().join("a.md"), dir.path().join("gone.md")].into();
        assert_eq!(read(&former, files()), ["a.md", "b.md", "c/todo.txt", "e.md"]);
    }
}
