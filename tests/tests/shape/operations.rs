//! Default deny, totally: what the wire can carry and what can be decided are the same list.

use domain::operation::{
    Capabilities, Connect, Disconnect, Enroll, Get, HealthCheck, HealthWatch, List, Method, Operation, Renew, Session,
};
use prost_reflect::DescriptorPool;
use std::collections::BTreeSet;

/// `:path` of every RPC in an encoded descriptor set.
fn paths(descriptors: &[u8]) -> BTreeSet<String> {
    let pool = DescriptorPool::decode(descriptors).unwrap();
    pool.services()
        .flat_map(|service| {
            service.methods().map(|rpc| format!("/{}/{}", service.full_name(), rpc.name())).collect::<Vec<_>>()
        })
        .collect()
}

#[test]
fn every_rpc_of_the_descriptor_has_an_operation_and_every_operation_an_rpc() {
    let wire: BTreeSet<_> =
        paths(proto::DESCRIPTOR).into_iter().chain(paths(tonic_health::pb::FILE_DESCRIPTOR_SET)).collect();
    let decided: BTreeSet<_> = Method::ALL.iter().map(|method| method.path().to_owned()).collect();
    assert_eq!(wire, decided);
    assert_eq!(decided.len(), Method::ALL.len(), "two methods share a path");
}

#[test]
fn every_path_leads_back_to_its_method_and_no_other_spelling_does() {
    for method in Method::ALL {
        let path = method.path();
        assert_eq!(Method::from_path(path), Some(method));
        let forms = [
            path.trim_start_matches('/').to_owned(),
            format!("/{path}"),
            format!("{path}/"),
            path.to_lowercase(),
            path.replace('.', "%2E"),
            format!("{path}?"),
        ];
        for form in forms {
            assert_eq!(Method::from_path(&form), None, "{form}");
        }
    }
}

#[test]
fn every_method_is_the_meaning_of_exactly_one_operation() {
    let operations = [
        Enroll::METHOD,
        Connect::METHOD,
        Disconnect::METHOD,
        Renew::METHOD,
        Session::METHOD,
        Capabilities::METHOD,
        List::METHOD,
        Get::METHOD,
        HealthCheck::METHOD,
        HealthWatch::METHOD,
    ];
    assert_eq!(operations, Method::ALL);
}
