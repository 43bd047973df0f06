//! What a configuration file comes to, right and wrong.

use super::{Config, Environment, Mistake, Recording, Transport, UpstreamKind, read};

fn mistakes(text: &str) -> Vec<Mistake> {
    read("candor.yaml", text, None, &Environment::default()).err().unwrap_or_default()
}

fn config(text: &str, environment: &Environment) -> Config {
    match read("candor.yaml", text, None, environment) {
        Ok(loaded) => loaded.config,
        Err(mistakes) => panic!("{}", mistakes.iter().map(|m| format!("{m}\n")).collect::<String>()),
    }
}

#[test]
fn an_empty_file_is_a_working_gateway_without_upstreams() {
    let config = config("", &Environment::default());
    assert!(matches!(config.listen.transport, Transport::Tls(_)));
    assert!(config.upstreams.is_empty() && config.models.is_empty());
}

#[test]
fn every_mistake_is_told_at_once_with_its_line() {
    let text = "\
listen: {adress: '127.0.0.1:1'}
limits:
  header_time: soon
  body_bytes: 12 parsecs
upstreams:
  - {name: a, provider: opennai, base_url: 'http://127.0.0.1:1/v1'}
  - {name: a, base_url: 'ftp://x'}
models:
  - {name: m, recording: sometimes, candidates: [{upstream: b}]}
";
    let found: Vec<(u64, String)> = mistakes(text).iter().map(|m| (m.place.line, m.to_string())).collect();
    let expected = [
        (1, "listen.adress"),
        (3, "limits.header_time"),
        (4, "limits.body_bytes"),
        (6, "opennai"),
        (7, "base_url"),
        (7, "defined twice"),
        (9, "sometimes"),
        (9, "no upstream is named `b`"),
    ];
    for (line, part) in expected {
        assert!(found.iter().any(|(at, text)| *at == line && text.contains(part)), "{line} {part}: {found:#?}");
    }
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    assert!(found.iter().any(|(_, text)| text.contains("did you mean `address`?")));
}

#[test]
fn broken_yaml_is_one_mistake_with_a_place() {
    for text in ["listen: [", "a: b: c", "\t- x", "listen: {address: 'x}"] {
        let mistakes = mistakes(text);
        assert_eq!(mistakes.len(), 1, "{text}: {mistakes:?}");
        assert!(mistakes.iter().all(|m| m.place.line > 0), "{mistakes:?}");
    }
}

#[test]
fn plain_http_stays_on_loopback_unless_forced() {
    assert_eq!(mistakes("listen: {address: '0.0.0.0:80', plain: true}").len(), 1);
    assert!(mistakes("listen: {address: '0.0.0.0:80', plain: true, plain_anywhere: true}").is_empty());
    assert!(mistakes("listen: {address: '127.0.0.1:80', plain: true}").is_empty());
}

#[test]
fn the_environment_overrides_the_file_and_its_typing_errors_are_told() {
    let environment = Environment::from([("CANDOR_LIMITS_CONNECTIONS", "7"), ("CANDOR_DRAIN", "1s")]);
    let config = config("limits: {connections: 9}", &environment);
    assert_eq!(config.limits.connections, 7);
    let wrong = Environment::from([("CANDOR_LIMITS_CONECTIONS", "7")]);
    let told = read("candor.yaml", "", None, &wrong).err().unwrap_or_default();
    assert!(told.iter().any(|m| m.to_string().contains("CANDOR_LIMITS_CONNECTIONS")), "{told:?}");
}

#[test]
fn secrets_are_read_from_variables_and_never_shown() {
    let text = "\
upstreams:
  - {name: a, base_url: 'http://127.0.0.1:1/v1', key_env: UPSTREAM_KEY}
callers: {keys: [{caller: alice, key: sk-0123456789abcdef}]}
";
    let environment = Environment::from([("UPSTREAM_KEY", "very-secret")]);
    let loaded = read("candor.yaml", text, None, &environment).expect("valid");
    let shown = format!("{:?} {}", loaded.config, loaded.resolved);
    assert!(!shown.contains("very-secret") && !shown.contains("0123456789abcdef"), "{shown}");
    let UpstreamKind::Remote(remote) = &loaded.config.upstreams[0].kind else { panic!("remote") };
    assert_eq!(remote.key.as_ref().map(super::Secret::reveal), Some("very-secret"));
    assert_eq!(mistakes(text).len(), 1, "an unset variable is a mistake");
}

