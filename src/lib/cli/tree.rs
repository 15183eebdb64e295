//! A tree, drawn with lines.

use std::fmt;

use super::printable::Printable;

/// Lines with their depth; a line belongs to the one before it that is less deep.
#[derive(Debug, Default)]
pub(super) struct Tree {
    root: String,
    lines: Vec<(usize, String)>,
}

impl Tree {
    pub fn new(root: impl fmt::Display) -> Self {
        Self { root: root.to_string(), lines: Vec::new() }
    }

    /// Adds a line below the root (depth 0) or below the line before.
    pub fn push(&mut self, depth: usize, line: impl fmt::Display) {
        self.lines.push((depth, line.to_string()));
    }
}

impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", Printable(&self.root))?;
        for (at, (depth, line)) in self.lines.iter().enumerate() {
            // Whether more follows at this depth before anything less deep.
            let rest = self.lines.get(at + 1..).unwrap_or_default();
            let goes_on = |depth: usize| {
                rest.iter().map(|(other, _)| *other).find(|other| *other <= depth) == Some(depth)
            };
            for above in 0..*depth {
                f.write_str(if goes_on(above) { "│  " } else { "   " })?;
            }
            f.write_str(if goes_on(*depth) { "├─ " } else { "└─ " })?;
            writeln!(f, "{}", Printable(line))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_show_what_belongs_together() {
        let mut tree = Tree::new("root");
        for (depth, line) in [(0, "a"), (1, "b"), (1, "c"), (2, "d"), (0, "e"), (1, "f\x1b")] {
            tree.push(depth, line);
        }
        let drawn = "root\n├─ a\n│  ├─ b\n│  └─ c\n│     └─ d\n└─ e\n   └─ f\\x1b\n";
        assert_eq!(tree.to_string(), drawn);
        assert_eq!(Tree::new("alone").to_string(), "alone\n");
    }
}
