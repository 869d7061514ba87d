//! A request as the contexts see it, and what they reply. The wire's own types stay behind.

use super::{
    accept,
    admission::{Class, Urgency},
    auth::{self, Caller},
    body,
    codes::Code,
    dry_run::DryRun,
    etag::{Conditions, Shows},
    idempotency::Idempotency,
    problem::Problem,
    rates::block,
    refusals::Refusals,
    server::{Worker, Working},
    table::Format,
    ticket::{self, Ticket},
};
use crate::{
    delivery::webhooks,
    devices,
    engine::{Call, Committed, Engine, Failure, Permit, ReplayWrite},
    feed::Streams,
    iuv,
    kernel::{Address, Condition, Machine, OrgId, Principal, UnixMillis},
    operations::Operations,
    passwords::Passwords,
    recovery,
};
use actix_web::{HttpRequest, http::header, web::Bytes};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{cell::Cell, net::IpAddr, rc::Rc, str::FromStr, sync::Arc};
use utoipa::ToSchema;

/// One authenticated request with its body read.
pub struct Ask {
    pub engine: Engine,
    pub caller: Caller,
    pub from: Option<IpAddr>,
    pub(super) idempotency: Option<Idempotency>,
    /// Of a change.
    pub(super) conditions: Conditions,
    /// The tag of what this request has changed; the answer shows it.
    pub(super) changed: Option<Rc<Cell<Option<u64>>>>,
    pub(super) worker: Rc<Worker>,
    pub(super) class: Class,
    pub(super) request: HttpRequest,
    pub(super) body: Bytes,
    /// Objects that are named by a page instead of the path.
    pub(super) names: Vec<(&'static str, String)>,
    /// Nothing is to be changed.
    pub(super) dry_run: Option<DryRun>,
}

/// What is told on success.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub json: Vec<u8>,
    /// Instead of `json`: what is sent as it comes.
    pub stream: Option<Stream>,
    /// What the entity tag shows.
    pub shows: Option<Shows>,
    /// Of `json`, if it is not JSON.
    pub content_type: &'static str,
    /// `Accept` decides about its form.
    pub varies: bool,
    /// Where to go on.
    pub link: Option<String>,
    /// What will go says since when, until when, and what comes after it.
    pub old: Option<Old>,
}

/// Of a route that will go.
#[derive(Debug)]
pub struct Old {
    /// Seconds since 1970, as RFC 9745 writes them.
    pub deprecated_since_s: u64,
    /// As HTTP writes dates (RFC 8594).
    pub sunset: &'static str,
    /// What to ask instead.
    pub successor: String,
}

/// An answer that is sent piece by piece, until whoever makes it lets go of the other end.
#[derive(Debug)]
pub struct Stream {
    pub content_type: &'static str,
    pub pieces: tokio::sync::mpsc::Receiver<Vec<u8>>,
}

impl Reply {
    pub fn new(status: u16, body: &impl Serialize) -> Result<Self, Problem> {
        let json = serde_json::to_vec(body).map_err(|error| Problem::detailed(Code::Internal, error.to_string()))?;
        Ok(Self::bytes(status, json))
    }

    pub fn bytes(status: u16, json: Vec<u8>) -> Self {
        let content_type = Format::Json.content_type();
        Self { status, json, stream: None, shows: None, content_type, varies: false, link: None, old: None }
    }

    /// 200 in one of several forms.
    pub fn of_type(content_type: &'static str, bytes: Vec<u8>) -> Self {
        Self { content_type, varies: true, ..Self::bytes(200, bytes) }
    }

    pub fn ok(body: &impl Serialize) -> Result<Self, Problem> {
        Self::new(200, body)
    }

    pub fn created(body: &impl Serialize) -> Result<Self, Problem> {
        Self::new(201, body)
    }

    pub fn no_content() -> Self {
        Self::bytes(204, Vec::new())
    }

    pub fn stream(content_type: &'static str, pieces: tokio::sync::mpsc::Receiver<Vec<u8>>) -> Self {
        Self { stream: Some(Stream { content_type, pieces }), ..Self::bytes(200, Vec::new()) }
    }

