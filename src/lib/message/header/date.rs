//! Date (RFC 3261 §20.17) and Timestamp (§20.38).

use std::fmt;

use super::header;
use crate::message::{Cursor, Malformed, scan};

header!(
    /// When the message was first sent; GMT is the only zone.
    Date, Single, DateTime, |cursor: &mut Cursor<'m>| {
        scan::ascii(cursor.take_rest()).and_then(DateTime::parse).ok_or(Malformed::Date)
    }
);
header!(
    /// When the client sent the request, by its own clock; a 100 gives it back (§8.2.6.1).
    Timestamp, Single, TimestampValue<'m>, |cursor: &mut Cursor<'m>| {
        let digits = |cursor: &mut Cursor<'m>| {
            let text = cursor.take_while(|byte| byte.is_ascii_digit() || byte == b'.');
            scan::ascii(text).filter(|text| text.bytes().filter(|&byte| byte == b'.').count() <= 1)
        };
        let time = digits(cursor).filter(|time| time.starts_with(|c: char| c.is_ascii_digit()));
        cursor.skip_ws();
        let delay = digits(cursor).filter(|delay| !delay.is_empty());
        Ok(TimestampValue { time: time.ok_or(Malformed::Number)?, delay })
    }
);

/// Seconds as written, with an optional fraction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimestampValue<'m> {
    /// The client's clock.
    pub time: &'m str,
    /// How long the server took.
    pub delay: Option<&'m str>,
}

impl fmt::Display for TimestampValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.time)?;
        self.delay.map_or(Ok(()), |delay| write!(f, " {delay}"))
    }
}

/// A point in time to the second: seconds since 1970 UTC, leap seconds not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct DateTime(pub u64);

impl DateTime {
    /// `Sat, 13 Nov 2010 23:29:00 GMT`, from 1970 on.
    fn parse(text: &str) -> Option<Self> {
        let (weekday, text) = text.split_once(',')?;
        if !DAYS.iter().any(|day| day.eq_ignore_ascii_case(weekday)) {
            return None;
        }
        let mut words = text.split_ascii_whitespace();
        let day: u64 = digits(words.next()?)?;
        let name = words.next()?;
        let month = MONTHS.iter().position(|month| month.eq_ignore_ascii_case(name))? as u64 + 1;
        let year: u64 = digits(words.next()?).filter(|year| (1970..=9999).contains(year))?;
        let mut clock = words.next()?.split(':');
        let (hour, minute, second) = (digits(clock.next()?)?, digits(clock.next()?)?, digits(clock.next()?)?);
        let in_range = (1..=31).contains(&day) && hour < 24 && minute < 60 && second <= 60;
        if !in_range || clock.next().is_some() || words.next()? != "GMT" || words.next().is_some() {
            return None;
        }
        Some(Self(days(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second))
    }
}

fn digits(text: &str) -> Option<u64> {
    if text.is_empty() || text.len() > 4 { None } else { scan::number(text.as_bytes()).ok() }
}

/// Days from 1970-01-01 to a date of the Gregorian calendar; the year is taken to begin in March, so
/// that the leap day comes last.
fn days(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    365 * year + year / 4 - year / 100 + year / 400 + day_of_year - 719_468
}

/// As the Date header has it (RFC 1123).
impl fmt::Display for DateTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, seconds) = (self.0 / 86_400, self.0 % 86_400);
        // The inverse of `days`, in eras of 400 years.
        let shifted = days + 719_468;
        let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * from_march + 2) / 5 + 1;
        let month = (from_march + 2) % 12;
        let year = era * 400 + year_of_era + u64::from(month < 2);
        let name = |names: &[&'static str], at: u64| names.get(at as usize).copied().unwrap_or("");
        write!(
            f,
            "{}, {day:02} {} {year:04} {:02}:{:02}:{:02} GMT",
            name(&DAYS, days % 7),
            name(&MONTHS, month),
            seconds / 3_600,
            seconds / 60 % 60,
            seconds % 60
        )
    }
}

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
/// 1 January 1970 was a Thursday.
const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
