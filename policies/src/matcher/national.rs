//! Check digits of numbers that single states give to people and firms. It finds no numbers; what several states share
//! stands in `digits`.

use super::digits::{all_same, luhn, weighted};

/// Digits whose last follows from a weighted sum by eleven, 0 standing for the rests 0 and 1.
fn ends_in_eleven(digits: &[u32], weights: &[u32]) -> bool {
    let rest = weighted(digits, weights) % 11;
    let expected = if rest < 2 { 0 } else { 11 - rest };
    digits.len() == weights.len() + 1 && !all_same(digits) && digits.last() == Some(&expected)
}

/// Digits whose one at a place is a weighted sum by eleven, taken by ten.
fn eleven_ten(digits: &[u32], weights: &[u32]) -> bool {
    digits.get(weights.len()) == Some(&(weighted(digits, weights) % 11 % 10))
}

/// Whether two digits of month and two of day stand at a place.
fn dated(digits: &[u32], month: usize, day: usize) -> bool {
    let two = |at: usize| digits.get(at..at + 2).map_or(0, |pair| weighted(pair, &[10, 1]));
    (1..=12).contains(&two(month)) && (1..=31).contains(&two(day))
}

/// The letter at a place of an alphabet, counted from 0.
fn letter(alphabet: &str, at: u32) -> Option<char> {
    alphabet.chars().nth(at as usize)
}

/// Portugal's tax number.
pub(crate) fn pt_nif(digits: &[u32]) -> bool {
    !matches!(digits.first(), Some(0 | 4 | 7)) && ends_in_eleven(digits, &[9, 8, 7, 6, 5, 4, 3, 2])
}

/// The United States' tax number for people without social security.
pub(crate) fn us_itin(digits: &[u32]) -> bool {
    let group = digits.get(3..5).map_or(0, |pair| weighted(pair, &[10, 1]));
    digits.len() == 9 && digits.first() == Some(&9) && matches!(group, 50..=65 | 70..=88 | 90..=92 | 94..=99)
}

/// The United Kingdom's taxpayer reference: the first digit follows from the others.
pub(crate) fn uk_utr(digits: &[u32]) -> bool {
    let Some((first, rest)) = digits.split_first() else { return false };
    let sum = weighted(rest, &[6, 7, 8, 9, 10, 5, 4, 3, 2]) % 11;
    digits.len() == 10 && !all_same(digits) && letter("21987654321", sum) == char::from_digit(*first, 10)
}

/// The United Kingdom's health service number.
pub(crate) fn uk_nhs(digits: &[u32]) -> bool {
    let check = (11 - weighted(digits, &[10, 9, 8, 7, 6, 5, 4, 3, 2]) % 11) % 11;
    digits.len() == 10 && !all_same(digits) && digits.last() == Some(&check)
}

/// Russia's taxpayer number, of a person or a firm.
pub(crate) fn ru_inn(digits: &[u32]) -> bool {
    let fits = match digits.len() {
        10 => eleven_ten(digits, &[2, 4, 10, 3, 5, 9, 4, 6, 8]),
        12 => {
            eleven_ten(digits, &[7, 2, 4, 10, 3, 5, 9, 4, 6, 8])
                && eleven_ten(digits, &[3, 7, 2, 4, 10, 3, 5, 9, 4, 6, 8])
        }
        _ => false,
    };
    fits && !all_same(digits)
}

/// Turkey's identity number.
pub(crate) fn tr_tckn(digits: &[u32]) -> bool {
    let tenth =
        (weighted(digits, &[7, 0, 7, 0, 7, 0, 7, 0, 7]) + 40 - weighted(digits, &[0, 1, 0, 1, 0, 1, 0, 1])) % 10;
    let last = weighted(digits, &[1; 10]) % 10;
    let given = (digits.get(9), digits.get(10));
    digits.len() == 11 && digits.first() != Some(&0) && given == (Some(&tenth), Some(&last))
}

/// Spain's number of firms: the check is a digit or a letter.
pub(crate) fn es_cif(text: &str) -> bool {
    let digits: Vec<u32> = text.get(1..8).unwrap_or_default().chars().filter_map(|c| c.to_digit(10)).collect();
    let doubled = |digit: &u32| digit * 2 / 10 + digit * 2 % 10;
    let sum: u32 =
        digits.iter().enumerate().map(|(index, digit)| if index % 2 == 0 { doubled(digit) } else { *digit }).sum();
    let check = (10 - sum % 10) % 10;
    let given = text.chars().nth(8);
    digits.len() == 7 && (given == char::from_digit(check, 10) || given == letter("JABCDEFGHI", check))
}

/// Switzerland's insurance number: an article number of 13 digits.
pub(crate) fn ch_ahv(digits: &[u32]) -> bool {
    digits.len() == 13 && weighted(digits, &[1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1]).is_multiple_of(10)
}

