//! What a person is shown of a state: lines with labels, and tables. What changed since it was shown last is marked:
//! `+` came, `-` went, `~` changed.
//!
//! Everything in it came from the network and goes through [`Printable`]. Cells that change with time alone, such as
//! what is left of a subscription, are no change.

use std::{collections::HashMap, fmt::Write as _};

use clap::builder::styling::{AnsiColor, Style};
use serde::Serialize;

use crate::cli::printable::Printable;

/// A state as it is shown.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::cli) struct View {
    pub lines: Vec<Line>,
    pub tables: Vec<Table>,
}

/// A label and a value.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::cli) struct Line {
    /// Names the line among the others.
    pub label: String,
    pub value: String,
}

/// Rows of the same kind.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::cli) struct Table {
    /// Above it, where there are several.
    pub title: Option<String>,
    pub columns: &'static [Column],
    pub rows: Vec<Row>,
    /// What stands there without rows.
    pub empty: &'static str,
}

/// The head of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Column {
    pub name: &'static str,
    /// It changes with time alone.
    pub ages: bool,
}

/// What belongs together in a table.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::cli) struct Row {
    /// Names the row among the others.
    pub key: String,
    pub cells: Vec<String>,
    /// It has ended, and is shown for the last time.
    pub over: bool,
}

/// A difference between two states.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// `added`, `changed` or `removed`.
    pub change: &'static str,
    /// The label of a line, or what names a row.
    pub what: String,
    pub from: Option<String>,
    pub to: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    Same,
    Came,
    Went,
    Changed,
}

impl View {
    /// Adds a line, if there is something to say.
    pub fn line(&mut self, label: impl Into<String>, value: impl Into<String>) {
        let value = value.into();
        if !value.is_empty() {
            self.lines.push(Line { label: label.into(), value });
        }
    }

    /// As text, indented; with `before` what changed since then is marked.
    pub fn render(&self, before: Option<&Self>, colour: bool) -> String {
        let pen = Pen { colour };
        let mut out = String::new();
        let mut lines: Vec<(Mark, &Line)> = Vec::new();
        let (old, now) = (before.map(Self::by_label), self.by_label());
        for line in &self.lines {
            let mark = match old.as_ref().map(|old| old.get(&*line.label)) {
                None => Mark::Same,
                Some(None) => Mark::Came,
                Some(Some(old)) if **old == *line.value => Mark::Same,
                Some(Some(_)) => Mark::Changed,
            };
            lines.push((mark, line));
        }
        let gone = before.iter().flat_map(|before| &before.lines);
        lines.extend(gone.filter(|old| !now.contains_key(&*old.label)).map(|old| (Mark::Went, old)));
        let width = lines.iter().map(|(_, line)| width(&line.label)).max().unwrap_or(0);
        for (mark, line) in &lines {
            pen.line(&mut out, *mark, &format!("{}  {}", padded(&line.label, width), Printable(&line.value)));
        }
        for (at, table) in self.tables.iter().enumerate() {
            if at > 0 || (!lines.is_empty() && !self.tables.is_empty()) {
                out.push('\n');
            }
            table.render(before.map(|before| before.table(table)), &pen, &mut out);
        }
        out
    }

    /// What is different from what was before, in the order in which it is shown.
    pub fn changes(&self, before: &Self) -> Vec<Change> {
        let mut changes = Vec::new();
        let (old, now) = (before.by_label(), self.by_label());
        for line in &self.lines {
            let old = old.get(&*line.label);
            if old != Some(&&*line.value) {
                let from = old.map(|old| (*old).to_owned());
                changes.push(Change::new(&line.label, from, Some(line.value.clone())));
            }
        }
        for gone in before.lines.iter().filter(|old| !now.contains_key(&*old.label)) {
            changes.push(Change::new(&gone.label, Some(gone.value.clone()), None));
        }
        for table in &self.tables {
            let earlier = before.table(table);
            let old = by_key(earlier);
            for row in &table.rows {
                let old = old.get(&*row.key).copied();
                if row.over || old.is_none_or(|old| !table.same(old, row)) {
                    let from = old.map(|old| table.said(old));
                    let to = (!row.over).then(|| table.said(row));
                    changes.push(Change::new(&row.key, from, to));
                }
            }
            let now = by_key(Some(table));
            for row in earlier.iter().flat_map(|table| &table.rows) {
                if !now.contains_key(&*row.key) {
                    changes.push(Change::new(&row.key, Some(table.said(row)), None));
                }
            }
        }
        for gone in before.tables.iter().filter(|old| self.table(old).is_none()) {
            changes.extend(gone.rows.iter().map(|row| Change::new(&row.key, Some(gone.said(row)), None)));
        }
        changes
    }

