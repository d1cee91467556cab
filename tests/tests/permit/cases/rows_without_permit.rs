use domain::operation::List;
use store::{Access, Chunk, Items, StoreError};

async fn rows(store: &dyn Items, operation: &List) -> Result<Chunk, StoreError> {
    store.list(Access::Granted(operation)).await //~ E0308 mismatched types
}

fn main() {
    let _ = rows;
}
