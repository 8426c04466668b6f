#!/usr/bin/env bash
# Builds the image by the Dockerfile and uses it as a platform does: not root, on a read-only root
# file system, with few rights. Needs buildah, podman and runc; works without a Docker daemon.
#
#   tests/image/run.sh          builds, then tests
#   IMAGE=forebay:x …/run.sh    tests an image that is there
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

# Where the kernel lets overlay mounts nest; else STORAGE_DRIVER=vfs.
export STORAGE_DRIVER=${STORAGE_DRIVER:-overlay}
IMAGE=${IMAGE:-}
SIZE_MB_MAX=120
PATIENCE_S=30
passed=0 failed=0 container=

say() { printf 'image: %s\n' "$*" >&2; }

of_dockerfile() { sed -n "s/^ARG $1=//p" Dockerfile; }

build() {
    local start=$SECONDS mounts
    tests/image/bases.sh "debian:$(of_dockerfile DEBIAN)-slim" "rust:$(of_dockerfile RUST)-slim-$(of_dockerfile DEBIAN)"
    mapfile -t mounts < <(tests/image/mounts.sh)
    IMAGE=forebay:test
    # --layers keeps each step, so that a change of ours compiles only ours.
    buildah bud --isolation chroot --pull-never --layers --format docker "${mounts[@]}" \
        --tag "$IMAGE" .
    label
    say "built in $((SECONDS - start)) s"
}

# buildah's cache takes no notice of an ARG's new value, so the Dockerfile's end is built once more.
label() {
    { echo "FROM localhost/$IMAGE"; sed -n '/^ARG VERSION/,$p' Dockerfile; } |
        buildah bud --isolation chroot --pull-never --format docker --quiet --file - \
            --build-arg REVISION="$(git rev-parse HEAD)" \
            --build-arg CREATED="$(date --utc +%Y-%m-%dT%H:%M:%SZ)" \
            --tag "$IMAGE" . >/dev/null
}

# Rights as few as ECS and Compose are told to give; no network but this machine's own.
podman_run() {
    podman --runtime runc --cgroup-manager cgroupfs run --read-only --read-only-tmpfs=false \
        --cap-drop ALL --security-opt no-new-privileges --network host --no-healthcheck \
        --ulimit nofile=1024:1024 --ulimit nproc=1000:1000 "$@"
}

inside() { podman --runtime runc --cgroup-manager cgroupfs exec "$container" "$@"; }

inspected() { podman image inspect --format "$1" "$IMAGE"; }

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

fails() { ! "$@"; }

eventually() {
    local until=$((SECONDS + PATIENCE_S))
    until "$@"; do
        [ "$SECONDS" -lt "$until" ] || return 1
        sleep 0.2
    done
}

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

configuration() { # on ports that are free, short at the end
    local http=$1 metrics=$2
    sed -e "s/0\.0\.0\.0:8545\"\]/127.0.0.1:$http\"]/" -e "s/\"0\.0\.0\.0:9090\"/\"127.0.0.1:$metrics\"/" \
        -e 's/lame_duck: 10s/lame_duck: 500ms/' conf/pingora.yaml
}

start() {
    podman rm --force forebay-image-test >/dev/null 2>&1 || true
    podman_run --detach --name forebay-image-test --cidfile "$scratch/container" \
        --volume "$scratch/pingora.yaml:/forebay/conf/pingora.yaml:ro" "$IMAGE"
}

stops_by_itself() { # SIGTERM, and the exit code
    podman --runtime runc --cgroup-manager cgroupfs kill --signal TERM "$container" >/dev/null
    [ "$(timeout "$PATIENCE_S" podman --runtime runc --cgroup-manager cgroupfs wait "$container")" = 0 ]
}

megabytes() { echo $(($(inspected '{{.Size}}') / 1000000)); }

is_small() { [ "$(megabytes)" -le "$SIZE_MB_MAX" ]; }

is() { [ "$1" = "$2" ] || { printf '%s is not %s\n' "$1" "$2"; return 1; }; }

# As infra/terraform/service.tf has it on Fargate: the configuration out of a variable, into the volume, then Forebay in its place.
# shellcheck disable=SC2016
by_variable() {
    podman_run --rm --env FOREBAY_CONFIG="$(cat conf/pingora.yaml)" --entrypoint '["/bin/sh","-c","umask 077 && printf %s \"$FOREBAY_CONFIG\" >/forebay/data/pingora.yaml && exec forebay \"$@\"","forebay"]' \
        "$IMAGE" check -c /forebay/data/pingora.yaml
}

clean_up() {
    [ -z "$container" ] || podman --runtime runc rm --force --volumes "$container" >/dev/null 2>&1 || true
    rm -rf "$scratch"
}

# shellcheck disable=SC2016
tests() {
    local http metrics
    http=$(free_port) metrics=$(free_port)
    configuration "$http" "$metrics" >"$scratch/pingora.yaml"
    check "it is at most $SIZE_MB_MAX MB" is_small
    check "it runs as nobody's user" is "$(inspected '{{.Config.User}}')" 10001:10001
    check "it checks its health by the binary itself" is "$(inspected '{{json .HealthCheck.Test}}')" '["CMD","forebay","health"]'
    check "it says what it is" is "$(inspected '{{index .Labels "org.opencontainers.image.title"}}')" forebay
    check "it says its licence" is "$(inspected '{{index .Labels "org.opencontainers.image.licenses"}}')" Apache-2.0
    [ -z "$built" ] || check "it says of which revision it is" is "$(inspected '{{index .Labels "org.opencontainers.image.revision"}}')" "$(git rev-parse HEAD)"
    check "it trusts the public certificates" podman_run --rm --entrypoint test "$IMAGE" -s /etc/ssl/certs/ca-certificates.crt
    check "its shipped configuration has no mistakes" podman_run --rm "$IMAGE" check
    check "it takes its configuration from a variable" by_variable
    check "it can be started" start
    container=$(cat "$scratch/container" 2>/dev/null || true)
    check "it runs on a read-only root file system, and gets healthy" eventually inside forebay health
    check "it can't write beside its data" fails inside sh -c 'touch /forebay/conf/new || touch /tmp/new || touch /usr/local/bin/new || touch /new'
    check "its data is its own alone" is "$(inside stat -c '%U %a' /forebay/data)" 'forebay 700'
    check "nodes can be added from inside" inside forebay backends add http://127.0.0.1:9 --name nobody
    check "metrics are served" curl --silent --fail --max-time 5 --output /dev/null "http://127.0.0.1:$metrics/metrics"
    check "it is not root, and brings no compiler" fails inside sh -c 'command -v gcc || command -v cargo || [ "$(id -u)" = 0 ]'
    check "it ends by itself after SIGTERM, with 0" stops_by_itself
}

scratch=$(mktemp -d)
chmod 755 "$scratch"
trap clean_up EXIT
built=
[ -n "$IMAGE" ] || { build; built=yes; }
tests
printf 'size  %s MB\n' "$(megabytes)"
printf '%s passed, %s failed\n' "$passed" "$failed"
[ "$failed" = 0 ]
