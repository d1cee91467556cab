//! An issuer with what is needed to try it: its clock, its anchor, and somebody who asks.

use super::program::Program;
use crate::forge::{DAY, GRANT, HOLDER, ISSUER, SUBJECT};
use domain::world::World;
use pki::{
    Authority, CheckedCsr, ClientVerifier, DenyList, GrantOrder, Issued, Issuer, RequestKey,
    step_ca::{ProvisionerKey, StepCa, setup},
};
use serde_json::Value;
use std::{path::Path, sync::Arc};

/// One issuer.
pub struct Bench {
    pub issuer: Box<dyn Issuer>,
    pub world: World,
    /// Ends the program when the bench does.
    _program: Option<Program>,
}

impl Bench {
    pub fn on_embedded() -> Self {
        let world = World::system();
        let issuer = Box::new(Authority::create(&world, ISSUER).unwrap());
        Self { issuer, world, _program: None }
    }

    /// None, loudly, where there is no step-ca.
    pub async fn on_step_ca() -> Option<Self> {
        let real = Real::start(|_, _| {}).await?;
        Some(Self { issuer: Box::new(real.issuer), world: real.world, _program: Some(real.program) })
    }

    /// An honest order for `key`.
    pub fn order(&self, key: &RequestKey) -> GrantOrder {
        order(&self.world, key)
    }

    pub async fn honest(&self) -> (Issued, RequestKey) {
        let key = RequestKey::generate().unwrap();
        (self.issuer.issue_grant(&self.order(&key)).await.unwrap(), key)
    }

    pub fn verifier(&self) -> ClientVerifier {
        verifier(self.issuer.anchor_der(), &self.world)
    }
}

pub fn order(world: &World, key: &RequestKey) -> GrantOrder {
    let csr = CheckedCsr::parse(&key.csr).unwrap();
    GrantOrder { holder: HOLDER, grant: GRANT, subject: SUBJECT, csr, now: world.now(), life: 30 * DAY }
}

pub fn verifier(anchor: &[u8], world: &World) -> ClientVerifier {
    ClientVerifier::new(anchor, ISSUER, world.clock(), Arc::new(DenyList::default())).unwrap()
}

/// A real step-ca that has the embedded CA's root and key, as `ca export` writes them.
pub struct Real {
    pub issuer: StepCa,
    pub world: World,
    pub authority: Authority,
    pub program: Program,
}

impl Real {
    /// `change` may touch the directory and `ca.json` before the program starts.
    pub async fn start(change: impl FnOnce(&Path, &mut Value)) -> Option<Self> {
        let world = World::system();
        let authority = Authority::create(&world, ISSUER).unwrap();
        let program = Program::start(&authority, change).await?;
        let issuer = program.issuer(authority.root_der(), &program.key(), &world);
        Some(Self { issuer, world, authority, program })
    }
}

impl Program {
    /// The provisioner's key that lies beside `ca.json`.
    pub fn key(&self) -> String {
        self.read(setup::PROVISIONER_KEY)
    }

    /// What orders from this program, for links that trust `anchor`.
    pub fn issuer(&self, anchor: &[u8], key: &str, world: &World) -> StepCa {
        let settings = pki::step_ca::Settings {
            address: self.address(),
            root_pem: self.read(setup::ROOT),
            provisioner: pki::step_ca::PROVISIONER.to_owned(),
            key: ProvisionerKey::from_text(key).unwrap(),
            anchor: anchor.to_vec(),
        };
        StepCa::new(settings, world).unwrap()
    }
}
