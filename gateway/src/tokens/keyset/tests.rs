//! Signatures of every kind that is taken, made here, and what must not pass for one.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PSS_SHA256,
    RsaKeyPair,
};
use serde_json::{Value, json};

use super::*;

/// Key pairs of an issuer.
pub(in crate::tokens) struct Pairs {
    rsa: RsaKeyPair,
    p256: EcdsaKeyPair,
    ed25519: Ed25519KeyPair,
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Pairs {
    pub(in crate::tokens) fn new() -> Self {
        Self {
            rsa: RsaKeyPair::generate(KeySize::Rsa2048).expect("a key"),
            p256: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key"),
            ed25519: Ed25519KeyPair::generate().expect("a key"),
        }
    }

    /// The public keys, with names that begin so.
    pub(in crate::tokens) fn document(&self, name: &str) -> Value {
        // PKCS #1 of 2048 bits and the usual exponent: heads of 9 and 2 bytes.
        let rsa = self.rsa.public_key().as_ref();
        let (modulus, exponent) = (encode(&rsa[9..265]), encode(&rsa[267..]));
        let point = self.p256.public_key().as_ref();
        let (x, y) = (encode(&point[1..33]), encode(&point[33..]));
        json!({"keys": [
            {"kty": "RSA", "kid": format!("{name}-rsa"), "use": "sig", "n": modulus, "e": exponent},
            {"kty": "EC", "kid": format!("{name}-p256"), "crv": "P-256", "alg": "ES256", "x": x, "y": y},
            {"kty": "OKP", "kid": format!("{name}-ed"), "crv": "Ed25519", "x": encode(self.ed25519.public_key())},
            {"kty": "oct", "kid": "shared", "k": "c2VjcmV0"},
            {"kty": "EC", "kid": "large", "crv": "P-521", "x": "AA", "y": "AA"},
            {"kty": "RSA", "kid": "hidden", "use": "enc", "n": "AQAB", "e": "AQAB"},
            "no key",
        ]})
    }

    /// A token; `key` is its header's `kid`, where there is one.
    pub(in crate::tokens) fn token(&self, algorithm: &str, key: Option<&str>, claims: &Value) -> String {
        let mut header = json!({"alg": algorithm, "typ": "JWT"});
        if let Some(key) = key {
            header["kid"] = json!(key);
        }
        let signed = format!("{}.{}", encode(header.to_string()), encode(claims.to_string()));
        let random = SystemRandom::new();
        let rsa = |padding| {
            let mut signature = vec![0; self.rsa.public_modulus_len()];
            self.rsa.sign(padding, &random, signed.as_bytes(), &mut signature).expect("a signature");
            signature
        };
        let signature = match algorithm {
            "RS256" => rsa(&RSA_PKCS1_SHA256),
            "PS256" => rsa(&RSA_PSS_SHA256),
            "ES256" => self.p256.sign(&random, signed.as_bytes()).expect("a signature").as_ref().to_vec(),
            "EdDSA" => self.ed25519.sign(signed.as_bytes()).as_ref().to_vec(),
            _ => Vec::new(),
        };
        format!("{signed}.{}", encode(signature))
    }
}

fn keyset(document: &Value) -> Result<Keyset, &'static str> {
    Keyset::read(document.to_string().as_bytes())
}

#[test]
fn each_kind_of_signature_is_verified_and_no_other_passes() {
    let (ours, theirs) = (Pairs::new(), Pairs::new());
    let keys = keyset(&ours.document("a")).expect("keys");
    let check = |text: &str, expected: Signed| {
        let token = Token::read(text).expect("a token");
        assert_eq!(keys.verify(&token), expected, "{:?} {:?}", token.algorithm, token.key);
    };
    for (algorithm, key) in [("RS256", "a-rsa"), ("PS256", "a-rsa"), ("ES256", "a-p256"), ("EdDSA", "a-ed")] {
        let claims = json!({"sub": "ana"});
        let good = ours.token(algorithm, Some(key), &claims);
        check(&good, Signed::Good);
        check(&ours.token(algorithm, None, &claims), Signed::Good);
        check(&theirs.token(algorithm, Some(key), &claims), Signed::Bad);
        check(&ours.token(algorithm, Some("other"), &claims), Signed::UnknownKey);
        // Other words under the same signature.
        let (signed, signature) = good.rsplit_once('.').expect("a signature");
        let header = signed.split_once('.').expect("a header").0;
        check(&format!("{header}.{}.{signature}", encode(r#"{"sub":"eve"}"#)), Signed::Bad);
        check(&format!("{signed}."), Signed::Bad);
    }
    // A key for one kind of signature serves no other.
    check(&ours.token("ES256", Some("a-rsa"), &json!({})), Signed::UnknownKey);
    check(&ours.token("RS256", Some("shared"), &json!({})), Signed::UnknownKey);
}

#[test]
fn sets_without_a_usable_key_are_refused() {
    for broken in [json!({"keys": []}), json!({"keys": [{"kty": "oct", "k": "x"}]}), json!({}), json!([1])] {
        assert!(keyset(&broken).is_err(), "{broken}");
    }
    let short = json!({"keys": [{"kty": "RSA", "n": encode([7; 128]), "e": "AQAB"}]});
    assert!(keyset(&short).is_err(), "1024 bits are too few");
    assert!(Keyset::read(b"\xff").is_err());
}
