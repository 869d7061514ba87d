//! One store, and the list of them.

use super::{
    look, secrets_of,
    shapes::{
        Account, ClassCodeShape, Domain, GroupCode, GroupGiven, Guid, HeaderName, MemberCodeShape, Name, NetworkText,
        Sector, StoreUrl, SystemName,
    },
};
use crate::{
    http::{Ask, Doc, List, Problem, Reply},
    iuv::{
        stores::{
            StoreRow,
            rows::SecretsPlain,
            state::{GroupClass, Headers, Member, Verification},
            view::{StoreView, home_path},
        },
        words::{Side, VerificationKind, VerificationState, guid},
    },
    kernel::{RowSpace, Stamp, StoreId, UnixMillis, schema::Time},
    orgs::{Language, api::Email},
    store::StoreError,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

#[derive(Serialize, ToSchema)]
#[schema(as = StoreListed)]
struct Listed {
    store: StoreId,
    #[schema(value_type = Guid)]
    guid: String,
    #[schema(value_type = Account)]
    account: String,
    #[schema(value_type = SystemName)]
    system_name: Box<str>,
    #[schema(value_type = Name)]
    name: Box<str>,
    language: Language,
    academic: bool,
    #[schema(value_type = Time)]
    created_at: String,
}

impl Listed {
    fn of(store: StoreId, row: StoreRow) -> Self {
        let StoreRow { description, created, .. } = row;
        Self {
            store,
            guid: guid(store),
            account: format!("{:09}", description.account),
            system_name: description.system_name,
            name: description.name,
            language: description.language,
            academic: description.academic,
            created_at: created.to_rfc3339(),
        }
    }
}

const COLUMNS: [&str; 8] = ["store", "guid", "account", "system_name", "name", "language", "academic", "created_at"];

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct Filter {
    /// The whole system name; upper and lower case alike
    system_name: Option<String>,
}

pub(crate) const LIST: Doc = Doc::new("List web stores").query::<Filter>().exports::<Listed, StoreId>();

pub(crate) async fn list(ask: Ask) -> Result<Reply, Problem> {
    let (page, filter) = ask.list_query::<Filter>()?;
    let list = List::of_rows(&COLUMNS, (RowSpace::Stores, ask.org(), Vec::new()), move |_, key, row: StoreRow| {
        let store = StoreId::from_bytes(key)
            .ok_or_else(|| StoreError::Corrupt { what: "store", why: "its row's key".to_owned() })?;
        let wanted = filter.system_name.as_deref();
        let passes = wanted.is_none_or(|wanted| row.description.system_name.eq_ignore_ascii_case(wanted));
        Ok(passes.then(|| Listed::of(store, row)))
    });
    ask.list::<StoreId, _>(list, &page).await
}

#[derive(Serialize, ToSchema)]
#[schema(as = Store)]
struct Shown {
    #[serde(flatten)]
    listed: Listed,
    /// Where shoppers find it.
    #[schema(value_type = StoreUrl)]
    url: String,
    /// The same store with what is in `test`; orders there are test orders.
    #[schema(value_type = StoreUrl)]
    test_url: String,
    classes: Vec<ClassShown>,
    members: Vec<MemberShown>,
    verifications: Vec<VerificationShown>,
    revision: u64,
}

#[derive(Serialize, ToSchema)]
#[schema(as = UserGroupClass)]
struct ClassShown {
    #[schema(value_type = ClassCodeShape)]
    class: Box<str>,
    groups: Vec<GroupShown>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = StoreUserGroup)]
struct GroupShown {
    #[schema(value_type = GroupCode)]
    group: Box<str>,
    #[schema(value_type = Name)]
    name: Box<str>,
}

impl From<&GroupClass> for ClassShown {
    fn from(class: &GroupClass) -> Self {
        let groups =
            class.groups.iter().map(|group| GroupShown { group: group.code.clone(), name: group.name.clone() });
        Self { class: class.code.clone(), groups: groups.collect() }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = MemberOrganisation)]
struct MemberShown {
    #[schema(value_type = MemberCodeShape)]
    member: Box<str>,
    #[schema(value_type = Name)]
    name: Box<str>,
}

impl From<&Member> for MemberShown {
    fn from(member: &Member) -> Self {
        Self { member: member.code.clone(), name: member.name.clone() }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = Verification)]
