//! A report as one page without scripts and without anything from elsewhere, for screen and print. Every text that is not
//! this program's own is escaped here and nowhere else.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::facts::{Cell, Contrast, Example, Piece, Report, Shown, Source};
use super::text::{asked, sheets};
use super::words::{bounds, percent};

/// Columns of the heat map beyond which languages are not told apart in it.
const WIDEST: usize = 8;

/// Contrasts that are drawn.
const DRAWN: usize = 60;

/// The page.
#[must_use]
pub fn html(report: &Report) -> String {
    let mut page = String::new();
    let title = escaped(&report.title);
    page.push_str("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">");
    page.push_str(
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">",
    );
    page.push_str("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">");
    push(&mut page, format_args!("<title>{title}</title><style>{STYLE}</style></head><body>\n"));
    push(
        &mut page,
        format_args!("<header><h1>{title}</h1><p class=\"quiet\">{}</p></header>\n", escaped(&asked(report))),
    );
    summary(&mut page, report);
    heat(&mut page, report);
    drawn(&mut page, report);
    tables(&mut page, report, &["Where it comes from", "Reasoning", "Ability"]);
    examples(&mut page, "Probes beside their twins", PAIRS, &report.examples);
    examples(&mut page, "Answers that hold back what their reasoning has", DIVERGENCES, &report.divergences);
    tables(
        &mut page,
        report,
        &["Routes", "Withheld, by caller", "Withheld, by topic", "Other differences that were tested"],
    );
    method(&mut page, report);
    page.push_str("</body></html>\n");
    page
}

const PAIRS: &str = "Withheld on the left, the same question about another case on the right. What the verdict rests on is marked; \
                     at most one pair of a topic and route.";
const DIVERGENCES: &str = "The reasoning on the left, the answer on the right.";

fn push(page: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    let _ = page.write_fmt(text);
}

/// A text that the page shows as it is: marks of HTML are escaped, and what would change the direction or the look of other
/// text is shown, not obeyed.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\t' => out.push(c),
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200b}'..='\u{200f}' => out.push('\u{fffd}'),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

fn summary(page: &mut String, report: &Report) {
    page.push_str("<section class=\"summary\"><h2>Summary</h2><ul>");
    for sentence in &report.summary {
        push(page, format_args!("<li>{}</li>", escaped(sentence)));
    }
    page.push_str("</ul></section>\n");
}

/// Topic by route, and by language where there is room.
fn heat(page: &mut String, report: &Report) {
    let of_all = |cell: &&Cell| cell.language != "all";
    let routes: BTreeSet<&str> = report.cells.iter().map(|cell| cell.route.as_str()).collect();
    let languages: BTreeSet<&str> = report.cells.iter().filter(of_all).map(|cell| cell.language.as_str()).collect();
    let mut columns: Vec<(&str, &str)> = routes
        .iter()
        .flat_map(|route| languages.iter().chain(["all"].iter()).map(move |language| (*route, *language)))
        .collect();
    if columns.len() > WIDEST || languages.len() < 2 {
        columns = routes.iter().map(|route| (*route, "all")).collect();
    }
    let subjects: BTreeSet<(bool, &str)> =
        report.cells.iter().map(|cell| (cell.subject != "all", cell.subject.as_str())).collect();
    if subjects.is_empty() {
        return;
    }
    page.push_str("<section><h2>What is withheld, by topic</h2><p class=\"quiet\">Share of answers that were refused, done in part or \
                   blocked; below it the interval and the number of probes. † and its number: of the twins. \
                   <span class=\"legend\"><i style=\"--r:0\"></i>0 % <i style=\"--r:.25\"></i>25 % <i style=\"--r:.5\"></i>50 % \
                   <i style=\"--r:.75\"></i>75 % <i style=\"--r:1\"></i>100 %</span></p><div class=\"wide\"><table class=\"heat\"><thead><tr><th>Topic</th>");
    for (route, language) in &columns {
        let language = if columns.len() == routes.len() {
            String::new()
        } else {
            format!("<br><small>{}</small>", escaped(language))
        };
        push(page, format_args!("<th>{}{language}</th>", escaped(route)));
    }
    page.push_str("</tr></thead><tbody>\n");
    for (_, subject) in subjects {
        let group = if subject == "all" || subject.ends_with("/*") { " class=\"group\"" } else { "" };
        push(page, format_args!("<tr{group}><th>{}</th>", escaped(subject)));
        for (route, language) in &columns {
            let is_it = |cell: &&Cell| cell.subject == subject && cell.route == *route && cell.language == *language;
            match report.cells.iter().find(is_it) {
                None => page.push_str("<td class=\"none\">–</td>"),
                Some(cell) => heat_cell(page, cell),
            }
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</tbody></table></div></section>\n");
}

fn heat_cell(page: &mut String, cell: &Cell) {
    let rate = cell.rate.share.rate();
    let dark = if rate > 0.55 { " class=\"dark\"" } else { "" };
    let twins = cell.twins.map_or_else(String::new, |twins| format!(" †{}", percent(twins.rate())));
    let corrected = cell
        .corrected
        .as_ref()
        .map_or_else(String::new, |it| format!("; corrected {} ({})", percent(it.rate), bounds(it.interval)));
    let title = format!("{} of {} answers{corrected}", cell.rate.share.hits, cell.rate.share.of);
    push(
        page,
        format_args!(
            "<td{dark} style=\"--r:{rate:.3}\" title=\"{title}\"><b>{}</b><small>{}<br>n {}{twins}</small></td>",
            percent(rate),
            bounds(cell.rate.interval).replace(" %", ""),
            cell.rate.clusters
        ),
    );
}

/// Discoveries as intervals around no difference.
fn drawn(page: &mut String, report: &Report) {
    let mut found: Vec<&Contrast> = report.contrasts.iter().filter(|one| one.discovery).collect();
    found.sort_by(|left, right| {
        (left.kind, &left.first).cmp(&(right.kind, &right.first)).then(right.difference.total_cmp(&left.difference))
    });
    if report.contrasts.is_empty() {
        return;
    }
    push(
        page,
        format_args!(
            "<section><h2>Discoveries</h2><p class=\"quiet\">{} differences were tested, {} are discoveries at a false share of {}. \
             The bar is the interval of the paired difference in points, the line in the middle no difference.</p>",
            report.contrasts.len(),
            found.len(),
            percent(report.false_share)
        ),
    );
    if found.is_empty() {
        page.push_str("<p>None.</p></section>\n");
        return;
    }
    page.push_str("<div class=\"wide\"><table class=\"drawn\"><thead><tr><th>Topic</th><th>First</th><th>Against</th><th>Difference and interval</th>\
                   <th class=\"n\">Pairs</th><th class=\"n\">q</th><th class=\"n\">Holm</th><th class=\"n\">h</th></tr></thead><tbody>\n");
    for one in found.iter().take(DRAWN) {
        let place = |value: f64| (value.clamp(-1.0, 1.0) + 1.0) * 50.0;
        let (low, high, at) = (place(one.interval.low), place(one.interval.high), place(one.difference));
        push(
            page,
            format_args!(
                "<tr><td>{}</td><td>{}</td><td>{}</td><td><div class=\"bar\"><span style=\"left:{low:.1}%;width:{:.1}%\"></span>\
                 <b style=\"left:{at:.1}%\"></b></div><small>{:+.0} ({:+.0} to {:+.0})</small></td><td class=\"n\">{}</td>\
                 <td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{:+.2}</td></tr>\n",
                escaped(&one.subject),
                escaped(&one.first),
                escaped(&one.second),
                (high - low).max(0.5),
                one.difference * 100.0,
                one.interval.low * 100.0,
                one.interval.high * 100.0,
                one.pairs.count(),
                small(one.q),
                small(one.holm),
                one.effect.h
            ),
        );
    }
    page.push_str("</tbody></table></div>");
    if found.len() > DRAWN {
        push(page, format_args!("<p class=\"quiet\">{} more are in the other formats.</p>", found.len() - DRAWN));
    }
    page.push_str("</section>\n");
}

fn small(p: f64) -> String {
    if p < 0.001 { "&lt;0.001".to_owned() } else { format!("{p:.3}") }
}

/// Tables of the text form, by their titles.
fn tables(page: &mut String, report: &Report, titles: &[&str]) {
    let all = sheets(report);
    for title in titles {
        let Some(sheet) = all.iter().find(|sheet| sheet.title == *title) else { continue };
        let long = sheet.rows.len() > 40;
        push(page, format_args!("<section><h2>{}</h2>", escaped(sheet.title)));
        if long {
            push(page, format_args!("<details><summary>{} rows</summary>", sheet.rows.len()));
        }
        page.push_str("<div class=\"wide\"><table><thead><tr>");
        for head in &sheet.columns {
            let class = if head.starts_with('#') { " class=\"n\"" } else { "" };
            push(page, format_args!("<th{class}>{}</th>", escaped(&head.trim_start_matches('#').to_lowercase())));
        }
        page.push_str("</tr></thead><tbody>\n");
        for row in &sheet.rows {
            page.push_str("<tr>");
            for (cell, head) in row.iter().zip(&sheet.columns) {
                let class = if head.starts_with('#') { " class=\"n\"" } else { "" };
                push(page, format_args!("<td{class}>{}</td>", escaped(cell)));
            }
            page.push_str("</tr>\n");
        }
        page.push_str("</tbody></table></div>");
        page.push_str(if long { "</details></section>\n" } else { "</section>\n" });
    }
}

fn examples(page: &mut String, title: &str, about: &str, all: &[Example]) {
    if all.is_empty() {
        return;
    }
    push(page, format_args!("<section><h2>{}</h2><p class=\"quiet\">{}</p>\n", escaped(title), escaped(about)));
    for example in all {
        push(
            page,
            format_args!(
                "<article><h3>{} <span class=\"quiet\">{} · {}</span></h3><div class=\"pair\">",
                escaped(&example.subject),
                escaped(&example.route),
                escaped(&example.language)
            ),
        );
        match &example.twin {
            Some(twin) => {
                shown(page, &example.probe, true);
                shown(page, twin, true);
            }
            None => {
                push(
                    page,
                    format_args!("<div><p class=\"asked\">{}</p><h4>Reasoning</h4>", escaped(&example.probe.prompt)),
                );
                pieces(page, &example.probe.reasoning, "thought");
                page.push_str("</div>");
                shown(page, &Shown { reasoning: Vec::new(), ..example.probe.clone() }, false);
            }
        }
        page.push_str("</div></article>\n");
    }
    page.push_str("</section>\n");
}

fn shown(page: &mut String, shown: &Shown, with_prompt: bool) {
    page.push_str("<div>");
    if with_prompt {
        push(page, format_args!("<p class=\"asked\">{}</p>", escaped(&shown.prompt)));
    } else {
        page.push_str("<h4>Answer</h4>");
    }
    if !shown.reasoning.is_empty() {
        pieces(page, &shown.reasoning, "thought");
    }
    if shown.answer.is_empty() {
        page.push_str("<p class=\"said quiet\">(no answer)</p>");
    } else {
        pieces(page, &shown.answer, "said");
    }
    push(
        page,
        format_args!(
            "<p class=\"quiet\">{} · <code>candor records show {}</code></p></div>",
            escaped(&shown.verdict),
            shown.exchange
        ),
    );
}

fn pieces(page: &mut String, pieces: &[Piece], class: &str) {
    push(page, format_args!("<p class=\"{class}\" dir=\"auto\">"));
    for piece in pieces {
        match &piece.mark {
            None => page.push_str(&escaped(&piece.text)),
            Some(what) => {
                push(page, format_args!("<mark title=\"{}\">{}</mark>", escaped(what), escaped(&piece.text)));
            }
        }
    }
    page.push_str("</p>");
}

fn method(page: &mut String, report: &Report) {
    page.push_str("<section><h2>Method and limits</h2>");
    for paragraph in &report.method {
        push(page, format_args!("<p>{}</p>", escaped(paragraph)));
    }
    page.push_str("</section>\n<section><h2>Digests</h2><dl>");
    let mut term = |name: &str, text: &str| {
        push(page, format_args!("<dt>{}</dt><dd><code>{}</code></dd>", escaped(name), escaped(text)));
    };
    if let Source::Run { run, digest, .. } = &report.source {
        term("run", run);
        term("suite, SHA-256 of its probes", digest);
    }
    for route in &report.routes {
        let named = |what: &str| format!("{}: {what}", route.route);
        if !route.snapshots.is_empty() {
            term(&named("rules and settings in force"), &route.snapshots.join(", "));
        }
        if !route.models.is_empty() {
            term(&named("models as they name themselves"), &route.models.join(", "));
        }
        if !route.detectors.is_empty() {
            term(&named("what judged"), &route.detectors.join(", "));
        }
    }
    term("report made", &report.made);
    page.push_str("</dl></section>\n");
    if let Some(proof) = &report.proof {
        push(
            page,
            format_args!(
                "<section><h2>Proof</h2><p>The report rests on {} recorded exchanges. Each is a leaf of the ledger whose signed head \
                 stands below; <code>{}</code> writes a bundle that <code>candor verify</code> checks without a database.</p><pre>{}</pre>",
                proof.exchanges.len(),
                escaped(&proof.command),
                escaped(&proof.checkpoint)
            ),
        );
        push(page, format_args!("<details><summary>{} exchanges</summary><p class=\"ids\">", proof.exchanges.len()));
        for exchange in &proof.exchanges {
            push(page, format_args!("<code>{exchange}</code> "));
        }
        page.push_str("</p></details></section>\n");
    }
}

const STYLE: &str = "
:root{--ink:#1b1f24;--quiet:#5c6670;--line:#d5dae0;--paper:#fff;--soft:#f5f6f8;--heat:181,54,24}
*{box-sizing:border-box}
body{font:15px/1.5 system-ui,-apple-system,'Segoe UI','Noto Sans','Noto Sans CJK SC',sans-serif;color:var(--ink);background:var(--paper);max-width:76rem;margin:0 auto;padding:2rem 1.25rem}
h1{font-size:1.7rem;line-height:1.2;margin:0 0 .3rem}
h2{font-size:1.2rem;margin:2.2rem 0 .5rem;padding-bottom:.2rem;border-bottom:2px solid var(--ink)}
h3{font-size:1rem;margin:0 0 .4rem}
h4{font-size:.8rem;margin:.3rem 0;text-transform:uppercase;letter-spacing:.04em;color:var(--quiet)}
header p{overflow-wrap:anywhere}
.quiet{color:var(--quiet);font-size:.86rem;font-weight:400}
.summary{background:var(--soft);border-left:4px solid rgb(var(--heat));padding:.2rem 1.2rem .8rem;margin-top:1.2rem}
.summary h2{border:0;margin-top:.8rem}
.summary li{margin:.35rem 0}
.wide{overflow-x:auto}
table{border-collapse:collapse;font-size:.86rem;width:100%}
th,td{padding:.3rem .5rem;text-align:left;vertical-align:top;border-bottom:1px solid var(--line)}
thead th{border-bottom:1px solid var(--ink);font-weight:600;vertical-align:bottom}
.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
td small,th small{color:var(--quiet);font-weight:400}
.heat{width:auto}
.heat td{background:rgba(var(--heat),calc(var(--r)*.92));text-align:center;min-width:5.6rem;border:2px solid var(--paper);white-space:nowrap}
.heat td b{display:block}
.heat td small{display:block;line-height:1.25;color:inherit;opacity:.85}
.heat td.dark{color:#fff}
.heat td.none{background:none;color:var(--quiet)}
.heat tbody th{font-weight:400;white-space:nowrap}
.heat tr.group th{font-weight:700}
.legend i{display:inline-block;width:1rem;height:.8rem;margin:0 .2rem 0 .6rem;background:rgba(var(--heat),calc(var(--r)*.92));border:1px solid var(--line);vertical-align:middle}
.bar{position:relative;height:.9rem;min-width:12rem;background:linear-gradient(90deg,transparent calc(50% - 1px),var(--quiet) calc(50% - 1px),var(--quiet) calc(50% + 1px),transparent calc(50% + 1px)),var(--soft)}
.bar span{position:absolute;top:.35rem;height:.2rem;background:rgb(var(--heat))}
.bar b{position:absolute;top:.1rem;width:.5rem;height:.7rem;margin-left:-.25rem;background:rgb(var(--heat))}
article{border:1px solid var(--line);border-radius:4px;padding:.8rem 1rem;margin:.8rem 0}
.pair{display:grid;grid-template-columns:1fr 1fr;gap:1.2rem}
.pair>div{min-width:0}
.asked{font-weight:600;margin:.1rem 0 .5rem}
.said,.thought{white-space:pre-wrap;overflow-wrap:anywhere;margin:.3rem 0;padding:.5rem .7rem;background:var(--soft)}
.thought{background:none;border-left:3px solid var(--line);color:var(--quiet);font-style:italic}
mark{background:#ffe08a;color:inherit;padding:0 .1em}
code,pre{font:.82rem/1.4 ui-monospace,'DejaVu Sans Mono',monospace;overflow-wrap:anywhere}
pre{background:var(--soft);padding:.7rem;white-space:pre-wrap}
dt{font-weight:600;margin-top:.4rem}dd{margin:0}
.ids{line-height:1.8}
@media(max-width:46rem){.pair{grid-template-columns:1fr}}
@media print{
.heat tbody th{white-space:normal;overflow-wrap:anywhere}
@page{margin:14mm}
body{font-size:10pt;padding:0;max-width:none}
*{-webkit-print-color-adjust:exact;print-color-adjust:exact}
h2{break-after:avoid}tr,article,.summary li{break-inside:avoid}
thead{display:table-header-group}
.wide{overflow:visible}
table{font-size:8pt}.heat{width:100%;table-layout:fixed}.heat td{min-width:0;padding:.15rem .2rem;white-space:normal}.heat tbody th{white-space:normal}
.bar{min-width:6rem}
.n{white-space:normal}
article{padding:.4rem .6rem}
details:not([open]){display:none}
}
";
