//! The wire of webhooks: their administration. Deliveries stand in `deliveries`.

pub mod deliveries;
pub mod events;

use super::{
    WebhookRow,
    reach::{URL_BYTES_MAX, Unreachable},
    rows::{HeadRow, PreviousSecret, SealedPlain},
    sign,
    state::{Command, Known, Refusal, Settings, Webhook},
};
use crate::{
    http::{Ask, Changed, Code, Doc, Page, PageQuery, Problem, Reply, table::Format},
    kernel::{
        Address, Codec, RowSpace, Stamp, UnixMillis, VaultField, WebhookId,
        schema::{FeedPlace, TextOrEmpty, Time, pattern, shapes, words},
    },
    orgs::api::{Wrong, text},
    store::{StoreError, keys},
};
use reqwest::Url;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use utoipa::ToSchema;
use zeroize::Zeroizing;

const DESCRIPTION_MAX: usize = 200;
const TYPES_MAX: usize = 32;
const TYPE_BYTES_MAX: usize = 64;
type Description = TextOrEmpty<DESCRIPTION_MAX>;

shapes! {
    HookUrl, "Where to send events: https, unless the operator allows http, and a public network address",
        pattern("^https?://").max_length(Some(URL_BYTES_MAX)).examples(["https://hooks.example.org/castellan"]);
    SigningSecret, "A signing secret, shown once",
        pattern("^whsec_[A-Za-z0-9+/]{43}=$").examples(["whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="]);
    HookTypePrefix, "A type of events, or its beginning",
        pattern("^[a-z][a-z0-9_.]*$").max_length(Some(TYPE_BYTES_MAX)).examples(["boxes.key"]);
    HookState, "Whether events are sent", words(&["active", "paused"]);
    HookPauseReason, "Why it is paused", words(&["by_hand", "dead", "gone", "feed_trimmed"]);
}

/// How long the secret before the current one signs too.
const ROTATION: Duration = Duration::from_secs(24 * 3600);

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewWebhook)]
struct Create {
    #[schema(value_type = HookUrl)]
    url: String,
    #[serde(default)]
    #[schema(value_type = Description)]
    description: String,
    #[serde(default)]
    #[schema(value_type = Vec<HookTypePrefix>, max_items = 32)]
    types: Vec<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = WebhookCreated)]
struct Created {
    webhook: WebhookId,
    /// Shown once.
    #[schema(value_type = SigningSecret)]
    secret: String,
    revision: u64,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WebhookChange)]
struct Change {
    #[schema(value_type = Option<HookUrl>)]
    url: Option<String>,
    #[schema(value_type = Option<Description>)]
    description: Option<String>,
    #[schema(value_type = Option<Vec<HookTypePrefix>>, max_items = 32)]
    types: Option<Vec<String>>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Webhook)]
struct Shown {
    webhook: WebhookId,
    url: String,
    description: Box<str>,
    types: Vec<Box<str>>,
    #[schema(value_type = HookState)]
    state: &'static str,
    paused: Option<Paused>,
    #[schema(value_type = Time)]
    created_at: String,
    /// Until when the secret before this one signs too.
    #[schema(value_type = Option<Time>)]
    previous_secret_until: Option<String>,
    /// Everything up to this cursor of the change feed was taken.
    #[schema(value_type = FeedPlace)]
    cursor: Box<str>,
    /// Nothing was taken since.
    #[schema(value_type = Option<Time>)]
    failing_since: Option<String>,
    #[schema(value_type = Option<Time>)]
    last_delivered_at: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = WebhookDetails)]
struct Detailed {
    #[serde(flatten)]
    shown: Shown,
    revision: u64,
}

#[derive(Serialize, ToSchema)]
#[schema(as = WebhookPaused)]
struct Paused {
    #[schema(value_type = HookPauseReason)]
    reason: &'static str,
    #[schema(value_type = Time)]
    since: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NothingSaid)]
struct Nothing {}

#[derive(Serialize, ToSchema)]
#[schema(as = SecretRotated)]
struct Rotated {
    /// Shown once.
    #[schema(value_type = SigningSecret)]
    secret: String,
    #[schema(value_type = Time)]
    previous_secret_until: String,
    revision: u64,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Resumption)]
struct Resume {
    from: Option<From>,
}

