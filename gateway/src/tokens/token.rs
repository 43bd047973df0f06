//! A token's text to its parts, and what it must say to be good. It knows no keys.
//!
//! Form: RFC 7519 in the compact serialisation of RFC 7515. Signed ones only, by RS256, PS256, ES256 or EdDSA: `none` and
//! everything with a shared secret is refused, whatever the header says of itself.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::Value;
use time::OffsetDateTime;

/// Bytes of a token at most.
const LONGEST: usize = 16 << 10;

/// How a token is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Algorithm {
    /// RSA, PKCS #1 1.5, SHA-256.
    Rs256,
    /// RSA, PSS, SHA-256.
    Ps256,
    /// ECDSA on P-256, SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    /// The one of a name.
    pub(super) fn named(name: &str) -> Option<Self> {
        match name {
            "RS256" => Some(Self::Rs256),
            "PS256" => Some(Self::Ps256),
            "ES256" => Some(Self::Es256),
            "EdDSA" | "Ed25519" => Some(Self::EdDsa),
            _ => None,
        }
    }
}

/// Why a token is not good. None of it repeats what the token says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flaw {
    /// It is no signed token.
    Form,
    /// It is signed in a way that is not taken.
    Algorithm,
    /// Its time is over, or it says none.
    Expired,
    /// Its time has not come.
    Early,
    /// It is for somebody else.
    Audience,
    /// It does not say who its bearer is.
    Caller,
}

/// A token whose signature nobody has looked at yet.
#[derive(Debug)]
pub(super) struct Token<'a> {
    pub(super) algorithm: Algorithm,
    /// Which of the issuer's keys signed it.
    pub(super) key: Option<String>,
    /// What it says.
    pub(super) claims: Value,
    /// The text that is signed.
    pub(super) signed: &'a str,
    pub(super) signature: Vec<u8>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    kid: Option<String>,
    #[serde(default)]
    crit: Option<Value>,
}

/// Whether a bearer's text has the form of a token rather than of a key.
#[must_use]
pub fn looks_like_one(text: &str) -> bool {
    text.starts_with("eyJ") && text.bytes().filter(|byte| *byte == b'.').count() == 2
}

impl<'a> Token<'a> {
    /// Takes a token apart.
    pub(super) fn read(text: &'a str) -> Result<Self, Flaw> {
        if text.len() > LONGEST {
            return Err(Flaw::Form);
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(Flaw::Form)?;
        let (header, claims) = signed.split_once('.').ok_or(Flaw::Form)?;
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| Flaw::Form);
        let header: Header = serde_json::from_slice(&decode(header)?).map_err(|_| Flaw::Form)?;
        // Extensions that must be understood are not.
        if header.crit.is_some() {
            return Err(Flaw::Algorithm);
        }
        let algorithm = Algorithm::named(&header.alg).ok_or(Flaw::Algorithm)?;
        let claims: Value = serde_json::from_slice(&decode(claims)?).map_err(|_| Flaw::Form)?;
        if !claims.is_object() {
            return Err(Flaw::Form);
        }
        Ok(Self { algorithm, key: header.kid, claims, signed, signature: decode(signature)? })
    }

    /// Who it says has issued it.
    pub(super) fn issuer(&self) -> Option<&str> {
        self.claims.get("iss")?.as_str()
    }

    /// Whether its time is now and it is for one of these; gives the end of its time.
    pub(super) fn check(
        &self,
        audiences: &[String],
        skew: Duration,
        now: OffsetDateTime,
    ) -> Result<OffsetDateTime, Flaw> {
        let moment = |name: &str| {
            // Seconds since 1970, maybe with a fraction, which nobody needs.
            let value = self.claims.get(name)?;
            let seconds =
                value.as_i64().or_else(|| value.as_f64().and_then(|seconds| format!("{seconds:.0}").parse().ok()))?;
            OffsetDateTime::from_unix_timestamp(seconds).ok()
        };
        let skew = time::Duration::try_from(skew).unwrap_or_default();
        let end = moment("exp").and_then(|end| end.checked_add(skew)).ok_or(Flaw::Expired)?;
        if now >= end {
            return Err(Flaw::Expired);
        }
        if self.claims.get("nbf").is_some() {
            let begin = moment("nbf").and_then(|begin| begin.checked_sub(skew)).ok_or(Flaw::Early)?;
            if now < begin {
                return Err(Flaw::Early);
            }
        }
        let ours = |value: &Value| value.as_str().is_some_and(|one| audiences.iter().any(|ours| ours == one));
        let meant = match self.claims.get("aud") {
            Some(Value::Array(all)) => all.iter().any(ours),
            Some(one) => ours(one),
            None => false,
        };
        if meant { Ok(end) } else { Err(Flaw::Audience) }
    }

