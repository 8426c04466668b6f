#!/usr/bin/env bash
# Builds the nodes of other chains, at pinned versions, into .parts/chains/ (ignored by git): op-geth, bsc and
# AvalancheGo, each out of a module of its own. Once, some 20 minutes on 2 cores and 6 GB while it lasts; it
# fails where Go's module proxy can't be reached.
set -euo pipefail

OP_GETH=1.101702.3
BSC=1.7.8
AVALANCHEGO=1.14.2

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
parts=$(cd "$here/../.." && pwd)/.parts
chains=$parts/chains
# shellcheck source=tests/parts/go.sh
. "$here/go.sh"

build() { # build NAME VERSION PACKAGE < what its module requires
    local name=$1 version=$2 package=$3 module go folder
    module=$(cat)
    [ -x "$chains/$name-$version" ] && return
    go=$(toolchain)
    say "$name $version, built by $(GOTOOLCHAIN=local "$go" env GOVERSION)"
    folder=$chains/$name.module
    rm -rf "$folder"
    mkdir -p "$folder"
    printf 'module part\ngo 1.%s.0\n%s\n' "$GO_MINOR_MIN" "$module" >"$folder/go.mod"
    (
        cd "$folder"
        GOTOOLCHAIN=local GOFLAGS=-mod=mod "$go" build -trimpath -ldflags='-s -w' -o built "$package"
    ) 2>"$chains/$name.log" || {
        tail -n 5 "$chains/$name.log" >&2
        say "$name can't be built: is Go's module proxy ($("$go" env GOPROXY)) within reach?"
        exit 1
    }
    # A build that is broken off leaves nothing that looks whole.
    mv "$folder/built" "$chains/$name-$version"
    rm -rf "$folder"
}

mkdir -p "$chains"
# Both are forks that keep geth's module name.
build op-geth "$OP_GETH" github.com/ethereum/go-ethereum/cmd/geth <<MODULE
require github.com/ethereum/go-ethereum v1.16.0
replace github.com/ethereum/go-ethereum => github.com/ethereum-optimism/op-geth v$OP_GETH
MODULE
# The replacements of a module's own don't count for a module that requires it, so they are repeated.
build bsc "$BSC" github.com/ethereum/go-ethereum/cmd/geth <<MODULE
require github.com/ethereum/go-ethereum v1.16.0
replace github.com/cometbft/cometbft => github.com/bnb-chain/greenfield-cometbft v1.3.2
replace github.com/ethereum/go-ethereum => github.com/bnb-chain/bsc v$BSC
replace github.com/tendermint/tendermint => github.com/bnb-chain/tendermint v0.31.17
MODULE
build avalanchego "$AVALANCHEGO" github.com/ava-labs/avalanchego/main <<MODULE
require github.com/ava-labs/avalanchego v$AVALANCHEGO
MODULE
mkdir -p "$parts/bin"
for node in "op-geth-$OP_GETH" "bsc-$BSC" "avalanchego-$AVALANCHEGO"; do
    "$chains/$node" --version >/dev/null
    ln -sfn "../chains/$node" "$parts/bin/${node%-*}"
done
