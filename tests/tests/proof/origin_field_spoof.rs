//! Who somebody is comes from their connection (security row 25): every field of every request is known here by name, those that
//! could name an instance, a grant or a user are lied in, and the answer is the honest one or a refusal. A field that nobody
//! has placed makes this fail.

use crate::{bytes::first, measure::alone};
use domain::{grant::Grant, id::InstanceId, operation::Method, rights::Role};
use pki::RequestKey;
use prost_reflect::{DescriptorPool, DynamicMessage, Kind, MessageDescriptor, MethodDescriptor};
use proto::v1;
use rcgen::{CertificateParams, KeyPair};
use std::collections::{BTreeMap, BTreeSet};
use store::GrantView;
use tests::{
    asker::{Asker, enrol, enrol_as, enrol_named, refusal, send_enrolment, tasks, titles},
    cluster::two_databases,
    forge::{common_name, spiffe, uri},
    instance::{Instance, home_name, name, task},
};
use tonic::{Code, Request, Status};

/// Fields that could name somebody: each is lied in below, under this name.
const NAMES: [&str; 7] = [
    "EnrollRequest.token",
    "EnrollRequest.csr",
    "EnrollRequest.instance_id",
    "EnrollRequest.instance_name",
    // Its lies are told in the suite `renewal`.
    "RenewRequest.csr",
    "ListRequest.page_token",
    "GetRequest.id",
];

/// Fields that name nobody, whatever is in them.
const PLAIN: [&str; 27] = [
    "EnrollRequest.words_nonce",
    "ConnectRequest.version_min",
    "ConnectRequest.version_max",
    "ConnectRequest.capabilities",
    "ConnectRequest.time",
    "ConnectRequest.time.seconds",
    "ConnectRequest.time.nanos",
    "ListRequest.resource",
    "ListRequest.limit",
    "ListRequest.include_body",
    "GetRequest.resource",
    "HealthCheckRequest.service",
    // The empty requests carry nothing; these two stand for them.
    "CapabilitiesRequest",
    "DisconnectRequest",
    "SessionRequest.heartbeat",
    "SessionRequest.heartbeat.time",
    "SessionRequest.heartbeat.time.seconds",
    "SessionRequest.heartbeat.time.nanos",
    "SessionRequest.heartbeat.answers",
    "SessionRequest.heartbeat.answers.seconds",
    "SessionRequest.heartbeat.answers.nanos",
    "SessionRequest.heartbeat.tries_addresses",
    "SessionRequest.acknowledged",
    "SessionRequest.acknowledged.generation",
    "SessionRequest.reached",
    "SessionRequest.reached.number",
    "SessionRequest.reached.reached",
];

/// Fields of answers that differ from call to call.
const MOVING: [&str; 4] = ["time", "as_of", "calls_left", "revoked_at"];

/// Metadata in which other systems carry identities.
const HEADERS: [&str; 9] = [
    "x-forwarded-client-cert",
    "x-forwarded-for",
    "x-peer-id",
    "x-instance-id",
    "x-grant-id",
    "x-subject",
    "x-mosaic-as",
    "authorization",
    "forwarded",
];

fn pools() -> [DescriptorPool; 2] {
    [proto::DESCRIPTOR, tonic_health::pb::FILE_DESCRIPTOR_SET]
        .map(|set| DescriptorPool::decode(set).expect("descriptors"))
}

/// Every RPC by its `:path`.
fn methods() -> BTreeMap<String, MethodDescriptor> {
    let services: Vec<_> = pools().iter().flat_map(|pool| pool.services().collect::<Vec<_>>()).collect();
    let methods = services.iter().flat_map(|service| service.methods().collect::<Vec<_>>());
    methods.map(|rpc| (format!("/{}/{}", rpc.parent_service().full_name(), rpc.name()), rpc)).collect()
}

/// Every field below `message`, under `path`; a message without any stands for itself.
fn fields(message: &MessageDescriptor, path: &str, found: &mut BTreeSet<String>) {
    if message.fields().len() == 0 {
        found.insert(path.to_owned());
    }
    for field in message.fields() {
        let path = format!("{path}.{}", field.name());
        if let Kind::Message(inner) = field.kind() {
            fields(&inner, &path, found);
        }
        found.insert(path);
    }
}

