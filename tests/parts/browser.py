"""A real browser, Chromium, spoken to over a pipe (the DevTools protocol): open a page, fill in, press, look."""

import fcntl
import json
import os
import select
import shutil
import subprocess
import tempfile
import time

WAIT_S = 20


class Browser:
    def __init__(self, language="en", width=1280, height=900):
        self.folder = tempfile.mkdtemp(prefix="castellan-browser-")
        (to_read, self.write), (self.read, to_write) = os.pipe(), os.pipe()
        # 3 and 4 are the browser's; whatever stands there must not be closed on the way.
        theirs = [fcntl.fcntl(pipe, fcntl.F_DUPFD, 10) for pipe in (to_read, to_write)]

        def hand_over():
            os.dup2(theirs[0], 3)
            os.dup2(theirs[1], 4)

        self.process = subprocess.Popen(
            ["chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
             "--ignore-certificate-errors", "--remote-debugging-pipe", f"--user-data-dir={self.folder}",
             f"--lang={language}", f"--accept-lang={language}", f"--window-size={width},{height}", "about:blank"],
            preexec_fn=hand_over, close_fds=False, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for pipe in (to_read, to_write, *theirs):
            os.close(pipe)
        self.number, self.buffer, self.session, self.seen = 0, b"", None, []
        targets = self.call("Target.getTargets")["targetInfos"]
        page = next(target["targetId"] for target in targets if target["type"] == "page")
        self.session = self.call("Target.attachToTarget", targetId=page, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(20)
        os.close(self.write)
        os.close(self.read)
        shutil.rmtree(self.folder, ignore_errors=True)

    def call(self, method, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.write, json.dumps(message).encode() + b"\0")
        while True:
            heard = self.hear()
            if heard.get("id") == self.number:
                if "error" in heard:
                    raise AssertionError(f"{method}: {heard['error']}")
                return heard["result"]

    def hear(self):
        until = time.monotonic() + WAIT_S
        while b"\0" not in self.buffer:
            if not select.select([self.read], [], [], max(0, until - time.monotonic()))[0]:
                raise AssertionError("the browser says nothing")
            piece = os.read(self.read, 1 << 20)
            if not piece:
                raise AssertionError("the browser is gone")
            self.buffer += piece
        heard, self.buffer = self.buffer.split(b"\0", 1)
        heard = json.loads(heard)
        if "method" in heard:
            self.seen.append(heard)
        return heard

    def run(self, script):
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise AssertionError(f"{script}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def until(self, what, script):
        """Waits until a script says something true, over pages that come and go."""
        until = time.monotonic() + WAIT_S
        while True:
            try:
                found = self.run(script)
            except AssertionError:
                found = None
            if found:
                return found
            if time.monotonic() > until:
                raise AssertionError(f"{what}: not within {WAIT_S} s, at {self.run('location.href')}:\n{self.text()}")
            time.sleep(0.05)

    def open(self, url):
        self.run("window.__left = true")
        self.call("Page.navigate", url=url)
        self.loaded()

    def loaded(self):
        self.until("another page", "!window.__left && document.readyState === 'complete'")

    def press(self, selector):
        """Presses what a selector names, and waits for the page behind it."""
        found = self.run(f"(() => {{ const e = document.querySelector({json.dumps(selector)}); if (!e) return false; window.__left = true; e.click(); return true; }})()")
        if not found:
            raise AssertionError(f"nothing to press: {selector} at {self.run('location.href')}\n{self.text()}")
        self.loaded()

    def fill(self, selector, value):
        if not self.run(f"(() => {{ const e = document.querySelector({json.dumps(selector)}); if (!e) return false; e.value = {json.dumps(value)}; return true; }})()"):
            raise AssertionError(f"nothing to fill in: {selector}\n{self.text()}")

    def url(self):
        return self.run("location.href")

    def text(self):
        return self.run("document.body ? document.body.innerText : ''")

    def nameless(self):
        """Links, buttons and fields that a screen reader could not name."""
        nodes = self.call("Accessibility.getFullAXTree")["nodes"]
        asked = {"link", "button", "textbox", "combobox", "checkbox", "radio", "spinbutton", "searchbox"}
        return [node["role"]["value"] for node in nodes
                if not node.get("ignored") and node.get("role", {}).get("value") in asked and not node.get("name", {}).get("value", "").strip()]

    def complaints(self):
        """What the browser refused or found wrong on the pages so far: policies, scripts, what is not there."""
        told = [f"{heard['params']['entry']['text']} {heard['params']['entry'].get('url', '')}" for heard in self.seen if heard["method"] == "Log.entryAdded"]
        return told + [str(heard["params"]) for heard in self.seen if heard["method"] == "Runtime.exceptionThrown"]

    def asked(self):
        """Every address that was asked for, with the Referer that went along."""
        return [(heard["params"]["request"]["url"], heard["params"]["request"]["headers"].get("Referer"))
                for heard in self.seen if heard["method"] == "Network.requestWillBeSent"]

    def picture(self, path):
        import base64
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot")["data"]))
