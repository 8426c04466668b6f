#!/usr/bin/env bash
# Lints the Helm chart and looks at what it renders (see check.py beside this), with a Helm that Go builds
# into .parts/: once, some 4 minutes on 2 cores.
#
#   packaging/helm/check.sh FOREBAY     the program that must take the rendered configuration
set -euo pipefail

HELM=4.3.2
VALIDATE=1.37.0

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
parts=$(cd "$here/../.." && pwd)/.parts
built=$parts/helm-$HELM
# shellcheck source=tests/parts/go.sh
. "$here/../../tests/parts/go.sh"

build() {
    local go
    go=$(toolchain)
    say "helm $HELM, built by $(GOTOOLCHAIN=local "$go" env GOVERSION)"
    # A build that is broken off leaves nothing that looks whole.
    rm -rf "$built.unfinished"
    GOTOOLCHAIN=local GOFLAGS=-mod=mod GOBIN=$built.unfinished \
        "$go" install -ldflags='-s -w' "helm.sh/helm/v4/cmd/helm@v$HELM"
    mv "$built.unfinished" "$built"
}

# What Kubernetes takes, by its own schemas.
schemas() {
    [ "$(cat "$parts/kubernetes/asked" 2>/dev/null)" != "$VALIDATE" ] || return 0
    say "pip install kubernetes-validate==$VALIDATE"
    rm -rf "$parts/kubernetes"
    python3 -m venv "$parts/kubernetes"
    "$parts/kubernetes/bin/pip" install --quiet --disable-pip-version-check "kubernetes-validate==$VALIDATE"
    echo "$VALIDATE" >"$parts/kubernetes/asked"
}

mkdir -p "$parts"
[ -x "$built/helm" ] || build
schemas
HELM=$built/helm FOREBAY=$1 "$parts/kubernetes/bin/python" "$here/check.py"
