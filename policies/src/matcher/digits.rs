//! Check digits of numbers that carry them. It finds no numbers.

/// The digits of a text, whatever stands between them.
pub(crate) fn digits(text: &str) -> Vec<u32> {
    text.chars().filter_map(|c| c.to_digit(10)).collect()
}

/// Whether one digit stands everywhere: nobody has such a number.
pub(crate) fn all_same(digits: &[u32]) -> bool {
    digits.windows(2).all(|pair| matches!(pair, [a, b] if a == b))
}

/// Sum of digits times weights.
pub(crate) fn weighted(digits: &[u32], weights: &[u32]) -> u32 {
    digits.iter().zip(weights).map(|(digit, weight)| digit * weight).sum()
}

/// Luhn: payment cards and others.
pub(crate) fn luhn(digits: &[u32]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(index, digit)| if index % 2 == 0 { *digit } else { digit * 2 - if *digit > 4 { 9 } else { 0 } })
        .sum();
    !all_same(digits) && sum.is_multiple_of(10)
}

/// Verhoeff: India's Aadhaar.
pub(crate) fn verhoeff(digits: &[u32]) -> bool {
    const TURN: [[u32; 10]; 8] = [
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
        [1, 5, 7, 6, 2, 8, 3, 0, 9, 4],
        [5, 8, 0, 3, 7, 9, 6, 1, 4, 2],
        [8, 9, 1, 6, 0, 4, 3, 5, 2, 7],
        [9, 4, 5, 3, 1, 2, 6, 8, 7, 0],
        [4, 2, 8, 6, 5, 7, 3, 9, 0, 1],
        [2, 7, 9, 3, 8, 0, 6, 4, 1, 5],
        [7, 0, 4, 6, 9, 1, 3, 2, 5, 8],
    ];
    let mut sum = 0;
    for (row, digit) in TURN.iter().cycle().zip(digits.iter().rev()) {
        sum = dihedral(sum, row.get(*digit as usize).copied().unwrap_or_default());
    }
    !all_same(digits) && sum == 0
}

/// Multiplies in the dihedral group of ten elements.
fn dihedral(a: u32, b: u32) -> u32 {
    match (a < 5, b < 5) {
        (true, true) => (a + b) % 5,
        (true, false) => 5 + (a + b - 5) % 5,
        (false, true) => 5 + (a - 5 + 5 - b) % 5,
        (false, false) => (a + 5 - b) % 5,
    }
}

/// Rest of a long number by 97, letters counting 10 to 35.
pub(crate) fn mod_97(mut text: impl Iterator<Item = char>) -> Option<u32> {
    text.try_fold(0, |rest, c| {
        let value = c.to_digit(36)?;
        Some(if value < 10 { (rest * 10 + value) % 97 } else { (rest * 100 + value) % 97 })
    })
}

/// Brazil's CPF.
pub(crate) fn cpf(digits: &[u32]) -> bool {
    let check = |count: u32| {
        let weights: Vec<u32> = (2..=count + 1).rev().collect();
        let rest = weighted(digits, &weights) * 10 % 11 % 10;
        digits.get(count as usize) == Some(&rest)
    };
    digits.len() == 11 && !all_same(digits) && check(9) && check(10)
}

/// Brazil's CNPJ.
pub(crate) fn cnpj(digits: &[u32]) -> bool {
    const WEIGHTS: [u32; 13] = [6, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2];
    let check = |from: usize, at: usize| {
        let rest = weighted(digits, WEIGHTS.get(from..).unwrap_or_default()) % 11;
        digits.get(at) == Some(&if rest < 2 { 0 } else { 11 - rest })
    };
    digits.len() == 14 && !all_same(digits) && check(1, 12) && check(0, 13)
}

/// China's resident identity number: 17 digits and a digit or X.
pub(crate) fn resident_id(text: &str) -> bool {
    const WEIGHTS: [u32; 17] = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
    const CHECKS: &str = "10X98765432";
    let numbers = digits(text.get(..17).unwrap_or_default());
    let month = numbers.get(10..12).map_or(0, |month| weighted(month, &[10, 1]));
    let day = numbers.get(12..14).map_or(0, |day| weighted(day, &[10, 1]));
    let expected = CHECKS.chars().nth((weighted(&numbers, &WEIGHTS) % 11) as usize);
    let given = text.chars().nth(17).map(|c| c.to_ascii_uppercase());
    numbers.len() == 17 && (1..=12).contains(&month) && (1..=31).contains(&day) && expected == given
}

/// France's NIR: 13 characters and a key of two digits.
pub(crate) fn nir(text: &str) -> bool {
    let letters: String = text.chars().filter(|c| c.is_ascii_alphanumeric()).collect();
    let number = letters.get(..13).unwrap_or_default().to_ascii_uppercase();
    // The two departments of Corsica count as numbers.
    let number = number.replacen("2A", "19", 1).replacen("2B", "18", 1);
    let key = letters.get(13..).and_then(|key| key.parse::<u64>().ok());
    number.parse::<u64>().ok().map(|number| 97 - number % 97) == key && key.is_some()
}

/// Germany's tax number for persons.
pub(crate) fn steuer_id(digits: &[u32]) -> bool {
    let Some((check, first)) = digits.split_last() else { return false };
    let counts = (0..10).map(|digit| first.iter().filter(|d| **d == digit).count());
    let repeated = counts.clone().filter(|count| *count > 1).count();
    let most = counts.max().unwrap_or_default();
    let product = first.iter().fold(10, |product, digit| {
        let sum = (digit + product) % 10;
        (if sum == 0 { 10 } else { sum }) * 2 % 11
    });
    digits.len() == 11 && first.first() != Some(&0) && repeated == 1 && most <= 3 && (11 - product) % 10 == *check
}

