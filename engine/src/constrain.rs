//! What an answer must look like: a schema, an expression or a grammar to the tokens that may come next. It chooses none
//! of them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};
use std::thread;

use llguidance::api::{ParserLimits, TopLevelGrammar};
use llguidance::toktrie::{
    ApproximateTokEnv, INVALID_TOKEN, InferenceCapabilities, SimpleVob, TokEnv, TokRxInfo, TokTrie,
};
use llguidance::{Matcher, ParserFactory};
use serde_json::{Value, json};

use crate::Error;
use crate::tokenize::Vocabulary;

/// What an answer must look like. Whitespace around JSON is not part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Constraint {
    /// A JSON object.
    JsonObject,
    /// JSON that a schema accepts; the schema as JSON text. A keyword that cannot be enforced is refused.
    JsonSchema(String),
    /// Text that a regular expression matches as a whole.
    Regex(String),
    /// One of these texts.
    Choice(Vec<String>),
    /// Text that a context-free grammar in Lark's notation derives from `start`.
    Grammar(String),
}

/// A compiled [`Constraint`] at the beginning of an answer; it fits the engine that compiled it.
#[derive(Clone)]
pub struct Grammar(Matcher);

impl std::fmt::Debug for Grammar {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Grammar").finish_non_exhaustive()
    }
}

impl Grammar {
    /// The tokens that may come next; those that end a reply only where the answer may end.
    pub(crate) fn allowed(&mut self) -> Result<Allowed, Error> {
        self.0.compute_mask_or_eos().map(Allowed).map_err(|error| too_complex(&error.to_string()))
    }

    /// Goes on by an allowed token; returns `true` where nothing can follow.
    pub(crate) fn advance(&mut self, token: u32) -> Result<bool, Error> {
        self.0.consume_token(token).map_err(|error| too_complex(&error.to_string()))?;
        Ok(self.0.is_stopped())
    }
}

/// Tokens that may be chosen.
pub(crate) struct Allowed(SimpleVob);

impl Allowed {
    /// Adds a token.
    pub(crate) fn add(&mut self, token: u32) {
        self.0.allow_token(token);
    }

    /// Makes all other tokens impossible.
    pub(crate) fn mask(&self, logits: &mut [f32]) {
        let tokens = logits.iter_mut().zip(0..);
        tokens.filter(|(_, token)| !self.0.is_allowed(*token)).for_each(|(logit, _)| *logit = f32::NEG_INFINITY);
    }
}

/// Compiles constraints for one model. The vocabulary is put in order when the first one comes.
pub(crate) struct Constraints {
    ends: Vec<u32>,
    factory: OnceLock<Result<ParserFactory, Error>>,
}

impl std::fmt::Debug for Constraints {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Constraints").field("ends", &self.ends).finish_non_exhaustive()
    }
}

impl Constraints {
    /// For a model whose replies end with one of these tokens.
    pub(crate) fn new(ends: Vec<u32>) -> Self {
        Self { ends, factory: OnceLock::new() }
    }

    /// Compiles a constraint on tokens below `tokens`.
    pub(crate) fn compile(
        &self,
        constraint: &Constraint,
        vocabulary: &Vocabulary,
        tokens: usize,
    ) -> Result<Grammar, Error> {
        let grammar = read(constraint)?;
        let factory = self.factory.get_or_init(|| factory(vocabulary, tokens, &self.ends)).as_ref();
        let factory = factory.map_err(Clone::clone)?;
        // Schemas and expressions are walked recursively.
        let compile = || catch_unwind(AssertUnwindSafe(|| factory.create_parser(grammar)));
        let compiled = thread::scope(|scope| {
            let compiling = thread::Builder::new().stack_size(STACK).spawn_scoped(scope, compile);
            compiling.map_err(|error| Error::Internal(format!("cannot start a thread: {error}"))).map(|it| it.join())
        });
        let Ok(Ok(compiled)) = compiled? else {
            return Err(Error::Request("the constraint cannot be compiled".to_owned()));
        };
        let matcher = Matcher::new(compiled);
        if let Some(error) = matcher.get_error() {
            return Err(Error::Request(format!("the constraint cannot be compiled: {}", shortened(&error))));
        }
        match matcher.clone().compute_mask_or_eos() {
            Ok(_) => Ok(Grammar(matcher)),
            Err(_) => Err(Error::Request("the constraint leaves no answer".to_owned())),
        }
    }
}

