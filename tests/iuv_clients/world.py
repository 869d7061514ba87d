"""A university with a web store on a server of one's own, and a browser without a screen."""

import html
import http.client
import pathlib
import re
import ssl
import sys
import urllib.parse

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "parts"))
from castellan import CERTIFICATES, Server  # noqa: E402

CA = CERTIFICATES / "ca.pem"
SECTIONS = """
[mail]
driver = "file"
from = "Castellan <castellan@stores.example>"
file_dir = "{mails}"
[iuv]
wrong_keys_per_caller = 1000
"""
COULD_NOT = "Impossibile accedere al negozio. Riprovare."


def serve(folder, level="info"):
    (folder / "mails").mkdir()
    return Server(folder, SECTIONS.format(mails=folder / "mails"), tls=True, level=level)


class Store:
    """With IUV alone, active unless said otherwise, and three products with codes."""

    def __init__(self, api, name, language, external, callers=(), state="active"):
        self.api = api
        made = api.post("/stores", {"system_name": name, "name": f"Campus {name}", "language": language, "academic": True})
        self.id, self.guid, self.account = made["store"], made["guid"], made["account"]
        own = api.get(f"/stores/{self.id}")["verifications"][0]["verification"]
        api.call("DELETE", f"/stores/{self.id}/verifications/{own}")
        number = api.post(f"/stores/{self.id}/verifications", {"kind": "iuv"})["verification"]
        self.verification = f"/stores/{self.id}/verifications/{number}"
        api.patch(self.verification, {"external_url": external, "callers": list(callers), "administrators": ["iuv@campus.example"]})
        self.key = api.post(f"{self.verification}/key/generation", {})["key"]
        api.put(f"{self.verification}/key", {"key": self.key})
        api.put(f"{self.verification}/state", {"state": state})
        self.products = {}

    def sell(self, name, groups=(), codes=20):
        wanted = [{"class": "academic_statuses", "group": group} for group in groups]
        product = self.api.post(f"/stores/{self.id}/products", {"name": name, "groups": wanted})["product"]
        pool = [f"{name}-{self.guid[:4]}-{number:04}" for number in range(codes)]
        self.api.post(f"/stores/{self.id}/products/{product}/codes", {"codes": pool})
        self.products[product] = set(pool)
        return product


def university(server, account=None):
    """An organisation's caller; with the account number that its servers have always sent."""
    operator = server.caller(server.operator)
    made = operator.post("/organisations", {
        "name": "Università di Prova", "plan": "premium", "language": "it", "zone": "Europe/Rome",
        "owner": {"name": "Anna Rossi", "email": "anna@campus.example"}})
    if account:
        operator.put(f"/organisations/{made['organisation']}/account", {"account": account})
    return server.caller(made["token"])


class Visitor:
    """Cookies, redirects only when told; everything that it sees is kept."""

    def __init__(self, seen):
        self.jar, self.seen = {}, seen
        self.trust = ssl.create_default_context(cafile=str(CA))

    def open(self, url, method="GET", form=None):
        parts = urllib.parse.urlsplit(url)
        connection = http.client.HTTPSConnection(parts.hostname, parts.port, context=self.trust, timeout=20)
        headers = {"Accept-Language": "it"}
        if self.jar:
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.jar.items())
        body = None
        if form is not None:
            method, body = "POST", urllib.parse.urlencode(form)
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        page = Page(url, answer.status, answer.getheaders(), answer.read().decode())
        connection.close()
        self.seen.append(f"{page.status} {page.headers} {page.text}")
        for line in page.all("set-cookie"):
            name, value = line.split(";")[0].split("=", 1)
            self.jar[name] = value
        return page


class Page:
    def __init__(self, url, status, headers, text):
        self.url, self.status, self.headers, self.text = url, status, headers, text

    def all(self, name):
        return [value for header, value in self.headers if header.lower() == name]

    def header(self, name):
        return next(iter(self.all(name)), None)

    def to(self):
        return urllib.parse.urljoin(self.url, self.header("location") or "")

    def find(self, pattern):
        found = re.search(pattern, self.text, re.S)
        return found and html.unescape(found.group(1))
