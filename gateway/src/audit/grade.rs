//! Whether an answer in mathematics is right, by its value: what stands in the last `\boxed{}`, as a number. It understands
//! arithmetic with fractions, roots, powers and π, and no unknowns.

/// Whether an answer has the value of the right one; false where it has none.
#[must_use]
pub fn is_right(answer: &str, right: &str) -> bool {
    let Some(given) = final_answer(answer) else { return false };
    match (value(given), value(right)) {
        (Some(given), Some(right)) => (given - right).abs() <= 1e-6 * right.abs().max(1.0),
        _ => plain(given) == plain(right),
    }
}

/// What an answer gives as its result: the last box, else what follows the last "answer is" or "=", else the last number.
fn final_answer(text: &str) -> Option<&str> {
    if let Some(boxed) = last_box(text) {
        return Some(boxed);
    }
    let line = text.lines().rev().map(str::trim).find(|line| line.contains(|c: char| c.is_ascii_digit()))?;
    let marks = ["answer is", "resposta é", "答案是", "答案为", "="];
    let after = marks.iter().filter_map(|mark| Some(line.rfind(mark)? + mark.len())).max();
    let rest = after.and_then(|at| line.get(at..)).unwrap_or(line);
    let rest = rest.trim_matches(|c: char| c.is_whitespace() || matches!(c, '*' | '.' | '。' | ':' | '$' | '：'));
    if value(rest).is_some() {
        return Some(rest);
    }
    let number = |c: char| c.is_ascii_digit() || matches!(c, '.' | ',' | '-' | '/');
    rest.split(|c: char| !number(c)).map(|word| word.trim_end_matches(['.', ','])).rfind(|word| value(word).is_some())
}

/// The contents of the last `\boxed{...}`, whose braces may nest.
fn last_box(text: &str) -> Option<&str> {
    let from = text.rfind("\\boxed{")? + "\\boxed{".len();
    let mut depth = 1;
    for (at, c) in text.get(from..)?.char_indices() {
        depth += match c {
            '{' => 1,
            '}' => -1,
            _ => 0,
        };
        if depth == 0 {
            return text.get(from..from + at);
        }
    }
    None
}

fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace() && !matches!(c, '$' | '\\')).flat_map(char::to_lowercase).collect()
}

/// The value of an expression, if it is one.
fn value(text: &str) -> Option<f64> {
    let text = cleaned(text);
    let mut reading = Reading { rest: &text, depth: 0 };
    let value = reading.sum()?;
    (reading.rest.is_empty() && value.is_finite()).then_some(value)
}

/// The expression without its dress: marks of LaTeX, units, spaces, an unknown and its equals sign before it.
fn cleaned(text: &str) -> String {
    let mut text = text.replace(['$', '\u{a0}'], " ");
    for (from, to) in DRESS {
        text = text.replace(from, to);
    }
    while let Some(at) = text.find("\\text{") {
        let end = text.get(at..).and_then(|rest| rest.find('}')).map_or(text.len(), |end| at + end + 1);
        text.replace_range(at..end, "");
    }
    if let Some(at) = text.rfind('=') {
        text.replace_range(..=at, "");
    }
    let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    text.trim_end_matches(['.', '。', ';']).to_owned()
}

const DRESS: [(&str, &str); 20] = [
    ("\\dfrac", "\\frac"),
    ("\\tfrac", "\\frac"),
    ("\\left", ""),
    ("\\right", ""),
    ("\\cdot", "*"),
    ("\\times", "*"),
    ("\\div", "/"),
    ("\\,", ""),
    ("\\!", ""),
    ("\\;", ""),
    ("{,}", ","),
    ("^{\\circ}", ""),
    ("^\\circ", ""),
    ("°", ""),
    ("\\%", "%"),
    ("\\pi", "π"),
    ("−", "-"),
    ("×", "*"),
    ("÷", "/"),
    ("√", "\\sqrt"),
];

/// How deep brackets may nest.
const DEEPEST: u32 = 32;

/// A recursive descent over an expression.
struct Reading<'a> {
    rest: &'a str,
    depth: u32,
}

