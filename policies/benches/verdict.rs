//! The verdict on one exchange: what it costs by the size of prompt and answer, with and without thinking. It measures no
//! quality.

use candor_policies::{Case, HostError, Judge};
use criterion::{Criterion, criterion_group, criterion_main};

/// Prose in the proportions that traffic has: sentences, a list, a little Markdown.
const PROSE: &str = "The council met on Tuesday to discuss the new bridge, which engineers had planned since 2017. \
    **Costs** have risen by a third, and residents asked why nobody had told them earlier. I think the answer is simple: \
    the first estimate left out the approach roads.\n\n- Steel and concrete make up most of the bill.\n- Land on the \
    northern side was bought twice.\n- A ferry would have been cheaper, but slower.\n\nYou can see the same pattern in \
    other projects; what matters is who checks the figures before the vote. ";
const CHINESE: &str = "市议会周二开会讨论新桥的建设，工程师们从2017年就开始规划。造价上涨了三分之一，居民们问为什么没有人早点\
    告诉他们。我认为答案很简单：最初的估算没有包括引道。\n\n- 钢材和混凝土占了大部分费用。\n- 北侧的土地被买了两次。\n\n";
const REFUSAL: &str = "I'm sorry, but I can't help with that request. It would not be appropriate for me to write this. I'd be happy to discuss other aspects of the council's work instead, or to provide balanced information. ";
const CANNED: &str = "Sorry, that's beyond my current scope. Let's talk about something else.";

/// A text of about so many bytes.
fn text(of: &str, bytes: usize) -> String {
    let mut text = of.repeat(bytes / of.len() + 1);
    text.truncate(text.floor_char_boundary(bytes));
    text
}

fn verdicts(bench: &mut Criterion) {
    let judge = Judge::shipped();
    let mut group = bench.benchmark_group("verdict");
    let mut case = |name: &str, prompt: &str, reasoning: Option<&str>, answer: &str| {
        let case = Case { prompt, reasoning, answer, ..Case::default() };
        group.bench_function(name, |bench| bench.iter(|| judge.verdict(&case)));
    };
    let (short, kilo, long) = (text(PROSE, 60), text(PROSE, 1 << 10), text(PROSE, 64 << 10));
    case("60 B prompt, 60 B answer", &short, None, &short);
    case("1 KB prompt, 1 KB answer", &kilo, None, &kilo);
    case("1 KB prompt, 4 KB answer", &kilo, None, &text(PROSE, 4 << 10));
    case("1 KB prompt, 1 KB Chinese answer", &text(CHINESE, 1 << 10), None, &text(CHINESE, 1 << 10));
    case("1 KB prompt, refusal", &kilo, None, &text(REFUSAL, 200));
    case("1 KB prompt, canned line", &kilo, None, CANNED);
    case("1 KB prompt, 4 KB thinking, 1 KB answer", &kilo, Some(&text(PROSE, 4 << 10)), &kilo);
    case("64 KB prompt, 1 KB answer", &long, None, &kilo);
    case("1 KB prompt, 64 KB answer", &kilo, None, &long);
    let error = Some(HostError { status: Some(400), body: r#"{"error":{"message":"Content Exists Risk"}}"# });
    let blocked = Case { prompt: &kilo, error, ..Case::default() };
    group.bench_function("1 KB prompt, blocked by the host", |bench| bench.iter(|| judge.verdict(&blocked)));
    group.finish();
}

criterion_group!(benches, verdicts);
criterion_main!(benches);
