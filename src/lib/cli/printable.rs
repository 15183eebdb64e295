//! Text from the network, made harmless for a terminal: control characters come out as escapes.
//!
//! C0, DEL and C1 controls can move the cursor, change the title or answer back on some terminals; bidirectional
//! overrides can make a line read as something else. Everything else is printed as it is.

use std::fmt::{self, Write};

/// Displays one line: line breaks are escaped too.
pub struct Printable<'a>(pub &'a str);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| write_char(c, f))
    }
}

/// Displays a whole message: lines end at LF or CRLF and are indented, anything else of a control is escaped.
pub struct PrintableLines<'a> {
    pub bytes: &'a [u8],
    pub indent: &'a str,
}

impl fmt::Display for PrintableLines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in self.bytes.split_inclusive(|&b| b == b'\n') {
            f.write_str(self.indent)?;
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            for chunk in line.utf8_chunks() {
                chunk.valid().chars().try_for_each(|c| write_char(c, f))?;
                chunk.invalid().iter().try_for_each(|b| write!(f, "\\x{b:02x}"))?;
            }
            f.write_char('\n')?;
        }
        Ok(())
    }
}

fn write_char(c: char, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match c {
        '\n' => f.write_str("\\n"),
        '\r' => f.write_str("\\r"),
        '\t' => f.write_str("\\t"),
        c if c.is_control() && (c as u32) < 0x100 => write!(f, "\\x{:02x}", c as u32),
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
            write!(f, "\\u{{{:x}}}", c as u32)
        }
        c => f.write_char(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_control_character_survives() {
        let hostile: String = (0..0x2100).filter_map(char::from_u32).collect();
        let shown = Printable(&hostile).to_string();
        assert!(shown.chars().all(|c| !c.is_control() && !('\u{202a}'..='\u{202e}').contains(&c)));
        assert!(shown.contains("\\x1b") && shown.contains("\\x9b") && shown.contains("é"));
    }

    #[test]
    fn messages_keep_their_lines_and_nothing_else() {
        let bytes = b"INVITE sip:a SIP/2.0\r\nX: \x1b]0;t\x07\xff\r\n\r\nlast";
        let shown = PrintableLines { bytes, indent: "  " }.to_string();
        assert_eq!(shown, "  INVITE sip:a SIP/2.0\n  X: \\x1b]0;t\\x07\\xff\n  \n  last\n");
    }
}
