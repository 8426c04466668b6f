#!/usr/bin/env bash
# One read with cast (alloy) as it comes, against an endpoint that refuses: cast.sh URL
cast=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)/.parts/bin/cast
timeout 60 "$cast" rpc --rpc-url "$1" eth_getBalance 0x00000000000000000000000000000000000000aa latest
exit 0
