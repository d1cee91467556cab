//! `import --watch`: the same import again whenever files change. What changed is seen in names, sizes and times of the files
//! themselves; the system's word that something happened only says when to look, and where it says nothing there is a look
//! every few seconds. Editors that put a new file in the place of the old, a folder that goes away and comes back and a daemon
//! that starts again are all the same to it.

use super::{Order, progress::Progress, report::Refused, walk};
use crate::{
    daemon::serve::told_to_stop,
    exit::{Exit, Outcome},
    out::Out,
};
use api::client::Client;
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::{
    sync::Notify,
    time::{sleep, timeout},
};

/// So long without a further change, and it is time to look: editors write in several steps.
const QUIET: Duration = Duration::from_millis(300);
/// A look even if the system says nothing.
const LOOK: Duration = Duration::from_secs(5);
/// The next try after the daemon did not answer.
const AGAIN: Duration = Duration::from_secs(1);

/// What is known of the files without reading them: where they are, how large, when written.
type Seen = BTreeMap<PathBuf, (u64, Option<SystemTime>)>;

/// Imports, and again with every change, until Ctrl-C or SIGTERM.
pub async fn run(order: &Order, client: &Client, out: &Out) -> Outcome {
    let stop = told_to_stop()?;
    let mut watch =
        Watch { order, client, out, seen: None, told: BTreeSet::new(), away: false, gone: false, first: true };
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
    /// The files as they were before the last round that was done.
    seen: Option<Seen>,
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
            let files = self.files();
            if files.is_none() {
                watcher = None;
            } else if watcher.is_none() {
                watcher = self.watcher(&changed);
            }
            let wait = match files {
                None => self.wait_for_files(),
                Some(files) if self.seen.as_ref() == Some(&files) => LOOK,
                Some(files) => self.round(files).await?,
            };
            if timeout(wait, changed.notified()).await.is_ok() {
                while timeout(QUIET, changed.notified()).await.is_ok() {}
            }
        }
    }

    /// The files as they are; none where the root is not there.
    fn files(&self) -> Option<Seen> {
        let Order { root, format, .. } = self.order;
        if !root.exists() {
            return None;
        }
        let known = |file: walk::File| {
            let meta = file.path.metadata().ok();
            let written = meta.and_then(|meta| meta.modified().ok());
            (file.path, (file.size, written))
        };
        Some(walk::files(root, *format).filter_map(Result::ok).map(known).collect())
    }

    fn wait_for_files(&mut self) -> Duration {
        if !std::mem::replace(&mut self.gone, true) {
            let path = self.order.path.display();
            self.out.remark(&format!("{path} is not there; its rows stay, and it is read again when it comes back"));
        }
        self.seen = None;
        AGAIN
    }

    /// One import, and how long to wait after it.
    async fn round(&mut self, files: Seen) -> Outcome<Duration> {
        if std::mem::take(&mut self.gone) {
            self.out.remark(&format!("{} is there again", self.order.path.display()));
        }
        match self.order.once(self.client, Progress::none()).await {
            Ok(done) => {
                if std::mem::take(&mut self.away) {
                    self.out.remark("the daemon answers again");
                }
                self.seen = Some(files);
                if std::mem::take(&mut self.first) || done.report.changes() {
                    self.out.line(&done.report, super::Report::line)?;
                }
                self.tell(&done.report.remarks, &done.report.refused);
                Ok(LOOK)
            }
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

    /// What was not said before; what is no longer so may be said again.
    fn tell(&mut self, remarks: &[String], refused: &[Refused]) {
        let refused = refused.iter().map(|one| format!("refused {}: {}", one.at, one.reason));
        let said: BTreeSet<_> = remarks.iter().cloned().chain(refused).collect();
        if !self.out.json {
            said.difference(&self.told).for_each(|line| self.out.remark(line));
        }
        self.told = said;
    }

    /// The system's word of changes; where it has none to give, the look every few seconds must do.
    fn watcher(&self, changed: &Arc<Notify>) -> Option<RecommendedWatcher> {
        let changed = Arc::clone(changed);
        let told = move |event: notify::Result<notify::Event>| {
            // Our own reading is no change.
            if event.is_ok_and(|event| !event.kind.is_access()) {
                changed.notify_one();
            }
        };
        let root = &self.order.root;
        // A file that is replaced is a new one: what tells of it is its folder.
        let (place, depth) = match root.parent().filter(|_| root.is_file()) {
            Some(folder) => (folder, RecursiveMode::NonRecursive),
            None => (root.as_path(), RecursiveMode::Recursive),
        };
        let mut watcher = notify::recommended_watcher(told).ok()?;
        watcher.watch(place, depth).ok()?;
        Some(watcher)
    }
}
