"""A server on 127.0.0.1 that says what it was asked, for the suite to record and to ask live."""

from __future__ import annotations

import gzip
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


class Echo(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        length = int(self.headers.get("content-length") or 0)
        body = self.rfile.read(length)
        asked = urlsplit(self.path)
        self.server.asked.append(self.path)
        own = getattr(self, f"say_{asked.path.strip('/').partition('/')[0]}", None)
        if own is not None:
            own(asked)
            return
        told = {
            "method": self.command,
            "path": asked.path,
            "query": asked.query,
            "headers": {name.lower(): value for name, value in self.headers.items()},
            "body": body.decode("latin-1"),
        }
        self.say(200, json.dumps(told).encode(), ("Content-Type", "application/json"))

    def __getattr__(self, name):
        if name.startswith("do_"):
            return self.answer
        raise AttributeError(name)

    def say(self, status, body, *headers):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def say_status(self, asked):
        status = int(asked.path.rpartition("/")[2])
        self.say(
            status, b"" if status == 204 else f"status {status}".encode(), ("Content-Type", "text/plain")
        )

    def say_count(self, _asked):
        count = sum(path.startswith("/count") for path in self.server.asked)
        self.say(200, str(count).encode(), ("Content-Type", "text/plain"))

    def say_gzip(self, _asked):
        body = gzip.compress(b'{"compressed": true}', mtime=0)
        self.say(200, body, ("Content-Type", "application/json"), ("Content-Encoding", "gzip"))

    def say_redirect(self, _asked):
        self.say(302, b"", ("Location", "/landed"))

    def say_cookies(self, _asked):
        self.say(200, b"ok", ("Set-Cookie", "flavour=oat; Path=/"), ("Set-Cookie", "size=big; Path=/"))

    def say_bytes(self, _asked):
        self.say(200, bytes(range(256)), ("Content-Type", "application/octet-stream"))

    def say_stream(self, _asked):
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for piece in (b"one, ", "zwölf, ".encode(), b"three"):
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *_):
        pass


@contextmanager
def serving(port=0):
    """Serve until the block ends; gives the server, which knows its `url` and what it was `asked`."""
    server = ThreadingHTTPServer(("127.0.0.1", port), Echo)
    server.daemon_threads = True
    server.asked = []
    server.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
