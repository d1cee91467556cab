//! What becomes of a call that was proved: a socket that waits for its link, or a link.

use super::{
    lock,
    table::{Busy, of_await},
};
use crate::{Asker, Hub, HubError, enrol::Over};
use domain::{
    id::{AwaitId, RequestId, WorkspaceId},
    invite::Invite,
    secret::Secret,
};
use link::call::{Answered, Who};
use std::sync::Arc;
use store::Await;

impl Hub {
    pub(super) fn taken(self: &Arc<Self>, call: Answered) {
        match &call.who {
            Who::Link(owner, link) => self.calls.table.parked.park((*owner, *link), call),
            Who::Invite(id, invite) => {
                let (hub, id, invite, stop) = (Arc::clone(self), *id, invite.clone(), self.stopping.clone());
                self.tasks
                    .spawn(async move { stop.run_until_cancelled(Box::pin(hub.invited(id, invite, call))).await });
            }
        }
    }

    /// Links with the invite that came, over the socket that it came over.
    async fn invited(self: Arc<Self>, id: AwaitId, invite: Secret<String>, call: Answered) {
        let Some(busy) = self.calls.table.begin(id) else { return };
        let at = of_await(busy.owner, id);
        self.calls.table.parked.park(at, call);
        match busy.ended.run_until_cancelled(Box::pin(self.link_called(id, &busy, &invite))).await {
            Some(Ok(())) => {
                lock(&self.calls.failures).remove(&id);
                self.calls.table.wait_no_more(id);
            }
            None => tracing::info!(await_id = %id, "its owner waits no longer: what a call of it had begun is over"),
            Some(Err(error)) => {
                tracing::warn!(%error, await_id = %id, "a call came to no link");
                lock(&self.calls.failures).insert(id, error.to_string());
            }
        }
        self.look_at_calls();
    }

    async fn link_called(
        self: &Arc<Self>,
        id: AwaitId,
        busy: &Busy<'_>,
        invite: &Secret<String>,
    ) -> Result<(), HubError> {
        let owner = busy.owner;
        let request = RequestId(self.world.uuid());
        let asker = Asker::new(owner, WorkspaceId(uuid::Uuid::nil()), request);
        let kept = self.kept_await(owner, id).await?;
        let Invite { grant, key, .. } = self.offer(invite.expose())?;
        // Of all the keys that its owner keeps, the one that the text names: who called may know of others.
        if key.is_none() || self.open_await(&kept).map(|(_, own)| own) != key {
            return Err(HubError::OtherLink(
                "the invite that was brought is not bound to the key that the text names, so it was made otherwise than with `mosaic-fed \
                 invite --call`; give the other side's owner a new text, with `mosaic-fed link await`"
                    .to_owned(),
            ));
        }
        // Whose grant comes first holds the text; a second one needs a text of its own.
        if !self.store.claim_await(owner, id, grant).await? {
            return Err(HubError::OtherLink(
                "another grant was called with under this text before; give the other side's owner a new one, with `mosaic-fed link await`"
                    .to_owned(),
            ));
        }
        let over = Over { socket: of_await(owner, id), secret: busy.secret.clone() };
        self.link_over(&asker, invite.expose(), kept.name, Some(over)).await?;
        // Whatever becomes of the note, a link came of it.
        lock(&self.calls.unwritten).insert((owner, id));
        Ok(())
    }

    async fn kept_await(&self, owner: domain::id::UserId, id: AwaitId) -> Result<Await, HubError> {
        let kept = self.store.awaits(owner).await?.into_iter().find(|kept| kept.id == id);
        kept.ok_or_else(|| HubError::NoSuchLink("nobody waits for this call any more".to_owned()))
    }
}
