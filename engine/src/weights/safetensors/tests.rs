//! Checks of safetensors files: shards, types, mistakes.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::tests::Folder;

fn file(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
}

fn one(name: &str, kind: &str, shape: &[usize], bytes: usize) -> Vec<u8> {
    let header = json!({ (name): { "dtype": kind, "shape": shape, "data_offsets": [0, bytes] } });
    file(&header.to_string(), &vec![0; bytes])
}

#[test]
fn shards_are_found_by_the_index() {
    let folder = Folder::new("shards");
    folder.write("a.safetensors", one("a", "F32", &[2, 3], 24));
    folder.write("b.safetensors", one("b", "BF16", &[4], 8));
    let index = json!({ "weight_map": { "a": "a.safetensors", "b": "b.safetensors" } });
    folder.write("model.safetensors.index.json", index.to_string());
    let checkpoint = Checkpoint::open(folder.path()).unwrap();
    assert!(checkpoint.matrix("a", 2, 3).is_ok() && checkpoint.vector("b", 4).is_ok());
    assert_eq!(checkpoint.bytes(), 32);
    let outside = json!({ "weight_map": { "a": "../a.safetensors" } });
    folder.write("model.safetensors.index.json", outside.to_string());
    assert!(Checkpoint::open(folder.path()).unwrap_err().to_string().contains("no plain file name"));
}

#[test]
fn values_that_are_not_aligned_are_copied() {
    let folder = Folder::new("unaligned");
    let header = json!({ "a": { "dtype": "F32", "shape": [2], "data_offsets": [0, 8] } }).to_string();
    for padding in 0..4 {
        let header = format!("{header}{}", " ".repeat(padding));
        let data = [1.5f32.to_le_bytes(), (-2f32).to_le_bytes()].concat();
        folder.write("model.safetensors", file(&header, &data));
        assert_eq!(Checkpoint::open(folder.path()).unwrap().vector("a", 2).unwrap(), [1.5, -2.0]);
    }
}

#[test]
fn mistakes_are_named() {
    let folder = Folder::new("broken");
    let opened = |bytes: Vec<u8>| {
        folder.write("model.safetensors", bytes);
        Checkpoint::open(folder.path())
    };
    let said = |error: Result<Matrix, Error>, what: &str| {
        let error = error.unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
    };
    let good = one("a", "F32", &[2, 3], 24);
    said(opened(good.clone()).unwrap().matrix("a", 3, 2), "tensor a has shape [2, 3]");
    said(opened(good.clone()).unwrap().matrix("b", 3, 2), "no tensor b");
    said(opened(one("a", "I64", &[2], 16)).unwrap().matrix("a", 2, 1), "shape");
    said(opened(one("a", "I64", &[2, 1], 16)).unwrap().matrix("a", 2, 1), "type I64");
    said(opened(one("a", "F8_E4M3", &[2, 1], 2)).unwrap().matrix("a", 2, 1), "a_scale_inv");
    for broken in [good[..good.len() - 1].to_vec(), good[..20].to_vec(), vec![0xff; 64], Vec::new()] {
        assert!(matches!(opened(broken), Err(Error::Model(_))));
    }
}

proptest! {
    #[test]
    fn a_hostile_header_is_an_error_and_no_more(
        at in 0usize..120, bytes in proptest::collection::vec(any::<u8>(), 1..9), cut in 0usize..160,
    ) {
        let mut file = one("a", "F32", &[2, 3], 24);
        for (offset, byte) in bytes.into_iter().enumerate() {
            if let Some(place) = file.get_mut(at + offset) {
                *place = byte;
            }
        }
        file.truncate(cut.max(1));
        let folder = Folder::new("hostile");
        folder.write("model.safetensors", file);
        if let Ok(checkpoint) = Checkpoint::open(folder.path()) {
            let _ = checkpoint.matrix("a", 2, 3);
        }
    }
}
