//! Which of several equals a conversation belongs to, so that its next turn finds the prefix in that one's cache. Pure; the
//! same in every replica, and it moves only the conversations of an upstream that comes or goes.

use super::choice::View;
use crate::exchange::Request;

/// How much more than its share of the calls on their way one may have before a conversation goes to the next: the
/// bound of consistent hashing with bounded loads (Mirrokni, Thorup, Zadimoghaddam 2018, <https://arxiv.org/abs/1608.01350>).
const BOUND: f64 = 1.25;

/// What a conversation is known by: the model and all that was said up to the first thing that was asked.
pub(super) fn conversation(request: &Request) -> u64 {
    let mut hash = mixed(OFFSET, request.model.as_bytes());
    for message in &request.messages {
        hash = mixed(hash, message.role.as_bytes());
        for passage in &message.passages {
            hash = mixed(hash, passage.text.as_bytes());
        }
        if message.role == "user" {
            break;
        }
    }
    hash
}

/// What an upstream is known by.
pub(super) fn identity(name: &str) -> u64 {
    mixed(OFFSET, name.as_bytes())
}

/// Weighted rendezvous (Thaler, Ravishankar 1998; weights as in the Internet draft on weighted HRW, score = w / -ln u): the
/// highest score that has room.
pub(super) fn choose(equals: &[&View], conversation: u64) -> Option<usize> {
    let mut order: Vec<(usize, f64)> =
        equals.iter().enumerate().map(|(index, view)| (index, score(view, conversation))).collect();
    order.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    let pending = |view: &View| view.outlook.map_or(0, |outlook| outlook.pending);
    let calls = equals.iter().map(|view| pending(view)).sum::<usize>() + 1;
    let weights: f64 = equals.iter().map(|view| f64::from(view.weight)).sum();
    let has_room = |view: &View| {
        let share = count(calls) * f64::from(view.weight) / weights.max(1.0);
        count(pending(view) + 1) <= (share * BOUND).ceil()
    };
    let roomy = order.iter().find(|(index, _)| equals.get(*index).is_some_and(|view| has_room(view)));
    roomy.or_else(|| order.first()).map(|(index, _)| *index)
}

fn score(view: &View, conversation: u64) -> f64 {
    // 53 bits, as many as a float takes; never 0, whose logarithm is not finite.
    let drawn = (finished(conversation ^ view.identity) >> 11) as f64 + 0.5;
    f64::from(view.weight) / -(drawn / (1_u64 << 53) as f64).ln()
}

fn count(calls: usize) -> f64 {
    f64::from(u32::try_from(calls).unwrap_or(u32::MAX))
}

/// FNV-1a, 64 bits (RFC 9923), with a mark after each text, so that where one ends matters.
fn mixed(hash: u64, text: &[u8]) -> u64 {
    text.iter().chain(&[0xff]).fold(hash, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;

/// The last steps of SplitMix64, so that near hashes give far numbers.
fn finished(mut hash: u64) -> u64 {
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect;
    use crate::exchange::Dialect;
    use crate::upstream::choice::Outlook;
    use crate::upstream::health::Standing;

    fn view(name: &str, weight: u32, pending: usize) -> View {
        let outlook = Outlook { standing: Standing::Well, pending, latency: None, full: false };
        View { candidate: 0, priority: 0, weight, identity: identity(name), outlook: Some(outlook) }
    }

    /// Whom each of 4000 conversations belongs to.
    fn owners(views: &[View]) -> Vec<usize> {
        let equals: Vec<&View> = views.iter().collect();
        (0..4000_u64).map(|conversation| choose(&equals, finished(conversation)).unwrap()).collect()
    }

    fn share(owners: &[usize], of: usize) -> usize {
        (owners.iter().filter(|owner| **owner == of).count() + 20) / 40
    }

    #[test]
    fn conversations_are_spread_by_weight_and_stay_where_they_are() {
        let (a, b, c) = (view("a", 1, 9), view("b", 1, 9), view("c", 2, 18));
        let all = owners(&[a, b, c]);
        let shares = [share(&all, 0), share(&all, 1), share(&all, 2)];
        for (share, expected) in shares.iter().zip([25, 25, 50_usize]) {
            assert!(share.abs_diff(expected) <= 2, "{shares:?}");
        }
        assert_eq!(all, owners(&[a, b, c]));
        // Without `b`, only what belonged to it moves.
        let fewer = owners(&[a, c]);
        let moved = all.iter().zip(&fewer).filter(|(before, after)| **before != 1 && **before != **after * 2).count();
        assert_eq!(moved, 0);
    }

    #[test]
    fn one_that_has_more_than_its_share_takes_no_more() {
        let busy = owners(&[view("a", 1, 40), view("b", 1, 2)]);
        assert_eq!((share(&busy, 0), share(&busy, 1)), (0, 100));
        // One call on its way is no crowd.
        let even = owners(&[view("a", 1, 0), view("b", 1, 0)]);
        assert!(share(&even, 0).abs_diff(50) <= 2);
        assert_eq!(choose(&[], 1), None);
    }

    #[test]
    fn later_turns_are_the_same_conversation() {
        let of = |model: &str, texts: &[(&str, &str)]| {
            let messages: Vec<_> =
                texts.iter().map(|(role, text)| serde_json::json!({"role": role, "content": text})).collect();
            let body = serde_json::json!({"model": model, "messages": messages}).to_string();
            conversation(&dialect::read_request(Dialect::OpenaiChat, body.into()).unwrap())
        };
        let first = of("m", &[("system", "s"), ("user", "a")]);
        assert_eq!(first, of("m", &[("system", "s"), ("user", "a"), ("assistant", "b"), ("user", "c")]));
        for other in [
            of("n", &[("system", "s"), ("user", "a")]),
            of("m", &[("system", "t"), ("user", "a")]),
            of("m", &[("system", "sa"), ("user", "")]),
            of("m", &[("user", "a")]),
        ] {
            assert_ne!(first, other);
        }
    }
}
