//! Personal data by format and check digits. Names and addresses have no format and are not found.
//!
//! Numbers whose check digit would let every tenth number through are taken only beside the word for them.

use core::net::Ipv6Addr;
use std::ops::Range;

use super::digits::{self, digits, luhn, mod_97, verhoeff};
use super::formats::{Border, Check, Format, whole};
use super::national;

/// All formats, in the order in which they are tried.
pub(crate) const PERSONAL_DATA: &[Format] = &[
    Format {
        kind: "email",
        name: "email",
        pattern: r"[A-Za-z0-9][A-Za-z0-9._%+-]{0,63}@(?:[A-Za-z0-9][A-Za-z0-9-]{0,62}\.){1,4}[A-Za-z]{2,24}",
        border: Border { before: "._%+-@", after: "-@" },
        check: None,
    },
    number("phone", "phone", r"\+[1-9][0-9]{0,2}(?:[ .()-]{1,3}[0-9]{1,5}){2,6}", phone),
    number("phone", "phone", r"\+[1-9][0-9]{7,14}", phone),
    number("phone", "phone-us", r"(?:1[ .-])?\(?[2-9][0-9]{2}\)?[ .-]{1,2}[2-9][0-9]{2}[ .-][0-9]{4}", whole),
    number("phone", "phone-cn", "1[3-9][0-9](?:[ -]?[0-9]{4}){2}", whole),
    number("phone", "phone-br", r"\(?[1-9][0-9]\)? ?9[0-9]{4}-[0-9]{4}", whole),
    number("phone", "phone-fr", "0[1-9](?:[ .-][0-9]{2}){4}", whole),
    number("phone", "phone-jp", "0[1-9][0-9]{0,3}-[0-9]{1,4}-[0-9]{4}", phone_jp),
    number("phone", "phone-kr", "01[016789]-[0-9]{3,4}-[0-9]{4}", whole),
    number("phone", "phone-ru", r"8 ?\(?9[0-9]{2}\)?[ -]?[0-9]{3}[ -]?[0-9]{2}[ -]?[0-9]{2}", whole),
    number("phone", "phone-in", "[6-9][0-9]{4}[ -][0-9]{5}", whole),
    number("phone", "phone-de", "01[5-7][0-9][ /-]?[0-9]{3,4}[ -]?[0-9]{4,5}", whole),
    number("phone", "phone-uk", "0(?:20 [0-9]{4} [0-9]{4}|7[0-9]{3} ?[0-9]{6}|1[0-9]{3} [0-9]{6})", whole),
    number("card", "card", "[2-6][0-9]{3}(?:[ -]?[0-9]{4}){2}[ -]?[0-9]{1,7}", card),
    number("card", "card", "3[47][0-9]{2}[ -]?[0-9]{6}[ -]?[0-9]{5}", card),
    number("iban", "iban", "[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?", iban),
    number("ip", "ip-v4", r"(?:[0-9]{1,3}\.){3}[0-9]{1,3}", ip_v4),
    number("ip", "ip-v6", "[0-9A-Fa-f]{1,4}(?::{1,2}[0-9A-Fa-f]{1,4}){2,7}(?:::)?", ip_v6),
    number("national-id", "us-ssn", "[0-9]{3}[ -][0-9]{2}[ -][0-9]{4}", ssn),
    number("national-id", "br-cpf", r"[0-9]{3}\.?[0-9]{3}\.?[0-9]{3}-?[0-9]{2}", |t| of(digits::cpf(&digits(t)), t)),
    number("national-id", "br-cnpj", r"[0-9]{2}\.?[0-9]{3}\.?[0-9]{3}/?[0-9]{4}-?[0-9]{2}", |t| {
        of(digits::cnpj(&digits(t)), t)
    }),
    number("national-id", "cn-resident-id", "[1-9][0-9]{16}[0-9Xx]", |t| of(digits::resident_id(t), t)),
    number("national-id", "fr-nir", "[12](?: ?[0-9]{2}){2} ?(?:[0-9]{2}|2[AB])(?: ?[0-9]{3}){2} ?[0-9]{2}", |t| {
        of(digits::nir(t), t)
    }),
    number("national-id", "de-steuer-id", "[1-9][0-9](?: ?[0-9]{3}){3}", |t| of(digits::steuer_id(&digits(t)), t)),
    number("national-id", "es-dni", "(?:[0-9]{8}|[XYZ]-?[0-9]{7})-?[A-Z]", |t| of(digits::dni(t), t)),
    number("national-id", "uk-nino", "[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z](?: ?[0-9]{2}){3} ?[A-D]", nino),
    number("national-id", "in-aadhaar", "[2-9][0-9]{3}[ -][0-9]{4}[ -][0-9]{4}", |t| of(verhoeff(&digits(t)), t)),
    number("national-id", "in-pan", "[A-Z]{3}[ABCFGHLJPT][A-Z][0-9]{4}[A-Z]", whole),
    number(
        "national-id",
        "it-codice-fiscale",
        "[A-Z]{6}[0-9L-V]{2}[ABCDEHLMPRST][0-9L-V]{2}[A-Z][0-9L-V]{3}[A-Z]",
        |t| of(digits::codice_fiscale(t), t),
    ),
    number("national-id", "ru-snils", "[0-9]{3}-[0-9]{3}-[0-9]{3}[ -][0-9]{2}", |t| of(digits::snils(&digits(t)), t)),
    number("national-id", "kr-rrn", "[0-9]{6}-[1-8][0-9]{6}", rrn),
    number("national-id", "ca-sin", "[1-79][0-9]{2}[ -][0-9]{3}[ -][0-9]{3}", |t| of(digits::sin(&digits(t)), t)),
    number("national-id", "nl-bsn", r"(?i:bsn|burgerservicenummer)[ -/:-~]{1,12}[0-9]{9}", |t| {
        named(t, |number| digits::bsn(&digits(number)))
    }),
    number("national-id", "pl-pesel", r"(?i:pesel)[ -/:-~]{1,12}[0-9]{11}", |t| {
        named(t, |number| digits::pesel(&digits(number)))
    }),
    number("national-id", "au-tfn", r"(?i:tfn|tax file number)[ -/:-~]{1,12}(?:[0-9]{3} ?){3}", |t| {
        named(t, |number| digits::tfn(&digits(number)))
    }),
    number(
        "national-id",
        "jp-my-number",
        r"(?i:my number|マイナンバー|個人番号)[ -/:-~]{0,12}(?:[0-9]{4}[ -]?){3}",
        |t| named(t, |number| digits::my_number(&digits(number))),
    ),
    number("national-id", "us-ssn-plain", r"(?i:ssn|social security(?: number| no)?)[ -/:-~]{1,12}[0-9]{9}", |t| {
        named(t, |number| ssn(number).is_some())
    }),
    number("national-id", "us-itin", "9[0-9]{2}[ -][5-9][0-9][ -][0-9]{4}", |t| of(national::us_itin(&digits(t)), t)),
    number(
        "national-id",
        "pt-nif",
        r"(?i:nif|contribuinte|número fiscal)[ -/:-~]{1,12}[1-9](?:[0-9]{8}|[0-9]{2}(?: [0-9]{3}){2})",
        |t| named(t, |number| national::pt_nif(&digits(number))),
    ),
    number("national-id", "uk-utr", r"(?i:utr|unique taxpayer reference)[ -/:-~]{1,12}[0-9]{5} ?[0-9]{5}", |t| {
        named(t, |number| national::uk_utr(&digits(number)))
    }),
    number("national-id", "uk-nhs", r"(?i:nhs(?: number| no)?)[ -/:-~]{1,12}[0-9]{3}[ -]?[0-9]{3}[ -]?[0-9]{4}", |t| {
        named(t, |number| national::uk_nhs(&digits(number)))
    }),
    number("national-id", "ru-inn", r"(?i:инн|inn)[ -/:-~]{1,12}[0-9]{10}(?:[0-9]{2})?", |t| {
        named(t, |number| national::ru_inn(&digits(number)))
    }),
    number("national-id", "tr-tckn", "[1-9][0-9]{9}[02468]", |t| of(national::tr_tckn(&digits(t)), t)),
    number("national-id", "es-cif", "[ABCDEFGHJNPQRSUVW][0-9]{7}[0-9A-J]", |t| of(national::es_cif(t), t)),
    number("national-id", "ch-ahv", r"756\.[0-9]{4}\.[0-9]{4}\.[0-9]{2}", |t| of(national::ch_ahv(&digits(t)), t)),
    number("national-id", "be-register", r"[0-9]{2}\.[01][0-9]\.[0-3][0-9]-[0-9]{3}\.[0-9]{2}", |t| {
        of(national::be_register(&digits(t)), t)
    }),
    number("national-id", "se-personal", "(?:19|20)?[0-9]{2}[01][0-9][0-3][0-9][-+][0-9]{4}", |t| {
        of(national::se_personal(&digits(t)), t)
    }),
    number("national-id", "fi-personal", "[0-3][0-9][01][0-9]{3}[-+A][0-9]{3}[0-9A-Y]", |t| {
        of(national::fi_personal(t), t)
    }),
    number("national-id", "no-birth", "[0-3][0-9][01][0-9]{3} ?[0-9]{5}", |t| of(national::no_birth(&digits(t)), t)),
    number("national-id", "pl-nip", "[1-9][0-9]{2}-[0-9]{3}-[0-9]{2}-[0-9]{2}", |t| {
        of(national::pl_nip(&digits(t)), t)
    }),
    number("national-id", "cz-birth", "[0-9]{2}[0-8][0-9][0-3][0-9]/[0-9]{4}", |t| {
        of(national::cz_birth(&digits(t)), t)
    }),
    number("national-id", "ro-cnp", "[1-9][0-9]{2}[01][0-9][0-3][0-9]{7}", |t| of(national::ro_cnp(&digits(t)), t)),
    number("national-id", "bg-egn", r"(?i:егн|egn)[ -/:-~]{1,12}[0-9]{10}", |t| {
        named(t, |number| national::bg_egn(&digits(number)))
    }),
    number("national-id", "gr-afm", r"(?i:αφμ|α\.φ\.μ\.|afm)[ -/:-~]{1,12}[0-9]{9}", |t| {
        named(t, |number| national::gr_afm(&digits(number)))
    }),
    number("national-id", "ie-pps", "[0-9]{7}[A-W][A-IW]?", |t| of(national::ie_pps(t), t)),
    number("national-id", "mx-curp", "[A-Z]{4}[0-9]{6}[HMX][A-Z]{5}[0-9A-Z][0-9]", |t| of(national::mx_curp(t), t)),
    number("national-id", "ar-cuit", "(?:2[0-7]|3[0-4])-[0-9]{8}-[0-9]", |t| of(national::ar_cuit(&digits(t)), t)),
    number("national-id", "cl-rut", r"[0-9]{1,2}\.?[0-9]{3}\.?[0-9]{3}-[0-9Kk]", |t| of(national::cl_rut(t), t)),
    number("national-id", "sg-nric", "[STFG][0-9]{7}[A-Z]", |t| of(national::sg_nric(t), t)),
    number("national-id", "hk-identity", r"[A-Z]{1,2}[0-9]{6}\([0-9A]\)", |t| of(national::hk_identity(t), t)),
    number("national-id", "tw-identity", "[A-Z][1289][0-9]{8}", |t| of(national::tw_identity(t), t)),
    number("national-id", "za-identity", "[0-9]{2}[01][0-9][0-3][0-9]{5}[0-2][0-9]{2}", |t| {
        of(national::za_identity(&digits(t)), t)
    }),
    number("national-id", "in-gstin", "[0-3][0-9][A-Z]{5}[0-9]{4}[A-Z][1-9A-Z]Z[0-9A-Z]", |t| {
        of(national::in_gstin(t), t)
    }),
    number(
        "national-id",
        "ir-melli",
        r"(?i:کد ملی|کدملی|شماره ملی|melli)[ -/:-~]{0,12}[0-9]{3}-?[0-9]{6}-?[0-9]",
        |t| named(t, |number| national::ir_melli(&digits(number))),
    ),
    number("national-id", "th-identity", "[1-8]-[0-9]{4}-[0-9]{5}-[0-9]{2}-[0-9]", |t| {
        of(national::th_identity(&digits(t)), t)
    }),
    number("national-id", "kr-business", "[1-9][0-9]{2}-[0-9]{2}-[0-9]{5}", |t| {
        of(national::kr_business(&digits(t)), t)
    }),
    number(
        "national-id",
        "ua-taxpayer",
        r"(?i:рнокпп|іпн|ідентифікаційний код)[ -/:-~]{1,12}[0-9]{10}",
        |t| named(t, |number| national::ua_taxpayer(&digits(number))),
    ),
    number("national-id", "au-business", r"(?i:abn)[ -/:-~]{1,12}[0-9]{2}(?: ?[0-9]{3}){3}", |t| {
        named(t, |number| national::au_business(&digits(number)))
    }),
    number("national-id", "au-medicare", r"(?i:medicare)[ -/:-~]{1,12}[2-6][0-9]{3} ?[0-9]{5} ?[0-9]", |t| {
        named(t, |number| national::au_medicare(&digits(number)))
    }),
    number(
        "national-id",
        "il-identity",
        r"(?i:תעודת זהות|ת\.ז\.|teudat zehut)[ -/:-~]{0,12}[0-9]{9}",
        |t| named(t, |number| national::il_identity(&digits(number))),
    ),
    number(
        "passport",
        "passport",
        concat!(
            r"(?i:passport|passeport|pasaporte|passaporte|reisepass|паспорт|护照|旅券|여권)",
            r"(?:号码|番号|号)?(?:[ -/:-~]{0,20}[ -/:-@])?[A-Z]{0,2}[0-9]{6,9}"
        ),
        passport,
    ),
];