/// Belgium's register number; a 2 stands before those of people born since 2000.
pub(crate) fn be_register(digits: &[u32]) -> bool {
    let number = |digits: &[u32]| digits.iter().fold(0_u64, |sum, digit| sum * 10 + u64::from(*digit));
    let (Some(first), Some(check)) = (digits.get(..9), digits.get(9..11)) else { return false };
    let fits = |first: u64| 97 - first % 97 == number(check);
    digits.len() == 11 && dated(digits, 2, 4) && (fits(number(first)) || fits(2_000_000_000 + number(first)))
}

/// Sweden's personal number, with or without its century.
pub(crate) fn se_personal(digits: &[u32]) -> bool {
    let short = digits.get(digits.len().saturating_sub(10)..).unwrap_or_default();
    matches!(digits.len(), 10 | 12) && dated(short, 2, 4) && luhn(short)
}

/// Finland's personal code.
pub(crate) fn fi_personal(text: &str) -> bool {
    let digits: Vec<u32> = text.get(..10).unwrap_or_default().chars().filter_map(|c| c.to_digit(10)).collect();
    let number = digits.iter().fold(0, |sum, digit| sum * 10 + digit);
    let check = text.chars().nth(10);
    digits.len() == 9 && dated(&digits, 2, 0) && check == letter("0123456789ABCDEFHJKLMNPRSTUVWXY", number % 31)
}

/// Norway's birth number.
pub(crate) fn no_birth(digits: &[u32]) -> bool {
    let fits = |weights: &[u32]| weighted(digits, weights).is_multiple_of(11);
    digits.len() == 11
        && dated(digits, 2, 0)
        && fits(&[3, 7, 6, 1, 8, 9, 4, 5, 2, 1])
        && fits(&[5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1])
}

/// Poland's tax number.
pub(crate) fn pl_nip(digits: &[u32]) -> bool {
    let rest = weighted(digits, &[6, 5, 7, 2, 3, 4, 5, 6, 7]) % 11;
    digits.len() == 10 && !all_same(digits) && digits.last() == Some(&rest)
}

/// The Czech and Slovak birth number: women's months count from 51.
pub(crate) fn cz_birth(digits: &[u32]) -> bool {
    let number = digits.iter().fold(0_u64, |sum, digit| sum * 10 + u64::from(*digit));
    let month = digits.get(2..4).map_or(0, |pair| weighted(pair, &[10, 1]));
    digits.len() == 10 && matches!(month % 50, 1..=12 | 21..=32) && number.is_multiple_of(11)
}

/// Romania's personal code.
pub(crate) fn ro_cnp(digits: &[u32]) -> bool {
    let rest = weighted(digits, &[2, 7, 9, 1, 4, 6, 3, 5, 8, 2, 7, 9]) % 11;
    let check = if rest == 10 { 1 } else { rest };
    digits.len() == 13 && digits.first() != Some(&0) && dated(digits, 3, 5) && digits.last() == Some(&check)
}

/// Bulgaria's citizen number.
pub(crate) fn bg_egn(digits: &[u32]) -> bool {
    digits.len() == 10 && !all_same(digits) && eleven_ten(digits, &[2, 4, 8, 5, 10, 9, 7, 3, 6])
}

/// Greece's tax number.
pub(crate) fn gr_afm(digits: &[u32]) -> bool {
    digits.len() == 9 && !all_same(digits) && eleven_ten(digits, &[256, 128, 64, 32, 16, 8, 4, 2])
}

/// Ireland's public service number: seven digits and one or two letters.
pub(crate) fn ie_pps(text: &str) -> bool {
    let digits: Vec<u32> = text.get(..7).unwrap_or_default().chars().filter_map(|c| c.to_digit(10)).collect();
    let value = |c: char| if c == 'W' { 0 } else { c.to_digit(36).map_or(0, |value| value.saturating_sub(9)) };
    let sum = weighted(&digits, &[8, 7, 6, 5, 4, 3, 2]) + 9 * text.chars().nth(8).map_or(0, value);
    digits.len() == 7 && text.chars().nth(7) == letter("WABCDEFGHIJKLMNOPQRSTUV", sum % 23)
}

/// Mexico's population code.
pub(crate) fn mx_curp(text: &str) -> bool {
    const ALPHABET: &str = "0123456789ABCDEFGHIJKLMN\u{d1}OPQRSTUVWXYZ";
    let value = |c: char| ALPHABET.chars().position(|one| one == c).and_then(|at| u32::try_from(at).ok());
    let Some(values) = text.chars().map(value).collect::<Option<Vec<u32>>>() else { return false };
    let weights: Vec<u32> = (2..=18).rev().collect();
    let check = (10 - weighted(&values, &weights) % 10) % 10;
    values.len() == 18 && values.last() == Some(&check)
}

