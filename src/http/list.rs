//! Lists: a page as JSON, or all that is found, up to a bound, as CSV or NDJSON with a `Link` to what is left.
//!
//! Rows are read, filtered and written on reader threads, in pieces: no list holds a worker, and none holds a reader for
//! long. What a filter passes over counts too, so a page may be short; `next` says whether there is more.

use super::{
    ask::{Ask, PageQuery, Reply},
    codes::Code,
    problem::Problem,
    table::{Format, Rows},
};
use crate::{
    kernel::{Codec, OrgId, RowSpace},
    store::{Db, Keyring, StoreError},
};
use serde::{Serialize, de::DeserializeOwned};
use std::{fmt::Display, str::FromStr, sync::Arc};

/// Rows that a reader looks at in one go.
const PIECE: usize = 256;
/// Rows that are looked at for one page.
const PAGE_SCAN_MAX: usize = 5_000;
/// Lines of one CSV or NDJSON answer, and rows that are looked at for it.
pub const EXPORT_MAX: usize = 10_000;
const EXPORT_SCAN_MAX: usize = 200_000;

/// The key of a list's row, as text the cursor behind it.
pub trait RowKey: FromStr + Display {
    fn to_key(&self) -> Vec<u8>;
    fn from_key(key: &[u8]) -> Option<Self>;
}

macro_rules! row_keys {
    ($($id:ident),*) => {
        $(impl RowKey for crate::kernel::$id {
            fn to_key(&self) -> Vec<u8> {
                // Not the codec's.
                Self::to_bytes(*self).to_vec()
            }

            fn from_key(key: &[u8]) -> Option<Self> {
                Self::from_bytes(key)
            }
        })*
    };
}

row_keys!(
    AccessId,
    BoxId,
    DeviceId,
    GroupId,
    InstallationId,
    KeyId,
    MailId,
    OrgId,
    PersonId,
    ProductId,
    ShopperId,
    StoreId,
    TokenId
);

impl RowKey for u64 {
    fn to_key(&self) -> Vec<u8> {
        self.to_be_bytes().to_vec()
    }

    fn from_key(key: &[u8]) -> Option<Self> {
        key.try_into().map(Self::from_be_bytes).ok()
    }
}

/// What a reader is to look at.
pub struct Look<'a> {
    pub db: &'a Db,
    pub keys: &'a Keyring,
    pub after: Option<&'a [u8]>,
    pub rows: usize,
}

/// Takes each row that was looked at, in order: its key, and what is shown of it if the filter lets it pass.
pub type Each<'a, T> = &'a mut dyn FnMut(&[u8], Option<&T>);

/// Looks at the next rows; whether that was the end.
type Scan<T> = dyn Fn(Look<'_>, Each<'_, T>) -> Result<bool, StoreError> + Send + Sync;

/// One kind of list.
pub struct List<T> {
    columns: &'static [&'static str],
    scan: Arc<Scan<T>>,
}

impl<T> Clone for List<T> {
    fn clone(&self) -> Self {
        Self { columns: self.columns, scan: Arc::clone(&self.scan) }
    }
}

impl<T: Serialize + 'static> List<T> {
    /// `columns`: what stands in CSV, by the fields' names; a dot leads into an object.
    pub fn new(
        columns: &'static [&'static str],
        scan: impl Fn(Look<'_>, Each<'_, T>) -> Result<bool, StoreError> + Send + Sync + 'static,
    ) -> Self {
        Self { columns, scan: Arc::new(scan) }
    }

    /// Over the rows of an organisation that begin with a prefix. `show` gets what stands behind the key's place.
    pub fn of_rows<R: Codec>(
        columns: &'static [&'static str],
        rows: (RowSpace, OrgId, Vec<u8>),
        show: impl Fn(&Look<'_>, &[u8], R) -> Result<Option<T>, StoreError> + Send + Sync + 'static,
    ) -> Self {
        Self::of_rows_behind(0, columns, rows, show)
    }

    /// The same, where the prefix is no part of the cursor, nor of what `show` gets.
    pub fn of_rows_under<R: Codec>(
        columns: &'static [&'static str],
        rows: (RowSpace, OrgId, Vec<u8>),
        show: impl Fn(&Look<'_>, &[u8], R) -> Result<Option<T>, StoreError> + Send + Sync + 'static,
    ) -> Self {
        Self::of_rows_behind(rows.2.len(), columns, rows, show)
    }

    /// `cut`: so much of the prefix is left out of keys.
    fn of_rows_behind<R: Codec>(
        cut: usize,
        columns: &'static [&'static str],
        (space, org, prefix): (RowSpace, OrgId, Vec<u8>),
        show: impl Fn(&Look<'_>, &[u8], R) -> Result<Option<T>, StoreError> + Send + Sync + 'static,
    ) -> Self {
        Self::new(columns, move |look, each| {
            let after = look.after.map(|after| [&prefix[..cut], after].concat());
            let rows = look.db.rows(space, org, &prefix, after.as_deref(), look.rows)?;
            for (key, bytes) in &rows {
                let row = R::decode_from(bytes).map_err(|why| StoreError::Corrupt { what: "list row", why })?;
                let key = key.get(cut..).unwrap_or_default();
                each(key, show(&look, key, row)?.as_ref());
            }
            Ok(rows.len() < look.rows)
        })
    }
}

