//! Exchanges that a box asks for before it opens a bin: `/box/v1/exchanges`.

use super::{
    super::{
        passes,
        wire::{refused, token, unknown},
    },
    met, one_of,
};
use crate::{
    boxes::{
        self, Act, Answer, Asked, Bearer, Command, Decision, End, Fob, KeyRow, Label, OnlineAnswer, OnlineCommand,
        Second, SecondFactor, SecretHash, Signed, SignedPass, Size, SmartBox, TextSalt, TextedCode,
    },
    http::{Ask, Code, Doc, Problem, Reply, auth::BoxToken},
    kernel::{
        ClaimSpace, Codec, EntityId, EntityKind, ExchangeId, KeyId, KeyedHash, PersonId, RowSpace, VaultField,
        schema::{Text, Whole64},
    },
    orgs::{
        ProfilePlain,
        api::{is_text, people},
        person::Person,
    },
};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use subtle::ConstantTimeEq;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, Schema},
};

/// What may be typed at a keypad, and what a badge's reader gives.
const SHOWN_MAX: usize = 120;
/// What stands in a QR code.
const QR_MAX: usize = 1_000;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ExchangeAsked)]
struct Create {
    kind: Kind,
    of: Of,
    /// With a drop-off of a fob that no key has: the key that hangs on it.
    key: Option<KeyId>,
    /// What was typed or shown. None: a quick scan.
    by: Option<By>,
    /// Where the box's settings want a second factor: the PIN, or the code that came by text.
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

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum By {
    /// As it was typed at the keypad, whatever it is.
    Code(Typed),
    Badge(Typed),
    /// What stands in a QR code: a pass, or who somebody is.
    Qr(Scanned),
}

impl PartialSchema for By {
    fn schema() -> RefOr<Schema> {
        let fields = [("code", Typed::name().into()), ("badge", Typed::name().into()), ("qr", Scanned::name().into())];
        one_of(&fields).into()
    }
}

impl ToSchema for By {
    fn name() -> Cow<'static, str> {
        "ExchangeBy".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.extend([met::<Typed>(), met::<Scanned>()]);
    }
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

#[derive(Deserialize)]
#[serde(transparent)]
struct Scanned(String);

impl PartialSchema for Scanned {
    fn schema() -> RefOr<Schema> {
        Text::<QR_MAX>::schema()
    }
}

impl ToSchema for Scanned {
    fn name() -> Cow<'static, str> {
        "QrScanned".into()
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
    Code::BinsTooSmall,
    Code::ExchangeUnderWay,
    Code::ExchangeEnded,
    Code::PassUsed,
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
    holds(&ask, token).await?;
    let (fob, size) = match (body.of, body.kind) {
        (Of::Fob(fob), Kind::PickUp) => (fob, None),
        (Of::Fob(fob), Kind::DropOff) => (fob, size_of(&ask, token, fob).await?),
        (Of::Key(key), kind) => key_of(&ask, key, kind).await?,
    };
    let act = match body.kind {
        Kind::PickUp => Act::PickUp(fob),
        Kind::DropOff => Act::DropOff(fob),
    };
    let (by, shown) = behind(&ask, body.by.as_ref()).await?;
    if let (Bearer::Signed(signed), Act::PickUp(_)) = (&by, act) {
        borrow(&ask, token, signed).await?;
    }
    let second = match (by.person(), act) {
        (Some(person), Act::PickUp(_)) => second(&ask, token, person, body.pin.as_ref()).await?,
        _ => Second::default(),
    };
    let id = ExchangeId(ask.mint_id("exchange", 0));
    let asked = Asked { id, act, by, shown, size, named: body.key, second, head: body.journal_head };
    let command = Command::Online(OnlineCommand::Ask { token_hash: SecretHash(token.hash), asked: Box::new(asked) });
    let told = ask.tell::<SmartBox>(token.address(), command, refused).await.map_err(unknown)?;
    match told.answer {
        Answer::Online(OnlineAnswer::Decided(Decision { id, bin, fob, person, until })) => {
            Reply::created(&Decided { exchange: id, bin, fob, person, until_ms: until.0, server_ms: ask.now().0 })
        }
        Answer::Online(OnlineAnswer::Texted) => Err(Code::SecondFactorNeeded.into()),
        Answer::Online(OnlineAnswer::Unknown) => Err(Code::CredentialUnknown.into()),
        _ => Err(Code::Internal.into()),
    }
}

/// Whoever has no box hears no more, by words or by time, and has no pass lent. The box's actor asks again.
async fn holds(ask: &Ask, token: BoxToken) -> Result<(), Problem> {
    let hash = SecretHash(token.hash);
    let held = ask.engine.read(token.address(), move |state: &SmartBox, _| state.check_token(&hash)).await;
    held.map_err(|failure| unknown(failure.into()))?.map_err(refused)
}

/// What was typed besides, and what a new code would be made of, as far as this box wants any of it.
async fn second(ask: &Ask, token: BoxToken, person: PersonId, typed: Option<&Typed>) -> Result<Second, Problem> {
    let read = move |state: &SmartBox, _| (state.settings().second_factor, state.texted(person));
    let (wanted, sent) = ask.engine.read(token.address(), read).await?;
    match (wanted, typed) {
        (SecondFactor::None, _) | (SecondFactor::Pin, None) => Ok(Second::default()),
        (SecondFactor::Pin, Some(Typed(pin))) => {
            Ok(Second { pin: people::is_pin_of(ask, person, pin).await?, ..Second::default() })
        }
        (SecondFactor::Sms, Some(Typed(code))) => {
            let text = sent.map(|texted| {
                let right = TextedCode { smart_box: token.smart_box, texted }.code(ask.engine.keys());
                // Of equal length, whatever was typed.
                let mark = |code: &str| ask.engine.keys().keyed_hash("boxes.code_typed", &[code.as_bytes()]);
                (texted.salt, bool::from(mark(&right).ct_eq(&mark(code))))
            });
            // Without one that was sent, what was typed is wrong.
            Ok(Second { text: text.or(Some((TextSalt([0; 16]), false))), ..Second::default() })
        }
        (SecondFactor::Sms, None) => {
            let profile: ProfilePlain = people::open(ask, person.at(ask.org()), VaultField::Profile).await?;
            let mut salt = [0; 16];
            salt.copy_from_slice(&ask.mint_secret("code by text", 0)[..16]);
            Ok(Second { new: profile.mobile.map(|_| TextSalt(salt)), ..Second::default() })
        }
    }
}

/// How large a key is that is at home elsewhere.
async fn size_of(ask: &Ask, token: BoxToken, fob: Fob) -> Result<Option<Size>, Problem> {
    let (space, value) = boxes::fob_claim(&fob);
    let home = ask.engine.claim_holder(space, ask.org(), &value).await?;
    let Some(home) = home.filter(|home| *home != token.address()) else { return Ok(None) };
    Ok(ask.engine.read(home, move |state: &SmartBox, _| state.size_of(&fob)).await?)
}

async fn key_of(ask: &Ask, key: KeyId, kind: Kind) -> Result<(Fob, Option<Size>), Problem> {
    let row = ask.engine.row(RowSpace::Keys, ask.org(), key.to_bytes().to_vec()).await?;
    let row = row.ok_or_else(|| Problem::detailed(Code::NotFound, "no such key"))?;
    let row = KeyRow::decode_from(&row).map_err(|why| Problem::detailed(Code::Internal, why))?;
    match (row.fob, kind) {
        (Some(fob), _) => Ok((fob, row.size)),
        (None, Kind::PickUp) => Err(Code::KeyNotHere.into()),
        (None, Kind::DropOff) => {
            Err(Problem::field("/of/key", "no fob of this key is known yet: name the fob, and this key beside it"))
        }
    }
}

/// Who stands behind what was typed or shown, and by what they are known.
async fn behind(ask: &Ask, by: Option<&By>) -> Result<(Bearer, Option<boxes::By>), Problem> {
    let (space, shown, at) = match by {
        None => return Ok((Bearer::Anonymous, None)),
        Some(By::Code(Typed(code))) => (ClaimSpace::AccessCode, code, "/by/code"),
        Some(By::Badge(Typed(badge))) => (ClaimSpace::Badge, badge, "/by/badge"),
        Some(By::Qr(Scanned(text))) => return scanned(ask, text).await,
    };
    if !is_text(shown, SHOWN_MAX) {
        return Err(Problem::field(at, "expected 1 to 120 characters on one line"));
    }
    let bearer = match people::holder(ask, space, shown).await? {
        Some((EntityId { kind: EntityKind::Person, raw }, mark)) => {
            let person = PersonId(raw);
            let booked = move |state: &Person, _| {
                let bookings = state.known().map_or(&[][..], |known| &known.bookings);
                let told = bookings.iter().filter(|booking| booking.mark == mark);
                told.map(|booking| booking.access).collect::<Box<[_]>>()
            };
            let accesses = ask.engine.read(person.at(ask.org()), booked).await?;
            if accesses.is_empty() { Bearer::Person(person) } else { Bearer::Booking(person, accesses) }
        }
        Some((EntityId { kind: EntityKind::SmartBox, .. }, mark)) => Bearer::KeyCode(mark),
        _ => Bearer::Nobody,
    };
    let shown = match bearer {
        Bearer::Person(_) if space == ClaimSpace::Badge => Some(boxes::By::Badge),
        Bearer::Person(_) => Some(boxes::By::AccessCode),
        Bearer::Booking(..) => Some(boxes::By::BookingCode),
        Bearer::KeyCode(_) => Some(boxes::By::KeyCode),
        Bearer::Signed(_) | Bearer::Nobody | Bearer::Anonymous => None,
    };
    Ok((bearer, shown))
}

/// What the organisation has signed, and what its pass was signed for.
async fn scanned(ask: &Ask, text: &str) -> Result<(Bearer, Option<boxes::By>), Problem> {
    if !is_text(text, QR_MAX) {
        return Err(Problem::field("/by/qr", "expected 1 to 1000 characters on one line"));
    }
    let org = ask.org();
    // Whoever's organisation is gone hears of its token.
    let offline = passes::chosen(ask, org).await.map_err(unknown)?;
    let claims = boxes::read(text, &passes::keys(ask, org, &offline)?, ask.now());
    let Some(claims) = claims.filter(|claims| claims.organisation == org) else { return Ok((Bearer::Nobody, None)) };
    let signed = Signed { person: claims.person, from: claims.from, until: claims.until, pass: None };
    let Some(permission) = claims.permission else {
        return Ok((Bearer::Signed(signed), Some(boxes::By::PersonalQr)));
    };
    let id = claims.id;
    let known = match ask.engine.claim_holder(ClaimSpace::Pass, org, &id.to_bytes()).await? {
        Some(signer) => ask.engine.read(signer, move |state: &SmartBox, _| state.pass(id)).await?,
        None => None,
    };
    let pass = Some(SignedPass { id, permission, access: known.map(|pass| pass.access) });
    Ok((Bearer::Signed(Signed { pass, ..signed }), Some(boxes::By::Pass(id))))
}

/// A pass that another box has signed is asked of that one first: it is good once, wherever it is shown.
async fn borrow(ask: &Ask, token: BoxToken, signed: &Signed) -> Result<(), Problem> {
    // One for another box alone opens nothing here. One for this box may have been signed where its key was before.
    let holds_here = |pass: &&SignedPass| pass.permission.smart_box.is_none_or(|only| only == token.smart_box);
    let Some(pass) = signed.pass.as_ref().filter(holds_here) else { return Ok(()) };
    let signer = ask.engine.claim_holder(ClaimSpace::Pass, ask.org(), &pass.id.to_bytes()).await?;
    let Some(signer) = signer.filter(|signer| *signer != token.address()) else { return Ok(()) };
    let command = OnlineCommand::Lend { pass: pass.id, to: token.smart_box };
    ask.tell::<SmartBox>(signer, Command::Online(command), refused).await.map(drop)
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
