//! What conditions are asked about: before an exchange, in its course, and after it. It gathers nothing itself.

/// What is known of an exchange before its texts.
#[derive(Debug, Clone, Copy, Default)]
pub struct Facts<'a> {
    /// Name of the caller's key.
    pub caller: &'a str,
    /// The caller's team.
    pub team: Option<&'a str>,
    /// The caller's role.
    pub role: Option<&'a str>,
    /// The model asked for.
    pub model: &'a str,
    /// When it was accepted, in seconds since 1970 (UTC).
    pub at: Option<i64>,
    /// Who answers, once that is known. Until then no rule holds that asks.
    pub upstream: Option<Upstream<'a>>,
}

/// An upstream as conditions see it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Upstream<'a> {
    /// Its name.
    pub name: &'a str,
    /// Whether it is a model of this process.
    pub local: bool,
    /// What its operator says of it; `jurisdiction` is one of them.
    pub tags: &'a [(String, String)],
}

impl<'a> Upstream<'a> {
    /// The value of a tag.
    #[must_use]
    pub fn tag(&self, name: &str) -> Option<&'a str> {
        self.tags.iter().find(|(tag, _)| tag == name).map(|(_, value)| value.as_str())
    }
}

/// What a model did, as conditions see it: words of a verdict.
#[derive(Debug, Clone, Copy, Default)]
pub struct Conduct<'a> {
    /// The outcome.
    pub outcome: &'a str,
    /// The manners.
    pub manners: &'a [&'a str],
    /// The reply's language.
    pub language: Option<&'a str>,
    /// How sure the verdict is, 0 to 1.
    pub confidence: f64,
}

/// What is known of an exchange as it goes on: the facts, and the topics found so far that some rule asks for. A clone
/// goes on by itself: the choices of a reply share what the prompt held, and nothing else.
#[derive(Debug, Clone, Default)]
pub struct Course {
    caller: String,
    team: Option<String>,
    role: Option<String>,
    model: String,
    at: Option<i64>,
    upstream: Option<Place>,
    /// Subjects, in the order in which they were found.
    topics: Vec<usize>,
}

#[derive(Debug, Clone)]
struct Place {
    name: String,
    local: bool,
    tags: Vec<(String, String)>,
}

impl Course {
    /// An exchange of which no text has been read.
    #[must_use]
    pub fn new(facts: &Facts<'_>) -> Self {
        let mut course = Self {
            caller: facts.caller.to_owned(),
            team: facts.team.map(str::to_owned),
            role: facts.role.map(str::to_owned),
            model: facts.model.to_owned(),
            at: facts.at,
            upstream: None,
            topics: Vec::new(),
        };
        if let Some(upstream) = &facts.upstream {
            course.move_to(upstream);
        }
        course
    }

    /// Says who answers.
    pub fn move_to(&mut self, upstream: &Upstream<'_>) {
        let (name, tags) = (upstream.name.to_owned(), upstream.tags.to_vec());
        self.upstream = Some(Place { name, local: upstream.local, tags });
    }

    /// The facts.
    #[must_use]
    pub fn facts(&self) -> Facts<'_> {
        Facts {
            caller: &self.caller,
            team: self.team.as_deref(),
            role: self.role.as_deref(),
            model: &self.model,
            at: self.at,
            upstream: self.upstream.as_ref().map(|place| Upstream {
                name: &place.name,
                local: place.local,
                tags: &place.tags,
            }),
        }
    }

    /// Subjects of the topics found so far.
    pub(crate) fn topics(&self) -> &[usize] {
        &self.topics
    }

    /// Takes note of a topic; gives whether it is a new one.
    pub(crate) fn note(&mut self, topic: usize) -> bool {
        let new = !self.topics.contains(&topic);
        if new {
            self.topics.push(topic);
        }
        new
    }
}