#[test]
fn an_issuers_keys_are_where_it_is_said_or_where_its_name_leads() {
    let keys = |more: &str| {
        let text = format!("callers: {{issuers: [{{audience: [candor], {more}}}]}}");
        let loaded = read("candor.yaml", &text, None, &Environment::default());
        loaded.map(|loaded| loaded.config.callers.issuers[0].keys.clone())
    };
    let discovered = "https://id.example/t/.well-known/openid-configuration".to_owned();
    for name in ["https://id.example/t", "https://id.example/t/"] {
        let expected = super::KeySource::Discovered { url: discovered.clone(), roots: None };
        assert_eq!(keys(&format!("issuer: '{name}'")).ok(), Some(expected));
    }
    let url = super::KeySource::Url { url: "https://id.example/k".to_owned(), roots: None };
    assert_eq!(keys("issuer: us, jwks_url: 'https://id.example/k'").ok(), Some(url));
    assert!(keys("issuer: 'https://id.example', jwks_url: null").is_ok(), "nothing is said of it");
    assert_eq!(mistakes("upstreams: [{name: a, base_url: null}]").len(), 1);
    for (more, part) in [
        ("issuer: us", "needs `jwks_url` or `jwks_file`"),
        ("issuer: 'http://id.example'", "needs `jwks_url` or `jwks_file`"),
        ("issuer: us, jwks_url: 'http://id.example/k'", "jwks_url must be"),
        ("issuer: us, jwks_url: 'https://id.example/k', jwks_file: k.json", "keep one"),
        ("jwks_file: k.json", "issuer"),
    ] {
        let told = keys(more).err().unwrap_or_default();
        assert!(told.len() == 1 && told[0].to_string().contains(part), "{more}: {told:?}");
    }
}

#[test]
fn files_of_secrets_are_looked_for_beside_the_configuration() {
    let folder = std::env::temp_dir().join(format!("candor-config-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::write(folder.join("up.key"), "very-secret\n").expect("a file");
    let text = "upstreams: [{name: a, base_url: 'http://127.0.0.1:1/v1', key_file: up.key}]";
    let loaded = read("candor.yaml", text, Some(&folder), &Environment::default());
    let elsewhere = read("candor.yaml", text, Some(&folder.join("other")), &Environment::default());
    std::fs::remove_dir_all(&folder).expect("removed");
    let loaded = loaded.expect("valid");
    let UpstreamKind::Remote(remote) = &loaded.config.upstreams[0].kind else { panic!("remote") };
    assert_eq!(remote.key.as_ref().map(super::Secret::reveal), Some("very-secret"));
    assert_eq!(loaded.files, [folder.join("up.key")]);
    let told = elsewhere.err().unwrap_or_default();
    assert!(told[0].to_string().contains("other/up.key` cannot be read"), "{told:?}");
}

#[test]
fn beside_the_traffic_its_secrets_are_not_needed() {
    let text = "
database: {url_env: DATABASE}
upstreams: [{name: a, base_url: 'http://h/v1', key_env: UPSTREAM}, {name: b, base_url: 'http://h/v1', key_file: no/such}]
models: [{name: m, candidates: [{upstream: a}]}]
callers: {keys: [{caller: ana, key_env: ANA}]}
audit: {canary: {route: m, key_env: CANARY, webhook_env: ALERTS}}
";
    let given = Environment::from([("DATABASE", "postgres://h/d")]);
    let told = read("candor.yaml", text, None, &given).err().unwrap_or_default();
    assert!(told.len() >= 5, "{told:?}");
    let loaded = read("candor.yaml", text, None, &given.clone().aside()).expect("valid");
    assert!(matches!(loaded.config.database, super::Database::Url(_)) && loaded.config.callers.keys.is_empty());
    let told = read("candor.yaml", text, None, &Environment::default().aside()).err().unwrap_or_default();
    assert!(told.len() == 1 && told[0].to_string().contains("DATABASE"), "{told:?}");
    let wrong =
        read("candor.yaml", "upstreams: [{name: a, base_url: 'http://h/v1', kee_env: X}]", None, &given.aside());
    assert!(wrong.is_err(), "what is wrong stays so");
}

#[test]
fn without_models_every_name_goes_to_the_upstreams_in_order() {
    let text = "upstreams: [{name: a, base_url: 'http://h/v1'}, {name: b, base_url: 'http://h/v1'}]";
    let config = config(text, &Environment::default());
    assert_eq!(config.models[0].name, "*");
    assert_eq!(config.models[0].recording, Recording::Required);
    let order: Vec<_> = config.models[0].candidates.iter().map(|c| (c.upstream.as_str(), c.priority)).collect();
    assert_eq!(order, [("a", 0), ("b", 1)]);
}
