//! How many descriptors this process may have: one for each connection, so a server wants as many as it can get.

use std::io;

/// The limit before and after it was raised.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Raised {
    pub before: u64,
    pub after: u64,
}

/// Raises the soft limit to the hard one, which takes no privilege.
#[cfg(unix)]
pub fn raise() -> io::Result<Raised> {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};

    let (before, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    // Some systems say "unlimited" and mean less.
    let wanted = hard.min(MOST).max(before);
    if wanted > before {
        setrlimit(Resource::RLIMIT_NOFILE, wanted, hard)?;
    }
    let (after, _) = getrlimit(Resource::RLIMIT_NOFILE)?;
    Ok(Raised { before, after })
}

#[cfg(not(unix))]
pub fn raise() -> io::Result<Raised> {
    Err(io::ErrorKind::Unsupported.into())
}

/// More than any one process here has use for.
#[cfg(unix)]
const MOST: u64 = 1 << 20;

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn it_never_becomes_less() {
        let first = raise().unwrap();
        assert!(first.after >= first.before);
        assert_eq!(raise().unwrap(), Raised { before: first.after, after: first.after });
    }
}
