//! The one request of a session to try addresses that is open, and its answer. What comes of it is the asking side's word.

use super::{Controls, Session, said};
use domain::id::GrantId;
use proto::v1::{self, session_response};
use std::sync::{MutexGuard, PoisonError};
use tokio::{
    sync::oneshot::{self, Receiver, Sender},
    time::Instant,
};

/// What was asked for in a session.
#[derive(Default)]
pub(super) struct Trial {
    /// The number of the last request.
    last: u32,
    /// How many addresses it named, and who waits, until it is answered.
    open: Option<(usize, Sender<Vec<bool>>)>,
}

impl Trial {
    /// The number of another request, and where its answer arrives; none while somebody waits for another one.
    fn begin(&mut self, addresses: usize) -> Option<(u32, Receiver<Vec<bool>>)> {
        if self.open.as_ref().is_some_and(|(_, waiting)| !waiting.is_closed()) {
            return None;
        }
        let (answer, answered) = oneshot::channel();
        self.last = self.last.checked_add(1)?;
        self.open = Some((addresses, answer));
        Some((self.last, answered))
    }

    /// False where it makes no sense. One that comes when nobody waits any more does.
    pub(super) fn answered(&mut self, answer: &v1::Reached) -> bool {
        if answer.number != self.last {
            return (1..self.last).contains(&answer.number);
        }
        let Some((_, waiting)) = self.open.take_if(|(addresses, _)| *addresses == answer.reached.len()) else {
            return false;
        };
        drop(waiting.send(answer.reached.clone()));
        true
    }
}

impl Session {
    // Held for a few lines, never across an await.
    pub(super) fn trial(&self) -> MutexGuard<'_, Trial> {
        self.trial.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Controls {
    /// The grants whose asking side tries addresses, the one that was heard last first.
    pub fn who_tries(&self) -> Vec<GrantId> {
        let table = self.lock();
        let heard = table.live.iter().map(|(grant, live)| (*grant, *live.heard.borrow()));
        let mut trying: Vec<(GrantId, Instant)> =
            heard.filter(|(_, heard)| heard.tries).map(|(grant, heard)| (grant, heard.at)).collect();
        trying.sort_by_key(|(_, at)| std::cmp::Reverse(*at));
        trying.into_iter().map(|(grant, _)| grant).collect()
    }

    /// Asks the grant's asking side to try these addresses. What comes says of each whether it led here; nothing comes where the
    /// other side does not want to, or is gone.
    pub fn try_addresses(&self, grant: GrantId, addresses: &[String]) -> Option<Receiver<Vec<bool>>> {
        let table = self.lock();
        let live = table.live.get(&grant).filter(|live| live.heard.borrow().tries)?;
        let (number, answered) = live.trial().begin(addresses.len())?;
        let reach = v1::Reach { number, addresses: addresses.to_vec() };
        // Where there is no room nobody reads.
        live.news.try_send(said(session_response::Said::Reach(reach))).ok()?;
        Some(answered)
    }
}