    /// One object, at the revision that `If-Match` of a change is compared with.
    pub fn object(revision: u64, body: &impl Serialize) -> Result<Self, Problem> {
        Ok(Self { shows: Some(Shows::Object(revision)), ..Self::ok(body)? })
    }

    /// What is shown of several things at once.
    pub fn view(body: &impl Serialize) -> Result<Self, Problem> {
        Ok(Self { shows: Some(Shows::View), ..Self::ok(body)? })
    }
}

/// The answer to a change.
#[derive(Debug, Serialize, ToSchema)]
pub struct Changed {
    pub revision: u64,
}

/// One page of a list.
#[derive(Debug, Serialize)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// What to give as `after` for the next page; `null` at the end.
    pub next: Option<String>,
}

/// Which page is wanted.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PageQuery {
    limit: Option<usize>,
    after: Option<String>,
}

impl PageQuery {
    pub const LIMIT_MAX: usize = 200;
    pub(super) const LIMIT: usize = 50;

    pub fn limit(&self) -> Result<usize, Problem> {
        limit_of(self.limit)
    }

    /// For lists that are taken away whole.
    pub fn limit_up_to(&self, max: usize) -> Result<usize, Problem> {
        match self.limit {
            None => Ok(max),
            Some(limit) if (1..=max).contains(&limit) => Ok(limit),
            Some(_) => Err(Problem::detailed(Code::Invalid, format!("`limit` must be 1 to {max}"))),
        }
    }

    /// Where the page before ended.
    pub fn after<T: FromStr>(&self) -> Result<Option<T>, Problem> {
        let read = |text: &String| {
            text.parse().map_err(|_| Problem::detailed(Code::Invalid, "`after` is not the `next` of a page"))
        };
        self.after.as_ref().map(read).transpose()
    }
}

pub fn limit_of(limit: Option<usize>) -> Result<usize, Problem> {
    match limit {
        None => Ok(PageQuery::LIMIT),
        Some(limit @ 1..=PageQuery::LIMIT_MAX) => Ok(limit),
        Some(_) => Err(Problem::detailed(Code::Invalid, format!("`limit` must be 1 to {}", PageQuery::LIMIT_MAX))),
    }
}

pub(super) fn read_query<T: DeserializeOwned>(text: &str) -> Result<T, Problem> {
    // The reader would put replacement characters in the place of what is no text.
    if unescaped(text).is_none() {
        return Err(Problem::detailed(Code::Malformed, "the query is not UTF-8 behind its percent signs"));
    }
    actix_web::web::Query::from_query(text)
        .map(actix_web::web::Query::into_inner)
        .map_err(|error| Problem::detailed(Code::Malformed, error.to_string()))
}

/// Undoes percent signs; `None` if what they stand for is no text.
fn unescaped(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let (digits, behind) = rest.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
        rest = behind;
    }
    String::from_utf8(bytes).ok()
}

impl Ask {
    /// A request that nobody has to say for who he is, outside the route table.
    pub(super) fn of_nobody(
        worker: Rc<Worker>,
        from: Option<IpAddr>,
        class: Class,
        request: HttpRequest,
        body: Bytes,
    ) -> Self {
        Self {
            engine: worker.engine.clone(),
            caller: Caller::Nobody,
            from,
            idempotency: None,
            conditions: Conditions::default(),
            changed: None,
            worker,
            class,
            request,
            body,
            names: Vec::new(),
            dry_run: None,
        }
    }

