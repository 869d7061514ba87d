//! Verification types on the administration's pages: their states, settings, keys, and callers that were refused.

use super::{
    desk::{Desk, Done, Said},
    frames::{KeySeen, RefusedSeen, TypeListed, TypedSettings, VerificationPage, VerificationsPage},
};
use crate::{
    http::Problem,
    iuv::{
        Group, Side, VerificationKind, VerificationState,
        stores::{
            self, Headers, Verification, WebStore,
            api::{keys, verifications},
            state::ACADEMIC_STATUSES,
        },
    },
};
use askama::Template;
use serde_json::{Value, json};

/// What a key page shows beside what is stored.
#[derive(Default)]
struct KeyText {
    text: String,
    note: Option<&'static str>,
}

pub(super) fn group_lines<'g>(groups: impl IntoIterator<Item = &'g Group>) -> String {
    groups.into_iter().map(|group| format!("{}:{}", group.class, group.code)).collect::<Vec<_>>().join("\n")
}

/// `class:group`, or a group of `academic_statuses` alone, as the API takes it.
pub(super) fn groups_given(lines: &[&str]) -> Vec<Value> {
    let group = |line: &&str| {
        let (class, group) = line.split_once(':').unwrap_or((ACADEMIC_STATUSES, line));
        json!({"class": class.trim(), "group": group.trim()})
    };
    lines.iter().map(group).collect()
}

