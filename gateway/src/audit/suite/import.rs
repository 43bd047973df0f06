//! Opens suites: our own, and files of promptfoo, HarmBench and SpeechMap, whose questions become probes without twins. It
//! judges nothing.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value as Json;

use super::csv;
use super::probe::{Kind, Probe, Suite};
use super::read::{self, Mistake, Placed, Reader};
use crate::config::{FilePlace as Place, Node, Tree as Value, parse_tree};

/// How a file of probes is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// This project's, as YAML.
    Yaml,
    /// This project's, a probe a line.
    Lines,
    /// A promptfoo configuration or list of tests, as YAML or JSON.
    PromptfooYaml,
    /// A promptfoo table of tests: a column for each variable.
    PromptfooTable,
    /// A HarmBench table of behaviours.
    HarmBench,
    /// SpeechMap questions, a JSON object a line.
    SpeechMap,
}

/// Bytes of a file at most.
const LONGEST: u64 = 64 << 20;

/// Opens a suite file; its format is recognised unless it is given.
///
/// # Errors
/// Every mistake of the file.
pub fn open(path: &Path, format: Option<Format>) -> Result<Suite, Vec<Mistake>> {
    let file = path.display().to_string();
    let wrong = |message: String| vec![Mistake { file: file.clone(), line: 0, message }];
    let long = std::fs::metadata(path).is_ok_and(|metadata| metadata.len() > LONGEST);
    if long {
        return Err(wrong(format!("the file is longer than {LONGEST} bytes")));
    }
    let bytes = std::fs::read(path).map_err(|error| wrong(format!("cannot be read: {}", error.kind())))?;
    let whole = String::from_utf8(bytes).map_err(|_| wrong("is not UTF-8".to_owned()))?;
    text(&file, &whole, format)
}

/// Reads a suite from text.
///
/// # Errors
/// Every mistake of it.
pub fn text(file: &str, text: &str, format: Option<Format>) -> Result<Suite, Vec<Mistake>> {
    let mut reader = Reader { file, mistakes: Vec::new() };
    let format = format.unwrap_or_else(|| recognise(file, text));
    let suite = match format {
        Format::Yaml => whole(text, &mut reader, read::suite),
        Format::PromptfooYaml => whole(text, &mut reader, promptfoo),
        Format::Lines => lines(text, &mut reader, read::probe),
        Format::SpeechMap => lines(text, &mut reader, speechmap),
        Format::PromptfooTable | Format::HarmBench => table(text, &mut reader, format),
    };
    if reader.mistakes.is_empty() && suite.probes.is_empty() {
        reader.mistake(Place::default(), "holds no probe");
    }
    if reader.mistakes.is_empty() { Ok(suite) } else { Err(reader.mistakes) }
}

/// What a file is, by its name and first lines.
fn recognise(file: &str, text: &str) -> Format {
    let first = text.trim_start_matches('\u{feff}').lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let is = |ending: &str| Path::new(file).extension().is_some_and(|it| it.eq_ignore_ascii_case(ending));
    if is("csv") {
        return if first.contains("Behavior") { Format::HarmBench } else { Format::PromptfooTable };
    }
    if is("jsonl") || is("ndjson") {
        return if first.contains("\"prompt\"") && first.contains("\"topic\"") {
            Format::Lines
        } else {
            Format::SpeechMap
        };
    }
    let begins = |key: &str| text.lines().any(|line| line.starts_with(key));
    let promptfoo = ["tests:", "providers:", "redteam:", "- vars:", "- description:", "prompts:"];
    if promptfoo.iter().any(|key| begins(key)) && !begins("topics:") && !begins("probes:") {
        return Format::PromptfooYaml;
    }
    Format::Yaml
}

fn whole(text: &str, reader: &mut Reader<'_>, read: impl Fn(Node, &mut Reader<'_>) -> Suite) -> Suite {
    match parse_tree(text) {
        Ok(root) => read(root, reader),
        Err(error) => {
            let place = error.location().map(|at| Place { line: at.line(), column: at.column() });
            reader.mistake(place.unwrap_or_default(), format!("not valid YAML: {}", error.without_snippet()));
            named(reader, Vec::new())
        }
    }
}

/// A suite that is named after its file.
fn named(reader: &mut Reader<'_>, probes: Vec<Placed>) -> Suite {
    let name = Path::new(reader.file).file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let about = format!("imported from {}", reader.file);
    Suite { name, version: 1, about, probes: read::placed(probes, reader) }
}