    /// What a page asks of the API's own handlers for an administrator who is signed in: the objects that a path would
    /// name, and a body.
    pub fn of_administrator(&self, shopper: Address, names: Vec<(&'static str, String)>, body: Vec<u8>) -> Self {
        let (worker, request) = (Rc::clone(&self.worker), self.request.clone());
        let ask = Self::of_nobody(worker, self.from, self.class, request, body.into());
        Self { caller: Caller::Shopper(shopper), names, ..ask }
    }

    pub fn now(&self) -> UnixMillis {
        self.engine.clock().now()
    }

    /// The organisation of the caller's token.
    pub fn org(&self) -> OrgId {
        match self.caller {
            Caller::Nobody => OrgId::SYSTEM,
            Caller::Token { org, .. } => org,
            Caller::Box(token) => token.org,
            Caller::Shopper(shopper) => shopper.org,
        }
    }

    pub fn webhooks(&self) -> &webhooks::Door {
        &self.worker.webhooks
    }

    pub fn phones(&self) -> &Arc<devices::Door> {
        &self.worker.phones
    }

    pub fn iuv(&self) -> &Arc<iuv::Door> {
        &self.worker.iuv
    }

    pub fn recovery(&self) -> &Arc<recovery::Door> {
        &self.worker.recovery
    }

    /// Counts one request at a terminal, a link or a code by its source address.
    pub fn count_recovery(&self) -> Result<(), Problem> {
        let Some(from) = self.from else { return Ok(()) };
        self.worker.recovery_rate.count(block(from), Code::TooManyRequests, self.now())
    }

    /// The bearer token of a request whose route knows no scopes.
    pub fn bearer(&self) -> Result<&str, Problem> {
        auth::bearer(Self::header(&self.request, &header::AUTHORIZATION))
    }

    /// Where passwords are hashed. `Busy` is a `Problem`.
    pub fn passwords(&self) -> &Passwords {
        &self.worker.passwords
    }

    /// To be held as long as something is worked on that a stop is to wait for.
    pub fn working(&self) -> Working {
        self.worker.begin()
    }

    pub fn principal(&self) -> Principal {
        self.caller.principal()
    }

    /// A part of the path that names an object. What cannot be read names nothing.
    pub fn path<T: FromStr>(&self, name: &str) -> Result<T, Problem> {
        if let Some((_, text)) = self.names.iter().find(|(known, _)| *known == name) {
            return text.parse().map_err(|_| Code::NotFound.into());
        }
        let text = self.request.match_info().get(name).unwrap_or_default();
        unescaped(text).and_then(|text| text.parse().ok()).ok_or_else(|| Code::NotFound.into())
    }

    pub fn query<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        read_query(self.request.query_string())
    }

    /// What would be overlooked is refused: `dry_run` above all.
    pub fn no_query(&self) -> Result<(), Problem> {
        match self.request.query_string() {
            "" => Ok(()),
            _ => Err(Problem::detailed(Code::Malformed, "this request has no parameters")),
        }
    }

    pub fn json<'a, T: Deserialize<'a>>(&'a self) -> Result<T, Problem> {
        body::from_json(&self.body)
    }

    /// Which of these the caller would rather have.
    pub fn format(&self, offered: &[Format]) -> Result<Format, Problem> {
        accept::choose(Self::header(&self.request, &header::ACCEPT), offered)
    }

    pub(super) fn content_type(&self) -> Option<&[u8]> {
        Self::header(&self.request, &header::CONTENT_TYPE)
    }

    /// Where an event stream that broke off had come to.
    pub fn last_event_id(&self) -> Option<&[u8]> {
        const LAST_EVENT_ID: header::HeaderName = header::HeaderName::from_static("last-event-id");
        Self::header(&self.request, &LAST_EVENT_ID)
    }

    pub fn streams(&self) -> &Arc<Streams> {
        &self.worker.streams
    }

    pub fn refusals(&self) -> &Refusals {
        &self.worker.refusals
    }

    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Sends a command to an entity, with the room for its record that is free or becomes free in time.
    pub async fn tell<M: Machine>(
        &self,
        to: Address,
        command: M::Command,
        refused: fn(M::Refusal) -> Problem,
    ) -> Result<Committed<M::Answer>, Problem> {
        let told = self.engine.ask::<M>(to, command, self.call(None, None).await?).await;
        told.map_err(|failure| Problem::of(failure, refused))
    }

