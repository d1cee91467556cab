//! Deciding a call among many grants: standing, limit and decision, as the road does before anything is read.

use super::Sharing;
use crate::{
    child::odd,
    words::{Decided, Order, Reply},
};
use anyhow::Result;

/// Lets the sharing side stand with `grants` more grants and decide `calls` calls.
pub async fn measure(sharing: &mut Sharing, grants: u32, calls: u32) -> Result<Decided> {
    match sharing.child.ask(&Order::Decide { grants, calls }).await? {
        Reply::Decided(decided) => Ok(decided),
        reply => Err(odd(&reply)),
    }
}
