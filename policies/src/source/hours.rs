//! Times of the week as a pack writes them, and whether a moment is one. It reads no clock.

use jiff::Timestamp;
use jiff::civil::{Time, Weekday};
use jiff::tz::{Offset, TimeZone};

use super::read::{Notes, Table, Text, did_you_mean};
use crate::mistake::nearest;

/// Times of the week in one zone.
#[derive(Debug, Clone)]
pub(crate) struct Hours {
    /// From Monday on.
    days: [bool; 7],
    /// Minutes of the day from and to; where the second is not greater, it is of the next day.
    spans: Vec<(u32, u32)>,
    zone: TimeZone,
    outside: bool,
}

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// Minutes of a day.
const DAY: u32 = 24 * 60;

impl Hours {
    /// Whether they hold at a moment, in seconds since 1970 (UTC). A span that goes past midnight belongs to the day on
    /// which it begins.
    pub(crate) fn hold(&self, seconds: i64) -> bool {
        let Ok(moment) = Timestamp::from_second(seconds) else { return false };
        let there = self.zone.to_datetime(moment);
        let minute = minute(there.time());
        let (today, yesterday) = (self.on(there.weekday()), self.on(there.weekday().previous()));
        let within = self.spans.iter().any(|(from, to)| match from < to {
            true => today && (*from..*to).contains(&minute),
            false => (today && minute >= *from) || (yesterday && minute < *to),
        });
        within != self.outside
    }

    fn on(&self, day: Weekday) -> bool {
        let index = usize::try_from(day.to_monday_zero_offset()).unwrap_or_default();
        self.days.get(index).copied().unwrap_or(false)
    }
}

/// Weekday, hour and minute of a moment in UTC, in seconds since 1970.
pub(crate) fn in_utc(seconds: i64) -> Option<(&'static str, u32, u32)> {
    let there = TimeZone::UTC.to_datetime(Timestamp::from_second(seconds).ok()?);
    let index = usize::try_from(there.weekday().to_monday_zero_offset()).ok()?;
    let minute = minute(there.time());
    Some((DAYS.get(index).copied()?, minute / 60, minute % 60))
}

fn minute(time: Time) -> u32 {
    let part = |value: i8| u32::try_from(value).unwrap_or_default();
    part(time.hour()) * 60 + part(time.minute())
}

/// Reads `time`, where it is there.
pub(super) fn read_hours(when: &mut Table, notes: &mut Notes<'_>) -> Option<Hours> {
    const ANSWERS: [(&str, bool); 2] = [("true", true), ("false", false)];
    if !when.may_have("time") {
        return None;
    }
    let mut table = when.table("time", notes);
    let days = table.texts("days", notes);
    let spans = table.texts("hours", notes);
    if days.is_empty() && spans.is_empty() {
        let hint = Some("write `time: {days: [mon-fri], hours: \"08:00-18:00\"}`".to_owned());
        notes.add(table.place, format!("{} asks nothing", table.what()), hint);
    }
    let hours = Hours {
        days: read_days(&days, notes),
        spans: read_spans(&spans, notes),
        zone: table.text("zone", notes).and_then(|zone| read_zone(&zone, notes)).unwrap_or(TimeZone::UTC),
        outside: table.word("outside", &ANSWERS, notes).unwrap_or(false),
    };
    table.finish(notes);
    Some(hours)
}

/// Reads `at`: a moment, in seconds since 1970 (UTC).
pub(super) fn read_moment(table: &mut Table, notes: &mut Notes<'_>) -> Option<i64> {
    let text = table.text("at", notes)?;
    let moment = moment(&text.text);
    if moment.is_none() {
        let hint = Some("write it as `2026-03-02T09:30:00+01:00`".to_owned());
        notes.add(text.place, format!("`{}` is no moment", text.text), hint);
    }
    moment
}

/// The moment that a text such as `2026-03-02T09:30:00Z` names, in seconds since 1970 (UTC).
#[must_use]
pub fn moment(text: &str) -> Option<i64> {
    text.parse::<Timestamp>().ok().map(Timestamp::as_second)
}

fn read_days(texts: &[Text], notes: &mut Notes<'_>) -> [bool; 7] {
    let mut days = [texts.is_empty(); 7];
    for text in texts {
        let (from, to) = text.text.split_once('-').unwrap_or((&text.text, &text.text));
        let index = |name: &str| DAYS.iter().position(|day| *day == name);
        let (Some(from), Some(to)) = (index(from), index(to)) else {
            let hint = nearest(&text.text, &DAYS).map_or_else(|| format!("known: {}", DAYS.join(", ")), did_you_mean);
            notes.add(text.place, format!("`{}` is no day of the week", text.text), Some(hint));
            continue;
        };
        // Friday to Monday goes around the end of the week.
        let length = (to + DAYS.len() - from) % DAYS.len();
        for step in 0..=length {
            if let Some(day) = days.get_mut((from + step) % DAYS.len()) {
                *day = true;
            }
        }
    }
    days
}

