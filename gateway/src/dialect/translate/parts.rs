//! Pieces of messages that several dialects write alike: pictures, documents, JSON in texts.

use serde_json::{Map, Value, json};

use super::asked::{Block, Document, Image};
use super::fields::unsupported;
use crate::dialect::request::Error;

/// A picture's or a document's `data:` URL, as its media type and its base64.
pub(super) fn data_url(url: &str) -> Option<(String, String)> {
    let (head, data) = url.strip_prefix("data:")?.split_once(',')?;
    let kind = head.strip_suffix(";base64")?;
    Some((kind.split(';').next().unwrap_or_default().to_owned(), data.to_owned()))
}

/// A picture by its URL.
pub(super) fn image(url: String, detail: Option<String>) -> Image {
    match data_url(&url) {
        Some((kind, data)) => Image::Data { kind, data },
        None => Image::Url { url, detail: detail.filter(|detail| detail != "auto") },
    }
}

/// A picture's URL.
pub(super) fn image_url(image: &Image) -> String {
    match image {
        Image::Url { url, .. } => url.clone(),
        Image::Data { kind, data } => format!("data:{kind};base64,{data}"),
    }
}

/// A document by its `data:` URL.
pub(super) fn document(name: Option<String>, url: &str, place: &str) -> Result<Document, Error> {
    let (kind, data) =
        data_url(url).ok_or_else(|| unsupported(place, "files must be sent with the request, as a data URL"))?;
    Ok(Document { name, kind, data })
}

/// A document as the fields of a file, which OpenAI's dialects share.
pub(super) fn file(document: &Document) -> Map<String, Value> {
    let url = format!("data:{};base64,{}", document.kind, document.data);
    let name = document.name.clone().unwrap_or_else(|| "document".to_owned());
    let file = json!({"filename": name, "file_data": url});
    match file {
        Value::Object(file) => file,
        _ => Map::new(),
    }
}

/// The arguments of a call as an object; none means an empty one.
pub(super) fn arguments(text: &str, place: &str) -> Result<Value, Error> {
    if text.trim().is_empty() {
        return Ok(json!({}));
    }
    match serde_json::from_str(text) {
        Ok(Value::Object(object)) => Ok(Value::Object(object)),
        _ => Err(unsupported(place, "the arguments of a tool call must be a JSON object to be sent to this upstream")),
    }
}

/// Texts alone, joined as paragraphs; `None` where there is something else.
pub(super) fn only_text(blocks: &[Block]) -> Option<String> {
    let texts = blocks.iter().map(|block| match block {
        Block::Text { text, .. } => Some(text.as_str()),
        _ => None,
    });
    texts.collect::<Option<Vec<_>>>().map(|texts| texts.join("\n\n"))
}

/// Puts a field in where there is a value.
pub(super) fn put(map: &mut Map<String, Value>, name: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        map.insert(name.to_owned(), value.into());
    }
}

/// An object of fields of which none is null.
pub(super) fn object(value: Value) -> Value {
    match value {
        Value::Object(map) => map.into_iter().filter(|(_, value)| !value.is_null()).collect(),
        other => other,
    }
}