    /// A name that it says under a claim: text, or the first of a list. A claim with points is looked for inside others where
    /// none has that whole name.
    pub(super) fn name(&self, claim: &str) -> Option<String> {
        let inside = || claim.split('.').try_fold(&self.claims, |value, part| value.get(part));
        let value = self.claims.get(claim).or_else(inside)?;
        let text = value.as_str().or_else(|| value.as_array()?.first()?.as_str())?.trim();
        let good = !text.is_empty() && text.len() <= 200 && !text.chars().any(char::is_control);
        good.then(|| text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-11-26 10:00 UTC);

    fn text(header: &Value, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        format!("{}.{}.{}", part(header), part(claims), URL_SAFE_NO_PAD.encode("signature"))
    }

    #[test]
    fn only_signatures_by_a_key_pair_are_taken() {
        for (algorithm, expected) in [
            ("RS256", Ok(Algorithm::Rs256)),
            ("PS256", Ok(Algorithm::Ps256)),
            ("ES256", Ok(Algorithm::Es256)),
            ("EdDSA", Ok(Algorithm::EdDsa)),
            ("none", Err(Flaw::Algorithm)),
            ("None", Err(Flaw::Algorithm)),
            ("HS256", Err(Flaw::Algorithm)),
            ("RS1", Err(Flaw::Algorithm)),
            ("", Err(Flaw::Algorithm)),
        ] {
            let text = text(&json!({"alg": algorithm}), &json!({}));
            assert_eq!(Token::read(&text).map(|token| token.algorithm), expected, "{algorithm}");
        }
        let critical = text(&json!({"alg": "RS256", "crit": ["b64"], "b64": false}), &json!({}));
        assert_eq!(Token::read(&critical).err(), Some(Flaw::Algorithm));
    }

    #[test]
    fn what_is_no_token_is_refused() {
        let good = text(&json!({"alg": "ES256"}), &json!({}));
        assert!(looks_like_one(&good) && !looks_like_one("ck-0123") && !looks_like_one("eyJ.x"));
        let list = text(&json!({"alg": "ES256"}), &json!([]));
        let long = format!("{good}{}", "a".repeat(LONGEST));
        for broken in ["", ".", "..", "eyJ..", "a.b.c", &good[..good.len() - 30], &format!("{good}="), &list, &long] {
            assert_eq!(Token::read(broken).err(), Some(Flaw::Form), "{}", broken.len());
        }
    }

    #[test]
    fn time_and_audience_must_fit() {
        let check = |claims: Value, expected: Result<(), Flaw>| {
            let text = text(&json!({"alg": "ES256"}), &claims);
            let token = Token::read(&text).expect("a token");
            let found = token.check(&["candor".to_owned()], Duration::from_secs(60), NOW).map(|_| ());
            assert_eq!(found, expected, "{claims}");
        };
        let now = NOW.unix_timestamp();
        check(json!({"exp": now + 10, "aud": "candor"}), Ok(()));
        check(json!({"exp": now - 59, "aud": ["other", "candor"]}), Ok(()));
        check(json!({"exp": now as f64 + 10.5, "nbf": now + 59, "aud": "candor"}), Ok(()));
        check(json!({"exp": now - 60, "aud": "candor"}), Err(Flaw::Expired));
        check(json!({"aud": "candor"}), Err(Flaw::Expired));
        check(json!({"exp": "tomorrow", "aud": "candor"}), Err(Flaw::Expired));
        check(json!({"exp": i64::MAX, "aud": "candor"}), Err(Flaw::Expired));
        check(json!({"exp": 1e300, "aud": "candor"}), Err(Flaw::Expired));
        check(json!({"exp": now + 10, "nbf": now + 61, "aud": "candor"}), Err(Flaw::Early));
        check(json!({"exp": now + 10, "nbf": "x", "aud": "candor"}), Err(Flaw::Early));
        check(json!({"exp": now + 10, "aud": "others"}), Err(Flaw::Audience));
        check(json!({"exp": now + 10, "aud": [7, null]}), Err(Flaw::Audience));
        check(json!({"exp": now + 10}), Err(Flaw::Audience));
    }

    #[test]
    fn names_are_found_in_claims_and_inside_them() {
        let claims = json!({"sub": " ana ", "https://x.y/team": "a", "realm": {"roles": ["dev", "ops"]}, "bad": "a\nb", "no": 7});
        let text = text(&json!({"alg": "ES256"}), &claims);
        let token = Token::read(&text).expect("a token");
        let found = ["sub", "https://x.y/team", "realm.roles", "bad", "no", "none", "realm.none.x"]
            .map(|claim| token.name(claim));
        let expected = [Some("ana"), Some("a"), Some("dev"), None, None, None, None];
        assert_eq!(found.each_ref().map(Option::as_deref), expected);
    }
}
