//! The exchange that turns an invite into a certificate: a key is made and kept here, a request for it goes out with the token,
//! and what comes back is checked before anything else is kept.

use crate::{
    Asker, Hub, HubError,
    call::request,
    deadlines::message_bytes,
    outcome::{enrolment, unclear, unreached},
};
use domain::{
    Reason,
    id::RequestId,
    invite::Invite,
    words::{Added, Nonce, Opening, Words},
};
use link::{Target, Trail, call::ParkedKey, trail::Part};
use pki::{CallSecret, GrantLeaf, RequestKey, enrolled};
use proto::v1::{self, enrol_service_client::EnrolServiceClient};
use store::halt;
use tokio::time::timeout;

/// A certificate that passed every check, with the key it is for.
pub(crate) struct Enrolled {
    pub(crate) certificate: Vec<u8>,
    pub(crate) leaf: GrantLeaf,
    pub(crate) key: RequestKey,
    /// What its owner and the other side's may compare.
    pub(crate) words: Words,
    /// What the other side added to them.
    pub(crate) opening: Opening,
    /// Whether the other side's owner has yet to do so.
    pub(crate) waits: bool,
}

/// A call of the other side that the enrolment goes over.
pub(crate) struct Over {
    /// Where its socket is parked.
    pub(crate) socket: ParkedKey,
    /// What its later calls are proved with comes of this.
    pub(crate) secret: CallSecret,
}

impl Hub {
    /// Trades the invite's token for a certificate, with the key that is kept for it.
    pub(crate) async fn enrol(
        &self,
        asker: &Asker,
        invite: &Invite,
        over: Option<&Over>,
        trail: &Trail,
    ) -> Result<Enrolled, HubError> {
        let key = self.key_for(asker, invite).await?;
        halt::at("link key kept").await;
        let nonce = key.nonce(&invite.digest());
        let answer = self.enrol_call(invite, (key.csr.clone(), nonce), asker.request, over);
        let answer = match trail.time(Part::Wire, answer).await {
            Err(error @ HubError::Refused { reason: Some(Reason::InviteSpent | Reason::InviteUnknown), .. }) => {
                // One that was prepared may have another invite to come.
                if invite.key.is_none() {
                    self.forget_key(asker, key.spki).await;
                }
                return Err(error);
            }
            answer => answer?,
        };
        let expected = enrolled::Expected {
            root: &invite.root,
            issuer: invite.instance,
            holder: self.instance,
            grant: invite.grant,
            spki: key.spki,
        };
        let leaf = enrolled::check(&answer.certificate, &expected, self.world.now())
            .map_err(|error| HubError::Enrolment(error.to_string()))?;
        if answer.grant_id != invite.grant.to_string() {
            return Err(HubError::Enrolment(
                "the other side answered for another grant than the invite's; do not use this link, ask its owner what \
                 happened"
                    .to_owned(),
            ));
        }
        let opening = answer.words_opening.try_into().map(Opening).ok();
        let Some(opening) = opening.filter(|opening| opening.commitment() == invite.commitment) else {
            return Err(HubError::Enrolment(
                "the other side cannot say what the four words of this invite are made of, so it may not be who made the invite; do not \
                 use this link, ask its owner for a new invite by another way"
                    .to_owned(),
            ));
        };
        halt::at("link enrolled").await;
        let words = Words::of(&invite.root, key.spki, invite.grant, Added { opening, nonce });
        Ok(Enrolled { certificate: answer.certificate, leaf, key, words, opening, waits: answer.confirm })
    }

    async fn enrol_call(
        &self,
        invite: &Invite,
        (csr, nonce): (Vec<u8>, Nonce),
        id: RequestId,
        over: Option<&Over>,
    ) -> Result<v1::EnrollResponse, HubError> {
        let target = Target {
            addresses: invite.enrol_addresses.clone(),
            tls_name: invite.tls_name.clone(),
            instance: invite.instance,
            root: invite.root.clone(),
            credential: None,
        };
        let dialled = self.dialling.dial_over(target, over.map(|over| over.socket)).await;
        let dialled = dialled.map_err(|error| unreached(&error, invite, self.world.now()))?;
        let message = v1::EnrollRequest {
            token: invite.token.expose().clone(),
            csr,
            instance_id: self.instance.to_string(),
            instance_name: self.name.to_string(),
            words_nonce: nonce.0.to_vec(),
        };
        let request = request(message, id, self.deadlines.source);
        let mut client = EnrolServiceClient::new(dialled.channel).max_decoding_message_size(message_bytes());
        let answer = timeout(self.deadlines.source, client.enroll(request)).await;
        let answer = answer.map_err(|_| unclear("no answer came in time", invite, self.world.now()))?;
        answer.map(tonic::Response::into_inner).map_err(|status| enrolment(&status, invite, self.world.now()))
    }
}