    fn by_label(&self) -> HashMap<&str, &str> {
        self.lines.iter().map(|line| (&*line.label, &*line.value)).collect()
    }

    fn table(&self, like: &Table) -> Option<&Table> {
        self.tables.iter().find(|table| table.title == like.title && table.columns == like.columns)
    }
}

impl Change {
    fn new(what: &str, from: Option<String>, to: Option<String>) -> Self {
        let change = match (&from, &to) {
            (None, _) if to.is_some() => "added",
            (_, None) => "removed",
            _ => "changed",
        };
        Self { change, what: what.to_owned(), from, to }
    }
}

impl Table {
    pub fn new(columns: &'static [Column], empty: &'static str) -> Self {
        Self { title: None, columns, rows: Vec::new(), empty }
    }

    pub fn row(&mut self, key: impl Into<String>, over: bool, cells: impl IntoIterator<Item = String>) {
        self.rows.push(Row { key: key.into(), cells: cells.into_iter().collect(), over });
    }

    fn render(&self, before: Option<Option<&Self>>, pen: &Pen, out: &mut String) {
        if let Some(title) = &self.title {
            pen.line(out, Mark::Same, &Printable(title).to_string());
        }
        let old = by_key(before.flatten());
        let mark = |row: &Row| match (row.over, before, old.get(&*row.key)) {
            (true, ..) => Mark::Went,
            (false, None, _) => Mark::Same,
            (false, Some(_), None) => Mark::Came,
            (false, Some(_), Some(old)) if self.same(old, row) => Mark::Same,
            (false, Some(_), Some(_)) => Mark::Changed,
        };
        let mut rows: Vec<(Mark, &Row)> = self.rows.iter().map(|row| (mark(row), row)).collect();
        let now = by_key(Some(self));
        let gone = before.flatten().into_iter().flat_map(|table| &table.rows);
        rows.extend(gone.filter(|row| !now.contains_key(&*row.key)).map(|row| (Mark::Went, row)));
        if rows.is_empty() {
            return pen.line(out, Mark::Same, self.empty);
        }
        let widths: Vec<usize> = (0..self.columns.len())
            .map(|at| {
                let cells = rows.iter().map(|(_, row)| row.cells.get(at).map_or(0, |cell| width(cell)));
                // A column that says nothing is left out.
                match cells.max().unwrap_or(0) {
                    0 => 0,
                    widest => widest.max(self.columns.get(at).map_or(0, |column| width(column.name))),
                }
            })
            .collect();
        let joined = |cells: &mut dyn Iterator<Item = &str>| {
            let cells = cells.zip(&widths).filter(|(_, width)| **width > 0);
            let line = cells.map(|(cell, width)| padded(cell, *width)).collect::<Vec<_>>().join("  ");
            line.trim_end().to_owned()
        };
        pen.head(out, &joined(&mut self.columns.iter().map(|column| column.name)));
        for (mark, row) in rows {
            pen.line(out, mark, &joined(&mut row.cells.iter().map(String::as_str)));
        }
    }

    /// Whether two rows differ in nothing but what ages.
    fn same(&self, one: &Row, other: &Row) -> bool {
        let cells = one.cells.iter().zip(&other.cells).zip(self.columns);
        one.cells.len() == other.cells.len()
            && cells.fold(true, |same, ((a, b), column)| same && (column.ages || a == b))
    }

    /// What a row says, without what ages.
    fn said(&self, row: &Row) -> String {
        let cells = row.cells.iter().zip(self.columns);
        let cells = cells.filter(|(cell, column)| !column.ages && !cell.is_empty());
        cells.map(|(cell, _)| cell.as_str()).collect::<Vec<_>>().join(", ")
    }
}

fn by_key(table: Option<&Table>) -> HashMap<&str, &Row> {
    table.iter().flat_map(|table| &table.rows).map(|row| (&*row.key, row)).collect()
}

/// A column whose cells are news when they change.
pub(in crate::cli) const fn column(name: &'static str) -> Column {
    Column { name, ages: false }
}

/// A column whose cells change with time alone.
pub(in crate::cli) const fn ageing(name: &'static str) -> Column {
    Column { name, ages: true }
}

