"""A real browser that shows pieces of HTML, and a proxy that sees every request it makes."""

import json
import shutil
import subprocess
import tempfile
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

HOST = "page.test"
OWN = ("//clients2.google.com/", "//update.googleapis.com/", " update.googleapis.com:", " accounts.google.com:")
"""What the browser asks for of its own accord."""
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--disable-default-apps",
    "--disable-dev-shm-usage",
    "--disable-features=OptimizationHints,MediaRouter,Translate",
    "--no-pings",
    "--virtual-time-budget=6000",
    "--timeout=60000",
]
FRAME = """<!doctype html><meta charset="utf-8"><script>
for (const name of ["alert", "confirm", "prompt", "print"]) window[name] = () => parent.ran(%d);
</script><body>"""
PAGE = """<!doctype html><meta charset="utf-8"><body><script>
const pieces = %s, frames = %s, seen = {ran: [], handlers: [], links: []};
function ran(index) { seen.ran.push(index); }
for (const name of ["alert", "confirm", "prompt", "print"]) window[name] = () => ran(-1);
function look(root, index) {
  for (const element of root.querySelectorAll("*")) {
    if ([...element.attributes].some(a => /^on/i.test(a.name))) seen.handlers.push(index);
    if (/^(javascript|vbscript|data):/i.test(element.protocol || "")) seen.links.push(index);
  }
}
pieces.forEach((piece, index) => {
  const box = document.createElement("div");
  document.body.append(box);
  box.innerHTML = piece;
  look(box, index);
  const frame = document.createElement("iframe");
  frame.sandbox = "allow-scripts allow-same-origin";
  frame.srcdoc = frames[index] + piece;
  frame.onload = () => look(frame.contentDocument.body, index);
  document.body.append(frame);
});
setTimeout(() => {
  document.documentElement.innerHTML = "<pre id=seen></pre>";
  document.getElementById("seen").textContent = "SEEN" + JSON.stringify(seen) + "NEES";
}, 4000);
</script>"""


@dataclass
class Shown:
    """What came of the pieces: the indices of those that ran a script, or still bear a handler or an active link."""

    ran: set[int]
    handlers: set[int]
    links: set[int]
    requests: list[str] = field(default_factory=list)


class _Proxy(BaseHTTPRequestHandler):
    page = b""
    requests: list[str]

    def do_GET(self):
        if self.path.startswith(f"http://{HOST}/") and self.path.endswith("/show"):
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(self.page)))
            self.end_headers()
            self.wfile.write(self.page)
            return
        self.refuse()

    def refuse(self):
        self.requests.append(f"{self.command} {self.path}")
        self.send_error(502)

    do_POST = do_PUT = do_HEAD = do_CONNECT = refuse  # noqa: N815 - the names that http.server calls

    def log_message(self, *args):
        pass


def _literal(value):
    return json.dumps(value).replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def chromium():
    """The browser's path; skips the test, saying so, where there is none."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("no Chromium: apt-get install chromium")
    return found


def show(pieces):
    """Shows pieces of HTML, each as the content of an element and as a document of its own."""
    frames = [FRAME % index for index in range(len(pieces))]
    requests = []
    page = (PAGE % (_literal(pieces), _literal(frames))).encode("utf-8", "replace")
    handler = type("Handler", (_Proxy,), {"page": page, "requests": requests})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with tempfile.TemporaryDirectory() as folder:
            proxy = f"--proxy-server=http://127.0.0.1:{server.server_port}"
            command = [chromium(), *FLAGS, proxy, "--proxy-bypass-list=<-loopback>", f"--user-data-dir={folder}"]
            done = subprocess.run(  # noqa: S603 - the browser, with our own flags
                [*command, "--dump-dom", f"http://{HOST}/show"],
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
    finally:
        server.shutdown()
        server.server_close()
    _, _, rest = done.stdout.rpartition("SEEN{")
    assert rest, f"the browser showed no result: {done.stderr[-500:]}"
    seen = json.loads("{" + rest.partition("NEES")[0].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
    ours = [request for request in requests if not any(own in request for own in (*OWN, f"//{HOST}/favicon.ico"))]
    return Shown(ran=set(seen["ran"]), handlers=set(seen["handlers"]), links=set(seen["links"]), requests=ours)
