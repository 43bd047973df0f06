//! Rows of text in columns, fitted to the terminal. It prints nothing.

/// One column.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
    /// Its heading.
    pub(super) head: &'static str,
    /// Columns with greater numbers go first where there is no room; 0 stays.
    pub(super) spare: u8,
    /// Whether its cells stand to the right, as numbers do.
    pub(super) right: bool,
}

impl Column {
    /// A column of texts.
    pub(super) const fn text(head: &'static str, spare: u8) -> Self {
        Self { head, spare, right: false }
    }

    /// A column of numbers.
    pub(super) const fn number(head: &'static str, spare: u8) -> Self {
        Self { head, spare, right: true }
    }
}

/// What the last column needs at least to be worth showing.
const LAST: usize = 12;

/// The widest that any but the last column grows.
const WIDEST: usize = 40;

const GAP: usize = 2;

/// Cells of a line of the terminal; `None` in a pipe, where nothing must be cut.
pub(super) fn room() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
    (size.ws_col > 0).then(|| usize::from(size.ws_col))
}

/// Lays rows out, the heading first. The last column takes what room is left and is cut there; without a bound
/// nothing is cut.
pub(super) fn lay_out(columns: &[Column], rows: &[Vec<String>], room: Option<usize>) -> Vec<String> {
    let mut shown: Vec<usize> = (0..columns.len()).collect();
    let widths: Vec<usize> = columns.iter().enumerate().map(|(at, column)| widest(column, at, rows)).collect();
    let width_of = |at: &usize| widths.get(*at).copied().unwrap_or_default();
    while let Some(room) = room {
        let last = shown.last().map_or(0, width_of);
        let needed = shown.iter().map(|at| width_of(at) + GAP).sum::<usize>() - last + last.min(LAST);
        let spare = |at: &&usize| columns.get(**at).map_or(0, |column| column.spare);
        let Some(gone) = shown.iter().max_by_key(spare).filter(|at| spare(at) > 0).copied() else { break };
        if needed <= room + GAP {
            break;
        }
        shown.retain(|at| *at != gone);
    }
    let heads = columns.iter().map(|column| column.head.to_owned()).collect();
    std::iter::once(&heads).chain(rows).map(|row| line(columns, row, &shown, &widths, room)).collect()
}

fn line(columns: &[Column], row: &[String], shown: &[usize], widths: &[usize], room: Option<usize>) -> String {
    let mut line = String::new();
    let mut used = 0;
    for (place, at) in shown.iter().enumerate() {
        let cell = row.get(*at).map(String::as_str).unwrap_or_default();
        let width = widths.get(*at).copied().unwrap_or_default();
        let is_last = place + 1 == shown.len();
        let bound = if is_last { room.map_or(usize::MAX, |room| room.saturating_sub(used)) } else { width };
        let cell = cut(cell, bound);
        let fill = " ".repeat(width.min(bound).saturating_sub(width_of_text(&cell)));
        match columns.get(*at).is_some_and(|column| column.right) {
            true => line.extend([fill.as_str(), &cell]),
            false if is_last => line.push_str(&cell),
            false => line.extend([&cell, fill.as_str()]),
        }
        if !is_last {
            line.push_str(&" ".repeat(GAP));
        }
        used += width + GAP;
    }
    line.truncate(line.trim_end().len());
    line
}

fn widest(column: &Column, at: usize, rows: &[Vec<String>]) -> usize {
    let cells = rows.iter().filter_map(|row| row.get(at)).map(|cell| width_of_text(cell));
    cells.chain([column.head.len()]).max().unwrap_or_default().min(WIDEST)
}

/// Cuts a text to so many cells; what was cut shows.
fn cut(text: &str, room: usize) -> String {
    if width_of_text(text) <= room {
        return text.to_owned();
    }
    if room == 0 {
        return String::new();
    }
    let mut out = String::new();
    let mut used = 1;
    for c in text.chars() {
        used += width(c);
        if used > room {
            break;
        }
        out.push(c);
    }
    out.push('…');
    out
}

fn width_of_text(text: &str) -> usize {
    text.chars().map(width).sum()
}

/// Cells that terminals give a character: two for East Asian wide ones and pictures, none for marks upon others.
fn width(c: char) -> usize {
    match u32::from(c) {
        0x300..=0x36f | 0x200b..=0x200f | 0xfe00..=0xfe0f => 0,
        0x1100..=0x115f | 0x2e80..=0xa4cf | 0xac00..=0xd7a3 | 0xf900..=0xfaff | 0xfe30..=0xfe4f | 0xff00..=0xff60 => 2,
        0xffe0..=0xffe6 | 0x1f300..=0x1faff | 0x20000..=0x3fffd => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 3] = [Column::text("ID", 0), Column::number("N", 1), Column::text("WHAT", 0)];

    fn check(room: Option<usize>, expected: &[&str]) {
        let rows = [["a1", "7", "short"], ["b22", "12", "天安门 and a long tail of words"]]
            .map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(lay_out(&COLUMNS, &rows, room), expected, "{room:?}");
    }

    #[test]
    fn without_a_bound_nothing_is_cut() {
        check(None, &["ID    N  WHAT", "a1    7  short", "b22  12  天安门 and a long tail of words"]);
    }

    #[test]
    fn the_last_column_is_cut_and_spare_ones_go_first() {
        check(Some(26), &["ID    N  WHAT", "a1    7  short", "b22  12  天安门 and a lon…"]);
        check(Some(17), &["ID   WHAT", "a1   short", "b22  天安门 and …"]);
        check(Some(3), &["ID", "a1", "b22"]);
    }
}
