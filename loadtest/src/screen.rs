//! Progress, on stderr, so that stdout stays for the report.

use indicatif::{ProgressBar, ProgressStyle};
use std::time::Duration;

pub fn bar(what: &'static str, length: u64) -> ProgressBar {
    let bar = ProgressBar::new(length).with_message(what);
    let style = ProgressStyle::with_template("{msg:>12} {wide_bar} {pos}/{len} {per_sec} {elapsed}");
    if let Ok(style) = style {
        bar.set_style(style);
    }
    // Drawn at most four times a second: the bar must not cost what is measured.
    bar.set_draw_target(indicatif::ProgressDrawTarget::stderr_with_hz(4));
    bar
}

/// Something that takes a while and whose end is not known.
pub fn spinner(what: impl Into<std::borrow::Cow<'static, str>>) -> ProgressBar {
    let spinner = ProgressBar::new_spinner().with_message(what);
    spinner.enable_steady_tick(Duration::from_millis(250));
    spinner
}
