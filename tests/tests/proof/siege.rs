//! An instance under attack, and what must hold meanwhile: it lives, its memory stays bounded, and a healthy caller is served.

use crate::measure::{grown, memory, percentile};
use std::time::{Duration, Instant};
use tests::{
    asker::{Asker, enrol, list, tasks},
    instance::{Instance, task},
};

/// What an attack may cost, in mebibytes.
const MOST_MEMORY: u64 = 64;
/// Calls of one peer before its own limit would hide what is tried (240 a minute).
pub const CALLS: usize = 200;

/// A scope whose own rate never gets in the way.
pub const SCOPE: &str = r#"{"resources":["tasks"],"rate":{"per_minute":10000,"burst":10000}}"#;

/// A running instance with some rows and one honest asking side.
pub struct Siege {
    /// What is attacked.
    pub office: Instance,
    healthy: Asker,
    before: Option<u64>,
    served: Vec<Duration>,
    highest: u64,
    most: u64,
}

impl Siege {
    /// Before the attack.
    pub async fn begin() -> Self {
        let office = Instance::start().await;
        office.put(office.owner, (0..10).map(|n| task(&format!("task {n}"))).collect()).await;
        let healthy = enrol(&office.grant("owner", SCOPE).await.1).await;
        let mut siege = Self { office, healthy, before: None, served: Vec::new(), highest: 0, most: MOST_MEMORY };
        for _ in 0..5 {
            siege.holds().await;
        }
        siege.served.clear();
        siege
    }

    /// Another asking side, for the attacker.
    pub async fn asker(&self) -> Asker {
        enrol(&self.office.grant("owner", SCOPE).await.1).await
    }

    /// The healthy caller dials, lists and is answered whole; the memory is looked at. The first look is what later ones are
    /// compared with: call it once the attack has done everything that is done only once.
    pub async fn holds(&mut self) {
        let began = Instant::now();
        let mut client = self.healthy.query().await;
        let (items, end) = list(&mut client, tasks()).await.expect("the healthy caller is answered");
        assert_eq!((items.len(), end.is_some()), (10, true), "the healthy caller is answered whole");
        self.served.push(began.elapsed());
        self.highest = self.highest.max(grown(*self.before.get_or_insert_with(memory)));
        assert!(self.highest <= self.most, "the memory grew by {} MiB", self.highest);
    }

    /// Allows for what is held on purpose, both ends of it, in kibibytes.
    pub fn allow(&mut self, kibibytes: usize) {
        self.most += u64::try_from(kibibytes).expect("a number") >> 10;
    }

    /// The end of the log.
    pub async fn sequence(&self) -> u64 {
        self.office.store.head().await.expect("a head").sequence
    }

    /// Records of calls after `sequence` that were not the healthy caller's.
    pub async fn calls_after(&self, sequence: u64) -> Vec<domain::audit::Entry> {
        let query = store::AuditQuery { after: sequence, limit: 100_000, ..store::AuditQuery::default() };
        let log = self.office.store.entries(&query).await.expect("the log");
        let foreign = |entry: &domain::audit::Entry| entry.grant != Some(self.healthy.grant);
        log.into_iter().filter(|entry| entry.stage != domain::audit::Stage::Accept && foreign(entry)).collect()
    }

    /// What it came to, in words.
    pub fn report(&mut self, what: &str, began: Instant) {
        println!(
            "{what}: {:?}; {} healthy callers meanwhile, dial and list p50 {:?} p99 {:?}; memory +{} MiB",
            began.elapsed(),
            self.served.len(),
            percentile(&mut self.served, 50),
            percentile(&mut self.served, 99),
            self.highest,
        );
    }
}
