//! The room of links: enrolment, the opening exchange, leaving, and presence (gRPC health).

use crate::{
    road::gate::{Answer, ChunkOf, Chunks, Gate, from_store},
    snapshot::Snapshots,
};
use domain::{
    Caller, Permitted, Reason, Refusal,
    audit::{Act, Ending, Record, Stage, Subject},
    id::{InstanceId, Name, RequestId},
    invite::Token,
    operation::{Connect, Disconnect, Enroll, HealthCheck, HealthWatch, PROTOCOL_VERSION},
    wire,
    world::World,
};
use futures::stream::{self, BoxStream, StreamExt};
use pki::{CheckedCsr, GrantOrder, Issuer};
use proto::v1::{self, connect_service_server::ConnectService, enrol_service_server::EnrolService};
use std::sync::Arc;
use store::Shared;
use tonic::{Request, Response, Status};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus, health_server::Health,
};

/// Answers `ConnectService`, `EnrolService` and `grpc.health.v1.Health`.
#[derive(Clone)]
pub struct Links {
    /// Where every answer leaves.
    pub gate: Gate,
    /// Grants and invites.
    pub store: Shared,
    /// Told at once when a grant's certificate changes.
    pub snapshots: Arc<Snapshots>,
    /// Issues the certificates.
    pub authority: Arc<dyn Issuer>,
    /// Clock and ids.
    pub world: World,
    /// This instance.
    pub instance: InstanceId,
    /// What it calls itself.
    pub name: Name,
}

#[tonic::async_trait]
impl ConnectService for Links {
    async fn connect(&self, request: Request<v1::ConnectRequest>) -> Result<Response<v1::ConnectResponse>, Status> {
        let room = self.clone();
        let handle = |permit: Permitted<Connect>| async move {
            let message = room.introduction(&permit);
            Ok(Answer { message, rows: 0 })
        };
        self.gate.answer(request, |wire| Ok(wire::connect(&wire)), handle).await
    }

    async fn disconnect(
        &self,
        request: Request<v1::DisconnectRequest>,
    ) -> Result<Response<v1::DisconnectResponse>, Status> {
        let room = self.clone();
        let handle = |permit: Permitted<Disconnect>| async move { room.leave(&permit).await };
        self.gate.answer(request, |_| Ok(Disconnect), handle).await
    }
}

impl Links {
    fn introduction(&self, permit: &Permitted<Connect>) -> v1::ConnectResponse {
        let grant = permit.grant();
        v1::ConnectResponse {
            instance_id: self.instance.to_string(),
            instance_name: self.name.to_string(),
            version: PROTOCOL_VERSION,
            capabilities: vec![v1::Capability::Query.into()],
            time: Some(wire::timestamp(self.world.now())),
            rate: Some(wire::rate(grant.scope.rate())),
            max_rows: grant.scope.max_rows(),
            certificate_not_after: grant.leaf.as_ref().map(|leaf| wire::timestamp(leaf.not_after)),
        }
    }

    async fn leave(&self, permit: &Permitted<Disconnect>) -> Result<Answer<v1::DisconnectResponse>, Refusal> {
        let grant = permit.grant();
        // Its answer is the last thing this grant is given: the connections are closed a moment after the access.
        self.snapshots.let_finish(grant.id);
        let act = Record::act(self.world.now(), Act::GrantRevoke, grant.subject, RequestId(self.world.uuid()));
        let record = Record { grant: Some(grant.id), peer: grant.peer, ..act }.noting("by the asking side");
        self.store.revoke_grant(grant.id, record).await.map_err(from_store)?;
        self.refresh().await;
        let revoked_at = Some(wire::timestamp(self.world.now()));
        Ok(Answer { message: v1::DisconnectResponse { revoked_at }, rows: 0 })
    }

    /// A copy that cannot be read anew is refused by its age; the change itself is committed already.
    async fn refresh(&self) {
        if let Err(error) = self.snapshots.refresh().await {
            tracing::warn!(%error, "the grants could not be read anew after a change");
        }
    }
}