/// Stack of the thread that compiles.
const STACK: usize = 32 << 20;

/// Bytes of a constraint.
const LONGEST: usize = 64 << 10;

/// Brackets within brackets.
const DEEPEST: usize = 100;

/// What one constraint may cost: two seconds to compile, some 20 ms for a token, 150 MB.
fn limits() -> ParserLimits {
    ParserLimits {
        max_items_in_row: 2000,
        initial_lexer_fuel: 1_000_000,
        step_lexer_fuel: 200_000,
        step_max_items: 50_000,
        max_lexer_states: 20_000,
        max_grammar_size: 200_000,
        precompute_large_lexemes: false,
        verbose_errors: false,
    }
}

fn read(constraint: &Constraint) -> Result<TopLevelGrammar, Error> {
    match constraint {
        Constraint::JsonObject => Ok(json_like(json!({ "type": "object" }))),
        Constraint::JsonSchema(schema) => {
            bounded(schema)?;
            let schema: Value = serde_json::from_str(schema)
                .map_err(|error| Error::Request(format!("the constraint's schema is no JSON: {error}")))?;
            Ok(json_like(schema))
        }
        Constraint::Regex(expression) => {
            bounded(expression)?;
            Ok(TopLevelGrammar::from_regex(expression))
        }
        Constraint::Choice(texts) if texts.is_empty() => {
            Err(Error::Request("the constraint offers no choice".to_owned()))
        }
        Constraint::Choice(texts) => {
            let quoted: Vec<String> = texts.iter().map(|text| Value::from(text.as_str()).to_string()).collect();
            let grammar = format!("start: {}", quoted.join(" | "));
            check_length(&grammar)?;
            Ok(TopLevelGrammar::from_lark(grammar))
        }
        Constraint::Grammar(grammar) => {
            bounded(grammar)?;
            Ok(TopLevelGrammar::from_lark(grammar.clone()))
        }
    }
}

/// JSON with bounded gaps: models that know no more to say tend to write whitespace for ever.
fn json_like(mut schema: Value) -> TopLevelGrammar {
    const GAP: &str = r"[\x20\x0A\x0D\x09]{1,40}";
    if let Some(schema) = schema.as_object_mut() {
        schema.entry("x-guidance").or_insert_with(|| json!({ "whitespace_pattern": GAP }));
    }
    TopLevelGrammar::from_json_schema(schema)
}

fn check_length(text: &str) -> Result<(), Error> {
    match text.len() <= LONGEST {
        true => Ok(()),
        false => Err(Error::Request(format!("the constraint has {} bytes, {LONGEST} are possible", text.len()))),
    }
}

fn bounded(text: &str) -> Result<(), Error> {
    check_length(text)?;
    let mut depth = 0usize;
    for byte in text.bytes() {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEEPEST {
            return Err(Error::Request(format!("the constraint is nested more than {DEEPEST} deep")));
        }
    }
    Ok(())
}

fn factory(vocabulary: &Vocabulary, tokens: usize, ends: &[u32]) -> Result<ParserFactory, Error> {
    let spelled = vocabulary.spelled(tokens).ok_or_else(|| {
        Error::Request("this model's tokenizer does not say which bytes its tokens stand for".to_owned())
    })?;
    let build = || {
        let count = u32::try_from(tokens).unwrap_or(u32::MAX);
        let mut trie = TokTrie::from(&TokRxInfo::new(count, INVALID_TOKEN), &spelled);
        if !ends.is_empty() {
            trie = trie.with_eos_tokens(ends);
        }
        let environment: TokEnv = Arc::new(ApproximateTokEnv::new(trie));
        let slices = llguidance::earley::SlicedBiasComputer::general_slices();
        let mut factory = ParserFactory::new(&environment, InferenceCapabilities::default(), &slices)?;
        factory.quiet();
        *factory.limits_mut() = limits();
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(factory)
    };
    match catch_unwind(AssertUnwindSafe(build)) {
        Ok(Ok(factory)) => Ok(factory),
        _ => Err(Error::Internal("the vocabulary cannot be put in order for constraints".to_owned())),
    }
}

fn too_complex(error: &str) -> Error {
    Error::Request(format!("the constraint cannot be followed any further: {}", shortened(error)))
}

/// The first line of an error, of a length that a person reads.
fn shortened(error: &str) -> String {
    if error.starts_with("panic") {
        return "it is too large".to_owned();
    }
    error.lines().next().unwrap_or_default().chars().take(300).collect()
}
