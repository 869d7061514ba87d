"""What the schema alone cannot tell: which tokens to send, which objects there are, and rules between fields."""

import datetime
import json
import os
import threading
import zlib

import schemathesis
from hypothesis import strategies as st

from world import PASSWORD, Refused, World

# Numbers are not used twice, by whatever ran before against the same server.
WORLD = World(os.environ["CASTELLAN_URL"], os.environ["CASTELLAN_OPERATOR"], int(os.environ["CASTELLAN_FIRST"]))
AS_OPERATOR = os.environ["CASTELLAN_AS"] == "operator"
SEEN = open(os.environ["CASTELLAN_SEEN"], "a", buffering=1)
SEEN_LOCK = threading.Lock()

ZONES = ["Europe/Rome", "Europe/Berlin", "UTC", "America/New_York", "Asia/Kolkata", "Pacific/Auckland"]
schemathesis.openapi.format("iana-time-zone", st.sampled_from(ZONES))
TO_COME = st.datetimes(min_value=datetime.datetime(2100, 1, 1), max_value=datetime.datetime(2900, 1, 1))
schemathesis.openapi.format("date-time", TO_COME.map(lambda at: at.isoformat() + "Z"))
# Bytes are counted, which no keyword says.
BYTES_MAX = {"fob": 31, "bin": 15, "bins": 15, "email": 254, "firmware": 40}


@schemathesis.auth(refresh_interval=None)
class Tokens:
    def get(self, case, context):
        if case.operation.path.startswith("/box/"):
            return WORLD.box_token
        return WORLD.operator if AS_OPERATOR else WORLD.token

    def set(self, case, data, context):
        secured = case.operation.definition.raw.get("security") != [{}]
        if secured:
            case.headers["Authorization"] = f"Bearer {data}"


def chosen(case, salt, share):
    """Whether to put something real in this case: the same decision for the same case."""
    return zlib.crc32(f"{salt}{case.path_parameters}{case.body}".encode(errors="replace")) % 4 < share


def real_path(case):
    """Most requests name objects that are there; what is removed is made for it."""
    method, path = case.operation.method.upper(), case.operation.path
    real = {
        "organisation": lambda: WORLD.organisation if "break-glass" in path else WORLD.new_organisation()["organisation"] if method == "DELETE" or path.endswith("/account") else WORLD.organisation,
        "person": lambda: WORLD.new_person() if method == "DELETE" else WORLD.person,
        "token_id": WORLD.new_token,
        "box": lambda: WORLD.box,
        "bin": lambda: "A-2",
        "key": lambda: WORLD.new_key() if method == "DELETE" else WORLD.key,
        "access": WORLD.new_booking if method == "DELETE" and path.endswith("/booking") else WORLD.new_access,
        "group": lambda: WORLD.new_group(used="/accesses" in path or method == "DELETE" and chosen(case, "used", 3)),
        "seq": lambda: "1",
        "mail": WORLD.new_mail,
        "alert": lambda: "1",
        "webhook": lambda: WORLD.new_webhook(tested="{delivery}" in path),
        "delivery": lambda: "1",
        "device": WORLD.new_device,
        "entry": WORLD.new_whitelist_entry,
        "name": WORLD.new_backup,
        "store": lambda: WORLD.new_store() if own_store else WORLD.store,
        "verification": lambda: WORLD.new_verification(case.path_parameters["store"]),
        "class": lambda: "academic_statuses",
        "member": lambda: WORLD.new_member(case.path_parameters["store"]),
        "product": WORLD.new_product,
        "shopper": lambda: WORLD.new_shopper(role="/transfer" in path, moving="/confirmation" in path),
        "role": lambda: "store_admin",
        "installation": lambda: WORLD.new_glass() if "break-glass" in path and method != "POST" else WORLD.new_installation()[0],
        # What only the server can make, and tells its gateway alone.
        "report": lambda: "0" * 79,
        "user": lambda: WORLD.new_user(case.path_parameters["installation"]),
        "path": lambda: WORLD.new_installation()[1],
        "pass": WORLD.new_pass,
        "exchange": WORLD.new_exchange,
        "order": WORLD.new_order,
    }
    own_store = {"verification", "class", "member"} & set(case.path_parameters) or path.endswith("/verifications")
    unknown = set(case.path_parameters) - set(real)
    assert not unknown, f"hooks.py does not know {unknown} of {path}"
    # What others belong to comes first.
    for name in sorted(case.path_parameters, key=lambda name: (name not in ("store", "installation"), name)):
        case.path_parameters[name] = real[name]()
    if "{alert}" in path:
        case.path_parameters["alert"] = WORLD.new_alert()
        case.path_parameters["box"] = WORLD.other_box
    if method == "DELETE" and path.endswith("/enrolment"):
        case.path_parameters["box"] = WORLD.new_box()[0]
    if path.startswith("/api/v1/boxes/{box}/orders"):
        case.path_parameters["box"] = WORLD.ready_box
    if path.endswith("/resolution"):
        case.path_parameters["seq"] = WORLD.new_conflict()
        case.path_parameters["box"] = WORLD.other_box


