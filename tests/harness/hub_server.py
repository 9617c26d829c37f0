"""The part of the hub's API that fetching a repository takes, over folders on this machine."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlparse

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def handler(repositories, asked):
    """Serves {"models/OWNER/NAME": folder, ...} at the revision main and COMMIT; notes every path asked for."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *arguments):
            pass

        def answer(self, status, content=b"", **headers):
            self.send_response(status)
            for name, value in {"Content-Length": str(len(content)), **headers}.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def do_GET(self):
            path = unquote(urlparse(self.path).path)
            asked.append(path)
            api = re.fullmatch(r"/api/((?:models|datasets)/[^/]+/[^/]+)/(revision|tree)/([^/]+)", path)
            file = re.fullmatch(r"/(datasets/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
            if api and api[1] in repositories and api[3] in ("main", COMMIT):
                listed = [entry(repositories[api[1]], one) for one in files(repositories[api[1]])]
                body = listed if api[2] == "tree" else {"id": api[1].partition("/")[2], "sha": COMMIT}
                if api[2] == "revision":
                    body["siblings"] = [
                        {"rfilename": e["path"], "size": e["size"], "blobId": e["oid"], "lfs": sibling(e)}
                        for e in listed
                    ]
                self.answer(200, json.dumps(body).encode(), Content_Type="application/json")
            elif file and (folder := repositories.get(f"{file[1] or 'models/'}{file[2]}")):
                content = (folder / file[4]).read_bytes()
                digest = hashlib.sha256(content).hexdigest()
                self.answer(200, content, ETag=f'"{digest}"', X_Repo_Commit=COMMIT)
            else:
                self.answer(404, b"{}", X_Error_Code="RepoNotFound")

        do_HEAD = do_GET  # noqa: N815 - the library names it

    return Handler


def files(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


def entry(folder, path):
    content = path.read_bytes()
    found = {"type": "file", "path": str(path.relative_to(folder)), "size": len(content)}
    found["oid"] = hashlib.sha1(content).hexdigest()
    if path.suffix in (".safetensors", ".bin", ".parquet"):
        found["lfs"] = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 130}
    return found


def sibling(listed):
    lfs = listed.get("lfs")
    return lfs and {"sha256": lfs["oid"], "size": lfs["size"], "pointerSize": lfs["pointerSize"]}


@contextmanager
def serving(repositories):
    """The server's address, and the list of paths asked for so far."""
    asked = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(repositories, asked))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
