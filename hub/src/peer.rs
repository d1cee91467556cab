//! The rows of another instance, believed in nothing: each is read anew, must be of the resource that was asked for and
//! stand strictly after the one before. The first that does not ends the source.

use crate::outcome::Failure;
use domain::{Time, id::Resource, item::Item, page::Position, wire};
use prost::Message as _;
use proto::v1;

/// Some rows of a source, newest first.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) items: Vec<Item>,
    pub(crate) as_of: Time,
    /// Bytes on the wire, before TLS; 0 for this instance's own rows.
    pub(crate) bytes: u64,
    /// Whether it is of an earlier answer.
    pub(crate) cached: bool,
    /// Set with the last rows: whether the source has more than it was asked for.
    pub(crate) end: Option<bool>,
}

/// Checks the chunks of one answer in their order.
#[derive(Debug)]
pub(crate) struct Check {
    resource: Resource,
    include_body: bool,
    left: u32,
    last: Option<Position>,
}

impl Check {
    /// For an answer of at most `limit` rows after `after`.
    pub(crate) fn new(resource: Resource, include_body: bool, limit: u32, after: Option<Position>) -> Self {
        Self { resource, include_body, left: limit, last: after }
    }

    /// Reads one chunk.
    pub(crate) fn chunk(&mut self, wire: v1::ListResponse) -> Result<Batch, Failure> {
        let bytes = wire.encoded_len() as u64;
        let as_of =
            wire.as_of.map(wire::time).ok_or_else(|| Failure::lie("the other side sent rows without their time"))?;
        let items = wire.items.into_iter().map(|item| self.row(item)).collect::<Result<Vec<_>, _>>()?;
        let end = wire.end.map(|end| end.truncated);
        Ok(Batch { items, as_of, bytes, cached: false, end })
    }

    fn row(&mut self, wire: v1::Item) -> Result<Item, Failure> {
        let item = read(wire, &self.resource)?;
        self.left =
            self.left.checked_sub(1).ok_or_else(|| Failure::lie("the other side sent more rows than asked for"))?;
        let position = item.position();
        if self.last.is_some_and(|last| position >= last) {
            return Err(Failure::lie("the other side sent rows out of order"));
        }
        self.last = Some(position);
        Ok(if self.include_body { item } else { Item { body: None, ..item } })
    }
}

/// Reads one row that must be of `resource`.
pub(crate) fn read(wire: v1::Item, resource: &Resource) -> Result<Item, Failure> {
    let item = wire::read_item(wire).map_err(Failure::lie)?;
    if item.resource == *resource { Ok(item) } else { Err(Failure::lie("the other side sent rows of another kind")) }
}
