"""`pacbench doctor`: what works here, what is missing for which feature, and how to get it."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness import hub, machine, requirements
from harness.errors import PacbenchError
from harness.finding import Feature, Finding, looked_at

LEAST_PYTHON = (3, 11)
RAY_SECONDS = 120.0
"""In which Ray must have started."""

DEVICES = """
import json, torch
found = {"built": torch.version.cuda, "devices": []}
if torch.cuda.is_available():
    for number in range(torch.cuda.device_count()):
        kind = torch.cuda.get_device_properties(number)
        found["devices"].append([kind.name, kind.total_memory])
print(json.dumps(found))
"""
FONTS = """
from matplotlib import font_manager, rcParams
print(font_manager.findfont(rcParams["font.sans-serif"][0], fallback_to_default=False))
"""
BUCKETS = "from pyarrow import fs; fs.S3FileSystem"

KNOWN = {
    "transformers": "tasks on pretrained models of transformers, and `pacbench prefetch`",
    "wandb": "export to Weights & Biases",
    "deepspeed": "the engine for models that one device cannot hold",
    "energy": "the energy that NVIDIA's devices take, in rows",
    "optuna": "the search of that name",
}
"""What the extras of this program are for."""
NOT_FOR_USERS = ("test", "docs", "all")


@dataclass(frozen=True)
class Diagnosis:
    """What was found. works: whether suites of the built-in tasks can run here."""

    core: tuple[Finding, ...]
    features: tuple[Feature, ...]

    @property
    def works(self) -> bool:
        return not any(finding.state == "missing" for finding in self.core)


def diagnose() -> Diagnosis:
    """Look at everything. Takes some seconds: packages are imported, and Ray is started, in processes of their own."""
    core = [
        *looked_at("python", python),
        *looked_at("program", program),
        *looked_at("packages", required_packages),
        *looked_at("processors", machine.processors),
        *looked_at("memory", machine.memory),
        *looked_at("devices", devices),
        *looked_at("folders", machine.folders),
        *looked_at("limits", machine.limits),
    ]
    if not any(finding.name == "ray" and finding.state == "missing" for finding in core):
        core += looked_at("ray starts", ray_starts)
    features = [Feature("figures", "figures in reports", looked_at("fonts", fonts))]
    features.append(Feature("object stores", "campaigns at s3:// addresses", looked_at("s3", buckets)))
    features += extras()
    features.append(Feature("without a network", "models by their hub: names", looked_at("prefetched", offline)))
    return Diagnosis(tuple(core), tuple(features))


def python() -> Iterator[Finding]:
    version = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    if sys.version_info < LEAST_PYTHON:
        yield Finding("python", "missing", version, "install Python {}.{} or newer".format(*LEAST_PYTHON))
    else:
        yield Finding("python", "ok", version)
    if platform.system() != "Linux":
        yield Finding("system", "note", "not Linux: processes of a run that is killed may stay behind")


def program() -> Iterator[Finding]:
    here = Path(__file__).resolve().parent.parent
    version = requirements.installed(requirements.NAME)
    if version is None:
        yield Finding(
            requirements.NAME,
            "note",
            f"{here}, not installed as a package",
            f"{sys.executable} -m pip install -e '{here}'",
        )
        return
    elsewhere = (folder := requirements.checkout()) is not None and folder.resolve() != here
    found = f"{version} from {here}" + (f"; {folder} is installed" if elsewhere else "")
    yield Finding(requirements.NAME, "note" if elsewhere else "ok", found)


def required_packages() -> Iterator[Finding]:
    yield from requirements.check([one for one in requirements.wanted() if one.extra is None], requirements.pip())


def devices() -> Iterator[Finding]:
    told = json.loads(_said(DEVICES))
    if told["devices"]:
        names = ", ".join(f"{name} ({memory / 1e9:.0f} GB)" for name, memory in told["devices"])
        yield Finding("GPUs", "ok", f"{names}; torch for CUDA {told['built']}")
    elif Path("/proc/driver/nvidia").exists() or shutil.which("nvidia-smi"):
        built = f"torch is built for CUDA {told['built']}" if told["built"] else "torch is built for CPUs only"
        cure = "install the build of torch for this machine's driver (`nvidia-smi` shows it)"
        yield Finding("GPUs", "note", f"NVIDIA's driver is here, but torch sees no device: {built}", cure)
    else:
        yield Finding("GPUs", "ok", "none; trials run on CPUs")


def ray_starts() -> Iterator[Finding]:
    command = [sys.executable, "-P", "-m", "harness.ray_probe"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=RAY_SECONDS, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        yield Finding(
            "ray starts", "missing", f"not within {RAY_SECONDS:g} s", "look at memory and temporary files above"
        )
        return
    if done.returncode:
        said = " ".join(done.stderr.split())[-300:]
        yield Finding("ray starts", "missing", f"no: {said}", "look at memory and temporary files above")
        return
    has = json.loads(done.stdout.splitlines()[-1])
    yield Finding(
        "ray starts",
        "ok",
        f"with {has.get('CPU', 0):g} CPUs, {has.get('GPU', 0):g} GPUs, {has.get('memory', 0) / 1e9:.1f} GB",
    )


def fonts() -> Iterator[Finding]:
    try:
        yield Finding("fonts", "ok", Path(_said(FONTS)).name)
    except subprocess.CalledProcessError as error:
        found = (error.stderr or "").strip().splitlines()[-1:] or ["not found"]
        yield Finding("fonts", "missing", found[0], f"{sys.executable} -m pip install --force-reinstall matplotlib")
    yield Finding("browser", "ok", "none needed: figures are drawn without one")


def buckets() -> Iterator[Finding]:
    try:
        _said(BUCKETS)
        yield Finding("s3", "ok", "in pyarrow")
    except subprocess.CalledProcessError:
        yield Finding(
            "s3", "missing", "this pyarrow has none", f"{sys.executable} -m pip install --force-reinstall pyarrow"
        )


def extras() -> Iterator[Feature]:
    """A feature for each extra of the program."""
    declared: dict[str, list[requirements.Wanted]] = {}
    try:
        wanted = requirements.wanted()
    except (OSError, ValueError, KeyError):  # no requirements, installed or in a checkout; said among the core's
        wanted = []
    for one in wanted:
        if one.extra and one.extra not in NOT_FOR_USERS:
            declared.setdefault(one.extra, []).append(one)
    for extra, required in sorted(declared.items()):

        def look(extra: str = extra, required: list[requirements.Wanted] = required) -> Iterator[Finding]:
            yield from requirements.check(required, requirements.pip(extra))

        findings = looked_at(extra, look)
        if extra == "wandb":
            findings += looked_at("key", key)
        yield Feature(extra, KNOWN.get(extra, f"what the extra `{extra}` is for"), findings)


def key() -> Iterator[Finding]:
    given = "WANDB_API_KEY is set" if os.environ.get("WANDB_API_KEY") else "WANDB_API_KEY is not set"
    yield Finding("key", "ok", f"{given}; without a key, also none of `wandb login`, runs are written as files")


def offline() -> Iterator[Finding]:
    mode = os.environ.get("HF_HUB_OFFLINE", "")
    yield Finding("HF_HUB_OFFLINE", "ok", mode or "not set; tasks never ask the hub, only `pacbench prefetch` does")
    folder = os.environ.get(hub.VARIABLE, "")
    cure = f"pacbench prefetch SUITE --to DIR where there is a network, then export {hub.VARIABLE}=DIR"
    if not folder:
        yield Finding(hub.VARIABLE, "missing", "not set", cure)
        return
    place = Path(folder).expanduser().resolve()
    try:
        manifest = hub.read_manifest(place)
        damaged = [why for name, entry in manifest.items() for _, why in hub.damage(place, name, entry, hashes=False)]
    except PacbenchError as error:
        yield Finding(hub.VARIABLE, "missing", str(error), cure)
        return
    if damaged:
        yield Finding(hub.VARIABLE, "missing", damaged[0], cure)
    else:
        yield Finding(hub.VARIABLE, "ok", f"{place}: {', '.join(manifest) or 'nothing yet'}")


def _said(program: str) -> str:
    """What a short program prints, in a process of its own. Raises: CalledProcessError, TimeoutExpired."""
    command = [sys.executable, "-P", "-c", program]
    return subprocess.run(
        command, check=True, capture_output=True, text=True, timeout=requirements.SECONDS
    ).stdout.strip()
