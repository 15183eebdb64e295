//! Via: where requests came from and responses go.
