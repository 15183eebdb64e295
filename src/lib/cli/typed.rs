//! Lines that are typed, or come from a pipe, and change what a program does.

use std::{
    fmt::Write as _,
    io::{self, BufRead, IsTerminal, Read},
    thread,
};

use tokio::sync::mpsc;

use crate::cli::nearest::nearest;

/// Lines as they come; the reader is a thread of its own that ends with the process.
pub(super) struct Typed {
    lines: mpsc::Receiver<String>,
    is_over: bool,
}

impl Typed {
    /// Standard input, if it is to be read. `None` if a thread cannot be had.
    pub fn open() -> Option<Self> {
        let (sender, lines) = mpsc::channel(16);
        let read = move || {
            let mut stdin = io::stdin().lock();
            let mut line = Vec::new();
            loop {
                line.clear();
                match stdin.by_ref().take(LONGEST).read_until(b'\n', &mut line) {
                    Ok(0) => return,
                    Ok(_) => {}
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(_) => return,
                }
                if sender.blocking_send(String::from_utf8_lossy(&line).trim().to_owned()).is_err() {
                    return;
                }
            }
        };
        thread::Builder::new().name("typed".into()).spawn(read).ok()?;
        Some(Self { lines, is_over: false })
    }

    /// Whether a person sits at a terminal and sees what is printed.
    pub fn is_person_there() -> bool {
        io::stdin().is_terminal() && io::stdout().is_terminal()
    }

    /// The next line; nothing once when there are no more, and then never again. Cancel-safe.
    pub async fn next(&mut self) -> Option<String> {
        if self.is_over {
            return std::future::pending().await;
        }
        let line = self.lines.recv().await;
        self.is_over = line.is_none();
        line
    }
}

/// The first word of a line in small letters, and the rest.
pub(super) fn words(line: &str) -> (String, &str) {
    let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    (word.to_ascii_lowercase(), rest.trim())
}

/// All commands, a line each.
pub(super) fn help(commands: &[(&str, &str)]) -> String {
    let width = commands.iter().map(|(command, _)| command.len()).max().unwrap_or_default();
    commands.iter().fold(String::new(), |mut text, (command, about)| {
        // Writing to a string does not fail.
        let _ = writeln!(text, "  {command:width$}  {about}");
        text
    })
}

/// What to say of a word that is no command.
pub(super) fn unknown(word: &str, commands: &[(&str, &str)]) -> String {
    let names = commands.iter().filter_map(|(command, _)| command.split_whitespace().next());
    match nearest(word, names) {
        Some(near) => format!("`{word}` is no command; did you mean {near}?"),
        None => format!("`{word}` is no command; help lists them"),
    }
}

/// Of a line.
const LONGEST: u64 = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_word_and_the_rest() {
        assert_eq!(words("Mood  happy, calm"), ("mood".to_owned(), "happy, calm"));
        assert_eq!((words("quit"), words("")), (("quit".to_owned(), ""), (String::new(), "")));
    }

    #[test]
    fn who_does_not_know_the_commands_is_told() {
        let commands = [("mood NAME", "How we feel."), ("show", "Prints it.")];
        assert_eq!(help(&commands), "  mood NAME  How we feel.\n  show       Prints it.\n");
        assert_eq!(unknown("moood", &commands), "`moood` is no command; did you mean mood?");
        assert_eq!(unknown("xyzzy", &commands), "`xyzzy` is no command; help lists them");
    }
}
