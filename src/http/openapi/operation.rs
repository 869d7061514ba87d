//! One route as the document tells it: parameters, body, answer, and every problem it can answer with.

use super::schemas::{Schemas, may_be_null};
use crate::{
    boxes::Label,
    http::{
        Bulk, Code, PageQuery,
        routes::{Guard, Route},
    },
    iuv::{
        shoppers::StoreRole,
        stores::api::{ClassCodeShape, MemberCodeShape},
    },
    kernel::{
        AccessId, BoxId, DeviceId, ExchangeId, GroupId, InstallationId, KeyId, MailId, OrgId, PassId, PersonId,
        ProductId, ShopperId, StoreId, TokenId, WebhookId,
        schema::{InstallationPath, ReportToken, Whole16, Whole32, Whole64},
    },
    operations::backup::BackupName,
};
use actix_web::http::Method;
use std::collections::{BTreeMap, BTreeSet};
use utoipa::openapi::{
    AllOfBuilder, Content, Deprecated, Header, ObjectBuilder, Ref, RefOr, Required, Schema, SecurityRequirement, Type,
    path::{Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn},
    request_body::{RequestBody, RequestBodyBuilder},
    response::{Response, ResponseBuilder},
    schema::SchemaType,
};

pub(super) const TOKEN: &str = "token";
pub(super) const BOX_TOKEN: &str = "box_token";
const IDEMPOTENCY_KEY: &str = "IdempotencyKey";

type Named = (&'static str, super::doc::Put, &'static str);

/// What the parameters of paths are.
const PARAMETERS: &[Named] = &[
    ("organisation", Schemas::request::<OrgId>, "The organisation"),
    ("person", Schemas::request::<PersonId>, "The person"),
    ("token_id", Schemas::request::<TokenId>, "The token, by its id"),
    ("box", Schemas::request::<BoxId>, "The box"),
    ("bin", Schemas::request::<Label>, "The bin's label"),
    ("key", Schemas::request::<KeyId>, "The key"),
    ("access", Schemas::request::<AccessId>, "The access"),
    ("group", Schemas::request::<GroupId>, "The group of keys"),
    ("pass", Schemas::request::<PassId>, "The pass"),
    ("mail", Schemas::request::<MailId>, "The mail"),
    ("webhook", Schemas::request::<WebhookId>, "The webhook"),
    ("device", Schemas::request::<DeviceId>, "The device"),
    ("store", Schemas::request::<StoreId>, "The web store"),
    ("class", Schemas::request::<ClassCodeShape>, "The class of user groups, by its code"),
    ("member", Schemas::request::<MemberCodeShape>, "The member organisation, by its code"),
    ("verification", Schemas::request::<Whole32>, "The verification type, by its number in the store"),
    ("product", Schemas::request::<ProductId>, "The product"),
    ("shopper", Schemas::request::<ShopperId>, "The shopper"),
    ("role", Schemas::request::<StoreRole>, "The administrative role"),
    ("installation", Schemas::request::<InstallationId>, "The installation"),
    ("user", Schemas::request::<Whole16>, "The user's number in the installation"),
    ("path", Schemas::request::<InstallationPath>, "How terminals name their installation"),
    ("report", Schemas::request::<ReportToken>, "What a text's gateway was given with it"),
    ("entry", Schemas::request::<Whole32>, "The entry's number"),
    ("delivery", Schemas::request::<Whole64>, "The delivery's number in the webhook's log"),
    ("name", Schemas::request::<BackupName>, "The backup"),
    ("exchange", Schemas::request::<ExchangeId>, "The exchange that the server decided"),
    ("order", Schemas::request::<Whole64>, "The order's number in its box"),
    ("seq", Schemas::request::<Whole64>, "The conflict's number at its box"),
    ("alert", Schemas::request::<Whole64>, "The alert's number at its box"),
];

/// The names between braces.
fn path_parameters(path: &str) -> impl Iterator<Item = &str> {
    path.split('{').skip(1).filter_map(|part| part.split('}').next())
}

