//! QR codes (ISO 18004) as SVG and as PNG.

use flate2::{Compression, Crc, write::ZlibEncoder};
use qrcode::{Color, EcLevel, QrCode};
use std::{fmt::Write as _, io::Write as _};

/// Light modules around it, as the standard wants.
const QUIET: usize = 4;
/// Of a module in a PNG.
const PIXELS: usize = 6;

/// The modules, row by row, with the quiet zone. `None`: the text is too long.
fn modules(text: &str) -> Option<Vec<Vec<bool>>> {
    let code = QrCode::with_error_correction_level(text, EcLevel::L).ok()?;
    let width = code.width();
    let mut rows = vec![vec![false; width + 2 * QUIET]; width + 2 * QUIET];
    for (at, color) in code.to_colors().into_iter().enumerate() {
        rows[QUIET + at / width][QUIET + at % width] = color == Color::Dark;
    }
    Some(rows)
}

pub fn svg(text: &str) -> Option<String> {
    let rows = modules(text)?;
    let size = rows.len();
    let mut path = String::new();
    for (y, row) in rows.iter().enumerate() {
        for (x, _) in row.iter().enumerate().filter(|(_, dark)| **dark) {
            // Writing to a String cannot fail.
            let _ = write!(path, "M{x} {y}h1v1h-1z");
        }
    }
    Some(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {size} {size}\" shape-rendering=\"crispEdges\">\
         <path fill=\"#fff\" d=\"M0 0h{size}v{size}h-{size}z\"/><path d=\"{path}\"/></svg>"
    ))
}

/// One bit a pixel.
pub fn png(text: &str) -> Option<Vec<u8>> {
    let rows = modules(text)?;
    let side = rows.len() * PIXELS;
    let mut lines = ZlibEncoder::new(Vec::new(), Compression::default());
    for row in &rows {
        // Filter type 0, then the pixels; 1 is white.
        let mut line = vec![0; 1 + side.div_ceil(8)];
        for pixel in (0..side).filter(|pixel| !row[pixel / PIXELS]) {
            line[1 + pixel / 8] |= 0x80 >> (pixel % 8);
        }
        for _ in 0..PIXELS {
            lines.write_all(&line).ok()?;
        }
    }
    let side = u32::try_from(side).ok()?.to_be_bytes();
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    chunk(&mut png, b"IHDR", &[&side[..], &side[..], &[1, 0, 0, 0, 0]].concat());
    chunk(&mut png, b"IDAT", &lines.finish().ok()?);
    chunk(&mut png, b"IEND", &[]);
    Some(png)
}

fn chunk(png: &mut Vec<u8>, kind: &[u8; 4], data: &[u8]) {
    let mut crc = Crc::new();
    crc.update(kind);
    crc.update(data);
    png.extend(u32::try_from(data.len()).unwrap_or_default().to_be_bytes());
    png.extend(kind);
    png.extend(data);
    png.extend(crc.sum().to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_show_the_same_modules() {
        let text = "CAS1:6BF+70790T9WJWG.FKY*4GO0.O1CV2 O5 N2FBBRW1*70HS8WY04AC*WIFN0AHCD8KD97TK0F90KECTHGWJC0FDC:5AIA";
        let rows = modules(text).unwrap();
        assert!(rows.len() >= 21 + 2 * QUIET && rows[0].iter().all(|dark| !dark));
        let dark = rows.iter().flatten().filter(|dark| **dark).count();
        assert_eq!(svg(text).unwrap().matches("h1v1h-1z").count(), dark);
        let png = png(text).unwrap();
        assert_eq!((&png[..8], &png[12..16]), (&b"\x89PNG\r\n\x1a\n"[..], &b"IHDR"[..]));
        let side = u32::from_be_bytes(png[16..20].try_into().unwrap()) as usize;
        assert_eq!(side, rows.len() * PIXELS);
        let length = u32::from_be_bytes(png[33..37].try_into().unwrap()) as usize;
        let mut plain = Vec::new();
        std::io::Read::read_to_end(&mut flate2::read::ZlibDecoder::new(&png[41..41 + length]), &mut plain).unwrap();
        let line = 1 + side.div_ceil(8);
        assert_eq!(plain.len(), line * side);
        let white = |x: usize, y: usize| plain[y * line + 1 + x / 8] & 0x80 >> (x % 8) != 0;
        for (y, row) in rows.iter().enumerate() {
            for (x, dark) in row.iter().enumerate() {
                assert_eq!(white(x * PIXELS + 1, y * PIXELS + 5), !dark);
            }
        }
        assert!(modules(&"A".repeat(5_000)).is_none());
    }
}