const fn number(kind: &'static str, name: &'static str, pattern: &'static str, check: Check) -> Format {
    Format { kind, name, pattern, border: Border { before: "-._", after: "-_" }, check: Some(check) }
}

fn of(fits: bool, text: &str) -> Option<Range<usize>> {
    fits.then(|| whole(text))?
}

/// The number that ends a text which begins with its name.
fn named(text: &str, fits: impl Fn(&str) -> bool) -> Option<Range<usize>> {
    let start = text.find(|c: char| c.is_ascii_digit())?;
    let number = text.get(start..)?.trim_end();
    fits(number).then(|| start..start + number.len())
}

fn passport(text: &str) -> Option<Range<usize>> {
    let letters = text.trim_end_matches(|c: char| c.is_ascii_digit());
    let start = letters.trim_end_matches(|c: char| c.is_ascii_uppercase()).len();
    // A year or an amount is no passport number.
    (text.len() - letters.len() >= 6).then_some(start..text.len())
}

fn phone(text: &str) -> Option<Range<usize>> {
    of((8..=15).contains(&digits(text).len()), text)
}

/// Japan's numbers have ten or eleven digits.
fn phone_jp(text: &str) -> Option<Range<usize>> {
    of(matches!(digits(text).len(), 10 | 11), text)
}

