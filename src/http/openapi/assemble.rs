//! All routes put together.

use super::{operation, schemas::Schemas};
use crate::{
    http::{Code, routes::ROUTES},
    kernel::schema::words,
    orgs::Scope,
};
use utoipa::openapi::{
    ArrayBuilder, Components, HttpMethod, Info, License, ObjectBuilder, OpenApi, OpenApiBuilder, Paths, RefOr, Schema,
    Server, Type,
    security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    tag::TagBuilder,
};

const ABOUT: &str = "\
Castellan lets in exactly once, the right party, in a bounded time.

Bodies are JSON; unknown fields are errors. A request body may be sent with `Content-Encoding: gzip` or `zstd`. Errors \
are problems (RFC 9457) with a stable `code`, each explained under `/problems/{code}`. Every answer carries \
`X-Request-Id`; the one of the request is taken over. `Idempotency-Key` is accepted on every POST. Times are RFC 3339.";

/// What the routes are about, in the order of the page: the part of a route's name before its dot.
const TAGS: &[(&str, &str)] = &[
    ("organisations", "Customers of this server, with their plan and owner"),
    ("people", "Who may pick up keys, and who administers"),
    ("mails", "Mails to owners, and those that could not be brought"),
    ("tokens", "Credentials of programs"),
    ("boxes", "SmartBoxes: set-up, state, history"),
    ("bins", "The bins of a box"),
    ("keys", "Keys on their fobs"),
    ("groups", "Groups of keys, and the accesses to them"),
    ("accesses", "Who may pick up what, and when"),
    ("passes", "Permissions and identities to carry, and what holds for boxes that decide alone"),
    ("alerts", "What administrators are told without asking, and what is wrong now"),
    ("conflicts", "Journal entries that did not fit"),
    ("devices", "Desk phones: set-up, authentication, state"),
    ("phones", "What holds for all phones of an organisation"),
    ("stores", "Web stores: what they are, and who their shoppers are verified by"),
    ("verifications", "Verification types of a store"),
    ("products", "What a store hands out, and its pools of codes"),
    ("shoppers", "Accounts at a store, their roles"),
    ("orders", "What shoppers ordered"),
    ("installations", "Installations whose administrator may get back in: users and policy"),
    ("break_glass", "Resets of administrator 1 to a new address, for the server's operator"),
    ("texts", "What gateways report of texts"),
    ("terminals", "What a terminal itself says: login, contact, the way back in"),
    ("webhooks", "Where events are sent, and how that goes"),
    ("events", "Everything that happens in an organisation, in order"),
    ("audit", "Who did what, when, from where; and what was refused"),
    ("box", "The box protocol: what a SmartBox itself says"),
    ("openapi", "About this document"),
    ("backups", "Backups of the whole server, for its operator"),
    ("master_key", "Rotation of the key that seals personal data, for the operator"),
];

/// The whole document.
pub fn document() -> OpenApi {
    with_mistakes().0
}

/// The same, and what is wrong with it.
pub(super) fn with_mistakes() -> (OpenApi, Vec<String>) {
    let mut schemas = Schemas::default();
    let mut paths = Paths::new();
    for route in ROUTES {
        let operation = operation::of(route, &mut schemas);
        let method = match route.method.as_str() {
            "POST" => HttpMethod::Post,
            "PUT" => HttpMethod::Put,
            "PATCH" => HttpMethod::Patch,
            "DELETE" => HttpMethod::Delete,
            _ => HttpMethod::Get,
        };
        paths.add_path_operation(route.path, vec![method], operation);
    }
    schemas.types.insert("Problem".into(), problem());
    let mut info = Info::new("Castellan", env!("CARGO_PKG_VERSION"));
    info.description = Some(ABOUT.into());
    info.license = Some(License::builder().name("Apache-2.0").identifier(Some("Apache-2.0")).build());
    let tags = TAGS.iter().map(|(name, about)| TagBuilder::new().name(*name).description(Some(*about)).build());
    let mistakes = std::mem::take(&mut schemas.mistakes);
    let document = OpenApiBuilder::new()
        .info(info)
        .servers(Some([Server::new("/")]))
        .tags(Some(tags))
        .paths(paths)
        .components(Some(components(schemas)))
        .build();
    (document, mistakes)
}

fn components(schemas: Schemas) -> Components {
    let mut components = Components::new();
    components.schemas = schemas.types;
    components.responses = schemas.problems;
    let token = |about: String, form: &str| {
        let http = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format(form).description(Some(about));
        SecurityScheme::Http(http.build())
    };
    let scopes: Vec<_> = Scope::ALL.iter().map(|scope| format!("`{}`", scope.name())).collect();
    let about = format!(
        "A token of a program. Its scopes are among {}; an operation names the one it wants, or several of which one will do.",
        scopes.join(", ")
    );
    components.add_security_scheme(operation::TOKEN, token(about, "cas_…"));
    let about = "The token of a SmartBox, from its enrolment.".to_owned();
    components.add_security_scheme(operation::BOX_TOKEN, token(about, "cbx_…"));
    components.headers = operation::headers();
    for (name, parameter) in operation::parameters() {
        components.parameters.insert(name.into(), parameter.into());
    }
    components
}

/// `application/problem+json`.
fn problem() -> RefOr<Schema> {
    let text = || ObjectBuilder::new().schema_type(Type::String);
    let codes: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
    let error = ObjectBuilder::new()
        .property("pointer", text().description(Some("JSON pointer into the body (RFC 6901)")))
        .required("pointer")
        .property("detail", text())
        .required("detail");
    ObjectBuilder::new()
        .description(Some("What went wrong (RFC 9457)"))
        .property(
            "type",
            text().description(Some("Where the code is explained")).pattern(Some("^/problems/[a-z0-9_.]+$")),
        )
        .required("type")
        .property("title", text())
        .required("title")
        .property("status", ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(400)).maximum(Some(599)))
        .required("status")
        .property("detail", text())
        .property("code", words(&codes))
        .required("code")
        .property("request_id", text())
        .required("request_id")
        .property("snapshot", text().description(Some("Where to go on after the lists were read anew")))
        .property("errors", ArrayBuilder::new().items(error).min_items(Some(1)))
        .into()
}
