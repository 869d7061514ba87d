//! Many at once: rows of NDJSON or CSV come in, a line about each goes out, in order. Every row is a request of its own,
//! served by the route's handler for one: a row that is wrong does not touch the others.
//!
//! Rows go in the lowest class, each with its own room at the door, a bounded number at once. A row's idempotency key is
//! made of the request's and the row's number: repeat the whole request after a cut connection, and nothing is made twice.

use super::{
    admission::Class,
    ask::{Ask, Reply},
    body,
    codes::Code,
    dry_run::{BulkQuery, DryRun},
    idempotency::Idempotency,
    problem::Problem,
    table::{Format, Rows, uncell},
};
use actix_web::web::Bytes;
use futures_util::{StreamExt, stream};
use serde_json::{Map, Value};
use std::{sync::Arc, sync::atomic::Ordering, time::Duration};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// What bulk requests may ask for. `config/castellan.toml` says what each is for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub body: body::Limits,
    pub rows_max: usize,
    pub rows_at_once: usize,
}

/// How a cell of CSV stands in JSON. An empty cell is no field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cell {
    Text,
    /// `true` or `false`.
    Flag,
    /// A whole number.
    Number,
    /// Texts with `|` between them.
    List,
    /// Words with `|` or blanks between them, as our own exports have them.
    Words,
    /// The text of a field of another name.
    Of(&'static str),
    /// The server's own: passed over, so that what was exported can be imported.
    Own,
}

/// One kind of bulk request.
pub struct Bulk {
    /// The columns that CSV may have: names and kinds of the fields for one.
    pub takes: &'static [(&'static str, Cell)],
    /// The fields of an answer, for CSV.
    pub gives: &'static [&'static str],
}

/// Lines that wait for a slow reader, and how long it may take for them.
const PIECES: usize = 4;
const READER_PATIENCE: Duration = Duration::from_secs(30);
/// How often a row that finds the server busy comes again, with growing pauses: some half a minute.
const ATTEMPTS: u32 = 12;

/// What Windows writes before a text.
const BOM: &[u8] = "\u{feff}".as_bytes();

type Row = Result<Bytes, Problem>;

impl Ask {
    /// Serves every row with `one`, and tells about each as it is done.
    pub async fn bulk<F: Future<Output = Result<Reply, Problem>> + 'static>(
        self,
        bulk: &'static Bulk,
        one: fn(Self) -> F,
    ) -> Result<Reply, Problem> {
        let format = self.format(&[Format::Ndjson, Format::Csv])?;
        let alone = Arc::clone(&self.worker.bulk_calls).try_acquire_owned();
        let alone = alone.map_err(|_| Problem::from(Code::Busy).retry_after_s(5))?;
        let is_csv = body::is_csv(self.content_type());
        let (bytes, rows_max) = (self.body.clone(), self.worker.bulk_limits.rows_max);
        let read = move || if is_csv { csv_rows(&bytes, bulk.takes, rows_max) } else { json_rows(&bytes, rows_max) };
        let rows = actix_web::rt::task::spawn_blocking(read).await.map_err(|_| Code::Internal)??;
        let (pieces, taken) = mpsc::channel(PIECES);
        tokio::task::spawn_local(run(self, rows, one, Out { bulk, format, pieces, _alone: alone }));
        Ok(Reply::stream(format.content_type(), taken))
    }

    /// The same, or with `?dry_run=true` only what each row would come to. For routes whose rows are one command each.
    pub async fn bulk_or_try<F: Future<Output = Result<Reply, Problem>> + 'static>(
        mut self,
        bulk: &'static Bulk,
        one: fn(Self) -> F,
    ) -> Result<Reply, Problem> {
        let BulkQuery { dry_run } = self.query()?;
        self.dry_run = dry_run.then(DryRun::default);
        self.bulk(bulk, one).await
    }

    /// One row as a request of its own.
    fn of_row(&self, number: usize, base: &[u8; 32], body: Bytes) -> Self {
        Self {
            engine: self.engine.clone(),
            caller: self.caller,
            from: self.from,
            idempotency: Some(Idempotency::of_row(base, number, &body)),
            conditions: Default::default(),
            changed: None,
            worker: self.worker.clone(),
            class: Class::Background,
            request: self.request.clone(),
            body,
            names: Vec::new(),
            dry_run: self.dry_run.clone(),
        }
    }
}

struct Out {
    bulk: &'static Bulk,
    format: Format,
    pieces: mpsc::Sender<Vec<u8>>,
    /// The place among the bulk requests.
    _alone: OwnedSemaphorePermit,
}

