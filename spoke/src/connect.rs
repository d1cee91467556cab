//! The room of links: the opening exchange, renewal, leaving, and presence (gRPC health). Enrolment is in [`crate::invites`].

use crate::{
    control::{Begun, Controls},
    renewals::Renewals,
    road::gate::{Answer, ChunkOf, Chunks, Gate, from_store},
    snapshot::Snapshots,
};
use domain::{
    Permitted, Reason, Refusal,
    audit::{Act, Ending, Record, Stage, Subject},
    caller::Presented,
    grant::{EndedBy, Grant},
    id::{InstanceId, Name, RequestId},
    operation::{Connect, Disconnect, HealthCheck, HealthWatch, PROTOCOL_VERSION, Renew, Session},
    renewal::{AGAIN, NoRenewal, Successor},
    wire,
    world::World,
};
use futures::stream::{self, BoxStream, StreamExt};
use link::Connection;
use pki::{CheckedCsr, GrantOrder, Issuer};
use proto::v1::{self, connect_service_server::ConnectService};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use store::{Shared, StoreError, Trust, halt};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{Request, Response, Status, Streaming};
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
    /// What this side adds to the words of whoever enrols.
    pub trust: Arc<Trust>,
    /// Told at once when a grant's certificate changes.
    pub snapshots: Arc<Snapshots>,
    /// The live control sessions.
    pub controls: Controls,
    /// Attempts to renew.
    pub(crate) renewals: Renewals,
    /// Issues the certificates.
    pub authority: Arc<dyn Issuer>,
    /// Clock and ids.
    pub world: World,
    /// This instance.
    pub instance: InstanceId,
    /// What it calls itself.
    pub name: Name,
    /// How long a grant's certificate lives.
    pub life: Duration,
    /// Ends streams that would stay open for ever.
    pub stop: CancellationToken,
    /// What goes on after an answer.
    pub tasks: TaskTracker,
}

#[tonic::async_trait]
impl ConnectService for Links {
    async fn connect(&self, request: Request<v1::ConnectRequest>) -> Result<Response<v1::ConnectResponse>, Status> {
        let (room, presented) = (self.clone(), presented(&request));
        let handle = |permit: Permitted<Connect>| async move {
            let message = room.introduction(&permit, presented.as_deref());
            Ok(Answer { message, rows: 0 })
        };
        self.gate.answer(request, |wire| Ok(wire::connect(&wire)), handle).await
    }

    async fn disconnect(
        &self,
        request: Request<v1::DisconnectRequest>,
    ) -> Result<Response<v1::DisconnectResponse>, Status> {
        let (room, call) = (self.clone(), self.call(&request));
        let handle = |permit: Permitted<Disconnect>| async move { room.leave(&permit, call).await };
        self.gate.answer(request, |_| Ok(Disconnect), handle).await
    }

    async fn renew(&self, request: Request<v1::RenewRequest>) -> Result<Response<v1::RenewResponse>, Status> {
        let (room, call, now) = (self.clone(), self.call(&request), self.world.now());
        let presented = presented(&request);
        let convert = |wire| wire::renew(wire, presented.ok_or_else(|| Refusal::new(Reason::NotPermitted))?, now);
        let handle = |permit: Permitted<Renew>| async move { room.follow_up(&permit, call).await };
        self.gate.answer(request, convert, handle).await
    }

    type SessionStream = BoxStream<'static, Result<v1::SessionResponse, Status>>;

    /// The welcome is an answer like any other, decided and recorded; what follows it holds no rows and stands on what was committed
    /// already.
    async fn session(
        &self,
        request: Request<Streaming<v1::SessionRequest>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let (metadata, extensions, inbound) = request.into_parts();
        let opening = Opening::new(&self.controls, extensions.get());
        let request = Request::from_parts(metadata, extensions, ());
        let response = self.gate.stream(request, |()| Ok(Session), opening.clone()).await?;
        let Some(Begun { news, seat, .. }) = opening.take() else { return Ok(response) };
        let stop = self.stop.clone();
        self.tasks.spawn(async move { stop.run_until_cancelled(seat.listen(inbound)).await });
        Ok(response.map(|welcome| welcome.chain(news).boxed()))
    }
}

/// A session on its way through the gate. It is begun before its welcome is released: what happens to the grant from then on
/// waits behind the welcome.
#[derive(Clone)]
struct Opening {
    controls: Controls,
    connection: Option<Connection>,
    begun: Arc<Mutex<Option<Begun>>>,
}

impl Opening {
    fn new(controls: &Controls, connection: Option<&Connection>) -> Self {
        Self { controls: controls.clone(), connection: connection.cloned(), begun: Arc::default() }
    }

