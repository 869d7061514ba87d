//! Exchanges that a box asks for before it opens a bin: `/box/v1/exchanges`.

use super::{
    super::wire::{refused, token, unknown},
    met, one_of,
};
use crate::{
    boxes::{
        Act, Answer, Asked, Bearer, Command, Decision, End, Fob, KeyRow, Label, OnlineAnswer, OnlineCommand,
        SecretHash, SmartBox,
    },
    http::{Ask, Code, Doc, Problem, Reply},
    kernel::{
        ClaimSpace, Codec, EntityId, EntityKind, ExchangeId, KeyId, PersonId, RowSpace,
        schema::{Text, Whole64},
    },
    orgs::{api::people, person::Person},
};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, Schema},
};

/// What may be typed at a keypad, and what a badge's reader gives.
const SHOWN_MAX: usize = 120;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ExchangeAsked)]
struct Create {
    kind: Kind,
    of: Of,
    /// What was typed or shown. None: a quick scan.
    by: Option<By>,
    /// Where the box's settings want a second factor.
    pin: Option<Typed>,
    /// The last sequence number that the box has ever written; none: 0.
    #[schema(value_type = Whole64)]
    journal_head: u64,
}

#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ExchangeKind)]
enum Kind {
    PickUp,
    DropOff,
}

/// The key, or the fob that it hangs on.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Of {
    Fob(Fob),
    Key(KeyId),
}

impl PartialSchema for Of {
    fn schema() -> RefOr<Schema> {
        one_of(&[("fob", Fob::name().into()), ("key", KeyId::name().into())]).into()
    }
}

impl ToSchema for Of {
    fn name() -> Cow<'static, str> {
        "ExchangeOf".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.extend([met::<Fob>(), met::<KeyId>()]);
    }
}

impl PartialSchema for By {
    fn schema() -> RefOr<Schema> {
        one_of(&[("code", Typed::name().into()), ("badge", Typed::name().into())]).into()
    }
}

impl ToSchema for By {
    fn name() -> Cow<'static, str> {
        "ExchangeBy".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push(met::<Typed>());
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum By {
    /// As it was typed at the keypad, whatever it is.
    Code(Typed),
    Badge(Typed),
}

#[derive(Deserialize)]
#[serde(transparent)]
struct Typed(String);

impl PartialSchema for Typed {
    fn schema() -> RefOr<Schema> {
        Text::<SHOWN_MAX>::schema()
    }
}

impl ToSchema for Typed {
    fn name() -> Cow<'static, str> {
        "CredentialTyped".into()
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = ExchangeDecided)]
struct Decided {
    exchange: ExchangeId,
    /// Open this one.
    bin: Label,
    fob: Fob,
    /// `null`: somebody anonymous.
    person: Option<PersonId>,
    /// What has not been said to be completed by then has not happened.
    until_ms: u64,
    server_ms: u64,
}

const REFUSES: &[Code] = &[
    Code::Invalid,
    Code::BoxReconciling,
    Code::TooManyWrongCodes,
    Code::CredentialUnknown,
    Code::PersonNeeded,
    Code::ExchangeNotPermitted,
    Code::SecondFactorNeeded,
    Code::KeyNotHere,
    Code::KeyInBin,
    Code::BinClosed,
    Code::OnlyProtectedLeft,
    Code::NoFreeBin,
    Code::ExchangeUnderWay,
    Code::ExchangeEnded,
    Code::NotFound,
];

pub(crate) const CREATE: Doc = Doc::new("Ask before a bin is opened")
    .details("The server decides and picks the bin, and waits 20 seconds for `completed` or `cancelled`.")
    .takes::<Create>()
    .created::<Decided>()
    .refuses(REFUSES);

