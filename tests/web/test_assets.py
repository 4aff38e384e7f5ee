"""The files for browsers: small, whole, licensed, and nothing but what is meant to be there."""

from __future__ import annotations

import hashlib
import json
import re
from importlib import resources

import pytest

from quorate.web import find_asset, read_part

WEB = resources.files("quorate.web")
PAGE = sorted(f"page/{file.name}" for file in (WEB / "page").iterdir() if not file.name.startswith("."))
PARTS = sorted(f"parts/{file.name}" for file in (WEB / "parts").iterdir() if not file.name.startswith("."))
VENDOR = json.loads((WEB / "vendor" / "versions.json").read_text())


def _size(*names: str) -> int:
    assets = [find_asset(name) for name in names]
    return sum(len(asset.compressed) for asset in assets if asset is not None)


def test_all_of_it_is_under_200_kilobytes_compressed() -> None:
    """Everything that the page can ever load, mathematics too."""
    vendored = [f"vendor/{name}" for package in VENDOR for name in package["files"]]
    assert _size(*PAGE, *PARTS, *vendored) < 200_000


@pytest.mark.parametrize("package", VENDOR, ids=lambda package: package["name"])
def test_vendored_libraries_are_what_was_vendored(package: dict[str, object]) -> None:
    assert isinstance(package["files"], dict)
    for name, digest in package["files"].items():
        assert hashlib.sha256((WEB / "vendor" / name).read_bytes()).hexdigest() == digest
    licences = (WEB / "vendor" / "LICENCES.txt").read_text()
    assert f"{package['name']} {package['version']} ({package['licence']})" in licences


def test_every_import_leads_to_a_file() -> None:
    """A module that is not there would be a blank page."""
    for name in PAGE:
        text = (WEB / name).read_text() if not name.endswith(".html") else ""
        for target in re.findall(r"""(?:from|import\()\s*["'](\.[^"']+)["']""", text):
            folder, _, file = target.rpartition("/")
            assert find_asset(f"{'vendor' if 'vendor' in folder else 'parts' if 'parts' in folder else 'page'}/{file}")


def test_every_file_that_the_page_names_is_there() -> None:
    page = (WEB / "page" / "index.html").read_text()
    named = re.findall(r'(?:href|src)="web/([^"]+)"', page)
    assert named
    assert all(find_asset(name) is not None for name in named)
    assert "<script>" not in page
    assert "style=" not in page


@pytest.mark.parametrize(
    "name", ["page/../assets.py", "page/nothing.js", "vendor/versions.json", "page/", "", "..", "page/a/b.js"]
)
def test_nothing_else_is_to_be_had(name: str) -> None:
    assert find_asset(name) is None


def test_a_part_for_a_single_file_is_no_module() -> None:
    assert "--paper" in read_part("colours.css")
