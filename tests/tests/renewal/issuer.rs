//! The instance's own CA, with what a test makes of it: counted, slow, out of order, or one that dates its certificates back.

use async_trait::async_trait;
use domain::id::Serial;
use pki::{Authority, CrlOrder, GrantOrder, InstanceIdentity, InstanceOrder, IssueError, Issued, Issuer, Why};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

/// Takes its time for each certificate.
pub struct OwnCa {
    authority: Arc<Authority>,
    /// Grant certificates that were ordered.
    pub orders: AtomicUsize,
    /// Whether it fails.
    pub broken: AtomicBool,
    /// By how many hours its grant certificates begin and end too early.
    pub hours_back: AtomicU64,
}

impl OwnCa {
    pub fn new(authority: Arc<Authority>) -> Arc<Self> {
        let (orders, broken, hours_back) = (AtomicUsize::new(0), AtomicBool::new(false), AtomicU64::new(0));
        Arc::new(Self { authority, orders, broken, hours_back })
    }
}

#[async_trait]
impl Issuer for OwnCa {
    async fn issue_grant(&self, order: &GrantOrder) -> Result<Issued, IssueError> {
        self.orders.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(100)).await;
        if self.broken.load(Ordering::SeqCst) {
            return Err(IssueError::Sign("it is out of order".to_owned()));
        }
        let back = Duration::from_hours(self.hours_back.load(Ordering::SeqCst));
        self.authority.issue_grant(&GrantOrder { csr: order.csr.clone(), now: order.now.before(back), ..*order })
    }

    async fn issue_instance(&self, order: &InstanceOrder) -> Result<InstanceIdentity, IssueError> {
        self.authority.issue_instance(order)
    }

    async fn revoke(&self, serial: &Serial, why: Why) -> Result<(), IssueError> {
        Issuer::revoke(&*self.authority, serial, why).await
    }

    async fn crl(&self, order: &CrlOrder<'_>) -> Result<Vec<u8>, IssueError> {
        self.authority.crl(order)
    }

    fn anchor_der(&self) -> &[u8] {
        self.authority.root_der()
    }
}