impl Reading<'_> {
    fn take(&mut self, text: &str) -> bool {
        let rest = self.rest.strip_prefix(text);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn sum(&mut self) -> Option<f64> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return None;
        }
        let mut sum = self.product()?;
        loop {
            if self.take("+") {
                sum += self.product()?;
            } else if self.take("-") {
                sum -= self.product()?;
            } else {
                self.depth -= 1;
                return Some(sum);
            }
        }
    }

    fn product(&mut self) -> Option<f64> {
        let mut product = self.signed()?;
        loop {
            if self.take("*") {
                product *= self.signed()?;
            } else if self.take("/") {
                product /= self.signed()?;
            } else if self.rest.starts_with(['\\', '(', 'π']) {
                // A factor that is written without its sign: 18√3, 2π.
                product *= self.power()?;
            } else if self.take("%") {
                product /= 100.0;
            } else {
                return Some(product);
            }
        }
    }

    fn signed(&mut self) -> Option<f64> {
        match (self.take("-"), self.take("+")) {
            (true, _) => Some(-self.power()?),
            _ => self.power(),
        }
    }

    fn power(&mut self) -> Option<f64> {
        let base = self.single()?;
        if !self.take("^") {
            return Some(base);
        }
        let exponent = if self.rest.starts_with('{') { self.group("{", "}")? } else { self.signed()? };
        Some(base.powf(exponent))
    }

    fn single(&mut self) -> Option<f64> {
        if self.take("\\frac") {
            return Some(self.argument()? / self.argument()?);
        }
        if self.take("\\sqrt") {
            let root = if self.rest.starts_with('[') { self.group("[", "]")? } else { 2.0 };
            return Some(self.argument()?.powf(1.0 / root));
        }
        if self.take("π") {
            return Some(std::f64::consts::PI);
        }
        if self.rest.starts_with('(') {
            return self.group("(", ")");
        }
        if self.rest.starts_with('{') {
            return self.group("{", "}");
        }
        self.number()
    }

    /// What a command stands before: a group, or a single digit.
    fn argument(&mut self) -> Option<f64> {
        if self.rest.starts_with('{') {
            return self.group("{", "}");
        }
        if self.rest.starts_with('(') {
            return self.group("(", ")");
        }
        let digit = self.rest.chars().next()?.to_digit(10)?;
        self.rest = self.rest.get(1..)?;
        Some(f64::from(digit))
    }

    fn group(&mut self, open: &str, close: &str) -> Option<f64> {
        let value = if self.take(open) { self.sum()? } else { return None };
        self.take(close).then_some(value)
    }

    /// A number; commas before groups of three digits separate thousands, any other comma is a decimal one.
    fn number(&mut self) -> Option<f64> {
        let end = self.rest.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == ',')).unwrap_or(self.rest.len());
        let (number, rest) = self.rest.split_at(end);
        let groups: Vec<&str> = number.split(',').collect();
        let [first, others @ ..] = groups.as_slice() else { return None };
        let thousands = others.iter().all(|group| group.split('.').next().is_some_and(|digits| digits.len() == 3))
            && (1..=3).contains(&first.len());
        let number = match others.len() {
            0 => number.to_owned(),
            _ if thousands => number.replace(',', ""),
            1 => number.replace(',', "."),
            _ => return None,
        };
        self.rest = rest;
        number.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_compared_not_texts() {
        for (answer, right) in [
            (r"So the sum is \boxed{\frac{11}{12}}.", "11/12"),
            (r"\boxed{\dfrac{-5}{2}}", "-2.5"),
            (r"\boxed{-\frac52}", "-5/2"),
            (r"First \boxed{3}, no: \boxed{1{,}234{,}321}", "1234321"),
            (r"\boxed{500,500}", "500500"),
            (r"\boxed{84,5}", "84.5"),
            (r"\boxed{x = 18\sqrt{3}}", r"18\sqrt{3}"),
            (r"\boxed{6 \cdot \left(\sqrt{27}\right)}", r"18\sqrt{3}"),
            (r"\boxed{31.1769145}", r"18\sqrt{3}"),
            (r"\boxed{144^\circ}", "144"),
            (r"\boxed{144\text{ degrees}}", "144"),
            (r"\boxed{50\%}", "1/2"),
            (r"\boxed{2^{10}}", "1024"),
            (r"\boxed{\sqrt[3]{27}}", "3"),
            (r"\boxed{2\pi}", "6.283185307"),
            ("The answer is **249**.", "249"),
            ("Therefore x = 5/36.", "5/36"),
            ("A resposta é 84,5.", "84.5"),
            ("答案是 210。", "210"),
            (r"\boxed{(3, 4)}", "(3,4)"),
        ] {
            assert!(is_right(answer, right), "{answer} is {right}");
        }
    }

    #[test]
    fn what_is_wrong_or_nothing_is_not_right() {
        for (answer, right) in [
            (r"\boxed{11/13}", "11/12"),
            ("I cannot help with that.", "7"),
            ("", "7"),
            (r"\boxed{7", "8"),
            (r"\boxed{1/0}", "7"),
            (r"\boxed{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{7}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}", "8"),
            (r"\boxed{12 or 7}", "7"),
        ] {
            assert!(!is_right(answer, right), "{answer} is not {right}");
        }
    }
}