#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ResumptionFrom)]
enum From {
    /// Where it stopped.
    Stopped,
    /// All that is still kept.
    Oldest,
    /// What happens from now on.
    Now,
}

fn refused(refusal: Refusal) -> Problem {
    match refusal {
        Refusal::NotFound => Code::NotFound.into(),
        Refusal::AlreadyExists => Code::AlreadyExists.into(),
        Refusal::ChangedMeanwhile => Code::WebhookChangedMeanwhile.into(),
        Refusal::FeedTrimmed => Code::WebhookFeedTrimmed.into(),
    }
}

/// The webhook that the path names.
fn named(ask: &Ask) -> Result<Address, Problem> {
    Ok(ask.path::<WebhookId>("webhook")?.at(ask.org()))
}

/// One command to it; the dispatcher hears of it at once.
async fn tell(ask: &Ask, webhook: Address, command: Command) -> Result<u64, Problem> {
    let revision = ask.tell_once::<Webhook>(webhook, command, refused).await?;
    ask.webhooks().dispatcher.changed(webhook);
    Ok(revision)
}

pub(crate) const CREATE: Doc = Doc::new("Make a webhook")
    .details("It is sent what happens from now on. Its signing secret is shown in this answer and never again.")
    .takes::<Create>()
    .created::<Created>()
    .refuses(&[Code::WebhookLimitReached]);

pub(crate) async fn create(ask: Ask) -> Result<Reply, Problem> {
    let body: Create = ask.json()?;
    let mut wrong = Wrong::default();
    let url = checked_url(&ask, &mut wrong, &body.url);
    check(&mut wrong, &body.description, &body.types);
    wrong.check()?;
    let Some(url) = url else { return Err(Code::Invalid.into()) };
    let webhook = WebhookId(ask.mint_id("webhook", 0));
    let secret = Zeroizing::new(ask.mint_secret("webhook secret", 0));
    if ask.done_before(ask.org()).await?.is_none() {
        let most = ask.webhooks().per_organisation_max;
        let there = ask.engine.rows(RowSpace::Webhooks, ask.org(), Vec::new(), None, most).await?;
        if there.len() >= most {
            return Err(Code::WebhookLimitReached.into());
        }
    }
    let settings = Settings { origin: origin(&url), description: body.description.into(), types: boxed(body.types) };
    let sealed = SealedPlain { url: url.into(), secret: secret.to_vec(), previous: None };
    let command = Command::Create {
        settings,
        sealed: Zeroizing::new(sealed.to_bytes()),
        start: ask.engine.feed_end(ask.org()).to_string().into(),
    };
    let revision = tell(&ask, webhook.at(ask.org()), command).await?;
    Reply::created(&Created { webhook, secret: sign::secret_text(&*secret), revision })
}

pub(crate) const LIST: Doc = Doc::new("List webhooks").lists::<Shown, WebhookId>().refuses(&[Code::NotAcceptable]);

pub(crate) async fn list(ask: Ask) -> Result<Reply, Problem> {
    ask.format(&[Format::Json])?;
    let query: PageQuery = ask.query()?;
    let (limit, org) = (query.limit()?, ask.org());
    let after = query.after::<WebhookId>()?.map(|after| after.to_bytes());
    let found = ask.engine.with_db(move |db, keys| {
        let rows = db.rows(RowSpace::Webhooks, org, &[], after.as_ref().map(<[u8; 16]>::as_slice), limit)?;
        let found = rows.into_iter().map(|(key, bytes)| {
            let webhook = WebhookId::from_bytes(&key).ok_or_else(|| corrupt("its key"))?;
            let row = WebhookRow::decode_from(&bytes).map_err(corrupt)?;
            let sealed = keys.read(db, webhook.at(org), VaultField::WebhookSecret)?;
            let head = db.get(&keys::row(db.partition_of(org), RowSpace::WebhookDeliveries, org, &key))?;
            Ok((
                webhook,
                row,
                unsealed(sealed)?,
                head.map(|head| HeadRow::decode_from(&head)).transpose().map_err(corrupt)?,
            ))
        });
        found.collect::<Result<Vec<_>, StoreError>>()
    });
    let shown = |(webhook, row, sealed, head)| Shown::of(webhook, row, &sealed, head, ask.now());
    let items: Vec<_> = found.await?.into_iter().map(shown).collect();
    let next = items.last().filter(|_| items.len() == limit).map(|last| last.webhook.to_string());
    Reply::ok(&Page { items, next })
}

