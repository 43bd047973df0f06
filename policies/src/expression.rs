//! Conditions that an expression states, in CEL. It reads no pack.
//!
//! | name | what it is |
//! |---|---|
//! | `caller`, `team`, `role`, `model` | text; empty where there is none |
//! | `upstream`, `jurisdiction` | text; `local` a truth value, `tags` a map of text |
//! | `topics` | a list of text such as `china/tiananmen-1989`: what was found so far |
//! | `verdict` | a map of `outcome`, `manners`, `language`, `confidence` |
//! | `time` | a map of `weekday` (`mon`), `hour`, `minute`, `unix`; UTC |

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::thread;

use cel::common::ast::{ComprehensionExpr as Comprehension, EntryExpr, Expr};
use cel::{Context, ExecutionError, IdedExpr, Program, Value};

use crate::facts::{Conduct, Facts, Upstream};
use crate::source::in_utc;

/// Longest expression, in bytes.
const LENGTH_MOST: usize = 2000;

/// Brackets inside brackets: each costs the parser some tens of calls inside calls.
const BRACKETS_MOST: usize = 64;

/// Operations inside operations. What is asked runs on a thread of the caller's, with a stack of the usual size.
const DEPTH_MOST: usize = 12;

/// Stack of the thread that parses, in bytes: the parser calls itself about as often as the text is long.
const PARSER_STACK: usize = 64 << 20;

/// What an expression asks for that is not known from the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Asks {
    pub(crate) upstream: bool,
    pub(crate) topics: bool,
    pub(crate) verdict: bool,
}

/// What is known when an expression is asked.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Known<'a> {
    pub(crate) facts: Facts<'a>,
    /// Topics as `pack/id`.
    pub(crate) topics: &'a [String],
    pub(crate) verdict: Option<&'a Conduct<'a>>,
}

/// What is the same for all expressions: the functions. Made once per ruleset, for that takes longer than most
/// expressions.
#[derive(Clone)]
pub(crate) struct Root(Arc<Context<'static, 'static>>);

impl Root {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Context::default()))
    }
}

impl fmt::Debug for Root {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Root")
    }
}

/// A compiled expression.
#[derive(Debug)]
pub(crate) struct Expression {
    root: Root,
    program: Program,
    names: Vec<&'static str>,
}

const NAMES: [&str; 11] =
    ["caller", "team", "role", "model", "upstream", "jurisdiction", "local", "tags", "topics", "verdict", "time"];

/// Functions that an expression may call; operators have names of signs.
const FUNCTIONS: [&str; 10] =
    ["size", "contains", "startsWith", "endsWith", "string", "int", "uint", "double", "bool", "type"];

impl Expression {
    /// Compiles an expression.
    ///
    /// # Errors
    /// What is wrong with it, and a hint.
    pub(crate) fn compile(text: &str, root: &Root) -> Result<Self, (String, Option<String>)> {
        if text.len() > LENGTH_MOST || brackets(text) > BRACKETS_MOST {
            return Err(("the expression is too long".to_owned(), Some("use the plain keys of `when`".to_owned())));
        }
        let compile = || Self::compile_deep(text, root);
        let compiled = thread::scope(|scope| {
            let thread = thread::Builder::new().stack_size(PARSER_STACK).spawn_scoped(scope, compile);
            thread.ok().and_then(|thread| thread.join().ok())
        });
        compiled.unwrap_or_else(|| Err(("the expression cannot be read".to_owned(), None)))
    }

    fn compile_deep(text: &str, root: &Root) -> Result<Self, (String, Option<String>)> {
        let program = Program::compile(text).map_err(|errors| {
            let first = errors.errors.first();
            let what = first.map_or("", |error| error.msg.lines().next().unwrap_or_default());
            let (line, column) = first.map_or((1, 1), |error| error.pos);
            let short: String = what.trim_start_matches("Syntax error: ").chars().take(80).collect();
            (format!("no expression: {short} (line {line}, character {column} of it)"), None)
        })?;
        let (own, depth) = bound(program.expression());
        if depth > DEPTH_MOST {
            return Err(("the expression is too deep".to_owned(), Some("use the plain keys of `when`".to_owned())));
        }
        let references = program.references();
        let mut unknown: Vec<&str> = references.variables();
        unknown.retain(|name| !NAMES.contains(name) && !own.contains(name));
        unknown.sort_unstable();
        if let Some(name) = unknown.first() {
            return Err((
                format!("`{name}` means nothing in an expression"),
                Some(format!("there are: {}", NAMES.join(", "))),
            ));
        }
        let is_sign = |name: &&str| !name.starts_with(char::is_alphabetic);
        let strange = |name: &&str| !is_sign(name) && !FUNCTIONS.contains(name);
        if let Some(name) = references.functions().into_iter().find(strange) {
            let hint = format!("there are: {}", FUNCTIONS.join(", "));
            return Err((format!("`{name}` is no function of expressions"), Some(hint)));
        }
        let names = NAMES.into_iter().filter(|name| references.has_variable(name)).collect();
        drop(references);
        let expression = Self { root: root.clone(), program, names };
        expression.try_out()?;
        Ok(expression)
    }