    /// The same to an entity whose id was just drawn.
    pub async fn tell_new<M: Machine>(
        &self,
        to: Address,
        command: M::Command,
        refused: fn(M::Refusal) -> Problem,
    ) -> Result<Committed<M::Answer>, Problem> {
        let told = self.engine.ask_new::<M>(to, command, self.call(None, None).await?).await;
        told.map_err(|failure| Problem::of(failure, refused))
    }

    /// The same for whoever explains refusals himself, such as a page.
    pub async fn try_tell<M: Machine>(
        &self,
        to: Address,
        command: M::Command,
    ) -> Result<Result<Committed<M::Answer>, M::Refusal>, Problem> {
        match self.engine.ask::<M>(to, command, self.call(None, None).await?).await {
            Ok(told) => Ok(Ok(told)),
            Err(Failure::Refused(refusal)) => Ok(Err(refusal)),
            Err(failure) => Err(Problem::of(failure, |_| Code::Internal.into())),
        }
    }

    /// Judges the request's conditions by an object that was read, where the command goes to another.
    pub fn judge(&mut self, tag: u64) -> Result<(), Problem> {
        self.judge_by(Some(tag))
    }

    /// The same for what has no tag, such as a backup: nothing can match.
    pub fn judge_untagged(&mut self) -> Result<(), Problem> {
        self.judge_by(None)
    }

    fn judge_by(&mut self, tag: Option<u64>) -> Result<(), Problem> {
        let condition = std::mem::take(&mut self.conditions).for_change();
        match condition.is_none_or(|condition| condition.holds(tag)) {
            true => Ok(()),
            false => Err(Code::PreconditionFailed.into()),
        }
    }

    /// The last or only command of a request, by which a repeat of the request is recognised: then the revision is the
    /// one of the first time.
    pub async fn tell_once<M: Machine>(
        &self,
        to: Address,
        command: M::Command,
        refused: fn(M::Refusal) -> Problem,
    ) -> Result<u64, Problem> {
        if let Some(dry_run) = &self.dry_run {
            return dry_run.judge::<M>(self, to, command, refused).await;
        }
        if let Some(revision) = self.done_before(to.org).await? {
            return Ok(revision);
        }
        let call = self.call(self.conditions.for_change(), self.to_replay()).await?;
        match self.engine.ask::<M>(to, command, call).await {
            Ok(committed) => {
                self.shows_change(committed.tag);
                Ok(committed.revision)
            }
            // Its twin came first by a moment.
            Err(Failure::Replayed) => self.done_before(to.org).await?.ok_or_else(|| Code::InProgress.into()),
            Err(failure) => Err(Problem::of(failure, refused)),
        }
    }

    pub(super) fn shows_change(&self, tag: Option<u64>) {
        if let Some(changed) = &self.changed {
            changed.set(tag);
        }
    }

    async fn call<M: Machine>(
        &self,
        only_if: Option<Box<Condition>>,
        replay: Option<ReplayWrite<M>>,
    ) -> Result<Call<M>, Problem> {
        let permit = self.permit().await?;
        Ok(Call { by: self.principal(), from: self.from, now: self.now(), permit, only_if, replay })
    }

    async fn permit(&self) -> Result<Permit, Problem> {
        let ticket = self.request.headers().get(ticket::HEADER);
        let class = match (self.class, ticket) {
            (Class::SyncDefault, Some(_)) => Class::SyncWithTicket,
            (class, _) => class,
        };
        let urgency = || {
            let Caller::Box(token) = self.caller else { return Urgency::without_ticket(self.class, self.now()) };
            ticket.and_then(|text| Ticket::verified(text.as_bytes(), token.smart_box, self.engine.keys())).map_or_else(
                || Urgency::without_ticket(self.class, self.now()),
                |ticket| Urgency { class, due_by: ticket.due_by },
            )
        };
        self.worker.admission.enter(self.body.len(), class, || self.now(), urgency).await
    }

    pub fn operations(&self) -> &Operations {
        &self.worker.operations
    }

    pub(super) fn header<'a>(request: &'a HttpRequest, name: &header::HeaderName) -> Option<&'a [u8]> {
        request.headers().get(name).map(header::HeaderValue::as_bytes)
    }
}
