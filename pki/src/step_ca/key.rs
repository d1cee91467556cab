//! The key that signs one-time tokens: whoever has it can have certificates of this CA made, so it is as secret as the CA's own.

use crate::request::KeyError;
use aws_lc_rs::{
    digest,
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use base64::{Engine, prelude::BASE64_STANDARD, prelude::BASE64_URL_SAFE_NO_PAD};
use domain::secret::Secret;
use rustls_pki_types::{PrivatePkcs8KeyDer, pem::PemObject};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// A P-256 key of a JWK provisioner. Not printable.
pub struct ProvisionerKey {
    pair: EcdsaKeyPair,
    public: PublicJwk,
}

/// The public half (RFC 7517), as `ca.json` wants it in a provisioner's `key`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PublicJwk {
    #[serde(rename = "use")]
    usage: &'static str,
    kty: &'static str,
    kid: String,
    crv: &'static str,
    alg: &'static str,
    x: String,
    y: String,
}

/// A private key as `step crypto jwk create --no-password --insecure` writes it.
#[derive(Deserialize)]
struct PrivateJwk {
    kty: String,
    crv: String,
    kid: Option<String>,
    x: String,
    y: String,
    d: String,
}

impl ProvisionerKey {
    /// Makes a new key: the key, and its PKCS #8 in PEM for a file that nobody else may read.
    ///
    /// # Errors
    /// The machine gives no randomness.
    pub fn generate() -> Result<(Self, Secret<String>), KeyError> {
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())
            .map_err(|_| KeyError("the cipher library gave no reason".to_owned()))?;
        let key = Self::from_pkcs8(document.as_ref())?;
        Ok((key, Secret::new(pem("PRIVATE KEY", document.as_ref()))))
    }

    /// Reads a key file: PKCS #8 in PEM, or a JWK; neither encrypted.
    pub fn from_text(text: &str) -> Result<Self, KeyError> {
        let text = text.trim();
        if text.starts_with('{') {
            return Self::from_jwk(text);
        }
        if text.contains("ENCRYPTED") {
            return Err(bad("it is encrypted; write it without a password, in a file of mode 0600"));
        }
        let der = PrivatePkcs8KeyDer::from_pem_slice(text.as_bytes())
            .map_err(|_| bad("it is neither PKCS #8 in PEM (`BEGIN PRIVATE KEY`) nor a JWK"))?;
        Self::from_pkcs8(der.secret_pkcs8_der())
    }

    /// The key's id: what the JWK calls it, else its thumbprint (RFC 7638).
    pub fn kid(&self) -> &str {
        &self.public.kid
    }

    /// The public half.
    pub fn public(&self) -> &PublicJwk {
        &self.public
    }

    /// Signs for ES256 (RFC 7518 section 3.4): 64 bytes.
    pub(crate) fn sign(&self, bytes: &[u8]) -> Result<Vec<u8>, KeyError> {
        let signed = self.pair.sign(&SystemRandom::new(), bytes).map_err(|_| bad("it does not sign"))?;
        Ok(signed.as_ref().to_vec())
    }

    fn from_pkcs8(der: &[u8]) -> Result<Self, KeyError> {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der)
            .map_err(|_| bad("it is no ECDSA key on P-256"))?;
        Self::with(pair, None)
    }

    fn from_jwk(text: &str) -> Result<Self, KeyError> {
        // The parser's own words would quote the key.
        let jwk: PrivateJwk = serde_json::from_str(text)
            .map_err(|_| bad("it is no private JWK; an encrypted one is read after `step crypto jwe decrypt`"))?;
        if (jwk.kty.as_str(), jwk.crv.as_str()) != ("EC", "P-256") {
            return Err(bad("it is no ECDSA key on P-256"));
        }
        let [x, y] = [&jwk.x, &jwk.y].map(|half| BASE64_URL_SAFE_NO_PAD.decode(half));
        let secret = BASE64_URL_SAFE_NO_PAD.decode(&*Zeroizing::new(jwk.d)).map(Zeroizing::new);
        let (Ok(x), Ok(y), Ok(secret)) = (x, y, secret) else { return Err(bad("its numbers are not base64url")) };
        let point = [&[4], x.as_slice(), y.as_slice()].concat();
        let pair = EcdsaKeyPair::from_private_key_and_public_key(&ECDSA_P256_SHA256_FIXED_SIGNING, &secret, &point)
            .map_err(|_| bad("its numbers are no pair of keys on P-256"))?;
        Self::with(pair, jwk.kid)
    }

    fn with(pair: EcdsaKeyPair, kid: Option<String>) -> Result<Self, KeyError> {
        let [4, point @ ..] = pair.public_key().as_ref() else { return Err(bad("its point is compressed")) };
        let (x, y) = point.split_at_checked(32).ok_or_else(|| bad("its point is too short"))?;
        let [x, y] = [x, y].map(|half| BASE64_URL_SAFE_NO_PAD.encode(half));
        let kid = kid.unwrap_or_else(|| thumbprint(&x, &y));
        let public = PublicJwk { usage: "sig", kty: "EC", kid, crv: "P-256", alg: "ES256", x, y };
        Ok(Self { pair, public })
    }
}

/// RFC 7638: the required members in this order, no blanks.
fn thumbprint(x: &str, y: &str) -> String {
    let members = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
    BASE64_URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, members.as_bytes()))
}

/// RFC 7468, strict form.
pub(crate) fn pem(label: &str, der: &[u8]) -> String {
    let text = Zeroizing::new(BASE64_STANDARD.encode(der));
    let mut written = Zeroizing::new(format!("-----BEGIN {label}-----\n"));
    for (at, letter) in text.chars().enumerate() {
        written.push(letter);
        if at % 64 == 63 {
            written.push('\n');
        }
    }
    if !text.len().is_multiple_of(64) {
        written.push('\n');
    }
    [&written, "-----END ", label, "-----\n"].concat()
}

fn bad(why: &str) -> KeyError {
    KeyError(format!("the provisioner's key cannot be used: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key of RFC 7515 appendix A.3.
    const JWK: &str = r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0","d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"}"#;

    #[test]
    fn a_key_file_is_pkcs8_in_pem_or_a_jwk() {
        let (made, text) = ProvisionerKey::generate().unwrap();
        assert_eq!(ProvisionerKey::from_text(text.expose()).unwrap().kid(), made.kid());
        assert!(text.expose().lines().all(|line| line.len() <= 64));
        let jwk = ProvisionerKey::from_text(JWK).unwrap();
        assert_eq!(jwk.public().x, "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU");
        assert_eq!(jwk.kid(), thumbprint(&jwk.public.x, &jwk.public.y));
        let named = JWK.replacen('{', r#"{"kid":"mine","#, 1);
        assert_eq!(ProvisionerKey::from_text(&named).unwrap().kid(), "mine");
    }

    #[test]
    fn a_key_file_that_is_none_says_why_and_shows_nothing_of_it() {
        let secret = "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI";
        for (text, why) in [
            (String::new(), "neither PKCS #8"),
            ("-----BEGIN ENCRYPTED PRIVATE KEY-----".to_owned(), "encrypted"),
            (JWK.replace("\"d\"", "\"e\""), "no private JWK"),
            (JWK.replace("P-256", "P-384"), "no ECDSA key on P-256"),
            (JWK.replace(secret, "!!"), "not base64url"),
            (JWK.replace(secret, "AAAA"), "no pair of keys"),
        ] {
            let error = ProvisionerKey::from_text(&text).err().unwrap().to_string();
            assert!(error.contains(why) && !error.contains(secret), "{error}");
        }
    }
}
