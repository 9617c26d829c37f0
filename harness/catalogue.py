"""Catalogue: what can be named, and which package each comes from. A broken plug-in is skipped, and says why."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata, resources
from pathlib import Path
from types import ModuleType
from typing import Any, Generic, TypeVar

from harness.errors import UserError, message, nearest
from harness.packages import BUILT_IN, GROUPS, Package, declared, package_of_entry

V = TypeVar("V")


@dataclass(frozen=True)
class Offer(Generic[V]):
    """A class or a suite's file under its name."""

    name: str
    value: V
    package: Package


@dataclass(frozen=True)
class Skipped:
    """An entry point that nothing was taken from. name: what it would have provided."""

    kind: str
    name: str
    package: Package
    reason: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name!r} of package {self.package} is skipped: {self.reason}"


class Catalogue(Mapping[str, V]):
    """Names that a suite may use. A name that two packages claim means neither until one of them is gone.

    Were one preferred, two machines with other packages would give one name to two methods, and a board would mix them.
    """

    def __init__(self, kind: str, offers: list[Offer[V]], skipped: list[Skipped]) -> None:
        """kind: what the names mean, "method", "task" or "suite"."""
        self.kind, self.skipped = kind, skipped
        named: dict[str, list[Offer[V]]] = {}
        for offer in offers:
            named.setdefault(offer.name, []).append(offer)
        self._offers = {name: same[0] for name, same in named.items() if len(same) == 1}
        self._clashes = {name: same for name, same in named.items() if len(same) > 1}

    def __getitem__(self, name: str) -> V:
        return self._offers[name].value

    def __iter__(self) -> Iterator[str]:
        return iter(self._offers)

    def __len__(self) -> int:
        return len(self._offers)

    def offers(self) -> list[Offer[V]]:
        """All that can be named, in order."""
        return list(self._offers.values())

    def remarks(self) -> list[str]:
        """What is wrong with installed packages, one sentence each."""
        return [*map(str, self.skipped), *map(self._clash, self._clashes)]

    def missing(self, name: str) -> str:
        """Why a name cannot be used, in words: two packages claim it, its plug-in was skipped, or it is unknown."""
        if name in self._clashes:
            return self._clash(name)
        skipped = [one for one in self.skipped if name == one.name or self.kind == "suite"]
        if any(name == one.name for one in skipped):
            return "; ".join(str(one) for one in skipped if name == one.name)
        unknown = f"unknown {self.kind} {name!r}; {nearest(name, self)}"
        return "; ".join([unknown, *map(str, skipped)])

    def owner(self, name: str) -> str | None:
        """Who holds a name, in words; None where it is free. A skipped plug-in holds its name too."""
        if name in self._clashes:
            return " and ".join(str(offer.package) for offer in self._clashes[name])
        held = [self._offers[name].package] if name in self._offers else []
        held += [one.package for one in self.skipped if one.name == name]
        return str(held[0]) if held else None

    def _clash(self, name: str) -> str:
        parts = [offer.package for offer in self._clashes[name]]
        both = " and ".join("the built-in one" if part is BUILT_IN else f"package {part}" for part in parts)
        mend = next(part.name for part in reversed(parts) if part is not BUILT_IN)
        return f"{self.kind} {name!r} is claimed by {both}; a name must be unique: uninstall {mend}, or rename its own"


def classes(what: str, own: Mapping[str, type[V]], check: Callable[[Any, str], None]) -> Catalogue[type[V]]:
    """Our own classes and those of installed packages. what: "methods" or "tasks".

    check(cls, where) raises UserError for what is no complete class of the kind.
    """
    kind = what.removesuffix("s")
    offers = [Offer(name, cls, BUILT_IN) for name, cls in own.items()]
    skipped: list[Skipped] = []
    for entry in declared(GROUPS[what]):
        package = package_of_entry(entry)
        try:
            cls = _load(entry)
            check(cls, entry.value)
            if cls.name != entry.name:
                raise UserError(f"the entry point's name must be the class's, which is {cls.name!r}")
        except UserError as error:
            skipped.append(Skipped(kind, entry.name, package, str(error)))
        else:
            offers.append(Offer(entry.name, cls, package))
    return Catalogue(kind, offers, skipped)


def suite_files() -> Catalogue[Path]:
    """The suite files that come with the program, and those of installed packages."""
    own = sorted(Path(str(resources.files("suites"))).glob("*.toml"))
    offers = [Offer(path.stem, path, BUILT_IN) for path in own]
    skipped: list[Skipped] = []
    for entry in declared(GROUPS["suites"]):
        package = package_of_entry(entry)
        try:
            offers += [Offer(path.stem, path, package) for path in _suites_of(_load(entry), entry.value)]
        except UserError as error:
            skipped.append(Skipped("suite", entry.name, package, str(error)))
    return Catalogue("suite", offers, skipped)


def _load(entry: metadata.EntryPoint) -> Any:
    """What an entry point names. Raises: UserError for anything that goes wrong: it is somebody else's code."""
    try:
        with contextlib.redirect_stdout(sys.stderr):
            return entry.load()
    except (Exception, SystemExit) as error:
        said = message(error).strip().split("\n")[0]
        raise UserError(f"{entry.value} cannot be loaded ({type(error).__name__}: {said})") from error


def _suites_of(offered: Any, where: str) -> list[Path]:
    """The suite files in a package or folder, or the one file. Raises: UserError if there are none."""
    place = resources.files(offered) if isinstance(offered, ModuleType) else offered
    try:
        place = Path(place) if isinstance(place, str) else place
        found = sorted(place.iterdir(), key=str) if place.is_dir() else [place]
        paths = [Path(str(one)) for one in found if str(one).endswith(".toml")]
        if paths and all(path.is_file() for path in paths):
            return paths
    except (AttributeError, OSError, TypeError, ValueError):
        pass
    raise UserError(f"{where} is neither a package or folder of suite files (*.toml) nor one such file on disk")
