//! The way of every call, in the order it is walked.
//!
//! Before it: `link` accepts and verifies; a connection that comes here has proved a certificate of our CA, no more.
//! Then the layers of [`federation`], top to bottom; then the [`gate`], which alone decides and alone lets an answer leave.

pub mod audit;
pub mod faults;
pub mod gate;
mod held;
pub mod limit;
pub mod standing;
pub mod status;
pub mod trace;
pub mod tries;

use crate::{confirming::Confirming, snapshot::Snapshots};
use axum::{Router, middleware::from_fn_with_state};
use domain::{operation::Entrance, world::World};
pub use faults::Faults;
use link::{Registry, Trails};
use std::sync::Arc;
use store::Auditor;
use tonic::service::Routes;
use tower::ServiceBuilder;

/// What the layers and the gate share.
pub struct Road {
    /// Clock and randomness.
    pub world: World,
    /// Where every call ends up, answered or refused.
    pub auditor: Arc<Auditor>,
    /// What standing is judged by.
    pub snapshots: Arc<Snapshots>,
    /// Live connections and calls by grant.
    pub registry: Registry,
    /// Rates by grant, by peer, and of tries to use an invite.
    pub limits: limit::Limits,
    /// What went wrong here, for `status`.
    pub faults: Faults,
    /// What is told of every call while it runs and after it.
    pub trails: Trails,
    /// Told of the first use of a new certificate.
    pub confirming: Confirming,
}

/// Every call under a grant's certificate. The order matters: each layer may rely on all above it.
pub fn federation(road: &Arc<Road>, rooms: Routes) -> Router {
    let road = || Arc::clone(road);
    rooms.into_axum_router().layer(
        ServiceBuilder::new()
            // First, so that every later word about this call has its id.
            .layer(from_fn_with_state((road(), Entrance::Federation), trace::trace))
            // Around everything that can refuse: no refusal below goes unrecorded.
            .layer(from_fn_with_state((road(), Entrance::Federation), audit::audit))
            // Before limits: a caller without standing must not use up the grant's tokens.
            .layer(from_fn_with_state(road(), standing::standing))
            // Before anything expensive: conversion, decision and store come after.
            .layer(from_fn_with_state(road(), limit::limit)),
    )
}

/// Enrolment, where nobody has a certificate yet: the token in the request is judged at the gate.
pub fn enrolment(road: &Arc<Road>, rooms: Routes) -> Router {
    let road = || Arc::clone(road);
    rooms.into_axum_router().layer(
        ServiceBuilder::new()
            .layer(from_fn_with_state((road(), Entrance::Enrolment), trace::trace))
            .layer(from_fn_with_state((road(), Entrance::Enrolment), audit::audit))
            // Before the token is looked at: whoever guesses is not told how right they are.
            .layer(from_fn_with_state(road(), tries::tries)),
    )
}
