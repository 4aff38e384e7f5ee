"""Brings the libraries of the server's page from the npm registry into `src/quorate/web/vendor`.

    python -m scripts.vendor_web            # fetches them, checks their hashes, writes the files and their licences
    python -m scripts.vendor_web --check    # fails where the committed files are not what that would give

Versions and the registry's integrity hashes are fixed here; the files are as published, but for comments that point to
source maps, for bare imports, which browsers cannot find, and for an export where there is none. Needs the npm client.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

HOME = Path(__file__).parents[1] / "src" / "quorate" / "web" / "vendor"
SOURCE_MAP = re.compile(rb"\n?//# sourceMappingURL=\S+\s*$")
IMPORTS = {b'from"preact"': b'from"./preact.js"'}
EXPORTS = {"temml.js": b"export default temml;\n"}
"""Of what is published as a plain script only."""


@dataclass(frozen=True)
class Package:
    """One package of the registry, and what is taken of it."""

    name: str
    version: str
    integrity: str
    licence: str
    files: Mapping[str, str] = field(default_factory=dict)
    """Paths in the package and the names that they get here; none of one that another has bundled."""
    licence_file: str = "LICENSE"


PACKAGES = (
    Package(
        "preact",
        "11.2.0",
        "sha512-/HfHI/7N84e6GrWBJ3J280z3mLaRJiDcSvj/A+y/4AbLnND/1UlGHe1sR6oYuTGwId0nP7dqDU9OnLxMPZ7xBg==",
        "MIT",
        {"dist/preact.mjs": "preact.js", "hooks/dist/hooks.mjs": "hooks.js"},
    ),
    Package(
        "htm",
        "3.1.1",
        "sha512-983Vyg8NwUE7JkZ6NmOqpCZ+sh1bKv2iYTlUkzlWmA5JD2acKoxd4KVxbMmxX/85mtfdnDmTFoNKcg5DGAvxNQ==",
        "Apache-2.0",
        {"dist/htm.module.js": "htm.js"},
    ),
    Package(
        "markdown-it",
        "15.0.3",
        "sha512-+Az7Ojz3iRGu8KYMvJ6xVhvrxP3eE+vEtJX75Ow88XBpcQNV/0lGX5ZynIIBftREo4DC2jsveAMDaeltmm8QvQ==",
        "MIT",
        {"dist/browser/markdown-it.umd.min.js": "markdown-it.js"},
    ),
    Package(
        "dompurify",
        "3.5.0",
        "sha512-LYC0ZkE8P1V42JsRYTwMdme/2ET8SpOc5AA2eOFjP/IadvRd2fwiT4TVz5vkfy0XUx12aS2UaRkTnfVPNOv9vw==",
        "MPL-2.0 OR Apache-2.0",
        {"dist/purify.min.js": "purify.js"},
    ),
    Package(
        "temml",
        "0.13.5",
        "sha512-aPkDDgunanpLNL0ql32HbolqLep+w8DRcVXRql7rWrMt/PhczdLgL4UBYYVU3BYjCNjkGq4EqwIicu/zWr1iOg==",
        "MIT",
        {"dist/temml.min.js": "temml.js"},
    ),
    Package(
        "@dagrejs/dagre",
        "3.1.3",
        "sha512-X4aUTwOReZvthaZWOVHqlJ52/ZdhZFEM4+Lh/uR4XooUSLE6p71bcy7MPGzYnNUcNh+nj+i/qJQpCMIdQnSmrg==",
        "MIT",
        {"dist/dagre.esm.js": "dagre.js"},
    ),
    # Inside the build of markdown-it; nothing but their licences is taken.
    Package(
        "entities",
        "8.1.0",
        "sha512-kxL7msIffSuh9aaFAMD7rxAIuTRMAHMeBtgHW2yUdWw732ZNh4MehkF2gdjvtdmikkaIP9bFDDJOPlsvm7avrA==",
        "BSD-2-Clause",
    ),
    Package(
        "linkify-it",
        "6.1.0",
        "sha512-wJ/TwpSDTLepCrQoYWYIExIKg5Zchex2Nn5yk2mFnB+6PtdkHtyLx742md9csRjjOnGkKIS/RrbY7l8D6gT9Vw==",
        "MIT",
    ),
    Package(
        "mdurl",
        "2.1.0",
        "sha512-1+HBaOx0zi/dQWht8rNv9MYf9qqpqL/kxI0hXImU6Y547zM6Sni8BQibt7ifgMcYtQg41ao3Ivd6cnSM86inpg==",
        "MIT",
    ),
    Package(
        "uc.micro",
        "3.0.0",
        "sha512-U3PppEkleoTnIfi8BozMx3yju3qc/L6SwqWo2Sw+54PX+PX0q9I+r1Um5HCmqD7n9VDX5/v3vQH/AjA6deDdtw==",
        "MIT",
        licence_file="LICENSE.txt",
    ),
)


def main() -> int:
    """Writes the folder, or says where it differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing, and fail where a file differs")
    given = parser.parse_args()
    wanted = dict(_list_files())
    if given.check:
        found = {path.name: path.read_bytes() for path in HOME.iterdir() if path.is_file()}
        wrong = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
        print("as vendored" if not wrong else f"different, missing or too many: {', '.join(wrong)}")
        return bool(wrong)
    HOME.mkdir(parents=True, exist_ok=True)
    for name, content in wanted.items():
        (HOME / name).write_bytes(content)
        print(f"{name}: {len(content):,} bytes")
    return 0


def _list_files() -> Iterator[tuple[str, bytes]]:
    """Every file of the folder with its content."""
    facts, licences = [], []
    for package in PACKAGES:
        inside = _fetch(package)
        contents = {
            target: _adapt(inside[source]) + EXPORTS.get(target, b"") for source, target in package.files.items()
        }
        yield from contents.items()
        facts.append(
            {
                "name": package.name,
                "version": package.version,
                "licence": package.licence,
                "files": {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()},
            }
        )
        text = inside[package.licence_file].decode().strip()
        licences.append(f"{package.name} {package.version} ({package.licence})\n\n{text}\n")
    yield "LICENCES.txt", f"\n{'=' * 80}\n\n".join(licences).encode()
    yield "versions.json", (json.dumps(facts, indent=2) + "\n").encode()


def _fetch(package: Package) -> dict[str, bytes]:
    """The files of a package by their paths in it, if it is what it was."""
    with tempfile.TemporaryDirectory() as folder:
        wanted = f"{package.name}@{package.version}"
        subprocess.run(["npm", "pack", "--silent", wanted], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        archive = next(Path(folder).glob("*.tgz"))
        digest = "sha512-" + base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
        if digest != package.integrity:
            sys.exit(f"{wanted} has the hash {digest}, not {package.integrity}: it is another file than it was")
        with tarfile.open(archive) as tar:
            members = [(member.name.partition("/")[2], tar.extractfile(member)) for member in tar if member.isfile()]
            return {path: file.read() for path, file in members if file is not None}


def _adapt(content: bytes) -> bytes:
    content = SOURCE_MAP.sub(b"\n", content)
    for bare, relative in IMPORTS.items():
        content = content.replace(bare, relative)
    return content


if __name__ == "__main__":
    sys.exit(main())
