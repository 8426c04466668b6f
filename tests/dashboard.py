"""Reads a Grafana dashboard with Grafana's own SDK and writes it again: `dashboard.py FILE`.

The SDK passes over what it doesn't know. So whatever is lost on the way is a key that Grafana
doesn't have, and is named. Ends with 0 when nothing is lost, else with 1.
"""

import json
import sys

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard


def lost(before, after, path):
    """The places in `before` that `after` lacks or has otherwise."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key, value in before.items():
            place = f"{path}.{key}"
            if key in after:
                yield from lost(value, after[key], place)
            elif value is not None:
                yield place
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for at, (one, other) in enumerate(zip(before, after)):
            yield from lost(one, other, f"{path}[{at}]")
    elif before != after:
        yield f"{path}: {before!r} became {after!r}"


def main():
    register_default_plugins()
    with open(sys.argv[1], encoding="utf-8") as file:
        before = json.load(file)
    dashboard = Dashboard.from_json(before)
    after = json.loads(JSONEncoder(sort_keys=True).encode(dashboard))
    faults = list(lost(before, after, "dashboard"))
    print("\n".join(faults) or f"{len(before['panels'])} panels, nothing lost")
    return 1 if faults else 0


sys.exit(main())