fn read_spans(texts: &[Text], notes: &mut Notes<'_>) -> Vec<(u32, u32)> {
    if texts.is_empty() {
        return vec![(0, DAY)];
    }
    let mut spans = Vec::new();
    for text in texts {
        let ends = text.text.split_once('-').and_then(|(from, to)| Some((read_minute(from)?, read_minute(to)?)));
        match ends.filter(|(from, to)| from != to && *from < DAY) {
            Some(span) => spans.push(span),
            None => {
                let hint = Some("write it as \"08:00-18:00\"; \"22:00-06:00\" goes past midnight".to_owned());
                notes.add(text.place, format!("`{}` is no span of hours", text.text), hint);
            }
        }
    }
    spans
}

fn read_minute(text: &str) -> Option<u32> {
    let (hour, minute) = text.trim().split_once(':')?;
    let two = |text: &str| (text.len() == 2).then(|| text.parse::<u32>().ok())?;
    let total = two(hour)? * 60 + two(minute).filter(|minute| *minute < 60)?;
    (total <= DAY).then_some(total)
}

fn read_zone(text: &Text, notes: &mut Notes<'_>) -> Option<TimeZone> {
    let zone = match text.text.chars().next() {
        Some('+' | '-') => read_offset(&text.text).map(TimeZone::fixed),
        _ => TimeZone::get(&text.text).ok(),
    };
    if zone.is_none() {
        let hint = Some("write an offset such as `+02:00` or a name such as `Europe/Berlin`".to_owned());
        notes.add(text.place, format!("`{}` is no time zone", text.text), hint);
    }
    zone
}

fn read_offset(text: &str) -> Option<Offset> {
    let sign = if text.starts_with('-') { -1 } else { 1 };
    let minutes = i32::try_from(read_minute(text.get(1..)?)?).ok()?;
    Offset::from_seconds(sign * minutes * 60).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(text: &str) -> (Option<Hours>, Vec<String>) {
        let mut notes = Notes::new("x");
        let root = super::super::tree::parse(text).unwrap();
        let mut table = Table::of("`when`", root, &mut notes);
        let hours = read_hours(&mut table, &mut notes);
        (hours, notes.mistakes.iter().map(|mistake| mistake.message.clone()).collect())
    }

    #[track_caller]
    fn check(text: &str, held: &[&str], not: &[&str]) {
        let (hours, mistakes) = hours(&format!("time: {text}"));
        assert!(mistakes.is_empty(), "{mistakes:?}");
        let hours = hours.unwrap();
        let at = |moment: &str| moment.parse::<Timestamp>().unwrap().as_second();
        for moment in held {
            assert!(hours.hold(at(moment)), "{text} at {moment}");
        }
        for moment in not {
            assert!(!hours.hold(at(moment)), "{text} not at {moment}");
        }
    }

    #[test]
    fn hours_hold_in_their_zone_and_on_the_day_on_which_they_begin() {
        // 2026-03-02 is a Monday; Berlin is at +01:00 until 2026-03-29, then at +02:00.
        check("{days: mon}", &["2026-03-02T00:00:00Z", "2026-03-02T23:59:59Z"], &["2026-03-03T00:00:00Z"]);
        check("{hours: '08:00-18:00'}", &["2026-03-02T08:00:00Z"], &["2026-03-02T07:59:59Z", "2026-03-02T18:00:00Z"]);
        let berlin = "{days: [mon-fri], hours: ['09:00-17:00'], zone: Europe/Berlin}";
        check(
            berlin,
            &["2026-03-02T08:00:00Z", "2026-03-30T07:00:00Z"],
            &["2026-03-02T07:59:00Z", "2026-03-01T10:00:00Z"],
        );
        let night = "{days: fri, hours: ['22:00-06:00'], zone: '+02:00'}";
        check(
            night,
            &["2026-03-06T20:30:00Z", "2026-03-07T03:59:00Z"],
            &["2026-03-07T04:00:00Z", "2026-03-05T21:00:00Z"],
        );
        check(
            "{days: [sat-mon], outside: true}",
            &["2026-03-03T12:00:00Z"],
            &["2026-03-01T12:00:00Z", "2026-03-02T12:00:00Z"],
        );
        check("{hours: '00:00-24:00', zone: '-03:30'}", &["2026-03-02T00:00:00Z"], &[]);
    }

    #[test]
    fn what_is_no_time_is_said() {
        let wrong = |text: &str| hours(&format!("time: {text}")).1;
        assert_eq!(wrong("{days: [monday]}"), ["`monday` is no day of the week"]);
        for span in ["8-18", "08:00", "08:00-08:00", "25:00-26:00", "08:60-09:00", "24:00-01:00", "-"] {
            assert_eq!(wrong(&format!("{{hours: '{span}'}}")), [format!("`{span}` is no span of hours")]);
        }
        assert_eq!(wrong("{days: mon, zone: Mars/Crater}"), ["`Mars/Crater` is no time zone"]);
        assert_eq!(wrong("{days: mon, zone: '+99:00'}"), ["`+99:00` is no time zone"]);
        assert_eq!(wrong("{zone: UTC}"), ["`time` of `when` asks nothing"]);
    }

    #[test]
    fn a_moment_has_its_parts_in_utc() {
        assert_eq!(in_utc(0), Some(("thu", 0, 0)));
        assert_eq!(in_utc(1_772_444_000), Some(("mon", 9, 33)));
        assert_eq!(in_utc(i64::MAX), None);
    }
}
