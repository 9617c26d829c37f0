"""As much of wandb's server as an export talks to, on loopback: it keeps runs, and knows how far each has come."""

from __future__ import annotations

import gzip
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

VIEWER = {"id": "v", "entity": "team", "username": "user", "email": "", "flags": "{}", "teams": {"edges": []}}
PROJECT = {"id": "p", "name": "p", "entity": {"id": "e", "name": "team"}}


class Server(ThreadingHTTPServer):
    """runs: by id what was said last, `summary`, and `history`, every line in the order of arrival.

    accepts: whether any key is good. failing: whether every request fails.
    """

    daemon_threads = True

    def __init__(self, accepts=True):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.accepts, self.failing, self.runs = accepts, False, {}
        self.url = f"http://127.0.0.1:{self.server_port}"


@contextmanager
def server(accepts=True):
    """A running server."""
    here = Server(accepts)
    thread = threading.Thread(target=here.serve_forever)
    thread.start()
    try:
        yield here
    finally:
        here.shutdown()
        thread.join()
        here.server_close()


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.server.failing:
            self.answer(500, {"errors": [{"message": "out of order"}]})
        elif not self.server.accepts:
            self.answer(401, {"errors": [{"message": "user is not logged in"}]})
        elif self.path == "/graphql":
            asked = json.loads(body)
            self.answer(200, {"data": self.graphql(asked["operationName"], asked.get("variables") or {})})
        elif self.path.endswith("/file_stream"):
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            self.stream(self.server.runs[self.path.split("/")[-2]], json.loads(body))
            self.answer(200, {})
        else:
            self.answer(200, {})

    do_PUT = do_GET = do_POST  # noqa: N815

    def graphql(self, operation, variables):
        runs = self.server.runs
        if operation == "Viewer":
            return {"viewer": VIEWER}
        if operation == "RunResumeStatus":
            run = runs.get(variables["name"])
            return {"model": {**PROJECT, "bucket": run and self.resumable(variables["name"], run)}}
        if operation == "UpsertBucket":
            new = variables["name"] not in runs
            run = runs.setdefault(variables["name"], {"history": [], "summary": {}})
            run.update({name: value for name, value in variables.items() if value is not None})
            return {"upsertBucket": {"bucket": self.bucket(variables["name"], run), "inserted": new}}
        if operation == "CreateRunFiles":
            files = [{"name": name, "uploadUrl": f"{self.server.url}/{name}"} for name in variables["files"]]
            return {"createRunFiles": {"runID": "r", "uploadHeaders": [], "files": files}}
        if operation == "CreateArtifact":  # there already: the table's content is in the run's files as well
            known = {"id": "a", "state": "COMMITTED", "artifactSequence": {"latestArtifact": {"id": "a"}}}
            return {"createArtifact": {"artifact": known}}
        if operation == "":
            return {"project": None}
        return {}

    def bucket(self, name, run):
        about = {"id": name, "name": name, "displayName": run.get("displayName"), "config": run.get("config") or "{}"}
        return {
            **about,
            "description": None,
            "sweepName": None,
            "historyLineCount": len(run["history"]),
            "project": {**PROJECT, "name": run["project"]},
        }

    def resumable(self, name, run):
        tail = json.dumps([json.dumps(line) for line in run["history"][-1:]])
        lines = {"logLineCount": 0, "eventsLineCount": 0, "eventsTail": "[]", "historyTail": tail}
        more = {"summaryMetrics": json.dumps(run["summary"]), "tags": [], "wandbConfig": '{"t": {}}'}
        return {**self.bucket(name, run), **lines, **more}

    def stream(self, run, body):
        files = body.get("files") or {}
        for line in files.get("wandb-history.jsonl", {}).get("content", []):
            run["history"].append(json.loads(line))
        for line in files.get("wandb-summary.json", {}).get("content", []):
            run["summary"] = json.loads(line)
        run["exit_code"] = body.get("exitcode", run.get("exit_code"))

    def answer(self, status, document):
        content = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments):
        pass
