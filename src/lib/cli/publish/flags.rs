//! The flags of every program that publishes.

use std::{
    io::Read,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::ValueHint;

use crate::{
    cli::{Failure, args, value::parse_duration},
    ua::publication::Task,
};

#[derive(clap::Args, Clone, Debug)]
pub struct Flags {
    #[command(flatten)]
    pub publication: Publication,
    #[command(flatten)]
    pub headers: args::Headers,
    #[command(flatten)]
    pub identity: args::Identity,
    #[command(flatten)]
    pub route: args::Route,
    #[command(flatten)]
    pub tls: args::Tls,
    #[command(flatten)]
    pub common: args::Common,
}

/// What becomes of the state, and when.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Publication")]
pub struct Publication {
    /// Refresh until the run ends, then remove
    ///
    /// At a terminal the state can be changed meanwhile: type help.
    #[arg(long)]
    pub keep: bool,

    /// Change it as lines on standard input say; keeps it
    ///
    /// One change a line, as at a terminal with --keep. The end of the input ends the run.
    #[arg(long, conflicts_with = "remove")]
    #[arg(hide_short_help = true)]
    pub commands: bool,

    /// Change it at random at this interval; keeps it
    #[arg(long, value_name = "TIME", value_parser = parse_duration, conflicts_with = "remove")]
    #[arg(hide_short_help = true)]
    pub auto: Option<Duration>,

    /// How long to publish at a time [default: 1h]
    #[arg(long, value_name = "TIME", value_parser = parse_duration, conflicts_with = "remove")]
    #[arg(hide_short_help = true)]
    pub expires: Option<Duration>,

    /// Go on with what is published under this entity-tag
    ///
    /// It is replaced. If the server does not know it any more, the state is published anew.
    #[arg(long, value_name = "TAG")]
    #[arg(hide_short_help = true)]
    pub etag: Option<String>,

    /// Remove what is published under --etag
    #[arg(long, requires = "etag", conflicts_with = "keep")]
    #[arg(hide_short_help = true)]
    pub remove: bool,
}

impl Publication {
    /// Whether it is published until the run ends.
    pub fn is_kept(&self) -> bool {
        self.keep || self.commands || self.auto.is_some()
    }

    pub(super) fn task(&self) -> Result<Task, Failure> {
        let expires = self.expires.unwrap_or(HOUR);
        if expires.as_secs() == 0 {
            return Err(Failure::usage("a publication for less than a second is none")
                .hint("to take away what is published: --remove --etag TAG"));
        }
        if self.auto.is_some_and(|every| every < LEAST) {
            return Err(Failure::usage("--auto: more often than ten times a second is too often"));
        }
        Ok(match (self.remove, self.is_kept()) {
            (true, _) => Task::Remove,
            (false, true) => Task::Keep { expires },
            (false, false) => Task::Once { expires },
        })
    }
}

/// The content of a file, or of standard input for a dash.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let mut content = Vec::new();
    let is_stdin = path == Path::new("-");
    let read = match is_stdin {
        true => std::io::stdin().lock().take(MOST_READ + 1).read_to_end(&mut content),
        false => {
            std::fs::File::open(path).and_then(|file| file.take(MOST_READ + 1).read_to_end(&mut content))
        }
    };
    let name = if is_stdin { "standard input".into() } else { path.display().to_string() };
    match read {
        Err(error) => Err(Failure::usage(format_args!("cannot read {name}: {error}"))),
        Ok(size) if size as u64 > MOST_READ => {
            Err(Failure::usage(format_args!("{name} has more than {MOST_READ} octets")))
        }
        Ok(_) => Ok(content),
    }
}

/// Where a whole document comes from.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "State")]
pub struct File {
    /// Publish this document; a dash is standard input
    ///
    /// It goes out as it is; what else is said of the state changes it first.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub file: Option<PathBuf>,
}

const HOUR: Duration = Duration::from_secs(3600);
/// Between two changes.
const LEAST: Duration = Duration::from_millis(100);
/// A state is a document of some kilobytes.
const MOST_READ: u64 = 1 << 20;
