//! Small maps that are read on every exchange and hardly ever grow: reading takes no lock and allocates nothing. They
//! do not forget.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

/// Values by key, for a handful of keys: searched one after the other.
#[derive(Debug)]
pub(super) struct Few<K, V> {
    pairs: ArcSwap<Vec<(K, V)>>,
    growing: Mutex<()>,
}

impl<K: PartialEq + Clone, V: Clone> Few<K, V> {
    /// The value of a key, made where it is new.
    pub(super) fn get(&self, key: &K, make: impl FnOnce() -> V) -> V {
        if let Some(value) = find(&self.pairs.load(), key) {
            return value;
        }
        let _alone = self.growing.lock().unwrap_or_else(PoisonError::into_inner);
        let pairs = self.pairs.load();
        if let Some(value) = find(&pairs, key) {
            return value;
        }
        let value = make();
        let mut more = Vec::clone(&pairs);
        more.push((key.clone(), value.clone()));
        self.pairs.store(Arc::new(more));
        value
    }
}

fn find<K: PartialEq, V: Clone>(pairs: &[(K, V)], key: &K) -> Option<V> {
    pairs.iter().find(|(found, _)| found == key).map(|(_, value)| value.clone())
}

impl<K, V> Default for Few<K, V> {
    fn default() -> Self {
        Self { pairs: ArcSwap::from_pointee(Vec::new()), growing: Mutex::new(()) }
    }
}

/// Values by name.
#[derive(Debug)]
pub(super) struct Named<V> {
    values: ArcSwap<HashMap<Box<str>, Arc<V>>>,
    growing: Mutex<()>,
}

impl<V> Named<V> {
    /// The value of a name that is known.
    pub(super) fn known(&self, name: &str) -> Option<Arc<V>> {
        self.values.load().get(name).cloned()
    }

    /// How many names are known.
    pub(super) fn len(&self) -> usize {
        self.values.load().len()
    }

    /// The value of a name, made where it is new.
    pub(super) fn get(&self, name: &str, make: impl FnOnce() -> V) -> Arc<V> {
        if let Some(value) = self.known(name) {
            return value;
        }
        let _alone = self.growing.lock().unwrap_or_else(PoisonError::into_inner);
        let values = self.values.load();
        if let Some(value) = values.get(name) {
            return value.clone();
        }
        let value = Arc::new(make());
        let mut more = clone(&values);
        more.insert(name.into(), value.clone());
        self.values.store(Arc::new(more));
        value
    }
}

/// A copy of a map whose values are shared.
fn clone<K: Clone + Eq + Hash + Borrow<str>, V>(values: &HashMap<K, Arc<V>>) -> HashMap<K, Arc<V>> {
    values.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
}

impl<V> Default for Named<V> {
    fn default() -> Self {
        Self { values: ArcSwap::from_pointee(HashMap::new()), growing: Mutex::new(()) }
    }
}
