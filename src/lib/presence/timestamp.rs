//! Points in time as documents give them (RFC 3339).

use std::{fmt, str::FromStr, time::SystemTime};

use ::time::{OffsetDateTime, PrimitiveDateTime, format_description::well_known::Rfc3339};
use thiserror::Error;

/// A date and time with its offset from UTC. Compared as points in time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(OffsetDateTime);

/// Not a date and time of RFC 3339.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("not a date and time")]
pub struct NoTimestamp;

impl Timestamp {
    /// Seconds since 1970 in UTC; none for a year that RFC 3339 cannot say.
    pub fn from_unix(seconds: i64) -> Option<Self> {
        Self::within(OffsetDateTime::from_unix_timestamp(seconds).ok()?)
    }

    /// Seconds since 1970.
    pub fn unix(self) -> i64 {
        self.0.unix_timestamp()
    }

    /// A reading of the system's clock, to the second; none for a year that RFC 3339 cannot say.
    pub fn from_system(time: SystemTime) -> Option<Self> {
        let time = OffsetDateTime::from(time);
        Self::within(time.replace_nanosecond(0).ok()?)
    }

    /// The same point in time in UTC.
    #[must_use]
    pub fn utc(self) -> Self {
        Self(self.0.to_offset(::time::UtcOffset::UTC))
    }

    /// RFC 3339 has years of four digits, and offsets in minutes.
    fn within(time: OffsetDateTime) -> Option<Self> {
        let time = if time.offset().seconds_past_minute() == 0 { time } else { return None };
        (0..=9999).contains(&time.year()).then_some(Self(time))
    }
}

/// Also without an offset, as XML Schema allows: UTC is meant then.
impl FromStr for Timestamp {
    type Err = NoTimestamp;

    fn from_str(text: &str) -> Result<Self, NoTimestamp> {
        let time = OffsetDateTime::parse(text, &Rfc3339).or_else(|_| {
            PrimitiveDateTime::parse(&format!("{text}Z"), &Rfc3339).map(PrimitiveDateTime::assume_utc)
        });
        time.ok().and_then(Self::within).ok_or(NoTimestamp)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.format(&Rfc3339).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
