//! What one gateway lets in, and what two do that hear of each other.

use std::time::Duration;

use time::macros::datetime;

use super::*;

const DAY: OffsetDateTime = datetime!(2026-11-26 10:00 UTC);

/// The moment so many seconds after the beginning of a test's book.
fn after(book: &Book, seconds: u64) -> Moment {
    let time = Duration::from_secs(seconds);
    Moment { now: book.began + time, at: DAY + time }
}

/// A moment of another day.
fn on(day: OffsetDateTime) -> Moment {
    Moment { now: Instant::now(), at: day }
}

fn claim(whose: &'static str, scope: &str, terms: Terms) -> Claim {
    Claim { whose, scope: scope.into(), terms: Arc::new(terms) }
}

fn requests(limit: u64) -> Terms {
    Terms { requests_per_minute: Some(limit), ..Terms::default() }
}

fn enter(book: &Arc<Book>, claims: &[Claim], seconds: u64) -> Result<Hold, Denial> {
    book.enter(claims.iter().cloned(), after(book, seconds))
}

/// Lets what two gateways took reach each other, as the database would.
fn exchange(books: [&Arc<Book>; 2], known: &mut [HashMap<String, Taken>; 2], begun: bool, seconds: u64) {
    for (book, told) in books.iter().zip(known.iter_mut()) {
        told.extend(book.tell(after(book, seconds)).into_iter().map(|(scope, _, taken)| (scope.to_string(), taken)));
    }
    let others = |told: &HashMap<String, Taken>| {
        told.iter().map(|(scope, today)| (scope.clone(), Others { today: *today, earlier: 0 })).collect()
    };
    let [first, second] = books;
    first.learn(&others(&known[1]), |_| None, begun, after(books[0], seconds));
    second.learn(&others(&known[0]), |_| None, begun, after(books[0], seconds));
}

#[test]
fn a_denial_of_a_team_takes_nothing_of_the_key() {
    let book = Arc::new(Book::default());
    let claims = [claim("key", "key:a", requests(5)), claim("team", "team:x", requests(2))];
    for _ in 0..2 {
        drop(enter(&book, &claims, 0).expect("room"));
    }
    for _ in 0..4 {
        assert!(matches!(enter(&book, &claims, 0), Err(Denial::Requests { whose: "team", limit: 2, .. })));
    }
    let standing = book.standing(claims.iter().cloned(), after(&book, 0)).requests.expect("rates");
    assert_eq!((standing.limit, standing.remaining), (2, 0), "the tighter one is told");
    let own = book.standing(claims.iter().take(1).cloned(), after(&book, 0)).requests.expect("rates");
    assert_eq!(own.remaining, 3);
    assert!(enter(&book, &claims, 30).is_ok());
}

#[test]
fn tokens_are_set_aside_and_settled() {
    let book = Arc::new(Book::default());
    let claims = [claim("key", "key:a", Terms { tokens_per_minute: Some(1000), ..Terms::default() })];
    let left = |seconds| book.standing(claims.iter().cloned(), after(&book, seconds)).tokens.map(|left| left.remaining);
    let mut hold = enter(&book, &claims, 0).expect("room");
    hold.reserve(100, 600, after(&book, 0)).expect("tokens");
    assert_eq!(left(0), Some(400));
    let mut other = enter(&book, &claims, 0).expect("room");
    let denied = other.reserve(100, 600, after(&book, 0));
    assert!(matches!(denied, Err(Denial::Tokens { asked: 600, wait: Some(_), .. })), "{denied:?}");
    drop(other);
    hold.settle(150, 0, after(&book, 0));
    drop(hold);
    assert_eq!(left(0), Some(850));
    let mut hold = enter(&book, &claims, 0).expect("room");
    assert!(
        matches!(hold.reserve(1001, 1001, after(&book, 0)), Err(Denial::Tokens { wait: None, .. })),
        "it never had so many"
    );
    hold.reserve(100, 1_000_000, after(&book, 0)).expect_err("at most all of it is set aside");
    hold.reserve(100, 1_000_000, after(&book, 10)).expect("all of it");
    hold.settle(3000, 0, after(&book, 10));
    // What was taken beyond is owed.
    assert_eq!([left(10), left(130), left(160)], [Some(0), Some(0), Some(500)]);
}

