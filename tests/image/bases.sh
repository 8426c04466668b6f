#!/usr/bin/env bash
# Brings the base images that the Dockerfile names: from their registry, or, where that is out
# of reach, as stand-ins made of Debian's own packages and of this machine's Rust. A stand-in is
# labelled so, and is made once.
set -euo pipefail

debian=$1   # as in the Dockerfile: debian:bookworm-slim
rust=${2:-} # rust:1.95-slim-bookworm, to compile in
suite=${debian#debian:}
suite=${suite%-slim}

say() { printf 'bases: %s\n' "$*" >&2; }

there() { buildah inspect --type image "docker.io/library/$1" >/dev/null 2>&1; }

bring() { there "$1" || timeout 120 buildah pull --quiet "docker.io/library/$1" >/dev/null 2>&1; }

stand_in() { # stand_in CONTAINER NAME
    buildah config --label forebay.stand-in=true "$1"
    buildah commit --quiet --rm "$1" "docker.io/library/$2" >/dev/null
}

debian_of_packages() {
    local root container
    root=$(mktemp -d)
    say "$debian can't be pulled: a stand-in by debootstrap"
    debootstrap --variant=minbase "$suite" "$root" >"$root.log" 2>&1 || { tail "$root.log"; exit 1; }
    # What Docker's slim image leaves out as well.
    rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/* \
        "$root"/usr/share/{doc,man,info,locale}/*
    container=$(buildah from scratch)
    buildah add --quiet "$container" "$root" / >/dev/null
    buildah config --cmd bash "$container"
    stand_in "$container" "$debian"
    rm -rf "$root" "$root.log"
}

rust_of_this_machine() {
    local container root sysroot
    sysroot=$(rustc --print sysroot)
    say "$rust can't be pulled: a stand-in with this machine's $(rustc --version)"
    container=$(buildah from --pull-never "docker.io/library/$debian")
    buildah run --isolation chroot "${mounts[@]}" "$container" -- sh -c \
        'apt-get update -qq && apt-get install -y -qq --no-install-recommends gcc libc6-dev ca-certificates' \
        >/dev/null 2>&1
    root=$(buildah mount "$container")
    # cargo reaches crates.io by the certificates that this machine trusts.
    cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
    mkdir -p "$root/usr/local/rustup"
    cp -a "$sysroot/bin" "$root/usr/local/rustup/"
    (cd "$sysroot" && tar c --exclude='*.html' lib) | tar x -C "$root/usr/local/rustup"
    rm -rf "$root/usr/local/rustup/lib/rustlib/src" "$root"/usr/local/rustup/lib/rustlib/wasm*
    buildah umount "$container" >/dev/null
    buildah config --env PATH=/usr/local/rustup/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        --env CARGO_HOME=/usr/local/cargo "$container"
    stand_in "$container" "$rust"
}

mapfile -t mounts < <("$(dirname "${BASH_SOURCE[0]}")/mounts.sh")
bring "$debian" || debian_of_packages
[ -z "$rust" ] || bring "$rust" || rust_of_this_machine
