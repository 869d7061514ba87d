//! The request tester on the administration's pages.

use super::{
    desk::{Desk, Done, Said},
    frames::{TestedSeen, TesterPage},
};
use crate::iuv::{stores::api::tester, wire::Step};
use askama::Template;
use serde_json::{Value, json};

impl Desk<'_> {
    pub async fn tester(&self, told: Option<TestedSeen>, said: Said) -> Done {
        let (frame, desk) = self.frames("admin-tester", self.w.tester, &said).await?;
        let page = TesterPage { f: &frame, d: &desk, query: self.typed("query"), caller: self.typed("caller"), told };
        self.render(said.status, page.render())
    }

    pub async fn try_request(&self) -> Done {
        // Whoever has the whole address at hand may paste that.
        let query = self.typed("query");
        let query = query.split_once('?').map_or(query, |(_, query)| query);
        let caller = Some(self.typed("caller")).filter(|caller| !caller.is_empty());
        match self.ask(Vec::new(), &json!({"query": query, "caller": caller}), tester::test).await? {
            Ok(tested) => self.tester(Some(self.seen_of(&tested)), Said::default()).await,
            Err(said) => self.tester(None, said).await,
        }
    }

    fn seen_of(&self, tested: &Value) -> TestedSeen {
        let w = self.w;
        let passed = |at: usize| match tested["steps"][at]["passed"].as_bool() {
            Some(true) => w.passed,
            Some(false) => w.failed,
            None => w.not_reached,
        };
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let shopper = tested["shopper"].as_object().map(|shopper| {
            let groups: Vec<_> = shopper["groups"].as_array().into_iter().flatten().map(text).collect();
            let member = shopper["member"].as_str().map(|member| format!(", {member}")).unwrap_or_default();
            format!("{} ({}{member})", text(&shopper["user_name"]), groups.join(", "))
        });
        TestedSeen {
            status: tested["status"].as_u64().and_then(|status| status.try_into().ok()).unwrap_or_default(),
            answer: text(&tested["answer"]),
            steps: Step::ALL.into_iter().enumerate().map(|(at, step)| (w.step(step), passed(at))).collect(),
            shopper,
        }
    }
}
