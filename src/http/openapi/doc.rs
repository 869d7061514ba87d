//! What the OpenAPI document says of one route. It stands beside the handler, and its row of the route table names it.

use super::schemas::Schemas;
use crate::http::{Bulk, Changed, Code};
use utoipa::{
    IntoParams, ToSchema,
    openapi::{
        RefOr, Schema,
        path::{Parameter, ParameterIn},
    },
};

/// Adds a type and what it refers to, and says how to refer to it.
pub(super) type Put = fn(&mut Schemas) -> RefOr<Schema>;

/// What one route takes, answers and refuses, beyond what its method and guard already say.
#[derive(Clone, Copy)]
pub struct Doc {
    pub(super) summary: &'static str,
    pub(super) details: Option<&'static str>,
    pub(super) body: Option<Put>,
    pub(super) query: Option<fn(&mut Schemas) -> Vec<Parameter>>,
    /// The cursor of a paged list.
    pub(super) after: Option<Put>,
    pub(super) status: u16,
    pub(super) answer: Option<Put>,
    /// The answer shows an entity tag.
    pub(super) tagged: bool,
    /// It is a change, and its answer shows none.
    pub(super) untagged: bool,
    /// The one media type of an answer that is no JSON.
    pub(super) text: Option<&'static str>,
    /// Headers of the request, each with a sentence.
    pub(super) headers: &'static [(&'static str, &'static str)],
    /// Other media types of the answer, which `Accept` asks for.
    pub(super) also: &'static [&'static str],
    pub(super) rows: Option<&'static Bulk>,
    pub(super) refuses: &'static [Code],
    /// It will go, and says so.
    pub(super) old: bool,
}

impl Doc {
    /// A sentence without its full stop, as it stands in a list of all routes.
    pub const fn new(summary: &'static str) -> Self {
        Self {
            summary,
            details: None,
            body: None,
            query: None,
            after: None,
            status: 200,
            answer: None,
            tagged: false,
            untagged: false,
            text: None,
            headers: &[],
            also: &[],
            rows: None,
            refuses: &[],
            old: false,
        }
    }

    /// What else a caller must know.
    pub const fn details(mut self, details: &'static str) -> Self {
        self.details = Some(details);
        self
    }

    /// The type of the JSON body.
    pub const fn takes<T: ToSchema>(mut self) -> Self {
        self.body = Some(Schemas::request::<T>);
        self
    }

    /// It will go: its answers say since when it is deprecated, when it ends, and what comes after it.
    pub const fn old(mut self) -> Self {
        self.old = true;
        self
    }

    /// The type of the query.
    pub const fn query<Q: IntoParams>(mut self) -> Self {
        self.query = Some(|_| Q::into_params(|| Some(ParameterIn::Query)));
        self
    }

    /// Headers that a request may have, each with a sentence.
    pub const fn headers(mut self, headers: &'static [(&'static str, &'static str)]) -> Self {
        self.headers = headers;
        self
    }

    /// 200 with this body.
    pub const fn answers<T: ToSchema>(mut self) -> Self {
        self.answer = Some(Schemas::answer::<T>);
        self
    }

    /// 200 with one object or view, and its entity tag.
    pub const fn shows<T: ToSchema>(mut self) -> Self {
        self.tagged = true;
        self.answers::<T>()
    }

    /// 200 with text in this media type.
    pub const fn text(mut self, media_type: &'static str) -> Self {
        self.text = Some(media_type);
        self
    }

    /// What is changed has no tag that the answer could show.
    pub const fn untagged(mut self) -> Self {
        self.untagged = true;
        self
    }

    /// 200 with a line about each row of many.
    pub const fn rows(mut self, rows: &'static Bulk) -> Self {
        self.rows = Some(rows);
        self.refuses(&[Code::NotAcceptable, Code::NotFound])
    }

    /// 200 with one page of these; the next page is asked for with an `After`.
    pub const fn lists<T: ToSchema, After: ToSchema>(mut self) -> Self {
        self.after = Some(Schemas::request::<After>);
        self.pages::<T>()
    }

    /// The same, also as CSV and NDJSON.
    pub const fn exports<T: ToSchema, After: ToSchema>(self) -> Self {
        self.lists::<T, After>().also(&["text/csv", "application/x-ndjson"])
    }

    /// 200 with one page of these; the query is named apart.
    pub const fn pages<T: ToSchema>(mut self) -> Self {
        self.answer = Some(Schemas::page::<T>);
        self
    }

    /// 201 with this body.
    pub const fn created<T: ToSchema>(mut self) -> Self {
        self.status = 201;
        self.answers::<T>()
    }

    /// 200 with the revision after the change.
    pub const fn changed(self) -> Self {
        self.answers::<Changed>()
    }

    /// 202 with the revision after the change; what follows takes its time.
    pub const fn begun(mut self) -> Self {
        self.status = 202;
        self.changed()
    }

    /// 202 with the answer: it has begun.
    pub const fn accepted(mut self) -> Self {
        self.status = 202;
        self
    }

    /// 204.
    pub const fn done(mut self) -> Self {
        self.status = 204;
        self
    }

    /// The same as text in other media types, for whoever asks by `Accept`.
    pub const fn also(mut self, media_types: &'static [&'static str]) -> Self {
        self.also = media_types;
        self
    }

    /// The problems that only this route has. Those of its guard, method, path and query are known.
    pub const fn refuses(mut self, codes: &'static [Code]) -> Self {
        self.refuses = codes;
        self
    }
}
