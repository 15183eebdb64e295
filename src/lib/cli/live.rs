//! What a person at a terminal sees during a call: state, peer, codec, duration, levels, loss and jitter.
//!
//! Drawn by indicatif on standard error, at most ten times a second, and only if standard output and standard error
//! are both terminals. Everything else that is printed meanwhile goes above it: see [`above`].

use std::{
    fmt,
    io::{self, Write},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{output, printable::Printable};

/// What is shown. A level is in dBFS; what is not known is `None` and shown as a dash.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct View {
    /// "calling", "ringing", "in call", "on hold", …
    pub state: String,
    pub peer: String,
    pub codec: Option<String>,
    /// Since the answer.
    pub duration: Option<Duration>,
    pub level_in: Option<f64>,
    pub level_out: Option<f64>,
    /// Of the packets expected, in per cent.
    pub loss: Option<f64>,
    pub jitter_ms: Option<f64>,
    pub rtt_ms: Option<f64>,
    pub muted: bool,
}

/// The live view, or nothing where there is no terminal.
pub struct Live(Option<Lines>);

struct Lines {
    screen: MultiProgress,
    state: ProgressBar,
    level_in: ProgressBar,
    level_out: ProgressBar,
    network: ProgressBar,
}

impl Live {
    /// A view that draws if `enabled`, or one that ignores everything.
    pub fn new(enabled: bool) -> Self {
        if !enabled {
            return Self(None);
        }
        let screen = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10));
        let line = |template: &str| {
            // A template is a constant of ours; were it wrong, the plain style would do.
            let style =
                ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
            screen.add(ProgressBar::new(METER_RANGE).with_style(style.progress_chars("█▉▊▋▌▍▎▏ ")))
        };
        let lines = Lines {
            state: line("{wide_msg}"),
            level_in: line("  in  [{bar:30.green}] {msg}"),
            level_out: line("  out [{bar:30.green}] {msg}"),
            network: line("{wide_msg}"),
            screen: screen.clone(),
        };
        shown(|shown| *shown = Some(screen));
        Self(Some(lines))
    }

    pub fn is_enabled(&self) -> bool {
        self.0.is_some()
    }

    pub fn show(&self, view: &View) {
        let Some(lines) = &self.0 else { return };
        lines.state.set_message(view.headline());
        show_level(&lines.level_in, view.level_in, "");
        show_level(&lines.level_out, view.level_out, if view.muted { " muted" } else { "" });
        lines.network.set_message(view.network());
    }

    /// Takes the view off the screen for good.
    pub fn clear(&self) {
        if let Some(lines) = &self.0 {
            shown(|shown| *shown = None);
            for line in [&lines.state, &lines.level_in, &lines.level_out, &lines.network] {
                line.finish_and_clear();
            }
            let _ = lines.screen.clear();
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.clear();
    }
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Live").field(&self.is_enabled()).finish()
    }
}

impl View {
    fn headline(&self) -> String {
        let mut line = format!("{}  {}", self.state, Printable(&self.peer));
        if let Some(codec) = &self.codec {
            line += &format!("  {codec}");
        }
        if let Some(duration) = self.duration {
            let seconds = duration.as_secs();
            let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
            line += &match hours {
                0 => format!("  {minutes:02}:{seconds:02}"),
                _ => format!("  {hours}:{minutes:02}:{seconds:02}"),
            };
        }
        line
    }

    fn network(&self) -> String {
        let number = |value: Option<f64>, unit: &str| match value {
            Some(value) => format!("{value:.1} {unit}"),
            None => "-".into(),
        };
        format!(
            "  loss {}  jitter {}  round trip {}  ? keys",
            number(self.loss, "%"),
            number(self.jitter_ms, "ms"),
            number(self.rtt_ms, "ms")
        )
    }
}

fn show_level(bar: &ProgressBar, level: Option<f64>, note: &str) {
    let level = level.filter(|level| level.is_finite());
    // Silence at the left, full scale at the right.
    let position = level.map_or(0.0, |level| (level + METER_RANGE as f64).clamp(0.0, METER_RANGE as f64));
    bar.set_position(position as u64);
    bar.set_message(match level {
        Some(level) => format!("{level:.0} dBFS{note}"),
        None => format!("-{note}"),
    });
}

/// Runs `write`, which prints something, with the live view off the screen meanwhile.
pub fn above<T>(write: impl FnOnce() -> T) -> T {
    match shown(|shown| shown.clone()) {
        Some(screen) => screen.suspend(write),
        None => write(),
    }
}

/// A line for the person at the terminal.
pub(super) fn note(line: &str) {
    // Nobody is left to be told if standard error is gone.
    let _ = write_stderr(format!("{line}\n").as_bytes());
}

/// Writes to standard error above the live view.
pub(super) fn write_stderr(bytes: &[u8]) -> io::Result<()> {
    output::settle();
    above(|| io::stderr().lock().write_all(bytes))
}

/// Standard error above the live view, as a writer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stderr;

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        write_stderr(bytes).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn shown<T>(change: impl FnOnce(&mut Option<MultiProgress>) -> T) -> T {
    static SHOWN: Mutex<Option<MultiProgress>> = Mutex::new(None);
    change(&mut SHOWN.lock().unwrap_or_else(PoisonError::into_inner))
}

/// The meters begin at −60 dBFS.
const METER_RANGE: u64 = 60;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_say_what_is_known_and_dash_what_is_not() {
        let mut view =
            View { state: "ringing".into(), peer: "sip:bob@192.0.2.1\x07".into(), ..View::default() };
        assert_eq!(view.headline(), "ringing  sip:bob@192.0.2.1\\x07");
        assert_eq!(view.network(), "  loss -  jitter -  round trip -  ? keys");
        view.codec = Some("PCMU/8000".into());
        view.duration = Some(Duration::from_secs(3661));
        view.loss = Some(0.04);
        view.jitter_ms = Some(1.25);
        assert_eq!(view.headline(), "ringing  sip:bob@192.0.2.1\\x07  PCMU/8000  1:01:01");
        assert_eq!(view.network(), "  loss 0.0 %  jitter 1.2 ms  round trip -  ? keys");
    }

    #[test]
    fn without_a_terminal_nothing_happens() {
        let live = Live::new(false);
        live.show(&View::default());
        live.clear();
        assert!(!live.is_enabled());
        assert_eq!(above(|| 7), 7);
    }
}
