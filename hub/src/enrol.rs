//! The exchange that turns an invite into a certificate: a key is made here, a request for it goes out with the token, and
//! what comes back is checked before anything is kept.

use crate::{Hub, HubError, deadlines::MESSAGE_BYTES, outcome::quoted};
use domain::{Reason, invite::Invite};
use link::Target;
use pki::{GrantLeaf, RequestKey, enrolled};
use proto::v1::{self, enrol_service_client::EnrolServiceClient};
use tokio::time::timeout;
use tonic::{Request, Status};
use tonic_types::StatusExt;

/// A certificate that passed every check, with the key it is for.
pub(crate) struct Enrolled {
    pub(crate) certificate: Vec<u8>,
    pub(crate) leaf: GrantLeaf,
    pub(crate) key: RequestKey,
}

impl Hub {
    /// Trades the invite's token for a certificate.
    pub(crate) async fn enrol(&self, invite: &Invite) -> Result<Enrolled, HubError> {
        let key = RequestKey::generate().map_err(|error| HubError::Key(error.to_string()))?;
        let answer = self.enrol_call(invite, key.csr.clone()).await?;
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
        Ok(Enrolled { certificate: answer.certificate, leaf, key })
    }

    async fn enrol_call(&self, invite: &Invite, csr: Vec<u8>) -> Result<v1::EnrollResponse, HubError> {
        let target = Target {
            addresses: invite.enrol_addresses.clone(),
            tls_name: invite.tls_name.clone(),
            instance: invite.instance,
            root: invite.root.clone(),
            credential: None,
        };
        let dialled = self.dialling.dial(target).await.map_err(|error| HubError::Enrolment(error.to_string()))?;
        let mut request = Request::new(v1::EnrollRequest {
            token: invite.token.expose().clone(),
            csr,
            instance_id: self.instance.to_string(),
            instance_name: self.name.to_string(),
        });
        request.set_timeout(self.deadlines.source);
        let mut client = EnrolServiceClient::new(dialled.channel).max_decoding_message_size(MESSAGE_BYTES);
        let answer = timeout(self.deadlines.source, client.enroll(request)).await;
        let answer = answer.map_err(|_| unclear("no answer came in time"))?;
        answer.map(tonic::Response::into_inner).map_err(|status| refusal(&status))
    }
}

fn refusal(status: &Status) -> HubError {
    if std::error::Error::source(status).is_some() {
        return unclear("the connection broke");
    }
    let info = status.get_details_error_info().filter(|info| info.domain == proto::PACKAGE);
    let text = match info.and_then(|info| Reason::from_code(&info.reason)) {
        Some(reason @ (Reason::InviteUnknown | Reason::InviteSpent)) => reason.text().to_owned(),
        _ => format!("the other side did not accept the invite: {}", quoted(status.message())),
    };
    HubError::Enrolment(text)
}

/// The token may be spent: sending it a second time cannot help.
fn unclear(what: &str) -> HubError {
    HubError::Enrolment(format!("{what} after the invite was sent; it may be used up: ask for a new one"))
}
