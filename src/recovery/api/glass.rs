//! Break-glass, as the operator starts it, looks at it and takes it back.

use super::{DIRECTORY, accepted_by_directory, contact::checked_email, refused, terminals};
use crate::{
    http::{Ask, Code, Doc, Problem, Reply},
    kernel::{Address, Codec, InstallationId, OrgId, Stamp, schema::Time},
    orgs::api::{Email, Wrong},
    recovery::{
        Command, ContactPlain, GlassRow, Installation, Minted, Salt, Secret, Stopper,
        words::{self, mark_of_token},
    },
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use zeroize::Zeroizing;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewBreakGlass)]
struct Start {
    /// Whoever owns this mailbox will be able to reset the credentials of administrator 1.
    #[schema(value_type = Email)]
    email: String,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = BreakGlassStage)]
enum Stage {
    /// Nothing was sent to the new address yet.
    Waiting,
    Sent,
    /// Its link has opened the reset terminal.
    Opened,
}

#[derive(Serialize, ToSchema)]
#[schema(as = BreakGlass)]
pub(super) struct Shown {
    stage: Stage,
    #[schema(value_type = Time)]
    started_at: String,
    /// The mail to the new address goes out then.
    #[schema(value_type = Time)]
    due_at: String,
}

impl Shown {
    pub fn of(glass: GlassRow) -> Self {
        Self {
            stage: match glass.stage {
                crate::recovery::GlassStage::Waiting => Stage::Waiting,
                crate::recovery::GlassStage::Sent => Stage::Sent,
                crate::recovery::GlassStage::Opened => Stage::Opened,
            },
            started_at: glass.started.to_rfc3339(),
            due_at: glass.due.to_rfc3339(),
        }
    }
}

/// The installation that the path names, in whatever organisation.
fn named(ask: &Ask) -> Result<Address, Problem> {
    Ok(ask.path::<InstallationId>("installation")?.at(ask.path::<OrgId>("organisation")?))
}

async fn look(ask: &Ask, of: Address) -> Result<Option<(GlassRow, u64)>, Problem> {
    let read = |state: &Installation, stamp: Stamp| {
        state.known().map(|known| known.glass.map(|glass| (GlassRow::of(&glass), stamp.revision)))
    };
    Ok(ask.engine.read(of, read).await?.ok_or(Code::NotFound)?)
}

pub(crate) const START: Doc = Doc::new("Start a reset of administrator 1 to a new address")
    .details(
        "For when mailbox and telephone are both lost. It waits (`recovery.break_glass_wait_s`), is announced at every \
         login and to the recovery contact, and whoever hears of it there stops it with one click.",
    )
    .takes::<Start>()
    .created::<Shown>()
    .refuses(&[Code::NotFound, Code::BreakGlassPending, DIRECTORY[0], DIRECTORY[1]]);

pub(crate) async fn start(ask: Ask) -> Result<Reply, Problem> {
    let of = named(&ask)?;
    let body: Start = ask.json()?;
    let mut wrong = Wrong::default();
    let email = checked_email(&mut wrong, &body.email);
    wrong.check()?;
    let email = email.unwrap_or_default();
    look(&ask, of).await?;
    accepted_by_directory(&ask, of).await?;
    let keys = ask.engine.keys();
    // A repeated request draws the same.
    let salt = Salt::of(ask.mint_secret("break-glass", 0));
    let stop = mark_of_token(keys, of, &words::token(keys, of, salt, Secret::Stop));
    let command = Command::BreakGlass {
        minted: Minted::of(keys, of, salt),
        stop,
        address: Zeroizing::new(ContactPlain { email, telephone: None }.to_bytes()),
        rules: ask.recovery().rules,
    };
    ask.tell_once::<Installation>(of, command, refused).await?;
    let (glass, _) = look(&ask, of).await?.ok_or(Code::NotFound)?;
    Reply::created(&Shown::of(glass))
}

pub(crate) const SHOW: Doc =
    Doc::new("Show the reset to a new address that is under way").shows::<Shown>().refuses(&[Code::NotFound]);

pub(crate) async fn show(ask: Ask) -> Result<Reply, Problem> {
    let (glass, revision) = look(&ask, named(&ask)?).await?.ok_or(Code::NotFound)?;
    Reply::object(revision, &Shown::of(glass))
}

pub(crate) const WITHDRAW: Doc = Doc::new("Take back a reset to a new address").changed().refuses(&[Code::NotFound]);

pub(crate) async fn withdraw(ask: Ask) -> Result<Reply, Problem> {
    let of = named(&ask)?;
    let command = Command::StopGlass { by: Stopper::Operator };
    let revision = ask.tell_once::<Installation>(of, command, refused).await?;
    Reply::ok(&crate::http::Changed { revision })
}

pub(crate) const STOP: Doc = terminals::at(
    Doc::new("Stop the reset that the operator has started").details("Only administrator 1, logged in.").done(),
)
.refuses(&[Code::AuthMissing, Code::AuthInvalid, Code::TooManyFailures, Code::TerminalClosed, Code::NotFound]);

pub(crate) async fn stop(ask: Ask) -> Result<Reply, Problem> {
    let (of, terminal) = terminals::terminal(&ask)?;
    let command = Command::StopGlass { by: Stopper::Terminal(terminal) };
    ask.tell::<Installation>(of, command, terminals::at_terminal).await?;
    Ok(Reply::no_content())
}
