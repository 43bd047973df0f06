//! Signed heads of the tree: the C2SP checkpoint text in a C2SP signed note, under an Ed25519 key. It reads no file.
//!
//! The text is three lines: origin, number of leaves, root in base64. The note adds an empty line and, for each
//! signature, "— NAME BASE64(key id 4 ‖ signature 64)". The key id is the first four bytes of SHA-256(name ‖ 0x0A ‖
//! 0x01 ‖ public key). A verifier key is written "NAME+HEX(key id)+BASE64(0x01 ‖ public key)".
//! Sources: <https://c2sp.org/tlog-checkpoint>, <https://c2sp.org/signed-note>.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::hash::Hash;

/// The signature algorithm's number in notes: Ed25519.
const ALGORITHM: u8 = 1;

/// Bytes of a note at most.
const LONGEST: usize = 16 << 10;

/// One head of the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Name of the ledger.
    pub origin: String,
    /// How many leaves.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
}

impl Checkpoint {
    /// The text that is signed.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, STANDARD.encode(self.root.0))
    }

    /// Reads the text; `None` for anything that is no checkpoint. Lines after the third are extensions and passed over.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let mut lines = text.strip_suffix('\n')?.split('\n');
        let (origin, size, root) = (lines.next()?, lines.next()?, lines.next()?);
        let canonical = size.bytes().all(|byte| byte.is_ascii_digit()) && (size == "0" || !size.starts_with('0'));
        if origin.is_empty() || !canonical || lines.any(str::is_empty) {
            return None;
        }
        let root = Hash::read(&STANDARD.decode(root).ok()?)?;
        Some(Self { origin: origin.to_owned(), size: size.parse().ok()?, root })
    }
}

/// A key that signs.
pub struct Signer {
    name: String,
    pair: Ed25519KeyPair,
}

/// Why there is no signer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyError {
    /// The bytes are no Ed25519 key in PKCS#8.
    Key,
    /// A name is empty or holds white space or a plus sign.
    Name,
    /// The system gives no random numbers.
    Random,
}

impl fmt::Display for KeyError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Key => "not an Ed25519 key in PKCS#8",
            Self::Name => "a key's name is one word without a plus sign",
            Self::Random => "the system gives no random numbers",
        })
    }
}

impl std::error::Error for KeyError {}

impl fmt::Debug for Signer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Signer").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Signer {
    /// A new key in PKCS#8.
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub fn generate() -> Result<Vec<u8>, KeyError> {
        let pair = Ed25519KeyPair::generate().map_err(|_| KeyError::Random)?;
        let document = pair.to_pkcs8v1().map_err(|_| KeyError::Key)?;
        Ok(document.as_ref().to_vec())
    }

    /// The key of some PKCS#8 bytes, under a name.
    ///
    /// # Errors
    /// Either makes no sense.
    pub fn read(name: &str, pkcs8: &[u8]) -> Result<Self, KeyError> {
        if !is_name(name) {
            return Err(KeyError::Name);
        }
        let pair = Ed25519KeyPair::from_pkcs8(pkcs8).map_err(|_| KeyError::Key)?;
        Ok(Self { name: name.to_owned(), pair })
    }

    /// What others verify with.
    #[must_use]
    pub fn verifier(&self) -> Verifier {
        let public = self.pair.public_key().as_ref();
        Verifier { name: self.name.clone(), public: public.try_into().unwrap_or_default() }
    }

    /// A checkpoint as a signed note.
    #[must_use]
    pub fn sign(&self, checkpoint: &Checkpoint) -> String {
        let text = checkpoint.text();
        let mut signature = self.verifier().id().to_vec();
        signature.extend_from_slice(self.pair.sign(text.as_bytes()).as_ref());
        format!("{text}\n\u{2014} {} {}\n", self.name, STANDARD.encode(signature))
    }
}

/// A public key that checkpoints are verified with.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Verifier {
    name: String,
    public: [u8; 32],
}

impl Verifier {
    /// Reads "NAME+HEX+BASE64"; `None` for anything else.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let mut parts = text.trim().splitn(3, '+');
        let (name, id, key) = (parts.next()?, parts.next()?, parts.next()?);
        let key = STANDARD.decode(key).ok()?;
        let (&algorithm, public) = key.split_first()?;
        let verifier = Self { name: name.to_owned(), public: public.try_into().ok()? };
        let named = is_name(name) && algorithm == ALGORITHM && id == verifier.hex();
        named.then_some(verifier)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Reads a checkpoint that this key has signed; `None` where it has not, or where it is none.
    #[must_use]
    pub fn open(&self, note: &str) -> Option<Checkpoint> {
        Checkpoint::read(self.verify(note)?)
    }

    /// The text of a note that this key has signed; `None` where it has not.
    #[must_use]
    pub fn verify<'a>(&self, note: &'a str) -> Option<&'a str> {
        let (text, signatures) = split(note)?;
        let valid = signatures.iter().any(|signature| {
            let (id, bytes) = signature.bytes.split_at_checked(4).unwrap_or_default();
            signature.name == self.name
                && id == self.id()
                && UnparsedPublicKey::new(&ED25519, self.public).verify(text.as_bytes(), bytes).is_ok()
        });
        valid.then_some(text)
    }

    fn id(&self) -> [u8; 4] {
        let mut bytes = self.name.as_bytes().to_vec();
        bytes.extend_from_slice(&[b'\n', ALGORITHM]);
        bytes.extend_from_slice(&self.public);
        let hash = digest(&SHA256, &bytes);
        hash.as_ref().first_chunk().copied().unwrap_or_default()
    }

    fn hex(&self) -> String {
        self.id().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl fmt::Display for Verifier {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut key = vec![ALGORITHM];
        key.extend_from_slice(&self.public);
        write!(formatter, "{}+{}+{}", self.name, self.hex(), STANDARD.encode(key))
    }
}

/// What a note says, whoever signed it; `None` where it is none.
#[must_use]
pub fn unverified(note: &str) -> Option<Checkpoint> {
    Checkpoint::read(split(note)?.0)
}

/// One signature of a note.
struct Signature<'a> {
    name: &'a str,
    bytes: Vec<u8>,
}

impl<'a> Signature<'a> {
    fn read(line: &'a str) -> Option<Self> {
        let (name, bytes) = line.strip_prefix("\u{2014} ")?.split_once(' ')?;
        Some(Self { name, bytes: STANDARD.decode(bytes).ok()? })
    }
}

fn split(note: &str) -> Option<(&str, Vec<Signature<'_>>)> {
    if note.len() > LONGEST {
        return None;
    }
    let middle = note.rfind("\n\n")? + 1;
    let (text, rest) = note.split_at_checked(middle)?;
    let lines = rest.strip_prefix('\n')?.strip_suffix('\n')?;
    let signatures = lines.split('\n').map(Signature::read).collect::<Option<_>>()?;
    Some((text, signatures))
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains('+') && !name.contains(char::is_whitespace)
}