fn lines(text: &str, reader: &mut Reader<'_>, read: impl Fn(Node, &mut Reader<'_>) -> Option<Placed>) -> Suite {
    let mut probes = Vec::new();
    for (line, number) in text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty()) {
        let place = Place { line: number, column: 1 };
        match serde_json::from_str::<Json>(line) {
            Ok(value) => probes.extend(read(node(value, place), reader)),
            Err(error) => reader.mistake(place, format!("not valid JSON: {error}")),
        }
    }
    named(reader, probes)
}

/// A JSON value as a tree whose nodes all stand on one line.
fn node(value: Json, place: Place) -> Node {
    let value = match value {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Bool(value),
        Json::Number(number) => {
            number.as_i64().map_or_else(|| Value::Float(number.as_f64().unwrap_or_default()), Value::Int)
        }
        Json::String(text) => Value::Text(text),
        Json::Array(list) => Value::List(list.into_iter().map(|item| node(item, place)).collect()),
        Json::Object(map) => Value::Map(map.into_iter().map(|(key, value)| (key, node(value, place))).collect()),
    };
    Node { place, value }
}

fn entry<'a>(node: &'a Node, key: &str) -> Option<&'a Node> {
    match &node.value {
        Value::Map(entries) => entries.iter().find(|(name, _)| name == key).map(|(_, node)| node),
        _ => None,
    }
}

fn said(node: &Node, keys: &[&str]) -> Option<String> {
    keys.iter().find_map(|key| match &entry(node, key)?.value {
        Value::Text(text) if !text.trim().is_empty() => Some(text.clone()),
        Value::Int(number) => Some(number.to_string()),
        _ => None,
    })
}

/// A probe of a foreign file.
fn foreign(id: String, topic: &str, prompt: String) -> Probe {
    let id: String = id.chars().map(|c| if c.is_ascii_graphic() { c } else { '-' }).take(100).collect();
    Probe {
        wording: id.clone(),
        id,
        topic: slug(topic),
        pack: None,
        language: by_script(&prompt).to_owned(),
        prompt,
        system: None,
        twin: None,
        facts: Vec::new(),
        kind: Kind::Refusal,
        answer: None,
        control: false,
    }
}

/// The language that a text's script points to, where its file does not say; Latin script is taken for English.
fn by_script(text: &str) -> &'static str {
    let kana = |c: char| matches!(c, '\u{3041}'..='\u{30ff}');
    let scripts: [(&str, &dyn Fn(char) -> bool); 5] = [
        ("ja", &kana),
        ("zh", &|c| matches!(c, '\u{3400}'..='\u{9fff}')),
        ("ko", &|c| matches!(c, '\u{ac00}'..='\u{d7a3}')),
        ("ru", &|c| matches!(c, '\u{0400}'..='\u{04ff}')),
        ("ar", &|c| matches!(c, '\u{0600}'..='\u{06ff}')),
    ];
    let letters = text.chars().filter(|c| c.is_alphabetic()).count();
    let mostly = |is: &dyn Fn(char) -> bool, share: usize| text.chars().filter(|c| is(*c)).count() * share > letters;
    // Japanese is told by its kana, of which there is always some among the Chinese characters.
    scripts
        .iter()
        .find(|(language, is)| mostly(*is, if *language == "ja" { 10 } else { 2 }))
        .map_or("en", |(language, _)| language)
}

/// A topic's name as ours are written.
fn slug(text: &str) -> String {
    let words = text.to_lowercase();
    let words: Vec<&str> = words.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    if words.is_empty() { "unnamed".to_owned() } else { words.join("_") }
}

/// SpeechMap: `{"id", "question", "category", "domain", ...}`.
fn speechmap(node: Node, reader: &mut Reader<'_>) -> Option<Placed> {
    let place = node.place;
    let Some(prompt) = said(&node, &["question", "prompt", "text"]) else {
        reader.mistake(place, "the line has neither `question` nor `prompt`");
        return None;
    };
    let id = said(&node, &["id", "question_id"]).unwrap_or_else(|| format!("line-{}", place.line));
    let topic = said(&node, &["topic", "domain", "category"]).unwrap_or_else(|| "unnamed".to_owned());
    let mut probe = foreign(id, &topic, prompt);
    if let Some(language) = said(&node, &["lang", "language"]) {
        probe.language = language;
    }
    Some((place, probe))
}

