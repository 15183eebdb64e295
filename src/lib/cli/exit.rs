//! Exit statuses: one table for all programs. 0 only if what was asked for happened; nothing above 130.
//!
//! The exact SIP status code (RFC 3261 §21) is in the result, not here: a script that branches on the exit
//! status wants to know what to do next, and twenty classes are enough for that.

use std::process::ExitCode;

/// Why a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ExitStatus {
    Done = 0,
    /// A panic or a broken invariant: a defect of the program, never the peer's or the user's doing.
    Defect = 1,
    Usage = 2,
    Deadline = 3,
    Busy = 10,
    Declined = 11,
    NotAnswered = 12,
    AuthenticationFailed = 13,
    NotFound = 14,
    NotAcceptable = 15,
    ClientFailure = 16,
    ServerFailure = 17,
    Redirected = 18,
    GlobalFailure = 19,
    NameResolution = 20,
    Unreachable = 21,
    Tls = 22,
    NoResponse = 23,
    Audio = 24,
    Media = 30,
    Expectation = 31,
    Interrupted = 130,
}

impl ExitStatus {
    /// Every status in the order of its number.
    pub const ALL: [Self; 22] = [
        Self::Done,
        Self::Defect,
        Self::Usage,
        Self::Deadline,
        Self::Busy,
        Self::Declined,
        Self::NotAnswered,
        Self::AuthenticationFailed,
        Self::NotFound,
        Self::NotAcceptable,
        Self::ClientFailure,
        Self::ServerFailure,
        Self::Redirected,
        Self::GlobalFailure,
        Self::NameResolution,
        Self::Unreachable,
        Self::Tls,
        Self::NoResponse,
        Self::Audio,
        Self::Media,
        Self::Expectation,
        Self::Interrupted,
    ];

    /// The status for a final response (RFC 3261 §21). 401 and 407 arrive here only when they could not be
    /// answered or came again after credentials. A provisional is no outcome: treating it as one is a defect.
    pub fn from_sip(code: u16) -> Self {
        match code {
            200..=299 => Self::Done,
            300..=399 => Self::Redirected,
            401 | 403 | 407 => Self::AuthenticationFailed,
            404 | 410 | 484 | 485 | 604 => Self::NotFound,
            406 | 415 | 420 | 421 | 488 | 494 | 606 => Self::NotAcceptable,
            408 | 480 | 487 => Self::NotAnswered,
            486 | 600 => Self::Busy,
            603 | 607 | 608 => Self::Declined,
            400..=499 => Self::ClientFailure,
            500..=599 => Self::ServerFailure,
            600..=699 => Self::GlobalFailure,
            _ => Self::Defect,
        }
    }

    /// The number the shell sees.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The stable word for it in results (`"status"`).
    pub const fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Defect => "defect",
            Self::Usage => "usage",
            Self::Deadline => "deadline",
            Self::Busy => "busy",
            Self::Declined => "declined",
            Self::NotAnswered => "not-answered",
            Self::AuthenticationFailed => "authentication-failed",
            Self::NotFound => "not-found",
            Self::NotAcceptable => "not-acceptable",
            Self::ClientFailure => "client-failure",
            Self::ServerFailure => "server-failure",
            Self::Redirected => "redirected",
            Self::GlobalFailure => "global-failure",
            Self::NameResolution => "name-resolution",
            Self::Unreachable => "unreachable",
            Self::Tls => "tls",
            Self::NoResponse => "no-response",
            Self::Audio => "audio",
            Self::Media => "media",
            Self::Expectation => "expectation",
            Self::Interrupted => "interrupted",
        }
    }

    /// What it means, as the manual says it.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Done => "done: what was asked for happened",
            Self::Defect => "internal error (a defect: please report)",
            Self::Usage => "usage or configuration error",
            Self::Deadline => "the --timeout deadline passed",
            Self::Busy => "busy (486, 600)",
            Self::Declined => "declined (603, 607, 608)",
            Self::NotAnswered => "not answered (ring timeout, 408, 480, 487)",
            Self::AuthenticationFailed => {
                "authentication failed (401 or 407 after or without credentials, 403)"
            }
            Self::NotFound => "not found (404, 410, 484, 485, 604)",
            Self::NotAcceptable => "not acceptable (406, 415, 420, 421, 488, 494, 606)",
            Self::ClientFailure => "other 4xx",
            Self::ServerFailure => "server failure (5xx)",
            Self::Redirected => "redirected and not followed (3xx)",
            Self::GlobalFailure => "other 6xx",
            Self::NameResolution => "name resolution failed",
            Self::Unreachable => "connection refused or unreachable",
            Self::Tls => "TLS failed",
            Self::NoResponse => "no response (transaction timed out)",
            Self::Audio => "audio device or file cannot be used although it was asked for by name",
            Self::Media => "signalling fine, media failed, when media was required",
            Self::Expectation => "an expectation did not hold, or never came about",
            Self::Interrupted => "interrupted",
        }
    }
}

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> Self {
        Self::from(status.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_the_table() {
        let rows: [(u8, &[u16]); 12] = [
            (0, &[200, 202, 204, 299]),
            (10, &[486, 600]),
            (11, &[603, 607, 608]),
            (12, &[408, 480, 487]),
            (13, &[401, 403, 407]),
            (14, &[404, 410, 484, 485, 604]),
            (15, &[406, 415, 420, 421, 488, 494, 606]),
            (16, &[400, 402, 405, 416, 422, 423, 481, 482, 483, 489, 491, 493, 499]),
            (17, &[500, 501, 503, 504, 505, 513, 580, 599]),
            (18, &[300, 301, 302, 305, 380, 399]),
            (19, &[601, 605, 699]),
            (1, &[0, 100, 180, 183, 199, 700, 65535]),
        ];
        for (exit, codes) in rows {
            for &code in codes {
                assert_eq!(ExitStatus::from_sip(code).code(), exit, "SIP {code}");
            }
        }
    }

    #[test]
    fn numbers_and_names_are_stable_and_unique() {
        let numbers: Vec<u8> = ExitStatus::ALL.iter().map(|s| s.code()).collect();
        assert_eq!(
            numbers,
            [0, 1, 2, 3, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 30, 31, 130],
            "behaviour shared by all programs: never renumber"
        );
        let mut names: Vec<_> = ExitStatus::ALL.iter().map(|s| s.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ExitStatus::ALL.len());
    }
}
