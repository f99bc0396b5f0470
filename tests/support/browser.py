"""A headless Chromium of our own, driven by the DevTools protocol over a pipe, and axe-core's accessibility checks.

CHROMIUM names another binary. axe-core comes from npm, once, into ~/.cache/watchbill/npm.
"""

import base64
import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import tarfile
import time
import unittest

import harness

AXE = "axe-core-4.10.3"
AXE_NAME, AXE_VERSION = AXE.rsplit("-", 1)
CACHE = harness.cache("npm")


def chromium_binary():
    named = os.environ.get("CHROMIUM")
    return named or next(filter(None, map(shutil.which, ("chromium-headless-shell", "chromium"))), None)


def axe_source():
    """The script of axe-core; SkipTest where neither the cache nor npm has it."""
    path = os.path.join(CACHE, AXE + ".tgz")
    if not os.path.exists(path):
        if not shutil.which("npm"):
            raise unittest.SkipTest("no axe-core: npm fetches it, install Debian's package")
        os.makedirs(CACHE, exist_ok=True)
        run = subprocess.run(["npm", "pack", "--silent", "%s@%s" % (AXE_NAME, AXE_VERSION)], cwd=CACHE, capture_output=True, text=True, timeout=300)
        if run.returncode or not os.path.exists(path):
            raise unittest.SkipTest("npm does not fetch axe-core: " + (run.stderr.strip() or "no reason given").splitlines()[-1])
    with tarfile.open(path) as archive:
        return archive.extractfile("package/axe.min.js").read().decode()


class Browser:
    """One process; `pages` are opened in it."""

    def __init__(self, directory):
        if not chromium_binary():
            raise unittest.SkipTest("no chromium-headless-shell: install Debian's package, or name a Chromium in CHROMIUM")
        self.replies, self.events, self.left, self.number = {}, [], b"", 0
        commands, self.to = os.pipe()
        self.answers, replies = os.pipe()
        # The protocol is on the descriptors 3 and 4.
        argv = ["sh", "-c", 'exec 3<&%d 4>&%d; exec "$@"' % (commands, replies), "sh", chromium_binary(), "--headless", "--no-sandbox", "--disable-gpu",
                "--disable-dev-shm-usage", "--hide-scrollbars", "--force-color-profile=srgb", "--user-data-dir=" + os.path.join(directory, "chromium"),
                "--remote-debugging-pipe", "about:blank"]
        with open(os.path.join(directory, "chromium.log"), "ab") as log:
            self.popen = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=(commands, replies), start_new_session=True)
        os.close(commands)
        os.close(replies)

    def call(self, method, session=None, timeout=20.0, **params):
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        os.write(self.to, json.dumps(message).encode() + b"\0")
        number, deadline = self.number, time.monotonic() + timeout * harness.SLOW
        while number not in self.replies:
            self.pump(deadline)
            if time.monotonic() > deadline:
                raise harness.Timeout("no answer to " + method)
        reply = self.replies.pop(number)
        if "error" in reply:
            raise AssertionError("%s: %s" % (method, reply["error"]))
        return reply["result"]

    def pump(self, deadline):
        """Reads what has come; waits for it until the deadline."""
        ready, _, _ = select.select([self.answers], [], [], max(0, deadline - time.monotonic()))
        if not ready:
            return
        data = os.read(self.answers, 1 << 20)
        if not data:
            raise AssertionError("the browser has ended")
        *whole, self.left = (self.left + data).split(b"\0")
        for text in whole:
            message = json.loads(text)
            if "id" in message:
                self.replies[message["id"]] = message
            else:
                self.events.append(message)

    def page(self, **options):
        return Page(self, **options)

    def close(self):
        with contextlib.suppress(Exception):
            self.call("Browser.close", timeout=5)
        with contextlib.suppress(Exception):
            self.popen.wait(5)
        with contextlib.suppress(OSError):
            os.killpg(self.popen.pid, signal.SIGKILL)
        self.popen.wait()
        os.close(self.to)
        os.close(self.answers)


class Page:
    """A tab; `errors` are what its console and its loading complained of."""

    def __init__(self, browser, width=1280, height=900, scripts=True, dark=False):
        self.browser = browser
        target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        self.target, self.session = target, browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(domain + ".enable")
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)
        self.call("Emulation.setScriptExecutionDisabled", value=not scripts)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])

    def call(self, method, **params):
        return self.browser.call(method, self.session, **params)

    def events(self, *methods):
        self.browser.pump(time.monotonic())
        return [e["params"] for e in self.browser.events if e.get("sessionId") == self.session and e["method"] in methods]

    def go(self, url):
        loaded = len(self.events("Page.loadEventFired"))
        result = self.call("Page.navigate", url=url)
        if result.get("errorText"):
            raise AssertionError(result["errorText"])
        harness.wait_for(lambda: len(self.events("Page.loadEventFired")) > loaded, 30, "the page to load", every=0.05)

    def js(self, expression):
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise AssertionError(result["exceptionDetails"])
        return result["result"].get("value")

    def errors(self):
        out = [e["entry"]["text"] + " " + e["entry"].get("url", "") for e in self.events("Log.entryAdded") if e["entry"]["level"] in ("error", "warning")]
        out += [e["exceptionDetails"]["text"] for e in self.events("Runtime.exceptionThrown")]
        out += [str(e["args"]) for e in self.events("Runtime.consoleAPICalled") if e["type"] in ("error", "warning", "assert")]
        return out + [e["errorText"] for e in self.events("Network.loadingFailed") if not e.get("canceled")]

    def axe(self):
        """[(rule, what is wrong, where)] by all of axe-core's rules that are no experiments."""
        # Evaluated by the protocol, which the page's policy does not concern.
        self.js(axe_source() + ";0")
        found = self.js("axe.run(document, {resultTypes: ['violations', 'incomplete']}).then(r => JSON.stringify("
                        "{v: r.violations.map(v => [v.id, v.help, v.nodes.map(n => n.html + ' ' + n.failureSummary)]), n: r.passes.length}))")
        found = json.loads(found)
        assert found["n"] > 10, "axe has checked next to nothing: %s" % found
        return found["v"]

    def screenshot(self, name):
        """Kept in build/screenshots/NAME.png; returns the path."""
        height = self.call("Page.getLayoutMetrics")["cssContentSize"]["height"]
        data = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True,
                         clip={"x": 0, "y": 0, "width": self.js("innerWidth") or 1280, "height": min(height, 6000), "scale": 1})["data"]
        directory = os.path.join(harness.ROOT, "build", "screenshots")
        os.makedirs(directory, exist_ok=True)
        path = os.path.join(directory, name + ".png")
        with open(path, "wb") as f:
            f.write(base64.b64decode(data))
        return path

    def close(self):
        self.browser.call("Target.closeTarget", targetId=self.target)