def at_terminal(name):
    """The token of a terminal at which this can be done."""
    if name == "terminals.forgotten":
        return WORLD.new_terminal(["wrong", "wrong again"])
    if name in ("terminals.contact", "terminals.set_contact"):
        return WORLD.new_administrators_terminal()
    if name == "terminals.stop_break_glass":
        return WORLD.new_administrators_terminal(glass=True)
    if name == "terminals.validate":
        return WORLD.new_administrators_terminal("anna@rossi.example")
    return WORLD.new_terminal()


def spare(case):
    """What the other requests need stays."""
    needed = {WORLD.organisation, WORLD.person, WORLD.shopper, WORLD.key, WORLD.owner, WORLD.token_id, WORLD.operators_token_id}
    if case.operation.path.endswith("/enrolment"):
        # A box that is unlinked is nobody's.
        needed |= {WORLD.box, WORLD.ready_box}
    if case.operation.method.upper() == "DELETE" and needed & set((case.path_parameters or {}).values()):
        real_path(case)


def within(value, name=""):
    """Values as no keyword can tell them: bytes, names of zones, whole numbers without a point."""
    if isinstance(value, dict):
        return {key: within(member, key) for key, member in value.items()}
    if isinstance(value, list):
        return [within(item, name) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str):
        if len(value.encode()) > BYTES_MAX.get(name, 1 << 20):
            return WORLD.fob()
        if name == "zone" and value not in ZONES:
            return ZONES[zlib.crc32(value.encode()) % len(ZONES)]
    return value


def is_a_day(text):
    try:
        return datetime.date.fromisoformat(text[:10]) > datetime.date(1970, 1, 1)
    except ValueError:
        return False


