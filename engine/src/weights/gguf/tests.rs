//! Checks of GGUF files: types, names, mistakes.

use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::kernels::Pool;
use crate::kernels::linear::{Product, multiply};
use crate::tests::{Folder, GgufFile};

const TYPES: [(u32, GgmlDType, f32); 13] = [
    (0, GgmlDType::F32, 1e-5),
    (1, GgmlDType::F16, 1e-5),
    (30, GgmlDType::BF16, 1e-5),
    (2, GgmlDType::Q4_0, 0.03),
    (3, GgmlDType::Q4_1, 0.03),
    (6, GgmlDType::Q5_0, 0.03),
    (7, GgmlDType::Q5_1, 0.03),
    (8, GgmlDType::Q8_0, 0.03),
    (10, GgmlDType::Q2K, 0.03),
    (11, GgmlDType::Q3K, 0.03),
    (12, GgmlDType::Q4K, 0.03),
    (13, GgmlDType::Q5K, 0.03),
    (14, GgmlDType::Q6K, 0.03),
];

fn wave(count: usize) -> Vec<f32> {
    (0..count).map(|index| (index as f32 * 0.7).sin() + (index as f32 * 0.013).cos()).collect()
}

#[test]
fn every_type_reads_and_multiplies_as_the_reference_says() {
    let (rows, columns, inputs) = (5, 512, 6);
    let tensor = Tensor::from_vec(wave(rows * columns), (rows, columns), &Device::Cpu).unwrap();
    let (mut file, mut expected) = (GgufFile::default(), Vec::new());
    for (number, kind, _) in TYPES {
        let quantised = QTensor::quantize(&tensor, kind).unwrap();
        file.tensor(&format!("{kind:?}.weight"), number, &[rows, columns], &quantised.data().unwrap());
        let values = quantised.dequantize(&Device::Cpu).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        expected.push(values);
    }
    let folder = Folder::new("types");
    folder.write("m.gguf", file.bytes());
    let gguf = Gguf::open(&folder.path().join("m.gguf")).unwrap();
    let (pool, input) = (Pool::new(2), wave(inputs * columns));
    for ((_, kind, bound), expected) in TYPES.iter().zip(expected) {
        let matrix = gguf.matrix(&format!("{kind:?}.weight"), rows, columns).unwrap();
        let mut row = vec![0.0; columns];
        matrix.read_row(3, &mut row);
        assert_eq!(row, expected[3 * columns..4 * columns], "{kind:?}");
        let mut part = vec![0.0; columns];
        matrix.part(2..5).read_row(1, &mut part);
        assert_eq!(part, row, "{kind:?}");
        let mut out = vec![0.0; inputs * rows];
        multiply(&pool, &mut [Product::new(&matrix, &input, &mut out)]);
        for (index, sum) in out.iter().enumerate() {
            let (weights, input) =
                (&expected[index % rows * columns..][..columns], &input[index / rows * columns..][..columns]);
            let exact: f64 = weights.iter().zip(input).map(|(a, b)| f64::from(a * b)).sum();
            let size: f64 = weights.iter().zip(input).map(|(a, b)| f64::from(a * b).abs()).sum();
            assert!((f64::from(*sum) - exact).abs() <= f64::from(*bound) * size, "{kind:?}: {sum} for {exact}");
        }
    }
}

#[test]
fn rows_of_an_odd_number_of_blocks_are_multiplied_too() {
    let (rows, columns, inputs) = (3, 96, 2);
    let tensor = Tensor::from_vec(wave(rows * columns), (rows, columns), &Device::Cpu).unwrap();
    let folder = Folder::new("odd");
    for (number, kind) in
        [(2, GgmlDType::Q4_0), (3, GgmlDType::Q4_1), (6, GgmlDType::Q5_0), (7, GgmlDType::Q5_1), (8, GgmlDType::Q8_0)]
    {
        let quantised = QTensor::quantize(&tensor, kind).unwrap();
        let mut file = GgufFile::default();
        folder.write("m.gguf", file.tensor("a.weight", number, &[rows, columns], &quantised.data().unwrap()).bytes());
        let gguf = Gguf::open(&folder.path().join("m.gguf")).unwrap();
        let (matrix, input) = (gguf.matrix("a.weight", rows, columns).unwrap(), wave(inputs * columns));
        let (mut out, mut row) = (vec![0.0; inputs * rows], vec![0.0; columns]);
        multiply(&Pool::new(1), &mut [Product::new(&matrix, &input, &mut out)]);
        for (index, sum) in out.iter().enumerate() {
            matrix.read_row(index % rows, &mut row);
            let exact: f32 = row.iter().zip(&input[index / rows * columns..]).map(|(a, b)| a * b).sum();
            assert!((sum - exact).abs() < 1e-3, "{kind:?}: {sum} for {exact}");
        }
    }
}