impl Desk<'_> {
    fn listed(&self, of: &Verification) -> TypeListed {
        let w = self.w;
        let all = [
            (VerificationState::Active, w.activate),
            (VerificationState::Test, w.to_test),
            (VerificationState::Inactive, w.deactivate),
        ];
        let others = all.into_iter().filter(|(state, _)| *state != of.state);
        TypeListed {
            number: of.number,
            kind: w.kind(of.kind),
            state: w.state(of.state),
            actions: others.map(|(state, says)| (state.name(), says)).collect(),
        }
    }

    pub async fn verifications(&self, said: Said) -> Done {
        let (frame, desk) = self.frames("admin-verifications", self.w.verification, &said).await?;
        let view = &self.scene.view;
        let may_add =
            |kind: &VerificationKind| kind.is_single_sign_on() || view.verifications.iter().all(|of| of.kind != *kind);
        let page = VerificationsPage {
            f: &frame,
            d: &desk,
            types: view.verifications.iter().map(|of| self.listed(of)).collect(),
            kinds: VerificationKind::ALL
                .into_iter()
                .filter(may_add)
                .map(|kind| (kind.name(), self.w.kind(kind)))
                .collect(),
            test_url: self.scene.browser.ask.iuv().home_url(self.scene.store(), Side::Test),
        };
        self.render(said.status, page.render())
    }

    pub async fn add_verification(&self) -> Done {
        match self.ask(Vec::new(), &json!({"kind": self.typed("kind")}), verifications::add).await? {
            Ok(added) => self.done(&format!("verifications/{}", added["verification"].as_u64().unwrap_or_default())),
            Err(said) => self.verifications(said).await,
        }
    }

    fn found(&self, number: &str) -> Option<&Verification> {
        self.scene.view.verification(number.parse().ok()?)
    }

    pub async fn verification(&self, number: &str, said: Said) -> Done {
        match self.found(number) {
            Some(of) => self.type_page(of, said, None, KeyText::default()).await,
            None => self.message(404, self.scene.t().missing),
        }
    }

    async fn type_page(&self, of: &Verification, said: Said, typed: Option<TypedSettings>, key: KeyText) -> Done {
        let (frame, desk) = self.frames("admin-verification", self.w.kind(of.kind), &said).await?;
        let typed = match typed {
            Some(typed) => typed,
            None => self.as_set(of).await?,
        };
        let (engine, now) = (&self.scene.browser.ask.engine, self.scene.browser.ask.now());
        let read = |state: &WebStore, _| state.known().map(|known| known.refused.clone()).unwrap_or_default();
        let refused = match of.kind {
            VerificationKind::Iuv => engine.read(self.scene.view.address, read).await?,
            _ => Vec::new(),
        };
        let unlisted = refused.iter().rev().filter(|caller| !of.names(Some(caller.address)));
        let page = VerificationPage {
            f: &frame,
            d: &desk,
            of: self.listed(of),
            kind: of.kind,
            account: format!("{:09}", self.scene.view.description.account),
            typed,
            key: KeySeen {
                saved: of.key.is_some(),
                short: of.key.is_some_and(|key| key.is_short),
                exposed: of.key.is_some_and(|key| key.exposed),
                previous_until: of.previous.filter(|old| now < old.until).map(|old| old.until.to_rfc3339()),
                text: &key.text,
                note: key.note,
            },
            refused: unlisted
                .map(|caller| RefusedSeen {
                    address: caller.address.to_string(),
                    at: caller.at.to_rfc3339(),
                    count: caller.count,
                })
                .collect(),
        };
        self.render(said.status, page.render())
    }

    async fn as_set(&self, of: &Verification) -> Result<TypedSettings, Problem> {
        let secrets = stores::api::secrets_of(self.scene.browser.ask, self.scene.view.address).await?;
        let settings = &of.settings;
        let callers: Vec<_> = settings.callers.iter().map(ToString::to_string).collect();
        Ok(TypedSettings {
            external_url: settings.external_url.as_deref().unwrap_or_default().to_owned(),
            callers: callers.join("\n"),
            administrators: secrets.of(of.number).map(|of| of.administrators.join("\n")).unwrap_or_default(),
            check_shopper_ip: settings.check_shopper_ip,
            italian_action: settings.italian_action,
            headers: settings.headers.clone(),
            domains: settings.domains.join("\n"),
            groups: group_lines(&settings.groups),
            sector: settings.sector.to_string(),
            expires_in_days: settings.expires_in_days.map(|days| days.to_string()).unwrap_or_default(),
        })
    }

    /// The form as it came, for whoever has to mend it.
    fn as_typed(&self) -> TypedSettings {
        let own = |name: &str| self.typed(name).to_owned();
        let header = |name: &str| self.typed(name).into();
        TypedSettings {
            external_url: own("external_url"),
            callers: own("callers"),
            administrators: own("administrators"),
            check_shopper_ip: self.is_checked("check_shopper_ip"),
            italian_action: self.is_checked("italian_action"),
            headers: Headers {
                user_name: header("header_user_name"),
                email: header("header_email"),
                last_name: header("header_last_name"),
                first_name: header("header_first_name"),
                groups: header("header_groups"),
            },
            domains: own("domains"),
            groups: own("groups"),
            sector: own("sector"),
            expires_in_days: own("expires_in_days"),
        }
    }

    /// What the form of this kind changes, as the API takes it.
    fn settings_given(&self, kind: VerificationKind) -> Value {
        let url = Some(self.typed("external_url")).filter(|url| !url.is_empty());
        let callers = || self.lines("callers");
        let groups = || groups_given(&self.lines("groups"));
        match kind {
            VerificationKind::Iuv => json!({
                "external_url": url, "callers": callers(), "administrators": self.lines("administrators"),
                "check_shopper_ip": self.is_checked("check_shopper_ip"),
                "italian_action": self.is_checked("italian_action"),
            }),
            VerificationKind::Shibboleth => json!({
                "external_url": url, "callers": callers(), "groups": groups(),
                "italian_action": self.is_checked("italian_action"),
                "headers": {
                    "user_name": self.typed("header_user_name"), "email": self.typed("header_email"),
                    "last_name": self.typed("header_last_name"), "first_name": self.typed("header_first_name"),
                    "groups": self.typed("header_groups"),
                },
            }),
            VerificationKind::EmailDomain => {
                let domains: Vec<_> = self.lines("domains").iter().map(|domain| domain.to_lowercase()).collect();
                json!({"domains": domains, "groups": groups()})
            }
            VerificationKind::UserImport => json!({}),
        }
    }

    fn details_given(&self) -> Value {
        let days = self.typed("expires_in_days");
        // What is no number is refused as one that may not stand.
        let days = if days.is_empty() { None } else { Some(days.parse::<u32>().unwrap_or(0)) };
        json!({"sector": self.typed("sector"), "expires_in_days": days})
    }

    pub async fn change_verification(&self, number: &str, what: &str) -> Done {
        let Some(of) = self.found(number) else { return self.message(404, self.scene.t().missing) };
        let names = || vec![("verification", of.number.to_string())];
        let page = format!("verifications/{}", of.number);
        let (changed, typed) = match what {
            "state" => {
                let body = json!({"state": self.typed("state")});
                (self.ask(names(), &body, verifications::set_state).await?, None)
            }
            "settings" => {
                let body = self.settings_given(of.kind);
                (self.ask(names(), &body, verifications::change).await?, Some(self.as_typed()))
            }
            "details" => (self.ask(names(), &self.details_given(), verifications::change).await?, None),
            "callers" => {
                let body = json!({"network": self.typed("network")});
                (self.ask(names(), &body, verifications::allow).await?, None)
            }
            "delete" if self.is_checked("sure") => {
                match self.ask(names(), &Value::Null, verifications::remove).await? {
                    Ok(_) => return self.done("verifications"),
                    refused => (refused, None),
                }
            }
            "delete" => return self.verification(number, Said::of(400, self.w.not_saved)).await,
            "key" => return self.change_key(of).await,
            _ => return self.message(404, self.scene.t().missing),
        };
        match changed {
            Ok(_) => self.done(&page),
            Err(said) => self.type_page(of, said, typed, KeyText::default()).await,
        }
    }

    /// Generated, shown, or saved: only then it is in force.
    async fn change_key(&self, of: &Verification) -> Done {
        let names = vec![("verification", of.number.to_string())];
        let text = |answer: &Value| answer["key"].as_str().unwrap_or_default().to_owned();
        let (answer, note) = match self.typed("action") {
            "generate" => (self.ask(names, &json!({}), keys::generate).await?, self.w.generated),
            "show" => (self.ask(names, &Value::Null, keys::show).await?, self.w.shown_noted),
            _ => {
                let hours = self.typed("overlap_h");
                // What is no number is refused as one that may not stand.
                let hours = if hours.is_empty() { 0 } else { hours.parse::<u32>().unwrap_or(u32::MAX / 3600) };
                let key = self.scene.browser.fields.key.trim();
                let body = json!({"key": key, "overlap_s": hours.saturating_mul(3600)});
                return match self.ask(names, &body, keys::save).await? {
                    Ok(_) => self.done(&format!("verifications/{}", of.number)),
                    Err(said) => self.type_page(of, said, None, KeyText { text: key.to_owned(), note: None }).await,
                };
            }
        };
        match answer {
            Ok(answer) => {
                let key = KeyText { text: text(&answer), note: Some(note) };
                self.type_page(of, Said::default(), None, key).await
            }
            Err(said) => self.type_page(of, said, None, KeyText::default()).await,
        }
    }
}
