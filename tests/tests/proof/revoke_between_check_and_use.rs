//! A grant that ends while a call under it is between two steps of its road (security row 36), over the wire: the call is held
//! there by a lock in its database, the grant is revoked, the call goes on, and no row arrives.
//!
//! Each point is tried twice. Revoked by this process, the call is cut: its caller loses the connection. Revoked by another
//! process, while this one cannot read the standing anew, only the last look before the release is left, and must do.

use crate::measure::alone;
use domain::{
    audit::{Act, Ending, Entry},
    grant::Grant,
    id::RequestId,
    item::NewItem,
};
use proto::v1::{self, query_service_client::QueryServiceClient};
use std::{sync::Arc, time::Duration};
use store::AuditQuery;
use tests::{
    asker::{Asker, enrol, refusal, tasks},
    hold::{Hold, ask, run, waiting},
    instance::{Instance, task},
    raw::{Frame, Raw, kind},
};
use tonic::{Code, Request, Status, Streaming, transport::Channel};

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Question {
    /// No row, but the grant's own words.
    Capabilities,
    /// One row.
    Get,
    /// Rows, from the first chunk on.
    List,
    /// Rows of which one chunk has arrived already.
    LaterChunk,
}

impl Question {
    const ALL: [Self; 4] = [Self::Capabilities, Self::Get, Self::List, Self::LaterChunk];
    const OF_ROWS: [Self; 3] = [Self::Get, Self::List, Self::LaterChunk];
}

/// One grant, its holder, and one call of theirs.
struct Scene<'a> {
    office: &'a Instance,
    grant: Grant,
    home: Asker,
    id: RequestId,
}

/// How a call ended: answers that arrived after it was held, and the refusal.
#[derive(Debug)]
struct Ended {
    answers: u64,
    refused: Option<Status>,
}

/// A call that goes on when told.
struct Call {
    client: QueryServiceClient<Channel>,
    question: Question,
    id: RequestId,
    begun: Option<Streaming<v1::ListResponse>>,
    item: String,
}

/// More than the flow control windows hold, so that a List that is not read on is still to be decided in part.
async fn office() -> Instance {
    let office = Instance::start().await;
    let text = "x".repeat(20_000);
    let items = (0..150).map(|n| NewItem { body: Some(text.clone()), ..task(&format!("task {n:03}")) });
    office.put(office.owner, items.collect()).await;
    office
}

impl<'a> Scene<'a> {
    async fn set(office: &'a Instance) -> Self {
        let (grant, invite) = office.grant("owner", r#"{"resources":["tasks"],"max_rows_per_query":10000}"#).await;
        Self { office, grant, home: enrol(&invite).await, id: RequestId(office.world.uuid()) }
    }

    async fn call(&self, question: Question) -> Call {
        let mut client = self.home.query().await;
        let listed = tests::asker::list(&mut client, v1::ListRequest { limit: 1, ..tasks() }).await;
        let item = listed.expect("an answer").0.remove(0).id;
        let mut call = Call { client, question, id: self.id, begun: None, item };
        if question == Question::LaterChunk {
            let mut stream = call.list().await.expect("an answer");
            stream.message().await.expect("a chunk").expect("a chunk");
            call.begun = Some(stream);
            self.quiet().await;
        }
        call
    }

    /// Waits until the stream that is not read on has filled its windows.
    async fn quiet(&self) {
        let (mut before, mut same) = (0, 0);
        while same < 3 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let now = self.head().await;
            same = if now == before { same + 1 } else { 0 };
            before = now;
        }
    }

    /// Ends the grant as another process would: under the log's head, in a transaction of its own.
    async fn revoked_elsewhere(&self) {
        let statements = format!("BEGIN; SELECT FROM audit_head FOR UPDATE; {}; COMMIT", self.end_of_grant());
        run(&self.office.database.superuser(), &statements).await;
    }

    fn end_of_grant(&self) -> String {
        format!("UPDATE grants SET state = 'revoked', generation = generation + 1 WHERE id = '{}'", self.grant.id)
    }

    async fn state(&self) -> String {
        let question = format!("SELECT state FROM grants WHERE id = '{}'", self.grant.id);
        ask(&self.office.database.superuser(), &question).await
    }

    async fn log(&self) -> Vec<Entry> {
        let query = AuditQuery { grant: Some(self.grant.id), limit: 10_000, ..AuditQuery::default() };
        self.office.store.entries(&query).await.expect("the log")
    }

