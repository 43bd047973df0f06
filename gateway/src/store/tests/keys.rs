//! Keys: made, read, revoked.

use aws_lc_rs::digest::{SHA256, digest};

use super::with_store;
use crate::config::Terms;
use crate::ledger::leaf::Kind;
use crate::store::events::{Wanted, list};
use crate::store::keys::{NewKey, Revoked, create, load_all, revoke};

#[test]
fn a_key_is_kept_as_its_hash_and_can_be_revoked_once() {
    with_store(async |store| {
        let new = NewKey {
            caller: "ana".to_owned(),
            team: Some("research".to_owned()),
            role: None,
            expires: None,
            terms: Terms {
                models: Some(vec!["r1".to_owned(), "gpt-*".to_owned()]),
                budget_day: Some(7),
                ..Terms::default()
            },
        };
        let (made, key) = create(&store, &new, Some("ops")).await.expect("a key");
        let (other, _) = create(&store, &new, None).await.expect("another key");
        assert_eq!(made.hash.as_slice(), digest(&SHA256, key.as_bytes()).as_ref());
        assert_eq!(load_all(&store).await, Ok(vec![made.clone(), other]));

        assert_eq!(revoke(&store, &made.id, None).await, Ok(Revoked::Now));
        let read = load_all(&store).await.expect("keys");
        let when = read.iter().find(|key| key.id == made.id).and_then(|key| key.revoked).expect("a time");
        assert_eq!(revoke(&store, &made.id, None).await, Ok(Revoked::Before(when)));
        assert_eq!(revoke(&store, "key_unknown", None).await, Ok(Revoked::Unknown));

        let wanted = Wanted {
            since: made.created - time::Duration::HOUR,
            kinds: Kind::events().collect(),
            exchange: None,
            limit: 10,
        };
        let told = list(&store, &wanted).await.expect("events");
        let kinds: Vec<&str> = told.iter().map(|event| event.kind.as_str()).collect();
        assert_eq!(kinds, ["key_revoke", "key_create", "key_create"], "what was done, once each");
        let text: serde_json::Value = serde_json::from_str(&told[2].text).expect("JSON");
        assert_eq!(
            (&text["key"], &text["by"], &text["budget_day"]),
            (&made.id.as_str().into(), &"ops".into(), &7.into())
        );
        assert!(!told.iter().any(|event| event.text.contains(&key)));
        let few = list(&store, &Wanted { kinds: vec![Kind::KeyCreate], limit: 1, ..wanted }).await.expect("events");
        assert_eq!(few, told[1..2]);
    });
}
