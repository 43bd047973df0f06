//! Cuts a text where spans begin and end, so that each piece can be shown in its own way. It styles nothing.

use std::collections::BTreeSet;

/// How a stretch of text looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Look {
    Plain,
    Evidence,
    Finding,
}

/// Cuts a text wherever a span begins or ends, at whole characters; the strongest look of those that cover a piece
/// wins.
pub(super) fn pieces<'a>(text: &'a str, spans: &[(usize, usize, Look)]) -> Vec<(Look, &'a str)> {
    let ends = spans.iter().flat_map(|(start, end, _)| [*start, *end]).chain([0, text.len()]);
    let cuts: BTreeSet<usize> = ends.map(|at| text.floor_char_boundary(at)).collect();
    let look = |start: usize, end: usize| {
        let covers = |span: &&(usize, usize, Look)| {
            text.floor_char_boundary(span.0) <= start && end <= text.floor_char_boundary(span.1)
        };
        spans.iter().filter(covers).map(|(_, _, look)| *look).max().unwrap_or(Look::Plain)
    };
    let pairs = cuts.iter().zip(cuts.iter().skip(1));
    pairs.filter_map(|(start, end)| Some((look(*start, *end), text.get(*start..*end)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(text: &str, spans: &[(usize, usize, Look)], expected: &str) {
        let shown: String = pieces(text, spans)
            .into_iter()
            .map(|(look, piece)| match look {
                Look::Finding => format!("[{piece}]"),
                Look::Evidence => format!("*{piece}*"),
                Look::Plain => piece.to_owned(),
            })
            .collect();
        assert_eq!(shown, expected);
    }

    #[test]
    fn findings_are_marked_where_they_stand() {
        check("about the square", &[(10, 16, Look::Finding)], "about the [square]");
        check("abcdef", &[(1, 3, Look::Finding), (2, 5, Look::Evidence)], "a[b][c]*de*f");
        check("天安门", &[(3, 6, Look::Finding)], "天[安]门");
        check("天安门", &[(4, 5, Look::Finding)], "天安门");
        check("short", &[(3, 900, Look::Finding)], "sho[rt]");
        check("", &[(0, 4, Look::Finding)], "");
    }

    proptest! {
        #[test]
        fn no_span_loses_or_doubles_text(
            text in "\\PC{0,40}",
            spans in prop::collection::vec((0..60usize, 0..60usize), 0..6),
        ) {
            let spans: Vec<_> = spans.into_iter().map(|(start, end)| (start, end, Look::Finding)).collect();
            let whole: String = pieces(&text, &spans).into_iter().map(|(_, piece)| piece).collect();
            prop_assert_eq!(whole, text);
        }
    }
}
