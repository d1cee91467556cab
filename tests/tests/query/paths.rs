//! A method has one spelling. Every other one is refused, whatever it resembles.

use domain::operation::{Entrance, Method};
use http::uri::PathAndQuery;
use tests::{
    asker::{enrol, refusal},
    instance::Instance,
};
use tonic::{
    Code, Status,
    client::{Grpc, GrpcService},
    transport::Channel,
};
use tonic_prost::ProstCodec;

async fn call(channel: &Channel, path: &str) -> Result<(), Status> {
    let path: PathAndQuery = path.parse().map_err(|_| Status::unimplemented("no path"))?;
    let mut grpc = Grpc::new(channel.clone());
    grpc.ready().await.expect("a connection");
    let codec = ProstCodec::<proto::v1::CapabilitiesRequest, proto::v1::CapabilitiesResponse>::default();
    grpc.unary(tonic::Request::new(proto::v1::CapabilitiesRequest {}), path, codec).await.map(|_| ())
}

#[tokio::test(flavor = "multi_thread")]
async fn path_forms() {
    let office = Instance::start().await;
    let (_, invite) = office.grant("owner", r#"{"resources":["tasks"]}"#).await;
    let channel = enrol(&invite).await.dial().await.expect("a connection").channel;
    let good = Method::Capabilities.path();
    call(&channel, good).await.expect("the one spelling");
    let others = [
        format!("/{good}"),
        format!("{good}/"),
        format!("{good}?x=1"),
        good.to_lowercase(),
        good.replace('.', "%2e"),
        good.replace("Capabilities", "%43apabilities"),
        good.replace("/Capabilities", "//Capabilities"),
        good.replace("/Capabilities", "/./Capabilities"),
        format!("{good}\u{61}"),
        Method::Enroll.path().to_owned(),
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo".to_owned(),
        "/".to_owned(),
    ];
    for path in others {
        let status = call(&channel, &path).await.expect_err(&path);
        let code = if path.contains('?') { Code::InvalidArgument } else { Code::Unimplemented };
        assert_eq!(status.code(), code, "{path}: {status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_grpc_call_is_refused_and_recorded_whatever_its_path() {
    let office = Instance::start().await;
    let (_, invite) = office.grant("owner", r#"{"resources":["tasks"]}"#).await;
    let mut channel = enrol(&invite).await.dial().await.expect("a connection").channel;
    let grpc = Some("application/grpc");
    for (method, content) in [("GET", grpc), ("PUT", grpc), ("POST", None), ("POST", Some("application/json"))] {
        let request = http::Request::builder().method(method).uri(Method::Capabilities.path());
        let request = content.into_iter().fold(request, |request, content| request.header("content-type", content));
        // A whole message of this call: five bytes that say that it is empty.
        let body = tonic::body::Body::new(http_body_util::Full::new(bytes::Bytes::from_static(&[0; 5])));
        std::future::poll_fn(|cx| channel.poll_ready(cx)).await.expect("a connection");
        let response = channel.call(request.body(body).expect("a request")).await.expect("a response");
        assert_eq!(response.headers()["grpc-status"], "3", "{method} {content:?}");
        let entry = office.log(1).await.pop().expect("an entry");
        assert_eq!((entry.about.as_str(), entry.reason.as_deref()), ("capabilities", Some("MALFORMED")), "{method}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_listener_knows_only_its_own_methods() {
    let office = Instance::start().await;
    let (_, invite) = office.grant("owner", r#"{"resources":["tasks"]}"#).await;
    let mut target = tests::asker::target(&invite, None);
    target.addresses.clone_from(&invite.enrol_addresses);
    let door = tests::asker::dialler().dial(&target).await.expect("a connection").channel;
    for method in Method::ALL.into_iter().filter(|method| method.entrance() == Entrance::Federation) {
        let status = call(&door, method.path()).await.expect_err("answered");
        assert_eq!(status.code(), Code::Unimplemented, "{method:?}");
    }
    let home = enrol(&invite).await.dial().await.expect("a connection").channel;
    let status = call(&home, Method::Enroll.path()).await.expect_err("answered");
    assert_eq!(refusal(&status).0, Code::Unimplemented);
}