def repair(case):
    """Rules between fields, and between a field and what there is."""
    name = case.operation.definition.raw["operationId"]
    if (case.headers or {}).get("Idempotency-Key"):
        case.headers["Idempotency-Key"] = f"key-{WORLD.number()}"
    if (case.headers or {}).get("If-Match"):
        case.headers["If-Match"] = "*"
        if name in ("products.create", "shoppers.allow", "stores.test", "stores.set_account", "verifications.generate_key"):
            # What is only being made, or not at all, cannot match.
            case.headers.pop("If-Match")
        elif case.operation.method.upper() == "DELETE":
            # What is gone already does not match, and that is no news.
            case.headers.pop("If-Match")
    if case.operation.method.upper() != "GET":
        (case.headers or {}).pop("If-None-Match", None)
    elif (case.headers or {}).get("If-None-Match"):
        # What is put in for values that no header can carry knows nothing of the pattern.
        case.headers["If-None-Match"] = '"12"'
    if case.operation.path.startswith("/box/") and "Authorization" in case.headers:
        case.headers["Authorization"] = f"Bearer {WORLD.box_token}"
        if name in ("box.exchange", "box.complete", "box.cancel", "box.orders", "box.report"):
            case.headers["Authorization"] = f"Bearer {WORLD.ready_token}"
    if case.operation.path.startswith("/recovery/v1/terminal"):
        case.headers["Authorization"] = f"Bearer {at_terminal(name)}"
    if name == "audit.list":
        others = ["application/json", "text/csv", "application/x-ndjson"]
        case.headers["Accept"] = others[zlib.crc32(str(case.query).encode()) % len(others)]
    query = case.query if isinstance(case.query, dict) else {}
    for field, most in BYTES_MAX.items():
        if isinstance(query.get(field), str) and len(query[field].encode(errors="replace")) > most:
            query[field] = "A-1"
    if name in ("events.list", "audit.list") and query.get("after"):
        query["after"] = WORLD.cursor()
    if "organisation" in query:
        query["organisation"] = WORLD.organisation
    if name == "people.export":
        # The `next` of a page before; one page holds all of this person.
        query.pop("after", None)
    if name == "boxes.exchanges":
        query["box"] = WORLD.box
    if name == "keys.list" and query.get("where"):
        query.setdefault("box", WORLD.box)
    if name.endswith(".bulk"):
        # A head line as CSV; as NDJSON a row that is wrong, which is told in its own line.
        heads = {"accesses.bulk": "person\n", "devices.bulk": "mac\n"}
        case.body = heads.get(name, "name\n")
    if name == "shoppers.import":
        case.body = "username\n"
    if name == "devices.import":
        case.body = "mac;vendor\n"
    if not isinstance(case.body, dict):
        return
    body = case.body = within(case.body)
    if name == "alerts.set":
        for mails in body.get("mails") or []:
            if mails.get("person") is not None:
                mails["person"] = WORLD.person
    if name == "tokens.create":
        if body.get("expires_at"):
            body["expires_at"] = "2100-01-01T00:00:00Z"
        body["scopes"] = ["operator"] if AS_OPERATOR else [s for s in body["scopes"] if s != "operator"] or ["boxes:read"]
    if body.get("mac") and name.startswith("devices."):
        body["mac"] = f"000413{WORLD.number():06x}"
    if name in ("devices.create", "devices.change") and body.get("accounts"):
        # How many, and of which letters, is each vendor's own.
        body["accounts"] = [{"user": "201", "password": "s3cret", "name": body["accounts"][0].get("name", "")}]
    if name == "devices.authenticate":
        body.pop("account" if body.get("mac") else "mac", None)
        if not body.get("mac") and not body.get("account"):
            body.pop("account", None)
            body["mac"] = "000413abcdef"
    if name.startswith("installations."):
        for form in (body, body.get("administrator") or {}):
            if form.get("password") is not None:
                form["password"] = PASSWORD
    if name == "break_glass.start":
        body["email"] = "anna@rossi.example"
    if name == "boxes.set" and body.get("second_factor") == "sms":
        # Texts are not set up here.
        body["second_factor"] = "pin"
    if name == "mails.bounce":
        body["message_id"] = f"<{WORLD.new_installation()[0]}.7.0.19a53c1e8c0@castle.example>"
    if name == "terminals.forgotten":
        body.pop("confirmation", None)
    if name == "terminals.set_contact":
        # Texts are not set up here, and what is confirmed is what was answered before.
        body.pop("telephone", None)
        body.pop("confirmation", None)
        if body.get("email"):
            body["email"] = "anna@rossi.example"
    if name == "phones.allow":
        body["network"] = f"10.{WORLD.number() >> 8 & 255}.{WORLD.number() & 255}.2"
    if name == "verifications.change":
        for list_of, right in (("callers", "192.0.2.0/24"), ("administrators", "it@example.edu")):
            if body.get(list_of):
                body[list_of] = [right]
        if body.get("groups"):
            body["groups"] = [{"class": "academic_statuses", "group": "students"}]
    if name == "verifications.allow":
        body["network"] = f"10.{WORLD.number() >> 8 & 255}.{WORLD.number() & 255}.3"
    if name == "verifications.save_key":
        body["key"] = WORLD.iuv_key()
    if name == "stores.define_class":
        seen = set()
        body["groups"] = [group for group in body["groups"] if not (group["group"] in seen or seen.add(group["group"]))]
    if name == "stores.test" and body.get("caller") is not None:
        body["caller"] = "192.0.2.7"
    if name == "stores.set_account":
        body["account"] = str(100_000_000 + WORLD.number())
    if name == "products.add_codes":
        # A code is taken for ever.
        body["codes"] = [f"CODE-{WORLD.number()}"]
    if name == "shoppers.allow":
        body.pop("groups", None) if chosen(case, "groups", 2) else body.update(groups=["students", "a:b"])
        if len(body.get("email") or "") > 100:
            body["email"] = "anna@rossi.example"
    if name == "shoppers.transfer":
        body.update(to=WORLD.shopper, role="store_admin")
    if name.startswith("webhooks.") and body.get("url"):
        body["url"] = "https://hooks.invalid/castellan"
    grants = body.get("accesses", []) if name in ("accesses.batch", "boxes.create") else []
    grants = [body] if name == "accesses.grant" else grants
    for grant in grants:
        grant["person"] = WORLD.person
        if grant.get("group"):
            grant["group"] = WORLD.group
        for field in ("from", "until"):
            if grant.get(field) and not is_a_day(grant[field]):
                grant.pop(field)
        if grant.get("from"):
            grant.pop("until", None)
        if not grant.get("until"):
            grant.pop("remind_before_end_minutes", None)
        if grant.get("remind_before_end_minutes"):
            grant.pop("remind_after_minutes", None)
    if name == "boxes.create":
        keys, bins, fobs = body.get("keys", []), set(body["bins"]), set()
        keys[:] = [key for key in keys if not (key.get("fob") in fobs or fobs.add(key.get("fob")))]
        for key in keys:
            if key.get("fob") and key.get("bin") in bins:
                bins.remove(key["bin"])
            else:
                key.pop("bin", None)
        for grant in grants:
            if "key_index" in grant:
                grant.pop("key_index")
                grant["box"] = True
    if name == "keys.create" and chosen(case, "fob", 3):
        body["fob"] = WORLD.fob()
        body.pop("bin", None)
    if name == "keys.create" and not body.get("fob"):
        # What has no fob lies in no bin.
        body.pop("bin", None)
    for key in body.get("keys", []) if name == "boxes.create" else [body] if name in ("keys.create", "keys.change") else []:
        if key.get("groups"):
            key["groups"] = [WORLD.group]
    if name in ("groups.create", "groups.change") and chosen(case, "name", 3):
        body["name"] = f"Group {WORLD.number()}"
    if name == "bins.correct":
        if not body.get("fob"):
            body.pop("key", None)
        elif body.get("key"):
            body.update(fob=WORLD.fob(), key=WORLD.key)
        # An order counts for a bin that it has opened.
        body.pop("order", None)
    if name == "box.exchange" and chosen(case, "exchange", 3):
        body.update(kind="drop_off", of={"fob": WORLD.fob()}, journal_head=0)
        body.pop("by", None)
    if name == "box.report":
        body["results"] = [{"bin": "A-2", "outcome": result["outcome"]} for result in body.get("results", [])[:1]]
    if name == "box.enrol" and chosen(case, "enrol", 3):
        body["code"] = WORLD.new_code()
    if name == "box.sync":
        body["journal"].pop("kept_from", None)
        body["journal"].pop("entries", None) if chosen(case, "sync", 2) else None


@schemathesis.hook
def before_call(context, case, kwargs):
    with WORLD.lock:
        spare(case)
    mode = case.meta.generation.mode if case.meta else None
    if mode is None or not mode.is_positive:
        return
    with WORLD.lock:
        try:
            if case.path_parameters and chosen(case, "path", 3):
                real_path(case)
            repair(case)
        except (Refused, LookupError):
            # Chance has changed what this needed. It is asked as it is; whether each operation succeeds is counted.
            pass


@schemathesis.hook
def after_call(context, case, response):
    name = case.operation.definition.raw["operationId"]
    with SEEN_LOCK:
        SEEN.write(json.dumps([name, response.status_code]) + "\n")
    if name in ("box.sync", "box.confirm", "box.enrol") and response.status_code in (201, 401, 403):
        with WORLD.lock:
            try:
                WORLD.enrol()
            except Refused:
                pass