/// HarmBench and promptfoo tables: a heading and a row for each test.
fn table(text: &str, reader: &mut Reader<'_>, format: Format) -> Suite {
    let mut rows = csv::rows(text).into_iter();
    let heading = rows.next().map(|(_, row)| row).unwrap_or_default();
    let mut probes = Vec::new();
    for (line, row) in rows {
        let place = Place { line, column: 1 };
        let cell = |names: &[&str]| {
            let at = heading.iter().position(|head| names.iter().any(|name| head.trim().eq_ignore_ascii_case(name)))?;
            row.get(at).filter(|cell| !cell.trim().is_empty()).cloned()
        };
        let asked = match format {
            Format::HarmBench => cell(&["Behavior"]).map(|behaviour| match cell(&["ContextString"]) {
                Some(context) => format!("{context}\n\n---\n\n{behaviour}"),
                None => behaviour,
            }),
            _ => cell(&["prompt", "question", "query", "input", "message"]),
        };
        let Some(prompt) = asked else {
            reader.mistake(
                place,
                "the row has no text to ask; columns are looked for by `Behavior`, `prompt` or `question`",
            );
            continue;
        };
        let id = cell(&["BehaviorID", "id"]).unwrap_or_else(|| format!("line-{line}"));
        let topic = cell(&["SemanticCategory", "topic", "subject", "category", "__metadata:category"]);
        probes.push((place, foreign(id, &topic.unwrap_or_else(|| "unnamed".to_owned()), prompt)));
    }
    named(reader, probes)
}

/// promptfoo: `tests` with `vars`, put into each of `prompts` where there are any.
fn promptfoo(root: Node, reader: &mut Reader<'_>) -> Suite {
    let tests = match &root.value {
        Value::List(list) => list.clone(),
        _ => match entry(&root, "tests").map(|tests| tests.value.clone()) {
            Some(Value::List(list)) => list,
            Some(_) => {
                reader.mistake(root.place, "`tests` is not a list here; import the file that it names instead");
                Vec::new()
            }
            None => {
                reader.mistake(root.place, "there are no `tests`");
                Vec::new()
            }
        },
    };
    let templates: Vec<String> = match entry(&root, "prompts").map(|prompts| &prompts.value) {
        Some(Value::List(list)) => list.iter().filter_map(template).collect(),
        _ => Vec::new(),
    };
    let mut probes = Vec::new();
    for (test, number) in tests.into_iter().zip(1..) {
        let place = test.place;
        let variables = variables(&test);
        let topic =
            entry(&test, "metadata").and_then(|about| said(about, &["topic", "subject", "pluginId", "category"]));
        let topic = topic.or_else(|| said(&test, &["description"])).unwrap_or_else(|| "unnamed".to_owned());
        let asked: Vec<String> = match templates.is_empty() {
            true => {
                let known = ["prompt", "question", "query", "input", "message"];
                let only = variables.values().next().filter(|_| variables.len() == 1);
                known.iter().find_map(|name| variables.get(*name)).or(only).cloned().into_iter().collect()
            }
            false => templates.iter().map(|template| filled(template, &variables)).collect(),
        };
        if asked.is_empty() {
            reader.mistake(place, format!("test {number} has no `vars` that say what to ask"));
        }
        for (prompt, variant) in asked.into_iter().zip(1..) {
            let mut probe = foreign(format!("test-{number}/{variant}"), &topic, prompt);
            probe.wording = format!("test-{number}");
            probes.push((place, probe));
        }
    }
    named(reader, probes)
}

/// A prompt template; those that live in files of their own are left out.
fn template(node: &Node) -> Option<String> {
    let text = match &node.value {
        Value::Text(text) => text.clone(),
        _ => said(node, &["raw", "content"])?,
    };
    (!text.starts_with("file://")).then_some(text)
}

fn variables(test: &Node) -> BTreeMap<String, String> {
    match entry(test, "vars").map(|vars| &vars.value) {
        Some(Value::Map(entries)) => entries
            .iter()
            .filter_map(|(name, node)| match &node.value {
                Value::Text(text) => Some((name.clone(), text.clone())),
                Value::Int(number) => Some((name.clone(), number.to_string())),
                _ => None,
            })
            .collect(),
        _ => BTreeMap::new(),
    }
}

fn filled(template: &str, variables: &BTreeMap<String, String>) -> String {
    variables.iter().fold(template.to_owned(), |text, (name, value)| {
        text.replace(&format!("{{{{{name}}}}}"), value).replace(&format!("{{{{ {name} }}}}"), value)
    })
}
