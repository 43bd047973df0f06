//! Reads the few facts of a certificate that the gateway shows: validity and subject. It verifies nothing.

use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime};

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const INTEGER: u8 = 0x02;
const OBJECT_ID: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const VERSION: u8 = 0xa0;

/// What a certificate says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Facts {
    /// When it begins to be valid.
    pub(super) not_before: OffsetDateTime,
    /// When it ends to be valid.
    pub(super) not_after: OffsetDateTime,
    /// Its subject, as `CN=name, O=organisation`; empty where it has none.
    pub(super) subject: String,
}

/// Reads an X.509 certificate in DER; `None` where it is not one.
#[must_use]
pub(super) fn read(der: &[u8]) -> Option<Facts> {
    let mut certificate = Reader(Reader(der).expect(SEQUENCE)?);
    let mut body = Reader(certificate.expect(SEQUENCE)?);
    if body.peek() == Some(VERSION) {
        body.expect(VERSION)?;
    }
    body.expect(INTEGER)?;
    body.expect(SEQUENCE)?; // signature algorithm
    body.expect(SEQUENCE)?; // issuer
    let mut validity = Reader(body.expect(SEQUENCE)?);
    let subject = body.expect(SEQUENCE)?;
    let not_before = read_time(validity.next()?)?;
    let not_after = read_time(validity.next()?)?;
    Some(Facts { not_before, not_after, subject: read_name(subject) })
}

/// One element: its tag and its content.
type Element<'a> = (u8, &'a [u8]);

/// Walks over the elements of a DER text.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<u8> {
        self.0.first().copied()
    }

    fn expect(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.next().filter(|(found, _)| *found == tag).map(|(_, content)| content)
    }

    fn next(&mut self) -> Option<Element<'a>> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, rest) = rest.split_first()?;
        let (length, rest) = if first < 0x80 {
            (usize::from(first), rest)
        } else {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            // Four digits are 4 GiB; no certificate is longer.
            if digits.is_empty() || digits.len() > 4 {
                return None;
            }
            (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, content))
    }
}

fn read_time((tag, content): Element<'_>) -> Option<OffsetDateTime> {
    let text = std::str::from_utf8(content).ok()?.strip_suffix('Z')?;
    // UTCTime writes two digits of the year: below 50 is this century (RFC 5280, 4.1.2.5.1).
    let whole = if tag == UTC_TIME {
        let century = if text.get(..2)? < "50" { "20" } else { "19" };
        format!("{century}{text}")
    } else {
        text.to_owned()
    };
    let format = format_description!("[year][month][day][hour][minute][second]");
    Some(PrimitiveDateTime::parse(&whole, format).ok()?.assume_utc())
}

fn read_name(name: &[u8]) -> String {
    let mut parts = Vec::new();
    let mut sets = Reader(name);
    while let Some(set) = sets.expect(SET) {
        let mut attributes = Reader(set);
        while let Some(attribute) = attributes.expect(SEQUENCE) {
            let mut attribute = Reader(attribute);
            let (Some(kind), Some((_, value))) = (attribute.expect(OBJECT_ID), attribute.next()) else { continue };
            parts.push(format!("{}={}", kind_name(kind), escape(value)));
        }
    }
    parts.join(", ")
}

fn kind_name(kind: &[u8]) -> String {
    match kind {
        [0x55, 4, 3] => "CN".to_owned(),
        [0x55, 4, 6] => "C".to_owned(),
        [0x55, 4, 7] => "L".to_owned(),
        [0x55, 4, 8] => "ST".to_owned(),
        [0x55, 4, 10] => "O".to_owned(),
        [0x55, 4, 11] => "OU".to_owned(),
        other => other.iter().map(|byte| format!("{byte:02x}")).collect(),
    }
}

/// A value as one line: what would end it or begin another part is escaped, so that no name can pass for two.
fn escape(value: &[u8]) -> String {
    let mut text = String::new();
    for c in String::from_utf8_lossy(value).chars().take(256) {
        if matches!(c, ',' | '=' | '\\') {
            text.push('\\');
        }
        text.push(if c.is_control() { '\u{fffd}' } else { c });
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::{CertificateParams, DnType, KeyPair};
    use time::macros::datetime;

    use super::*;

    fn check(not_after: OffsetDateTime, names: &[(DnType, &str)], subject: &str) {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        for (kind, name) in names {
            params.distinguished_name.push(kind.clone(), *name);
        }
        params.not_before = datetime!(2026-01-02 03:04:05 UTC);
        params.not_after = not_after;
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let facts = read(certificate.der()).unwrap();
        assert_eq!(facts.not_before, params.not_before);
        assert_eq!(facts.not_after, not_after);
        assert_eq!(facts.subject, subject);
    }

    #[test]
    fn validity_and_subject_are_read_as_they_were_written() {
        check(datetime!(2026-12-31 23:59:59 UTC), &[(DnType::CommonName, "me")], "CN=me");
        check(datetime!(2096-02-29 00:00:00 UTC), &[], "");
        let names = [(DnType::OrganizationName, "A, B=C"), (DnType::CommonName, "é\nx")];
        check(datetime!(2049-12-31 23:59:59 UTC), &names, "O=A\\, B\\=C, CN=é\u{fffd}x");
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), cut in 0usize..400) {
            let _ = read(&bytes);
            let certificate = CertificateParams::new(vec![]).unwrap().self_signed(&KeyPair::generate().unwrap()).unwrap();
            let mut der = certificate.der().to_vec();
            der.truncate(cut);
            for (at, byte) in bytes.iter().enumerate().filter(|(at, _)| at % 7 == 0) {
                if let Some(place) = der.get_mut(at) {
                    *place ^= byte;
                }
            }
            let _ = read(&der);
        }
    }
}
