"""A program that starts Ray as a run does, says what it has, and ends it: `python -P -m harness.ray_probe`."""

from __future__ import annotations

import json
import os
import sys
import tempfile

from harness.supervise import Child, Crashed, supervised


def _start(child: Child) -> int:
    os.chdir(tempfile.mkdtemp(prefix="empty-", dir=child.scratch))
    from harness.embedded import Embedded

    try:
        Embedded(child.scratch).ready()
    except Crashed as error:  # to be told, not to be tried again
        print(error, file=sys.stderr)
        return 1
    import ray

    print(json.dumps(ray.cluster_resources()), flush=True)  # type: ignore[no-untyped-call]
    return 0


if __name__ == "__main__":
    sys.exit(supervised(_start))