fn corrupt(why: impl Into<String>) -> StoreError {
    StoreError::Corrupt { what: "webhook's row", why: why.into() }
}

/// Nothing sealed: removed a moment ago.
fn unsealed(plain: Option<Zeroizing<Vec<u8>>>) -> Result<SealedPlain, StoreError> {
    plain.map_or_else(|| Ok(SealedPlain::default()), |plain| SealedPlain::decode_from(&plain).map_err(corrupt))
}

impl Shown {
    fn of(webhook: WebhookId, row: WebhookRow, sealed: &SealedPlain, head: Option<HeadRow>, now: UnixMillis) -> Self {
        // A later start than the one it has come from counts.
        let head = head.filter(|head| head.since == row.start.since);
        let failing_since = head.as_ref().filter(|head| head.changed == row.changed || !row.is_active());
        Self {
            webhook,
            url: sealed.url.clone(),
            state: if row.is_active() { "active" } else { "paused" },
            paused: row.paused().map(|(why, since)| Paused { reason: why.name(), since: since.to_rfc3339() }),
            description: row.description,
            types: row.types,
            created_at: row.created.to_rfc3339(),
            previous_secret_until: row.previous_until.filter(|until| *until > now).map(UnixMillis::to_rfc3339),
            failing_since: failing_since.and_then(|head| head.failing_since).map(UnixMillis::to_rfc3339),
            last_delivered_at: head.as_ref().and_then(|head| head.delivered_at).map(UnixMillis::to_rfc3339),
            cursor: head.map_or(row.start.cursor, |head| head.cursor),
        }
    }
}

pub(crate) const SHOW: Doc = Doc::new("Show a webhook").shows::<Detailed>();

pub(crate) async fn show(ask: Ask) -> Result<Reply, Problem> {
    let address = named(&ask)?;
    let (known, revision) = look(&ask, address).await?;
    let sealed = sealed(&ask, address).await?;
    let webhook = WebhookId(address.entity.raw);
    let head = ask.engine.row(RowSpace::WebhookDeliveries, ask.org(), webhook.to_bytes().to_vec()).await?;
    let head = head.map(|head| HeadRow::decode_from(&head)).transpose().map_err(corrupt)?;
    let shown = Shown::of(webhook, WebhookRow::of(&known), &sealed, head, ask.now());
    Reply::object(known.changed, &Detailed { shown, revision })
}

async fn look(ask: &Ask, address: Address) -> Result<(Known, u64), Problem> {
    let read = |state: &Webhook, stamp: Stamp| state.known().cloned().map(|known| (known, stamp.revision));
    ask.engine.read(address, read).await?.ok_or_else(|| refused(Refusal::NotFound))
}

async fn sealed(ask: &Ask, address: Address) -> Result<SealedPlain, Problem> {
    Ok(unsealed(ask.engine.open_vault(address, VaultField::WebhookSecret).await?)?)
}

pub(crate) const CHANGE: Doc =
    Doc::new("Change a webhook").takes::<Change>().changed().refuses(&[Code::WebhookChangedMeanwhile]);

pub(crate) async fn change(ask: Ask) -> Result<Reply, Problem> {
    let address = named(&ask)?;
    let body: Change = ask.json()?;
    let mut wrong = Wrong::default();
    let url = body.url.as_deref().map(|url| checked_url(&ask, &mut wrong, url));
    let (known, _) = look(&ask, address).await?;
    let Settings { origin: mut at, description, types } = known.settings;
    let description = body.description.map_or(description, Into::into);
    let types = body.types.map_or(types, boxed);
    check(&mut wrong, &description, &types);
    wrong.check()?;
    let mut resealed = None;
    if let Some(url) = url.flatten() {
        at = origin(&url);
        let mut plain = sealed(&ask, address).await?;
        if plain.url != url.as_str() {
            plain.url = url.into();
            resealed = Some(Zeroizing::new(plain.to_bytes()));
        }
    }
    let settings = Settings { origin: at, description, types };
    let command = Command::Change { base: known.changed, settings, sealed: resealed };
    Reply::ok(&Changed { revision: tell(&ask, address, command).await? })
}

pub(crate) const DELETE: Doc = Doc::new("Remove a webhook").changed();