    /// What it asks for that is not known from the start.
    pub(crate) fn asks(&self) -> Asks {
        let any = |wanted: &[&str]| self.names.iter().any(|name| wanted.contains(name));
        Asks {
            upstream: any(&["upstream", "jurisdiction", "local", "tags"]),
            topics: any(&["topics"]),
            verdict: any(&["verdict"]),
        }
    }

    /// Whether it holds. One that cannot be answered, for want of what it asks or for a type that does not fit, does not.
    pub(crate) fn holds(&self, known: &Known<'_>) -> bool {
        matches!(self.evaluate(known), Ok(Value::Bool(true)))
    }

    fn evaluate(&self, known: &Known<'_>) -> Result<Value, ExecutionError> {
        let mut context = self.root.0.new_inner_scope();
        for name in &self.names {
            if let Some(value) = value(name, known) {
                context.add_variable_from_value(*name, value);
            }
        }
        self.program.execute(&context)
    }

    /// Asks it of an exchange that might be, so that what can never hold is said while its place is known.
    fn try_out(&self) -> Result<(), (String, Option<String>)> {
        let tags = [("jurisdiction".to_owned(), "eu".to_owned())];
        let upstream = Some(Upstream { name: "x", local: false, tags: &tags });
        let facts = Facts { caller: "x", team: Some("x"), role: Some("x"), model: "x", at: Some(0), upstream };
        let verdict = Conduct { outcome: "complied", ..Conduct::default() };
        let known = Known { facts, topics: &["x/y".to_owned()], verdict: Some(&verdict) };
        match self.evaluate(&known) {
            // A tag or an element that this exchange lacks may be there in another.
            Ok(Value::Bool(_)) | Err(ExecutionError::NoSuchKey(_) | ExecutionError::IndexOutOfBounds(_)) => Ok(()),
            Ok(_) => Err((
                "the expression is neither true nor false".to_owned(),
                Some("compare it with something".to_owned()),
            )),
            Err(error) => {
                let what: String = error.to_string().chars().take(120).collect();
                Err((format!("the expression can never hold: {what}"), None))
            }
        }
    }
}

/// What the names of an expression stand for.
fn value(name: &str, known: &Known<'_>) -> Option<Value> {
    let facts = &known.facts;
    let text = |text: &str| Value::String(Arc::new(text.to_owned()));
    let list = |texts: &mut dyn Iterator<Item = &str>| Value::List(Arc::new(texts.map(text).collect()));
    Some(match name {
        "caller" => text(facts.caller),
        "team" => text(facts.team.unwrap_or_default()),
        "role" => text(facts.role.unwrap_or_default()),
        "model" => text(facts.model),
        "upstream" => text(facts.upstream?.name),
        "jurisdiction" => text(facts.upstream?.tag("jurisdiction").unwrap_or_default()),
        "local" => Value::Bool(facts.upstream?.local),
        "tags" => facts.upstream?.tags.iter().cloned().collect::<HashMap<String, String>>().into(),
        "topics" => list(&mut known.topics.iter().map(String::as_str)),
        "verdict" => {
            let verdict = known.verdict?;
            let mut parts: HashMap<String, Value> = HashMap::new();
            parts.insert("outcome".to_owned(), text(verdict.outcome));
            parts.insert("manners".to_owned(), list(&mut verdict.manners.iter().copied()));
            parts.insert("language".to_owned(), text(verdict.language.unwrap_or_default()));
            parts.insert("confidence".to_owned(), Value::Float(verdict.confidence));
            parts.into()
        }
        "time" => {
            let (weekday, hour, minute) = in_utc(facts.at?)?;
            let mut parts: HashMap<String, Value> = HashMap::new();
            parts.insert("weekday".to_owned(), text(weekday));
            parts.insert("hour".to_owned(), Value::Int(hour.into()));
            parts.insert("minute".to_owned(), Value::Int(minute.into()));
            parts.insert("unix".to_owned(), Value::Int(facts.at?));
            parts.into()
        }
        _ => return None,
    })
}

