use super::*;
use crate::http::routes::ROUTES;
use serde_json::Value;
use std::collections::BTreeSet;

fn document() -> Value {
    serde_json::from_str(json()).unwrap()
}

fn operations(document: &Value) -> impl Iterator<Item = (&str, &str, &Value)> {
    document["paths"].as_object().unwrap().iter().flat_map(|(path, item)| {
        item.as_object().unwrap().iter().map(move |(method, operation)| (path.as_str(), method.as_str(), operation))
    })
}

#[test]
fn every_route_is_documented_and_nothing_else() {
    assert_eq!(assemble::with_mistakes().1, [""; 0]);
    let document = document();
    assert_eq!(document["openapi"], "3.1.0");
    let told: BTreeSet<_> =
        operations(&document).map(|(path, method, _)| (path.to_owned(), method.to_uppercase())).collect();
    let routed: BTreeSet<_> = ROUTES.iter().map(|route| (route.path.to_owned(), route.method.to_string())).collect();
    assert_eq!(told, routed);
    let tags: BTreeSet<_> =
        document["tags"].as_array().unwrap().iter().map(|tag| tag["name"].as_str().unwrap()).collect();
    for (path, method, operation) in operations(&document) {
        assert!(tags.contains(operation["tags"][0].as_str().unwrap()), "{method} {path} has a tag of its own");
        assert!(!operation["summary"].as_str().unwrap().ends_with('.'), "{method} {path}");
        assert!(operation["responses"].as_object().unwrap().keys().any(|status| status.starts_with('2')));
        if operation.get("requestBody").is_none() {
            assert!(!["patch", "put"].contains(&method), "{method} {path} takes nothing");
        }
    }
}

#[test]
fn every_reference_leads_somewhere() {
    fn walk(value: &Value, document: &Value) {
        match value {
            Value::Object(members) => {
                if let Some(Value::String(reference)) = members.get("$ref") {
                    let pointer = reference.strip_prefix('#').unwrap();
                    assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
                }
                members.values().for_each(|member| walk(member, document));
            }
            Value::Array(items) => items.iter().for_each(|item| walk(item, document)),
            _ => {}
        }
    }
    let document = document();
    walk(&document, &document);
}

/// Every object in a request body, also those that it refers to.
fn assert_closed(schema: &Value, document: &Value, at: &str) {
    if let Some(reference) = schema["$ref"].as_str() {
        return assert_closed(document.pointer(&reference[1..]).unwrap(), document, reference);
    }
    if let Some(properties) = schema["properties"].as_object() {
        assert_eq!(schema["additionalProperties"], false, "{at} takes what it does not name");
        properties.iter().for_each(|(name, property)| assert_closed(property, document, &format!("{at}/{name}")));
    }
    for members in ["oneOf", "anyOf", "allOf"] {
        schema[members].as_array().into_iter().flatten().for_each(|part| assert_closed(part, document, at));
    }
    if schema["items"].is_object() {
        assert_closed(&schema["items"], document, at);
    }
}

#[test]
fn no_body_takes_what_it_does_not_name() {
    let document = document();
    for (path, method, operation) in operations(&document) {
        let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
        if !schema.is_null() {
            assert_closed(schema, &document, &format!("{method} {path}"));
        }
    }
}

#[test]
fn every_pattern_has_an_example() {
    let document = document();
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let bare = schemas.iter().filter(|(_, schema)| schema["pattern"].is_string() && !schema["examples"][0].is_string());
    assert_eq!(bare.map(|(name, _)| name).collect::<Vec<_>>(), [""; 0], "without a text that the pattern means");
}
