//! Every route: method, path, who may, class at the door, handler. Tests walk it.

use super::{
    admission::Class,
    ask::{Ask, Reply},
    codes::Code,
    link,
    openapi::{self, Doc},
    pages, phones,
    problem::Problem,
    service, shop, stores,
};
use crate::{
    boxes::api as boxes,
    delivery::webhooks::api as webhooks,
    devices::api as devices,
    feed::{audit, changes},
    iuv::{products::api as products, shoppers::api as shoppers, stores::api as shops},
    operations::api as operations,
    orgs::{
        Scope,
        api::{mails, organisations, people, tokens},
    },
    privacy,
    recovery::api::{self as recovery, contact, installations, terminals},
};
use actix_web::{HttpRequest, HttpResponse, Resource, http::Method, web};
use std::{cmp::Reverse, pin::Pin, rc::Rc};

/// Who may use a route.
#[derive(Debug, Clone, Copy)]
pub enum Guard {
    Nobody,
    /// An API token with one of these scopes; any token if none is named.
    Token(&'static [Scope]),
    /// A SmartBox's token.
    Box,
}

type Answer = Pin<Box<dyn Future<Output = Result<Reply, Problem>>>>;

pub struct Route {
    pub method: Method,
    pub path: &'static str,
    pub guard: Guard,
    pub class: Class,
    /// For metrics, logs and the OpenAPI document; before the dot stands what it is about.
    pub name: &'static str,
    pub doc: Doc,
    pub(super) handler: fn(Ask) -> Answer,
}

impl Route {
    /// Whether what it works on is not there before.
    pub(super) fn creates(&self) -> bool {
        self.method == Method::POST && (!self.path.contains('{') || self.is_bulk())
    }

