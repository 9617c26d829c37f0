"""The command doctor: prints a diagnosis. It needs none of the packages that it looks at."""

from __future__ import annotations

import dataclasses
import json
import sys
from argparse import Namespace
from collections.abc import Iterable, Iterator

from harness.finding import Feature, Finding

MARKS = {"ok": " ", "note": "!", "missing": "x"}


def doctor_command(options: Namespace) -> int:
    """Print what works here and what is missing; 0 if suites can run, else 1."""
    from harness.doctor import diagnose

    found = diagnose()
    if options.json:
        document = {
            "works": found.works,
            "core": [dataclasses.asdict(finding) for finding in found.core],
            "features": [{"available": f.available, **dataclasses.asdict(f)} for f in found.features],
        }
        print(json.dumps(document, indent=1))
        return 0 if found.works else 1
    lines = [f"pacbench {'works here' if found.works else 'does not work here'}", *_lines(found.core)]
    for feature in found.features:
        lines += ["", *_feature(feature)]
    text = "\n".join(lines)
    print(text.encode(sys.stdout.encoding or "ascii", "replace").decode(sys.stdout.encoding or "ascii"))
    return 0 if found.works else 1


def _feature(feature: Feature) -> Iterator[str]:
    yield f"{feature.name}: {'available' if feature.available else f'not available; without it, no {feature.without}'}"
    yield from _lines(feature.findings)


def _lines(findings: Iterable[Finding]) -> Iterator[str]:
    for finding in findings:
        yield f"{MARKS[finding.state]} {finding.name:<17} {finding.found}"
        if finding.cure:
            yield f"  {'':<17} -> {finding.cure}"
