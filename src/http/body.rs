//! Request bodies: read up to a bound, unpacked up to another, and explained by JSON pointer when they are wrong.

use super::{codes::Code, problem::Problem};
use actix_web::web::{Bytes, BytesMut, Payload};
use futures_util::StreamExt;
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor, value::MapAccessDeserializer},
};
use std::{fmt, io::Read, marker::PhantomData, time::Duration};

/// How much a body may weigh and how long it may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub packed_bytes: usize,
    pub unpacked_bytes: usize,
    pub within: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    Identity,
    Gzip,
    Zstd,
}

impl Encoding {
    pub fn of(header: Option<&[u8]>) -> Result<Self, Problem> {
        match header {
            None => Ok(Self::Identity),
            Some(name) if name.eq_ignore_ascii_case(b"identity") => Ok(Self::Identity),
            Some(name) if name.eq_ignore_ascii_case(b"gzip") => Ok(Self::Gzip),
            Some(name) if name.eq_ignore_ascii_case(b"zstd") => Ok(Self::Zstd),
            Some(_) => Err(Code::UnsupportedEncoding.into()),
        }
    }
}

/// JSON, or nothing said.
pub fn check_content_type(header: Option<&[u8]>) -> Result<(), Problem> {
    if header.is_none() || essence(header).eq_ignore_ascii_case(b"application/json") {
        return Ok(());
    }
    Err(Code::UnsupportedType.into())
}

fn essence(header: Option<&[u8]>) -> &[u8] {
    header.unwrap_or_default().split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii()
}

pub fn is_csv(header: Option<&[u8]>) -> bool {
    essence(header).eq_ignore_ascii_case(b"text/csv")
}

/// Rows: NDJSON or CSV.
pub fn check_rows_type(header: Option<&[u8]>) -> Result<(), Problem> {
    let ndjson = [&b"application/x-ndjson"[..], b"application/jsonl"];
    if is_csv(header) || ndjson.iter().any(|known| essence(header).eq_ignore_ascii_case(known)) {
        return Ok(());
    }
    Err(Problem::detailed(Code::UnsupportedType, "many at once come as application/x-ndjson or text/csv"))
}

/// Reads a whole body.
pub async fn read(
    mut payload: Payload,
    announced_bytes: Option<usize>,
    encoding: Encoding,
    limits: Limits,
) -> Result<Bytes, Problem> {
    if announced_bytes.is_some_and(|bytes| bytes > limits.packed_bytes) {
        return Err(Code::TooLarge.into());
    }
    let packed = tokio::time::timeout(limits.within, collect(&mut payload, limits.packed_bytes))
        .await
        .map_err(|_| Code::Timeout)??;
    match encoding {
        Encoding::Identity => Ok(packed),
        Encoding::Gzip | Encoding::Zstd if packed.len() <= SMALL_BYTES => unpack(&packed, encoding, limits),
        Encoding::Gzip | Encoding::Zstd => {
            let unpacked = actix_web::rt::task::spawn_blocking(move || unpack(&packed, encoding, limits)).await;
            unpacked.map_err(|_| Code::Internal)?
        }
    }
}

/// Bodies up to this size are unpacked on the worker's own thread.
const SMALL_BYTES: usize = 2048;

async fn collect(payload: &mut Payload, limit: usize) -> Result<Bytes, Problem> {
    let Some(first) = next(payload).await? else { return Ok(Bytes::new()) };
    let Some(second) = next(payload).await? else { return within(first, limit) };
    let mut all = BytesMut::with_capacity(first.len() + second.len());
    all.extend_from_slice(&first);
    all.extend_from_slice(&second);
    while let Some(chunk) = next(payload).await? {
        if all.len() + chunk.len() > limit {
            return Err(Code::TooLarge.into());
        }
        all.extend_from_slice(&chunk);
    }
    within(all.freeze(), limit)
}

