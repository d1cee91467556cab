//! Strangers who list without a pause over links of their own, and remember every call: what they were given and when, and how
//! it ended. What they remember is what the other side's log is held against.

use super::asker::{Asker, enrol, tasks};
use super::harness::Instance;
use domain::{id::RequestId, invite::Invite, world::World};
use proto::v1::query_service_client::QueryServiceClient;
use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};
use tokio::runtime::Runtime;
use tonic::{Code, Request, transport::Channel};

/// Between two calls after one that failed; the sharing side takes twenty connections a second from an address.
const PAUSE: Duration = Duration::from_millis(200);

/// One List as its asker saw it.
#[derive(Clone, Debug)]
pub struct Call {
    pub request: RequestId,
    pub began: Instant,
    /// When the first chunk came.
    pub answered: Option<Instant>,
    pub chunks: u64,
    pub rows: u64,
    /// When it ended, and with what unless it was whole.
    pub ended: Option<(Instant, Option<Code>)>,
}

impl Call {
    /// Whether it was under way at `moment` and did not survive it.
    pub fn was_cut_after(&self, moment: Instant) -> bool {
        self.began < moment && matches!(self.ended, Some((end, Some(_))) if end > moment)
    }
}

/// Everything that was asked so far. Clones share it.
#[derive(Clone, Default)]
pub struct Calls(Arc<Mutex<Vec<Call>>>);

impl Calls {
    /// The calls.
    pub fn all(&self) -> MutexGuard<'_, Vec<Call>> {
        self.0.lock().unwrap()
    }

    /// The first answer to a call that began after `moment`.
    pub fn answered_after(&self, moment: Instant) -> Option<Instant> {
        // The newest calls are few; the older ones need not be looked at again.
        let calls = self.all();
        let later = calls.iter().rev().take_while(|call| call.began > moment);
        later.filter_map(|call| call.answered).min()
    }

    fn begin(&self, request: RequestId) -> usize {
        let mut calls = self.all();
        calls.push(Call { request, began: Instant::now(), answered: None, chunks: 0, rows: 0, ended: None });
        calls.len() - 1
    }

    fn got(&self, call: usize, rows: usize) {
        let call = &mut self.all()[call];
        call.answered.get_or_insert_with(Instant::now);
        call.chunks += 1;
        call.rows += u64::try_from(rows).unwrap();
    }

    fn end(&self, call: usize, failure: Option<Code>) {
        self.all()[call].ended = Some((Instant::now(), failure));
    }

    /// Lists everything once. Whether that went well.
    async fn list(&self, client: &mut QueryServiceClient<Channel>, request: RequestId) -> bool {
        let mut asked = Request::new(tasks());
        asked.metadata_mut().insert(proto::REQUEST_ID, request.to_string().parse().unwrap());
        let call = self.begin(request);
        let walk = async {
            let mut stream = client.list(asked).await?.into_inner();
            let mut whole = false;
            while let Some(chunk) = stream.message().await? {
                self.got(call, chunk.items.len());
                whole = chunk.end.is_some();
            }
            if whole { Ok(()) } else { Err(tonic::Status::data_loss("the stream stopped before its end")) }
        };
        let failure = walk.await.err().map(|status| status.code());
        self.end(call, failure);
        failure.is_none()
    }

    async fn ask_without_a_pause(self, asker: Asker, world: World) {
        loop {
            if let Ok(dialled) = asker.dial().await {
                let mut client = QueryServiceClient::new(dialled.channel.clone());
                while dialled.is_open() {
                    if !self.list(&mut client, RequestId(world.uuid())).await {
                        tokio::time::sleep(PAUSE).await;
                    }
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Sets `askers` of them on an instance that shares `rows` tasks, each with a grant of its own.
pub fn set_on(instance: &Instance, askers: usize, rows: usize, runtime: &Runtime) -> Calls {
    let lines: Vec<_> = (0..rows).map(|n| format!("{{\"resource\":\"tasks\",\"title\":\"task {n}\"}}")).collect();
    instance.file("tasks.jsonl", lines.join("\n"));
    instance.types("import tasks.jsonl").done();
    let calls = Calls::default();
    for n in 0..askers {
        let invite = instance.types(&format!("invite stranger-{n} --share tasks --rows 10000 --rate 10000")).done().out;
        let asker = runtime.block_on(enrol(&Invite::decode(invite.trim()).unwrap()));
        runtime.spawn(calls.clone().ask_without_a_pause(asker, World::system()));
    }
    calls
}
