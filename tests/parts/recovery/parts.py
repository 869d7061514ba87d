"""The real parts beside the server, each on loopback: Kannel before a service centre, slapd, and the mail catcher."""

import http.server
import json
import pathlib
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from castellan import CERTIFICATES, free_port  # noqa: E402
from smsc import Centre  # noqa: E402

LOGIN = ("castellan", "Schlüssel-3")
SUFFIX = "dc=castle,dc=example"


def until(what, holds, seconds=20):
    end = time.monotonic() + seconds
    while True:
        found = holds()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"did not come true: {what}")
        time.sleep(0.1)


def listens(port):
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0


class Process:
    process = None

    def begin(self, command, log, ports=()):
        self.process = subprocess.Popen([str(part) for part in command], stdin=subprocess.DEVNULL,
                                        stdout=log.open("ab"), stderr=subprocess.STDOUT)
        for port in ports:
            until(f"{command[0]} listens", lambda port=port: listens(port) or self.process.poll() is not None)
        if self.process.poll() is not None:
            raise AssertionError(f"{command[0]} did not start:\n{log.read_text(errors='replace')[-2000:]}")

    def end(self):
        if self.process:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait(20)
            self.process = None


class Kannel:
    """bearerbox and smsbox, both on loopback alone."""

    def __init__(self, folder):
        self.centre, self.folder = Centre(), folder
        self.port, boxes, admin = free_port(), free_port(), free_port()
        (folder / "kannel.conf").write_text(f"""
group = core
admin-port = {admin}
admin-interface = "127.0.0.1"
admin-password = none-of-yours
smsbox-port = {boxes}
smsbox-interface = "127.0.0.1"
box-allow-ip = "127.0.0.1"
log-file = "{folder}/bearerbox.log"
log-level = 1

group = smsc
smsc = smpp
smsc-id = centre
host = 127.0.0.1
port = {self.centre.port}
transceiver-mode = true
smsc-username = castellan
smsc-password = centre
system-type = ""
reconnect-delay = 1
alt-charset = "latin1"

group = smsbox
bearerbox-host = 127.0.0.1
sendsms-port = {self.port}
sendsms-interface = "127.0.0.1"
global-sender = 39000
log-file = "{folder}/smsbox.log"
log-level = 1

group = sendsms-user
username = castellan
password = kannel-5
concatenation = true
max-messages = 3

group = sms-service
keyword = default
max-messages = 0
text = ""
""")
        (folder / "kannel.password").write_text("kannel-5\n")
        self.bearerbox, self.smsbox = Process(), Process()
        log = folder / "kannel.log"
        self.bearerbox.begin(["/usr/sbin/bearerbox", "-v", "4", folder / "kannel.conf"], log, [admin, boxes])
        self.smsbox.begin(["/usr/sbin/smsbox", "-v", "4", folder / "kannel.conf"], log, [self.port])
        until("the centre is bound", lambda: "online" in self.status(admin))

    @staticmethod
    def status(admin):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{admin}/status.txt?password=none-of-yours", timeout=5) as told:
                return told.read().decode(errors="replace")
        except OSError:
            return ""

    def end(self):
        self.smsbox.end()
        self.bearerbox.end()


class Gate(http.server.ThreadingHTTPServer):
    """Stands before Kannel: passes on, and answers something else when it is told to."""

    def __init__(self, kannel):
        super().__init__(("127.0.0.1", 0), GateHandler)
        self.kannel, self.asked, self.faults = kannel, 0, []
        self.url = f"http://127.0.0.1:{self.server_address[1]}/cgi-bin/sendsms"
        threading.Thread(target=self.serve_forever, daemon=True).start()


class GateHandler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked += 1
        fault = self.server.faults.pop(0) if self.server.faults else None
        status, told = 500, b"broken"
        if fault in (None, "taken, then 500"):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.server.kannel.port}{self.path}", timeout=10) as answer:
                    status, told = answer.status, answer.read()
            except urllib.error.HTTPError as error:
                status, told = error.code, error.read()
        if fault is not None:
            status, told = 400 if fault == "400" else 500, b"broken"
        self.send_response(status)
        self.send_header("Content-Length", str(len(told)))
        self.end_headers()
        self.wfile.write(told)

    def log_message(self, *_):
        pass


class Slapd(Process):
    """OpenLDAP with the accounts of some installations, over TLS."""

    def __init__(self, folder, accounts):
        self.folder, self.port = folder / "slapd", free_port()
        plain = free_port()
        (self.folder / "db").mkdir(parents=True)
        self.config = self.folder / "slapd.conf"
        self.config.write_text(f"""
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile {self.folder}/pid
TLSCACertificateFile {CERTIFICATES}/ca.pem
TLSCertificateFile {CERTIFICATES}/server.pem
TLSCertificateKeyFile {CERTIFICATES}/server.key
# Some servers take an empty password for nobody in particular, and say yes.
allow bind_anon_dn bind_anon_cred
database mdb
maxsize 16777216
suffix "{SUFFIX}"
rootdn "cn=admin,{SUFFIX}"
rootpw admin-7
directory {self.folder}/db
access to attrs=userPassword by anonymous auth by * none
access to * by * read
""")
        self.urls = f"ldap://127.0.0.1:{plain}/ ldaps://127.0.0.1:{self.port}/"
        self.plain = plain
        self.start()
        entries = [f"dn: {SUFFIX}\nobjectClass: dcObject\nobjectClass: organization\ndc: castle\no: Castle\n",
                   f"dn: ou=installations,{SUFFIX}\nobjectClass: organizationalUnit\nou: installations\n"]
        for name, password in accounts.items():
            entries.append(f"dn: uid={name},ou=installations,{SUFFIX}\nobjectClass: account\nobjectClass: simpleSecurityObject\n"
                           f"uid: {name}\nuserPassword: {password}\n")
        subprocess.run(["ldapadd", "-x", "-H", f"ldap://127.0.0.1:{plain}/", "-D", f"cn=admin,{SUFFIX}", "-w", "admin-7"],
                       input="\n".join(entries), text=True, check=True, capture_output=True)

    def start(self):
        self.begin(["/usr/sbin/slapd", "-d", "0", "-f", self.config, "-h", self.urls], self.folder / "log", [self.plain, self.port])

    def accepts_nobody(self):
        """Whether it says yes to an empty password, as it is set up to."""
        asked = ["ldapwhoami", "-x", "-H", f"ldap://127.0.0.1:{self.plain}/", "-D", f"uid=rossi,ou=installations,{SUFFIX}", "-w", ""]
        return subprocess.run(asked, capture_output=True).returncode == 0


class Catcher(Process):
    """The mail server, with STARTTLS and a login."""

    def __init__(self, folder):
        self.folder, self.smtp, self.http = folder, 0, 0
        (folder / "mail.password").write_text(LOGIN[1] + "\n")
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            [sys.executable, str(HERE.parent / "smtp_catcher.py"), "--certificate", str(CERTIFICATES / "server.pem"),
             "--key", str(CERTIFICATES / "server.key"), "--login", ":".join(LOGIN), "--store", str(self.folder / "mails"),
             "--smtp-port", str(self.smtp), "--http-port", str(self.http)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        ports = json.loads(self.process.stdout.readline())
        self.smtp, self.http = ports["smtp"], ports["http"]

    def mails(self, to):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http}/mails", timeout=10) as told:
            return [mail for mail in json.load(told) if to in mail["to"]]
