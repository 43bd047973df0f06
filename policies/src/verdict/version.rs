//! The detector's version: the crate's, and a digest of the data it was built with. It is computed by the compiler.

/// Version of the detector; it changes with the data.
pub(super) const VERSION: &str = match std::str::from_utf8(&TEXT) {
    Ok(text) => text,
    Err(_) => PREFIX,
};

const PREFIX: &str = concat!("verdict-", env!("CARGO_PKG_VERSION"), "+");
const DIGITS: usize = 8;
const TEXT: [u8; PREFIX.len() + DIGITS] = text();

const fn text() -> [u8; PREFIX.len() + DIGITS] {
    let mut out = [b'0'; PREFIX.len() + DIGITS];
    let mut at = 0;
    while at < PREFIX.len() {
        out[at] = PREFIX.as_bytes()[at];
        at += 1;
    }
    let mut digest = digest();
    while at < out.len() {
        out[at] = b"0123456789abcdef"[(digest >> 60) as usize];
        digest <<= 4;
        at += 1;
    }
    out
}

/// FNV-1a, 64 bits, over all data files.
const fn digest() -> u64 {
    let mut state = 0xcbf2_9ce4_8422_2325;
    let mut file = 0;
    while file < DATA.len() {
        let bytes = DATA[file];
        let mut at = 0;
        // The weights begin with their own digest, so their head stands for all of them.
        let most = if bytes.len() > LARGE { HEAD } else { bytes.len() };
        while at < most {
            state = (state ^ bytes[at] as u64).wrapping_mul(0x0000_0100_0000_01b3);
            at += 1;
        }
        file += 1;
    }
    state
}

const LARGE: usize = 256 * 1024;
const HEAD: usize = 64;
const DATA: [&[u8]; 12] = [
    include_bytes!("../../models/verdict.bin"),
    include_bytes!("../../verdict/signals.yaml"),
    include_bytes!("../../verdict/phrases/en.yaml"),
    include_bytes!("../../verdict/phrases/zh.yaml"),
    include_bytes!("../../verdict/phrases/pt.yaml"),
    include_bytes!("../../verdict/phrases/es.yaml"),
    include_bytes!("../../verdict/phrases/fr.yaml"),
    include_bytes!("../../verdict/phrases/de.yaml"),
    include_bytes!("../../verdict/phrases/ru.yaml"),
    include_bytes!("../../verdict/phrases/ar.yaml"),
    include_bytes!("../../verdict/phrases/ja.yaml"),
    include_bytes!("../../verdict/phrases/ko.yaml"),
];