#[test]
fn requests_at_once_end_with_their_holds() {
    let book = Arc::new(Book::default());
    let claims = [claim("caller", "caller:a", Terms { concurrency: Some(2), ..Terms::default() })];
    let first = enter(&book, &claims, 0).expect("room");
    let _second = enter(&book, &claims, 0).expect("room");
    assert_eq!(enter(&book, &claims, 0).err(), Some(Denial::Concurrency { whose: "caller", limit: 2 }));
    drop(first);
    assert!(enter(&book, &claims, 0).is_ok());
}

#[test]
fn budgets_are_of_days_and_months() {
    let book = Arc::new(Book::default());
    let terms = Terms { budget_day: Some(100), budget_month: Some(150), ..Terms::default() };
    let claims = [claim("key", "key:a", terms)];
    let spend = |nanos, day| book.enter(claims.iter().cloned(), on(day)).map(|mut hold| hold.settle(1, nanos, on(day)));
    let denied = |period| Err(Denial::Budget { whose: "key", period });
    assert_eq!([spend(99, DAY), spend(1, DAY), spend(1, DAY)], [Ok(()), Ok(()), denied("day")]);
    let tomorrow = datetime!(2026-11-27 00:00 UTC);
    assert_eq!([spend(50, tomorrow), spend(1, tomorrow)], [Ok(()), denied("month")]);
    let next_month = datetime!(2026-12-01 00:00 UTC);
    assert_eq!(spend(1, next_month), Ok(()));
    // What is told of a day that is over is told once, with the new day's.
    let told: Vec<_> = book.tell(on(next_month)).into_iter().map(|(_, day, taken)| (day, taken.nanos)).collect();
    assert_eq!(told, [(tomorrow.date(), 50), (next_month.date(), 1)]);
    // A gateway that begins anew learns from the others' sums, of which its own earlier ones are some.
    let again = Arc::new(Book::default());
    let today = Taken { nanos: 40, ..Taken::default() };
    again.learn(&HashMap::from([("key:a".to_owned(), Others { today, earlier: 110 })]), |_| None, false, on(DAY));
    assert_eq!(
        again.enter(claims.iter().cloned(), on(DAY)).err(),
        Some(Denial::Budget { whose: "key", period: "month" })
    );
}

#[test]
fn two_gateways_keep_one_limit_with_the_slack_of_a_turn() {
    let books = [Arc::new(Book::default()), Arc::new(Book::default())];
    let mut known = [HashMap::new(), HashMap::new()];
    let claims =
        [claim("key", "key:a", Terms { requests_per_minute: Some(60), concurrency: None, ..Terms::default() })];
    exchange([&books[0], &books[1]], &mut known, false, 0);
    let mut passed = 0;
    for second in 0..180 {
        // Each is asked for five in a second; between turns they know nothing of each other.
        for book in &books {
            passed += (0..5).map(|_| u64::from(enter(book, &claims, second).is_ok())).sum::<u64>();
        }
        exchange([&books[0], &books[1]], &mut known, true, second);
        // Limit and rate, and what the second let in within a turn.
        assert!(passed <= 60 + second + 1 + 5 + second, "{passed} after {second} s");
    }
    assert!(passed <= 60 + 180 + 2 * 5, "{passed}");
    assert!(passed >= 60 + 170, "{passed}");
}

#[test]
fn requests_at_once_are_counted_over_both() {
    let books = [Arc::new(Book::default()), Arc::new(Book::default())];
    let mut known = [HashMap::new(), HashMap::new()];
    let claims = [claim("key", "key:a", Terms { concurrency: Some(2), ..Terms::default() })];
    let holds = [enter(&books[0], &claims, 0).expect("room"), enter(&books[0], &claims, 0).expect("room")];
    exchange([&books[0], &books[1]], &mut known, true, 0);
    assert!(enter(&books[1], &claims, 0).is_err());
    drop(holds);
    exchange([&books[0], &books[1]], &mut known, true, 0);
    assert!(enter(&books[1], &claims, 0).is_ok());
}

#[test]
fn what_rests_is_forgotten_and_what_is_free_never_counted() {
    let book = Arc::new(Book::default());
    let free = claim("key", "key:free", Terms { models: Some(vec!["m".to_owned()]), ..Terms::default() });
    assert!(!enter(&book, &[free], 0).expect("room").counts());
    drop(enter(&book, &[claim("key", "key:a", requests(5))], 0).expect("room"));
    assert_eq!(book.scopes.load().len(), 1);
    for (days, kept) in [(0, 1), (1, 0)] {
        let at = on(DAY + Duration::from_secs(days * 86_400));
        book.tell(at);
        book.tell(at);
        book.learn(&HashMap::new(), |_| None, true, at);
        assert_eq!(book.scopes.load().len(), kept, "after {days} days");
    }
}