fn card(text: &str) -> Option<Range<usize>> {
    let digits = digits(text);
    of((13..=19).contains(&digits.len()) && luhn(&digits), text)
}

fn iban(text: &str) -> Option<Range<usize>> {
    let letters: String = text.chars().filter(char::is_ascii_alphanumeric).collect();
    let (country, account) = letters.split_at_checked(4)?;
    let fits = (15..=34).contains(&letters.len()) && mod_97(account.chars().chain(country.chars())) == Some(1);
    of(fits, text)
}

/// Addresses that could be somebody's: not this host, nobody's or everybody's.
fn ip_v4(text: &str) -> Option<Range<usize>> {
    let address: core::net::Ipv4Addr = text.parse().ok()?;
    of(!address.is_loopback() && !address.is_broadcast() && address.octets().first() != Some(&0), text)
}

fn ip_v6(text: &str) -> Option<Range<usize>> {
    let address: Ipv6Addr = text.parse().ok()?;
    of(!address.is_loopback() && !address.is_unspecified(), text)
}

fn ssn(text: &str) -> Option<Range<usize>> {
    let digits = digits(text);
    let number = |range: Range<usize>| digits.get(range).map_or(0, |part| part.iter().fold(0, |sum, d| sum * 10 + d));
    let (area, group, serial) = (number(0..3), number(3..5), number(5..9));
    of(digits.len() == 9 && area > 0 && area != 666 && area < 900 && group > 0 && serial > 0, text)
}

