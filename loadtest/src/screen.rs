//! Progress, on stderr, so that stdout stays for the report.

use indicatif::{ProgressBar, ProgressStyle};

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