/// Argentina's tax number.
pub(crate) fn ar_cuit(digits: &[u32]) -> bool {
    let check = match 11 - weighted(digits, &[5, 4, 3, 2, 7, 6, 5, 4, 3, 2]) % 11 {
        11 => 0,
        10 => 9,
        check => check,
    };
    digits.len() == 11 && digits.last() == Some(&check)
}

/// Chile's tax number: the check is a digit or a K.
pub(crate) fn cl_rut(text: &str) -> bool {
    let letters: Vec<char> = text.chars().filter(char::is_ascii_alphanumeric).collect();
    let Some((given, number)) = letters.split_last() else { return false };
    let weights = [2, 3, 4, 5, 6, 7].into_iter().cycle();
    let sum: u32 = number.iter().rev().filter_map(|c| c.to_digit(10)).zip(weights).map(|(d, w)| d * w).sum();
    letter("0K987654321", sum % 11) == Some(given.to_ascii_uppercase())
}

/// Singapore's identity number.
pub(crate) fn sg_nric(text: &str) -> bool {
    let digits: Vec<u32> = text.get(1..8).unwrap_or_default().chars().filter_map(|c| c.to_digit(10)).collect();
    let (offset, letters) = match text.chars().next() {
        Some('S') => (0, "JZIHGFEDCBA"),
        Some('T') => (4, "JZIHGFEDCBA"),
        Some('F') => (0, "XWUTRQPNMLK"),
        Some('G') => (4, "XWUTRQPNMLK"),
        _ => return false,
    };
    let rest = (weighted(&digits, &[2, 7, 6, 5, 4, 3, 2]) + offset) % 11;
    digits.len() == 7 && text.chars().nth(8) == letter(letters, rest)
}

/// Hong Kong's identity number: one or two letters, six digits and a check in brackets.
pub(crate) fn hk_identity(text: &str) -> bool {
    let mut values: Vec<u32> =
        text.chars().filter(char::is_ascii_alphanumeric).filter_map(|c| c.to_digit(36)).collect();
    if values.len() == 8 {
        // A space stands before a single letter.
        values.insert(0, 36);
    }
    values.len() == 9 && weighted(&values, &[9, 8, 7, 6, 5, 4, 3, 2, 1]).is_multiple_of(11)
}

/// Taiwan's identity number: a letter for the place and nine digits.
pub(crate) fn tw_identity(text: &str) -> bool {
    // Two digits for each letter, in the order in which places got them.
    const PLACES: &str = "ABCDEFGHJKLMNPQRSTUVXYWZIO";
    let digits: Vec<u32> = text.chars().skip(1).filter_map(|c| c.to_digit(10)).collect();
    let place = text.chars().next().and_then(|c| PLACES.chars().position(|one| one == c));
    let Some(place) = place.and_then(|place| u32::try_from(place).ok()) else { return false };
    let code = place + 10;
    let sum = code / 10 + code % 10 * 9 + weighted(&digits, &[8, 7, 6, 5, 4, 3, 2, 1, 1]);
    digits.len() == 9 && sum.is_multiple_of(10)
}

/// South Africa's identity number.
pub(crate) fn za_identity(digits: &[u32]) -> bool {
    digits.len() == 13 && dated(digits, 2, 4) && matches!(digits.get(10), Some(0..=2)) && luhn(digits)
}

/// India's tax number of firms: a place, a PAN, a number, a Z and a check.
pub(crate) fn in_gstin(text: &str) -> bool {
    let values: Vec<u32> = text.chars().filter_map(|c| c.to_digit(36)).collect();
    let spread = |product: u32| product / 36 + product % 36;
    let terms = values.iter().take(14).enumerate();
    let sum: u32 = terms.map(|(index, value)| spread(if index % 2 == 0 { *value } else { value * 2 })).sum();
    values.len() == 15 && values.last() == Some(&((36 - sum % 36) % 36))
}

/// Iran's national code.
pub(crate) fn ir_melli(digits: &[u32]) -> bool {
    let rest = weighted(digits, &[10, 9, 8, 7, 6, 5, 4, 3, 2]) % 11;
    let check = if rest < 2 { rest } else { 11 - rest };
    digits.len() == 10 && !all_same(digits) && digits.last() == Some(&check)
}

/// Thailand's identity number.
pub(crate) fn th_identity(digits: &[u32]) -> bool {
    let check = (11 - weighted(digits, &[13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2]) % 11) % 10;
    digits.len() == 13 && !all_same(digits) && digits.last() == Some(&check)
}

