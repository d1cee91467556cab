use domain::{Caller, Permitted, Refusal, audit::Record, decide, grant::Grant, operation::List};
use store::{Access, Auditor, Chunk, Items, Released};

fn permit(caller: &Caller<Grant>, list: List) -> Result<Permitted<List>, Refusal> {
    decide(caller, list)
}

async fn answer(store: &dyn Items, permit: &Permitted<List>, log: &Auditor, record: Record) -> Option<Chunk> {
    let chunk = store.list(Access::Granted(permit)).await.ok()?;
    let released: Released<Chunk> = log.release(record, chunk).await.ok()?;
    Some(released.into_inner())
}

fn main() {
    let _ = (permit, answer);
}