fn nino(text: &str) -> Option<Range<usize>> {
    const NEVER: [&str; 7] = ["BG", "GB", "KN", "NK", "NT", "TN", "ZZ"];
    of(!NEVER.iter().any(|prefix| text.starts_with(prefix)), text)
}

/// A date of birth stands first; since 2020 the check digit is given out at random.
fn rrn(text: &str) -> Option<Range<usize>> {
    let digits = digits(text);
    let number = |range: Range<usize>| digits.get(range).map_or(0, |part| part.iter().fold(0, |sum, d| sum * 10 + d));
    of((1..=12).contains(&number(2..4)) && (1..=31).contains(&number(4..6)), text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_are_nobodys_are_left_alone() {
        assert_eq!(ip_v4("127.0.0.1"), None);
        assert_eq!(ip_v4("999.1.1.1"), None);
        assert_eq!(ip_v6("12:30:45"), None);
        assert_eq!(ip_v6("2001:db8::8a2e:370:7334"), Some(0..23));
        assert_eq!(ssn("666-12-3456"), None);
        assert_eq!(nino("GB123456A"), None);
        assert_eq!(iban("GB82 WEST 1234 5698 7654 32"), Some(0..27));
        assert_eq!(iban("GB82 WEST 1234 5698 7654 33"), None);
        assert_eq!(passport("passport no. X1234567"), Some(13..21));
        assert_eq!(named("BSN: 111222333", |n| digits::bsn(&digits(n))), Some(5..14));
    }
}
