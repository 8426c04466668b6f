#!/usr/bin/env bash
# The options that let a build reach Debian's packages as this machine does: its apt settings,
# read-only, for the time of the build. The image holds none of them.
set -euo pipefail

for path in /etc/apt/apt.conf.d /etc/apt/sources.list.d/debian.sources; do
    [ ! -e "$path" ] || printf '%s\n' --volume "$path:$path:ro"
done