/// Characters that take a place; near enough for names and addresses.
fn width(text: &str) -> usize {
    Printable(text).to_string().chars().count()
}

fn padded(text: &str, width: usize) -> String {
    let mut text = Printable(text).to_string();
    let missing = width.saturating_sub(text.chars().count());
    text.extend(std::iter::repeat_n(' ', missing));
    text
}

struct Pen {
    colour: bool,
}

impl Pen {
    fn line(&self, out: &mut String, mark: Mark, text: &str) {
        let (sign, style) = match mark {
            Mark::Same => (' ', Style::new()),
            Mark::Came => ('+', AnsiColor::Green.on_default()),
            Mark::Went => ('-', AnsiColor::Red.on_default()),
            Mark::Changed => ('~', AnsiColor::Yellow.on_default()),
        };
        self.styled(out, style, &format!("{sign} {text}"));
    }

    fn head(&self, out: &mut String, text: &str) {
        self.styled(out, Style::new().dimmed(), &format!("  {text}"));
    }

    fn styled(&self, out: &mut String, style: Style, text: &str) {
        let text = text.trim_end();
        let _ = match self.colour && style != Style::new() {
            true => writeln!(out, "  {style}{text}{style:#}"),
            false => writeln!(out, "  {text}"),
        };
    }
}

/// A time in the two largest units that say something: `1h 2m`, `30s`.
pub(in crate::cli) fn span(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes, seconds % 60) {
        (0, 0, 0, seconds) => format!("{seconds}s"),
        (0, 0, minutes, 0) => format!("{minutes}m"),
        (0, 0, minutes, seconds) => format!("{minutes}m {seconds}s"),
        (0, hours, 0, _) => format!("{hours}h"),
        (0, hours, minutes, _) => format!("{hours}h {minutes}m"),
        (days, 0, ..) => format!("{days}d"),
        (days, hours, ..) => format!("{days}d {hours}h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: &[Column] = &[column("who"), column("state"), ageing("left"), column("never said")];

    fn view(status: &str, rows: &[(&str, &str, &str, bool)]) -> View {
        let mut view = View::default();
        view.line("status", status);
        view.line("nothing", "");
        let mut table = Table::new(COLUMNS, "nobody");
        for (who, state, left, over) in rows {
            table.row(*who, *over, [who, state, left, &""].map(|cell| (*cell).to_owned()));
        }
        view.tables.push(table);
        view
    }

    #[test]
    fn what_changed_is_marked() {
        let before = view("open", &[("bob", "active", "10s", false), ("carol", "pending", "9s", false)]);
        assert_eq!(
            before.render(None, false),
            "    status  open\n\n    who    state    left\n    bob    active   10s\n    carol  pending  9s\n"
        );
        let after = view("closed", &[("bob", "active", "5s", false), ("dave", "act\x1bive", "1h", false)]);
        assert_eq!(
            after.render(Some(&before), false),
            "  ~ status  closed\n\n    who    state       left\n    bob    active      5s\n\
             \x20 + dave   act\\x1bive  1h\n  - carol  pending     9s\n"
        );
        let changes: Vec<_> =
            after.changes(&before).into_iter().map(|change| (change.change, change.what)).collect();
        let expected = [("changed", "status"), ("added", "dave"), ("removed", "carol")];
        assert_eq!(changes, expected.map(|(change, what)| (change, what.to_owned())));
        assert!(after.changes(&after).is_empty());
        let aged = view("closed", &[("bob", "active", "4s", false), ("dave", "act\x1bive", "2h", false)]);
        assert!(aged.changes(&after).is_empty(), "time alone is no change");
    }

    #[test]
    fn what_is_over_is_shown_as_gone_and_colour_is_asked_for() {
        let over = view("", &[("bob", "terminated", "", true)]);
        assert_eq!(over.render(None, false), "    who  state\n  - bob  terminated\n");
        assert!(over.render(None, true).contains("\x1b[31m- bob  terminated\x1b[0m\n"));
        assert_eq!(view("", &[]).render(Some(&over), false), "    who  state\n  - bob  terminated\n");
        assert_eq!(view("", &[]).render(None, false), "    nobody\n");
    }

    #[test]
    fn spans() {
        for (seconds, text) in [
            (0, "0s"),
            (59, "59s"),
            (60, "1m"),
            (3599, "59m 59s"),
            (3600, "1h"),
            (3720, "1h 2m"),
            (90_000, "1d 1h"),
        ] {
            assert_eq!(span(seconds), text);
        }
    }
}
