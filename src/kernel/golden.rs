//! Events are a contract: what was once written is read for ever. Golden bytes are lines, `name hexadecimal-digits`; a new
//! event gets a new line, and no line changes. For tests.

use super::Codec;
use std::fmt::Debug;

pub fn hex(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn unhex(digits: &str) -> Vec<u8> {
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}

/// One of each event, with its name in the golden bytes, is written as ever and read as it was.
#[track_caller]
pub fn assert_is_kept<E: Codec + Debug + PartialEq>(golden: &str, samples: &[(&str, E)]) {
    let now: String = samples.iter().map(|(name, event)| format!("{name} {}\n", hex(event.to_bytes()))).collect();
    assert_eq!(now, golden);
    for (line, (name, event)) in golden.lines().zip(samples) {
        let read = line.split_once(' ').map(|(known, digits)| (known, E::decode_from(&unhex(digits))));
        assert_eq!(read.as_ref().map(|(known, read)| (*known, read.as_ref().ok())), Some((*name, Some(event))));
    }
}