struct VerificationShown {
    verification: u32,
    kind: VerificationKind,
    state: VerificationState,
    /// It has what it takes to be active.
    ready: bool,
    #[schema(value_type = Option<StoreUrl>)]
    external_url: Option<Box<str>>,
    #[schema(value_type = Vec<NetworkText>)]
    callers: Vec<String>,
    check_shopper_ip: bool,
    italian_action: bool,
    #[schema(value_type = Sector)]
    sector: Box<str>,
    expires_in_days: Option<u32>,
    headers: HeadersShown,
    #[schema(value_type = Vec<Domain>)]
    domains: Vec<Box<str>>,
    groups: Vec<GroupGiven>,
    #[schema(value_type = Vec<Email>)]
    administrators: Vec<String>,
    key: Option<KeyShown>,
    /// Until when the key before is still accepted.
    #[schema(value_type = Option<Time>)]
    previous_key_until: Option<String>,
    /// What an administrator should know.
    warnings: Vec<&'static str>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ShibbolethHeaders)]
struct HeadersShown {
    #[schema(value_type = HeaderName)]
    user_name: Box<str>,
    #[schema(value_type = HeaderName)]
    email: Box<str>,
    #[schema(value_type = HeaderName)]
    last_name: Box<str>,
    #[schema(value_type = HeaderName)]
    first_name: Box<str>,
    #[schema(value_type = HeaderName)]
    groups: Box<str>,
}

impl From<&Headers> for HeadersShown {
    fn from(headers: &Headers) -> Self {
        let Headers { user_name, email, last_name, first_name, groups } = headers.clone();
        Self { user_name, email, last_name, first_name, groups }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = IuvKeyStanding)]
struct KeyShown {
    number: u32,
    /// Shorter than 128 bits: holds only together with a list of callers.
    short: bool,
    /// It has come over plain HTTP: generate a new one.
    exposed: bool,
}

impl VerificationShown {
    fn of(of: &Verification, secrets: &SecretsPlain, now: UnixMillis) -> Self {
        let settings = &of.settings;
        let has_details = !settings.sector.is_empty() || settings.expires_in_days.is_some();
        let key = of.key.map(|key| KeyShown { number: key.number, short: key.is_short, exposed: key.exposed });
        let warnings = [
            (has_details, "`sector` and `expires_in_days` are kept and change nothing"),
            (key.as_ref().is_some_and(|key| key.exposed), "the key has come over plain HTTP: generate a new one"),
            (key.as_ref().is_some_and(|key| key.short), "the key is short: generate one with 128 bits"),
        ];
        Self {
            verification: of.number,
            kind: of.kind,
            state: of.state,
            ready: of.is_ready(),
            external_url: settings.external_url.clone(),
            callers: settings.callers.iter().map(ToString::to_string).collect(),
            check_shopper_ip: settings.check_shopper_ip,
            italian_action: settings.italian_action,
            sector: settings.sector.clone(),
            expires_in_days: settings.expires_in_days,
            headers: (&settings.headers).into(),
            domains: settings.domains.clone(),
            groups: settings.groups.iter().map(Into::into).collect(),
            administrators: secrets.of(of.number).map(|of| of.administrators.clone()).unwrap_or_default(),
            key,
            previous_key_until: of.previous.filter(|old| now < old.until).map(|old| old.until.to_rfc3339()),
            warnings: warnings.into_iter().filter(|(is, _)| *is).map(|(_, says)| says).collect(),
        }
    }
}

pub(crate) const SHOW: Doc = Doc::new("Show a web store").shows::<Shown>();

pub(crate) async fn show(ask: Ask) -> Result<Reply, Problem> {
    let view = look(&ask).await?;
    let secrets = secrets_of(&ask, view.address).await?;
    let read = |_: &crate::iuv::stores::WebStore, stamp: Stamp| stamp.revision;
    let revision = ask.engine.read(view.address, read).await?;
    let StoreView { address: _, description, created, changed, classes, members, verifications, .. } = &*view;
    let url = |side| format!("{}{}", ask.iuv().base_url(), home_path(view.id(), side));
    let row = StoreRow { description: description.clone(), created: *created, callers: Vec::new() };
    let now = ask.now();
    let shown = Shown {
        listed: Listed::of(view.id(), row),
        url: url(Side::Real),
        test_url: url(Side::Test),
        classes: classes.iter().map(Into::into).collect(),
        members: members.iter().map(Into::into).collect(),
        verifications: verifications.iter().map(|of| VerificationShown::of(of, &secrets, now)).collect(),
        revision,
    };
    Reply::object(*changed, &shown)
}
