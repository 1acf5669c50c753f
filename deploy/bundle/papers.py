"""What stands beside the code: what the bundle is made of, for machines and lawyers, and the digests of its files."""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from email.parser import HeaderParser
from pathlib import Path
from typing import Any, Dict, List, Mapping, Sequence, Set

import tree
import wheels
from cyclonedx.factory.license import LicenseFactory
from cyclonedx.model import HashType, Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

# What metadata says where it has no SPDX expression.
_SPDX = {
    "3-Clause BSD License": "BSD-3-Clause",
    "License :: OSI Approved :: MIT License": "MIT",
    "MIT License": "MIT",
    "Apache License 2.0": "Apache-2.0",
    "Apache 2.0": "Apache-2.0",
}


def licence_of(stored: Path) -> str:
    """What a distribution says of its licence, as an SPDX expression where it can be told."""
    (metadata,) = stored.glob("*.dist-info/METADATA")
    headers = HeaderParser().parsestr(metadata.read_text(encoding="utf-8"))
    said = [headers["License-Expression"] or headers["License"] or ""]
    said += [text for text in headers.get_all("Classifier", []) if text.startswith("License ::")]
    for text in filter(None, said):
        if text in _SPDX or "\n" not in text:
            return _SPDX.get(text, text)
    return ""


def write_licences(root: Path, store: Mapping[str, Path]) -> None:
    """``LICENSES/``: for each distribution its own files, as links to where they stand, and one list of all."""
    directory = root / "LICENSES"
    directory.mkdir()
    lines = []
    for name, stored in sorted(store.items()):
        files = wheels.licences(stored)
        for file, path in files.items():
            (directory / name).mkdir(exist_ok=True)
            tree.link(directory / name / file, path)
        lines.append(f"{name}: {licence_of(stored) or 'not said'}{'' if files else ' (its wheel holds no text of it)'}")
    (directory / "README.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_bill_of_materials(root: Path, store: Mapping[str, Path], sources: Mapping[str, Path], agent: str) -> None:
    """``sbom.cdx.json``: CycloneDX 1.6, by its own library, and valid by its schema."""
    licences = LicenseFactory()
    components = []
    for key, wheel in sorted(sources.items()):
        name, version = wheels.name_and_version(wheel)
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        said = licence_of(store[key])
        components.append(
            Component(
                name=name,
                version=version,
                type=ComponentType.APPLICATION if key == agent else ComponentType.LIBRARY,
                bom_ref=key,
                purl=PackageURL("pypi", None, name, version),
                hashes=[HashType.from_composite_str(f"sha256:{digest}")],
                licenses=[licences.make_from_string(said)] if said else [],
                properties=[Property(name="hf-openobserve:wheel", value=wheel.name)],
            )
        )
    subject = next(component for component in components if component.bom_ref.value == agent)
    bom = Bom(components=[component for component in components if component is not subject])
    bom.metadata.component = subject
    bom.register_dependency(subject, bom.components)
    document = json.loads(JsonV1Dot6(bom).output_as_string())
    # The library writes the time and a random number: the same bundle has the same bill.
    document["metadata"].pop("timestamp")
    document.pop("serialNumber")
    text = json.dumps(document, indent=1, sort_keys=True)
    document["serialNumber"] = f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, text)}"
    text = json.dumps(document, indent=1, sort_keys=True)
    wrong = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if wrong is not None:
        raise ValueError(f"the bill of materials is not valid: {wrong}")
    (root / "sbom.cdx.json").write_text(text + "\n", encoding="utf-8")


def write_description(root: Path, version: str, targets: Sequence[Mapping[str, Any]]) -> None:
    """``bundle.json``: what is for which Python, and what of it has been run."""
    description: Dict[str, Any] = {"hf-openobserve": version, "targets": list(targets)}
    (root / "bundle.json").write_text(json.dumps(description, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def write_digests(root: Path) -> None:
    """``SHA256SUMS``, for ``sha256sum -c``: of every file, and of every link to one."""
    lines: List[str] = []
    seen: Set[str] = set()
    for directory, names, files in os.walk(root):
        names.sort()
        for name in sorted(files):
            path = os.path.join(directory, name)
            relative = os.path.relpath(path, root)
            if relative != "SHA256SUMS" and relative not in seen:
                seen.add(relative)
                with open(path, "rb") as file:
                    lines.append(f"{hashlib.sha256(file.read()).hexdigest()}  {relative}\n")
    (root / "SHA256SUMS").write_text("".join(sorted(lines, key=lambda line: line[66:])), encoding="utf-8")
