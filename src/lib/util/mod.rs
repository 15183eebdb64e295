//! util.
