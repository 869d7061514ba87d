//! A request to register a shopper, and a browser that redeems its token: from what was sent to what is answered.

use super::{
    given::Given,
    judge::{Asked, Right, Wrong, account_of, judge, whose_key},
    messages::Message,
    token,
};
use crate::{
    http::{Ask, Code, Problem, auth::hash_of},
    iuv::{
        sessions::{
            self, IuvSession, Pass,
            state::{Accepted, Command, Redemption, Registration, StoreStanding, Told},
        },
        stores::{self, Registry, StoreView, WebStore, state::Why},
        wire::given::Known,
        words::{VerificationKind, guid, shopper_of, store_of_guid},
    },
    kernel::{Address, Codec},
    orgs::Language,
};
use std::{net::IpAddr, sync::Arc};
use zeroize::Zeroizing;

/// What a customer's server is answered.
#[derive(Debug)]
pub enum Answer {
    /// Where the shopper's browser is to go.
    Url(String),
    Refused {
        messages: Vec<Message>,
        language: Language,
    },
    /// Too many wrong keys.
    TooMany {
        retry_after_s: u32,
        language: Language,
    },
    Failed {
        problem: Problem,
        language: Language,
    },
}

/// What a browser is answered.
#[derive(Debug)]
pub enum Redeemed {
    Welcome {
        url: String,
        cookie: String,
    },
    /// Whatever the reason.
    No {
        language: Option<Language>,
    },
    TooMany {
        retry_after_s: u32,
    },
}

/// By the account number, or by the caller where none is given.
pub fn addresses_of(registry: &Registry, given: &Given, caller: Option<IpAddr>) -> Vec<Address> {
    if given.get(Known::Account).is_there() {
        account_of(given).map(|account| registry.of_account(account)).unwrap_or_default()
    } else {
        caller.map(|caller| registry.that_name(caller)).unwrap_or_default()
    }
}

/// The stores that a request may be for.
pub async fn stores_of(ask: &Ask, given: &Given) -> Result<Vec<Arc<StoreView>>, Problem> {
    let addresses = addresses_of(&ask.iuv().registry, given, ask.from);
    let mut found = Vec::with_capacity(addresses.len());
    for address in addresses {
        found.extend(stores::look(&ask.engine, address).await?);
    }
    Ok(found)
}

fn has_iuv(store: &Arc<StoreView>) -> bool {
    store.verifications.iter().any(|of| of.kind == VerificationKind::Iuv)
}

/// In which language a caller is answered: that of the first store that he may mean.
pub fn language_of(candidates: &[Arc<StoreView>]) -> Language {
    let meant = candidates.iter().find(|store| has_iuv(store)).or(candidates.first());
    meant.map_or(Language::It, |store| store.language())
}

/// Registers a shopper, or says what is wrong.
pub async fn register(ask: &Ask, given: &Given) -> Answer {
    let candidates = match stores_of(ask, given).await {
        Ok(candidates) => candidates,
        Err(problem) => return Answer::Failed { problem, language: Language::It },
    };
    let language = language_of(&candidates);
    let (door, now, caller) = (ask.iuv(), ask.now(), ask.from);
    if let Some(caller) = caller
        && let Err(retry_after_s) = door.troubles.wrong_keys.is_open(caller, now)
    {
        return Answer::TooMany { retry_after_s, language };
    }
    match judge(&Asked { given, candidates: &candidates, caller, keys: ask.engine.keys(), now }) {
        Ok(right) => {
            let (store, language) = (right.store.address, right.store.language());
            match open(ask, right).await {
                Ok(url) => Answer::Url(url),
                Err(problem) => {
                    door.troubles.note(store, std::iter::once(Why::Failure), None, now);
                    Answer::Failed { problem, language }
                }
            }
        }
        Err(wrong) => {
            if let Some(caller) = caller.filter(|_| wrong.messages.contains(&Message::Key)) {
                door.troubles.wrong_keys.failed(caller, now);
            }
            note(ask, &candidates, &wrong);
            let language = wrong.store.as_ref().map_or(language, |store| store.language());
            Answer::Refused { messages: wrong.messages, language }
        }
    }
}

/// The store's administrators hear of it, and see callers who are not listed.
fn note(ask: &Ask, candidates: &[Arc<StoreView>], wrong: &Wrong) {
    let is_unlisted = wrong.messages.contains(&Message::Store) && wrong.store.is_none();
    let caller = ask.from.filter(|_| is_unlisted);
    let concerned = match &wrong.store {
        Some(store) => std::slice::from_ref(store),
        None => candidates,
    };
    for store in concerned.iter().filter(|store| has_iuv(store)) {
        let mut why: Vec<_> = wrong.messages.iter().map(Message::why).collect();
        why.dedup();
        ask.iuv().troubles.note(store.address, why.into_iter(), caller, ask.now());
    }
}

