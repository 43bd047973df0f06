//! An issuer's public keys, as a JSON Web Key Set (RFC 7517) lists them, and signatures against them. It fetches nothing.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, RsaPublicKeyComponents,
    UnparsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use super::token::{Algorithm, Token};

/// Keys of a set at most; what is beyond is not looked at.
const MOST: usize = 100;

/// An issuer's public keys.
#[derive(Debug, Default)]
pub(super) struct Keyset {
    keys: Vec<Key>,
}

#[derive(Debug)]
struct Key {
    id: Option<String>,
    /// The one algorithm that it is for, where it says so.
    algorithm: Option<Algorithm>,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Rsa {
        modulus: Vec<u8>,
        exponent: Vec<u8>,
    },
    /// The uncompressed point.
    P256(Vec<u8>),
    Ed25519(Vec<u8>),
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct Listed {
    kty: String,
    #[serde(default)]
    kid: Option<String>,
    #[serde(default)]
    alg: Option<String>,
    #[serde(default, rename = "use")]
    usage: Option<String>,
    #[serde(default)]
    crv: Option<String>,
    #[serde(default)]
    n: Option<String>,
    #[serde(default)]
    e: Option<String>,
    #[serde(default)]
    x: Option<String>,
    #[serde(default)]
    y: Option<String>,
}

/// What a signature came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signed {
    /// One of the keys made it.
    Good,
    /// None of the keys that it could be of made it.
    Bad,
    /// There is no key that it says it is of.
    UnknownKey,
}

impl Keyset {
    /// Reads a document; keys of kinds that are not taken are left out, as are those for encryption.
    pub(super) fn read(document: &[u8]) -> Result<Self, &'static str> {
        let document: Document = serde_json::from_slice(document).map_err(|_| "it is no set of keys")?;
        let listed = document.keys.into_iter().take(MOST);
        let keys: Vec<Key> = listed.filter_map(|key| Key::of(serde_json::from_value(key).ok()?)).collect();
        if keys.is_empty() { Err("it holds no key that tokens can be checked by") } else { Ok(Self { keys }) }
    }

    /// Looks at a token's signature.
    pub(super) fn verify(&self, token: &Token<'_>) -> Signed {
        let mut signed = Signed::UnknownKey;
        for key in self.keys.iter().filter(|key| key.could_be_of(token)) {
            if key.made(token) {
                return Signed::Good;
            }
            signed = Signed::Bad;
        }
        signed
    }
}

impl Key {
    fn of(listed: Listed) -> Option<Self> {
        if listed.usage.as_deref().is_some_and(|usage| usage != "sig") {
            return None;
        }
        // A key for an algorithm that is not taken is of no use.
        let algorithm = match &listed.alg {
            Some(name) => Some(Algorithm::named(name)?),
            None => None,
        };
        let bytes = |text: &Option<String>| URL_SAFE_NO_PAD.decode(text.as_ref()?).ok();
        let kind = match (listed.kty.as_str(), listed.crv.as_deref()) {
            ("RSA", _) => {
                let strip = |bytes: Vec<u8>| bytes.into_iter().skip_while(|byte| *byte == 0).collect::<Vec<u8>>();
                let (modulus, exponent) = (strip(bytes(&listed.n)?), strip(bytes(&listed.e)?));
                // Shorter ones are refused by what verifies them; saying so early names the right culprit.
                (256..=1024).contains(&modulus.len()).then_some(Kind::Rsa { modulus, exponent })?
            }
            ("EC", Some("P-256")) => {
                let (x, y) = (bytes(&listed.x)?, bytes(&listed.y)?);
                let whole = x.len() == 32 && y.len() == 32;
                whole.then(|| Kind::P256([&[4][..], &x, &y].concat()))?
            }
            ("OKP", Some("Ed25519")) => Kind::Ed25519(bytes(&listed.x).filter(|x| x.len() == 32)?),
            _ => return None,
        };
        Some(Self { id: listed.kid, algorithm, kind })
    }

    /// Whether it is of the right kind, and the one that is named where one is.
    fn could_be_of(&self, token: &Token<'_>) -> bool {
        let kind = matches!(
            (&self.kind, token.algorithm),
            (Kind::Rsa { .. }, Algorithm::Rs256 | Algorithm::Ps256)
                | (Kind::P256(_), Algorithm::Es256)
                | (Kind::Ed25519(_), Algorithm::EdDsa)
        );
        let named = token.key.is_none() || self.id.is_none() || token.key == self.id;
        kind && named && self.algorithm.is_none_or(|algorithm| algorithm == token.algorithm)
    }

    fn made(&self, token: &Token<'_>) -> bool {
        let (message, signature) = (token.signed.as_bytes(), token.signature.as_slice());
        let verified = match &self.kind {
            Kind::Rsa { modulus, exponent } => {
                let parameters = match token.algorithm {
                    Algorithm::Ps256 => &RSA_PSS_2048_8192_SHA256,
                    _ => &RSA_PKCS1_2048_8192_SHA256,
                };
                RsaPublicKeyComponents { n: modulus, e: exponent }.verify(parameters, message, signature)
            }
            Kind::P256(point) => UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature),
            Kind::Ed25519(key) => UnparsedPublicKey::new(&ED25519, key).verify(message, signature),
        };
        verified.is_ok()
    }
}

#[cfg(test)]
pub(super) mod tests;
