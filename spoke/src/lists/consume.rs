//! A list of our CA's revoked certificates that somebody else keeps: what is on it is denied at the door, and cut where it is
//! inside already. It only ever takes away: who is not on it is judged by the grants' table as always. A list that cannot be had,
//! or not be believed, changes nothing but `status`: the one before stays, however old.

use super::Source;
use domain::{Time, world::Clock};
use link::{Registry, Ways};
use pki::{DenyList, ReadCrl, crl};
use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};
use tokio::time::sleep;

/// How often it is fetched.
const FETCH: Duration = Duration::from_mins(3);
/// How often it is looked whether a file changed.
const LOOK: Duration = Duration::from_secs(1);
/// How long past its end a list is old before somebody is told.
const LATE: Duration = Duration::from_hours(1);

/// How the list that is taken stands.
#[derive(Clone, Debug)]
pub struct TakenList {
    /// Where it comes from.
    pub source: String,
    /// The list in force; none while none was ever read.
    pub list: Option<Arc<ReadCrl>>,
    /// When it was last seen to be the newest.
    pub seen: Option<Time>,
    /// What must not stay so.
    pub failure: Option<String>,
}

#[derive(Default)]
struct State {
    /// What is in force.
    list: Option<Arc<ReadCrl>>,
    /// The last one that had not ended when it came: none with a lower number is taken.
    held: Option<Arc<ReadCrl>>,
    seen: Option<Time>,
    failure: Option<String>,
    /// When the file that was read last had been changed last, as it was before the reading: what changes meanwhile is read again.
    changed_at: Option<SystemTime>,
}

/// What a list does to the one in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taken {
    /// It takes its place, and its number counts.
    Replacing,
    /// It had ended when it came: what is on it is denied as well, and that is all. Anybody on the way may send an old list of a CA
    /// whose numbers began anew since; were its number counted, the CA's next ones would be older.
    Adding,
}

/// Fetches the list and puts it in force.
pub(crate) struct Consumer {
    source: Source,
    ways: Ways,
    kept: PathBuf,
    anchor: Vec<u8>,
    clock: Arc<dyn Clock>,
    deny: Arc<DenyList>,
    registry: Registry,
    state: Mutex<State>,
}

impl Consumer {
    pub(crate) fn new(
        (source, ways): (Source, Ways),
        kept: PathBuf,
        anchor: Vec<u8>,
        clock: Arc<dyn Clock>,
        deny: Arc<DenyList>,
        registry: Registry,
    ) -> Self {
        Self { source, ways, kept, anchor, clock, deny, registry, state: Mutex::default() }
    }

    pub(crate) fn status(&self, now: Time) -> TakenList {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let old =
            state.list.as_ref().filter(|list| now > list.ends + LATE).map(|list| {
                format!("the list is too old: the next one was due {}; what is on it stays denied", list.ends)
            });
        let failure = state.failure.clone().or(old);
        TakenList { source: self.source.to_string(), list: state.list.clone(), seen: state.seen, failure }
    }

    /// Puts in force what the runs before kept.
    pub(crate) async fn recall(&self) {
        for (file, how) in [(self.kept.clone(), Taken::Replacing), (self.old(), Taken::Adding)] {
            if let Ok(kept) = Source::File(file.clone()).fetch(&self.ways).await
                && let Err(error) = self.read(&kept).map(|list| self.put_in_force(list, how))
            {
                tracing::warn!(%error, file = %file.display(), "the list of the run before is not believed");
            }
        }
    }

    /// Fetches it at once, then every few minutes; a file also when it changes.
    pub(crate) async fn follow(&self) {
        loop {
            self.fetch().await;
            self.until_it_may_differ().await;
        }
    }

    async fn until_it_may_differ(&self) {
        let known = self.state.lock().unwrap_or_else(PoisonError::into_inner).changed_at;
        let looks = FETCH.as_secs() / LOOK.as_secs();
        for _ in 0..looks {
            sleep(LOOK).await;
            if self.source.changed_at().await != known {
                return;
            }
        }
    }