pub(super) fn of(route: &Route, schemas: &mut Schemas) -> Operation {
    let doc = &route.doc;
    let tag = route.name.split('.').next().unwrap_or_default();
    let mut operation = OperationBuilder::new()
        .tag(tag)
        .operation_id(Some(route.name))
        .summary(Some(doc.summary))
        .description(doc.details)
        .deprecated(doc.old.then_some(Deprecated::True));
    for name in path_parameters(route.path) {
        operation = operation.parameter(path_parameter(name, schemas));
    }
    for parameter in query(route, schemas) {
        operation = operation.parameter(parameter);
    }
    for (name, about) in doc.headers {
        let schema = ObjectBuilder::new().schema_type(Type::String);
        let parameter = ParameterBuilder::new().name(*name).parameter_in(ParameterIn::Header);
        operation = operation.parameter(parameter.description(Some(*about)).schema(Some(schema)));
    }
    if is_idempotent(route) {
        operation = operation.parameter_ref(Ref::new(format!("#/components/parameters/{IDEMPOTENCY_KEY}")));
    }
    for name in conditions(route) {
        operation = operation.parameter_ref(Ref::new(format!("#/components/parameters/{name}")));
    }
    if let Some(put) = doc.body {
        let body = RequestBodyBuilder::new().content("application/json", Content::new(Some(put(schemas))));
        operation = operation.request_body(Some(body.required(Some(Required::True)).build()));
    }
    if let Some(rows) = doc.rows {
        operation = operation.request_body(Some(rows_of(rows)));
    }
    operation = operation.response(doc.status.to_string(), success(route, schemas));
    if doc.tagged {
        let known = ResponseBuilder::new().description("`If-None-Match` names these bytes");
        operation = operation.response("304", with_headers(known, &[REQUEST_ID, ETAG]));
    }
    for (status, codes) in problems(route) {
        let name = codes.iter().map(|code| code.as_str()).collect::<Vec<_>>().join("-");
        let known = Ref::from_response_name(&name);
        schemas.problems.entry(name).or_insert_with(|| refused(status, &codes).into());
        operation = operation.response(status.to_string(), known);
    }
    for security in security(route.guard) {
        operation = operation.security(security);
    }
    operation.build()
}

fn security(guard: Guard) -> Vec<SecurityRequirement> {
    match guard {
        Guard::Nobody => vec![SecurityRequirement::default()],
        Guard::Box => vec![SecurityRequirement::new(BOX_TOKEN, [""; 0])],
        Guard::Token([]) => vec![SecurityRequirement::new(TOKEN, [""; 0])],
        Guard::Token(scopes) => scopes.iter().map(|scope| SecurityRequirement::new(TOKEN, [scope.name()])).collect(),
    }
}

fn path_parameter(name: &str, schemas: &mut Schemas) -> Parameter {
    let known = PARAMETERS.iter().find(|(known, ..)| *known == name);
    let parameter = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Path).required(Required::True);
    let Some((_, put, about)) = known else {
        schemas.mistakes.push(format!("PARAMETERS does not know {{{name}}}"));
        return parameter.build();
    };
    parameter.description(Some(*about)).schema(Some(put(schemas))).build()
}

fn query(route: &Route, schemas: &mut Schemas) -> Vec<Parameter> {
    let mut parameters = route.doc.query.map(|query| query(schemas)).unwrap_or_default();
    for parameter in &mut parameters {
        // In a query there is no null: what may be absent is absent.
        parameter.schema = parameter.schema.take().map(not_null);
    }
    if let Some(put) = route.doc.after {
        let parameter = |name: &str, about: &str, schema: RefOr<Schema>| {
            let parameter = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Query);
            parameter.description(Some(about)).schema(Some(schema)).build()
        };
        let limit = ObjectBuilder::new()
            .schema_type(Type::Integer)
            .minimum(Some(1))
            .maximum(Some(PageQuery::LIMIT_MAX))
            .default(Some(PageQuery::LIMIT.into()));
        parameters.push(parameter("limit", "How many at most", limit.into()));
        parameters.push(parameter("after", "The `next` of the page before", put(schemas)));
    }
    parameters
}

fn not_null(schema: RefOr<Schema>) -> RefOr<Schema> {
    match schema {
        RefOr::T(Schema::Object(mut object)) => {
            if let SchemaType::Array(kinds) = &mut object.schema_type {
                kinds.retain(|kind| *kind != Type::Null);
                if kinds.len() == 1 {
                    object.schema_type = SchemaType::from(kinds.remove(0));
                }
            }
            RefOr::T(Schema::Object(object))
        }
        RefOr::T(Schema::OneOf(mut parts)) => {
            parts.items.retain(|part| !may_be_null(part));
            if parts.items.len() == 1 { parts.items.remove(0) } else { RefOr::T(Schema::OneOf(parts)) }
        }
        other => other,
    }
}

