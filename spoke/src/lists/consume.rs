//! A list of our CA's revoked certificates that somebody else keeps: what is on it is denied at the door, and cut where it is
//! inside already. It only ever takes away: who is not on it is judged by the grants' table as always. A list that cannot be had,
//! or not be believed, changes nothing but `status`: the one before stays, however old.

use super::Source;
use domain::{Time, world::Clock};
use link::Registry;
use pki::{DenyList, ReadCrl, crl};
use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};
use tokio::{io::AsyncWriteExt, time::sleep};

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
    list: Option<Arc<ReadCrl>>,
    seen: Option<Time>,
    failure: Option<String>,
    /// When the file that was read last had been changed last, as it was before the reading: what changes meanwhile is read again.
    changed_at: Option<SystemTime>,
}

/// Fetches the list and puts it in force.
pub(crate) struct Consumer {
    source: Source,
    kept: PathBuf,
    anchor: Vec<u8>,
    clock: Arc<dyn Clock>,
    deny: Arc<DenyList>,
    registry: Registry,
    state: Mutex<State>,
}

impl Consumer {
    pub(crate) fn new(
        source: Source,
        kept: PathBuf,
        anchor: Vec<u8>,
        clock: Arc<dyn Clock>,
        deny: Arc<DenyList>,
        registry: Registry,
    ) -> Self {
        Self { source, kept, anchor, clock, deny, registry, state: Mutex::default() }
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

    /// Puts the list of the run before in force.
    pub(crate) async fn recall(&self) {
        if let Ok(kept) = Source::File(self.kept.clone()).fetch().await
            && let Err(error) = self.put_in_force(&kept)
        {
            tracing::warn!(%error, file = %self.kept.display(), "the list of the run before is not believed");
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
        let taken = match self.source.fetch().await {
            Ok(der) => self.put_in_force(&der).map(|news| news.then_some(der)).map_err(|error| error.to_string()),
            Err(cause) => Err(cause),
        };
        let now = self.clock.now();
        match taken {
            Ok(news) => {
                self.note(|state| (state.seen, state.failure) = (Some(now), None));
                if let Some(der) = news {
                    self.keep(&der).await;
                }
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

    /// Whether it is another list than before. From here on nobody comes in with a certificate on it, and who is in is cut.
    fn put_in_force(&self, der: &[u8]) -> Result<bool, crl::CrlError> {
        let held = self.state.lock().unwrap_or_else(PoisonError::into_inner).list.clone();
        let list = crl::read(der, &self.anchor, held.as_deref(), self.clock.now())?;
        if held.as_deref() == Some(&list) {
            return Ok(false);
        }
        self.deny.swap_listed(list.serials.clone());
        for (grant, _) in self.registry.all() {
            let cut = self.registry.keep_only(grant, |serial| !self.deny.lists(serial));
            if cut > 0 {
                tracing::warn!(%grant, cut, "connections were cut: the CA's list names their certificate");
            }
        }
        self.note(|state| state.list = Some(Arc::new(list)));
        Ok(true)
    }

    /// For the next run: a source that is away then must not let in whom it named.
    async fn keep(&self, der: &[u8]) {
        let beside = self.kept.with_extension("new");
        let written = async {
            let mut options = tokio::fs::OpenOptions::new();
            let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&beside).await?;
            file.write_all(der).await?;
            file.sync_all().await?;
            tokio::fs::rename(&beside, &self.kept).await
        };
        if let Err(error) = written.await {
            tracing::warn!(%error, file = %self.kept.display(), "the list is in force, but not kept for the next start");
        }
    }
}
