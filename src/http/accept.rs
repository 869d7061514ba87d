//! What a caller takes (RFC 9110, 12.5.1): the media type with the highest quality among those that a route has.

use super::{codes::Code, problem::Problem, table::Format};

/// One media range of an `Accept` header.
struct Range<'a> {
    kind: &'a str,
    subtype: &'a str,
    /// In thousandths.
    quality: u16,
}

impl<'a> Range<'a> {
    /// What cannot be read is passed over.
    fn read(text: &'a str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let (kind, subtype) = parts.next()?.split_once('/')?;
        let mut quality = 1000;
        for parameter in parts {
            let Some((name, value)) = parameter.split_once('=') else { continue };
            if name.trim().eq_ignore_ascii_case("q") {
                quality = thousandths(value.trim())?;
            }
        }
        Some(Self { kind, subtype, quality })
    }

    /// How exactly it names a type; `None` if it does not.
    fn names(&self, media_type: &str) -> Option<u8> {
        let (kind, subtype) = media_type.split_once('/')?;
        match (self.kind, self.subtype) {
            ("*", "*") => Some(0),
            (own, "*") if own.eq_ignore_ascii_case(kind) => Some(1),
            (own, under) if own.eq_ignore_ascii_case(kind) && under.eq_ignore_ascii_case(subtype) => Some(2),
            _ => None,
        }
    }
}

/// `0`, `1`, and up to three decimals between.
fn thousandths(text: &str) -> Option<u16> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let digits = decimals.len() <= 3 && decimals.bytes().all(|byte| byte.is_ascii_digit());
    let decimals: u16 = format!("{decimals:0<3}").parse().ok().filter(|_| digits)?;
    match whole {
        "0" => Some(decimals),
        "1" if decimals == 0 => Some(1000),
        _ => None,
    }
}

/// The best of what is offered; of equals the one that the caller names first, then the one offered first.
pub(super) fn choose(accept: Option<&[u8]>, offered: &[Format]) -> Result<Format, Problem> {
    let text = accept.and_then(|accept| std::str::from_utf8(accept).ok()).unwrap_or_default();
    let first = offered.first().copied().unwrap_or(Format::Json);
    if text.trim().is_empty() {
        return Ok(first);
    }
    let ranges: Vec<_> = text.split(',').filter_map(|one| Range::read(one.trim())).collect();
    let mut best: Option<(u16, usize, Format)> = None;
    for format in offered {
        // The most exact range decides about a type.
        let exact =
            ranges.iter().enumerate().filter_map(|(at, range)| Some((range.names(format.media_type())?, at, range)));
        let Some((_, at, range)) = exact.max_by_key(|(exact, at, _)| (*exact, usize::MAX - at)) else { continue };
        let better =
            best.is_none_or(|(quality, place, _)| range.quality > quality || (range.quality == quality && at < place));
        if range.quality > 0 && better {
            best = Some((range.quality, at, *format));
        }
    }
    best.map(|(.., format)| format).ok_or_else(|| {
        let names: Vec<_> = offered.iter().map(|format| format.media_type()).collect();
        Problem::detailed(Code::NotAcceptable, format!("there is {}", names.join(", ")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_that_is_there_is_chosen() {
        const LIST: [Format; 3] = [Format::Json, Format::Csv, Format::Ndjson];
        let of = |accept: &str| choose(Some(accept.as_bytes()), &LIST).map_err(|problem| problem.code());
        assert_eq!(choose(None, &LIST).ok(), Some(Format::Json));
        for (accept, format) in [
            ("", Format::Json),
            ("*/*", Format::Json),
            ("text/csv", Format::Csv),
            ("TEXT/CSV; charset=utf-8", Format::Csv),
            ("text/*", Format::Csv),
            ("application/*", Format::Json),
            ("application/x-ndjson, */*;q=0.1", Format::Ndjson),
            ("text/csv;q=0.9, application/json", Format::Json),
            ("text/csv;q=0.9, application/json;q=0.8", Format::Csv),
            ("text/csv, application/json", Format::Csv),
            ("application/json;q=0, */*", Format::Csv),
            ("text/html, application/xhtml+xml, */*;q=0.8", Format::Json),
            ("text/csv;q=x, application/x-ndjson", Format::Ndjson),
        ] {
            assert_eq!(of(accept), Ok(format), "{accept}");
        }
        for none in ["text/html", "text/csv;q=0", "image/*", "nonsense", "*/*;q=0", "application/json;q=1.5"] {
            assert_eq!(of(none), Err(Code::NotAcceptable), "{none}");
        }
    }
}
