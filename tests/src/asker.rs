//! An asking side as a stranger would write it: the generated client over the dialler, nothing of `hub`.

use crate::direction;
use domain::{
    id::{GrantId, InstanceId, Name, Spki},
    invite::Invite,
    secret::Secret,
    words::{Added, Nonce, Opening, Words},
    world::World,
};
use link::{ClientCredential, DialError, Dialled, Dialler, Target};
use pki::RequestKey;
use proto::v1::{
    self, connect_service_client::ConnectServiceClient, enrol_service_client::EnrolServiceClient,
    query_service_client::QueryServiceClient,
};
use tonic::{Code, Status, transport::Channel};
use tonic_types::StatusExt;

/// What these asking sides add to the words.
pub const NONCE: Nonce = Nonce([6; 32]);

/// One link's asking side.
#[derive(Clone)]
pub struct Asker {
    /// Who it says it is.
    pub instance: InstanceId,
    /// The grant.
    pub grant: GrantId,
    /// Where and as whom it dials.
    pub target: Target,
    dialler: Dialler,
}

/// Trades an invite for a certificate, as `instance`.
pub async fn enrol_as(instance: InstanceId, invite: &Invite) -> Result<Asker, Status> {
    let key = RequestKey::generate().expect("a key");
    let certificate = send_enrolment(invite, instance, invite.token.expose(), key.csr).await?.certificate;
    let credential = ClientCredential { certificate, key: key.key_pkcs8 };
    Ok(Asker { instance, grant: invite.grant, target: target(invite, Some(credential)), dialler: dialler() })
}

/// Trades an invite for a certificate, as `instance` that calls itself `called`.
pub async fn enrol_named(instance: InstanceId, called: &Name, invite: &Invite) -> Result<Asker, Status> {
    let key = RequestKey::generate().expect("a key");
    let request = v1::EnrollRequest {
        token: invite.token.expose().clone(),
        csr: key.csr,
        instance_id: instance.to_string(),
        instance_name: called.to_string(),
        words_nonce: NONCE.0.to_vec(),
    };
    let certificate = send(invite, request).await?.certificate;
    let credential = ClientCredential { certificate, key: key.key_pkcs8 };
    Ok(Asker { instance, grant: invite.grant, target: target(invite, Some(credential)), dialler: dialler() })
}

/// Trades an invite for a certificate, as a new instance.
pub async fn enrol(invite: &Invite) -> Asker {
    enrol_as(InstanceId(World::system().uuid()), invite).await.expect("an enrolment")
}

/// Sends an enrolment with whatever is in it.
pub async fn send_enrolment(
    invite: &Invite,
    instance: InstanceId,
    token: &str,
    csr: Vec<u8>,
) -> Result<v1::EnrollResponse, Status> {
    let (token, instance_name) = (token.to_owned(), "home".to_owned());
    let (instance_id, words_nonce) = (instance.to_string(), NONCE.0.to_vec());
    send(invite, v1::EnrollRequest { token, csr, instance_id, instance_name, words_nonce }).await
}

/// The words that whoever enrolled here with `key` sees.
pub fn words(invite: &Invite, key: Spki, answer: &v1::EnrollResponse) -> Words {
    let opening = Opening(answer.words_opening.as_slice().try_into().expect("32 bytes"));
    assert!(opening.commitment() == invite.commitment, "what was added to the words is not what the invite binds to");
    Words::of(&invite.root, key, invite.grant, Added { opening, nonce: NONCE })
}

/// Sends an enrolment.
pub async fn send(invite: &Invite, request: v1::EnrollRequest) -> Result<v1::EnrollResponse, Status> {
    let mut target = target(invite, None);
    target.addresses.clone_from(&invite.enrol_addresses);
    let dialled = dialler().dial(&target).await.map_err(|error| Status::unavailable(error.to_string()))?;
    Ok(EnrolServiceClient::new(dialled.channel).enroll(request).await?.into_inner())
}

/// Where an invite points, with or without a certificate to show there.
pub fn target(invite: &Invite, credential: Option<ClientCredential>) -> Target {
    Target {
        addresses: invite.addresses.clone(),
        tls_name: invite.tls_name.clone(),
        instance: invite.instance,
        root: invite.root.clone(),
        credential,
    }
}

/// A dialler with the machine's clock.
pub fn dialler() -> Dialler {
    pki::install_provider();
    direction::dialler(World::system().clock())
}

/// The answer to a whole List: rows and how it ended.
pub type Listed = (Vec<v1::Item>, Option<v1::ListEnd>);

impl Asker {
    /// A link of which certificate and key are known.
    pub fn new(instance: InstanceId, grant: GrantId, target: Target) -> Self {
        Self { instance, grant, target, dialler: dialler() }
    }

    /// The same link with another certificate and key, both DER.
    #[must_use]
    pub fn showing(&self, certificate: Vec<u8>, key: Vec<u8>) -> Self {
        let credential = ClientCredential { certificate, key: Secret::new(key) };
        Self { target: Target { credential: Some(credential), ..self.target.clone() }, ..self.clone() }
    }

    /// The same link with the certificate that a renewal gave for `key`.
    #[must_use]
    pub fn renewed(&self, certificate: Vec<u8>, key: &RequestKey) -> Self {
        self.showing(certificate, key.key_pkcs8.expose().clone())
    }

    /// The same link under another clock.
    #[must_use]
    pub fn under(&self, world: &World) -> Self {
        Self { dialler: direction::dialler(world.clock()), ..self.clone() }
    }

    /// Asks for the next certificate, on a connection of its own.
    pub async fn renew(&self, csr: Vec<u8>) -> Result<Vec<u8>, Status> {
        let answer = self.connect().await.renew(v1::RenewRequest { csr }).await?;
        Ok(answer.into_inner().certificate)
    }

    /// A connection.
    pub async fn dial(&self) -> Result<Dialled, DialError> {
        self.dialler.dial(&self.target).await
    }

    /// A client for questions on a connection of its own.
    pub async fn query(&self) -> QueryServiceClient<Channel> {
        QueryServiceClient::new(self.dial().await.expect("a connection").channel)
    }

    /// A client for the link itself on a connection of its own.
    pub async fn connect(&self) -> ConnectServiceClient<Channel> {
        ConnectServiceClient::new(self.dial().await.expect("a connection").channel)
    }

    /// Lists tasks on a connection of its own.
    pub async fn list(&self, request: v1::ListRequest) -> Result<Listed, Status> {
        list(&mut self.query().await, request).await
    }
}

/// Reads a List to its end.
pub async fn list(client: &mut QueryServiceClient<Channel>, request: v1::ListRequest) -> Result<Listed, Status> {
    let mut stream = client.list(request).await?.into_inner();
    let (mut items, mut end) = (Vec::new(), None);
    while let Some(chunk) = stream.message().await? {
        items.extend(chunk.items);
        end = chunk.end.or(end);
    }
    Ok((items, end))
}

/// A List of tasks with nothing else said.
pub fn tasks() -> v1::ListRequest {
    v1::ListRequest { resource: "tasks".to_owned(), ..v1::ListRequest::default() }
}

/// The titles of rows, sorted.
pub fn titles(items: &[v1::Item]) -> Vec<String> {
    let mut titles: Vec<_> = items.iter().map(|item| item.title.clone().unwrap_or_default()).collect();
    titles.sort();
    titles
}

/// The code and reason of a status.
pub fn refusal(status: &Status) -> (Code, String) {
    (status.code(), status.get_details_error_info().map(|info| info.reason).unwrap_or_default())
}
