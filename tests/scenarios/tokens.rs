//! Callers with signed tokens of an issuer whose keys are fetched, changed and unreachable meanwhile.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::{KeyPair, PKCS_ED25519, PublicKeyData, SigningKey};
use serde_json::{Value, json};

use super::errors::envelope;
use crate::harness::client::Client;
use crate::harness::gateway::{Gateway, Setup};
use crate::harness::script::Reply;
use crate::harness::upstream::Upstream;
use crate::harness::wait::until;

/// One key pair of an issuer.
struct Signer {
    name: &'static str,
    pair: KeyPair,
}

impl Signer {
    fn new(name: &'static str) -> Self {
        Self { name, pair: KeyPair::generate_for(&PKCS_ED25519).expect("a key") }
    }

    /// The public key, as a set of keys lists it.
    fn public(&self) -> Value {
        let x = URL_SAFE_NO_PAD.encode(self.pair.der_bytes());
        json!({"kty": "OKP", "crv": "Ed25519", "kid": self.name, "use": "sig", "x": x})
    }

    fn token(&self, claims: &Value) -> String {
        let header = json!({"alg": "EdDSA", "typ": "JWT", "kid": self.name});
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&header), part(claims));
        let signature = self.pair.sign(signed.as_bytes()).expect("a signature");
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

/// An issuer on a socket; it lists what it is told to list, or fails.
struct Issuer {
    server: Upstream,
    listed: Arc<Mutex<Option<Vec<Value>>>>,
}

impl Issuer {
    async fn new(keys: Option<Vec<Value>>) -> Self {
        let listed = Arc::new(Mutex::new(keys));
        let shown = listed.clone();
        let server = Upstream::answering(move |_| match &*shown.lock().expect("keys") {
            Some(keys) => Reply::json(200, json!({"keys": keys}).to_string()),
            None => Reply::json(500, "{}"),
        })
        .await;
        Self { server, listed }
    }

    fn list(&self, keys: Option<Vec<Value>>) {
        *self.listed.lock().expect("keys") = keys;
    }

    /// An issuer by this name, whose own document says where its keys are.
    async fn telling(keys: Vec<Value>) -> (Self, String) {
        let address = Arc::new(Mutex::new(String::new()));
        let told = address.clone();
        let server = Upstream::answering(move |received| {
            let name = told.lock().expect("an address").clone();
            match received.path.as_str() {
                "/v1/realm/.well-known/openid-configuration" => {
                    Reply::json(200, json!({"issuer": name, "jwks_uri": format!("{name}certs")}).to_string())
                }
                "/v1/realm/certs" => Reply::json(200, json!({"keys": keys}).to_string()),
                _ => Reply::json(404, "{}"),
            }
        })
        .await;
        let name = format!("{}/realm/", server.base_url());
        address.lock().expect("an address").clone_from(&name);
        (Self { server, listed: Arc::default() }, name)
    }

    async fn gateway(&self, upstream: &Upstream, more: &Value) -> Gateway {
        let mut issuer = json!({
            "issuer": "https://id.example", "audience": ["candor"], "jwks_url": format!("{}/keys", self.server.base_url()),
            "team_claim": "groups", "role_claim": "realm.role", "refresh": "1s",
        });
        for (name, value) in more.as_object().expect("settings") {
            issuer[name] = value.clone();
        }
        Setup::before(upstream).with(json!({"callers": {"issuers": [issuer]}})).start().await
    }
}

fn claims(seconds: i64) -> Value {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs();
    json!({
        "iss": "https://id.example", "aud": ["others", "candor"], "sub": "ana", "exp": i64::try_from(now).expect("small") + seconds,
        "groups": ["research", "more"], "realm": {"role": "developer"},
    })
}

fn ask() -> Value {
    json!({"model": "m", "messages": [{"role": "user", "content": "Hello"}]})
}

async fn becomes(client: &Client, status: u16) {
    until("keys", async || (client.chat(&ask()).await.status == status).then_some(())).await;
}