    /// Nothing of this call is on record as answered behind the grant's end, and no more arrived than was released before it.
    async fn nothing_after(&self, end: u64, ended: &Ended, what: &str) {
        let log = self.log().await;
        let answered = log.iter().filter(|entry| entry.request == self.id && entry.ending == Ending::Answered);
        let sequences: Vec<_> = answered.map(|entry| entry.sequence).collect();
        assert!(sequences.iter().all(|at| *at < end), "{what}: released at {sequences:?}, ended at {end}");
        let released = u64::try_from(sequences.len()).expect("a number");
        assert!(ended.answers <= released, "{what}: {ended:?}, but {released} were released");
    }

    /// Where the grant's end stands in the log.
    async fn end(&self) -> u64 {
        let log = self.log().await;
        log.iter().find(|entry| entry.about == "grant_revoke").expect("a record of the end").sequence
    }

    async fn head(&self) -> u64 {
        self.office.store.head().await.expect("a head").sequence
    }
}

impl Call {
    fn marked<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.metadata_mut().insert(proto::REQUEST_ID, self.id.to_string().parse().expect("ASCII"));
        request
    }

    async fn list(&mut self) -> Result<Streaming<v1::ListResponse>, Status> {
        let request = self.marked(v1::ListRequest { include_body: true, ..tasks() });
        Ok(self.client.list(request).await?.into_inner())
    }

    async fn go(mut self) -> Ended {
        let mut answers = 0;
        let refused = self.walk(&mut answers).await.err();
        Ended { answers, refused }
    }

    async fn walk(&mut self, answers: &mut u64) -> Result<(), Status> {
        match self.question {
            Question::Capabilities => drop(self.client.capabilities(self.marked(v1::CapabilitiesRequest {})).await?),
            Question::Get => {
                let get = v1::GetRequest { resource: "tasks".into(), id: self.item.clone() };
                drop(self.client.get(self.marked(get)).await?);
            }
            Question::List | Question::LaterChunk => {
                let mut stream = match self.begun.take() {
                    Some(stream) => stream,
                    None => self.list().await?,
                };
                while stream.message().await?.is_some() {
                    *answers += 1;
                }
                return Ok(());
            }
        }
        *answers += 1;
        Ok(())
    }
}

fn denied(ended: &Ended) -> bool {
    let expected = (Code::PermissionDenied, "NOT_PERMITTED".to_owned());
    ended.refused.as_ref().is_some_and(|status| refusal(status) == expected)
}

#[tokio::test(flavor = "multi_thread")]
async fn between_decide_and_query() {
    let (_alone, office) = (alone().await, office().await);
    for question in Question::OF_ROWS {
        let scene = Scene::set(&office).await;
        let (call, held) = (scene.call(question).await, Hold::rows(&office.database).await);
        let going = tokio::spawn(call.go());
        waiting(&office.database, 1).await;
        let revoked = office.spoke.revoke(office.by(), scene.grant.id).await.expect("a revocation");
        assert!(revoked.drained && revoked.calls == 1, "{question:?}: {revoked:?}");
        held.release().await;
        let ended = going.await.expect("an end");
        assert!(ended.refused.is_some(), "{question:?} was answered: {ended:?}");
        scene.nothing_after(scene.end().await, &ended, &format!("{question:?}, cut")).await;
    }
    for question in Question::OF_ROWS {
        let scene = Scene::set(&office).await;
        let (call, held) = (scene.call(question).await, Hold::rows(&office.database).await);
        let going = tokio::spawn(call.go());
        waiting(&office.database, 1).await;
        let deaf = Hold::hearing(&office.database).await;
        let end = scene.head().await + 1;
        scene.revoked_elsewhere().await;
        held.release().await;
        let ended = going.await.expect("an end");
        deaf.release().await;
        assert!(denied(&ended), "{question:?}: {ended:?}");
        scene.nothing_after(end, &ended, &format!("{question:?}, last look")).await;
    }
}

