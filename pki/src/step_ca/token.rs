//! One-time tokens: a JWT (RFC 7519) signed with ES256 for exactly one request, bound to the fingerprint of the certificate
//! request it goes with. A CA that has used one up answers 401 to the next that shows it.

use super::{CaError, ProvisionerKey};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use domain::{Time, secret::Secret, world::World};
use serde::Serialize;
use std::time::Duration;

/// From a token's issue to its end.
const LIFE: Duration = Duration::from_mins(4);
/// How far before its issue it is valid, for a CA whose clock is behind; it lives 5 minutes in all.
const SKEW: Duration = Duration::from_mins(1);

#[derive(Serialize)]
struct Header<'a> {
    alg: &'static str,
    typ: &'static str,
    kid: &'a str,
}

/// What every token says.
#[derive(Serialize)]
pub struct Claims<'a> {
    iss: &'a str,
    aud: String,
    sub: &'a str,
    iat: i64,
    nbf: i64,
    exp: i64,
    jti: String,
    /// The names, all of them: a request that asks for others is refused.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    sans: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    cnf: Option<Confirmation>,
    /// What the template reads.
    #[serde(skip_serializing_if = "Option::is_none")]
    mosaic: Option<Order<'a>>,
}

/// What binds a token to one certificate request: base64url of the SHA-256 of its DER.
#[derive(Serialize)]
struct Confirmation {
    #[serde(rename = "x5rt#S256")]
    request: String,
}

/// What the template reads.
#[derive(Clone, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Order<'a> {
    /// The certificate of an asking side.
    Grant {
        /// Its only name.
        id: &'a str,
        /// The grant.
        grant: String,
        /// The user.
        subject: String,
    },
    /// An instance's own certificate.
    Instance {
        /// The URI among its names.
        id: &'a str,
        /// The DNS names.
        names: &'a [String],
    },
}

impl<'a> Claims<'a> {
    /// A fresh token for `aud` about `sub`, good for `provisioner` from a minute ago for five minutes.
    pub fn new(world: &World, provisioner: &'a str, aud: String, sub: &'a str) -> Self {
        let now = world.now();
        let jti = hex::encode(world.bytes::<16>());
        let [iat, nbf, exp] = [now, now.before(SKEW), now + LIFE].map(Time::seconds);
        Self { iss: provisioner, aud, sub, iat, nbf, exp, jti, sans: &[], cnf: None, mosaic: None }
    }

    /// The same, for the certificate request `csr` (DER) with `sans` as its names.
    #[must_use]
    pub fn ordering(self, order: Order<'a>, sans: &'a [String], csr: &[u8]) -> Self {
        let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, csr);
        let cnf = Some(Confirmation { request: BASE64_URL_SAFE_NO_PAD.encode(hash) });
        Self { sans, cnf, mosaic: Some(order), ..self }
    }

    /// Signed, in the compact form (RFC 7515 section 7.1).
    pub fn sign(&self, key: &ProvisionerKey) -> Result<Secret<String>, CaError> {
        if self.mosaic.is_some() && self.sans.is_empty() {
            return Err(CaError::Token("it orders a certificate and names nobody".to_owned()));
        }
        let part = |json: serde_json::Result<Vec<u8>>| json.map(|json| BASE64_URL_SAFE_NO_PAD.encode(json));
        let header = Header { alg: "ES256", typ: "JWT", kid: key.kid() };
        let (header, claims) = (part(serde_json::to_vec(&header)), part(serde_json::to_vec(self)));
        let (Ok(header), Ok(claims)) = (header, claims) else {
            return Err(CaError::Token("its claims cannot be written as JSON".to_owned()));
        };
        let signed = format!("{header}.{claims}");
        let signature = key.sign(signed.as_bytes()).map_err(|error| CaError::Token(error.to_string()))?;
        Ok(Secret::new(format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
    use domain::world::{FakeClock, SeededRng};
    use serde_json::{Value, json};
    use std::sync::Arc;

    fn parts(token: &str) -> [Vec<u8>; 3] {
        let parts: Vec<_> = token.split('.').map(|part| BASE64_URL_SAFE_NO_PAD.decode(part).unwrap()).collect();
        parts.try_into().unwrap()
    }

    #[test]
    fn a_token_says_who_for_whom_for_what_and_for_how_long() {
        let now = Time::from_seconds(1_795_000_000);
        let world = World::new(Arc::new(FakeClock::new(now)), Arc::new(SeededRng::new(7)));
        let (key, _) = ProvisionerKey::generate().unwrap();
        let sans = ["spiffe://x".to_owned()];
        let order = Order::Grant { id: &sans[0], grant: "g".to_owned(), subject: "s".to_owned() };
        let claims = || Claims::new(&world, "mosaic-fed", "https://ca:9000/1.0/sign".to_owned(), "sub");
        let token = claims().ordering(order, &sans, b"abc").sign(&key).unwrap();
        let [header, body, signature] = parts(token.expose());
        let header: Value = serde_json::from_slice(&header).unwrap();
        assert_eq!(header, json!({"alg": "ES256", "typ": "JWT", "kid": key.kid()}));
        let body: Value = serde_json::from_slice(&body).unwrap();
        // FIPS 180-2, appendix B.1, in base64url.
        let fingerprint = "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0";
        assert_eq!(body["cnf"], json!({"x5rt#S256": fingerprint}));
        assert_eq!(body["mosaic"], json!({"kind": "grant", "id": "spiffe://x", "grant": "g", "subject": "s"}));
        assert_eq!((&body["iss"], &body["sub"], &body["sans"]), (&json!("mosaic-fed"), &json!("sub"), &json!(sans)));
        assert_eq!(body["aud"], "https://ca:9000/1.0/sign");
        let [iat, nbf, exp] = ["iat", "nbf", "exp"].map(|name| body[name].as_i64().unwrap());
        assert_eq!((iat, exp - nbf, iat - nbf), (now.seconds(), 300, 60));
        let jwk = serde_json::to_value(key.public()).unwrap();
        let half = |name: &str| BASE64_URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap();
        let point = [vec![4], half("x"), half("y")].concat();
        let signed = token.expose().rsplit_once('.').unwrap().0;
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(signed.as_bytes(), &signature).unwrap();
        assert_ne!(claims().jti, claims().jti);
        let order = Order::Grant { id: &sans[0], grant: "g".to_owned(), subject: "s".to_owned() };
        let nobody = claims().ordering(order, &[], b"abc").sign(&key);
        assert!(nobody.is_err(), "without names in its token a CA takes those of the request");
    }
}
