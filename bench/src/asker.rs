//! The asking side of a link, as every variant is asked: the daemon's own dialler and the generated clients.

use anyhow::{Context, Result};
use domain::{id::InstanceId, invite::Invite, world::World};
use futures::{StreamExt, TryStreamExt, stream};
use link::{ClientCredential, DialPolicy, Dialled, Dialler, Target, Ways};
use pki::RequestKey;
use proto::v1::{
    CapabilitiesRequest, EnrollRequest, enrol_service_client::EnrolServiceClient,
    query_service_client::QueryServiceClient,
};
use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};
use tonic::transport::Channel;

/// Handshakes at once from one address; a listener bears 16 that have not proved themselves.
const AT_ONCE: usize = 8;

/// A link that was enrolled.
#[derive(Clone)]
pub struct Link {
    /// The invite it was made from.
    pub invite: Invite,
    target: Target,
}

impl Link {
    /// Trades an invite for a certificate, as an instance of its own.
    pub async fn enrol(text: &str) -> Result<Self> {
        let invite = Invite::decode(text)?;
        let key = RequestKey::generate()?;
        let instance = InstanceId(World::system().uuid());
        let request = EnrollRequest {
            token: invite.token.expose().clone(),
            csr: key.csr.clone(),
            instance_id: instance.to_string(),
            instance_name: "asker".to_owned(),
            words_nonce: key.nonce(&invite.digest()).0.to_vec(),
        };
        let door = dialler().dial(&target(&invite, &invite.enrol_addresses, None)).await?;
        let enrolled =
            EnrolServiceClient::new(door.channel).enroll(request).await.context("no certificate was given")?;
        let credential = ClientCredential { certificate: enrolled.into_inner().certificate, key: key.key_pkcs8 };
        let target = target(&invite, &invite.addresses, Some(credential));
        Ok(Self { invite, target })
    }

    /// The same certificate shown at another door of the same instance.
    #[must_use]
    pub fn at(&self, address: SocketAddr) -> Self {
        let target = Target { addresses: vec![address.to_string()], ..self.target.clone() };
        Self { target, ..self.clone() }
    }

    /// A connection of its own.
    pub async fn dial(&self) -> Result<Dialled> {
        Ok(dialler().dial(&self.target).await?)
    }

    /// Asks on connections of their own until one call is answered, for at most `patience`.
    pub async fn known(&self, patience: Duration) -> Result<()> {
        let end = Instant::now() + patience;
        loop {
            let answered = match self.client().await {
                Ok(mut client) => client.capabilities(CapabilitiesRequest {}).await.map(|_| ()).map_err(Into::into),
                Err(error) => Err(error),
            };
            if answered.is_ok() || Instant::now() > end {
                return answered;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// A client on a connection of its own.
    pub async fn client(&self) -> Result<QueryServiceClient<Channel>> {
        Ok(QueryServiceClient::new(self.dial().await?.channel))
    }
}

/// Enrols all, in their order.
pub async fn enrol_all(invites: &[String]) -> Result<Vec<Link>> {
    stream::iter(invites).map(|invite| Link::enrol(invite)).buffered(AT_ONCE).try_collect().await
}

/// Connects each once.
pub async fn dial_all(links: &[Link]) -> Result<Vec<Dialled>> {
    stream::iter(links).map(Link::dial).buffered(AT_ONCE).try_collect().await
}

/// A client on a connection of its own for each.
pub async fn clients(links: &[Link]) -> Result<Vec<QueryServiceClient<Channel>>> {
    Ok(dial_all(links).await?.into_iter().map(|dialled| QueryServiceClient::new(dialled.channel)).collect())
}

fn dialler() -> Dialler {
    Dialler::new(World::system().clock(), Ways::new(DialPolicy::this_machine()))
}

fn target(invite: &Invite, addresses: &[String], credential: Option<ClientCredential>) -> Target {
    Target {
        addresses: addresses.to_vec(),
        tls_name: invite.tls_name.clone(),
        instance: invite.instance,
        root: invite.root.clone(),
        credential,
    }
}