async fn next(payload: &mut Payload) -> Result<Option<Bytes>, Problem> {
    match payload.next().await {
        None => Ok(None),
        Some(Ok(chunk)) => Ok(Some(chunk)),
        Some(Err(error)) => Err(Problem::detailed(Code::Malformed, error.to_string())),
    }
}

fn within(bytes: Bytes, limit: usize) -> Result<Bytes, Problem> {
    if bytes.len() > limit { Err(Code::TooLarge.into()) } else { Ok(bytes) }
}

/// Undoes the encoding; a bomb costs no more than the bound.
pub fn unpack(packed: &[u8], encoding: Encoding, limits: Limits) -> Result<Bytes, Problem> {
    let mut unpacked = Vec::with_capacity((packed.len() * 4).min(limits.unpacked_bytes));
    let bound = limits.unpacked_bytes as u64 + 1;
    let read = match encoding {
        Encoding::Identity => std::io::Cursor::new(packed).take(bound).read_to_end(&mut unpacked),
        Encoding::Gzip => flate2::read::MultiGzDecoder::new(packed).take(bound).read_to_end(&mut unpacked),
        Encoding::Zstd => zstd_decoder(packed).and_then(|decoder| decoder.take(bound).read_to_end(&mut unpacked)),
    };
    read.map_err(|error| Problem::detailed(Code::UnsupportedEncoding, format!("cannot be unpacked: {error}")))?;
    within(unpacked.into(), limits.unpacked_bytes)
}

/// The window is bounded too: it is what a decoder allocates before the first byte comes out.
fn zstd_decoder(packed: &[u8]) -> std::io::Result<zstd::Decoder<'_, &[u8]>> {
    const WINDOW_LOG_MAX: u32 = 23;
    let mut decoder = zstd::Decoder::with_buffer(packed)?;
    decoder.window_log_max(WINDOW_LOG_MAX)?;
    Ok(decoder)
}

/// A struct that stands as a JSON object. Serde alone would read one from an array too, member by member.
pub struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Reader<T> {
            type Value = Object<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }
        deserializer.deserialize_map(Reader(PhantomData))
    }
}

/// For a field that is such a struct.
pub fn object<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Object::deserialize(deserializer).map(|Object(value)| value)
}

/// For a field that is a list of them.
pub fn objects<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    let list = Vec::<Object<T>>::deserialize(deserializer)?;
    Ok(list.into_iter().map(|Object(value)| value).collect())
}

/// Reads a JSON object; only what is wrong is read a second time, to say where.
pub fn from_json<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Problem> {
    match serde_json::from_slice(bytes) {
        Ok(Object(value)) => Ok(value),
        Err(error) => Err(explain::<Object<T>>(bytes, &error)),
    }
}

#[cold]
fn explain<'a, T: Deserialize<'a>>(bytes: &'a [u8], plain: &serde_json::Error) -> Problem {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    match serde_path_to_error::deserialize::<_, T>(&mut json) {
        Ok(_) => Problem::malformed(String::new(), plain.to_string()),
        Err(error) => {
            let pointer = pointer(error.path());
            Problem::malformed(pointer, without_value(&error.into_inner().to_string()))
        }
    }
}

/// What serde says of a value, without the value: it may be a secret in the wrong place.
fn without_value(said: &str) -> String {
    for start in ["invalid type: ", "invalid value: ", "unknown variant "] {
        let Some(found) = said.strip_prefix(start) else { continue };
        let kind = found.split(['`', '"', '\'']).next().unwrap_or_default();
        let expected = found.rfind(", expected ").map_or("", |at| &found[at..]);
        return format!("{start}{kind}").trim_end().to_owned() + expected;
    }
    said.to_owned()
}

fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let mut pointer = String::new();
    // What is unknown is not yet a field: the pointer ends before it.
    for segment in path.iter().take_while(|segment| !matches!(segment, Segment::Unknown)) {
        pointer.push('/');
        match segment {
            Segment::Seq { index } => pointer.push_str(&index.to_string()),
            Segment::Map { key } => pointer.push_str(&key.replace('~', "~0").replace('/', "~1")),
            Segment::Enum { variant } => pointer.push_str(variant),
            Segment::Unknown => {}
        }
    }
    pointer
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    const LIMITS: Limits = Limits { packed_bytes: 1000, unpacked_bytes: 4000, within: Duration::from_secs(1) };

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn bombs_stop_at_the_bound() {
        for (packed, encoding) in [
            (gzip(&vec![0; 10_000_000]), Encoding::Gzip),
            (zstd::encode_all(&vec![0; 10_000_000][..], 3).unwrap(), Encoding::Zstd),
        ] {
            assert_eq!(unpack(&packed, encoding, LIMITS).unwrap_err().code(), Code::TooLarge);
        }
    }

    #[test]
    fn both_encodings_round_trip_and_rubbish_is_refused() {
        let text = b"{\"a\": 1}".repeat(100);
        assert_eq!(unpack(&gzip(&text), Encoding::Gzip, LIMITS).unwrap(), text);
        let packed = zstd::encode_all(&text[..], 3).unwrap();
        assert_eq!(unpack(&packed, Encoding::Zstd, LIMITS).unwrap(), text);
        for encoding in [Encoding::Gzip, Encoding::Zstd] {
            assert_eq!(unpack(b"rubbish", encoding, LIMITS).unwrap_err().code(), Code::UnsupportedEncoding);
            assert_eq!(unpack(&packed[..20], Encoding::Zstd, LIMITS).unwrap_err().code(), Code::UnsupportedEncoding);
        }
    }

    #[test]
    fn errors_do_not_repeat_what_they_complain_of() {
        #[derive(Debug, Deserialize)]
        #[serde(rename_all = "snake_case")]
        enum Word {
            One,
        }
        #[derive(Debug, Deserialize)]
        #[expect(dead_code, reason = "only read")]
        struct Body {
            code: Option<String>,
            word: Option<Word>,
            small: Option<u8>,
        }
        let said = |text: &str| {
            let problem = from_json::<Body>(text.as_bytes()).unwrap_err();
            let json: serde_json::Value = serde_json::from_slice(&problem.to_json("")).unwrap();
            json["errors"][0]["detail"].as_str().unwrap().to_owned()
        };
        assert!(said(r#"{"code": 271828}"#).starts_with("invalid type: integer, expected a string"));
        for body in [
            r#"{"code": 271828}"#,
            r#"{"code": [271828]}"#,
            r#"{"word": "271828"}"#,
            r#"{"small": "a, expected 271828"}"#,
            r#"{"small": 271828}"#,
            r#"{"small": 2.71828271828}"#,
        ] {
            assert!(!said(body).contains("271828"), "{}", said(body));
        }
    }

    #[test]
    fn errors_point_at_the_field() {
        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        #[expect(dead_code, reason = "only read")]
        struct Row {
            seq: u64,
        }
        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        #[expect(dead_code, reason = "only read")]
        struct Body {
            rows: Vec<Row>,
        }
        let pointer = |text: &str| {
            let problem = from_json::<Body>(text.as_bytes()).unwrap_err();
            let json: serde_json::Value = serde_json::from_slice(&problem.to_json("")).unwrap();
            assert_eq!(json["code"], "request.malformed");
            json["errors"][0]["pointer"].as_str().unwrap().to_owned()
        };
        assert_eq!(pointer(r#"{"rows": [{"seq": 1}, {"seq": "x"}]}"#), "/rows/1/seq");
        assert_eq!(pointer(r#"{"rows": [{"seq": 1, "sqe": 2}]}"#), "/rows/0/sqe");
        assert_eq!(pointer(r#"{"rows": [{"seq": 99999999999999999999999}]}"#), "/rows/0/seq");
        assert_eq!(pointer("{"), "");
        assert_eq!(pointer("[[]]"), "", "a struct is an object");
        assert_eq!(pointer(r#"{"rows": []} x"#), "");
    }
}