fn success(route: &Route, schemas: &mut Schemas) -> Response {
    let about = match route.doc.status {
        201 => "Made",
        204 => "Done",
        _ => "As asked",
    };
    let headers: &[&str] = if is_tagged(route) { &[REQUEST_ID, ETAG] } else { &[REQUEST_ID] };
    let response = with_headers(ResponseBuilder::new().description(about), headers);
    let text = || Content::new(Some(ObjectBuilder::new().schema_type(Type::String)));
    if route.doc.rows.is_some() {
        return ROWS_TYPES.iter().fold(response, |response, media_type| response.content(*media_type, text())).build();
    }
    if let Some(media_type) = route.doc.text {
        return response.content(media_type, text()).build();
    }
    let Some(put) = route.doc.answer else { return response.build() };
    let json = response.content("application/json", Content::new(Some(put(schemas))));
    route.doc.also.iter().fold(json, |response, media_type| response.content(*media_type, text())).build()
}

const REQUEST_ID: &str = "X-Request-Id";
const ROWS_TYPES: [&str; 2] = ["application/x-ndjson", "text/csv"];

/// A body of many rows.
fn rows_of(rows: &Bulk) -> RequestBody {
    let columns: Vec<_> = rows.takes.iter().map(|(name, _)| *name).collect();
    let about = format!("One object a line, or CSV with a head line of these columns: {}", columns.join(", "));
    let text = || Content::new(Some(ObjectBuilder::new().schema_type(Type::String)));
    let body = RequestBodyBuilder::new().description(Some(about)).required(Some(Required::True));
    ROWS_TYPES.iter().fold(body, |body, media_type| body.content(*media_type, text())).build()
}

const ETAG: &str = "ETag";
const RETRY_AFTER: &str = "Retry-After";
const AUTHENTICATE: &str = "WWW-Authenticate";

fn with_headers(response: ResponseBuilder, names: &[&str]) -> ResponseBuilder {
    names
        .iter()
        .fold(response, |response, name| response.header_ref(*name, Ref::new(format!("#/components/headers/{name}"))))
}

/// The headers of answers.
pub(super) fn headers() -> BTreeMap<String, RefOr<Header>> {
    let text = || ObjectBuilder::new().schema_type(Type::String);
    let seconds = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0));
    let header = |name: &str, schema: ObjectBuilder, about: &str| {
        let mut header = Header::new(schema);
        header.description = Some(about.into());
        (name.to_owned(), header.into())
    };
    BTreeMap::from([
        header(REQUEST_ID, text(), "The request's own id, or one that was made; it stands in the log"),
        header(ETAG, text(), "The object's entity tag, if it is still there: for `If-Match` and `If-None-Match`"),
        header(RETRY_AFTER, seconds, "Come again after so many seconds, and add jitter"),
        header(AUTHENTICATE, text(), "Always `Bearer`"),
    ])
}

fn idempotency_key() -> Parameter {
    let key = crate::kernel::schema::pattern("^[!-~]([ -~]*[!-~])?$").min_length(Some(1)).max_length(Some(255));
    ParameterBuilder::new()
        .name("Idempotency-Key")
        .parameter_in(ParameterIn::Header)
        .description(Some("The same key and body give the stored answer, another body is refused (422)"))
        .schema(Some(key))
        .build()
}

/// A change that a token may make.
fn is_change(route: &Route) -> bool {
    route.method != Method::GET && matches!(route.guard, Guard::Token(_))
}

/// Whether an answer shows a tag. Rows of many, what is gone and what is only begun have none.
fn is_tagged(route: &Route) -> bool {
    let of_one =
        !route.doc.untagged && route.doc.rows.is_none() && route.doc.status != 202 && route.method != Method::DELETE;
    route.doc.tagged || is_change(route) && of_one
}

/// Parameters for conditions that a route judges.
fn conditions(route: &Route) -> &'static [&'static str] {
    match is_change(route) {
        true if route.creates() || route.path.starts_with("/api/v1/operator/") => &[],
        true => &[IF_MATCH, IF_NONE_MATCH],
        false if route.doc.tagged => &[IF_MATCH, IF_NONE_MATCH],
        false => &[],
    }
}

