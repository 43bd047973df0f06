//! What a rule may do to text, how grave a finding is, and how several orders merge. It applies nothing itself.

/// What happens to text that a rule finds. The order is the lattice: the greatest wins, whatever stands first in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// Nothing; the finding is only known.
    Allow,
    /// It is recorded.
    Flag,
    /// It leaves as something else.
    Redact,
    /// The exchange ends.
    Stop,
}

impl Action {
    /// Its word in packs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Flag => "flag",
            Self::Redact => "redact",
            Self::Stop => "stop",
        }
    }

    /// Whether text must wait until it is known whether this applies.
    #[must_use]
    pub fn holds(self) -> bool {
        self >= Self::Redact
    }
}

/// How grave a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Harmless alone.
    Low,
    /// To be looked at.
    Medium,
    /// To be acted on.
    High,
    /// To be acted on now.
    Critical,
}

impl Severity {
    /// Its word in packs and records.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Action;

    #[test]
    fn the_gravest_order_wins_in_any_order() {
        let orders = [Action::Flag, Action::Stop, Action::Allow, Action::Redact];
        assert_eq!(orders.iter().max(), orders.iter().rev().max());
        assert_eq!(orders.iter().max(), Some(&Action::Stop));
        assert!(!Action::Flag.holds() && Action::Redact.holds() && Action::Stop.holds());
    }
}