#[test]
fn names_of_the_releases_are_found() {
    for (release, own) in [
        ("lm_head.weight", "output.weight"),
        ("model.layers.12.self_attn.q_proj.bias", "blk.12.attn_q.bias"),
        ("model.layers.3.mlp.gate.weight", "blk.3.ffn_gate_inp.weight"),
        ("model.layers.3.mlp.gate_proj.weight", "blk.3.ffn_gate.weight"),
        ("model.layers.3.mlp.gate.e_score_correction_bias", "blk.3.exp_probs_b.bias"),
        ("model.layers.3.mlp.shared_experts.down_proj.weight", "blk.3.ffn_down_shexp.weight"),
        ("model.layers.3.mlp.experts.up_proj.weight", "blk.3.ffn_up_exps.weight"),
        ("rope_freqs.weight", "rope_freqs.weight"),
    ] {
        assert_eq!(native(release), own);
    }
}

#[test]
fn mistakes_are_named() {
    let folder = Folder::new("mistakes");
    let path = folder.path().join("m.gguf");
    let opened = |bytes: Vec<u8>| {
        folder.write("m.gguf", bytes);
        Gguf::open(&path).map_err(|error| error.to_string())
    };
    let mut file = GgufFile::default();
    file.set("general.name", &json!("x")).tensor("a.weight", 0, &[2, 4], &[0; 32]);
    let whole = file.bytes();
    let gguf = opened(whole.clone()).unwrap();
    assert!(gguf.matrix("a.weight", 2, 4).is_ok() && gguf.text("general.name") == Some("x"));
    assert!(gguf.matrix("a.weight", 4, 2).unwrap_err().to_string().contains("a.weight is 2x4"));
    assert!(gguf.matrix("b.weight", 4, 2).unwrap_err().to_string().contains("no tensor b.weight"));
    assert!(opened(b"GGML....".to_vec()).unwrap_err().contains("does not begin with GGUF"));
    assert!(opened(whole[..30].to_vec()).unwrap_err().contains("no whole GGUF file"));
    let cut = opened(whole[..whole.len() - 8].to_vec()).unwrap().matrix("a.weight", 2, 4).unwrap_err();
    assert!(cut.to_string().contains("outside its file"));
    let unknown = opened(GgufFile::default().tensor("a.weight", 16, &[2, 256], &[0; 99]).bytes()).unwrap();
    assert!(unknown.matrix("a.weight", 2, 256).unwrap_err().to_string().contains("unknown type number 16"));
    let uneven = opened(GgufFile::default().tensor("a.weight", 8, &[2, 20], &[0; 99]).bytes()).unwrap();
    assert!(uneven.matrix("a.weight", 2, 20).unwrap_err().to_string().contains("no multiple of 32"));
    let split = opened(GgufFile::default().set("split.count", &json!(2)).bytes()).unwrap_err();
    assert!(split.contains("split"), "{split}");
}

#[test]
fn parts_of_a_split_file_are_found() {
    let folder = Folder::new("split");
    let mut first = GgufFile::default();
    first.set("split.count", &json!(2)).tensor("a.weight", 0, &[1, 8], &[1; 32]);
    folder.write("m-00001-of-00002.gguf", first.bytes());
    folder.write("m-00002-of-00002.gguf", GgufFile::default().tensor("b.weight", 0, &[1, 8], &[2; 32]).bytes());
    let gguf = Gguf::open(&folder.path().join("m-00001-of-00002.gguf")).unwrap();
    assert!(gguf.has("a.weight") && gguf.vector("b.weight", 8).is_ok());
}

proptest! {
    #[test]
    fn a_hostile_header_is_an_error_and_no_more(at in 0usize..600, bytes in proptest::collection::vec(any::<u8>(), 1..9), cut in 0usize..700) {
        let mut file = GgufFile::default();
        file.set("general.architecture", &json!("llama")).set("tokens", &json!(["a", "b"])).set("eps", &json!(0.5));
        file.tensor("a.weight", 0, &[2, 4], &[0; 32]).tensor("b.weight", 8, &[1, 32], &[0; 34]);
        let mut file = file.bytes();
        for (offset, byte) in bytes.into_iter().enumerate() {
            if let Some(place) = file.get_mut(at + offset) {
                *place = byte;
            }
        }
        file.truncate(cut.max(8));
        let mut cursor = Cursor { bytes: &file, at: 0 };
        if let Ok(header) = Header::read(&mut cursor) {
            prop_assert!(header.tensors.len() <= file.len() && cursor.at <= file.len());
        }
    }
}