/// Spain's DNI and NIE: a number and the letter that follows from it.
pub(crate) fn dni(text: &str) -> bool {
    const LETTERS: &str = "TRWAGMYFPDXBNJZSQVHLCKE";
    let upper: String = text.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_uppercase()).collect();
    let Some(given) = upper.chars().last() else { return false };
    let number = upper.get(..upper.len() - 1).unwrap_or_default();
    let number = match number.chars().next() {
        Some('X') => number.replacen('X', "0", 1),
        Some('Y') => number.replacen('Y', "1", 1),
        Some('Z') => number.replacen('Z', "2", 1),
        _ => number.to_owned(),
    };
    number.parse::<usize>().is_ok_and(|number| LETTERS.chars().nth(number % 23) == Some(given))
}

/// The Netherlands' citizen number.
pub(crate) fn bsn(digits: &[u32]) -> bool {
    let sum = weighted(digits, &[9, 8, 7, 6, 5, 4, 3, 2]) + 11;
    let last = digits.get(8).copied().unwrap_or(u32::MAX % 10);
    digits.len() == 9 && !all_same(digits) && (sum - last).is_multiple_of(11)
}

/// Poland's PESEL.
pub(crate) fn pesel(digits: &[u32]) -> bool {
    let sum = weighted(digits, &[1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1]);
    digits.len() == 11 && !all_same(digits) && sum.is_multiple_of(10)
}

/// Russia's SNILS.
pub(crate) fn snils(digits: &[u32]) -> bool {
    let sum = weighted(digits, &[9, 8, 7, 6, 5, 4, 3, 2, 1]) % 101 % 100;
    let given = digits.get(9..11).map(|check| weighted(check, &[10, 1]));
    digits.len() == 11 && !all_same(digits) && given == Some(sum)
}

/// Italy's fiscal code.
pub(crate) fn codice_fiscale(text: &str) -> bool {
    const ODD: [u32; 26] =
        [1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23];
    let value = |c: char| c.to_digit(36).map(|value| if value < 10 { value } else { value - 10 });
    let values: Option<Vec<u32>> = text.chars().map(value).collect();
    let Some((check, first)) = values.as_deref().and_then(<[u32]>::split_last) else { return false };
    let sum: u32 = first
        .iter()
        .enumerate()
        .map(|(index, value)| if index % 2 == 0 { ODD.get(*value as usize).copied().unwrap_or(0) } else { *value })
        .sum();
    sum % 26 == *check
}

/// Japan's individual number.
pub(crate) fn my_number(digits: &[u32]) -> bool {
    let rest = weighted(digits, &[6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2]) % 11;
    let expected = if rest <= 1 { 0 } else { 11 - rest };
    digits.len() == 12 && !all_same(digits) && digits.last() == Some(&expected)
}

/// Canada's social insurance number and others of nine digits by Luhn.
pub(crate) fn sin(digits: &[u32]) -> bool {
    digits.len() == 9 && digits.first().is_some_and(|first| !matches!(first, 0 | 8)) && luhn(digits)
}

/// Australia's tax file number.
pub(crate) fn tfn(digits: &[u32]) -> bool {
    digits.len() == 9 && !all_same(digits) && weighted(digits, &[1, 4, 3, 7, 5, 8, 6, 9, 10]).is_multiple_of(11)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_digits_tell_real_numbers_from_mistyped_ones() {
        type Case = (&'static str, fn(&str) -> bool, &'static str, &'static str);
        let cases: [Case; 17] = [
            ("luhn", |t| luhn(&digits(t)), "4111 1111 1111 1111", "4111 1111 1111 1112"),
            ("verhoeff", |t| verhoeff(&digits(t)), "2363", "2364"),
            ("iban", |t| mod_97(t.chars()) == Some(1), "WEST12345698765432GB82", "WEST12345698765432GB83"),
            ("cpf", |t| cpf(&digits(t)), "529.982.247-25", "529.982.247-26"),
            ("cnpj", |t| cnpj(&digits(t)), "11.222.333/0001-81", "11.222.333/0001-82"),
            ("resident id", resident_id, "11010519491231002X", "110105194912310021"),
            ("nir", nir, "255081416802538", "255081416802539"),
            ("steuer-id", |t| steuer_id(&digits(t)), "86095742719", "86095742718"),
            ("dni", dni, "12345678Z", "12345678A"),
            ("nie", dni, "X1234567L", "X1234567M"),
            ("bsn", |t| bsn(&digits(t)), "111222333", "111222334"),
            ("pesel", |t| pesel(&digits(t)), "44051401359", "44051401358"),
            ("snils", |t| snils(&digits(t)), "112-233-445 95", "112-233-445 96"),
            ("codice fiscale", codice_fiscale, "RSSMRA85T10A562S", "RSSMRA85T10A562T"),
            ("my number", |t| my_number(&digits(t)), "123456789018", "123456789019"),
            ("sin", |t| sin(&digits(t)), "193456787", "193456788"),
            ("tfn", |t| tfn(&digits(t)), "123456782", "123456783"),
        ];
        for (name, check, right, wrong) in cases {
            assert!(check(right), "{name}: {right}");
            assert!(!check(wrong), "{name}: {wrong}");
        }
        assert!(!cpf(&digits("111.111.111-11")) && !luhn(&digits("0000 0000 0000 0000")));
    }
}