/// The session, and the address that opens it.
async fn open(ask: &Ask, right: Right) -> Result<String, Problem> {
    let Right { store, accepted, shopper_ip, attributes } = right;
    let token = Zeroizing::new(ask.engine.chance().bytes());
    let keys = ask.engine.keys();
    let (session, check) = token::session_of(keys, &token);
    let org = store.address.org;
    let pass = Pass {
        store: store.id(),
        shopper: shopper_of(keys, org, store.id(), &attributes.user_name),
        side: accepted.side,
        kind: VerificationKind::Iuv,
        verification: accepted.verification,
    };
    let registration = Registration { pass, key: accepted.key, check, shopper_ip };
    let command = Command::Register { registration, attributes: Zeroizing::new(attributes.to_bytes()) };
    ask.tell_new::<IuvSession>(session.at(org), command, sessions::refused).await?;
    Ok(format!(
        "{}/WebStore/Security/IntegratedSignIn.aspx?token={}&ws={}",
        ask.iuv().base_url(),
        token::escaped(&token),
        guid(store.id())
    ))
}

/// A registration came over plain HTTP: nothing of it is done, but whoever has the key hears of it.
pub async fn exposed(ask: &Ask, given: &Given) -> Language {
    let candidates = stores_of(ask, given).await.unwrap_or_default();
    let now = ask.now();
    if let Some((store, accepted)) = whose_key(given, &candidates, ask.engine.keys(), now) {
        ask.iuv().troubles.note(store.address, std::iter::once(Why::PlainHttp), None, now);
        let known = store.verification(accepted.verification);
        let key = known.and_then(|known| known.key.filter(|key| key.number == accepted.key));
        if !key.is_some_and(|key| key.exposed) {
            let command = stores::state::Command::Exposed { verification: accepted.verification, key: accepted.key };
            // The next one that comes so is noted.
            let _ = ask.tell::<WebStore>(store.address, command, stores::api::refused).await;
        }
    }
    language_of(&candidates)
}

/// Lets a browser in that brings a token, once.
pub async fn redeem(ask: &Ask, query: &[u8]) -> Result<Redeemed, Problem> {
    let (door, now) = (ask.iuv(), ask.now());
    if let Some(from) = ask.from
        && let Err(retry_after_s) = door.troubles.failed_redemptions.is_open(crate::http::block(from), now)
    {
        return Ok(Redeemed::TooMany { retry_after_s });
    }
    let (token, store) = token::in_query(query);
    let store = match store.as_deref().and_then(store_of_guid) {
        Some(store) => stores::find(&ask.engine, &door.registry, store).await?,
        None => None,
    };
    if let (Some(token), Some(store)) = (&token, &store)
        && let Some(welcome) = try_token(ask, token, store).await?
    {
        return Ok(welcome);
    }
    if let Some(from) = ask.from {
        door.troubles.failed_redemptions.failed(crate::http::block(from), now);
    }
    Ok(Redeemed::No { language: store.map(|store| store.language()) })
}

async fn try_token(ask: &Ask, token: &[u8; 32], store: &StoreView) -> Result<Option<Redeemed>, Problem> {
    let (session, check) = token::session_of(ask.engine.keys(), token);
    let address: Address = session.at(store.address.org);
    let secret = ask.engine.chance().bytes();
    let redemption = Redemption {
        check,
        store: store.id(),
        from: ask.from,
        secret: hash_of(&secret),
        lasts: ask.iuv().session_lasts(),
    };
    let command = Command::Redeem { redemption, standing: standing(store, ask) };
    match ask.tell::<IuvSession>(address, command, sessions::refused).await {
        Ok(committed) => match committed.answer {
            Told::Redeemed(pass) => {
                let (door, cookie) = (ask.iuv(), sessions::cookie(address, &secret));
                let cookie = door.set_cookie(&pass, &cookie);
                Ok(Some(Redeemed::Welcome { url: door.home_url(pass.store, pass.side), cookie }))
            }
            Told::Refused(_) | Told::Nothing => Ok(None),
        },
        Err(problem) if problem.code() == Code::NotFound => Ok(None),
        Err(problem) => Err(problem),
    }
}

/// What the store accepts at this moment.
fn standing(store: &StoreView, ask: &Ask) -> StoreStanding {
    let now = ask.now();
    let of_kind = store.verifications.iter().filter(|of| of.kind == VerificationKind::Iuv);
    let at_work = of_kind.filter_map(|of| Some((of, of.opens()?)));
    let accepted = at_work.flat_map(|(of, side)| {
        let keys = of.key.into_iter().chain(of.previous.filter(|old| now < old.until).map(|old| old.key));
        let check_ip = of.settings.check_shopper_ip;
        keys.map(move |key| Accepted { verification: of.number, key: key.number, side, check_ip })
    });
    StoreStanding(accepted.collect())
}
