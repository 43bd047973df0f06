//! Tokens looked up among issuers, whose keys come, change and fail to come.

use serde_json::{Value, json};
use time::macros::datetime;

use super::super::keyset::tests::Pairs;
use super::*;
use crate::config::{Environment, read};

const NOW: OffsetDateTime = datetime!(2026-11-26 10:00 UTC);

fn issuers() -> Issuers {
    let text = "
callers:
  issuers:
    - {issuer: 'https://id.example', audience: [candor], jwks_file: keys.json, team_claim: team, role: user}
";
    let loaded = read("x", text, None, &Environment::default()).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
    let issuers = Issuers::default();
    issuers.configure(&loaded.config.callers.issuers);
    issuers
}

fn claims(more: &Value) -> Value {
    let mut claims =
        json!({"iss": "https://id.example", "aud": "candor", "sub": "ana", "exp": NOW.unix_timestamp() + 300});
    for (name, value) in more.as_object().expect("claims") {
        claims[name] = value.clone();
    }
    claims
}

#[test]
fn a_good_token_names_its_bearer() {
    let (issuers, pairs) = (issuers(), Pairs::new());
    let text = pairs.token("ES256", Some("a-p256"), &claims(&json!({"team": "research"})));
    assert_eq!(issuers.identify(&text, NOW).err(), Some(Error::KeysUnknown), "its keys were not read yet");
    let all = issuers.all();
    let generation = issuers.generation();
    issuers.replace(&all[0], pairs.document("a").to_string().as_bytes()).expect("keys");
    assert_ne!(issuers.generation(), generation);
    let vouched = issuers.identify(&text, NOW).expect("a caller");
    let expected = Caller {
        name: "ana".to_owned(),
        team: Some("research".to_owned()),
        role: Some("user".to_owned()),
        key_id: Some("token:https://id.example".to_owned()),
    };
    assert_eq!(vouched.caller, expected);
    assert_eq!(vouched.until, NOW + Duration::from_secs(360));
}

#[test]
fn everything_else_is_refused_and_says_why() {
    let (issuers, pairs) = (issuers(), Pairs::new());
    issuers.replace(&issuers.all()[0], pairs.document("a").to_string().as_bytes()).expect("keys");
    let check = |text: &str, part: &str| {
        let Err(Error::Refused(why)) = issuers.identify(text, NOW) else { panic!("{part}: it was not refused") };
        assert!(why.contains(part), "{why}: {part}");
    };
    let token = |more: &Value| pairs.token("EdDSA", Some("a-ed"), &claims(more));
    check(&token(&json!({"iss": "https://evil.example"})), "issuer is not trusted");
    check(&token(&json!({"aud": "others"})), "not for this gateway");
    check(&token(&json!({"exp": 1})), "expired");
    check(&token(&json!({"nbf": NOW.unix_timestamp() + 3600})), "not valid yet");
    check(&token(&json!({"sub": 7})), "who its bearer is");
    check(&token(&json!({"sub": JUDGE})), "who its bearer is");
    check(&pairs.token("none", None, &claims(&json!({}))), "signed in a way");
    check(&pairs.token("HS256", Some("shared"), &claims(&json!({}))), "signed in a way");
    check(&Pairs::new().token("EdDSA", Some("a-ed"), &claims(&json!({}))), "signature");
    check(&pairs.token("EdDSA", Some("b-ed"), &claims(&json!({}))), "does not have");
    check("eyJ.eyJ.x", "cannot be read");
}

#[test]
fn keys_that_stay_are_kept_and_bad_ones_change_nothing() {
    let (issuers, pairs) = (issuers(), Pairs::new());
    let all = issuers.all();
    issuers.replace(&all[0], pairs.document("a").to_string().as_bytes()).expect("keys");
    assert!(issuers.replace(&all[0], b"<html>").is_err());
    issuers.configure(&[all[0].issuer.clone()]);
    let text = pairs.token("RS256", Some("a-rsa"), &claims(&json!({})));
    assert!(issuers.identify(&text, NOW).is_ok());
    issuers.configure(&[]);
    assert!(issuers.is_empty() && issuers.identify(&text, NOW).is_err());
}
