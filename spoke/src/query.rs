//! The room of questions: what the grant may do, rows, one row. Each handler takes a permit and reads on it, nothing else.

use crate::road::{
    gate::{Answer, ChunkOf, Chunks, Gate, from_store},
    limit::CallsLeft,
};
use domain::{
    Permitted, Reason, Refusal, Time,
    operation::{Capabilities, Get, List, Progress},
    wire,
};
use futures::stream::BoxStream;
use proto::v1::{self, query_service_server::QueryService};
use std::sync::Arc;
use store::{Access, Shared};
use tonic::{Request, Response, Status};

/// Answers `QueryService`.
#[derive(Clone)]
pub struct Query {
    gate: Gate,
    store: Shared,
}

impl Query {
    /// A room behind `gate` that reads from `store`.
    pub fn new(gate: Gate, store: Shared) -> Self {
        Self { gate, store }
    }
}

#[tonic::async_trait]
impl QueryService for Query {
    type ListStream = BoxStream<'static, Result<v1::ListResponse, Status>>;

    async fn capabilities(
        &self,
        request: Request<v1::CapabilitiesRequest>,
    ) -> Result<Response<v1::CapabilitiesResponse>, Status> {
        let left = request.extensions().get::<CallsLeft>().map_or(0, |left| left.0);
        let handle = |permit: Permitted<Capabilities>| async move {
            Ok(Answer { message: capabilities(&permit, left), rows: 0 })
        };
        self.gate.answer(request, |_| Ok(Capabilities), handle).await
    }

    async fn list(&self, request: Request<v1::ListRequest>) -> Result<Response<Self::ListStream>, Status> {
        self.gate.stream(request, |wire| wire::list(&wire), Lists(Arc::clone(&self.store))).await
    }

    async fn get(&self, request: Request<v1::GetRequest>) -> Result<Response<v1::GetResponse>, Status> {
        let store = Arc::clone(&self.store);
        let handle = |permit: Permitted<Get>| async move {
            let found = store.get(Access::Granted(&permit)).await.map_err(from_store)?;
            let (item, as_of) = found.ok_or(Refusal::new(Reason::NotFound))?;
            let message = v1::GetResponse { item: Some(wire::item(item)), as_of: Some(wire::timestamp(as_of)) };
            Ok(Answer { message, rows: 1 })
        };
        self.gate.answer(request, |wire| wire::get(&wire), handle).await
    }
}

fn capabilities(permit: &Permitted<Capabilities>, calls_left: u32) -> v1::CapabilitiesResponse {
    let grant = permit.grant();
    v1::CapabilitiesResponse {
        grant_id: grant.id.to_string(),
        grant_name: grant.name.to_string(),
        workspace: grant.scope.workspace().to_string(),
        resources: wire::resources(&grant.scope),
        verbs: wire::verbs(&grant.scope),
        max_rows: grant.scope.max_rows(),
        rate: Some(wire::rate(grant.scope.rate())),
        calls_left,
        not_after: Some(wire::timestamp(grant.scope.not_after())),
        doors: wire::doors(&grant.scope),
    }
}

struct Lists(Shared);

impl Chunks<List, v1::ListResponse> for Lists {
    async fn chunk(&self, permit: &Permitted<List>) -> Result<ChunkOf<v1::ListResponse, List>, Refusal> {
        let chunk = self.0.list(Access::Granted(permit)).await.map_err(from_store)?;
        let rows = u32::try_from(chunk.items.len()).unwrap_or(u32::MAX);
        let last = chunk.items.last().map(domain::item::Item::position);
        let full = rows >= permit.rows_left();
        let next = last.filter(|_| chunk.more && !full).map(|after| {
            let before = permit.operation().progress.map_or(0, |progress| progress.rows);
            List { progress: Some(Progress { after, rows: before + rows }), ..permit.operation().clone() }
        });
        let end = next.is_none().then(|| v1::ListEnd {
            truncated: chunk.more,
            next_page_token: last.filter(|_| chunk.more).map(|last| permit.token(last).encode()).unwrap_or_default(),
        });
        let message = message(chunk.items, chunk.as_of, end);
        Ok(ChunkOf { answer: Answer { message, rows: rows.into() }, next })
    }
}

fn message(items: Vec<domain::item::Item>, as_of: Time, end: Option<v1::ListEnd>) -> v1::ListResponse {
    v1::ListResponse { items: items.into_iter().map(wire::item).collect(), as_of: Some(wire::timestamp(as_of)), end }
}