pub(crate) async fn delete(ask: Ask) -> Result<Reply, Problem> {
    let address = named(&ask)?;
    Reply::ok(&Changed { revision: tell(&ask, address, Command::Delete).await? })
}

pub(crate) const ROTATE: Doc = Doc::new("Change a webhook's secret")
    .details("For 24 hours the secret before it signs too.")
    .takes::<Nothing>()
    .created::<Rotated>()
    .refuses(&[Code::WebhookChangedMeanwhile]);

pub(crate) async fn rotate(ask: Ask) -> Result<Reply, Problem> {
    let Nothing {} = ask.json()?;
    let address = named(&ask)?;
    let secret = Zeroizing::new(ask.mint_secret("webhook secret", 1));
    if let Some(revision) = ask.done_before(ask.org()).await? {
        let until = look(&ask, address).await?.0.previous_until.unwrap_or_default();
        return rotated(&secret, until, revision);
    }
    let (known, _) = look(&ask, address).await?;
    let plain = sealed(&ask, address).await?;
    let until = ask.now().plus(ROTATION);
    let fresh = SealedPlain {
        url: plain.url.clone(),
        secret: secret.to_vec(),
        previous: Some(PreviousSecret { secret: plain.secret.clone(), until }),
    };
    let fresh = Zeroizing::new(fresh.to_bytes());
    let command = Command::Rotate { base: known.changed, sealed: fresh, previous_until: until };
    let revision = tell(&ask, address, command).await?;
    rotated(&secret, until, revision)
}

fn rotated(secret: &[u8; 32], until: UnixMillis, revision: u64) -> Result<Reply, Problem> {
    let previous_secret_until = until.to_rfc3339();
    Reply::created(&Rotated { secret: sign::secret_text(secret), previous_secret_until, revision })
}

pub(crate) const PAUSE: Doc = Doc::new("Pause a webhook").takes::<Nothing>().changed();

pub(crate) async fn pause(ask: Ask) -> Result<Reply, Problem> {
    let Nothing {} = ask.json()?;
    let address = named(&ask)?;
    Reply::ok(&Changed { revision: tell(&ask, address, Command::Pause).await? })
}

pub(crate) const RESUME: Doc = Doc::new("Go on with a paused webhook")
    .details("Where it stopped, with all that is still kept (`oldest`), or with what happens from now on (`now`).")
    .takes::<Resume>()
    .changed()
    .refuses(&[Code::WebhookFeedTrimmed]);

pub(crate) async fn resume(ask: Ask) -> Result<Reply, Problem> {
    let Resume { from } = ask.json()?;
    let address = named(&ask)?;
    let org = ask.org();
    let from = match from {
        None | Some(From::Stopped) => None,
        Some(From::Now) => Some(ask.engine.feed_end(org)),
        Some(From::Oldest) => Some(ask.engine.with_db(move |db, _| db.feed_begin(org)).await?),
    };
    let command = Command::Resume { from: from.map(|from| from.to_string().into()) };
    Reply::ok(&Changed { revision: tell(&ask, address, command).await? })
}

/// Scheme, host and port: what of an address may stand in the history.
fn origin(url: &Url) -> Box<str> {
    url.origin().ascii_serialization().into()
}

fn boxed(types: Vec<String>) -> Vec<Box<str>> {
    types.into_iter().map(Into::into).collect()
}

fn checked_url(ask: &Ask, wrong: &mut Wrong, url: &str) -> Option<Url> {
    let checked: Result<Url, Unreachable> = ask.webhooks().reach.check(url);
    checked.map_err(|why| wrong.add("/url", why.to_string())).ok()
}

fn check<T: AsRef<str>>(wrong: &mut Wrong, description: &str, types: &[T]) {
    if !description.is_empty() {
        text(wrong, "/description", description, DESCRIPTION_MAX);
    }
    wrong.unless(types.len() <= TYPES_MAX, "/types", "expected at most 32 types");
    for (at, name) in types.iter().map(AsRef::as_ref).enumerate().take(TYPES_MAX) {
        let clean = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_.".contains(&byte);
        let is_type = (1..=TYPE_BYTES_MAX).contains(&name.len())
            && name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.bytes().all(clean);
        let detail = "expected a type of events or its beginning, such as `boxes.key`";
        wrong.unless(is_type, &format!("/types/{at}"), detail);
    }
}
