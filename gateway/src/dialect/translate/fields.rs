//! The fields of a JSON object, taken one by one, so that whatever nobody took can be named.

use serde_json::{Map, Value};

use crate::dialect::request::Error;

/// An object's fields that nobody has taken yet.
#[derive(Debug)]
pub(super) struct Fields {
    map: Map<String, Value>,
    /// Where it stands in the request.
    place: String,
}

/// A request for what the other dialect cannot say.
pub(super) fn unsupported(parameter: impl Into<String>, why: &'static str) -> Error {
    Error::Unsupported { parameter: parameter.into(), why }
}

impl Fields {
    /// The fields of a value that must be an object.
    pub(super) fn of(value: Value, place: &str) -> Result<Self, Error> {
        match value {
            Value::Object(map) => Ok(Self { map, place: place.to_owned() }),
            _ => Err(Error::Invalid { parameter: place.to_owned(), why: "it must be an object" }),
        }
    }

    /// Where a field stands.
    pub(super) fn at(&self, name: &str) -> String {
        if self.place.is_empty() { name.to_owned() } else { format!("{}.{name}", self.place) }
    }

    fn wrong(&self, name: &str, why: &'static str) -> Error {
        Error::Invalid { parameter: self.at(name), why }
    }

    /// A field's value; null is none.
    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        self.map.remove(name).filter(|value| !value.is_null())
    }

    /// A text.
    pub(super) fn text(&mut self, name: &str) -> Result<Option<String>, Error> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.wrong(name, "it must be text")),
        }
    }

    /// A text that must be there.
    pub(super) fn required(&mut self, name: &str) -> Result<String, Error> {
        self.text(name)?.ok_or_else(|| self.wrong(name, "it must be there"))
    }

    /// The `type`, or what it is where it is left out.
    pub(super) fn kind(&mut self, usual: &str) -> Result<String, Error> {
        Ok(self.text("type")?.unwrap_or_else(|| usual.to_owned()))
    }

    /// Yes or no.
    pub(super) fn flag(&mut self, name: &str) -> Result<Option<bool>, Error> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(_) => Err(self.wrong(name, "it must be true or false")),
        }
    }

    /// A whole number.
    pub(super) fn count(&mut self, name: &str) -> Result<Option<u64>, Error> {
        match self.take(name) {
            None => Ok(None),
            Some(value) => value.as_u64().map(Some).ok_or_else(|| self.wrong(name, "it must be a whole number")),
        }
    }

    /// A number.
    pub(super) fn number(&mut self, name: &str) -> Result<Option<f64>, Error> {
        match self.take(name) {
            None => Ok(None),
            Some(value) => value.as_f64().map(Some).ok_or_else(|| self.wrong(name, "it must be a number")),
        }
    }

    /// A list; none is an empty one.
    pub(super) fn list(&mut self, name: &str) -> Result<Vec<Value>, Error> {
        match self.take(name) {
            None => Ok(Vec::new()),
            Some(Value::Array(items)) => Ok(items),
            Some(_) => Err(self.wrong(name, "it must be a list")),
        }
    }

    /// An object's fields.
    pub(super) fn object(&mut self, name: &str) -> Result<Option<Self>, Error> {
        let place = self.at(name);
        self.take(name).map(|value| Self::of(value, &place)).transpose()
    }

    /// Objects of a list, each with its place.
    pub(super) fn objects(&mut self, name: &str) -> Result<Vec<Self>, Error> {
        let place = self.at(name);
        let items = self.list(name)?.into_iter().enumerate();
        items.map(|(index, item)| Self::of(item, &format!("{place}[{index}]"))).collect()
    }

    /// Refuses a field, unless it asks for nothing.
    pub(super) fn refuse(&mut self, name: &str, why: &'static str) -> Result<(), Error> {
        match self.take(name) {
            Some(value) if !is_neutral(&value) => Err(unsupported(self.at(name), why)),
            _ => Ok(()),
        }
    }

    /// All that nobody took.
    pub(super) fn rest(self) -> Map<String, Value> {
        self.map.into_iter().filter(|(_, value)| !value.is_null()).collect()
    }

    /// Names of all that nobody took, with a word before them.
    pub(super) fn rest_names(self) -> Vec<String> {
        let place = self.place.clone();
        let name = |name: String| if place.is_empty() { name } else { format!("{place}.{name}") };
        self.rest().into_iter().map(|(field, _)| name(field)).collect()
    }
}

/// Whether a value asks for nothing: no, none, zero or empty.
pub(super) fn is_neutral(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(true) => false,
    }
}