#[tonic::async_trait]
impl EnrolService for Links {
    async fn enroll(&self, request: Request<v1::EnrollRequest>) -> Result<Response<v1::EnrollResponse>, Status> {
        let (finder, room, now) = (self.clone(), self.clone(), self.world.now());
        let find = |token: Token| async move {
            let invited = finder.store.invited(&token.digest()).await.map_err(from_store)?;
            Caller::invited(invited, now)
        };
        let handle = |permit: Permitted<Enroll>| async move { room.admit(&permit).await };
        self.gate.enrol(request, |wire| wire::enroll(wire, now), find, handle).await
    }
}

impl Links {
    /// Checks first what costs nothing to check, claims the token before anything is signed, signs, activates.
    async fn admit(&self, permit: &Permitted<Enroll>) -> Result<Answer<v1::EnrollResponse>, Refusal> {
        let (operation, invited) = (permit.operation(), permit.ground());
        let csr = CheckedCsr::parse(&operation.csr);
        let csr = csr.map_err(|flaw| Refusal::malformed("csr", flaw.to_string()))?;
        let claim = self.record(permit, Act::InviteClaim).noting(&format!("invite {}", invited.id));
        if !self.store.claim_invite(invited.id, operation.at, claim).await.map_err(from_store)? {
            return Err(Refusal::new(Reason::InviteSpent).because("another caller was first"));
        }
        let order = GrantOrder {
            holder: operation.instance,
            grant: invited.grant.id,
            subject: invited.grant.subject,
            csr,
            now: operation.at,
            life: pki::LEAF_LIFE,
        };
        let issued = self.authority.issue_grant(&order);
        let issued = issued.map_err(|error| Refusal::new(Reason::StoreUnavailable).because(error.to_string()))?;
        let record = self.record(permit, Act::Certificate).noting(&format!("serial {}", issued.leaf.serial));
        let grant = invited.grant.id;
        let activated = self.store.activate_grant(grant, operation.instance, &operation.name, &issued.leaf, record);
        activated.await.map_err(from_store)?;
        self.refresh().await;
        let message = v1::EnrollResponse {
            certificate: issued.certificate,
            grant_id: grant.to_string(),
            certificate_not_after: Some(wire::timestamp(issued.leaf.not_after)),
        };
        Ok(Answer { message, rows: 0 })
    }

    fn record(&self, permit: &Permitted<Enroll>, act: Act) -> Record {
        let (operation, invited) = (permit.operation(), permit.ground());
        let id = RequestId(self.world.uuid());
        let record = Record::new(self.world.now(), Stage::Standing, Ending::Done, Subject::Act(act), id);
        Record {
            grant: Some(invited.grant.id),
            peer: Some(operation.instance),
            subject: Some(invited.grant.subject),
            ..record
        }
    }
}

#[tonic::async_trait]
impl Health for Links {
    type WatchStream = BoxStream<'static, Result<HealthCheckResponse, Status>>;

    async fn check(&self, request: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        let handle = |permit: Permitted<HealthCheck>| async move {
            let status = serving(&permit.operation().service).ok_or(Refusal::new(Reason::NotFound))?;
            Ok(Answer { message: HealthCheckResponse { status: status.into() }, rows: 0 })
        };
        self.gate.answer(request, |wire| Ok(HealthCheck { service: wire.service }), handle).await
    }

    /// Says how things stand and stays open; a daemon that stops serving ends the stream, which is the news.
    async fn watch(&self, request: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let convert = |wire: HealthCheckRequest| Ok(HealthWatch { service: wire.service });
        let response = self.gate.stream(request, convert, Presence).await?;
        Ok(response.map(|news| news.chain(stream::pending()).boxed()))
    }
}

struct Presence;

impl Chunks<HealthWatch, HealthCheckResponse> for Presence {
    async fn chunk(
        &self,
        permit: &Permitted<HealthWatch>,
    ) -> Result<ChunkOf<HealthCheckResponse, HealthWatch>, Refusal> {
        let status = serving(&permit.operation().service).unwrap_or(ServingStatus::ServiceUnknown);
        let message = HealthCheckResponse { status: status.into() };
        Ok(ChunkOf { answer: Answer { message, rows: 0 }, next: None })
    }
}

/// Whoever gets here passed the standing layer, which refuses when the database is silent: what is known is serving.
fn serving(service: &str) -> Option<ServingStatus> {
    let known = ["", "mosaic.federation.v1.ConnectService", "mosaic.federation.v1.QueryService"];
    known.contains(&service).then_some(ServingStatus::Serving)
}