#[test]
fn every_field_of_every_request_is_placed() {
    let mut found = BTreeSet::new();
    for method in methods().values() {
        let input = method.input();
        fields(&input, input.name(), &mut found);
    }
    let placed: BTreeSet<_> = NAMES.into_iter().chain(PLAIN).map(str::to_owned).collect();
    assert_eq!(found, placed, "place each new field among NAMES, with a lie below, or among PLAIN");
    assert_eq!(placed.len(), NAMES.len() + PLAIN.len(), "a field is placed twice");
}

/// Two people share with two instances, each through a grant of their own.
struct Stage {
    office: Instance,
    alice: Asker,
    bob: Asker,
    bobs_grant: Grant,
}

const SCOPE: &str = r#"{"resources":["tasks"]}"#;

impl Stage {
    async fn set() -> Self {
        let office = Instance::start().await;
        for person in ["alice", "bob"] {
            let id = office.user(person, Role::Member).await;
            office.put(id, (0..3).map(|n| task(&format!("{person}'s {n}"))).collect()).await;
        }
        let (alice, bob) = (office.grant("alice", SCOPE).await, office.grant("bob", SCOPE).await);
        let (alice, bobs) = (enrol(&alice.1).await, enrol(&bob.1).await);
        Self { office, alice, bob: bobs, bobs_grant: bob.0 }
    }

    /// Whoever and whatever alice's asking side could pretend to be.
    fn lies(&self) -> Vec<String> {
        let Grant { id, name, workspace, subject, .. } = &self.bobs_grant;
        let names = [id.to_string(), name.to_string(), workspace.to_string(), subject.to_string()];
        let instances = [self.bob.instance, self.office.id].map(|id| id.to_string());
        names
            .into_iter()
            .chain(instances)
            .chain([spiffe(self.office.id, self.bob.instance), "bob".to_owned()])
            .collect()
    }

    async fn titles_of(asker: &Asker) -> Vec<String> {
        titles(&asker.list(tasks()).await.expect("an answer").0)
    }

    async fn bob_is_as_before(&self, what: &str) {
        assert_eq!(Self::titles_of(&self.bob).await, ["bob's 0", "bob's 1", "bob's 2"], "{what}");
        assert_eq!(self.bobs_view().await.grant.peer, Some(self.bob.instance), "{what}");
    }

    /// Bob's grant as its owner is shown it.
    async fn bobs_view(&self) -> GrantView {
        let views = self.office.store.grants().await.expect("grants");
        views.into_iter().find(|view| view.grant.id == self.bob.grant).expect("bob's grant")
    }
}

/// Fields that no message has, each with each lie as text.
fn undeclared(message: &MessageDescriptor, lies: &[String]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let numbers = (1..=40).chain([100, 1_000, 18_999, 536_870_911]);
    for number in numbers.filter(|number| message.get_field(*number).is_none()) {
        for lie in lies {
            prost::encoding::string::encode(number, lie, &mut bytes);
        }
    }
    bytes
}

/// An honest question of each method, as alice's asking side would ask it.
fn honest(method: Method, row: &str) -> Vec<u8> {
    use prost::Message as _;
    let resource = "tasks".to_owned();
    match method {
        Method::Connect => v1::ConnectRequest { version_min: 1, version_max: 1, ..Default::default() }.encode_to_vec(),
        Method::List => tasks().encode_to_vec(),
        Method::Get => v1::GetRequest { resource, id: row.to_owned() }.encode_to_vec(),
        Method::Enroll
        | Method::Disconnect
        | Method::Renew
        | Method::Session
        | Method::Capabilities
        | Method::HealthCheck
        | Method::HealthWatch => Vec::new(),
    }
}

/// An answer without what differs from call to call, as text.
fn still(rpc: &MethodDescriptor, answer: &[u8]) -> String {
    let mut message = DynamicMessage::decode(rpc.output(), answer).expect("an answer");
    for field in MOVING {
        if message.get_field_by_name(field).is_some() {
            message.clear_field_by_name(field);
        }
    }
    // A control session's number is another one each time.
    if let Some(welcome) = message.get_field_by_name_mut("welcome").and_then(|value| value.as_message_mut()) {
        welcome.clear_field_by_name("session");
    }
    message.to_string()
}

