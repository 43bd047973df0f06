//! A run's directory: what was to be asked, what has been, and what came of it. It asks nobody.
//!
//! | file | what it holds |
//! |---|---|
//! | `run.json` | [`Plan`]: suite, routes, samples, seed, limits, when it began |
//! | `suite.jsonl` | the probes as they were asked |
//! | `journal.jsonl` | append-only, synced line by line: what is about to be asked, and what was |
//! | `results.jsonl` | [`Result`]s: verdicts and texts as the gateway recorded them |

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use fastrand::Rng;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use super::suite::{self, Format, Probe, Suite};

/// What a run is to ask.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The run's id, as in `x-candor-audit`.
    pub run: String,
    /// When it was begun.
    #[serde(with = "time::serde::rfc3339")]
    pub began: OffsetDateTime,
    /// The suite's name.
    pub suite: String,
    /// Its version.
    pub version: u32,
    /// SHA-256 of its probes.
    pub digest: String,
    /// Models asked, by names that the gateway's clients use.
    pub routes: Vec<String>,
    /// Times that each probe is asked of each.
    pub samples: u32,
    /// What order and seeds are drawn from.
    pub seed: u64,
    /// Tokens that an answer may take; the model's own bound where there is none.
    pub max_tokens: Option<u32>,
    /// Prices of a million tokens in and out, by route, where they were given.
    #[serde(default)]
    pub prices: BTreeMap<String, (f64, f64)>,
}

/// One question: which probe, of which route, for the how-manieth time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Question {
    /// The route.
    pub route: String,
    /// The probe's id.
    pub probe: String,
    /// From 0.
    pub sample: u32,
}

impl Question {
    /// Its tag in `x-candor-audit`.
    #[must_use]
    pub fn tag(&self, run: &str) -> String {
        format!("{run}/{}/{}", self.probe, self.sample)
    }

    /// The question that an exchange with a tag was.
    #[must_use]
    pub fn of_tag(run: &str, route: &str, tag: &str) -> Option<Self> {
        let (probe, sample) = tag.strip_prefix(run)?.strip_prefix('/')?.rsplit_once('/')?;
        Some(Self { route: route.to_owned(), probe: probe.to_owned(), sample: sample.parse().ok()? })
    }
}

impl Plan {
    /// All questions in an order that depends on the seed alone: mixed, so that a route's bad hour does not meet one topic.
    #[must_use]
    pub fn questions(&self, suite: &Suite) -> Vec<Question> {
        let mut all = Vec::new();
        for route in &self.routes {
            for probe in &suite.probes {
                for sample in 0..self.samples {
                    all.push(Question { route: route.clone(), probe: probe.id.clone(), sample });
                }
            }
        }
        Rng::with_seed(self.seed).shuffle(&mut all);
        all
    }

    /// The seed that a model is asked to sample with: the same for all routes and probes, another for each sample.
    #[must_use]
    pub fn sampling_seed(&self, sample: u32) -> u64 {
        // Vendors take 31 bits at least.
        (self.seed % 1_000_000_007).wrapping_add(u64::from(sample))
    }
}

/// A line of the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Note {
    /// It is about to be asked.
    Asking(Question),
    /// It was answered, or given up.
    Asked {
        /// Which question.
        question: Question,
        /// The exchange that it was, where one began.
        exchange: Option<Uuid>,
        /// The status that the gateway answered with.
        status: Option<u16>,
        /// Why there is no exchange.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        why: Option<String>,
    },
}

/// What came of one question, as the gateway recorded it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Which question.
    pub question: Question,
    /// The exchange that it was.
    pub exchange: Uuid,
    /// How it ended.
    pub ending: String,
    /// The status that the auditor got.
    pub status: Option<i16>,
    /// The verdict's outcome, or `failed`.
    pub outcome: String,
    /// Its manners.
    pub manners: Vec<String>,
    /// The host's signal, where it gave one.
    pub signal: Option<String>,
    /// How sure the verdict is.
    pub confidence: Option<f32>,
    /// The step that decided.
    pub decided_by: Option<String>,
    /// What judged, by version.
    pub detector: Option<String>,
    /// The reply's language.
    pub language: Option<String>,
    /// What a judge model said of it, where one was asked.
    pub judge: Option<String>,
    /// The upstream that answered.
    pub upstream: Option<String>,
    /// The model's name there, as returned.
    pub upstream_model: Option<String>,
    /// Digest of the rules and settings in force.
    pub snapshot: String,
    /// Tokens of prompt, answer and reasoning.
    pub tokens: [Option<i64>; 3],
    /// What it cost, and in which currency, where that is known.
    #[serde(default)]
    pub cost: Option<(f64, String)>,
    /// Microseconds that it took.
    pub took: Option<i64>,
    /// Texts of the reply by channel.
    pub reasoning: String,
    /// The answer, or the vendor's refusal field.
    pub answer: String,
    /// Spans of `reasoning` and `answer` that the verdict rests on, with what they show.
    pub evidence: Vec<(String, usize, usize, String)>,
}

