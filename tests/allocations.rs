//! Reading a message costs no memory but its own: counted, for every benchmark message.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use bytes::Bytes;

use crate::reading;

/// The system's allocator, counting what each thread asks it for.
struct Counting;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
    /// Octets asked for and not given back.
    static HELD: Cell<isize> = const { Cell::new(0) };
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count() {
    // A thread at its end has no counter any more.
    let _ = COUNT.try_with(|count| count.set(count.get() + 1));
}

fn hold(octets: usize, back: usize) {
    let _ = HELD.try_with(|held| held.set(held.get() + octets as isize - back as isize));
}

/// Octets this thread holds, as far as it asked for them itself.
pub fn held() -> isize {
    HELD.get()
}

// SAFETY: every call is handed to the system's allocator as it is; counting does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        hold(layout.size(), 0);
        // SAFETY: the caller keeps the rules of `GlobalAlloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        hold(layout.size(), 0);
        // SAFETY: the caller keeps the rules of `GlobalAlloc`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        hold(size, layout.size());
        // SAFETY: the caller keeps the rules of `GlobalAlloc`.
        unsafe { System.realloc(block, layout, size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        hold(0, layout.size());
        // SAFETY: the caller keeps the rules of `GlobalAlloc`.
        unsafe { System.dealloc(block, layout) }
    }
}

/// How many allocations it takes.
fn allocations<R>(what: impl FnOnce() -> R) -> (usize, R) {
    let before = COUNT.get();
    let result = what();
    (COUNT.get() - before, result)
}

fn message(rows: usize) -> Bytes {
    let mut text = String::from("OPTIONS sip:bob@example.com SIP/2.0\r\n");
    let known = [
        "Via: SIP/2.0/UDP host.example.com:5060;branch=z9hG4bK1;received=192.0.2.1;rport=5060;a;b=c;d",
        "From: \"A \\\"Name\\\"\" <sip:alice:secret@example.com;transport=udp?x=y>;tag=1",
        "To: Bob <tel:+358-9-123;phone-context=x>",
        "Call-ID: a@b",
        "CSeq: 1 OPTIONS",
        "Max-Forwards: 70",
        "Contact: <sip:alice@[2001:db8::1]:5061;lr>;q=0.5,\r\n <sip:alice@192.0.2.7>;expires=60",
        "Allow: INVITE, ACK, X-OTHER",
    ];
    for row in 0..rows {
        text.push_str(
            known.get(row).copied().unwrap_or("Route: <sip:proxy.example.com;lr>, <sip:192.0.2.1>"),
        );
        text.push_str("\r\n");
    }
    text.push_str("\r\n");
    text.into()
}

#[test]
fn the_counter_counts() {
    assert_eq!(allocations(|| Box::new(1)).0, 1);
    assert_eq!(allocations(|| std::hint::black_box(1) + 1).0, 0);
}

#[test]
fn up_to_32_rows_none_beyond_one() {
    for (rows, expected) in [(8, 0), (31, 0), (32, 0), (33, 1), (100, 1)] {
        let bytes = message(rows);
        let (count, sum) = allocations(|| reading::full(bytes.clone()));
        assert!(sum.is_some(), "{rows} rows are read");
        assert_eq!(count, expected, "{rows} rows, every component");
        assert_eq!(allocations(|| reading::scan(bytes.clone())).0, expected, "{rows} rows, for routing");
        assert_eq!(allocations(|| reading::check(bytes.clone())).0, expected, "{rows} rows, every field");
    }
}

#[test]
fn the_benchmark_messages_need_none() {
    for (name, bytes) in reading::messages() {
        let bytes = Bytes::from(bytes);
        // The first clone of what was a vector allocates the count of its owners.
        let _second = bytes.clone();
        let (count, sum) = allocations(|| reading::full(bytes.clone()));
        assert_eq!((count, sum.is_some()), (0, true), "{name}");
    }
}
