"""What a run of wandb's wrote down, read from its file: a header, LevelDB's log framing, and in it protobuf records."""

from __future__ import annotations

import json
import struct
import zlib

BLOCK = 32 * 1024
HEADER = 7
WHOLE, FIRST, MIDDLE, LAST = 1, 2, 3, 4


def records(path):
    """The records of a run file, in order."""
    from wandb.proto.wandb_internal_pb2 import Record

    content = path.read_bytes()
    assert content[:4] == b":W&B"
    at, parts = HEADER, []
    while at + HEADER <= len(content):
        if BLOCK - at % BLOCK < HEADER:  # what is left of a block is padding
            at += BLOCK - at % BLOCK
            continue
        checksum, length, kind = struct.unpack_from("<IHB", content, at)
        data = content[at + HEADER : at + HEADER + length]
        assert zlib.crc32(bytes([kind]) + data) == checksum
        at += HEADER + length
        parts = [data] if kind in (WHOLE, FIRST) else [*parts, data]
        if kind in (WHOLE, LAST):
            yield Record.FromString(b"".join(parts))


class Run:
    """The run of one file: identity, config, history (rows of it), summary and exit code."""

    def __init__(self, path):
        self.config, self.history, self.summary, self.exit_code = {}, [], {}, None
        for record in records(path):
            kind = record.WhichOneof("record_type")
            if kind == "run":
                self.run = record.run
                self.config |= values(record.run.config.update)
            elif kind == "config":
                self.config |= values(record.config.update)
            elif kind == "history":
                self.history.append(values(record.history.item))
            elif kind == "summary":
                self.summary |= values(record.summary.update)
            elif kind == "exit":
                self.exit_code = record.exit.exit_code


def values(items):
    """Keys may be nested: a path of names."""
    return {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}


def runs(folder):
    """The runs of all offline run files below a folder, by id."""
    found = {}
    for path in sorted(folder.glob("offline-run-*/run-*.wandb")):
        run = Run(path)
        assert run.run.run_id not in found, "two files of one run"
        found[run.run.run_id] = run
    return found
