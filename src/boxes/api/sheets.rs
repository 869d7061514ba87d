//! The sheet of offline codes of a box, to be read, printed and kept where it is safe. That somebody has had it shown
//! is an event.

use super::{change_box, codes::mark, look, named};
use crate::{
    boxes::{Command, Label, SmartBox, WHOLE_BOX, digits, hotp, list_secret, offline_key},
    http::{
        Ask, Code, Doc, Problem, Reply,
        table::{Format, Rows},
    },
    kernel::{
        Address, BoxId, ClaimSpace,
        schema::{pattern, shapes},
    },
    orgs::{Mark, api::Wrong},
};
use serde::{Deserialize, Serialize};
use std::{collections::HashSet, fmt::Write};
use utoipa::ToSchema;

const COUNT: u8 = 10;
const COUNT_MAX: u8 = 20;
/// Codes that are passed over in one list because they are in use as something else.
const SPARE: u64 = 4;
const ATTEMPTS: usize = 4;

shapes! {
    OfflineDigits, "8 digits", pattern("^[0-9]{8}$").examples(["08472913"]);
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SheetWanted)]
struct Wanted {
    /// Codes of each list; 10 if nothing is said.
    #[schema(minimum = 1, maximum = 20)]
    count: Option<u8>,
    /// A new sheet: no code of the one before opens any more, once the box has heard of it.
    #[serde(default)]
    renew: bool,
}

#[derive(Serialize, ToSchema)]
#[schema(as = OfflineCodeSheet)]
struct Sheet {
    r#box: BoxId,
    name: Box<str>,
    sheet: u32,
    lists: Vec<List>,
    revision: u64,
}

/// Used from the first one on, each once.
#[derive(Serialize, ToSchema)]
#[schema(as = OfflineCodeList)]
struct List {
    /// `null`: these open every bin.
    bin: Option<Label>,
    codes: Vec<Printed>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = OfflineCode)]
struct Printed {
    counter: u32,
    #[schema(value_type = OfflineDigits)]
    code: String,
}

pub(crate) const SHOW: Doc = Doc::new("Show the offline codes of a box")
    .details(
        "The next ones of each list, for whoever stands before a box that nobody else can open. `text/html` is made to \
         be printed. A bin that was opened so is unconfirmed until somebody looks.",
    )
    .takes::<Wanted>()
    .answers::<Sheet>()
    .also(&["text/html", "text/csv"])
    .refuses(&[Code::BoxNotEnrolled, Code::BoxChangedMeanwhile, Code::TypedCodeTaken, Code::NotAcceptable]);

/// What the codes of a box follow from.
struct Source {
    name: Box<str>,
    generation: u32,
    sheet: u32,
    /// Each list with its next counter.
    lists: Vec<(Option<Label>, u32)>,
}

fn source(state: &SmartBox, renew: bool) -> Source {
    let next = |list: u16| if renew { 0 } else { state.next_counter(list) };
    let bins = state.inventory().bins.into_iter().zip(0..).map(|(bin, list)| (Some(bin.bin), next(list)));
    Source {
        name: state.name().into(),
        generation: state.generation(),
        sheet: state.sheet_number() + u32::from(renew),
        lists: [(None, next(WHOLE_BOX))].into_iter().chain(bins).collect(),
    }
}

