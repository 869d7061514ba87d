//! All devices as CSV, and back: the columns that telephone administrators know.

use super::{LABEL_MAX, SITE_MAX, check_has_fitting, check_short, checked_mac, make, refused};
use crate::{
    devices::{
        Authentication, Changes, Command, Description, Device, DeviceRow, Mac, Pap,
        provisioning::{Model, Vendor},
        serve::find,
        state::FreshPap,
    },
    engine::Engine,
    http::{
        Ask, Bulk, Cell, Code, Doc, Problem, Reply,
        table::{Format, cell},
    },
    kernel::{Codec, DeviceId, OrgId, RowSpace, UnixMillis, VaultField},
    orgs::{
        Organisation, PhonesCommand,
        api::{Wrong, organisations},
        organisation,
    },
    store::{Db, Keyring, StoreError},
};
use serde::{Deserialize, Serialize, de::IgnoredAny};
use std::time::Duration;
use tokio::sync::mpsc;
use utoipa::{IntoParams, ToSchema};
use zeroize::Zeroizing;

const COLUMNS: usize = 8;
/// As programs know them.
const PLAIN: [&str; COLUMNS] = ["vendor", "type", "mac", "created_at", "site", "state", "pap", "label"];

/// The head line and the states, in somebody's language.
struct Words {
    columns: [&'static str; COLUMNS],
    states: [&'static str; 4],
}

const fn words(headers: Headers) -> Words {
    match headers {
        Headers::Plain => Words { columns: PLAIN, states: Authentication::NAMES },
        Headers::It => Words {
            columns: ["Produttore", "Modello", "MAC", "Creato", "Sede", "Stato", "PAP", "Etichetta"],
            states: [
                "Autenticazione richiesta",
                "Autenticazione fallita",
                "Autenticazione bloccata",
                "Autenticazione riuscita",
            ],
        },
        Headers::De => Words {
            columns: ["Hersteller", "Typ", "MAC", "Erstellt", "Standort", "Status", "PAP", "Bezeichnung"],
            states: [
                "Authentifizierung erforderlich",
                "Authentifizierung fehlgeschlagen",
                "Authentifizierung blockiert",
                "Authentifizierung erfolgreich",
            ],
        },
        Headers::En => Words {
            columns: ["Vendor", "Type", "MAC", "Created", "Site", "State", "PAP", "Label"],
            states: [
                "Authentication required",
                "Authentication failed",
                "Authentication blocked",
                "Authentication successful",
            ],
        },
    }
}

#[derive(Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = CsvHeaders)]
enum Headers {
    #[default]
    Plain,
    It,
    De,
    En,
}

#[derive(Clone, Copy, Default, Deserialize, ToSchema)]
#[schema(as = CsvSeparator)]
enum Separator {
    #[default]
    #[serde(rename = ",")]
    Comma,
    #[serde(rename = ";")]
    Semicolon,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct ExportQuery {
    /// Between cells
    #[serde(default)]
    #[param(inline)]
    separator: Separator,
    /// Whether a byte order mark comes first, as some spreadsheets want it
    #[serde(default)]
    bom: bool,
    /// The head line and the states: as programs know them, or in a language
    #[serde(default)]
    #[param(inline)]
    headers: Headers,
}

pub(crate) const EXPORT: Doc = Doc::new("Export all devices with their PAPs as CSV")
    .details("That it was done is noted. The PAP stands there where the device is not completely provisioned.")
    .query::<ExportQuery>()
    .text("text/csv")
    .refuses(&[Code::NotFound, Code::ReadOnly, Code::OutcomeUnknown]);

/// Rows that are read in one go.
const PIECE: usize = 256;
/// Pieces that wait for a slow reader, and how long it may take for them.
const PIECES: usize = 2;
const READER_PATIENCE: Duration = Duration::from_secs(30);

pub(crate) async fn export(ask: Ask) -> Result<Reply, Problem> {
    let query: ExportQuery = ask.query()?;
    let org = ask.org();
    // Noted first: what cannot be noted does not go out.
    let noted = organisation::Command::Phones(PhonesCommand::Export);
    ask.tell::<Organisation>(org.at(org), noted, organisations::refused).await?;
    let (pieces, taken) = mpsc::channel(PIECES);
    let (engine, working) = (ask.engine.clone(), ask.working());
    tokio::task::spawn_local(async move {
        write(engine, org, query, pieces).await;
        drop(working);
    });
    Ok(Reply::stream(Format::Csv.content_type(), taken))
}

async fn write(engine: Engine, org: OrgId, query: ExportQuery, pieces: mpsc::Sender<Vec<u8>>) {
    let ExportQuery { separator, bom, headers } = query;
    let words = words(headers);
    let mut head = if bom { "\u{feff}".as_bytes().to_vec() } else { Vec::new() };
    head.extend(lines(separator, [words.columns.map(str::to_owned)]));
    if pieces.send_timeout(head, READER_PATIENCE).await.is_err() {
        return;
    }
    let mut after = None;
    loop {
        let now = engine.clock().now();
        // The head of the answer is out: all that can be done is to break off.
        let read = engine.with_db(move |db, keys| piece(db, keys, org, after, separator, headers, now)).await;
        let Ok((piece, last)) = read else { return };
        if !piece.is_empty() && pieces.send_timeout(piece, READER_PATIENCE).await.is_err() {
            return;
        }
        let Some(last) = last else { return };
        after = Some(last);
    }
}

/// The next rows as lines, and behind which key to go on.
fn piece(
    db: &Db,
    keys: &Keyring,
    org: OrgId,
    after: Option<Vec<u8>>,
    separator: Separator,
    headers: Headers,
    now: UnixMillis,
) -> Result<(Vec<u8>, Option<Vec<u8>>), StoreError> {
    let words = words(headers);
    let rows = db.rows(RowSpace::Devices, org, &[], after.as_deref(), PIECE)?;
    let last = rows.last().filter(|_| rows.len() == PIECE).map(|(key, _)| key.clone());
    let mut cells = Vec::with_capacity(rows.len());
    for (key, bytes) in rows {
        let corrupt = |why: String| StoreError::Corrupt { what: "device's row", why };
        let row = DeviceRow::decode_from(&bytes).map_err(corrupt)?;
        let device = DeviceId::from_bytes(&key).ok_or_else(|| corrupt("its key".to_owned()))?;
        let pap = if row.has_pap { keys.read(db, device.at(org), VaultField::Pap)? } else { None };
        let state = match row.authentication.at(now) {
            Authentication::Required => 0,
            Authentication::Failed { .. } => 1,
            Authentication::Blocked => 2,
            Authentication::Successful { .. } => 3,
        };
        cells.push([
            row.description.vendor.word().to_owned(),
            row.description.model.as_ref().map(ToString::to_string).unwrap_or_default(),
            row.description.mac.to_string(),
            row.created.to_rfc3339(),
            row.description.site.into_string(),
            words.states[state].to_owned(),
            pap.map(|pap| String::from_utf8_lossy(&pap).into_owned()).unwrap_or_default(),
            row.description.label.into_string(),
        ]);
    }
    Ok((lines(separator, cells), last))
}

fn lines(separator: Separator, rows: impl IntoIterator<Item = [String; COLUMNS]>) -> Vec<u8> {
    let delimiter = match separator {
        Separator::Comma => b',',
        Separator::Semicolon => b';',
    };
    let terminator = csv::Terminator::CRLF;
    let mut writer = csv::WriterBuilder::new();
    // LibreOffice leaves quoted cells as they are when it is told to; others that look like numbers lose their zeros.
    let quoted = writer.delimiter(delimiter).terminator(terminator).quote_style(csv::QuoteStyle::Always);
    let mut writer = quoted.from_writer(Vec::new());
    for row in rows {
        // Writing to a Vec cannot fail, and every row has as many cells.
        let _ = writer.write_record(row.iter().map(|text| cell(text).into_owned()));
    }
    writer.into_inner().unwrap_or_default()
}

#[derive(Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = ImportMode)]
enum Mode {
    /// MACs that are there are skipped.
    #[default]
    Insert,
    /// What is set up of them is replaced.
    Replace,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct ImportQuery {
    #[serde(default)]
    #[param(inline)]
    mode: Mode,
}

const IMPORT_ROWS: Bulk = Bulk {
    takes: &[
        ("vendor", Cell::Text),
        ("type", Cell::Text),
        ("mac", Cell::Text),
        ("created_at", Cell::Text),
        ("site", Cell::Text),
        ("state", Cell::Text),
        ("pap", Cell::Text),
        ("label", Cell::Text),
        ("created", Cell::Text),
        ("hersteller", Cell::Text),
        ("typ", Cell::Text),
        ("erstellt", Cell::Text),
        ("standort", Cell::Text),
        ("status", Cell::Text),
        ("bezeichnung", Cell::Text),
        ("produttore", Cell::Text),
        ("modello", Cell::Text),
        ("creato", Cell::Text),
        ("sede", Cell::Text),
        ("stato", Cell::Text),
        ("etichetta", Cell::Text),
    ],
    gives: &["outcome", "device"],
};

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ImportedDevice)]
struct ImportRow {
    mac: String,
    #[serde(alias = "hersteller", alias = "produttore")]
    vendor: String,
    #[serde(rename = "type", alias = "typ", alias = "modello", default)]
    model: String,
    #[serde(alias = "standort", alias = "sede", default)]
    site: String,
    #[serde(alias = "bezeichnung", alias = "etichetta", default)]
    label: String,
    /// These three are the server's own.
    #[serde(rename = "created_at", alias = "created", alias = "erstellt", alias = "creato", default)]
    #[schema(value_type = String)]
    _created: IgnoredAny,
    #[serde(rename = "state", alias = "status", alias = "stato", default)]
    #[schema(value_type = String)]
    _state: IgnoredAny,
    #[serde(rename = "pap", default)]
    #[schema(value_type = String)]
    _pap: IgnoredAny,
}

#[derive(Serialize)]
struct Imported {
    outcome: &'static str,
    device: DeviceId,
}

pub(crate) const IMPORT: Doc = Doc::new("Import devices from CSV")
    .details("The columns of the export; state, PAP and date are the server's own and passed over.")
    .query::<ImportQuery>()
    .rows(&IMPORT_ROWS);

pub(crate) async fn import(ask: Ask) -> Result<Reply, Problem> {
    // A wrong query is the request's own mistake, not that of each row.
    ask.query::<ImportQuery>()?;
    ask.bulk(&IMPORT_ROWS, import_one).await
}

/// How often a row is tried whose MAC is being taken, or given back, by another.
const TRIES: u32 = 20;

async fn import_one(ask: Ask) -> Result<Reply, Problem> {
    let ImportQuery { mode } = ask.query()?;
    let row: ImportRow = ask.json()?;
    let mut wrong = Wrong::default();
    let mac = checked_mac(&mut wrong, &row.mac);
    let vendor = row.vendor.parse::<Vendor>().map_err(|error| wrong.add("/vendor", error.to_string())).ok();
    let model = (!row.model.is_empty()).then(|| row.model.parse::<Model>()).transpose();
    let model = model.map_err(|error| wrong.add("/type", error.to_string())).ok().flatten();
    check_short(&mut wrong, "/label", &row.label, LABEL_MAX);
    check_short(&mut wrong, "/site", &row.site, SITE_MAX);
    wrong.check()?;
    let (Some(mac), Some(vendor)) = (mac, vendor) else { return Err(Code::Invalid.into()) };
    let description = Description { mac, vendor, model, label: row.label.into(), site: row.site.into(), accounts: 0 };
    for _ in 0..TRIES {
        if let Some(imported) = import_over(&ask, mode, &description).await? {
            return Reply::ok(&imported);
        }
        match make(&ask, description.clone(), None).await {
            Ok((device, _)) => return Reply::created(&Imported { outcome: "inserted", device }),
            // By an earlier row, whose record is on its way.
            Err(problem) if problem.code() == Code::MacTaken => tokio::time::sleep(Duration::from_millis(10)).await,
            Err(problem) => return Err(problem),
        }
    }
    Err(Code::MacTaken.into())
}

/// What becomes of a row whose MAC is there already.
async fn import_over(ask: &Ask, mode: Mode, row: &Description) -> Result<Option<Imported>, Problem> {
    let (org, mac): (OrgId, Mac) = (ask.org(), row.mac);
    let (device, known) = ask.engine.with_db(move |db, keys| find(db, keys, org, mac)).await?;
    if known.is_none() {
        return Ok(None);
    }
    // A repeated request: this device was made by it.
    if device.0 == ask.mint_id("device", 0) && ask.done_before(org).await?.is_some() {
        return Ok(Some(Imported { outcome: "inserted", device }));
    }
    if let Mode::Insert = mode {
        return Ok(Some(Imported { outcome: "skipped", device }));
    }
    let changes = Changes {
        mac: None,
        vendor: Some(row.vendor),
        model: Some(row.model.clone()),
        label: Some(row.label.clone()),
        site: Some(row.site.clone()),
        accounts: None,
    };
    let mut wrong = Wrong::default();
    check_has_fitting(ask, &mut wrong, device.at(org), row.vendor).await?;
    wrong.check()?;
    // Its MAC stays, so that no PAP is needed.
    let none = Pap::drawn(&ask.mint_secret("pap", 0));
    let pap = FreshPap { mark: none.mark(ask.engine.keys(), org), plain: Zeroizing::new(Vec::new()) };
    match ask.tell::<Device>(device.at(org), Command::Change { changes, pap }, refused).await {
        Ok(_) => Ok(Some(Imported { outcome: "replaced", device })),
        // Deleted a moment ago.
        Err(problem) if problem.code() == Code::NotFound => Ok(None),
        Err(problem) => Err(problem),
    }
}

/// The head lines that our own exports have, in every language.
#[cfg(test)]
fn head_lines() -> impl Iterator<Item = [&'static str; COLUMNS]> {
    [Headers::Plain, Headers::It, Headers::De, Headers::En].into_iter().map(|headers| words(headers).columns)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::orgs::Language;

    #[test]
    fn every_head_line_that_goes_out_comes_in_again() {
        for columns in head_lines() {
            for column in columns {
                let known = IMPORT_ROWS.takes.iter().any(|(name, _)| name.eq_ignore_ascii_case(column));
                assert!(known, "{column}");
            }
        }
        assert_eq!(Language::ALL.len() + 1, head_lines().count(), "a language without a head line");
    }

    #[test]
    fn separators_and_formulas() {
        let row = ["snom", "D785", "000413abcdef", "", "Büro; 1", "required", "000123", "=cmd"].map(str::to_owned);
        let text = |separator| String::from_utf8(lines(separator, [row.clone()])).unwrap();
        assert_eq!(
            text(Separator::Comma),
            "\"snom\",\"D785\",\"000413abcdef\",\"\",\"Büro; 1\",\"required\",\"000123\",\"'=cmd\"\r\n"
        );
        assert!(text(Separator::Semicolon).contains("\"Büro; 1\";\"required\";\"000123\""));
    }
}
