//! The one page of the protocol itself: that a browser is not let in. No script, nothing of others, and no reason.

use super::wire::cannot_sign_in;
use crate::orgs::Language;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha2::{Digest, Sha256};

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:32rem;padding:0 1rem}\
h1{font-size:1.25rem}";

/// What a browser may do with the page.
pub fn content_security_policy() -> String {
    let style = STANDARD.encode(Sha256::digest(STYLE));
    format!("default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; frame-ancestors 'none'")
}

pub fn sorry(language: Language) -> String {
    let (tag, said) = (language.tag(), cannot_sign_in(language));
    format!(
        "<!DOCTYPE html>\n<html lang=\"{tag}\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{said}</title>\n\
         <style>{STYLE}</style>\n</head>\n<body>\n<main>\n<h1 role=\"alert\">{said}</h1>\n</main>\n</body>\n</html>\n"
    )
}
