//! Tables for people: one row a line, cells of other instances' text made harmless, cut to the terminal where there is one.

use domain::audit::one_line;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// The space between columns.
const GAP: usize = 2;
/// No column is cut below this.
const NARROW: usize = 8;

/// A table that is being filled.
#[derive(Clone, Debug)]
pub struct Table {
    head: Vec<&'static str>,
    rows: Vec<Vec<String>>,
    empty: &'static str,
}

impl Table {
    /// With these headings; `empty` is said where there is no row.
    pub fn new(head: &[&'static str], empty: &'static str) -> Self {
        Self { head: head.to_vec(), rows: Vec::new(), empty }
    }

    /// Adds a row of as many cells as there are headings.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().map(|cell| one_line(&cell)).collect());
    }

    /// The text, at most `width` columns wide where given.
    pub fn draw(&self, width: Option<usize>) -> String {
        if self.rows.is_empty() {
            return self.empty.to_owned();
        }
        let widths = self.widths(width);
        let head: Vec<_> = self.head.iter().map(|cell| (*cell).to_owned()).collect();
        let lines = std::iter::once(&head).chain(&self.rows).map(|row| line(row, &widths));
        lines.collect::<Vec<_>>().join("\n")
    }

    /// The width of each column; the widest gives way where they do not fit.
    fn widths(&self, width: Option<usize>) -> Vec<usize> {
        let column = |at: usize| self.rows.iter().filter_map(move |row| row.get(at)).map(|cell| cell.width());
        let mut widths: Vec<_> =
            self.head.iter().enumerate().map(|(at, head)| column(at).max().unwrap_or(0).max(head.width())).collect();
        let Some(width) = width else { return widths };
        let room = width.saturating_sub(GAP * widths.len().saturating_sub(1));
        while widths.iter().sum::<usize>() > room {
            match widths.iter_mut().max() {
                Some(widest) if *widest > NARROW => *widest -= 1,
                _ => break,
            }
        }
        widths
    }
}

fn line(cells: &[String], widths: &[usize]) -> String {
    let fitted = cells.iter().zip(widths).map(|(cell, width)| fit(cell, *width));
    fitted.collect::<Vec<_>>().join(&" ".repeat(GAP)).trim_end().to_owned()
}

/// The cell at exactly this width, its cut end marked.
fn fit(cell: &str, width: usize) -> String {
    let wide = cell.width();
    if wide <= width {
        return format!("{cell}{}", " ".repeat(width - wide));
    }
    let mut kept = String::new();
    let mut used = 1;
    for c in cell.chars() {
        used += c.width().unwrap_or(0);
        if used > width {
            break;
        }
        kept.push(c);
    }
    let pad = width.saturating_sub(kept.width() + 1);
    format!("{kept}…{}", " ".repeat(pad))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_cell_stays_one_harmless_line() {
        let mut table = Table::new(&["TITLE", "X"], "nothing");
        table.row(["a\u{1b}[2J\r\nforged row".into(), "y".into()]);
        let text = table.draw(None);
        assert_eq!(text.lines().count(), 2);
        assert!(!text.contains('\u{1b}') && text.contains("\\u{1b}"));
    }

    #[test]
    fn the_widest_column_gives_way_to_the_terminal() {
        let mut table = Table::new(&["ID", "TITLE"], "nothing");
        table.row(["12345678".into(), "ü".repeat(200)]);
        let text = table.draw(Some(40));
        assert!(text.lines().all(|line| line.width() <= 40), "{text}");
        assert!(text.contains('…') && text.contains("12345678"));
    }
}
