//! Who owes a session description to whom (RFC 3261 §13.2.1, §14; RFC 3264 §4).
//!
//! ```text
//!                 local offer ┌──────────────┐ remote answer, withdrawn
//!            ┌───────────────►│ LocalPending ├──────────────┐
//!  ┌────────┐│                └──────────────┘              │
//!  │ Stable │◄──────────────────────────────────────────────┤
//!  └────────┘│                ┌───────────────┐             │
//!            └───────────────►│ RemotePending ├─────────────┘
//!                remote offer └───────────────┘ local answer, withdrawn
//! ```
//!
//! Glare, two offers at once, is no state: the second one is refused (491) and tried again later (§14.1).

/// The state of the one offer/answer exchange that may be under way.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Offer {
    #[default]
    Stable,
    /// We offered and wait for the answer.
    LocalPending,
    /// The peer offered and waits for ours.
    RemotePending,
}

/// What happens to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Signal {
    LocalOffer,
    RemoteOffer,
    LocalAnswer,
    RemoteAnswer,
    /// The request that carried the offer failed, or the answer never came.
    Withdrawn,
}

/// The signal does not fit: an offer during an exchange, or an answer to nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OutOfTurn;

impl Offer {
    /// The state after the signal.
    pub fn after(self, signal: Signal) -> Result<Self, OutOfTurn> {
        match (self, signal) {
            (Self::Stable, Signal::LocalOffer) => Ok(Self::LocalPending),
            (Self::Stable, Signal::RemoteOffer) => Ok(Self::RemotePending),
            (Self::LocalPending, Signal::RemoteAnswer) | (Self::RemotePending, Signal::LocalAnswer) => {
                Ok(Self::Stable)
            }
            (_, Signal::Withdrawn) => Ok(Self::Stable),
            _ => Err(OutOfTurn),
        }
    }

    /// Takes the signal if it fits, and leaves the state as it is if not.
    pub fn take(&mut self, signal: Signal) -> Result<(), OutOfTurn> {
        *self = self.after(signal)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Offer::*, Signal::*, *};

    #[test]
    fn every_state_and_signal() {
        let table = [
            (Stable, LocalOffer, Ok(LocalPending)),
            (Stable, RemoteOffer, Ok(RemotePending)),
            (Stable, LocalAnswer, Err(OutOfTurn)),
            (Stable, RemoteAnswer, Err(OutOfTurn)),
            (Stable, Withdrawn, Ok(Stable)),
            (LocalPending, LocalOffer, Err(OutOfTurn)),
            (LocalPending, RemoteOffer, Err(OutOfTurn)),
            (LocalPending, LocalAnswer, Err(OutOfTurn)),
            (LocalPending, RemoteAnswer, Ok(Stable)),
            (LocalPending, Withdrawn, Ok(Stable)),
            (RemotePending, LocalOffer, Err(OutOfTurn)),
            (RemotePending, RemoteOffer, Err(OutOfTurn)),
            (RemotePending, LocalAnswer, Ok(Stable)),
            (RemotePending, RemoteAnswer, Err(OutOfTurn)),
            (RemotePending, Withdrawn, Ok(Stable)),
        ];
        for (state, signal, expected) in table {
            assert_eq!(state.after(signal), expected, "{state:?} on {signal:?}");
        }
    }
}
