//! The operating system's own name service: hosts file, mDNS, DNS, whatever the host is set up for.
//!
//! It knows host names only. Each question occupies a thread of the runtime's blocking pool until the system
//! answers, even beyond the deadline: leave a runtime with `shutdown_background`, or its end waits for that
//! thread.

use std::{io, sync::Arc, time::Duration};

use tokio::{net::lookup_host, time::timeout};

use crate::resolve::{Answer, QueryError, Records, Response, Source};

/// The addresses of `name`, at the latest after `within`.
pub(super) async fn addresses(name: &str, within: Duration) -> Answer {
    match timeout(within, lookup_host((name, 0))).await {
        Err(_) => Err(QueryError::Timeout { asked: [Source::System].into() }),
        Ok(Err(error)) => Err(classify(error)),
        Ok(Ok(found)) => {
            let addresses: Vec<_> = found.map(|addr| addr.ip()).collect();
            if addresses.is_empty() {
                no_data()
            } else {
                Ok(Response::new(Records::Addresses(addresses), NOT_KEPT, Source::System))
            }
        }
    }
}

/// What it says about NAPTR and SRV records: nothing.
pub(super) const fn no_data() -> Answer {
    Err(QueryError::NoData { by: Source::System, ttl: NOT_KEPT })
}

/// The standard library hands on getaddrinfo's verdict as text only. A text that is not listed counts as a
/// failed lookup, whose message then shows it.
fn classify(error: io::Error) -> QueryError {
    let text = error.to_string();
    if NOT_FOUND.iter().any(|known| text.contains(known)) {
        QueryError::NoName { by: Source::System, ttl: NOT_KEPT }
    } else {
        QueryError::System(Arc::new(error))
    }
}

/// The system does not tell for how long an answer holds, and keeps answers itself.
const NOT_KEPT: Duration = Duration::ZERO;
/// What glibc, musl, the BSDs and macOS call EAI_NONAME and EAI_NODATA.
const NOT_FOUND: [&str; 5] = [
    "Name or service not known",
    "No address associated with",
    "Name does not resolve",
    "Name has no usable address",
    "nor servname provided",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn localhost_is_known_everywhere() {
        let Ok(Response { records: Records::Addresses(found), .. }) =
            addresses("localhost", Duration::from_secs(10)).await
        else {
            panic!("localhost not found")
        };
        assert!(found.iter().all(|ip| ip.is_loopback()), "{found:?}");
    }

    #[tokio::test]
    async fn the_deadline_holds() {
        // A deadline that has passed before the blocking thread can answer.
        let answer = addresses("localhost", Duration::ZERO).await;
        assert!(matches!(answer, Err(QueryError::Timeout { .. }) | Ok(_)));
    }

    #[test]
    fn a_missing_name_is_told_from_a_missing_server() {
        let missing = io::Error::other("failed to lookup address information: Name or service not known");
        assert!(matches!(classify(missing), QueryError::NoName { .. }));
        let unreachable = io::Error::other("failed to lookup address information: Temporary failure");
        assert!(matches!(classify(unreachable), QueryError::System(_)));
    }
}
