#!/usr/bin/env bash
# Brings Autobahn's test suite for WebSocket: install.sh FOLDER. It runs on Python 2.7 alone, which
# Debian 11 is the last to have: so FOLDER becomes a small Debian 11 to change root into.
# Quick when done: FOLDER/installed is written last.
set -euo pipefail

folder=$1
[ ! -e "$folder/installed" ] || exit 0

say() { printf 'autobahn: %s\n' "$*" >&2; }

[ "$(id -u)" = 0 ] || { say "only root can make a Debian in a folder"; exit 1; }
say "Debian 11 with Python 2.7"
rm -rf "$folder"
mkdir -p "$folder"
debootstrap --variant=minbase \
    --include=python2.7,python2.7-dev,gcc,libc6-dev,ca-certificates,libffi-dev,libssl-dev \
    bullseye "$folder" >"$folder.log" 2>&1 || { tail "$folder.log" >&2; exit 1; }

say "autobahntestsuite 0.8.2 from PyPI"
# pip 20.3 is the last for Python 2.7: as a wheel it runs itself.
python3 -m pip download --quiet --disable-pip-version-check --no-deps --python-version 2.7 \
    --implementation py --abi none --only-binary :all: --dest "$folder/suite" pip==20.3.4
# The network as this machine has it.
[ ! -e /etc/pip.conf ] || cp /etc/pip.conf "$folder/etc/pip.conf"
cp /etc/resolv.conf /etc/hosts "$folder/etc/"
cp -L /etc/ssl/certs/ca-certificates.crt "$folder/etc/ssl/certs/"
pip() {
    chroot "$folder" python2.7 /suite/pip-20.3.4-py2.py3-none-any.whl/pip install --quiet \
        --disable-pip-version-check --no-cache-dir "$@"
}
pip setuptools==44.1.1 wheel==0.37.1
pip txaio==2.1.0 autobahn==0.10.9 autobahntestsuite==0.8.2
chroot "$folder" wstest --help >/dev/null
touch "$folder/installed"
say "done, in $folder"