    fn take(&self) -> Option<Begun> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Chunks<Session, v1::SessionResponse> for Opening {
    async fn chunk(&self, permit: &Permitted<Session>) -> Result<ChunkOf<v1::SessionResponse, Session>, Refusal> {
        let connection = self.connection.as_ref().ok_or_else(|| Refusal::new(Reason::NotPermitted))?;
        let begun = self.controls.begin(permit.grant(), connection)?;
        let message = begun.welcome.clone();
        *self.begun.lock().unwrap_or_else(PoisonError::into_inner) = Some(begun);
        Ok(ChunkOf { answer: Answer { message, rows: 0 }, next: None })
    }
}

impl Links {
    /// The id that the trace layer gave the call.
    pub(crate) fn call<M>(&self, request: &Request<M>) -> RequestId {
        request.extensions().get().copied().unwrap_or_else(|| RequestId(self.world.uuid()))
    }

    fn introduction(&self, permit: &Permitted<Connect>, presented: Option<&Presented>) -> v1::ConnectResponse {
        let grant = permit.grant();
        v1::ConnectResponse {
            instance_id: self.instance.to_string(),
            instance_name: self.name.to_string(),
            version: PROTOCOL_VERSION,
            capabilities: vec![v1::Capability::Query.into()],
            time: Some(wire::timestamp(self.world.now())),
            rate: Some(wire::rate(grant.scope.rate())),
            max_rows: grant.scope.max_rows(),
            certificate_not_after: presented.map(|presented| wire::timestamp(presented.not_after)),
        }
    }

    async fn leave(
        &self,
        permit: &Permitted<Disconnect>,
        call: RequestId,
    ) -> Result<Answer<v1::DisconnectResponse>, Refusal> {
        let grant = permit.grant();
        // Its answer is the last thing this grant is given: the connections are closed a moment after the access.
        self.snapshots.let_finish(grant.id);
        let record = self.record(grant, grant.peer, Act::GrantRevoke, call).noting(EndedBy::Holder.note());
        if let Err(error) = self.store.revoke_grant(grant.id, record).await {
            self.snapshots.let_finish_no_more(grant.id);
            return Err(from_store(error));
        }
        self.snapshots.refresh_after_change().await;
        let revoked_at = Some(wire::timestamp(self.world.now()));
        Ok(Answer { message: v1::DisconnectResponse { revoked_at }, rows: 0 })
    }

    /// Issues the certificate that follows the one shown. It is stored before its answer leaves, and that answer's own record
    /// is the last look: a grant that was revoked meanwhile is given nothing.
    async fn follow_up(
        &self,
        permit: &Permitted<Renew>,
        call: RequestId,
    ) -> Result<Answer<v1::RenewResponse>, Refusal> {
        let (Renew { csr, presented, at }, grant) = (permit.operation(), permit.grant());
        let csr = CheckedCsr::parse(csr).map_err(|flaw| Refusal::malformed("csr", flaw.to_string()))?;
        if self.snapshots.is_revoked(csr.spki()) {
            return Err(Refusal::malformed("csr", "this key was revoked; a renewal makes a new one"));
        }
        if self.snapshots.knows_key(grant, csr.spki()) {
            return Err(Refusal::malformed("csr", "a renewal makes a new key; this one was used before"));
        }
        let _running = self.renewals.begin(grant.id, *at)?;
        let order = GrantOrder {
            holder: presented.peer,
            grant: grant.id,
            subject: grant.subject,
            csr,
            now: *at,
            life: self.life,
        };
        let issued = self.authority.issue_grant(&order).await;
        let issued = issued.map_err(|error| {
            let refusal = Refusal::new(Reason::StoreUnavailable).because(error.to_string());
            refusal.saying("the certificate could not be issued; try again later")
        })?;
        halt::at("successor issued").await;
        let successor = Successor::new(issued.leaf, *at);
        let note = format!("serial {}, to follow {}", successor.leaf.serial, presented.serial);
        let record = self.record(grant, grant.peer, Act::Certificate, call).noting(&note);
        let stored = self.store.renew_grant(grant.id, &presented.serial, &successor, record).await;
        stored.map_err(outrun)?;
        halt::at("successor stored").await;
        self.snapshots.refresh_after_change().await;
        let certificate_not_after = Some(wire::timestamp(successor.leaf.not_after));
        let message = v1::RenewResponse { certificate: issued.certificate, certificate_not_after };
        Ok(Answer { message, rows: 0 })
    }

    /// The record of an act that a call brought about, under the call's own id.
    pub(crate) fn record(&self, grant: &Grant, peer: Option<InstanceId>, act: Act, call: RequestId) -> Record {
        let record = Record::new(self.world.now(), Stage::Standing, Ending::Done, Subject::Act(act), call);
        Record { grant: Some(grant.id), peer, subject: Some(grant.subject), ..record }
    }
}

/// What the connection proved: its extensions have it, nothing of the call itself.
fn presented<M>(request: &Request<M>) -> Option<Arc<Presented>> {
    request.extensions().get().and_then(Connection::presented).cloned()
}

/// What was decided did not hold any more when it was to be written: another renewal was quicker, or the grant has ended.
fn outrun(error: StoreError) -> Refusal {
    match error {
        StoreError::Conflict(cause) => Refusal::from(NoRenewal::TooSoon(AGAIN)).because(cause),
        other => from_store(other),
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
        let stop = self.stop.clone().cancelled_owned();
        Ok(response.map(|news| news.chain(stream::pending()).take_until(stop).boxed()))
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