async fn run<F: Future<Output = Result<Reply, Problem>>>(ask: Ask, rows: Vec<Row>, one: fn(Ask) -> F, out: Out) {
    // What was begun is finished before the server stops.
    let _working = ask.worker.begin();
    let base = ask.idempotency.map_or_else(|| ask.engine.chance().bytes(), |idempotency| idempotency.key);
    let columns: Vec<_> =
        ["row", "status"].iter().chain(out.bulk.gives).chain(&["code", "detail", "errors"]).copied().collect();
    let mut table = Rows::default();
    if out.format == Format::Csv {
        table.row(columns.iter().copied());
    }
    let at_once = ask.worker.bulk_limits.rows_at_once;
    let numbered = stream::iter((1..).zip(rows)).take_while(|_| {
        let goes_on = !ask.worker.stopping.load(Ordering::Relaxed) && !out.pieces.is_closed();
        async move { goes_on }
    });
    let served = numbered.map(|(number, row)| serve(&ask, number, &base, row, one)).buffered(at_once);
    let mut served = std::pin::pin!(served.ready_chunks(at_once));
    while let Some(lines) = served.next().await {
        let mut piece = Vec::new();
        for line in lines {
            match out.format {
                Format::Csv => table.object(&columns, &serde_json::from_slice(&line).unwrap_or_default()),
                _ => {
                    piece.extend(line);
                    piece.push(b'\n');
                }
            }
        }
        piece.extend(table.take());
        if out.pieces.send_timeout(piece, READER_PATIENCE).await.is_err() {
            return;
        }
    }
    // Without a row there is still a head line.
    let rest = table.take();
    if !rest.is_empty() {
        let _ = out.pieces.send_timeout(rest, READER_PATIENCE).await;
    }
}

/// What became of one row, as one line of JSON.
async fn serve<F: Future<Output = Result<Reply, Problem>>>(
    ask: &Ask,
    number: usize,
    base: &[u8; 32],
    row: Row,
    one: fn(Ask) -> F,
) -> Vec<u8> {
    let result = match row {
        Err(problem) => Err(problem),
        Ok(body) => patiently(ask, number, base, body, one).await,
    };
    let (mut line, json) = match result {
        // Nothing was made that could be named.
        Ok(_) if ask.dry_run.is_some() => (format!("{{\"row\":{number},\"status\":200").into_bytes(), Vec::new()),
        Ok(reply) => (format!("{{\"row\":{number},\"status\":{}", reply.status).into_bytes(), reply.json),
        Err(problem) => (format!("{{\"row\":{number}").into_bytes(), problem.to_json("")),
    };
    match json.get(1..) {
        Some(members) if members.len() > 1 => {
            line.push(b',');
            line.extend_from_slice(members);
        }
        _ => line.push(b'}'),
    }
    line
}

/// A row waits for room as long as others need it more.
async fn patiently<F: Future<Output = Result<Reply, Problem>>>(
    ask: &Ask,
    number: usize,
    base: &[u8; 32],
    body: Bytes,
    one: fn(Ask) -> F,
) -> Result<Reply, Problem> {
    let mut attempt = 1;
    loop {
        match one(ask.of_row(number, base, body.clone())).await {
            Err(problem)
                if matches!(problem.code(), Code::Busy | Code::InProgress)
                    && attempt < ATTEMPTS
                    && !ask.worker.stopping.load(Ordering::Relaxed) =>
            {
                let pause_ms = (50u64 << attempt.min(6)) / 2 + ask.engine.chance().below(50 << attempt.min(6));
                tokio::time::sleep(Duration::from_millis(pause_ms)).await;
                attempt += 1;
            }
            result => return result,
        }
    }
}

/// How many bulk requests may be served at once, over all workers.
pub(super) fn places(calls_at_once: usize) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(calls_at_once))
}

fn too_many(rows_max: usize) -> Problem {
    Problem::detailed(Code::TooLarge, format!("more than {rows_max} rows"))
}

/// Lines that are not blank.
fn json_rows(bytes: &Bytes, rows_max: usize) -> Result<Vec<Row>, Problem> {
    let mut rows = Vec::new();
    let lines = bytes.strip_prefix(BOM).unwrap_or(&bytes[..]);
    for line in lines.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty()) {
        if rows.len() == rows_max {
            return Err(too_many(rows_max));
        }
        rows.push(Ok(bytes.slice_ref(line)));
    }
    Ok(rows)
}

/// Rows of CSV as JSON. A head line that is wrong is the request's own mistake.
fn csv_rows(bytes: &[u8], takes: &[(&str, Cell)], rows_max: usize) -> Result<Vec<Row>, Problem> {
    let bytes = bytes.strip_prefix(BOM).unwrap_or(bytes);
    let head = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    // Spreadsheets of half of Europe put semicolons between cells.
    let delimiter = if head.contains(&b';') && !head.contains(&b',') { b';' } else { b',' };
    let mut reader = csv::ReaderBuilder::new().flexible(true).delimiter(delimiter).from_reader(bytes);
    let malformed = |error: csv::Error| Problem::detailed(Code::Malformed, error.to_string());
    let mut columns: Vec<(&str, Cell)> = Vec::new();
    for name in reader.headers().map_err(malformed)? {
        let known = takes.iter().find(|(known, _)| known.eq_ignore_ascii_case(name.trim()));
        match known {
            Some(known) if !columns.contains(known) => columns.push(*known),
            Some((name, _)) => return Err(Problem::detailed(Code::Malformed, format!("two columns `{name}`"))),
            None => {
                let names: Vec<_> = takes.iter().map(|(name, _)| *name).collect();
                let detail = format!("no column `{}`; there are {}", name.escape_debug(), names.join(", "));
                return Err(Problem::detailed(Code::Malformed, detail));
            }
        }
    }
    let mut rows = Vec::new();
    for record in reader.into_byte_records() {
        if rows.len() == rows_max {
            return Err(too_many(rows_max));
        }
        rows.push(record.map_err(malformed).and_then(|record| csv_row(&record, &columns)));
    }
    Ok(rows)
}

