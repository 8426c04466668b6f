#!/usr/bin/env python3
"""Makes schema.json anew: of a provider's whole schema, what our .tf files use.

usage: terraform providers schema -json | keep.py > schema.json.new
in a folder where `terraform init` has fetched the real provider; say then in README.md which
version that was. The form stays Terraform's own, one resource a line, without descriptions.
"""

import json
import re
import sys
from pathlib import Path

SOURCE = "registry.terraform.io/hashicorp/aws"
MODULE = Path(__file__).parent.parent
USE = re.compile(r'^\s*(resource|data) "(aws_\w+)"', re.M)
TOLD = {"type", "required", "optional", "computed", "sensitive", "nesting_mode", "min_items", "max_items"}


def used():
    texts = [path.read_text() for path in MODULE.rglob("*.tf")]
    pairs = {pair for text in texts for pair in USE.findall(text)}
    return {kind: sorted(name for k, name in pairs if k == kind) for kind in ("resource", "data")}


def trimmed(block):
    told = {}
    if block.get("attributes"):
        told["attributes"] = {
            name: {key: value for key, value in what.items() if key in TOLD}
            for name, what in sorted(block["attributes"].items())
        }
    if block.get("block_types"):
        told["block_types"] = {
            name: {key: value for key, value in what.items() if key in TOLD} | {"block": trimmed(what["block"])}
            for name, what in sorted(block["block_types"].items())
        }
    return told


def kept(schemas, names):
    missing = [name for name in names if name not in schemas]
    if missing:
        sys.exit(f"the provider has no {', '.join(missing)}")
    return {name: {"version": schemas[name]["version"], "block": trimmed(schemas[name]["block"])} for name in names}


def lines(schemas):
    return ",\n".join(f"{json.dumps(name)}:{json.dumps(what, separators=(',', ':'))}" for name, what in schemas.items())


def main():
    told = json.load(sys.stdin)["provider_schemas"][SOURCE]
    names = used()
    provider = {"version": told["provider"]["version"], "block": trimmed(told["provider"]["block"])}
    print(f'{{"format_version":"1.0","provider_schemas":{{{json.dumps(SOURCE)}:{{')
    print(f'"provider":{json.dumps(provider, separators=(",", ":"))},')
    print('"resource_schemas":{\n' + lines(kept(told["resource_schemas"], names["resource"])) + "\n},")
    print('"data_source_schemas":{\n' + lines(kept(told["data_source_schemas"], names["data"])) + "\n}}}}")


if __name__ == "__main__":
    main()
