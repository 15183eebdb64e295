//! The order of documents that tell only what changed: each says a number, and whether it is all or a part.

/// What became of a document that was applied to a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// It is the whole state: what was there before is gone.
    Full,
    /// A change to what was there.
    Partial,
    /// A change, but documents before it were lost: subscribe again, so that the whole state is sent.
    /// If the state became larger than 16 MiB as a document, it was dropped, and this is told too.
    Gap,
    /// Older than what is there: it changed nothing.
    Stale,
}

impl Applied {
    /// Whether to ask for the whole state, by a SUBSCRIBE that refreshes.
    pub fn needs_refresh(self) -> bool {
        self == Self::Gap
    }
}

/// The version of a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Version(Option<u32>);

impl Version {
    /// A document of this version comes (RFC 3858 §4, RFC 4235 §4.3, RFC 4575 §4.6, RFC 4662 §5.6). Notifiers
    /// that always send the whole state like to leave the number as it is: such documents are taken.
    pub(super) fn next(&mut self, version: u32, full: bool) -> Applied {
        let applied = match (self.0, full) {
            (Some(last), true) if version < last => Applied::Stale,
            (Some(last), false) if version <= last => Applied::Stale,
            (_, true) => Applied::Full,
            (Some(last), false) if version - last == 1 => Applied::Partial,
            (_, false) => Applied::Gap,
        };
        if applied != Applied::Stale {
            self.0 = Some(version);
        }
        applied
    }
}

/// How large a state has become, in octets of what it would be as a document: changes may add to it for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Weight(usize);

impl Weight {
    /// A change of that size was taken in. Whether the state is still within its bound; `whole` is its true size,
    /// asked for only when the changes add up to more.
    pub(super) fn add(&mut self, change: usize, whole: impl FnOnce() -> usize) -> bool {
        self.0 = self.0.saturating_add(change);
        if self.0 > HEAVIEST {
            self.0 = whole();
        }
        self.0 <= HEAVIEST
    }
}

const HEAVIEST: usize = 16 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_weighed_when_changes_add_up() {
        let mut weight = Weight::default();
        for _ in 0..16 {
            assert!(weight.add(1 << 20, || panic!("not yet")));
        }
        assert!(weight.add(1, || 1000), "most changes replaced each other");
        assert!(weight.add(1 << 20, || panic!("not again")));
        assert!(!weight.add(16 << 20, || HEAVIEST + 1));
    }

    /// Every last version against every kind of next one.
    #[test]
    fn documents_are_taken_in_order() {
        let table = [
            (None, 0, true, Applied::Full),
            (None, 3, true, Applied::Full),
            (None, 0, false, Applied::Gap),
            (Some(4), 3, true, Applied::Stale),
            (Some(4), 4, true, Applied::Full),
            (Some(4), 5, true, Applied::Full),
            (Some(4), 9, true, Applied::Full),
            (Some(4), 3, false, Applied::Stale),
            (Some(4), 4, false, Applied::Stale),
            (Some(4), 5, false, Applied::Partial),
            (Some(4), 6, false, Applied::Gap),
            (Some(u32::MAX), 0, false, Applied::Stale),
        ];
        for (last, version, full, expected) in table {
            let mut state = Version(last);
            assert_eq!(state.next(version, full), expected, "{last:?} {version} {full}");
            let now = if expected == Applied::Stale { last } else { Some(version) };
            assert_eq!(state.0, now);
        }
    }
}