    async fn fetch(&self) {
        let changed_at = self.source.changed_at().await;
        self.note(|state| state.changed_at = changed_at);
        let taken = match self.source.fetch(&self.ways).await {
            Ok(der) => self.take(&der).map(|how| how.map(|how| (der, how))).map_err(|error| error.to_string()),
            Err(cause) => Err(cause),
        };
        match taken {
            Ok(news) => {
                if let Some((der, how)) = news {
                    self.keep(&der, how).await;
                }
                let now = self.clock.now();
                self.note(|state| (state.seen, state.failure) = (Some(now), None));
            }
            Err(cause) => {
                tracing::error!(%cause, source = %self.source, "the list of revoked certificates is not taken; the former one stays");
                self.note(|state| state.failure = Some(format!("it is not taken: {cause}; look at {}", self.source)));
            }
        }
    }

    fn note(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn read(&self, der: &[u8]) -> Result<ReadCrl, crl::CrlError> {
        let held = self.state.lock().unwrap_or_else(PoisonError::into_inner).held.clone();
        crl::read(der, &self.anchor, held.as_deref(), self.clock.now())
    }

    /// How it was put in force; none where that changed nothing.
    fn take(&self, der: &[u8]) -> Result<Option<Taken>, crl::CrlError> {
        let list = self.read(der)?;
        let how = if self.clock.now() > list.ends { Taken::Adding } else { Taken::Replacing };
        Ok(self.put_in_force(list, how).then_some(how))
    }

    /// Whether it says anything new. From here on nobody comes in with a certificate on it, and who is in is cut.
    fn put_in_force(&self, mut list: ReadCrl, how: Taken) -> bool {
        let known = self.state.lock().unwrap_or_else(PoisonError::into_inner).list.clone();
        match (known, how) {
            (Some(known), Taken::Replacing) if *known == list => return false,
            (Some(known), Taken::Adding) if known.serials.is_superset(&list.serials) => return false,
            (Some(known), Taken::Adding) => list.serials.extend(known.serials.iter().cloned()),
            _ => {}
        }
        self.deny.swap_listed(list.serials.clone());
        for (grant, _) in self.registry.all() {
            let cut = self.registry.keep_only(grant, |serial| !self.deny.lists(serial));
            if cut > 0 {
                tracing::warn!(%grant, cut, "connections were cut: the CA's list names their certificate");
            }
        }
        let list = Arc::new(list);
        self.note(|state| {
            if how == Taken::Replacing {
                state.held = Some(Arc::clone(&list));
            }
            state.list = Some(list);
        });
        true
    }

    /// Where a list is kept that had ended when it came.
    fn old(&self) -> PathBuf {
        self.kept.with_extension("old.crl")
    }

    /// For the next run: a source that is away then must not let in whom it named.
    async fn keep(&self, der: &[u8], how: Taken) {
        let file = if how == Taken::Adding { self.old() } else { self.kept.clone() };
        let written = async {
            write(&file, der).await?;
            if how == Taken::Adding {
                return Ok(());
            }
            let removed = tokio::fs::remove_file(self.old()).await;
            removed.or_else(|error| if error.kind() == ErrorKind::NotFound { Ok(()) } else { Err(error) })
        };
        if let Err(error) = written.await {
            tracing::warn!(%error, file = %file.display(), "the list is in force, but not kept for the next start");
        }
    }
}

/// All of it or nothing, and only for this account.
async fn write(file: &Path, der: &[u8]) -> std::io::Result<()> {
    let (file, der) = (file.to_owned(), der.to_owned());
    let written = tokio::task::spawn_blocking(move || store::file::replace(&file, &der, 0o600).map(drop)).await;
    written.unwrap_or_else(|error| Err(std::io::Error::other(error)))
}