/// Rows were read and their record waits for its turn; the revocation's turn is before it.
#[tokio::test(flavor = "multi_thread")]
async fn between_query_and_record() {
    let (_alone, office) = (alone().await, office().await);
    for question in Question::ALL {
        let scene = Scene::set(&office).await;
        let (call, held) = (scene.call(question).await, Hold::head(&office.database).await);
        let (spoke, by, grant) = (Arc::clone(&office.spoke), office.by(), scene.grant.id);
        let revoking = tokio::spawn(async move { spoke.revoke(by, grant).await.expect("a revocation") });
        waiting(&office.database, 1).await;
        let going = tokio::spawn(call.go());
        waiting(&office.database, 2).await;
        held.release().await;
        let (revoked, ended) = (revoking.await.expect("an end"), going.await.expect("an end"));
        assert!(revoked.drained, "{question:?}: {revoked:?}");
        assert!(ended.refused.is_some(), "{question:?} was answered: {ended:?}");
        scene.nothing_after(scene.end().await, &ended, &format!("{question:?}, cut")).await;
    }
    for question in Question::ALL {
        let scene = Scene::set(&office).await;
        let (call, held) = (scene.call(question).await, Hold::head(&office.database).await);
        let deaf = Hold::hearing(&office.database).await;
        let going = tokio::spawn(call.go());
        waiting(&office.database, 1).await;
        let end = scene.head().await + 1;
        held.commit(&scene.end_of_grant()).await;
        let ended = going.await.expect("an end");
        deaf.release().await;
        assert!(denied(&ended), "{question:?}: {ended:?}");
        scene.nothing_after(end, &ended, &format!("{question:?}, last look")).await;
    }
}

/// Here a revocation cannot pass: it waits until the record is committed, so that the answer was released before it, and
/// whatever the grant asks next is refused.
#[tokio::test(flavor = "multi_thread")]
async fn between_record_and_release() {
    let (_alone, office) = (alone().await, office().await);
    Hold::prepare(&office.database).await;
    for (question, elsewhere) in Question::ALL.into_iter().flat_map(|question| [(question, false), (question, true)]) {
        let scene = Scene::set(&office).await;
        let (call, held) = (scene.call(question).await, Hold::answers(&office.database).await);
        let going = tokio::spawn(call.go());
        waiting(&office.database, 1).await;
        let (spoke, by, grant) = (Arc::clone(&office.spoke), office.by(), scene.grant.id);
        let (replica, record) = (office.database.store_at(&office.world).await, office.act(Act::GrantRevoke));
        let record = domain::audit::Record { grant: Some(grant), ..record };
        let revoking = tokio::spawn(async move {
            if elsewhere {
                store::Grants::revoke_grant(&*replica, grant, record).await.expect("a revocation");
            } else {
                assert!(spoke.revoke(by, grant).await.expect("a revocation").drained);
            }
        });
        waiting(&office.database, 2).await;
        assert_eq!(scene.state().await, "active", "{question:?}: revoked while the head was locked");
        assert!(!revoking.is_finished());
        held.release().await;
        revoking.await.expect("an end");
        let ended = going.await.expect("an end");
        let whole = matches!(question, Question::Capabilities | Question::Get);
        assert!(whole || ended.refused.is_some(), "{question:?} came to its end: {ended:?}");
        scene.nothing_after(scene.end().await, &ended, &format!("{question:?}, elsewhere: {elsewhere}")).await;
    }
}

/// The record stands and the bytes are on their way: the asking side's window is closed. When the revocation is acknowledged
/// they are gone with their connection.
#[tokio::test(flavor = "multi_thread")]
async fn after_the_release_an_answer_that_has_not_left_stays() {
    const INITIAL_WINDOW: u16 = 4;
    let (_alone, office) = (alone().await, office().await);
    let scene = Scene::set(&office).await;
    let mut raw = Raw::open(&scene.home, &[(INITIAL_WINDOW, 0)]).await.expect("a connection");
    let list = prost::Message::encode_to_vec(&tasks());
    let id = scene.id.to_string();
    let call = Frame::call(1, domain::operation::Method::List.path(), &[(proto::REQUEST_ID, &id)]);
    raw.send(&[call, Frame::question(1, &list)]).await.expect("a question");
    let mut heard = Vec::new();
    while !heard.iter().any(|frame: &Frame| frame.kind == kind::HEADERS) {
        heard.push(raw.frame().await.expect("a frame"));
    }
    let released =
        scene.log().await.iter().filter(|entry| entry.request == scene.id).map(|entry| entry.rows).sum::<u64>();
    assert!(released > 0, "the first chunk is on record");
    let revoked = office.spoke.revoke(office.by(), scene.grant.id).await.expect("a revocation");
    assert!(revoked.drained && revoked.took < Duration::from_secs(5), "{revoked:?}");
    // The connection may be gone already; that is the point.
    drop(raw.send(&[Frame::window(0, 1 << 20), Frame::window(1, 1 << 20)]).await);
    heard.extend(raw.rest().await);
    let bytes: usize = heard.iter().filter(|frame| frame.kind == kind::DATA).map(|frame| frame.payload.len()).sum();
    assert_eq!(bytes, 0, "rows arrived after the revocation was acknowledged");
}
