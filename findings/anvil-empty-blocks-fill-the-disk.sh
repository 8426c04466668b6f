#!/usr/bin/env bash
# anvil 1.7.1, npm @foundry-rs/anvil: a chain of empty blocks fills the home of whoever runs it, and stays there.
#
# It keeps 500 states in memory, and from the next block on writes nearly each one to a file of its own below
# ~/.foundry/anvil/tmp. A state is that of ten accounts and should be alike all the time; but each file has the hashes
# of all blocks before it, too. So the second thousand of blocks in which nothing happens takes three times what the
# first took, hundreds of megabytes together. What a process wrote is of no use to the next one, and an end by SIGTERM
# leaves it there as well: on a machine that runs tests every day it comes to tens of gigabytes.
#
# Neither --prune-history (no files) nor --max-persisted-states (so many) is on by itself.
set -euo pipefail

folder=$(mktemp -d)
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts @foundry-rs/anvil@1.7.1 >&2
anvil=
trap '[ -z "$anvil" ] || kill "$anvil"; rm -rf "$folder"' EXIT

begin() { # begin HOME OPTION…
    local home=$1
    shift
    mkdir "$home"
    port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    HOME=$folder/$home node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil --port "$port" --no-mining --silent "$@" &
    anvil=$!
}

mine() { # a thousand empty blocks
    curl --silent --fail --max-time 60 --retry 20 --retry-connrefused --retry-delay 1 --output answer \
        --header 'content-type: application/json' \
        --data '{"jsonrpc":"2.0","id":1,"method":"anvil_mine","params":["0x3e8"]}' "http://127.0.0.1:$port"
    grep --quiet '"result":null' answer
}

files() { find "$1" -type f | wc -l; }
bytes() { find "$1" -type f -printf '%s\n' | awk '{ all += $1 } END { print all + 0 }'; }

expect() { # expect WHAT FOUND CONDITION…
    printf '%s: %s\n' "$1" "$2"
    [ "${@:3}" ] || { echo "no longer so: expected ${*:3}"; exit 1; }
}

begin home
mine
first=$(bytes home)
expect 'files after 1,000 empty blocks' "$(files home)" "$(files home)" -gt 900
expect 'bytes in them' "$first" "$first" -gt 50000000
mine
both=$(bytes home)
expect 'files after 2,000' "$(files home)" "$(files home)" -gt 1900
expect 'bytes in them' "$both" "$both" -gt $((7 * first / 2))
kill "$anvil"
wait "$anvil" || true
expect 'files that its end by SIGTERM leaves' "$(files home)" "$(files home)" -gt 1900

begin other --prune-history
mine
expect 'files with --prune-history' "$(files other)" "$(files other)" -eq 0
echo 'as described'
