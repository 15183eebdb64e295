//! The layers of sipkit from messages to calls as a crate of their own, for measurements.

#[path = "../../src/lib/auth/mod.rs"]
pub mod auth;
#[path = "../../src/lib/dialog/mod.rs"]
pub mod dialog;
#[path = "../../src/lib/message/mod.rs"]
pub mod message;
#[path = "../../src/lib/resolve/mod.rs"]
pub mod resolve;
#[path = "../../src/lib/stack/mod.rs"]
pub mod stack;
#[path = "../../src/lib/time.rs"]
pub mod time;
#[path = "../../src/lib/transaction/mod.rs"]
pub mod transaction;
#[path = "../../src/lib/transport/mod.rs"]
pub mod transport;
#[path = "../../src/lib/ua/mod.rs"]
pub mod ua;
#[path = "../../src/lib/util/mod.rs"]
pub mod util;