pub(crate) async fn show(ask: Ask) -> Result<Reply, Problem> {
    let Wanted { count, renew } = ask.json()?;
    let format = ask.format(&[Format::Json, Format::Html, Format::Csv])?;
    let count = count.unwrap_or(COUNT);
    let mut wrong = Wrong::default();
    wrong.unless((1..=COUNT_MAX).contains(&count), "/count", "expected 1 to 20");
    wrong.check()?;
    let (at, id) = (named(&ask)?, ask.path::<BoxId>("box")?);
    // A repeat shows the sheet that it made, not a further one.
    let repeated = ask.done_before(ask.org()).await?.is_some();
    for _ in 0..ATTEMPTS {
        let renew = renew && !repeated;
        let source = look(&ask, at, move |state| source(state, renew)).await?;
        let (lists, marks) = printed(&ask, at, id, &source, usize::from(count)).await?;
        let (number, generation) = (source.sheet, source.generation);
        let command = Command::ShowSheet { number, renew, generation, marks };
        match change_box(&ask, command).await.map_err(super::codes::taken) {
            // A code was taken, or the box changed, at this very moment.
            Err(problem) if matches!(problem.code(), Code::BoxChangedMeanwhile | Code::TypedCodeTaken) => {}
            Err(problem) => return Err(problem),
            Ok(revision) => {
                let sheet = Sheet { r#box: id, name: source.name, sheet: number, lists, revision };
                return match format {
                    Format::Html => Ok(Reply::of_type(Format::Html.content_type(), page(&sheet).into_bytes())),
                    Format::Csv => Ok(Reply::of_type(Format::Csv.content_type(), csv(&sheet))),
                    _ => Reply::ok(&sheet),
                };
            }
        }
    }
    Err(Code::BoxChangedMeanwhile.into())
}

/// Codes that mean nothing else: those that are in use otherwise are passed over.
async fn printed(
    ask: &Ask,
    at: Address,
    id: BoxId,
    source: &Source,
    count: usize,
) -> Result<(Vec<List>, Box<[Mark]>), Problem> {
    let (sheet, generation, wanted) = (source.sheet, source.generation, source.lists.clone());
    let computed = ask.engine.with_db(move |_, keys| {
        let root = offline_key(keys, id, generation);
        let codes = wanted.into_iter().map(|(bin, next)| {
            let secret = list_secret(&root, sheet, bin.as_ref());
            let counters = (next..).take(count + SPARE as usize);
            let codes = counters.map(|counter| Printed { counter, code: digits(hotp(&secret, u64::from(counter))) });
            List { bin, codes: codes.collect() }
        });
        Ok(codes.collect::<Vec<_>>())
    });
    let mut lists = computed.await?;
    let marks: Vec<Mark> = lists.iter().flat_map(|list| &list.codes).map(|printed| mark(ask, &printed.code)).collect();
    let values = marks.iter().map(|mark| mark.0.to_vec()).collect();
    let holders = ask.engine.claim_holders(ClaimSpace::AccessCode, ask.org(), values).await?;
    let (mut seen, mut kept, mut found) = (HashSet::new(), Vec::new(), marks.into_iter().zip(holders));
    for list in &mut lists {
        let mut left = count;
        list.codes.retain(|_| {
            let Some((mark, holder)) = found.next() else { return false };
            let free = left > 0 && holder.is_none_or(|holder| holder == at) && seen.insert(mark.0);
            if free {
                left -= 1;
                kept.push(mark);
            }
            free
        });
    }
    Ok((lists, kept.into()))
}

fn title(bin: Option<&Label>) -> &str {
    bin.map_or("*", Label::as_str)
}

fn csv(sheet: &Sheet) -> Vec<u8> {
    let mut rows = Rows::default();
    rows.row(["sheet", "bin", "counter", "code"]);
    let number = sheet.sheet.to_string();
    for list in &sheet.lists {
        for printed in &list.codes {
            rows.row([&*number, title(list.bin.as_ref()), &printed.counter.to_string(), &printed.code]);
        }
    }
    rows.take()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

const STYLE: &str = "body{font:11pt sans-serif;margin:12mm}h1{font-size:15pt}h2{font-size:11pt;margin:0 0 2mm}\
    .lists{display:grid;grid-template-columns:repeat(auto-fill,minmax(52mm,1fr));gap:4mm}\
    section{border:1px solid #000;padding:3mm;break-inside:avoid}\
    ol{margin:0;padding-left:6mm;font:12pt monospace}@page{size:A4;margin:10mm}";

/// A page to be printed: no script, nothing from elsewhere.
fn page(sheet: &Sheet) -> String {
    let name = escaped(&sheet.name);
    let mut html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{name}: offline codes</title>\
         <style>{STYLE}</style></head><body><h1>{name}: offline codes, sheet {}</h1>\
         <p>Each code opens once. Use those of a bin from the top, and cross them out. \
         Keep this sheet locked away; a newer one makes it worthless.</p><div class=\"lists\">",
        sheet.sheet
    );
    for list in &sheet.lists {
        let heading = list.bin.as_ref().map_or("All bins".to_owned(), |bin| escaped(bin.as_str()));
        // Writing to a String cannot fail.
        let _ = write!(html, "<section><h2>{heading}</h2><ol>");
        for printed in &list.codes {
            let (left, right) = printed.code.split_at(4);
            let _ = write!(html, "<li>{left} {right}</li>");
        }
        html.push_str("</ol></section>");
    }
    html.push_str("</div></body></html>");
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_escaped_and_in_groups() {
        let codes = vec![Printed { counter: 3, code: "01234567".into() }];
        let lists = vec![List { bin: Label::new("<b>"), codes }, List { bin: None, codes: vec![] }];
        let sheet = Sheet { r#box: BoxId(1), name: "Hall & \"co\"".into(), sheet: 2, lists, revision: 1 };
        let html = page(&sheet);
        assert!(html.contains("&lt;b&gt;") && !html.contains("<b>") && html.contains("0123 4567"));
        assert!(html.contains("Hall &amp; &quot;co&quot;") && html.contains("All bins"));
        assert_eq!(String::from_utf8(csv(&sheet)).unwrap(), "sheet,bin,counter,code\r\n2,<b>,3,01234567\r\n");
    }
}