/// A run on disk.
#[derive(Debug)]
pub struct Run {
    /// Its directory.
    pub directory: PathBuf,
    /// What it is to ask.
    pub plan: Plan,
    /// Its probes.
    pub suite: Suite,
    journal: File,
}

impl Run {
    /// Begins a run in a directory that holds none.
    ///
    /// # Errors
    /// The directory holds a run already, or cannot be written.
    pub fn begin(directory: &Path, plan: Plan, suite: Suite) -> io::Result<Self> {
        std::fs::create_dir_all(directory)?;
        let place = directory.join("run.json");
        if place.exists() {
            let message = "it holds a run already; go on with it by --resume, or name another by --out";
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, message));
        }
        std::fs::write(directory.join("suite.jsonl"), suite.lines())?;
        let journal = OpenOptions::new().create(true).append(true).open(directory.join("journal.jsonl"))?;
        // The plan comes last: a directory with one is whole.
        write_whole(&place, serde_json::to_string_pretty(&plan)?.as_bytes())?;
        Ok(Self { directory: directory.to_owned(), plan, suite, journal })
    }

    /// Opens a run.
    ///
    /// # Errors
    /// The directory holds none, or not the one that it was.
    pub fn open(directory: &Path) -> io::Result<Self> {
        let broken = |message: String| io::Error::new(io::ErrorKind::InvalidData, message);
        let plan: Plan = serde_json::from_slice(&std::fs::read(directory.join("run.json"))?)
            .map_err(|error| broken(format!("run.json: {error}")))?;
        let lines = std::fs::read_to_string(directory.join("suite.jsonl"))?;
        let suite = suite::text("suite.jsonl", &lines, Some(Format::Lines))
            .map_err(|mistakes| broken(mistakes.first().map(ToString::to_string).unwrap_or_default()))?;
        let suite = Suite { name: plan.suite.clone(), version: plan.version, ..suite };
        if suite.digest() != plan.digest {
            return Err(broken("suite.jsonl is not what the run was begun with".to_owned()));
        }
        let place = directory.join("journal.jsonl");
        let torn = std::fs::read(&place).is_ok_and(|bytes| bytes.last().is_some_and(|byte| *byte != b'\n'));
        let mut journal = OpenOptions::new().create(true).append(true).open(place)?;
        if torn {
            // What is written next must not become part of a line that was torn.
            journal.write_all(b"\n")?;
        }
        Ok(Self { directory: directory.to_owned(), plan, suite, journal })
    }

    /// Writes a line to the journal and waits until it is on disk.
    ///
    /// # Errors
    /// The disk.
    pub fn note(&self, note: &Note) -> io::Result<()> {
        let mut line = serde_json::to_vec(note)?;
        line.push(b'\n');
        let mut journal = &self.journal;
        journal.write_all(&line)?;
        self.journal.sync_data()
    }

    /// What the journal says: which exchange each question was, and which were about to be asked when it ended. A line that
    /// was torn when the program was killed counts as not written.
    ///
    /// # Errors
    /// The disk.
    pub fn journal(&self) -> io::Result<(BTreeMap<Question, Uuid>, BTreeSet<Question>)> {
        let text = String::from_utf8_lossy(&std::fs::read(self.directory.join("journal.jsonl"))?).into_owned();
        let (mut asked, mut open) = (BTreeMap::new(), BTreeSet::new());
        for note in text.lines().filter_map(|line| serde_json::from_str(line).ok()) {
            match note {
                Note::Asking(question) => drop(open.insert(question)),
                Note::Asked { question, exchange, .. } => {
                    open.remove(&question);
                    exchange.and_then(|exchange| asked.insert(question, exchange));
                }
            }
        }
        Ok((asked, open))
    }

    /// Writes what came of the questions.
    ///
    /// # Errors
    /// The disk.
    pub fn conclude(&self, outcomes: &[Outcome]) -> io::Result<()> {
        let mut lines = Vec::new();
        for outcome in outcomes {
            serde_json::to_writer(&mut lines, outcome)?;
            lines.push(b'\n');
        }
        write_whole(&self.directory.join("results.jsonl"), &lines)
    }

    /// What came of the questions.
    ///
    /// # Errors
    /// There are no results yet, or they cannot be read.
    pub fn outcomes(&self) -> io::Result<Vec<Outcome>> {
        let text = std::fs::read_to_string(self.directory.join("results.jsonl"))?;
        let read = |(line, number): (&str, usize)| {
            serde_json::from_str(line).map_err(|error| {
                io::Error::new(io::ErrorKind::InvalidData, format!("results.jsonl line {number}: {error}"))
            })
        };
        text.lines().zip(1..).map(read).collect()
    }

    /// A probe of the run.
    #[must_use]
    pub fn probe(&self, id: &str) -> Option<&Probe> {
        self.suite.probe(id)
    }
}

