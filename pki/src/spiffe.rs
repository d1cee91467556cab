//! How an instance is named in a certificate: a SPIFFE id for us, a DNS name for TLS libraries that cannot verify a URI.

use domain::id::{InstanceId, parse_uuid};

const SCHEME: &str = "spiffe://";
const DOMAIN: &str = ".mosaic-fed.internal";
const PATH: &str = "/instance/";

/// The DNS name to verify in an instance's server certificate: `<instance-uuid>.mosaic-fed.internal`. Also the trust domain
/// of everything that instance's CA issues.
pub fn tls_name(instance: InstanceId) -> String {
    format!("{instance}{DOMAIN}")
}

/// The trust domain's own id, in the root certificate: `spiffe://<issuer-uuid>.mosaic-fed.internal` (SPIFFE-ID 2.1).
pub fn trust_domain_id(issuer: InstanceId) -> String {
    format!("{SCHEME}{}", tls_name(issuer))
}

/// An instance's id: `spiffe://<issuer-uuid>.mosaic-fed.internal/instance/<holder-uuid>`.
pub fn instance_id(issuer: InstanceId, holder: InstanceId) -> String {
    format!("{}{PATH}{holder}", trust_domain_id(issuer))
}

/// Issuer and holder of an instance's id. None for anything but the exact form [`instance_id`] writes.
pub fn parse_instance_id(id: &str) -> Option<(InstanceId, InstanceId)> {
    let (domain, holder) = id.strip_prefix(SCHEME)?.split_once(PATH)?;
    let issuer = domain.strip_suffix(DOMAIN)?;
    Some((InstanceId(parse_uuid(issuer)?), InstanceId(parse_uuid(holder)?)))
}

/// The issuer that a trust domain's own id names. None for anything but the exact form [`trust_domain_id`] writes.
pub fn parse_trust_domain_id(id: &str) -> Option<InstanceId> {
    parse_uuid(id.strip_prefix(SCHEME)?.strip_suffix(DOMAIN)?).map(InstanceId)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_back_and_nothing_near_it_is() {
        let (issuer, holder) = ("0f8fad5b-d9cb-469f-a165-70867728950e", "7c9e6679-7425-40de-944b-e07fc1f90ae7");
        let id = instance_id(issuer.parse().unwrap(), holder.parse().unwrap());
        assert_eq!(parse_instance_id(&id), Some((issuer.parse().unwrap(), holder.parse().unwrap())));
        let near = [
            format!("{id}/"),
            format!("{id}?a=b"),
            format!("{id}#f"),
            format!("{id}\0"),
            format!(" {id}"),
            id.to_uppercase(),
            id.replace("spiffe", "SPIFFE"),
            id.replace("instance", "Instance"),
            id.replace("mosaic", "Mosaic"),
            id.replace("internal/", "internal:443/"),
            id.replace("spiffe://", "spiffe://user@"),
            id.replace("/instance/", "/instance//"),
            id.replace("/instance/", "/instance/x/"),
            id.replace("7c9e", "%37c9e"),
            id.replace(".internal", ".internal.evil.example"),
            trust_domain_id(issuer.parse().unwrap()),
        ];
        for other in near {
            assert_eq!(parse_instance_id(&other), None, "{other}");
        }
    }
}