impl<T: Serialize + Send + Sync + 'static> List<T> {
    /// Over what is in memory already, such as the keys of one box.
    pub fn of_items(columns: &'static [&'static str], mut items: Vec<(Vec<u8>, T)>) -> Self {
        items.sort_unstable_by(|one, other| one.0.cmp(&other.0));
        Self::new(columns, move |look, each| {
            let mut rest = items.iter().filter(|(key, _)| look.after.is_none_or(|after| &**key > after));
            rest.by_ref().take(look.rows).for_each(|(key, item)| each(key, Some(item)));
            Ok(rest.next().is_none())
        })
    }
}

/// What has been written so far.
struct Sink {
    format: Format,
    bytes: Vec<u8>,
    rows: Rows,
    limit: usize,
    count: usize,
    last: Option<Vec<u8>>,
    /// There is a line that found no room.
    left_over: bool,
}

impl Sink {
    fn new(format: Format, columns: &[&str], limit: usize) -> Self {
        let mut sink =
            Self { format, bytes: Vec::new(), rows: Rows::default(), limit, count: 0, last: None, left_over: false };
        match format {
            Format::Csv => sink.rows.row(columns.iter().copied()),
            Format::Json => sink.bytes.extend_from_slice(b"{\"items\":["),
            Format::Ndjson | Format::EventStream | Format::Html | Format::Svg | Format::Png => {}
        }
        sink
    }

    fn take<T: Serialize>(&mut self, columns: &[&str], key: &[u8], item: Option<&T>) {
        if self.count == self.limit {
            self.left_over |= item.is_some();
            return;
        }
        self.last = Some(key.to_vec());
        let Some(item) = item else { return };
        match self.format {
            Format::Csv => self.rows.object(columns, &serde_json::to_value(item).unwrap_or_default()),
            format => {
                if format == Format::Json && self.count > 0 {
                    self.bytes.push(b',');
                }
                // Writing to a Vec cannot fail.
                let _ = serde_json::to_writer(&mut self.bytes, item);
                if format == Format::Ndjson {
                    self.bytes.push(b'\n');
                }
            }
        }
        self.count += 1;
    }

    fn finish(mut self, next: Option<&str>) -> Vec<u8> {
        if self.format == Format::Csv {
            return self.rows.take();
        }
        if self.format == Format::Json {
            self.bytes.extend_from_slice(b"],\"next\":");
            let _ = serde_json::to_writer(&mut self.bytes, &next);
            self.bytes.push(b'}');
        }
        self.bytes
    }
}

impl Ask {
    /// The filters of a list, and which page is wanted.
    pub fn list_query<Q: DeserializeOwned>(&self) -> Result<(PageQuery, Q), Problem> {
        let text = self.request.query_string();
        let is_page = |part: &&str| matches!(part.split('=').next(), Some("limit" | "after"));
        let (page, filters): (Vec<_>, Vec<_>) = text.split('&').partition(is_page);
        Ok((super::ask::read_query(&page.join("&"))?, super::ask::read_query(&filters.join("&"))?))
    }

    /// Answers with a list, in the form that the caller takes. `C`: what the cursor names.
    pub async fn list<C: RowKey, T: Serialize + 'static>(
        &self,
        list: List<T>,
        page: &PageQuery,
    ) -> Result<Reply, Problem> {
        let format = self.format(&[Format::Json, Format::Csv, Format::Ndjson])?;
        let (limit, scan_max) = match format {
            Format::Json => (page.limit()?, PAGE_SCAN_MAX),
            _ => (page.limit_up_to(EXPORT_MAX)?, EXPORT_SCAN_MAX),
        };
        let mut after = page.after::<C>()?.map(|place| place.to_key());
        let mut sink = Sink::new(format, list.columns, limit);
        let mut scanned = 0;
        // One more than fits: then it is known whether there is more.
        let mut rows = PIECE.min(limit + 1);
        let at_end = loop {
            let look = List::clone(&list);
            let looked = self.engine.with_db(move |db, keys| {
                let look_at = Look { db, keys, after: after.as_deref(), rows };
                let at_end = (look.scan)(look_at, &mut |key, item| sink.take(look.columns, key, item))?;
                Ok((sink, at_end))
            });
            let at_end;
            (sink, at_end) = looked.await?;
            scanned += rows;
            if sink.count == sink.limit {
                break at_end && !sink.left_over;
            }
            if at_end || scanned >= scan_max {
                break at_end;
            }
            after = sink.last.clone();
            rows = PIECE;
        };
        let last = sink.last.as_deref().filter(|_| !at_end);
        let next = last.map(|key| C::from_key(key).map(|place| place.to_string()).ok_or(Code::Internal));
        let next = next.transpose()?;
        let link = next.as_deref().filter(|_| format != Format::Json).map(|next| self.link_to(next));
        Ok(Reply { link, ..Reply::of_type(format.content_type(), sink.finish(next.as_deref())) })
    }

    /// The same list behind a cursor.
    fn link_to(&self, after: &str) -> String {
        let others =
            self.request.query_string().split('&').filter(|part| !part.is_empty() && !part.starts_with("after="));
        let query: Vec<_> = others.map(str::to_owned).chain([format!("after={after}")]).collect();
        format!("<{}?{}>; rel=\"next\"", self.request.path(), query.join("&"))
    }
}
