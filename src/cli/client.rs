//! Commands that ask a running server over its HTTP API.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

#[derive(Args)]
pub(super) struct Server {
    /// Where the server is
    #[arg(long, default_value = "http://127.0.0.1:8080", value_name = "URL")]
    pub(super) url: String,
    /// The token to use
    #[arg(long, env = "CASTELLAN_TOKEN", hide_env_values = true)]
    pub(super) token: String,
}

#[derive(Subcommand)]
pub(super) enum Org {
    /// Make an organisation, its owner and its first token
    Create {
        #[command(flatten)]
        server: Server,
        #[arg(long)]
        name: String,
        /// lite, premium or business_pro
        #[arg(long)]
        plan: String,
        /// it, de or en
        #[arg(long, default_value = "it")]
        language: String,
        /// IANA time zone
        #[arg(long, default_value = "Europe/Rome")]
        zone: String,
        #[arg(long)]
        owner_name: String,
        #[arg(long)]
        owner_email: String,
    },
    /// List organisations, one JSON object a line
    List {
        #[command(flatten)]
        server: Server,
    },
    /// Change what an organisation has booked
    Plan {
        #[command(flatten)]
        server: Server,
        /// org_…
        organisation: String,
        /// lite, premium or business_pro
        plan: String,
    },
}

#[derive(Subcommand)]
pub(super) enum Token {
    /// Make a token; it is shown this once
    Create {
        #[command(flatten)]
        server: Server,
        #[arg(long)]
        label: String,
        /// boxes:read, boxes:write, devices:read, devices:write, devices:pap, devices:authenticate, recovery:read, recovery:write, org:admin, audit:read, operator; can be given several times
        #[arg(long = "scope", required = true)]
        scopes: Vec<String>,
        /// Such as 2027-01-01T00:00:00Z
        #[arg(long)]
        expires_at: Option<String>,
    },
    /// List tokens that are not revoked, one JSON object a line
    List {
        #[command(flatten)]
        server: Server,
    },
    /// Revoke a token; it holds at once
    Revoke {
        #[command(flatten)]
        server: Server,
        /// tok_…
        token_id: String,
    },
}

pub(super) fn org(command: &Org) -> Result<(), String> {
    match command {
        Org::Create { server, name, plan, language, zone, owner_name, owner_email } => {
            let owner = json!({"name": owner_name, "email": owner_email});
            let body = json!({"name": name, "plan": plan, "language": language, "zone": zone, "owner": owner});
            show(&server.send("POST", "/organisations", Some(body))?)
        }
        Org::List { server } => server.list("/organisations"),
        Org::Plan { server, organisation, plan } => {
            show(&server.send("PATCH", &format!("/organisations/{organisation}"), Some(json!({"plan": plan})))?)
        }
    }
}

pub(super) fn token(command: &Token) -> Result<(), String> {
    match command {
        Token::Create { server, label, scopes, expires_at } => {
            let body = json!({"label": label, "scopes": scopes, "expires_at": expires_at});
            show(&server.send("POST", "/tokens", Some(body))?)
        }
        Token::List { server } => server.list("/tokens"),
        Token::Revoke { server, token_id } => show(&server.send("DELETE", &format!("/tokens/{token_id}"), None)?),
    }
}

fn show(answer: &Value) -> Result<(), String> {
    println!("{}", serde_json::to_string_pretty(answer).map_err(|error| error.to_string())?);
    Ok(())
}

impl Server {
    pub(super) fn send(&self, method: &str, path: &str, body: Option<Value>) -> Result<Value, String> {
        let url = format!("{}/api/v1{path}", self.url.trim_end_matches('/'));
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let request = ureq::http::Request::builder()
            .method(method)
            .uri(&url)
            .header("authorization", format!("Bearer {}", self.token))
            .header("content-type", "application/json");
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let request = request.body(body).map_err(|error| format!("{url}: {error}"))?;
        let mut response = agent.run(request).map_err(|error| format!("{url}: {error}"))?;
        let text = response.body_mut().read_to_string().map_err(|error| format!("{url}: {error}"))?;
        if response.status().is_success() {
            return serde_json::from_str(&text).map_err(|error| format!("{url}: not JSON: {error}"));
        }
        Err(explained(response.status().as_u16(), &text))
    }

    fn list(&self, path: &str) -> Result<(), String> {
        let mut after = String::new();
        loop {
            let page = self.send("GET", &format!("{path}?limit=200{after}"), None)?;
            for item in page["items"].as_array().into_iter().flatten() {
                println!("{item}");
            }
            let Some(next) = page["next"].as_str() else { return Ok(()) };
            after = format!("&after={next}");
        }
    }
}

/// A problem in one or a few lines.
fn explained(status: u16, text: &str) -> String {
    let Ok(problem) = serde_json::from_str::<Value>(text) else { return format!("the server answered {status}") };
    let part = |name: &str| problem[name].as_str().unwrap_or_default().to_owned();
    let mut lines = vec![format!("{} ({status} {})", part("title"), part("code"))];
    lines.extend(problem["detail"].as_str().map(str::to_owned));
    for error in problem["errors"].as_array().into_iter().flatten() {
        let part = |name: &str| error[name].as_str().unwrap_or_default();
        lines.push(format!("{}: {}", part("pointer"), part("detail")));
    }
    lines.join("\n  ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_are_told_with_their_fields() {
        let problem = crate::http::Problem::field("/plan", "unknown").to_json("");
        let told = explained(400, std::str::from_utf8(&problem).unwrap());
        assert_eq!(told, "A value is not allowed (400 request.invalid)\n  /plan: unknown");
        assert_eq!(explained(502, "<html>"), "the server answered 502");
    }
}