    /// Whether it takes rows instead of one object.
    pub(super) fn is_bulk(&self) -> bool {
        self.path.ends_with("/bulk") || self.path.ends_with("/import")
    }
}

const OPERATOR: Guard = Guard::Token(&[Scope::Operator]);
const ANY_TOKEN: Guard = Guard::Token(&[]);
const ORG_ADMIN: Guard = Guard::Token(&[Scope::OrgAdmin]);
const TOKEN_ADMIN: Guard = Guard::Token(&[Scope::OrgAdmin, Scope::Operator]);
/// The operator's token reads the organisation that it names.
const AUDIT: Guard = Guard::Token(&[Scope::AuditRead, Scope::Operator]);
const BOXES_READ: Guard = Guard::Token(&[Scope::BoxesRead]);
const BOXES_WRITE: Guard = Guard::Token(&[Scope::BoxesWrite]);
const BOXES_CODES: Guard = Guard::Token(&[Scope::BoxesCodes]);
const DEVICES_READ: Guard = Guard::Token(&[Scope::DevicesRead]);
const DEVICES_WRITE: Guard = Guard::Token(&[Scope::DevicesWrite]);
const DEVICES_PAP: Guard = Guard::Token(&[Scope::DevicesPap]);
const IUV_READ: Guard = Guard::Token(&[Scope::IuvRead]);
const IUV_WRITE: Guard = Guard::Token(&[Scope::IuvWrite]);
const IUV_CODES: Guard = Guard::Token(&[Scope::IuvCodes]);
const RECOVERY_READ: Guard = Guard::Token(&[Scope::RecoveryRead]);
const RECOVERY_WRITE: Guard = Guard::Token(&[Scope::RecoveryWrite]);
const DEVICES_AUTHENTICATE: Guard = Guard::Token(&[Scope::DevicesAuthenticate]);

macro_rules! routes {
    ($($method:ident $path:literal, $guard:expr, $class:ident, $name:literal, $handler:path, $doc:expr;)*) => {
        /// In order of matching: a fixed path stands before one with a parameter in its place.
        pub static ROUTES: &[Route] = &[$(Route {
            method: Method::$method,
            path: $path,
            guard: $guard,
            class: Class::$class,
            name: $name,
            doc: $doc,
            handler: |ask| Box::pin($handler(ask)),
        }),*];
    };
}

routes! {
    GET "/api/openapi.json", Guard::Nobody, Admin, "openapi.document", openapi::document, openapi::DOCUMENT;

    POST "/box/v1/sync", Guard::Box, SyncDefault, "box.sync", boxes::wire::sync, boxes::wire::SYNC;
    POST "/box/v1/confirm", Guard::Box, SyncDefault, "box.confirm", boxes::wire::confirm, boxes::wire::CONFIRM;
    POST "/box/v1/exchanges", Guard::Box, PersonAtBox, "box.exchange", boxes::online::exchanges::create, boxes::online::exchanges::CREATE;
    POST "/box/v1/exchanges/{exchange}/completed", Guard::Box, PersonAtBox, "box.complete", boxes::online::exchanges::complete, boxes::online::exchanges::COMPLETE;
    POST "/box/v1/exchanges/{exchange}/cancelled", Guard::Box, PersonAtBox, "box.cancel", boxes::online::exchanges::cancel, boxes::online::exchanges::CANCEL;
    GET "/box/v1/orders", Guard::Box, PersonAtBox, "box.orders", boxes::online::orders::fetch, boxes::online::orders::FETCH;
    POST "/box/v1/orders/{order}", Guard::Box, PersonAtBox, "box.report", boxes::online::orders::report, boxes::online::orders::REPORT;
    POST "/box/v1/enrol", Guard::Nobody, PersonAtBox, "box.enrol", boxes::wire::enrol, boxes::wire::ENROL;

    POST "/api/v1/organisations", OPERATOR, Admin, "organisations.create", organisations::create, organisations::CREATE;
    GET "/api/v1/organisations", ANY_TOKEN, Admin, "organisations.list", organisations::list, organisations::LIST;
    GET "/api/v1/organisations/{organisation}", ANY_TOKEN, Admin, "organisations.show", organisations::show, organisations::SHOW;
    PATCH "/api/v1/organisations/{organisation}", OPERATOR, Admin, "organisations.change", organisations::change, organisations::CHANGE;
    DELETE "/api/v1/organisations/{organisation}", TOKEN_ADMIN, Admin, "organisations.erase", privacy::api::erase_organisation, privacy::api::ERASE_ORGANISATION;
    PUT "/api/v1/organisations/{organisation}/retention", TOKEN_ADMIN, Admin, "organisations.retention", privacy::api::keep_history, privacy::api::KEEP_HISTORY;

    GET "/api/v1/mails/settings", ORG_ADMIN, Admin, "mails.settings", mails::choice, mails::CHOICE;
    PATCH "/api/v1/mails/settings", ORG_ADMIN, Admin, "mails.choose", mails::choose, mails::CHOOSE;
    GET "/api/v1/mails/dead", ORG_ADMIN, Admin, "mails.dead", mails::dead, mails::DEAD;
    POST "/api/v1/mails/dead/{mail}/resend", ORG_ADMIN, Admin, "mails.resend", mails::resend, mails::RESEND;
    DELETE "/api/v1/mails/dead/{mail}", ORG_ADMIN, Admin, "mails.give_up", mails::give_up, mails::GIVE_UP;

    POST "/api/v1/people", ORG_ADMIN, Admin, "people.create", people::create, people::CREATE;
    GET "/api/v1/people", ORG_ADMIN, Admin, "people.list", people::list, people::LIST;
    POST "/api/v1/people/bulk", ORG_ADMIN, Background, "people.bulk", people::bulk, people::BULK;
    GET "/api/v1/people/{person}", ORG_ADMIN, Admin, "people.show", people::show, people::SHOW;
    PATCH "/api/v1/people/{person}", ORG_ADMIN, Admin, "people.change", people::change, people::CHANGE;
    GET "/api/v1/people/{person}/export", ORG_ADMIN, Admin, "people.export", privacy::export::export, privacy::export::EXPORT;
    DELETE "/api/v1/people/{person}", ORG_ADMIN, Admin, "people.erase", people::erase, people::ERASE;

    POST "/api/v1/tokens", TOKEN_ADMIN, Admin, "tokens.create", tokens::create, tokens::CREATE;
    GET "/api/v1/tokens", TOKEN_ADMIN, Admin, "tokens.list", tokens::list, tokens::LIST;
    GET "/api/v1/tokens/{token_id}", TOKEN_ADMIN, Admin, "tokens.show", tokens::show, tokens::SHOW;
    DELETE "/api/v1/tokens/{token_id}", TOKEN_ADMIN, Admin, "tokens.revoke", tokens::revoke, tokens::REVOKE;

    POST "/api/v1/boxes", BOXES_WRITE, Admin, "boxes.create", boxes::create, boxes::CREATE;
    GET "/api/v1/boxes", BOXES_READ, Admin, "boxes.list", boxes::list, boxes::LIST;
    POST "/api/v1/boxes/bulk", BOXES_WRITE, Background, "boxes.bulk", boxes::bulk, boxes::BULK;
    GET "/api/v1/boxes/{box}", BOXES_READ, Admin, "boxes.show", boxes::show, boxes::SHOW;
    PATCH "/api/v1/boxes/{box}", BOXES_WRITE, Admin, "boxes.change", boxes::change, boxes::CHANGE;
    GET "/api/v1/boxes/{box}/inventory", BOXES_READ, Admin, "boxes.inventory", boxes::inventory, boxes::INVENTORY;
    POST "/api/v1/boxes/{box}/enrolment", BOXES_WRITE, Admin, "boxes.enrolment", boxes::make_enrolment, boxes::MAKE_ENROLMENT;
    DELETE "/api/v1/boxes/{box}/enrolment", BOXES_WRITE, Admin, "boxes.unlink", boxes::unlink, boxes::UNLINK;
    GET "/api/v1/boxes/{box}/settings", BOXES_READ, Admin, "boxes.settings", boxes::online::settings::show, boxes::online::settings::SHOW;
    PATCH "/api/v1/boxes/{box}/settings", BOXES_WRITE, Admin, "boxes.set", boxes::online::settings::change, boxes::online::settings::CHANGE;
    POST "/api/v1/boxes/{box}/orders", BOXES_WRITE, Admin, "boxes.order", boxes::online::orders::give, boxes::online::orders::GIVE;
    GET "/api/v1/boxes/{box}/orders", BOXES_READ, Admin, "boxes.orders", boxes::online::orders::list, boxes::online::orders::LIST;
    GET "/api/v1/boxes/{box}/orders/{order}", BOXES_READ, Admin, "boxes.show_order", boxes::online::orders::show, boxes::online::orders::SHOW;
    GET "/api/v1/boxes/{box}/bins/{bin}", BOXES_READ, Admin, "bins.show", boxes::bins::show, boxes::bins::SHOW;
    PATCH "/api/v1/boxes/{box}/bins/{bin}", BOXES_WRITE, Admin, "bins.change", boxes::bins::change, boxes::bins::CHANGE;
    POST "/api/v1/boxes/{box}/bins/{bin}/correction", BOXES_WRITE, Admin, "bins.correct", boxes::bins::correct, boxes::bins::CORRECT;
    POST "/api/v1/boxes/{box}/bins/{bin}/confirmation", BOXES_WRITE, Admin, "bins.confirm", boxes::bins::confirm, boxes::bins::CONFIRM;
    POST "/api/v1/boxes/{box}/keys", BOXES_WRITE, Admin, "keys.create", boxes::keys::create, boxes::keys::CREATE;
    POST "/api/v1/boxes/{box}/keys/bulk", BOXES_WRITE, Background, "keys.bulk", boxes::keys::bulk, boxes::keys::BULK;
    PATCH "/api/v1/boxes/{box}/keys/{key}", BOXES_WRITE, Admin, "keys.change", boxes::keys::change, boxes::keys::CHANGE;
    DELETE "/api/v1/boxes/{box}/keys/{key}", BOXES_WRITE, Admin, "keys.remove", boxes::keys::remove, boxes::keys::REMOVE;
    GET "/api/v1/keys", BOXES_READ, Admin, "keys.list", boxes::list_keys, boxes::KEY_LIST;
    GET "/api/v1/keys/{key}", BOXES_READ, Admin, "keys.show", boxes::keys::show, boxes::keys::SHOW;
    POST "/api/v1/groups", BOXES_WRITE, Admin, "groups.create", boxes::groups::create, boxes::groups::CREATE;
    GET "/api/v1/groups", BOXES_READ, Admin, "groups.list", boxes::groups::list, boxes::groups::LIST;
    POST "/api/v1/groups/bulk", BOXES_WRITE, Background, "groups.bulk", boxes::groups::bulk, boxes::groups::BULK;
    GET "/api/v1/groups/{group}", BOXES_READ, Admin, "groups.show", boxes::groups::show, boxes::groups::SHOW;
    PATCH "/api/v1/groups/{group}", BOXES_WRITE, Admin, "groups.change", boxes::groups::change, boxes::groups::CHANGE;
    DELETE "/api/v1/groups/{group}", BOXES_WRITE, Admin, "groups.delete", boxes::groups::delete, boxes::groups::DELETE;
    GET "/api/v1/groups/{group}/accesses", BOXES_READ, Admin, "groups.accesses", boxes::groups::accesses, boxes::groups::ACCESSES;
    POST "/api/v1/boxes/{box}/accesses", BOXES_WRITE, Admin, "accesses.grant", boxes::accesses::grant, boxes::accesses::GRANT;
    POST "/api/v1/boxes/{box}/accesses/batch", BOXES_WRITE, Admin, "accesses.batch", boxes::accesses::batch, boxes::accesses::BATCH;
    POST "/api/v1/boxes/{box}/accesses/bulk", BOXES_WRITE, Background, "accesses.bulk", boxes::accesses::bulk, boxes::accesses::BULK;
    GET "/api/v1/boxes/{box}/accesses", BOXES_READ, Admin, "accesses.list", boxes::accesses::list, boxes::accesses::LIST;
    GET "/api/v1/boxes/{box}/accesses/{access}", BOXES_READ, Admin, "accesses.show", boxes::accesses::show, boxes::accesses::SHOW;
    DELETE "/api/v1/boxes/{box}/accesses/{access}", BOXES_WRITE, Admin, "accesses.revoke", boxes::accesses::revoke, boxes::accesses::REVOKE;
    PUT "/api/v1/boxes/{box}/keys/{key}/code", BOXES_WRITE, Admin, "keys.set_code", boxes::codes::set_key_code, boxes::codes::SET_KEY_CODE;
    DELETE "/api/v1/boxes/{box}/keys/{key}/code", BOXES_WRITE, Admin, "keys.remove_code", boxes::codes::remove_key_code, boxes::codes::REMOVE_KEY_CODE;
    POST "/api/v1/boxes/{box}/accesses/{access}/booking", BOXES_WRITE, Admin, "accesses.book", boxes::codes::book, boxes::codes::BOOK;
    DELETE "/api/v1/boxes/{box}/accesses/{access}/booking", BOXES_WRITE, Admin, "accesses.unbook", boxes::codes::unbook, boxes::codes::UNBOOK;
    POST "/api/v1/boxes/{box}/offline-codes", BOXES_CODES, Admin, "boxes.offline_codes", boxes::sheets::show, boxes::sheets::SHOW;
    POST "/api/v1/boxes/{box}/accesses/{access}/passes", BOXES_WRITE, Admin, "passes.sign", boxes::passes::sign_pass, boxes::passes::SIGN;
    GET "/api/v1/boxes/{box}/passes/{pass}", BOXES_WRITE, Admin, "passes.show", boxes::passes::show, boxes::passes::SHOW;
    POST "/api/v1/boxes/{box}/passes/{pass}/renewal", BOXES_WRITE, Admin, "passes.renew", boxes::passes::renew, boxes::passes::RENEW;
    POST "/api/v1/people/{person}/qr", BOXES_WRITE, Admin, "passes.identify", boxes::passes::identify, boxes::passes::IDENTIFY;
    GET "/api/v1/offline/settings", BOXES_READ, Admin, "passes.settings", boxes::passes::settings, boxes::passes::SETTINGS;
    PATCH "/api/v1/offline/settings", ORG_ADMIN, Admin, "passes.choose", boxes::passes::choose, boxes::passes::CHOOSE;
    POST "/api/v1/offline/public-keys", ORG_ADMIN, Admin, "passes.make_key", boxes::passes::make_key, boxes::passes::MAKE_KEY;
    GET "/api/v1/boxes/{box}/history", BOXES_READ, Admin, "boxes.history", boxes::history::list, boxes::history::LIST;
    GET "/api/v1/alerts", BOXES_READ, Admin, "alerts.list", boxes::alerts::list, boxes::alerts::LIST;
    GET "/api/v1/alerts/settings", BOXES_READ, Admin, "alerts.settings", boxes::alerts::settings, boxes::alerts::SETTINGS;
    PUT "/api/v1/alerts/settings", ORG_ADMIN, Admin, "alerts.set", boxes::alerts::set, boxes::alerts::SET;
    POST "/api/v1/boxes/{box}/alerts/{alert}/acknowledgement", BOXES_WRITE, Admin, "alerts.acknowledge", boxes::alerts::acknowledge, boxes::alerts::ACKNOWLEDGE;
    GET "/api/v1/boxes/{box}/keys/{key}/alerts", BOXES_READ, Admin, "alerts.of_key", boxes::alerts::of_key, boxes::alerts::OF_KEY;
    PUT "/api/v1/boxes/{box}/keys/{key}/alerts", BOXES_WRITE, Admin, "alerts.set_of_key", boxes::alerts::set_of_key, boxes::alerts::SET_OF_KEY;
    GET "/api/v1/exchanges", BOXES_READ, Admin, "boxes.exchanges", boxes::online::old::list, boxes::online::old::LIST;
    GET "/api/v1/conflicts", BOXES_READ, Admin, "conflicts.list", boxes::conflicts::list, boxes::conflicts::LIST;
    GET "/api/v1/boxes/{box}/conflicts/{seq}", BOXES_READ, Admin, "conflicts.show", boxes::conflicts::show, boxes::conflicts::SHOW;
    POST "/api/v1/boxes/{box}/conflicts/{seq}/resolution", BOXES_WRITE, Admin, "conflicts.resolve", boxes::conflicts::resolve, boxes::conflicts::RESOLVE;

    POST "/api/v1/devices", DEVICES_WRITE, Admin, "devices.create", devices::create, devices::CREATE;
    GET "/api/v1/devices", DEVICES_READ, Admin, "devices.list", devices::list, devices::LIST;
    POST "/api/v1/devices/bulk", DEVICES_WRITE, Background, "devices.bulk", devices::bulk, devices::BULK;
    GET "/api/v1/devices/export", DEVICES_PAP, Admin, "devices.export", devices::csv::export, devices::csv::EXPORT;
    POST "/api/v1/devices/import", DEVICES_WRITE, Background, "devices.import", devices::csv::import, devices::csv::IMPORT;
    POST "/api/v1/devices/authenticate", DEVICES_AUTHENTICATE, PersonAtBox, "devices.authenticate", devices::authenticate::authenticate, devices::authenticate::AUTHENTICATE;
    GET "/api/v1/devices/{device}", DEVICES_READ, Admin, "devices.show", devices::show, devices::SHOW;
    PATCH "/api/v1/devices/{device}", DEVICES_WRITE, Admin, "devices.change", devices::change, devices::CHANGE;
    DELETE "/api/v1/devices/{device}", DEVICES_WRITE, Admin, "devices.delete", devices::delete, devices::DELETE;
    GET "/api/v1/devices/{device}/pap", DEVICES_PAP, Admin, "devices.pap", devices::pap, devices::PAP;
    POST "/api/v1/devices/{device}/suspension", DEVICES_WRITE, Admin, "devices.suspend", devices::suspend, devices::SUSPEND;
    POST "/api/v1/devices/{device}/reset", DEVICES_WRITE, Admin, "devices.reset", devices::reset, devices::RESET;
    GET "/api/v1/phones/settings", DEVICES_READ, Admin, "phones.settings", devices::phones::settings, devices::phones::SETTINGS;
    PATCH "/api/v1/phones/settings", DEVICES_WRITE, Admin, "phones.set", devices::phones::set, devices::phones::SET;
    POST "/api/v1/phones/path", DEVICES_WRITE, Admin, "phones.path", devices::phones::make_path, devices::phones::MAKE_PATH;
    GET "/api/v1/phones/whitelist", DEVICES_READ, Admin, "phones.whitelist", devices::phones::whitelist, devices::phones::WHITELIST;
    POST "/api/v1/phones/whitelist", DEVICES_WRITE, Admin, "phones.allow", devices::phones::allow, devices::phones::ALLOW;
    DELETE "/api/v1/phones/whitelist/{entry}", DEVICES_WRITE, Admin, "phones.revoke", devices::phones::revoke, devices::phones::REVOKE;

    PUT "/api/v1/organisations/{organisation}/account", OPERATOR, Admin, "stores.set_account", shops::set_account, shops::SET_ACCOUNT;
    POST "/api/v1/stores", IUV_WRITE, Admin, "stores.create", shops::create, shops::CREATE;
    GET "/api/v1/stores", IUV_READ, Admin, "stores.list", shops::list, shops::LIST;
    GET "/api/v1/stores/{store}", IUV_READ, Admin, "stores.show", shops::show, shops::SHOW;
    PATCH "/api/v1/stores/{store}", IUV_WRITE, Admin, "stores.change", shops::change, shops::CHANGE;
    PUT "/api/v1/stores/{store}/classes/{class}", IUV_WRITE, Admin, "stores.define_class", shops::parts::define_class, shops::parts::DEFINE_CLASS;
    DELETE "/api/v1/stores/{store}/classes/{class}", IUV_WRITE, Admin, "stores.remove_class", shops::parts::remove_class, shops::parts::REMOVE_CLASS;
    PUT "/api/v1/stores/{store}/members/{member}", IUV_WRITE, Admin, "stores.define_member", shops::parts::define_member, shops::parts::DEFINE_MEMBER;
    DELETE "/api/v1/stores/{store}/members/{member}", IUV_WRITE, Admin, "stores.remove_member", shops::parts::remove_member, shops::parts::REMOVE_MEMBER;
    GET "/api/v1/stores/{store}/refused-callers", IUV_READ, Admin, "stores.refused_callers", shops::verifications::refused_callers, shops::verifications::REFUSED;
    POST "/api/v1/stores/{store}/tester", IUV_READ, Admin, "stores.test", shops::tester::test, shops::tester::TEST;
    POST "/api/v1/stores/{store}/verifications", IUV_WRITE, Admin, "verifications.add", shops::verifications::add, shops::verifications::ADD;
    PATCH "/api/v1/stores/{store}/verifications/{verification}", IUV_WRITE, Admin, "verifications.change", shops::verifications::change, shops::verifications::CHANGE;
    DELETE "/api/v1/stores/{store}/verifications/{verification}", IUV_WRITE, Admin, "verifications.remove", shops::verifications::remove, shops::verifications::REMOVE;
    PUT "/api/v1/stores/{store}/verifications/{verification}/state", IUV_WRITE, Admin, "verifications.set_state", shops::verifications::set_state, shops::verifications::SET_STATE;
    POST "/api/v1/stores/{store}/verifications/{verification}/callers", IUV_WRITE, Admin, "verifications.allow", shops::verifications::allow, shops::verifications::ALLOW;
    POST "/api/v1/stores/{store}/verifications/{verification}/key/generation", IUV_WRITE, Admin, "verifications.generate_key", shops::keys::generate, shops::keys::GENERATE;
    PUT "/api/v1/stores/{store}/verifications/{verification}/key", IUV_WRITE, Admin, "verifications.save_key", shops::keys::save, shops::keys::SAVE;
    GET "/api/v1/stores/{store}/verifications/{verification}/key", IUV_CODES, Admin, "verifications.show_key", shops::keys::show, shops::keys::SHOW;
    POST "/api/v1/stores/{store}/products", IUV_WRITE, Admin, "products.create", products::create, products::CREATE;
    GET "/api/v1/stores/{store}/products", IUV_READ, Admin, "products.list", products::list, products::LIST;
    GET "/api/v1/stores/{store}/products/{product}", IUV_READ, Admin, "products.show", products::show, products::SHOW;
    PATCH "/api/v1/stores/{store}/products/{product}", IUV_WRITE, Admin, "products.change", products::change, products::CHANGE;
    POST "/api/v1/stores/{store}/products/{product}/codes", IUV_CODES, Admin, "products.add_codes", products::add_codes, products::ADD_CODES;
    GET "/api/v1/stores/{store}/products/{product}/codes", IUV_CODES, Admin, "products.codes", products::codes, products::CODES;
    POST "/api/v1/stores/{store}/shoppers", IUV_WRITE, Admin, "shoppers.allow", shoppers::allow, shoppers::ALLOW;
    GET "/api/v1/stores/{store}/shoppers", IUV_READ, Admin, "shoppers.list", shoppers::list, shoppers::LIST;
    POST "/api/v1/stores/{store}/shoppers/import", IUV_WRITE, Background, "shoppers.import", shoppers::import, shoppers::IMPORT;
    GET "/api/v1/stores/{store}/shoppers/{shopper}", IUV_READ, Admin, "shoppers.show", shoppers::show, shoppers::SHOW;
    DELETE "/api/v1/stores/{store}/shoppers/{shopper}", IUV_WRITE, Admin, "shoppers.erase", shoppers::erase, shoppers::ERASE;
    POST "/api/v1/stores/{store}/shoppers/{shopper}/removal", IUV_WRITE, Admin, "shoppers.bar", shoppers::bar, shoppers::BAR;
    POST "/api/v1/stores/{store}/shoppers/{shopper}/invitation", IUV_WRITE, Admin, "shoppers.invite", shoppers::invite, shoppers::INVITE;
    POST "/api/v1/stores/{store}/shoppers/{shopper}/roles", IUV_WRITE, Admin, "shoppers.grant", shoppers::grant, shoppers::GRANT;
    DELETE "/api/v1/stores/{store}/shoppers/{shopper}/roles/{role}", IUV_WRITE, Admin, "shoppers.revoke", shoppers::revoke, shoppers::REVOKE;
    POST "/api/v1/stores/{store}/shoppers/{shopper}/transfer", IUV_WRITE, Admin, "shoppers.transfer", shoppers::transfer, shoppers::TRANSFER;
    POST "/api/v1/stores/{store}/shoppers/{shopper}/transfer/confirmation", ORG_ADMIN, Admin, "shoppers.confirm", shoppers::confirm, shoppers::CONFIRM;
    GET "/api/v1/stores/{store}/orders", IUV_READ, Admin, "orders.list", shoppers::orders, shoppers::ORDERS;
    GET "/api/v1/stores/{store}/report", IUV_READ, Admin, "orders.report", shoppers::report, shoppers::REPORT;
    POST "/api/v1/installations", RECOVERY_WRITE, Admin, "installations.create", installations::create, installations::CREATE;
    GET "/api/v1/installations", RECOVERY_READ, Admin, "installations.list", recovery::list, recovery::LIST;
    GET "/api/v1/installations/{installation}", RECOVERY_READ, Admin, "installations.show", installations::show, installations::SHOW;
    PATCH "/api/v1/installations/{installation}", RECOVERY_WRITE, Admin, "installations.change", installations::change, installations::CHANGE;
    DELETE "/api/v1/installations/{installation}", RECOVERY_WRITE, Admin, "installations.delete", installations::delete, installations::DELETE;
    POST "/api/v1/installations/{installation}/users", RECOVERY_WRITE, Admin, "installations.add_user", recovery::users::add, recovery::users::ADD;
    PATCH "/api/v1/installations/{installation}/users/{user}", RECOVERY_WRITE, Admin, "installations.change_user", recovery::users::change, recovery::users::CHANGE;
    DELETE "/api/v1/installations/{installation}/users/{user}", RECOVERY_WRITE, Admin, "installations.remove_user", recovery::users::remove, recovery::users::REMOVE;
    POST "/api/v1/organisations/{organisation}/installations/{installation}/break-glass", OPERATOR, Admin, "break_glass.start", recovery::glass::start, recovery::glass::START;
    GET "/api/v1/organisations/{organisation}/installations/{installation}/break-glass", OPERATOR, Admin, "break_glass.show", recovery::glass::show, recovery::glass::SHOW;
    DELETE "/api/v1/organisations/{organisation}/installations/{installation}/break-glass", OPERATOR, Admin, "break_glass.withdraw", recovery::glass::withdraw, recovery::glass::WITHDRAW;
    POST "/api/v1/mails/bounces", ORG_ADMIN, Admin, "mails.bounce", recovery::reports::bounce, recovery::reports::BOUNCE;
    GET "/recovery/v1/reports/{report}", Guard::Nobody, Background, "texts.report", recovery::reports::text, recovery::reports::TEXT;
    POST "/recovery/v1/{path}/terminals", Guard::Nobody, PersonAtBox, "terminals.open", terminals::open, terminals::OPEN;
    DELETE "/recovery/v1/terminal", Guard::Nobody, PersonAtBox, "terminals.close", terminals::close, terminals::CLOSE;
    POST "/recovery/v1/terminal/renewal", Guard::Nobody, PersonAtBox, "terminals.renew", terminals::renew, terminals::RENEW;
    POST "/recovery/v1/terminal/login", Guard::Nobody, PersonAtBox, "terminals.log_in", terminals::log_in, terminals::LOG_IN;
    POST "/recovery/v1/terminal/forgotten", Guard::Nobody, PersonAtBox, "terminals.forgotten", terminals::forgotten, terminals::FORGOTTEN;
    GET "/recovery/v1/terminal/contact", Guard::Nobody, PersonAtBox, "terminals.contact", contact::show, contact::SHOW;
    DELETE "/recovery/v1/terminal/break-glass", Guard::Nobody, PersonAtBox, "terminals.stop_break_glass", recovery::glass::stop, recovery::glass::STOP;
    PUT "/recovery/v1/terminal/contact", Guard::Nobody, PersonAtBox, "terminals.set_contact", contact::change, contact::CHANGE;
    POST "/recovery/v1/terminal/contact/validation", Guard::Nobody, PersonAtBox, "terminals.validate", contact::validate, contact::VALIDATE;

    GET "/api/v1/events", AUDIT, Admin, "events.list", changes::list, changes::LIST;
    GET "/api/v1/audit", AUDIT, Admin, "audit.list", audit::list, audit::LIST;
    GET "/api/v1/audit/refusals", AUDIT, Admin, "audit.refusals", audit::refusals, audit::REFUSALS;

    POST "/api/v1/webhooks", ORG_ADMIN, Admin, "webhooks.create", webhooks::create, webhooks::CREATE;
    GET "/api/v1/webhooks", ORG_ADMIN, Admin, "webhooks.list", webhooks::list, webhooks::LIST;
    GET "/api/v1/webhooks/{webhook}", ORG_ADMIN, Admin, "webhooks.show", webhooks::show, webhooks::SHOW;
    PATCH "/api/v1/webhooks/{webhook}", ORG_ADMIN, Admin, "webhooks.change", webhooks::change, webhooks::CHANGE;
    DELETE "/api/v1/webhooks/{webhook}", ORG_ADMIN, Admin, "webhooks.delete", webhooks::delete, webhooks::DELETE;
    POST "/api/v1/webhooks/{webhook}/secret", ORG_ADMIN, Admin, "webhooks.secret", webhooks::rotate, webhooks::ROTATE;
    POST "/api/v1/webhooks/{webhook}/pause", ORG_ADMIN, Admin, "webhooks.pause", webhooks::pause, webhooks::PAUSE;
    POST "/api/v1/webhooks/{webhook}/resume", ORG_ADMIN, Admin, "webhooks.resume", webhooks::resume, webhooks::RESUME;
    POST "/api/v1/webhooks/{webhook}/test", ORG_ADMIN, Admin, "webhooks.test", webhooks::deliveries::test, webhooks::deliveries::TEST;
    GET "/api/v1/webhooks/{webhook}/deliveries", ORG_ADMIN, Admin, "webhooks.deliveries", webhooks::deliveries::list, webhooks::deliveries::LIST;
    POST "/api/v1/webhooks/{webhook}/deliveries/{delivery}/redelivery", ORG_ADMIN, Admin, "webhooks.redelivery", webhooks::deliveries::redeliver, webhooks::deliveries::REDELIVER;

    POST "/api/v1/operator/backups", OPERATOR, Admin, "backups.create", operations::create, operations::CREATE;
    GET "/api/v1/operator/backups", OPERATOR, Admin, "backups.list", operations::list, operations::LIST;
    GET "/api/v1/operator/backups/{name}", OPERATOR, Admin, "backups.show", operations::show, operations::SHOW;
    DELETE "/api/v1/operator/backups/{name}", OPERATOR, Admin, "backups.remove", operations::remove, operations::REMOVE;
    POST "/api/v1/operator/master-key/rotation", OPERATOR, Admin, "master_key.rotate", operations::rotate, operations::ROTATE;
    GET "/api/v1/operator/master-key/rotation", OPERATOR, Admin, "master_key.rotation", operations::rotation, operations::ROTATION;
}

/// Registers the table, the pages of the problem codes, and problems for all else.
///
/// What is registered is tried in order, and a path with parameters costs a regular expression: so the table goes by
/// families, of which only one is looked into.
pub fn register(app: &mut web::ServiceConfig) {
    let mut families: Vec<&'static str> = Vec::new();
    for family in ROUTES.iter().map(|route| family_of(route.path)) {
        if !families.contains(&family) {
            families.push(family);
        }
    }
    // A family within another stands before it: what a family begins with is looked for there alone. Boxes ask most.
    families.sort_by_key(|family| (!family.starts_with("/box/v1/"), Reverse(family.len())));
    for family in families {
        app.service(of_family(family));
    }
    stores::register_as_written(app);
    shop::register(app);
    openapi::register(app);
    link::register(app);
    phones::register(app);
    pages::register(app);
    stores::register_in_any_case(app);
    app.service(web::resource("/problems/{code}").route(web::get().to(problem_page)));
    app.default_service(web::to(service::unknown));
}

/// A path's segments before its first parameter, three at most.
fn family_of(path: &str) -> &str {
    let end = path.match_indices('/').map(|(at, _)| at).nth(3).unwrap_or(path.len());
    path[..end].find("/{").map_or(&path[..end], |parameter| &path[..parameter])
}

fn of_family(family: &'static str) -> actix_web::Scope {
    let mut scope = web::scope(family);
    let mut seen: Vec<&'static str> = Vec::new();
    for path in ROUTES.iter().map(|route| route.path).filter(|path| family_of(path) == family) {
        if !seen.contains(&path) {
            seen.push(path);
            scope = scope.service(at_path(path, &path[family.len()..]));
        }
    }
    scope
}

/// All methods of one path.
fn at_path(path: &'static str, within_family: &str) -> Resource {
    let methods: Rc<str> = methods_of(path).into();
    let mut resource = web::resource(within_family);
    for (number, route) in ROUTES.iter().enumerate().filter(|(_, route)| route.path == path) {
        let handler =
            move |request: HttpRequest, payload: web::Payload| service::serve(route, number, request, payload);
        resource = resource.route(web::method(route.method.clone()).to(handler));
    }
    let refuse = move |request: HttpRequest| {
        let refused = service::method_not_allowed(&request, &methods);
        async move { refused }
    };
    resource.default_service(web::to(refuse))
}

/// As `Allow` says it.
fn methods_of(path: &str) -> String {
    let methods: Vec<_> = ROUTES.iter().filter(|route| route.path == path).map(|route| route.method.as_str()).collect();
    methods.join(", ")
}

async fn problem_page(request: HttpRequest) -> HttpResponse {
    let wanted = request.match_info().get("code").unwrap_or_default();
    match Code::ALL.iter().find(|code| code.as_str() == wanted) {
        Some(code) => HttpResponse::Ok().content_type("text/markdown; charset=utf-8").body(code.page()),
        None => service::unknown(request).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_method_path_pairs_are_unique() {
        let mut names: Vec<_> = ROUTES.iter().map(|route| route.name).collect();
        let mut pairs: Vec<_> = ROUTES.iter().map(|route| (route.path, route.method.as_str())).collect();
        names.sort_unstable();
        names.dedup();
        pairs.sort_unstable();
        pairs.dedup();
        assert_eq!((names.len(), pairs.len()), (ROUTES.len(), ROUTES.len()));
    }

    #[test]
    fn every_api_route_wants_a_token_and_every_change_a_scope() {
        for route in ROUTES.iter().filter(|route| route.path.starts_with("/api/v1/")) {
            let Guard::Token(scopes) = route.guard else { panic!("{} is open", route.name) };
            assert!(!scopes.is_empty() || route.method == Method::GET, "{} wants no scope", route.name);
        }
    }
}