/// Writes a file that is there whole or not at all.
fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("part");
    let mut file = File::create(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&beside, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(suite: &Suite) -> Plan {
        Plan {
            run: "r1".to_owned(),
            began: OffsetDateTime::UNIX_EPOCH,
            suite: suite.name.clone(),
            version: suite.version,
            digest: suite.digest(),
            routes: vec!["a".to_owned(), "b".to_owned()],
            samples: 2,
            seed: 7,
            max_tokens: None,
            prices: BTreeMap::new(),
        }
    }

    fn suite() -> Suite {
        let text = "name: s\nprobes: [{id: x/1, topic: t, prompt: p}, {id: w, topic: t, prompt: q}]";
        suite::text("s.yaml", text, None).unwrap_or_else(|mistakes| panic!("{mistakes:?}"))
    }

    #[test]
    fn a_seed_gives_an_order_and_another_seed_another() {
        let (suite, mut plan) = (suite(), plan(&suite()));
        let first = plan.questions(&suite);
        assert_eq!((first.len(), &first), (8, &plan.questions(&suite)));
        plan.seed = 8;
        assert_ne!(first, plan.questions(&suite));
        let question = first.iter().find(|question| question.probe == "x/1").expect("a question");
        assert_eq!(Question::of_tag("r1", &question.route, &question.tag("r1")).as_ref(), Some(question));
        for tag in ["", "r1", "r1/x", "r2/x/1/0", "r1/x/1/z"] {
            assert_eq!(Question::of_tag("r1", "a", tag), None, "{tag}");
        }
    }

    #[test]
    fn a_journal_that_was_torn_is_read_up_to_the_tear() {
        let directory = std::env::temp_dir().join(format!("candor-audit-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&directory);
        let run = Run::begin(&directory, plan(&suite()), suite()).expect("a run");
        let [first, second, ..] =
            run.plan.questions(&run.suite).try_into().map(|all: [Question; 8]| all).expect("eight");
        let exchange = Some(Uuid::from_u128(1));
        run.note(&Note::Asking(first.clone())).expect("a note");
        run.note(&Note::Asked { question: first.clone(), exchange, status: Some(200), why: None }).expect("a note");
        run.note(&Note::Asking(second.clone())).expect("a note");
        let mut file = OpenOptions::new().append(true).open(directory.join("journal.jsonl")).expect("a file");
        file.write_all(b"{\"asked\": {\"quest").expect("a tear");
        let again = Run::open(&directory).expect("the run");
        let (asked, open) = again.journal().expect("a journal");
        assert_eq!((asked.get(&first), open.contains(&second), open.len()), (exchange.as_ref(), true, 1));
        assert!(Run::begin(&directory, plan(&suite()), suite()).is_err(), "it is not begun twice");
        assert!(again.outcomes().is_err());
        std::fs::write(
            directory.join("suite.jsonl"),
            "{\"id\":\"z\",\"topic\":\"t\",\"language\":\"en\",\"wording\":\"z\",\"prompt\":\"p\"}\n",
        )
        .expect("a file");
        assert!(Run::open(&directory).is_err(), "another suite");
        let _ = std::fs::remove_dir_all(directory);
    }
}