const IF_MATCH: &str = "IfMatch";
const IF_NONE_MATCH: &str = "IfNoneMatch";

/// Parameters that many routes share.
pub(super) fn parameters() -> [(&'static str, Parameter); 3] {
    let condition = |name: &str, about: &str| {
        let tags = r#"^(\*|(W/)?"[!#-~]*"( ?, ?(W/)?"[!#-~]*")*)$"#;
        let tags = crate::kernel::schema::pattern(tags).examples(["\"12\""]);
        let parameter = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Header);
        parameter.description(Some(about)).schema(Some(tags)).build()
    };
    [
        (IDEMPOTENCY_KEY, idempotency_key()),
        (IF_MATCH, condition("If-Match", "Only if the object still has one of these entity tags, else 412")),
        (IF_NONE_MATCH, condition("If-None-Match", "Only if it has none of these, else 304 to a GET, 412 to a change")),
    ]
}

fn is_idempotent(route: &Route) -> bool {
    route.method == Method::POST && matches!(route.guard, Guard::Token(_))
}

/// Every problem a route can answer with, by status.
fn problems(route: &Route) -> BTreeMap<u16, Vec<Code>> {
    let doc = &route.doc;
    let mut codes: Vec<Code> = vec![Code::Internal];
    match route.guard {
        Guard::Nobody => codes.push(Code::TooManyRequests),
        Guard::Token(scopes) => {
            // A condition that cannot be read.
            codes.push(Code::Malformed);
            codes.extend([Code::AuthMissing, Code::AuthInvalid, Code::TooManyFailures, Code::TooManyRequests]);
            codes.extend((!scopes.is_empty()).then_some(Code::Forbidden));
        }
        Guard::Box => codes.extend([Code::BoxTokenInvalid, Code::BoxSuspended, Code::TooManyFailures]),
    }
    if route.method != Method::GET {
        let body = [Code::Malformed, Code::Timeout, Code::TooLarge, Code::UnsupportedType, Code::UnsupportedEncoding];
        codes.extend(body);
        codes.extend([Code::ReadOnly, Code::OutcomeUnknown]);
    }
    if !(route.method == Method::GET && matches!(route.guard, Guard::Nobody)) {
        codes.extend([Code::Busy, Code::Stopping, Code::Quarantined]);
    }
    if doc.body.is_some() && matches!(route.guard, Guard::Token(_)) || doc.after.is_some() || doc.query.is_some() {
        codes.extend([Code::Invalid, Code::Malformed]);
    }
    if !doc.also.is_empty() {
        codes.push(Code::NotAcceptable);
    }
    if is_idempotent(route) {
        codes.extend([Code::OtherBody, Code::InProgress]);
    }
    // What makes something has nothing to match yet: a condition fails, and is not described further.
    if is_change(route) || !conditions(route).is_empty() {
        codes.extend([Code::PreconditionFailed, Code::Malformed]);
    }
    if route.path.contains('{') {
        codes.push(Code::NotFound);
    }
    codes.extend(doc.refuses);
    let order = |code: &Code| Code::ALL.iter().position(|other| other == code);
    let mut by_status = BTreeMap::<u16, Vec<Code>>::new();
    let unique: BTreeSet<_> = codes.iter().filter_map(order).collect();
    for code in unique.into_iter().filter_map(|at| Code::ALL.get(at)) {
        by_status.entry(code.status()).or_default().push(*code);
    }
    by_status
}

fn refused(status: u16, codes: &[Code]) -> Response {
    let about: Vec<_> = codes.iter().map(|code| format!("`{}`: {}", code.as_str(), code.title())).collect();
    let names: Vec<_> = codes.iter().map(|code| code.as_str()).collect();
    let these = ObjectBuilder::new().property("code", crate::kernel::schema::words(&names));
    let schema = AllOfBuilder::new().item(Ref::from_schema_name("Problem")).item(these);
    let headers: &[&str] = match status {
        401 => &[REQUEST_ID, AUTHENTICATE],
        429 | 503 => &[REQUEST_ID, RETRY_AFTER],
        _ => &[REQUEST_ID],
    };
    with_headers(ResponseBuilder::new().description(about.join("; ")), headers)
        .content("application/problem+json", Content::new(Some(schema)))
        .build()
}