#[tokio::test]
async fn a_token_says_who_its_bearer_is_and_is_kept_nowhere() {
    let upstream = Upstream::always(Reply::saying("yes")).await;
    let signer = Signer::new("first");
    let issuer = Issuer::new(Some(vec![signer.public()])).await;
    let mut gateway = issuer.gateway(&upstream, &json!({"requests_per_minute": 100, "models": ["m"]})).await;
    let token = signer.token(&claims(600));
    let ana = gateway.stranger().key(&token);
    becomes(&ana, 200).await;
    let answer = ana.chat(&ask()).await;
    assert_eq!(answer.header("x-ratelimit-limit-requests"), "100");
    let record = gateway.record(&answer.id()).await;
    let who = ["caller", "team", "role", "key_id"].map(|name| record[name].as_str().unwrap_or_default().to_owned());
    assert_eq!(who, ["ana", "research", "developer", "token:https://id.example"]);
    let mut other = ask();
    other["model"] = json!("n");
    assert_eq!(ana.chat(&other).await.status, 403);
    let forged = Signer::new("first").token(&claims(600));
    for bad in [forged, signer.token(&claims(-3600)), token.replace("eyJ", "eyK")] {
        let (status, _, code) = envelope(gateway.stranger().key(&bad).chat(&ask()).await).await;
        assert_eq!((status, code.as_str()), (401, "invalid_api_key"));
    }
    gateway.stop().await;
    assert!(!gateway.log().contains(&token), "the token is logged");
    for received in upstream.received() {
        assert!(!format!("{:?}", received.headers).contains(&token), "the token went on to the upstream");
    }
}

#[tokio::test]
async fn keys_may_come_late_change_and_be_unreachable() {
    let upstream = Upstream::always(Reply::saying("yes")).await;
    let (first, second) = (Signer::new("first"), Signer::new("second"));
    let issuer = Issuer::new(None).await;
    let gateway = issuer.gateway(&upstream, &json!({})).await;
    let ana = gateway.stranger().key(&first.token(&claims(600)));
    let answer = ana.chat(&ask()).await;
    assert!(!answer.header("retry-after").is_empty());
    assert_eq!(envelope(answer).await.0, 503, "nobody can say yet whether it is good");
    issuer.list(Some(vec![first.public()]));
    becomes(&ana, 200).await;
    // A new key is there as soon as it is listed, the old one until it is taken off the list.
    let ben = gateway.stranger().key(&second.token(&claims(600)));
    assert_ne!(ben.chat(&ask()).await.status, 200);
    issuer.list(Some(vec![first.public(), second.public()]));
    becomes(&ben, 200).await;
    assert_eq!(ana.chat(&ask()).await.status, 200);
    issuer.list(Some(vec![second.public()]));
    becomes(&ana, 401).await;
    // What was known last stays good.
    issuer.list(None);
    let asked = issuer.server.received().len();
    until("further attempts", async || (issuer.server.received().len() > asked + 1).then_some(())).await;
    assert_eq!(ben.chat(&ask()).await.status, 200);
}

#[tokio::test]
async fn an_issuer_says_itself_where_its_keys_are() {
    let upstream = Upstream::always(Reply::saying("yes")).await;
    let signer = Signer::new("first");
    let (issuer, name) = Issuer::telling(vec![signer.public()]).await;
    let gateway = issuer.gateway(&upstream, &json!({"issuer": name, "jwks_url": null})).await;
    let mut claims = claims(600);
    claims["iss"] = json!(name);
    becomes(&gateway.stranger().key(&signer.token(&claims)), 200).await;
}

#[tokio::test]
async fn unknown_keys_do_not_make_the_gateway_hammer_the_issuer() {
    let upstream = Upstream::always(Reply::saying("yes")).await;
    let signer = Signer::new("first");
    let issuer = Issuer::new(Some(vec![signer.public()])).await;
    let gateway = issuer.gateway(&upstream, &json!({"refresh": "1h"})).await;
    becomes(&gateway.stranger().key(&signer.token(&claims(600))), 200).await;
    let begun = std::time::Instant::now();
    for _ in 0..50 {
        let stranger = Signer::new("made-up").token(&claims(600));
        assert_ne!(gateway.stranger().key(&stranger).chat(&ask()).await.status, 200);
    }
    // Once at the start, and at most once in five seconds.
    let most = 2 + begun.elapsed().as_secs() / Duration::from_secs(5).as_secs();
    let asked = issuer.server.received().len() as u64;
    assert!(asked <= most, "{asked} times");
}
