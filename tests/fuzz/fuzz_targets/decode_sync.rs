//! Any bytes as the body of a sync: a request or a problem, never a panic.
#![no_main]

libfuzzer_sys::fuzz_target!(|body: &[u8]| {
    let _ = castellan::boxes::api::decode_sync(body);
});
