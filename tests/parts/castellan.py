"""A server of one's own on loopback, in a folder that the caller gives, stopped and verified at the end; and a caller."""

import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
PROGRAM = os.environ.get("CASTELLAN", str(HERE.parents[1] / "target/debug/castellan"))
CERTIFICATES = HERE / "certificates"
CONFIG = """
[public]
base_url = "{public}"
[http]
{http}
listen = "127.0.0.1:{port}"
workers = 2
tls = {tls}
[tls]
certificate_file = "{certificate}"
key_file = "{key}"
[observability]
listen = "127.0.0.1:0"
[store]
data_dir = "{data}"
block_cache_mib = 8
write_buffer_mib = 8
max_total_wal_mib = 32
disk_low_watermark_mib = 1
[log]
format = "json"
level = "{level}"
"""


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class Server:
    """`sections`: what the configuration has besides; `http`: what its section `http` has; `public`: where others find it."""

    def __init__(self, folder, sections="", tls=False, level="info", environment=(), http="", public=None):
        self.folder, self.data, self.log = folder, folder / "data", folder / "log"
        config, port = folder / "castellan.toml", free_port()
        self.url = f"https://localhost:{port}" if tls else f"http://127.0.0.1:{port}"
        made = subprocess.run([PROGRAM, "init", "--data", str(self.data)], check=True, capture_output=True, text=True)
        self.operator = made.stdout.strip()
        files = [str(CERTIFICATES / name) if tls else "" for name in ("server.pem", "server.key")]
        config.write_text(CONFIG.format(public=public or self.url, http=http, port=port, tls=str(tls).lower(), certificate=files[0], key=files[1],
                                        data=self.data, level=level) + sections)
        # A setting that happens to stand in the environment is none of ours.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("CASTELLAN__")} | dict(environment)
        self.process = subprocess.Popen([PROGRAM, "serve", "--config", str(config)], stderr=self.log.open("w"), env=environment)
        self.ready = self.wait()

    def wait(self):
        until = time.monotonic() + 30
        while time.monotonic() < until and self.process.poll() is None:
            for line in self.log.read_text().splitlines():
                fields = json.loads(line).get("fields", {})
                if fields.get("message") == "ready":
                    return fields
            time.sleep(0.05)
        sys.exit(f"the server did not start:\n{self.log.read_text()}")

    def stop(self):
        """Whether what it leaves behind is sound."""
        self.process.send_signal(signal.SIGTERM)
        if self.process.wait(30) != 0:
            sys.exit(f"the server did not stop well:\n{self.log.read_text()}")
        verified = subprocess.run([PROGRAM, "verify", "--data", str(self.data)], capture_output=True, text=True)
        print(verified.stdout.strip())
        return verified.returncode == 0

    def complaints(self):
        return [line for line in self.log.read_text().splitlines() if "panicked" in line or '"ERROR"' in line]

    def caller(self, token):
        return Caller(self.url, token)


class Caller:
    """Speaks to the API; whatever is not 2xx ends the run."""

    def __init__(self, url, token):
        import ssl

        self.url, self.token = url + "/api/v1", token
        self.trust = ssl.create_default_context(cafile=str(CERTIFICATES / "ca.pem")) if url.startswith("https") else None

    def call(self, method, path, body=None):
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        sent = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=sent, headers=headers, method=method)
        try:
            with urllib.request.urlopen(request, context=self.trust, timeout=30) as answer:
                told = answer.read()
                return json.loads(told) if told else None
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{method} {path}: {error.code} {error.read().decode()}") from None

    def get(self, path):
        return self.call("GET", path)

    def post(self, path, body):
        return self.call("POST", path, body)

    def patch(self, path, body):
        return self.call("PATCH", path, body)

    def put(self, path, body):
        return self.call("PUT", path, body)