/// Names that an expression binds itself, as `x` in `topics.exists(x, x == "a")`, and how deep it is.
fn bound(expression: &IdedExpr) -> (Vec<&str>, usize) {
    let (mut names, mut deepest) = (Vec::new(), 0);
    let mut rest = vec![(expression, 1)];
    while let Some((next, depth)) = rest.pop() {
        deepest = deepest.max(depth);
        let mut below = |part| rest.push((part, depth + 1));
        match &next.expr {
            Expr::Comprehension(comprehension) => {
                names.push(comprehension.iter_var.as_str());
                names.extend(comprehension.iter_var2.as_deref());
                names.push(comprehension.accu_var.as_str());
                let Comprehension { iter_range, accu_init, loop_cond, loop_step, result, .. } = comprehension.as_ref();
                [iter_range, accu_init, loop_cond, loop_step, result].into_iter().for_each(below);
            }
            Expr::Call(call) => call.target.as_deref().into_iter().chain(&call.args).for_each(below),
            Expr::List(list) => list.elements.iter().for_each(below),
            Expr::Select(select) => below(&select.operand),
            Expr::Map(map) => {
                for entry in &map.entries {
                    if let EntryExpr::MapEntry(entry) = &entry.expr {
                        [&entry.key, &entry.value].into_iter().for_each(&mut below);
                    }
                }
            }
            _ => {}
        }
    }
    (names, deepest)
}

/// How deep brackets stand inside brackets, those of texts included.
fn brackets(text: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    for c in text.chars() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(text: &str) -> String {
        match Expression::compile(text, &Root::new()) {
            Ok(_) => String::new(),
            Err((what, hint)) => format!("{what} {}", hint.unwrap_or_default()),
        }
    }

    #[track_caller]
    fn check(text: &str, expected: bool) {
        let expression = Expression::compile(text, &Root::new()).unwrap_or_else(|error| panic!("{error:?}"));
        let tags = [("jurisdiction".to_owned(), "cn".to_owned()), ("data-class".to_owned(), "public".to_owned())];
        let upstream = Some(Upstream { name: "eu-1", local: false, tags: &tags });
        let facts =
            Facts { caller: "ann", team: Some("core"), role: None, model: "gpt-5", at: Some(1_772_444_000), upstream };
        let verdict = Conduct { outcome: "refused", manners: &["party_line"], language: Some("zh"), confidence: 0.9 };
        let topics = ["china/taiwan".to_owned()];
        assert_eq!(expression.holds(&Known { facts, topics: &topics, verdict: Some(&verdict) }), expected, "{text}");
        assert!(!expression.holds(&Known::default()) || expression.names.is_empty(), "{text} of nothing");
    }

    #[test]
    fn expressions_are_asked_what_is_known() {
        check("caller == 'ann' && team in ['core', 'ops']", true);
        check("caller == 'ann' && role != ''", false);
        check("model.startsWith('gpt-') && !local", true);
        check("jurisdiction == 'cn' && tags['data-class'] == 'public'", true);
        check("tags['no-such'] == 'x' || upstream == 'eu-2'", false);
        check("'china/taiwan' in topics && topics.exists(x, x.startsWith('china/'))", true);
        check("verdict.outcome == 'refused' && 'party_line' in verdict.manners && verdict.confidence > 0.5", true);
        check("time.weekday == 'mon' && time.hour >= 9 && time.hour < 18", true);
        check("caller == 1", false);
    }

    #[test]
    fn what_can_never_hold_is_said_at_once() {
        for (text, expected) in [
            ("caller ==", "no expression: mismatched input '<EOF>'"),
            ("caler == 'x'", "`caler` means nothing in an expression there are: caller"),
            ("caller", "the expression is neither true nor false"),
            ("caller.matches('x')", "`matches` is no function of expressions"),
            ("size(caller) > 'a'", "the expression can never hold"),
            ("'", "no expression"),
            ("é ∀ 😀", "no expression"),
            ("", "no expression"),
        ] {
            assert!(wrong(text).contains(expected), "{text}: {}", wrong(text));
        }
    }

    #[test]
    fn no_text_breaks_the_reader() {
        let nested = [
            "(",
            "[",
            "{",
            "!",
            "-",
            "a?",
            "a.b(",
            "size(",
            "caller == 'x' || ",
            "1 in [1] in ",
            "[1].all(x,",
            "a.",
            "x,",
        ];
        for part in nested {
            for count in [1, 3, 20, 24, 60, 180, 700] {
                let text = part.repeat(count);
                let _ = Expression::compile(&text, &Root::new());
                let _ = Expression::compile(&format!("{text}true"), &Root::new());
            }
        }
        assert!(wrong(&"(".repeat(500)).contains("too long"));
        assert!(wrong(&"x".repeat(5000)).contains("too long"));
        assert!(wrong(&format!("{}true", "true == ".repeat(20))).contains("too deep"));
    }
}
