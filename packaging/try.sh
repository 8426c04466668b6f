#!/usr/bin/env bash
# Uses what release.sh made as those do who get it: unpacks, installs, starts. Needs root, for a Debian of
# its own to install in, and qemu for the programs of other machines.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

export STORAGE_DRIVER=${STORAGE_DRIVER:-overlay}
VERSION=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -1)
PATIENCE_S=60
passed=0 failed=0 container=

check() { # check SENTENCE COMMAND…
    local sentence=$1
    shift
    if "$@" >"$scratch/out" 2>&1; then
        passed=$((passed + 1))
        printf 'ok    %s\n' "$sentence"
    else
        failed=$((failed + 1))
        printf 'FAIL  %s\n' "$sentence"
        tail -n 20 "$scratch/out"
    fi
}

is() { [ "$1" = "$2" ] || { printf '%s is not %s\n' "$1" "$2"; return 1; }; }

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# How MACHINE's program is begun here, into `program`.
begun() { # begun MACHINE
    program=("$scratch/forebay-$VERSION-$1-unknown-linux-gnu/forebay")
    [ "$1" = "$(uname -m)" ] || program=("qemu-$1-static" -L "/usr/$1-linux-gnu" "${program[@]}")
}

# On ports that are free, short at the end.
configuration() {
    sed -e "s/0\.0\.0\.0:8545\"\]/127.0.0.1:$(free_port)\"]/" -e "s/\"0\.0\.0\.0:9090\"/\"127.0.0.1:$(free_port)\"/" \
        -e "s/127\.0\.0\.1:9091/127.0.0.1:$(free_port)/" -e 's/lame_duck: 10s/lame_duck: 500ms/'
}

serves() { # serves FOLDER: it gets healthy, and ends by itself after SIGTERM, with 0
    local pid until=$((SECONDS + PATIENCE_S))
    configuration <"$1/conf/pingora.yaml" >"$scratch/pingora.yaml"
    "${program[@]}" serve -c "$scratch/pingora.yaml" &
    pid=$!
    until "${program[@]}" health -c "$scratch/pingora.yaml"; do
        [ "$SECONDS" -lt "$until" ] || { kill -9 "$pid"; return 1; }
        sleep 0.2
    done
    kill "$pid"
    wait "$pid"
}

pages_are_read() { # pages_are_read FOLDER
    local page
    for page in "$1"/man/*.1; do
        is "$(LC_ALL=C.UTF-8 man --warnings -l "$page" 2>&1 >/dev/null)" "" || return 1
    done
}

completes() { # completes FOLDER
    # shellcheck disable=SC2016
    is "$(bash -c '. "$1"; COMP_WORDS=(forebay ba) COMP_CWORD=1; _forebay forebay ba forebay; echo "${COMPREPLY[@]}"' \
        bash "$1/completions/forebay.bash")" backends
}

tarball() { # tarball MACHINE
    local name=forebay-$VERSION-$1-unknown-linux-gnu
    local folder=$scratch/$name
    check "$1: the tarball unpacks into a folder of its name" tar -C "$scratch" -xzf "dist/$name.tar.gz" "$name"
    begun "$1"
    check "$1: the program says its version" is "$("${program[@]}" --version)" "forebay $VERSION"
    check "$1: its configuration has no mistakes" "${program[@]}" check -c "$folder/conf/pingora.yaml"
    check "$1: it starts, gets healthy, and ends after SIGTERM" serves "$folder"
    check "$1: nothing in it says where it was built" is "$(grep -caF -e "$PWD" -e "$HOME" "$folder/forebay")" 0
    check "$1: the manual's pages are read without a warning" pages_are_read "$folder"
    check "$1: bash completes" completes "$folder"
}

inside() { buildah run --isolation chroot "${mounts[@]}" "$container" -- "$@"; }

installed_as() { is "$(inside stat -c '%U %a' "$1")" "$2"; }

package() {
    local deb
    deb=dist/forebay_$VERSION-1_$(dpkg --print-architecture).deb
    mapfile -t mounts < <(tests/image/mounts.sh)
    container=$(buildah from --pull-never "docker.io/library/debian:$(sed -n 's/^ARG DEBIAN=//p' Dockerfile)-slim")
    buildah copy --quiet "$container" "$deb" /tmp/forebay.deb >/dev/null
    check "package: Debian installs it" inside sh -c \
        'apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends /tmp/forebay.deb'
    check "package: the program says its version" is "$(inside forebay --version)" "forebay $VERSION"
    check "package: its configuration has no mistakes" inside forebay check -c /etc/forebay/pingora.yaml
    check "package: upgrades find their socket where the unit has it" inside sh -c \
        'forebay check --print -c /etc/forebay/pingora.yaml | grep upgrade_sock | grep -q /run/forebay/'
    check "package: the unit's user is there" inside id forebay
    check "package: the program is root's" installed_as /usr/bin/forebay "root 755"
    check "package: the unit is where systemd looks" installed_as /usr/lib/systemd/system/forebay.service "root 644"
    check "package: the configuration is kept as it was changed" inside sh -c \
        'echo "# ours" >>/etc/forebay/pingora.yaml && dpkg --install --force-confdef --force-confold /tmp/forebay.deb && grep -q "# ours" /etc/forebay/pingora.yaml'
    check "package: what it leaves goes with a purge" inside sh -c \
        'install -d /var/lib/forebay && dpkg --purge forebay && ! ls -d /etc/forebay /var/lib/forebay /usr/bin/forebay 2>/dev/null'
    buildah rm "$container" >/dev/null
    container=
    for deb in dist/*.deb; do
        check "$(basename "$deb"): it says what it needs" is "$(dpkg-deb --field "$deb" Depends)" \
            "adduser, ca-certificates, libc6 (>= 2.34), libgcc-s1"
    done
}

bill_of_materials() {
    local bill=dist/forebay-$VERSION.cdx.json
    check "bill of materials: it names this version" python3 -c '
import json, sys
bill = json.load(open(sys.argv[1]))
names = {part["name"] for part in bill["components"]}
assert bill["metadata"]["component"]["version"] == sys.argv[2], bill["metadata"]
assert {"pingora", "tokio", "rusqlite"} <= names and not {"proptest", "criterion"} & names, names' "$bill" "$VERSION"
    check "bill of materials: it doesn't say where it was made" is "$(grep -cF "$PWD" "$bill")" 0
}

image() {
    local archive
    archive=$scratch/image.tar
    gunzip --stdout "dist/forebay-$VERSION-image-$(dpkg --print-architecture).tar.gz" >"$archive"
    buildah rmi --force "forebay:$VERSION" >/dev/null 2>&1 || true
    check "image: it loads" buildah pull --quiet "docker-archive:$archive"
    check "image: it is used as a platform does" env IMAGE="localhost/forebay:$VERSION" tests/image/run.sh
}

chart() {
    check "chart: it is the program's version" is "forebay-$VERSION" \
        "forebay-$(tar -xzOf "dist/forebay-$VERSION.tgz" forebay/Chart.yaml | sed -n 's/^version: //p')"
}

clean_up() {
    [ -z "$container" ] || buildah rm "$container" >/dev/null
    rm -rf "$scratch"
}

scratch=$(mktemp -d)
trap clean_up EXIT
check "the sums are those of the files" sh -c 'cd dist && sha256sum --check --strict SHA256SUMS'
for machine in x86_64 aarch64; do
    tarball "$machine"
done
package
bill_of_materials
image
chart
printf '%s passed, %s failed\n' "$passed" "$failed"
[ "$failed" = 0 ]
