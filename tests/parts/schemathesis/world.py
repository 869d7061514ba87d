"""What stands in the server while it is tested: an organisation with people, boxes, keys, accesses, tokens, a conflict
and mails that cannot be brought. Things are made anew as the tests remove them."""

import itertools
import json
import threading
import time
import urllib.error
import urllib.request


PASSWORD = "tre gatti sul tetto"


class Refused(Exception):
    pass


class World:
    def __init__(self, base, operator, first):
        self.base, self.operator = base, operator
        self.numbers = itertools.count(first)
        self.lock = threading.Lock()
        made = self.new_organisation()
        self.organisation, self.owner, self.token = made["organisation"], made["owner"], made["token"]
        self.token_id = self.ask(self.token, "GET", "/api/v1/tokens")["items"][0]["token_id"]
        # The one that everything here is done with: without it nothing goes on.
        self.operators_token_id = "tok_" + operator.split("_")[2]  # the list may begin with another
        self.person = self.new_person()
        self.box, self.enrolment_code = self.new_box()
        self.key = self.new_key()
        self.group = self.new_group()
        body = {"system_name": "shop", "name": "Shop", "language": "it"}
        self.store = self.ask(self.token, "POST", "/api/v1/stores", body)["store"]
        self.shopper = self.new_shopper()
        self.enrol()
        # A box that the tests never name, whose journal makes conflicts, and an owner who cannot be written to.
        self.new_other_box()
        self.ask(self.token, "PATCH", f"/api/v1/people/{self.owner}", {"email": None})
        self.conflict(self.box_token, 1)
        self.new_ready_box()

    def ask(self, token, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data, method=method)
        request.add_header("Content-Type", "application/json")
        if token:
            request.add_header("Authorization", "Bearer " + token)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            raise Refused(f"{method} {path}: {error.code} {error.read().decode()}") from error
        return json.loads(text) if text else None

    def number(self):
        return next(self.numbers)

    def fob(self):
        return f"F{self.number():06X}"

    def new_organisation(self):
        return self.ask(self.operator, "POST", "/api/v1/organisations", {
            "name": "Rossi Auto", "plan": "premium", "language": "it", "zone": "Europe/Rome",
            "owner": {"name": "Anna Rossi", "email": "anna@rossi.example"},
        })

    def new_person(self):
        return self.ask(self.token, "POST", "/api/v1/people", {"name": "Bruno"})["person"]

    def new_token(self):
        body = {"label": "for a while", "scopes": ["boxes:read"]}
        return self.ask(self.token, "POST", "/api/v1/tokens", body)["token_id"]

    def new_box(self):
        body = {"name": "Entrance", "model": "MS5", "zone": "Europe/Rome", "enrol": True,
                "bins": [f"A-{n}" for n in range(1, 9)]}
        made = self.ask(self.token, "POST", "/api/v1/boxes", body)
        return made["box"], made["enrolment_code"]

    def new_key(self):
        body = {"name": "Van", "fob": self.fob()}
        return self.ask(self.token, "POST", f"/api/v1/boxes/{self.box}/keys", body)["key"]

    def new_group(self, used=False):
        """A group of keys; one that an access is to cannot be deleted."""
        group = self.ask(self.token, "POST", "/api/v1/groups", {"name": f"Group {self.number()}"})["group"]
        if used:
            body = {"person": self.person, "group": group}
            self.ask(self.token, "POST", f"/api/v1/boxes/{self.box}/accesses", body)
        return group

    def new_pass(self):
        """A pass of the box that the tests name."""
        path = f"/api/v1/boxes/{self.box}/accesses/{self.new_access()}/passes"
        return self.ask(self.token, "POST", path, {})["pass"]

    def new_webhook(self, tested=False):
        """One that is sent no events; its log holds delivery 1 if it was tested."""
        body = {"url": "https://hooks.invalid/", "types": ["none"]}
        webhook = self.ask(self.token, "POST", "/api/v1/webhooks", body)["webhook"]
        if tested:
            self.ask(self.token, "POST", f"/api/v1/webhooks/{webhook}/test", {})
        return webhook

    def new_device(self):
        mac = f"000413{self.number():06x}"
        return self.ask(self.token, "POST", "/api/v1/devices", {"mac": mac, "vendor": "snom"})["device"]

    def new_installation(self):
        """Its id, and how terminals name it."""
        made = self.ask(self.token, "POST", "/api/v1/installations", {
            "label": "Studio", "product": "Mexal", "environment": "live",
            "administrator": {"name": "Anna", "password": PASSWORD},
        })
        return made["installation"], made["path"]

    def new_user(self, installation):
        body = {"name": f"user{self.number()}", "password": PASSWORD, "role": "user"}
        return str(self.ask(self.token, "POST", f"/api/v1/installations/{installation}/users", body)["user"])

    def new_glass(self):
        """An installation of which the operator has started a reset to a new address."""
        installation = self.new_installation()[0]
        self.break_glass(installation)
        return installation

    def break_glass(self, installation):
        path = f"/api/v1/organisations/{self.organisation}/installations/{installation}/break-glass"
        self.ask(self.operator, "POST", path, {"email": "anna@rossi.example"})

    def new_terminal(self, logins=(), glass=False):
        """One of an installation of its own, at which these passwords were tried."""
        installation, path = self.new_installation()
        if glass:
            self.break_glass(installation)
        terminal = self.ask(None, "POST", f"/recovery/v1/{path}/terminals", {})["terminal"]
        for password in logins:
            self.ask(terminal, "POST", "/recovery/v1/terminal/login", {"name": "Anna", "password": password})
        return terminal

    def new_administrators_terminal(self, email=None, glass=False):
        """One at which administrator 1 is logged in; with a contact that is not validated yet."""
        terminal = self.new_terminal([PASSWORD], glass)
        if email:
            path, body = "/recovery/v1/terminal/contact", {"email": email}
            body["confirmation"] = self.ask(terminal, "PUT", path, body)["confirmation"]
            self.ask(terminal, "PUT", path, body)
        return terminal

    def new_store(self):
        body = {"system_name": f"shop{self.number()}", "name": "Shop", "language": "de"}
        return self.ask(self.token, "POST", "/api/v1/stores", body)["store"]

    def new_verification(self, store):
        """Of single sign-on, with a key."""
        path = f"/api/v1/stores/{store}/verifications"
        verification = self.ask(self.token, "POST", path, {"kind": "iuv"})["verification"]
        self.ask(self.token, "PUT", f"{path}/{verification}/key", {"key": self.iuv_key()})
        return str(verification)

    def iuv_key(self):
        return f"{self.number():032x}"

    def new_member(self, store):
        self.ask(self.token, "PUT", f"/api/v1/stores/{store}/members/OrgB", {"name": "B"})
        return "OrgB"

    def new_product(self):
        path = f"/api/v1/stores/{self.store}/products"
        return self.ask(self.token, "POST", path, {"name": f"Product {self.number()}"})["product"]

    def new_shopper(self, role=False, moving=False):
        path = f"/api/v1/stores/{self.store}/shoppers"
        shopper = self.ask(self.token, "POST", path, {"username": f"user{self.number()}"})["shopper"]
        if role:
            self.ask(self.token, "POST", f"{path}/{shopper}/roles", {"role": "store_admin"})
        if moving:
            body = {"to": self.shopper, "role": "store_admin"}
            self.ask(self.token, "POST", f"{path}/{shopper}/transfer", body)
        return shopper

    def new_whitelist_entry(self):
        network = f"10.{self.number() >> 8 & 255}.{self.number() & 255}.1"
        return str(self.ask(self.token, "POST", "/api/v1/phones/whitelist", {"network": network})["entry"])

    def new_backup(self):
        """One that is finished; there is one at a time."""
        name = f"backup-{self.number()}"
        for _ in range(200):
            try:
                self.ask(self.operator, "POST", "/api/v1/operator/backups", {"name": name})
                break
            except Refused:
                time.sleep(0.05)
        while self.ask(self.operator, "GET", f"/api/v1/operator/backups/{name}")["state"] == "running":
            time.sleep(0.02)
        return name

    def new_access(self):
        body = {"person": self.person, "box": True}
        return self.ask(self.token, "POST", f"/api/v1/boxes/{self.box}/accesses", body)["access"]

    def new_booking(self):
        """An access that has a booking code."""
        body = {"person": self.new_person(), "box": True}
        path = f"/api/v1/boxes/{self.box}/accesses"
        access = self.ask(self.token, "POST", path, body)["access"]
        self.ask(self.token, "POST", f"{path}/{access}/booking", {})
        return access

    def new_code(self):
        return self.ask(self.token, "POST", f"/api/v1/boxes/{self.box}/enrolment", {})["code"]

    def enrol(self):
        """The box's token; a new one, when journals made up by chance have had it suspended."""
        self.box_token = self.ask(None, "POST", "/box/v1/enrol", {"code": self.new_code()})["token"]
        return self.box_token

    def conflict(self, token, seq):
        """A pick-up of what is not in the bin."""
        entry = {"seq": seq, "at_ms": 1, "kind": "pick_up", "bin": "A-2", "fob": self.fob(), "person": self.person}
        self.ask(token, "POST", "/box/v1/sync", {"journal": {"head": seq, "entries": [entry]}, "clock_ms": 1})

    def new_other_box(self):
        self.other_box, code = self.new_box()
        self.other_token = self.ask(None, "POST", "/box/v1/enrol", {"code": code})["token"]
        self.entries = 0

    def new_ready_box(self):
        """A box that has nothing to tell: the server decides exchanges for it, and it takes orders."""
        self.ready_box, code = self.new_box()
        self.ready_token = self.ask(None, "POST", "/box/v1/enrol", {"code": code})["token"]
        for _ in range(2):
            self.ask(self.ready_token, "POST", "/box/v1/sync", {"journal": {"head": 0}, "clock_ms": 1})
        self.order = "1"

    def new_exchange(self):
        body = {"kind": "drop_off", "of": {"fob": self.fob()}, "journal_head": 0}
        try:
            return self.ask(self.ready_token, "POST", "/box/v1/exchanges", body)["exchange"]
        except Refused:
            return "exc_0123456789abcdefghjkmnpqrs"

    def new_order(self):
        """Another one, unless too many are open."""
        try:
            path = f"/api/v1/boxes/{self.ready_box}/orders"
            self.order = str(self.ask(self.token, "POST", path, {"do": {"open": "A-2"}})["order"])
        except Refused:
            pass
        return self.order

    def new_conflict(self):
        """Of `other_box`; of another one, if that was suspended by who found it in a list."""
        self.entries += 1
        try:
            self.conflict(self.other_token, self.entries)
        except Refused:
            self.new_other_box()
            self.entries = 1
            self.conflict(self.other_token, self.entries)
        return str(self.entries)

    def new_alert(self):
        """Of `other_box`: that it has a conflict."""
        self.new_conflict()
        return str(self.ask(self.token, "GET", f"/api/v1/alerts?box={self.other_box}")["items"][0]["alert"])

    def cursor(self):
        return self.ask(self.token, "GET", "/api/v1/events?limit=1")["next"]

    def dead_mails(self):
        return {mail["mail"] for mail in self.ask(self.token, "GET", "/api/v1/mails/dead?limit=200")["items"]}

    def new_mail(self):
        """A mail that cannot be brought: about a conflict, to an owner without an address."""
        self.ask(self.token, "PATCH", "/api/v1/mails/settings", {"conflicts": True})
        known = self.dead_mails()
        self.new_conflict()
        for _ in range(40):
            for mail in self.dead_mails() - known:
                return mail
            time.sleep(0.05)
        return next(iter(known), "mail_00000000000000000000000000")
