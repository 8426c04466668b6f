#!/usr/bin/env bash
# Makes what a release holds, into dist/: docs/guide/release.md tells of each file. ./dev release calls it, and
# brings the tools.
#
# The same bytes each time, of one commit by one compiler: nothing in them says when, where or by whom.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

MACHINES=(x86_64 aarch64)
# The newest version of the C library that a program may ask for: Debian 12, Ubuntu 22.04, Amazon Linux 2023.
GLIBC_MAX=2.34
FEATURES=otlp

say() { printf 'release: %s\n' "$*" >&2; }

VERSION=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -1)
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH
built=${CARGO_TARGET_DIR:-target}
stage=dist/stage

standard_library() { # standard_library TARGET
    [ -d "$(rustc --print target-libdir --target "$1")" ] || rustup target add "$1"
}

# Paths of this machine would stand in messages of panics, and in what C's assertions say.
program() { # program MACHINE
    local target=$1-unknown-linux-gnu linker=$1-linux-gnu-gcc home=${CARGO_HOME:-$HOME/.cargo} upper
    standard_library "$target"
    upper=${target^^}
    say "$target"
    env "CARGO_TARGET_${upper//-/_}_LINKER=$linker" \
        RUSTFLAGS="--remap-path-prefix=$PWD=. --remap-path-prefix=$home=cargo" \
        CFLAGS="-ffile-prefix-map=$PWD=. -ffile-prefix-map=$home=cargo" \
        cargo build --release --locked --features "$FEATURES" --bin forebay --target "$target"
    mkdir -p "$stage/$1"
    cp "$built/$target/release/forebay" "$stage/$1/"
    old_enough "$stage/$1/forebay"
}

old_enough() { # old_enough PROGRAM
    local asked
    asked=$(readelf --version-info "$1" | sed -n 's/.*Name: GLIBC_\([0-9.]*\).*/\1/p' | sort -V | tail -1)
    say "asks for glibc $asked"
    [ "$(printf '%s\n' "$asked" "$GLIBC_MAX" | sort -V | tail -1)" = "$GLIBC_MAX" ] ||
        { say "that is newer than $GLIBC_MAX: build on an older system"; exit 1; }
}

# What the program's arguments make, and the configuration as the unit wants it.
papers() {
    cargo run --quiet --locked --features papers --bin papers -- "$stage"
    sed 's|^# upgrade_sock: [^ ]*|upgrade_sock: /run/forebay/upgrade.sock|' conf/pingora.yaml >"$stage/pingora.yaml"
    grep -q '^upgrade_sock: /run/' "$stage/pingora.yaml"
}

# Whoever packs, and in whichever order the folder's files stand.
packed() { # packed ARCHIVE FOLDER-AROUND NAME…
    local archive=$1
    shift
    tar --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner --mode=go=rX,u+rw \
        -cf - -C "$@" | gzip -n9 >"$archive"
}

# As in the repository, so that the documents' links lead somewhere.
tarball() { # tarball MACHINE
    local name=forebay-$VERSION-$1-unknown-linux-gnu
    local folder=$stage/tarball/$name
    mkdir -p "$folder/packaging"
    cp -r "$stage/$1/forebay" "$stage/completions" "$stage/man" conf dashboards docs README.md CHANGELOG.md CONTRIBUTING.md SECURITY.md LICENSE "$folder/"
    cp packaging/forebay.service "$folder/packaging/"
    packed "dist/$name.tar.gz" "$stage/tarball" "$name"
}

package() { # package MACHINE
    cp "$stage/$1/forebay" "$stage/forebay"
    cargo deb --quiet --no-build --no-strip --target "$1-unknown-linux-gnu" --output dist/
}

# All machines' programs are made of the same.
bill_of_materials() {
    local name=forebay-$VERSION.cdx
    cargo cyclonedx --quiet --format json --features "$FEATURES" --target "${MACHINES[0]}-unknown-linux-gnu" \
        --override-filename "$name"
    sed "s|file://$PWD|file:///forebay|g" "$name.json" >"dist/$name.json"
    rm "$name.json"
}

# The Dockerfile's own end, around the program that is in the tarball.
image() {
    local debian files mounts root=$stage/image tag=forebay:$VERSION archive
    archive=dist/forebay-$VERSION-image-$(dpkg --print-architecture).tar.gz
    debian=debian:$(sed -n 's/^ARG DEBIAN=//p' Dockerfile)-slim
    tests/image/bases.sh "$debian"
    mapfile -t mounts < <(tests/image/mounts.sh)
    mkdir -p "$root/build/target/release"
    cp "$stage/$(uname -m)/forebay" "$root/build/target/release/"
    buildah bud --isolation chroot --pull-never --format docker --quiet --identity-label=false "${mounts[@]}" \
        --timestamp "$SOURCE_DATE_EPOCH" --build-context "build=$root" \
        --build-arg VERSION="$VERSION" --build-arg REVISION="$(git rev-parse HEAD)" \
        --build-arg CREATED="$(date --utc --date "@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)" \
        --tag "$tag" . >"$stage/image.log" 2>&1 || { cat "$stage/image.log" >&2; exit 1; }
    buildah push --quiet "$tag" "docker-archive:$root/archive.tar"
    mkdir "$root/archive"
    tar -C "$root/archive" -xf "$root/archive.tar"
    python3 packaging/image.py "$root/archive" "$tag"
    mapfile -t files < <(ls "$root/archive/kept")
    packed "$archive" "$root/archive/kept" "${files[@]}"
}

chart() {
    packed "dist/forebay-$VERSION.tgz" packaging/helm forebay
}

[ -z "$(git status --porcelain)" ] || say "the tree has changes: this is no release of a commit"
rm -rf dist
mkdir -p "$stage"
papers
for machine in "${MACHINES[@]}"; do
    program "$machine"
    tarball "$machine"
    package "$machine"
done
bill_of_materials
image
chart
rm -rf "$stage"
(cd dist && sha256sum -- * >SHA256SUMS)
say "in dist/:"
ls -l dist >&2
