//! Keeps libasound from writing to the terminal.
//!
//! It reports each failed open of each plug-in it tries on the standard error output, in its own words; what matters
//! of it comes back as an error value anyway.
#![allow(unsafe_code)]

use std::ffi::{c_char, c_int};
use std::sync::Once;

/// libasound's handler is variadic; ours ignores everything, and so names only the fixed arguments.
type Handler = extern "C" fn(*const c_char, c_int, *const c_char, c_int, *const c_char);

unsafe extern "C" {
    fn snd_lib_error_set_handler(handler: Option<Handler>) -> c_int;
}

/// Silences libasound in this process, for good.
pub fn silence() {
    static ONCE: Once = Once::new();
    // SAFETY: libasound is linked in with the audio feature; the function stores the pointer and nothing else. It will
    // call it with further, variadic arguments, which on the Linux calling conventions (the caller passes and cleans
    // them up) a function that does not look at them may ignore. The handler is a static function, so it never dangles.
    ONCE.call_once(|| unsafe {
        snd_lib_error_set_handler(Some(ignore));
    });
}

extern "C" fn ignore(
    _file: *const c_char,
    _line: c_int,
    _function: *const c_char,
    _errno: c_int,
    _text: *const c_char,
) {
}