fn csv_row(record: &csv::ByteRecord, columns: &[(&str, Cell)]) -> Row {
    if record.len() != columns.len() {
        let detail = format!("{} cells, the head line has {}", record.len(), columns.len());
        return Err(Problem::detailed(Code::Malformed, detail));
    }
    let mut object = Map::new();
    for (bytes, (name, cell)) in record.iter().zip(columns) {
        let at = || format!("/{name}");
        let text = std::str::from_utf8(bytes).map_err(|_| Problem::malformed(at(), "is not UTF-8".to_owned()))?;
        if text.is_empty() {
            continue;
        }
        let value = match cell {
            Cell::Text => Value::from(uncell(text)),
            Cell::Flag if text.eq_ignore_ascii_case("true") => Value::Bool(true),
            Cell::Flag if text.eq_ignore_ascii_case("false") => Value::Bool(false),
            Cell::Flag => return Err(Problem::malformed(at(), "expected `true` or `false`".to_owned())),
            Cell::Number => match text.parse::<u64>() {
                Ok(number) => Value::from(number),
                Err(_) => return Err(Problem::malformed(at(), "expected a whole number".to_owned())),
            },
            Cell::List => uncell(text).split('|').collect(),
            Cell::Words => uncell(text).split(['|', ' ']).filter(|word| !word.is_empty()).collect(),
            Cell::Own => continue,
            Cell::Of(_) => Value::from(uncell(text)),
        };
        let field = if let Cell::Of(field) = cell { field } else { name };
        object.insert((*field).to_owned(), value);
    }
    Ok(Value::Object(object).to_string().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAKES: &[(&str, Cell)] =
        &[("name", Cell::Text), ("fob", Cell::Text), ("roaming", Cell::Flag), ("bins", Cell::List)];

    fn rows(csv: &str) -> Vec<Result<String, String>> {
        let rows = csv_rows(csv.as_bytes(), TAKES, 100).unwrap();
        let text = |row: Row| match row {
            Ok(bytes) => Ok(String::from_utf8(bytes.to_vec()).unwrap()),
            Err(problem) => Err(String::from_utf8(problem.to_json("")).unwrap()),
        };
        rows.into_iter().map(text).collect()
    }

    #[test]
    fn csv_becomes_json_row_by_row() {
        let read = rows("\u{feff}name,FOB,roaming,bins\r\n\"Van, blue\",007,TRUE,A-1|A-2\r\n'=X,'F,,\r\n");
        assert_eq!(read[0].as_deref(), Ok(r#"{"bins":["A-1","A-2"],"fob":"007","name":"Van, blue","roaming":true}"#));
        assert_eq!(read[1].as_deref(), Ok(r#"{"fob":"'F","name":"=X"}"#));
        let read = rows("name;fob\na;1\n\"line\nbreak\";2\nx\ny;z;w\n");
        assert_eq!(read.len(), 4);
        assert_eq!(read[1].as_deref(), Ok(r#"{"fob":"2","name":"line\nbreak"}"#));
        assert!(read[2].as_ref().unwrap_err().contains("1 cells") && read[3].as_ref().unwrap_err().contains("3 cells"));
        assert!(rows("name,roaming\na,yes\n")[0].as_ref().unwrap_err().contains("/roaming"));
        assert!(rows("name\n").is_empty());
    }

    #[test]
    fn a_wrong_head_or_too_many_rows_is_the_whole_requests_mistake() {
        for head in ["nam,fob\n", "name,name\n", "name,\n", ""] {
            let read = csv_rows(head.as_bytes(), TAKES, 10);
            assert!(head.is_empty() == read.is_ok(), "{head:?}");
        }
        let code = |read: Result<Vec<Row>, Problem>| read.unwrap_err().code();
        assert_eq!(code(csv_rows(b"name\na\nb\nc\n", TAKES, 2)), Code::TooLarge);
        assert_eq!(code(json_rows(&Bytes::from_static(b"{}\n{}\n\n{}"), 2)), Code::TooLarge);
        assert_eq!(json_rows(&Bytes::from_static(b"\n{}\r\n\n {} "), 2).unwrap().len(), 2);
        assert_eq!(code(csv_rows(b"na\xffme\na\n", TAKES, 2)), Code::Malformed);
        assert!(csv_rows(b"name\n\xff\n", TAKES, 2).unwrap()[0].is_err());
    }
}
