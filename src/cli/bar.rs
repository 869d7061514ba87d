//! A progress bar of one line, for people: nothing of it goes into a file.

use crate::kernel::time;
use std::{
    io::{IsTerminal, Write},
    time::{Duration, Instant},
};

pub(super) struct Bar {
    what: &'static str,
    shown: Option<Instant>,
    terminal: bool,
}

const WIDTH: u64 = 30;
const PACE: Duration = Duration::from_millis(100);

impl Bar {
    pub fn new(what: &'static str) -> Self {
        Self { what, shown: None, terminal: std::io::stderr().is_terminal() }
    }

    /// `total` 0: not known.
    pub fn show(&mut self, done: u64, total: u64, words: impl FnOnce() -> String) {
        let now = time::instant();
        if !self.terminal || self.shown.is_some_and(|shown| now.duration_since(shown) < PACE) {
            return;
        }
        self.shown = Some(now);
        let line = drawn(self.what, done, total, &words());
        let _ = write!(std::io::stderr(), "\r\x1b[K{line}");
        let _ = std::io::stderr().flush();
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if self.shown.is_some() {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

fn drawn(what: &str, done: u64, total: u64, words: &str) -> String {
    if total == 0 {
        return format!("{what}: {words}");
    }
    let full = (WIDTH * done.min(total) / total) as usize;
    let (full, empty) = ("=".repeat(full), " ".repeat(WIDTH as usize - full));
    format!("{what} [{full}{empty}] {:3} % {words}", 100 * done.min(total) / total)
}

pub(super) fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_never_grows_over_its_end() {
        assert_eq!(drawn("x", 7, 0, "7 of them"), "x: 7 of them");
        assert_eq!(drawn("x", 50, 100, "a").len(), drawn("x", 900, 100, "a").len());
        assert!(drawn("x", 900, 100, "").contains("100 %"));
        assert_eq!(mib(3 << 19), "1.5 MiB");
    }
}
