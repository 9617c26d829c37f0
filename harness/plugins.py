"""Methods and tasks from outside: single files that a suite names, and what every class from outside must have."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from harness.errors import UserError


def from_file(path: Path, base: type[Any], where: str) -> Any:
    """The one class derived from `base` that a Python file defines.

    The file's hash joins the class's version, so an edited file is another method. The class travels to workers by
    value: nodes need not see the file. Raises: UserError.
    """
    module, fingerprint = load(path, where)
    defined = [value for value in vars(module).values() if getattr(value, "__module__", None) == module.__name__]
    classes: list[Any] = [value for value in defined if isinstance(value, type) and issubclass(value, base)]
    if len(classes) != 1:
        raise UserError(f"{where}: {path} defines {len(classes)} classes derived from {base.__name__}; expected one")
    (cls,) = classes
    check_facts(cls, base, f"{where}: {path}")
    if fingerprint not in cls.version:
        cls.version = f"{cls.version}+{fingerprint}"
    return classes[0]


def load(path: Path, where: str) -> tuple[ModuleType, str]:
    """The module of a Python file, executed once per process and content, and its hash. Raises: UserError."""
    try:
        content = path.read_bytes()
    except (OSError, ValueError) as error:
        raise UserError(f"{where}: cannot read {str(path)!r} ({error})") from error
    fingerprint = hashlib.sha256(content).hexdigest()[:12]
    name = f"pacbench_file_{fingerprint}"
    if name not in sys.modules:
        _execute(path, name, where)
    return sys.modules[name], fingerprint


def _execute(path: Path, name: str, where: str) -> None:
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UserError(f"{where}: {path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        with contextlib.redirect_stdout(sys.stderr):
            spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise UserError(f"{where}: {path} cannot be loaded ({type(error).__name__}: {error})") from error


def check_facts(cls: Any, base: type[Any], where: str) -> None:
    """Raises: UserError for what is no frozen dataclass derived from `base` with its class facts."""
    if not (isinstance(cls, type) and issubclass(cls, base)):
        raise UserError(f"{where}: {cls!r} is not a class derived from {base.__name__}")
    parameters = vars(cls).get("__dataclass_params__")
    if parameters is None or not parameters.frozen:
        raise UserError(f"{where}: class {cls.__name__} must be decorated with @dataclass(frozen=True)")
    fields = {field.name: field for field in dataclasses.fields(cls)}
    for name, field in fields.items():
        if field.init and field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            given = f"field {name!r} of class {cls.__name__} has no default"
            raise UserError(f"{where}: {given}; give it one, by `{name}: ... = setting(...)`")
    for fact in ("name", "version", "paper", "space", "metric", "recipe", "prepare_fields", "pretrained"):
        if fact in fields:
            raise UserError(f"{where}: {fact!r} of class {cls.__name__} is a class fact; write it without a type")
    for fact in ("name", "version"):
        if not isinstance(getattr(cls, fact, None), str):
            raise UserError(f"{where}: class {cls.__name__} lacks the text {fact!r}")
    if not (name := str(getattr(cls, "name", ""))).isidentifier():
        expected = "expected letters, digits and underscores, no digit first"
        raise UserError(f"{where}: class {cls.__name__} has the name {name!r}; {expected}")


def by_value_modules() -> list[Any]:
    """The modules of files loaded so far, for a pickler that must carry them."""
    return [module for name, module in sys.modules.items() if name.startswith("pacbench_file_")]
