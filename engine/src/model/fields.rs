//! Typed reading of a JSON object whose mistakes are reported by the field's name. It knows no model.

use serde_json::{Map, Value};

use crate::Error;

/// Sizes beyond this are no model but a mistake or an attack.
const LARGEST: u64 = 1 << 24;

/// An object and where it stands in its file.
pub(super) struct Fields<'a> {
    pub(super) map: &'a Map<String, Value>,
    pub(super) path: &'static str,
    pub(super) file: &'static str,
}

impl<'a> Fields<'a> {
    pub(super) fn factor(&self, key: &str) -> Result<f64, Error> {
        match self.number(key)? {
            Some(value) if value > 0.0 => Ok(value),
            Some(_) => Err(self.wrong(key, "must be larger than 0")),
            None => Err(self.wrong(key, "is missing")),
        }
    }

    pub(super) fn get(&self, key: &str) -> Option<&'a Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    pub(super) fn object(&self, key: &str, path: &'static str) -> Result<Option<Self>, Error> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Object(map)) => Ok(Some(Self { map, path, file: self.file })),
            Some(_) => Err(self.wrong(key, "must be an object")),
        }
    }

    /// A size that must be there and is at least one.
    pub(super) fn size(&self, key: &str) -> Result<usize, Error> {
        self.optional(key)?.ok_or_else(|| self.wrong(key, "is missing"))
    }

    pub(super) fn optional(&self, key: &str) -> Result<Option<usize>, Error> {
        match self.optional_or_zero(key)? {
            Some(0) => Err(self.wrong(key, "must be at least 1")),
            size => Ok(size),
        }
    }

    pub(super) fn optional_or_zero(&self, key: &str) -> Result<Option<usize>, Error> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        match value.as_u64() {
            Some(size) if size <= LARGEST => Ok(Some(size as usize)),
            _ => Err(self.wrong(key, &format!("must be a whole number up to {LARGEST}"))),
        }
    }

    pub(super) fn number(&self, key: &str) -> Result<Option<f64>, Error> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        value.as_f64().map(Some).ok_or_else(|| self.wrong(key, "must be a number"))
    }

    pub(super) fn flag(&self, key: &str) -> Result<Option<bool>, Error> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        value.as_bool().map(Some).ok_or_else(|| self.wrong(key, "must be true or false"))
    }

    pub(super) fn text(&self, key: &str) -> Result<Option<&'a str>, Error> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        value.as_str().map(Some).ok_or_else(|| self.wrong(key, "must be a string"))
    }

    pub(super) fn only(&self, key: &str, known: &[&str]) -> Result<(), Error> {
        match self.text(key)? {
            Some(value) if !known.contains(&value) => {
                Err(self.wrong(key, &format!("{value:?} is not supported; supported: {}", known.join(", "))))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn list(&self, key: &str) -> Result<Vec<usize>, Error> {
        let wrong = || self.wrong(key, "must be a list of layers");
        match self.get(key) {
            None => Ok(Vec::new()),
            Some(Value::Array(items)) => {
                items.iter().map(|item| item.as_u64().map(|item| item as usize).ok_or_else(wrong)).collect()
            }
            Some(_) => Err(wrong()),
        }
    }

    pub(super) fn tokens(&self, key: &str) -> Result<Vec<u32>, Error> {
        let token = |value: &Value| value.as_u64().and_then(|token| u32::try_from(token).ok());
        let tokens = match self.get(key) {
            None => Some(Vec::new()),
            Some(Value::Array(items)) => items.iter().map(token).collect(),
            Some(value) => token(value).map(|token| vec![token]),
        };
        tokens.ok_or_else(|| self.wrong(key, "must be a token or a list of tokens"))
    }

    pub(super) fn wrong(&self, key: &str, what: &str) -> Error {
        Error::Model(format!("{}: {}{key} {what}", self.file, self.path))
    }
}