fn with_headers(message: Vec<u8>, lies: &[String]) -> Request<Vec<u8>> {
    let mut request = Request::new(message);
    for header in HEADERS {
        for lie in lies {
            request.metadata_mut().append(header, lie.parse().expect("ASCII"));
        }
    }
    request
}

#[tokio::test(flavor = "multi_thread")]
async fn origin_field_spoof() {
    let (_alone, stage) = (alone().await, Stage::set().await);
    let lies = stage.lies();
    let row = stage.alice.list(tasks()).await.expect("an answer").0.remove(0).id;
    let mut compared = 0;
    for (path, rpc) in methods() {
        let method = Method::from_path(&path).expect("a method");
        // Enrolment has its own listener and its own lies below; the last word of a grant comes last. Renewal answers another
        // thing each time, and takes nothing but a key: its own suite shows for whom.
        if matches!(method, Method::Enroll | Method::Disconnect | Method::Renew) {
            continue;
        }
        let channel = stage.alice.dial().await.expect("a connection").channel;
        let question = honest(method, &row);
        let answer = first(&channel, &path, Request::new(question.clone())).await.expect("an answer");
        if method == Method::Session {
            tokio::time::sleep(domain::session::AGAIN).await;
        }
        let lying = [question, undeclared(&rpc.input(), &lies)].concat();
        let other = first(&channel, &path, with_headers(lying, &lies)).await.expect("an answer");
        assert_eq!(still(&rpc, &answer), still(&rpc, &other), "{path}");
        compared += 1;
    }
    let channel = stage.alice.dial().await.expect("a connection").channel;
    let rpc = &methods()[Method::Disconnect.path()];
    let lying = with_headers(undeclared(&rpc.input(), &lies), &lies);
    first(&channel, Method::Disconnect.path(), lying).await.expect("an answer");
    stage.bob_is_as_before("alice's asking side left").await;
    assert!(stage.alice.dial().await.is_err(), "its own grant has not ended");
    assert_eq!(compared + 3, Method::ALL.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_and_a_page_of_another_grant_are_refused_as_if_there_were_none() {
    let (_alone, stage) = (alone().await, Stage::set().await);
    let page = v1::ListRequest { limit: 1, ..tasks() };
    let (rows, end) = stage.bob.list(page.clone()).await.expect("an answer");
    let mut alice = stage.alice.query().await;
    let mut get =
        async |id: String| alice.get(v1::GetRequest { resource: "tasks".into(), id }).await.expect_err("answered");
    let (lying, missing) = (get(rows[0].id.clone()).await, get(InstanceId(uuid::Uuid::nil()).to_string()).await);
    assert_eq!(refusal(&lying), (Code::NotFound, "NOT_FOUND".to_owned()));
    assert_eq!(
        (lying.code(), lying.message(), lying.details()),
        (missing.code(), missing.message(), missing.details())
    );
    let page_token = end.expect("an end").next_page_token;
    let lying = stage.alice.list(v1::ListRequest { page_token, ..page }).await.expect_err("answered");
    assert_eq!(refusal(&lying), (Code::InvalidArgument, "BAD_PAGE_TOKEN".to_owned()));
}

/// What is in a certificate that was just issued: holder and grant.
async fn enrolled_as(stage: &Stage, csr: Vec<u8>) -> Result<(InstanceId, domain::id::GrantId, bool), Status> {
    let (grant, invite) = stage.office.grant("alice", SCOPE).await;
    let issued = send_enrolment(&invite, stage.alice.instance, invite.token.expose(), csr).await?;
    let leaf = pki::profile::grant_leaf(&issued.certificate, stage.office.id).expect("a leaf");
    Ok((leaf.holder, leaf.grant, leaf.grant == grant.id && leaf.subject == grant.subject))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_request_that_names_somebody_is_refused_or_not_read() {
    let (_alone, stage) = (alone().await, Stage::set().await);
    let key = KeyPair::generate().expect("a key");
    let bob = spiffe(stage.office.id, stage.bob.instance);
    let request = |change: &dyn Fn(&mut CertificateParams)| {
        let mut params = CertificateParams::default();
        params.distinguished_name = common_name("");
        change(&mut params);
        params.serialize_request(&key).expect("a request").der().to_vec()
    };
    let subject = request(&|params| params.distinguished_name = common_name(&bob));
    let (holder, _, own) = enrolled_as(&stage, subject).await.expect("a certificate");
    assert_eq!((holder, own), (stage.alice.instance, true), "the subject was read");
    let alternative = request(&|params| params.subject_alt_names = vec![uri(&bob)]);
    let extension = tests::forge::extension(1, tests::forge::utf8(&stage.bob.grant.to_string()));
    let extended = request(&|params| params.custom_extensions = vec![extension.clone()]);
    for lying in [alternative, extended] {
        let status = enrolled_as(&stage, lying).await.expect_err("enrolled");
        assert_eq!(refusal(&status), (Code::InvalidArgument, "MALFORMED".to_owned()));
    }
    stage.bob_is_as_before("a request named his instance").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_another_instance_names_no_grant_here() {
    let _alone = alone().await;
    let (first, second) = two_databases().await;
    let world = domain::world::World::system;
    let (office, other) = (Instance::start_on(world(), first).await, Instance::start_on(world(), second).await);
    let ((_, here), (_, there)) = (office.grant("owner", SCOPE).await, other.grant("owner", SCOPE).await);
    let csr = RequestKey::generate().expect("a key").csr;
    let id = InstanceId(world().uuid());
    let status = send_enrolment(&here, id, there.token.expose(), csr).await.expect_err("enrolled");
    assert_eq!(refusal(&status), (Code::NotFound, "INVITE_UNKNOWN".to_owned()));
    enrol_as(id, &there).await.expect("the token is still good where it was made");
}

/// An instance that takes up an invite says itself who it is. Whoever it says: it holds the invite's own grant and no other,
/// and the one it names keeps grant, rows and certificate.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_an_instance_says_it_is_it_gets_the_invites_own_grant() {
    let (_alone, stage) = (alone().await, Stage::set().await);
    let (grant, invite) = stage.office.grant("alice", SCOPE).await;
    for (instance, called) in [(stage.office.id, name("office")), (InstanceId(uuid::Uuid::nil()), name("nobody"))] {
        let status = enrol_named(instance, &called, &invite).await.map(drop).expect_err("enrolled");
        assert_eq!(refusal(&status), (Code::InvalidArgument, "MALFORMED".to_owned()), "{called}");
    }
    let mallory = enrol_named(stage.bob.instance, &name("not-bob"), &invite).await.expect("an enrolment");
    assert_eq!(mallory.grant, grant.id);
    assert_eq!(Stage::titles_of(&mallory).await, ["alice's 0", "alice's 1", "alice's 2"]);
    let log = stage.office.log(5).await;
    assert!(log.iter().all(|entry| entry.grant != Some(stage.bob.grant)), "{log:?}");
    stage.bob_is_as_before("a stranger came under his instance's id").await;
}

/// A peer's limit is over all grants of one subject: a stranger under bob's id uses up alice's share of it, not bob's.
#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_says_it_is_another_uses_up_nothing_of_its_rate() {
    let (_alone, stage) = (alone().await, Stage::set().await);
    let scope = r#"{"resources":["tasks"],"rate":{"per_minute":10000,"burst":10000}}"#;
    let (_, invite) = stage.office.grant("alice", scope).await;
    let mut mallory =
        enrol_named(stage.bob.instance, &name("not-bob"), &invite).await.expect("an enrolment").query().await;
    let mut calls = 0;
    while mallory.capabilities(v1::CapabilitiesRequest {}).await.is_ok() {
        calls += 1;
    }
    assert!(calls >= 240, "{calls}");
    stage.bob_is_as_before("a stranger called without a pause under his instance's id").await;
}

/// What the owner sees beside a grant is what its own holder called itself.
#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_says_it_is_another_does_not_rename_it() {
    let (_alone, stage) = (alone().await, Stage::set().await);
    let (_, invite) = stage.office.grant("alice", SCOPE).await;
    enrol_named(stage.bob.instance, &name("not-bob"), &invite).await.expect("an enrolment");
    assert_eq!(stage.bobs_view().await.peer_name, Some(home_name()));
}