pub(crate) async fn create(ask: Ask) -> Result<Reply, Problem> {
    let token = token(&ask)?;
    let body: Create = ask.json()?;
    let fob = match body.of {
        Of::Fob(fob) => fob,
        Of::Key(key) => fob_of(&ask, key).await?,
    };
    let act = match body.kind {
        Kind::PickUp => Act::PickUp(fob),
        Kind::DropOff => Act::DropOff(fob),
    };
    let by = behind(&ask, body.by.as_ref()).await?;
    let second = match (&by, &body.pin) {
        (Bearer::Person(person) | Bearer::Booking(person, _), Some(Typed(pin))) => {
            people::is_pin_of(&ask, *person, pin).await?
        }
        _ => None,
    };
    let id = ExchangeId(ask.mint_id("exchange", 0));
    let asked = Asked { id, act, by, second, head: body.journal_head };
    let command = Command::Online(OnlineCommand::Ask { token_hash: SecretHash(token.hash), asked });
    let told = ask.tell::<SmartBox>(token.address(), command, refused).await.map_err(unknown)?;
    match told.answer {
        Answer::Online(OnlineAnswer::Decided(Decision { id, bin, fob, person, until })) => {
            Reply::created(&Decided { exchange: id, bin, fob, person, until_ms: until.0, server_ms: ask.now().0 })
        }
        Answer::Online(OnlineAnswer::Unknown) => Err(Code::CredentialUnknown.into()),
        _ => Err(Code::Internal.into()),
    }
}

async fn fob_of(ask: &Ask, key: KeyId) -> Result<Fob, Problem> {
    let row = ask.engine.row(RowSpace::Keys, ask.org(), key.to_bytes().to_vec()).await?;
    let row = row.ok_or_else(|| Problem::detailed(Code::NotFound, "no such key"))?;
    let row = KeyRow::decode_from(&row).map_err(|why| Problem::detailed(Code::Internal, why))?;
    Ok(row.fob)
}

/// Who stands behind what was typed or shown.
async fn behind(ask: &Ask, by: Option<&By>) -> Result<Bearer, Problem> {
    let (space, shown, at) = match by {
        None => return Ok(Bearer::Anonymous),
        Some(By::Code(Typed(code))) => (ClaimSpace::AccessCode, code, "/by/code"),
        Some(By::Badge(Typed(badge))) => (ClaimSpace::Badge, badge, "/by/badge"),
    };
    if !crate::orgs::api::is_text(shown, SHOWN_MAX) {
        return Err(Problem::field(at, "expected 1 to 120 characters on one line"));
    }
    Ok(match people::holder(ask, space, shown).await? {
        Some((EntityId { kind: EntityKind::Person, raw }, mark)) => {
            let person = PersonId(raw);
            let booked = move |state: &Person, _| {
                let bookings = state.known().map_or(&[][..], |known| &known.bookings);
                bookings.iter().find(|booking| booking.mark == mark).map(|booking| booking.access)
            };
            let access = ask.engine.read(person.at(ask.org()), booked).await?;
            access.map_or(Bearer::Person(person), |access| Bearer::Booking(person, access))
        }
        Some((EntityId { kind: EntityKind::SmartBox, .. }, mark)) => Bearer::KeyCode(mark),
        _ => Bearer::Nobody,
    })
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ExchangeCompleted)]
struct Complete {
    /// What was really taken or left, if another fob than was asked for.
    fob: Option<Fob>,
}

pub(crate) const COMPLETE: Doc = Doc::new("Say that an exchange has happened")
    .details("Later than 20 seconds after it was asked for, the journal says it.")
    .takes::<Complete>()
    .done()
    .refuses(&[Code::ExchangeEnded]);

pub(crate) async fn complete(ask: Ask) -> Result<Reply, Problem> {
    let Complete { fob } = ask.json()?;
    conclude(&ask, End::Completed { fob }).await
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ExchangeCancelled)]
struct Cancel {}

pub(crate) const CANCEL: Doc =
    Doc::new("Say that an exchange has not happened").takes::<Cancel>().done().refuses(&[Code::ExchangeEnded]);

pub(crate) async fn cancel(ask: Ask) -> Result<Reply, Problem> {
    let Cancel {} = ask.json()?;
    conclude(&ask, End::Cancelled).await
}

async fn conclude(ask: &Ask, end: End) -> Result<Reply, Problem> {
    let token = token(ask)?;
    let exchange = ask.path("exchange")?;
    let command = OnlineCommand::Conclude { token_hash: SecretHash(token.hash), exchange, end };
    ask.tell::<SmartBox>(token.address(), Command::Online(command), refused).await.map_err(unknown)?;
    Ok(Reply::no_content())
}
