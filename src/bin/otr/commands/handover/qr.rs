//! A code as a square that a telephone's camera reads, on a terminal.

use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};
use zeroize::Zeroizing;

/// The square, line by line, for light text on a dark screen; `None` if the text is too long for one.
pub(super) fn square(text: &str) -> Option<Zeroizing<String>> {
    let code = QrCode::with_error_correction_level(text, EcLevel::L).ok()?;
    let mut drawn = code.render::<Dense1x2>();
    let drawn = drawn.quiet_zone(true).dark_color(Dense1x2::Light).light_color(Dense1x2::Dark);
    Some(Zeroizing::new(drawn.build()))
}
