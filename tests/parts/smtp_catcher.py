"""A mail server for tests: takes mails, shows them over HTTP, and fails as it is told.

Prints {"smtp": port, "http": port} when it listens. Mails are written to --store before they are acknowledged, so that a
killed catcher still knows what it took.

    GET    /mails    [{"message_id", "from", "to", "subject", "text", "html", "headers", "connection", "encrypted"}]
    DELETE /mails
    GET    /tried    how often each recipient was offered a mail
    PUT    /faults   [{"to"?, "at": "connect" | "auth" | "mail" | "rcpt" | "data", "answer"?, "stall_s"?, "drop"?, "times"?}]

A fault stands until its `times` are used up. `drop` with `at: data` ends the connection after the mail was taken.
"""

import argparse
import asyncio
import email
import email.policy
import json
import os
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

lock = threading.Lock()
faults = []
tried = {}
mails = []
connections = 0


def fault_for(place, recipients=()):
    """The first fault that stands here, one use of it taken."""
    with lock:
        for fault in faults:
            if fault["at"] != place or fault.get("times", 1) <= 0:
                continue
            if "to" in fault and fault["to"] not in recipients:
                continue
            if "times" in fault:
                fault["times"] -= 1
            return fault
    return None


async def suffer(fault, server):
    """Does what the fault says; the answer to give, if it has one."""
    if fault is None:
        return None
    if "stall_s" in fault:
        await asyncio.sleep(fault["stall_s"])
    if fault.get("drop"):
        server.transport.abort()
        return "421 4.3.0 gone"
    return fault.get("answer")


class Catcher:
    def __init__(self, store):
        self.store = store

    async def handle_MAIL(self, server, session, envelope, address, options):
        answer = await suffer(fault_for("mail"), server)
        if answer:
            return answer
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(self, server, session, envelope, address, options):
        with lock:
            tried[address] = tried.get(address, 0) + 1
        answer = await suffer(fault_for("rcpt", [address]), server)
        if answer:
            return answer
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        fault = fault_for("data", envelope.rcpt_tos)
        if fault is not None and not fault.get("drop"):
            answer = await suffer(fault, server)
            if answer:
                return answer
        self.keep(session, envelope, server)
        answer = await suffer(fault, server) if fault is not None and fault.get("drop") else None
        return answer or "250 2.0.0 taken"

    def keep(self, session, envelope, server):
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        part = lambda kind: (body := message.get_body((kind,))) and body.get_content()
        mail = {
            "message_id": message["Message-ID"],
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "subject": message["Subject"],
            "text": part("plain"),
            "html": part("html"),
            "headers": [[name, str(value)] for name, value in message.items()],
            "connection": getattr(server, "number", 0),
            "encrypted": session.ssl is not None or server.transport.get_extra_info("sslcontext") is not None,
        }
        with lock:
            mails.append(mail)
            if self.store:
                with open(self.store, "a", encoding="utf-8") as file:
                    file.write(json.dumps(mail) + "\n")
                    file.flush()
                    os.fsync(file.fileno())


class Server(SMTP):
    def connection_made(self, transport):
        global connections
        if not getattr(self, "number", 0):
            connections += 1
            self.number = connections
        super().connection_made(transport)

    async def _handle_client(self):
        fault = fault_for("connect")
        if fault is not None:
            answer = await suffer(fault, self)
            if answer:
                await self.push(answer)
                self.transport.close()
                return
        await super()._handle_client()


class Control(BaseHTTPRequestHandler):
    store = None

    def answer(self, body):
        text = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def do_GET(self):
        with lock:
            self.answer(tried if self.path == "/tried" else mails)

    def do_DELETE(self):
        with lock:
            mails.clear()
            tried.clear()
            if self.store and os.path.exists(self.store):
                os.remove(self.store)
        self.answer({})

    def do_PUT(self):
        told = json.loads(self.rfile.read(int(self.headers["content-length"])))
        with lock:
            faults[:] = told
        self.answer({})

    def log_message(self, *_):
        pass


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--smtp-port", type=int, default=0)
    parser.add_argument("--http-port", type=int, default=0)
    parser.add_argument("--store")
    parser.add_argument("--certificate")
    parser.add_argument("--key")
    parser.add_argument("--implicit-tls", action="store_true")
    parser.add_argument("--login", help="name:password")
    options = parser.parse_args()

    if options.store and os.path.exists(options.store):
        with open(options.store, encoding="utf-8") as file:
            mails.extend(json.loads(line) for line in file if line.endswith("\n"))
    context = None
    if options.certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(options.certificate, options.key)

    def authenticate(server, session, envelope, mechanism, data):
        fault = fault_for("auth")
        name, _, password = options.login.partition(":")
        right = isinstance(data, LoginPassword) and (data.login, data.password) == (name.encode(), password.encode())
        return AuthResult(success=right and fault is None, handled=False)

    def protocol():
        login = {"authenticator": authenticate, "auth_required": True} if options.login else {}
        starttls = context is not None and not options.implicit_tls
        return Server(
            Catcher(options.store),
            hostname="catcher.example",
            enable_SMTPUTF8=True,
            tls_context=context if starttls else None,
            require_starttls=starttls,
            auth_require_tls=starttls,
            loop=asyncio.get_running_loop(),
            **login,
        )

    implicit = context if options.implicit_tls else None
    loop = asyncio.get_running_loop()
    listening = await loop.create_server(protocol, "127.0.0.1", options.smtp_port, ssl=implicit)
    Control.store = options.store
    control = ThreadingHTTPServer(("127.0.0.1", options.http_port), Control)
    threading.Thread(target=control.serve_forever, daemon=True).start()
    ports = {"smtp": listening.sockets[0].getsockname()[1], "http": control.server_address[1]}
    print(json.dumps(ports), flush=True)
    await listening.serve_forever()


asyncio.run(main())
