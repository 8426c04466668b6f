#!/usr/bin/env bash
# Builds geth as it is today, at a pinned version, into .parts/ (ignored by git); install.sh beside this
# brings a geth of 2019. Once, some 4 minutes on 2 cores; it fails where Go's module proxy can't be reached.
set -euo pipefail

GETH=1.17.10

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
parts=$(cd "$here/../.." && pwd)/.parts
built=$parts/geth-$GETH
# shellcheck source=tests/parts/go.sh
. "$here/go.sh"

build() {
    local go
    go=$(toolchain)
    say "geth $GETH, built by $(GOTOOLCHAIN=local "$go" env GOVERSION)"
    # A build that is broken off leaves nothing that looks whole.
    rm -rf "$built.unfinished"
    GOTOOLCHAIN=local GOFLAGS=-mod=mod GOBIN=$built.unfinished \
        "$go" install -ldflags='-s -w' "github.com/ethereum/go-ethereum/cmd/geth@v$GETH" 2>"$parts/geth.log" || {
        tail -n 5 "$parts/geth.log" >&2
        say "geth can't be built: is Go's module proxy ($("$go" env GOPROXY)) within reach?"
        exit 1
    }
    mv "$built.unfinished" "$built"
}

mkdir -p "$parts/bin"
[ -x "$built/geth" ] || build
"$built/geth" version >/dev/null
ln -sfn "../geth-$GETH/geth" "$parts/bin/geth-1.17"
