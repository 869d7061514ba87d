//! Every answer that any test gets is one that the OpenAPI document promises; and the document and its page themselves.

use crate::rig::{Answer, PROGRAM, Rig};
use castellan::http::{
    openapi,
    routes::{ROUTES, Route},
};
use serde_json::{Value, json};
use std::{collections::BTreeSet, process::Command, sync::LazyLock};

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| serde_json::from_str(openapi::json()).unwrap());

/// The route that serves a path with this method.
fn route(method: &str, path: &str) -> Option<&'static Route> {
    let path = path.split('?').next().unwrap();
    let serves = |template: &str| {
        let (parts, segments): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
        parts.len() == segments.len()
            && parts
                .iter()
                .zip(&segments)
                .all(|(part, segment)| part == segment || part.starts_with('{') && !segment.is_empty())
    };
    let found = ROUTES.iter().find(|route| serves(route.path))?;
    ROUTES.iter().find(|route| route.path == found.path && route.method == method)
}

/// Holds an answer to the document. Paths and methods that no route has are not in it.
#[track_caller]
pub fn check(method: &str, path: &str, answer: &Answer) {
    let Some(route) = route(method, path) else { return };
    let what = format!("{method} {}: {} {}", route.path, answer.status, answer.told());
    let operation = &DOCUMENT["paths"][route.path][method.to_lowercase()];
    let mut told = &operation["responses"][answer.status.to_string()];
    if let Some(reference) = told["$ref"].as_str() {
        told = DOCUMENT.pointer(&reference[1..]).unwrap();
    }
    assert!(told.is_object(), "the document does not know the status of {what}");
    let media_type = answer.header("content-type").map(|header| header.split(';').next().unwrap());
    let content = media_type.map_or(&Value::Null, |media_type| &told["content"][media_type]);
    assert_eq!(media_type.is_some(), content.is_object(), "the document does not know the media type of {what}");
    if answer.status >= 400 {
        let codes = &content["schema"]["allOf"][1]["properties"]["code"]["enum"];
        let known = codes.as_array().is_some_and(|codes| codes.contains(&answer.json()["code"]));
        assert!(known, "the document knows only {codes} of {what}");
    }
    let headers = told["headers"].as_object().unwrap();
    for name in headers.keys() {
        assert!(answer.header(name).is_some(), "no {name} with {what}");
    }
}

/// A body that a route takes: what must be there, and one field if nothing must.
pub fn body(route: &Route) -> Option<Value> {
    let operation = &DOCUMENT["paths"][route.path][route.method.as_str().to_lowercase()];
    let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
    if schema.is_null() {
        return (route.method == "POST").then(|| json!({}));
    }
    Some(sample(schema))
}

fn sample(schema: &Value) -> Value {
    if let Some(reference) = schema["$ref"].as_str() {
        return sample(DOCUMENT.pointer(&reference[1..]).unwrap());
    }
    for of in ["enum", "examples"] {
        if let Some(first) = schema[of].get(0) {
            return first.clone();
        }
    }
    if let Some(arms) = schema["oneOf"].as_array() {
        return sample(arms.iter().find(|arm| arm["type"] != "null").unwrap());
    }
    let kind = if schema["type"].is_array() { &schema["type"][0] } else { &schema["type"] };
    match kind.as_str().unwrap_or_else(|| panic!("what is {schema}?")) {
        "object" => {
            let all = schema["properties"].as_object().into_iter().flatten();
            let wanted = |name: &str| schema["required"].as_array().is_some_and(|names| names.contains(&name.into()));
            let mut fields: serde_json::Map<_, _> =
                all.clone().filter(|(name, _)| wanted(name)).map(|(name, of)| (name.clone(), sample(of))).collect();
            if fields.is_empty() {
                fields.extend(all.take(1).map(|(name, of)| (name.clone(), sample(of))));
            }
            Value::Object(fields)
        }
        "array" => (0..schema["minItems"].as_u64().unwrap_or(0)).map(|_| sample(&schema["items"])).collect(),
        "string" => "AAAA-BBBB-CCCC-DDDD".into(),
        "integer" => schema["minimum"].as_u64().unwrap_or(0).into(),
        "boolean" => true.into(),
        other => panic!("no sample of {other}"),
    }
}

#[test]
fn the_document_is_served_to_everybody_and_printed() {
    let rig = Rig::start();
    let served = rig.nobody().get("/api/openapi.json");
    assert_eq!(served.header("content-type"), Some("application/json"));
    assert_eq!(served.is(200), *DOCUMENT);
    let printed = Command::new(PROGRAM).arg("openapi").output().unwrap();
    assert!(printed.status.success());
    assert_eq!(serde_json::from_slice::<Value>(&printed.stdout).unwrap(), *DOCUMENT);
}

#[test]
fn the_page_comes_from_the_program_alone() {
    let rig = Rig::start();
    let get = |path: &str| rig.raw(format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes());
    let moved = get("/api/docs");
    assert!(moved.starts_with("HTTP/1.1 308") && moved.contains("location: docs/"), "{moved}");
    let page = get("/api/docs/");
    let (_, page) = page.split_once("\r\n\r\n").unwrap();
    let mut files: BTreeSet<&str> = page.split("src=\"./").chain(page.split("href=\"./")).skip(1).collect();
    files = files.into_iter().filter_map(|rest| rest.split('"').next()).filter(|name| name.contains('.')).collect();
    assert!(files.contains("swagger-initializer.js"), "{page}");
    for path in files.iter().map(|name| format!("/api/docs/{name}")).chain(["/favicon.ico".to_owned()]) {
        let heard = get(&path);
        assert!(heard.starts_with("HTTP/1.1 200"), "{path}: {}", heard.lines().next().unwrap());
        assert!(heard.contains("content-security-policy: default-src 'none'; script-src 'self';"), "{path}");
        assert!(heard.contains("x-content-type-options: nosniff"), "{path}");
    }
    assert!(!page.contains("https://") && !page.contains("<script>"), "nothing from elsewhere: {page}");
    assert!(get("/api/docs/swagger-initializer.js").contains("\"/api/openapi.json\""));
    for path in ["/api/docs/nothing.js", "/api/docs/../openapi.json", "/api/docs/%2e%2e/x"] {
        assert!(get(path).starts_with("HTTP/1.1 404"), "{path}");
    }
}