/// Korea's number of firms.
pub(crate) fn kr_business(digits: &[u32]) -> bool {
    let carried = digits.get(8).map_or(0, |digit| digit * 5 / 10);
    let sum = weighted(digits, &[1, 3, 7, 1, 3, 7, 1, 3, 5]) + carried;
    digits.len() == 10 && !all_same(digits) && digits.last() == Some(&((10 - sum % 10) % 10))
}

/// Ukraine's taxpayer number.
pub(crate) fn ua_taxpayer(digits: &[u32]) -> bool {
    // The first weight is -1: ten is the same by eleven.
    digits.len() == 10 && !all_same(digits) && eleven_ten(digits, &[10, 5, 7, 9, 4, 6, 10, 5, 7])
}

/// Australia's business number.
pub(crate) fn au_business(digits: &[u32]) -> bool {
    let sum = weighted(digits, &[10, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19]);
    digits.len() == 11 && digits.first() != Some(&0) && (sum - 10).is_multiple_of(89)
}

/// Australia's health card.
pub(crate) fn au_medicare(digits: &[u32]) -> bool {
    let check = weighted(digits, &[1, 3, 7, 9, 1, 3, 7, 9]) % 10;
    digits.len() == 10 && matches!(digits.first(), Some(2..=6)) && digits.get(8) == Some(&check)
}

/// Israel's identity number.
pub(crate) fn il_identity(digits: &[u32]) -> bool {
    digits.len() == 9 && luhn(digits)
}

#[cfg(test)]
mod tests {
    use super::super::digits::digits;
    use super::*;

    #[test]
    fn check_digits_of_single_states_tell_real_numbers_from_mistyped_ones() {
        type Case = (fn(&str) -> bool, &'static str, &'static str);
        let cases: [Case; 35] = [
            (|t| pt_nif(&digits(t)), "123456789", "123456788"),
            (|t| us_itin(&digits(t)), "912-70-1234", "912-69-1234"),
            (|t| uk_utr(&digits(t)), "1955839661", "2955839661"),
            (|t| uk_nhs(&digits(t)), "943 476 5919", "943 476 5918"),
            (|t| ru_inn(&digits(t)), "7707083893", "7707083894"),
            (|t| ru_inn(&digits(t)), "500100732259", "500100732250"),
            (|t| tr_tckn(&digits(t)), "10000000146", "10000000147"),
            (es_cif, "A58818501", "A58818502"),
            (es_cif, "Q2826000H", "Q2826000G"),
            (|t| ch_ahv(&digits(t)), "756.9217.0769.85", "756.9217.0769.84"),
            (|t| be_register(&digits(t)), "85.07.30-033.28", "85.07.30-033.61"),
            (|t| be_register(&digits(t)), "17.07.30-033.84", "17.07.30-033.85"),
            (|t| se_personal(&digits(t)), "811228-9874", "811228-9875"),
            (fi_personal, "131052-308T", "131052-308U"),
            (|t| no_birth(&digits(t)), "15108695088", "15108695077"),
            (|t| pl_nip(&digits(t)), "856-734-62-15", "856-734-62-14"),
            (|t| cz_birth(&digits(t)), "710319/2745", "710319/2746"),
            (|t| ro_cnp(&digits(t)), "1630615123457", "1630615123458"),
            (|t| bg_egn(&digits(t)), "7523169263", "7523169264"),
            (|t| gr_afm(&digits(t)), "094259216", "094259217"),
            (ie_pps, "6433435F", "6433435E"),
            (mx_curp, "BOXW310820HNERXN09", "BOXW310820HNERXN08"),
            (|t| ar_cuit(&digits(t)), "20-05536168-2", "20-05536168-3"),
            (cl_rut, "76.086.428-5", "76.086.428-6"),
            (sg_nric, "S1234567D", "S1234567E"),
            (hk_identity, "A123456(3)", "A123456(4)"),
            (tw_identity, "A123456789", "A123456788"),
            (|t| za_identity(&digits(t)), "8001015009087", "8001015009086"),
            (in_gstin, "27AAPFU0939F1ZV", "27AAPFU0939F1ZW"),
            (|t| ir_melli(&digits(t)), "0499370899", "0499370898"),
            (|t| th_identity(&digits(t)), "1-2345-45678-78-1", "1-2345-45678-78-2"),
            (|t| kr_business(&digits(t)), "116-82-00276", "116-82-00275"),
            (|t| ua_taxpayer(&digits(t)), "1759013776", "1759013777"),
            (|t| au_business(&digits(t)), "51 824 753 556", "51 824 753 557"),
            (|t| il_identity(&digits(t)), "039337423", "039337424"),
        ];
        for (check, right, wrong) in cases {
            assert!(check(right), "{right}");
            assert!(!check(wrong), "{wrong}");
        }
        assert!(au_medicare(&digits("2123 45670 1")) && !au_medicare(&digits("2123 45671 1")));
    }
}
