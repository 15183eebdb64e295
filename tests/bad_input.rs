//! Whatever comes in: each kind of bad input ends in the right status or exit status with a message that says
//! what to do, nothing panics, and a call that is up survives everything a stranger sends.

mod calls;
mod messages;
mod peers;
mod strangers;
mod user;
