"""Where a campaign lives: a folder, local or shared, or an object store at an ``s3://`` address; one code for both.

A folder is a `pathlib.Path`. `Bucket` answers to the same names for a place in an object store, and the functions here
do what paths lack. Losing power at any moment leaves a file as it was before a call or as it is after it.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import parse_qsl, unquote, urlsplit

from results.errors import ResultsError, nearest

STAGED = ".tmp-"
"""What the name of a file begins with until it is whole; readers leave out names that begin with a dot."""

QUERY = ("endpoint_override", "region", "scheme")
CONNECT_SECONDS = 5.0
ATTEMPTS = 4


class PlaceError(ResultsError):
    """An address that names no place, or a place that does not answer. The message is complete."""


@dataclass(frozen=True)
class Bucket:
    """A place in an S3 object store. ``path`` begins with the bucket's name; ``filesystem`` is pyarrow's."""

    filesystem: Any
    path: str

    def __truediv__(self, child: str) -> Bucket:
        return Bucket(self.filesystem, f"{self.path}/{child}")

    def __str__(self) -> str:
        return f"s3://{self.path}"

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]

    @property
    def parent(self) -> Bucket:
        return Bucket(self.filesystem, self.path.rpartition("/")[0])

    def resolve(self) -> Bucket:
        return self

    def is_file(self) -> bool:
        return bool(self.filesystem.get_file_info(self.path).is_file)

    exists = is_file

    def read_bytes(self) -> bytes:
        """Raises: FileNotFoundError, OSError."""
        with self.filesystem.open_input_file(self.path) as stream:
            content: bytes = stream.readall()
        return content

    def write_bytes(self, content: bytes) -> None:
        """One request, or one multi-part upload, which the store shows once it is whole."""
        with self.filesystem.open_output_stream(self.path) as stream:
            stream.write(content)

    def unlink(self, missing_ok: bool = False) -> None:
        """Raises: FileNotFoundError unless `missing_ok`."""
        try:
            self.filesystem.delete_file(self.path)
        except FileNotFoundError:
            if not missing_ok:
                raise


Place: TypeAlias = Path | Bucket


def place(address: str | Place, environment: Mapping[str, str] = os.environ) -> Place:
    """The place of an address: a path, or ``s3://bucket/prefix`` with the settings QUERY behind a question mark.

    What the address leaves out comes from the usual AWS environment variables; keys and endpoint are kept in the
    place, so that workers elsewhere reach it too. Raises: PlaceError for another address or without bucket.
    """
    if isinstance(address, Bucket):
        return address
    if "://" not in str(address):
        return Path(address).expanduser()
    if not str(address).startswith("s3://"):
        raise PlaceError(f"{address}: expected a folder, or an object store as s3://bucket/prefix")
    return _bucket(str(address), environment)


def _bucket(address: str, environment: Mapping[str, str]) -> Bucket:
    from pyarrow import fs

    parts = urlsplit(address)
    path = f"{parts.netloc.rpartition('@')[2]}/{parts.path.strip('/')}".strip("/")
    shown = f"s3://{path}"
    query = dict(parse_qsl(parts.query))
    for key in query:
        if key not in QUERY:
            raise PlaceError(f"{shown}: unknown setting {key!r} in the address; {nearest(key, QUERY)}")
    if not parts.netloc or {"", ".", ".."} & set(path.split("/")):
        raise PlaceError(f"{shown}: expected s3://bucket/prefix")
    scheme, endpoint = _endpoint(query, environment)
    settings = {
        "access_key": unquote(parts.username or "") or environment.get("AWS_ACCESS_KEY_ID"),
        "secret_key": unquote(parts.password or "") or environment.get("AWS_SECRET_ACCESS_KEY"),
        "session_token": None if parts.username else environment.get("AWS_SESSION_TOKEN"),
        "region": query.get("region") or environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION"),
        "endpoint_override": endpoint,
        "scheme": scheme,
    }
    if endpoint and not settings["region"]:
        settings["region"] = "us-east-1"  # else the name would be looked up at Amazon's
    try:
        filesystem = fs.S3FileSystem(
            **{key: value for key, value in settings.items() if value},
            connect_timeout=CONNECT_SECONDS,
            retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=ATTEMPTS),
            allow_delayed_open=True,
        )
        found = filesystem.get_file_info(path.partition("/")[0])
    except (OSError, ValueError) as error:
        raise PlaceError(
            f"{shown}: the object store at {endpoint or 'AWS'} gives no access ({explain(error)})"
        ) from error
    if found.type == fs.FileType.NotFound:
        raise PlaceError(f"{shown}: there is no bucket {path.partition('/')[0]!r} at {endpoint or 'AWS'}")
    return Bucket(filesystem, path)


def _endpoint(query: Mapping[str, str], environment: Mapping[str, str]) -> tuple[str | None, str | None]:
    """Scheme and host with port of the server; None: Amazon's own."""
    given = (
        query.get("endpoint_override") or environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL")
    )
    if not given:
        return query.get("scheme"), None
    scheme, separator, host = given.rpartition("://")
    return query.get("scheme") or (scheme if separator else None), host.rstrip("/")


def explain(error: BaseException) -> str:
    """The system's words for an error, in one line."""
    text = getattr(error, "strerror", None) or str(error)
    before, aws, after = text.partition("AWS Error ")
    return " ".join((aws + after if aws else before).partition("; Details:")[0].split())[:300]


def names(folder: Place) -> list[str]:
    """The names of the files directly in a folder, sorted; none where there is no folder. Raises: OSError."""
    if isinstance(folder, Path):
        try:
            with os.scandir(folder) as entries:
                return sorted(entry.name for entry in entries if entry.is_symlink() or entry.is_file())
        except FileNotFoundError:
            return []
    from pyarrow import fs

    found = folder.filesystem.get_file_info(fs.FileSelector(folder.path, allow_not_found=True))
    return sorted(info.base_name for info in found if info.is_file)


def make_folder(folder: Place) -> None:
    """A folder that survives a loss of power; in an object store there are none to make."""
    if isinstance(folder, Bucket) or folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    _sync(folder.parent)


def write_durably(path: Place, content: bytes) -> None:
    """Write a file so that a crash at any moment leaves the old state or the new one, never half of it.

    In a folder: staged under a dot-name, synced, renamed, folder synced. In an object store: put. Raises: OSError.
    """
    if isinstance(path, Bucket):
        path.write_bytes(content)
        return
    try:
        _stage_and_rename(path, content)
    except FileNotFoundError:  # a driver that starts clears away what it finds staged, also what is still in work
        _stage_and_rename(path, content)
    _sync(path.parent)


def _stage_and_rename(path: Path, content: bytes) -> None:
    staged = path.with_name(f"{STAGED}{uuid.uuid4().hex}")
    try:
        with staged.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(staged, path)
    except BaseException:  # an interrupt, too, leaves nothing half written behind
        staged.unlink(missing_ok=True)
        raise


def rename_durably(staged: Path, final: Path) -> None:
    """Give a folder its name once all that lies in it is on the disk, so that it is there whole or not at all.

    Raises: OSError.
    """
    for path in (*staged.rglob("*"), staged):
        _sync(path)
    os.rename(staged, final)
    _sync(final.parent)


def move(path: Place, folder: Place) -> Place:
    """Move a file into a folder that is made where there is none. Raises: OSError."""
    make_folder(folder)
    target = folder / path.name
    if isinstance(path, Path) and isinstance(target, Path):
        os.replace(path, target)
    else:
        write_durably(target, path.read_bytes())
        path.unlink()
    return target


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
