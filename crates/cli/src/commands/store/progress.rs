//! Progress on standard error, if that is a terminal.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar of so many bytes, or a counter of bytes if nobody knows how many there will be.
pub(super) fn bytes(what: &'static str, length: Option<u64>) -> ProgressBar {
    let bar = match length {
        Some(_) => "{msg} {bar:30} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left",
        None => "{msg} {bytes}, {bytes_per_sec}",
    };
    // The templates are constants and valid; a plain bar would do as well.
    let style = ProgressStyle::with_template(bar).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::with_draw_target(length, ProgressDrawTarget::stderr()).with_style(style).with_message(what)
}
