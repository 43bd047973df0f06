//! Writes GGUF files, from the format's description alone.

use serde_json::Value;

/// A file in the making.
#[derive(Default)]
pub(crate) struct GgufFile {
    pairs: Vec<Vec<u8>>,
    infos: Vec<Vec<u8>>,
    data: Vec<u8>,
}

impl GgufFile {
    /// Adds a value of the metadata; whole numbers become 32-bit ones.
    pub(crate) fn set(&mut self, key: &str, value: &Value) -> &mut Self {
        let (kind, bytes) = encode(value);
        self.pairs.push([text(key), kind.to_le_bytes().to_vec(), bytes].concat());
        self
    }

    /// Adds a tensor; sizes rows first, bytes in the type's own form.
    pub(crate) fn tensor(&mut self, name: &str, kind: u32, shape: &[usize], bytes: &[u8]) -> &mut Self {
        let mut info = [text(name), (shape.len() as u32).to_le_bytes().to_vec()].concat();
        shape.iter().rev().for_each(|size| info.extend((*size as u64).to_le_bytes()));
        info.extend(kind.to_le_bytes());
        info.extend((self.data.len() as u64).to_le_bytes());
        self.infos.push(info);
        self.data.extend(bytes);
        self.data.resize(self.data.len().next_multiple_of(32), 0);
        self
    }

    /// The file.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut file = [b"GGUF".to_vec(), 3u32.to_le_bytes().to_vec()].concat();
        file.extend((self.infos.len() as u64).to_le_bytes());
        file.extend((self.pairs.len() as u64).to_le_bytes());
        self.pairs.iter().chain(&self.infos).for_each(|part| file.extend(part));
        file.resize(file.len().next_multiple_of(32), 0);
        file.extend(&self.data);
        file
    }
}

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat()
}

fn encode(value: &Value) -> (u32, Vec<u8>) {
    match value {
        Value::Bool(flag) => (7, vec![u8::from(*flag)]),
        Value::String(string) => (8, text(string)),
        Value::Array(items) => {
            let encoded: Vec<(u32, Vec<u8>)> = items.iter().map(encode).collect();
            let kind = encoded.first().map_or(4, |(kind, _)| *kind);
            let mut bytes = [kind.to_le_bytes().to_vec(), (items.len() as u64).to_le_bytes().to_vec()].concat();
            encoded.iter().for_each(|(_, item)| bytes.extend(item));
            (9, bytes)
        }
        number => match number.as_u64() {
            Some(whole) => (4, (whole as u32).to_le_bytes().to_vec()),
            None => (6, (number.as_f64().unwrap() as f32).to_le_bytes().to_vec()),
        },
    }
}
