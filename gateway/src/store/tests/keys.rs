//! Keys: made, read, revoked.

use aws_lc_rs::digest::{SHA256, digest};

use super::with_store;
use crate::config::Terms;
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
        let (made, key) = create(&store, &new).await.expect("a key");
        let (other, _) = create(&store, &new).await.expect("another key");
        assert_eq!(made.hash.as_slice(), digest(&SHA256, key.as_bytes()).as_ref());
        assert_eq!(load_all(&store).await, Ok(vec![made.clone(), other]));

        assert_eq!(revoke(&store, &made.id).await, Ok(Revoked::Now));
        let read = load_all(&store).await.expect("keys");
        let when = read.iter().find(|key| key.id == made.id).and_then(|key| key.revoked).expect("a time");
        assert_eq!(revoke(&store, &made.id).await, Ok(Revoked::Before(when)));
        assert_eq!(revoke(&store, "key_unknown").await, Ok(Revoked::Unknown));
    });
}
