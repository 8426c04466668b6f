#!/usr/bin/env bash
# tests/memory.sh PROGRAM: strangers and a quiet client (`tests/it/memory.rs`) with PROGRAM in a control group
# of 64 MiB, of 256 MiB and of 2 GiB. What the kernel counts there is more than what the process has of its
# own: pages of files, and buffers of sockets. Needs root.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

program=$1
group=
folder=$(mktemp -d)
ends() {
    [ -z "$group" ] || rmdir "$group"
    rm -r "$folder"
}
trap ends EXIT

if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    root=/sys/fs/cgroup limit=memory.max peak=memory.peak kills=memory.events
    echo +memory >$root/cgroup.subtree_control
else
    root=/sys/fs/cgroup/memory limit=memory.limit_in_bytes peak=memory.max_usage_in_bytes kills=memory.oom_control
fi
# 10,000 idle connections are open at both ends.
ulimit -n "$(ulimit -Hn)"
for size in 64_mib 256_mib 2_gib; do
    number=${size%%_*}
    case $size in
        *_mib) bytes=$((number << 20)) ;;
        *_gib) bytes=$((number << 30)) ;;
    esac
    group=$root/forebay-$$-$size
    mkdir "$group"
    echo "$bytes" >"$group/$limit"
    printf '#!/bin/sh\necho $$ >%s/cgroup.procs\nexec %s "$@"\n' "$group" "$program" >"$folder/forebay"
    chmod +x "$folder/forebay"
    FOREBAY=$folder/forebay cargo nextest run --locked --all-features --test it --run-ignored all --no-capture \
        --retries 0 -E "test(memory::with_${size}_)"
    echo "$size: $(cat "$group/$peak") bytes at most, pages of files among them"
    grep oom_kill "$group/$kills"
    rmdir "$group"
    group=
done
