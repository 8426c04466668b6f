"""A day's mix in small: how many calls nodes get for each call of a client, without a cache, with equal
calls in flight shared, with answers kept, and with three balancers that share them by Redis or Valkey; beside
what an unbounded cache would save that knows all.

The mix is fixed here: the shares of the methods, the addresses and how they are chosen, the time between
blocks, and a reorganisation now and then. A pretend node answers with the hash of the block that it was
asked for, so a wrong answer shows.
"""

import argparse
import asyncio
import collections
import hashlib
import json
import random
import shutil
import subprocess
import sys
import tempfile
from bisect import bisect
from itertools import accumulate
from pathlib import Path

from machine import Process, Trouble
from servers import free_port

SEED = 22
ADDRESSES = 20_000
ZIPF = 0.9
CALLS_A_BLOCK = 400
BLOCKS = 60
BLOCK_SECONDS = 2.0
# Blocks that the balancer sees before it is counted: it knows by hash what it has seen and what is final, and
# in a day's mix all that is younger it has seen.
BLOCKS_BEFORE = 70
SECONDS_BEFORE = 0.3
# Every so many blocks the last of them is another. Of a day's 43,200 blocks one in a hundred.
REORG_EVERY = 20
CONNECTIONS = 24
MULTICALLS = 200
# Calls at the head, in hundredths.
MIX = {
    "balance": 22,
    "nonce": 6,
    "receipt": 16,
    "multicall": 26,
    "block by number": 6,
    "logs": 5,
    "block receipts": 3,
    "block by hash": 5,
    "transaction": 6,
    "estimate": 3,
    "gas price": 2,
}


def say(text):
    print(f"workload: {text}", file=sys.stderr, flush=True)


def digits(*parts):
    return "0x" + hashlib.sha256(":".join(map(str, parts)).encode()).hexdigest()


class Chain:
    """Blocks by number, as they are now."""

    def __init__(self):
        self.hashes = [digits("block", number, 0) for number in range(200)]
        self.known = {name: number for number, name in enumerate(self.hashes)}
        self.turn = 0

    @property
    def head(self):
        return len(self.hashes) - 1

    def grow(self, reorganises):
        if reorganises:
            self.turn += 1
            self.hashes.pop()
            self.put(len(self.hashes))
        self.put(len(self.hashes))

    def put(self, number):
        self.hashes.append(digits("block", number, self.turn))
        self.known[self.hashes[number]] = number

    def block(self, number):
        return {
            "number": hex(number),
            "hash": self.hashes[number],
            "parentHash": self.hashes[number - 1] if number else "0x" + "0" * 64,
            "timestamp": hex(1_700_000_000 + 2 * number),
            "transactions": [],
        }


class Node:
    """Answers by the chain, and counts what it is asked."""

    def __init__(self, chain):
        self.chain, self.asked, self.port = chain, collections.Counter(), free_port()

    def number(self, tag):
        if tag in ("latest", "pending", None):
            return self.chain.head
        if tag in ("safe", "finalized"):
            return max(0, self.chain.head - 64)
        return int(tag, 16)

    def result(self, method, params):
        chain = self.chain
        is_probe = params and params[0] in ("latest", "safe", "finalized")
        if method == "eth_chainId":
            return "0x1"
        if method == "net_version":
            return "1"
        if method == "eth_syncing":
            return False
        if method == "eth_blockNumber":
            return hex(chain.head)
        if method == "eth_getBlockByNumber":
            self.asked[method] += not is_probe and params[1]
            number = self.number(params[0])
            return chain.block(number) if number <= chain.head else None
        if method == "eth_getBlockByHash":
            self.asked[method] += bool(params[1])
            number = chain.known.get(params[0])
            on_chain = number is not None and chain.hashes[number:][:1] == [params[0]]
            return chain.block(number) if on_chain else None
        # How deep it goes is asked by this, and by the zero address's balance.
        if method == "eth_getBlockTransactionCountByNumber":
            return "0x0" if self.number(params[0]) <= chain.head else None
        self.asked[method] += "0x" + "0" * 40 not in params
        if method == "eth_gasPrice":
            return hex(chain.head)
        if method in ("eth_getTransactionReceipt", "eth_getTransactionByHash"):
            number = int(params[0][2:18], 16)
            if number > chain.head:
                return None
            own = "transactionHash" if method.endswith("Receipt") else "hash"
            return {own: params[0], "blockNumber": hex(number), "blockHash": chain.hashes[number]}
        if method == "eth_getLogs":
            number = int(params[0]["toBlock"], 16)
            return [{"blockNumber": hex(number), "blockHash": chain.hashes[number], "data": "0x"}]
        if method == "eth_getBlockReceipts":
            number = int(params[0], 16)
            return [{"blockNumber": hex(number), "blockHash": chain.hashes[number]}]
        if method in ("eth_getBalance", "eth_getTransactionCount", "eth_call", "eth_estimateGas"):
            number = self.number(params[1] if len(params) > 1 else None)
            if number <= chain.head:
                return digits(chain.hashes[number], method, json.dumps(params[0]))
        return None

    def answer(self, body):
        call = json.loads(body)
        if isinstance(call, list):
            return json.dumps([json.loads(self.answer(json.dumps(one))) for one in call])
        result = self.result(call["method"], call.get("params") or [])
        return json.dumps({"jsonrpc": "2.0", "id": call["id"], "result": result})

    async def serve(self, reader, writer):
        try:
            while body := await read(reader):
                # Long enough for equal calls to meet.
                await asyncio.sleep(0.003)
                send(writer, "HTTP/1.1 200 OK", self.answer(body))
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()


def send(writer, start, body):
    body = body.encode()
    head = f"{start}\r\nHost: here\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)


async def read(reader):
    length = 0
    start = await reader.readline()
    if not start:
        return None
    while (line := await reader.readline()) not in (b"\r\n", b""):
        key, _, value = line.partition(b":")
        if key.lower() == b"content-length":
            length = int(value)
    return await reader.readexactly(length)


class Mix:
    """What clients ask, the same for the same seed."""

    def __init__(self):
        self.dice = random.Random(SEED)
        self.weights = list(accumulate(1 / (rank + 1) ** ZIPF for rank in range(ADDRESSES)))

    def rank(self, most=ADDRESSES):
        return bisect(self.weights, self.dice.random() * self.weights[most - 1])

    def calls(self, chain):
        kinds, shares = list(MIX), list(MIX.values())
        return [self.call(kind, chain) for kind in self.dice.choices(kinds, shares, k=CALLS_A_BLOCK)]

    def call(self, kind, chain):
        address = "0x%040x" % (0xAAAA0000 + self.rank())
        # New blocks are asked for most.
        number = max(0, chain.head - min(self.rank(100), 100))
        old = "0x%016x%048x" % (max(1, chain.head - self.rank(150)), self.rank(50))
        return {
            "balance": ("eth_getBalance", [address, "latest"]),
            "nonce": ("eth_getTransactionCount", [address, "latest"]),
            "receipt": ("eth_getTransactionReceipt", [old]),
            "multicall": ("eth_call", [{"to": "0x%040x" % 1, "data": "0x%064x" % self.rank(MULTICALLS)}, "latest"]),
            "block by number": ("eth_getBlockByNumber", [hex(number), True]),
            "logs": ("eth_getLogs", [{"fromBlock": hex(number), "toBlock": hex(number)}]),
            "block receipts": ("eth_getBlockReceipts", [hex(number)]),
            "block by hash": ("eth_getBlockByHash", [chain.hashes[number], True]),
            "transaction": ("eth_getTransactionByHash", [old]),
            "estimate": ("eth_estimateGas", [{"to": address, "data": "0x%064x" % self.dice.getrandbits(64)}]),
            "gas price": ("eth_gasPrice", []),
        }[kind]


class Ideal:
    """What a cache would ask that is unbounded and knows of each block at once."""

    def __init__(self):
        self.kept, self.asked = set(), collections.Counter()

    def hear(self, method, params, chain):
        key = (method, json.dumps(params))
        if method == "eth_gasPrice":
            self.asked[method] += 1
            return
        if "latest" in params or method == "eth_estimateGas":
            key += (chain.hashes[chain.head],)
        elif method in ("eth_getTransactionReceipt", "eth_getTransactionByHash"):
            key += (chain.hashes[int(params[0][2:18], 16)],)
        elif method == "eth_getLogs":
            key += (chain.hashes[int(params[0]["toBlock"], 16)],)
        elif method != "eth_getBlockByHash":
            key += (chain.hashes[int(params[0], 16)],)
        if key not in self.kept:
            self.kept.add(key)
            self.asked[method] += 1


class Clients:
    """Ask over some connections, and look at the answers."""

    def __init__(self, ports, chain):
        self.ports, self.chain, self.wrong, self.answers = ports, chain, [], 0

    async def ask(self, calls, seconds):
        queue = list(reversed(calls))
        pause = seconds * CONNECTIONS / len(calls)
        ports = (self.ports * CONNECTIONS)[:CONNECTIONS]
        await asyncio.gather(*(self.connection(queue, pause, port) for port in ports))

    async def connection(self, queue, pause, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while queue:
            method, params = queue.pop()
            call = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
            send(writer, "POST / HTTP/1.1", json.dumps(call))
            self.look(method, params, json.loads(await read(reader)))
            await asyncio.sleep(pause)
        writer.close()

    def look(self, method, params, answer):
        """An answer must be of a block that the chain has, or has just had."""
        self.answers += 1
        result = answer.get("result")
        if "error" in answer:
            self.wrong.append((method, params, answer))
        elif method in ("eth_getBalance", "eth_getTransactionCount", "eth_call"):
            head = self.chain.head
            near = [name for name, number in self.chain.known.items() if number > head - 4]
            if result not in [digits(name, method, json.dumps(params[0])) for name in near]:
                self.wrong.append((method, params, answer))
        elif isinstance(result, dict):
            name = result.get("blockHash") or result["hash"]
            number = int(result.get("blockNumber") or result["number"], 16)
            if self.chain.known.get(name) != number:
                self.wrong.append((method, params, answer))


def settings(folder, port, node, cache, store):
    path = folder / f"forebay-{port}.yaml"
    path.write_text(
        f"""version: 1
threads: 1
forebay:
  chain: {{ id: 1, block_time: {int(BLOCK_SECONDS * 1000)}ms }}
  listen:
    http: ["127.0.0.1:{port}"]
    metrics: "off"
  registry:
    path: "{folder}/forebay-{port}.db"
    last_list: "{folder}/last-list-{port}.json"
  health: {{ interval: 200ms, timeout: 150ms }}
  cache: {{ memory: {cache} }}
  shared: {{ kind: {"valkey" if store else "none"}, url: "redis://127.0.0.1:{store or 1}" }}
  nodes:
    - {{ name: node, url: "http://127.0.0.1:{node}" }}
"""
    )
    return path


def store(port, folder):
    """A server in memory alone. Debian's package of its tools has the program too, by another name."""
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    for name in ("valkey-server", "redis-server", "valkey-check-rdb", "redis-check-rdb"):
        if program := shutil.which(name):
            called = name.replace("check-rdb", "server")
            return Process([called, *options], None, folder, 15, executable=program, stdout=subprocess.DEVNULL)
    raise Trouble("no redis-server or valkey-server")


async def listens(port):
    for _ in range(300):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return
        except OSError:
            await asyncio.sleep(0.1)
    raise Trouble(f"nothing listens on {port}")


async def run(program, folder, cache, blocks, balancers=1):
    """Calls of clients, those that nodes got and those that the ideal cache would make, each by method; and
    what was wrong."""
    chain = Chain()
    node, mix, ideal = Node(chain), Mix(), Ideal()
    listener = await asyncio.start_server(node.serve, "127.0.0.1", node.port)
    ports = [free_port() for _ in range(balancers)]
    shared = free_port() if balancers > 1 else None
    processes = [store(shared, folder)] if shared else []
    try:
        for port in ports:
            path = settings(folder, port, node.port, cache, shared)
            processes.append(Process([program, "serve", "-c", str(path)], None, folder, 2))
        for port in ports:
            await listens(port)
        await asyncio.sleep(1)
        for _ in range(BLOCKS_BEFORE):
            chain.grow(False)
            await asyncio.sleep(SECONDS_BEFORE)
        clients = Clients(ports, chain)
        node.asked.clear()
        asked = collections.Counter()
        for at in range(blocks):
            chain.grow(at % REORG_EVERY == REORG_EVERY - 1)
            calls = mix.calls(chain)
            for method, params in calls:
                ideal.hear(method, params, chain)
                asked[method] += 1
            await clients.ask(calls, BLOCK_SECONDS)
        return asked, node.asked, ideal.asked, clients
    finally:
        for process in processes:
            process.end()
        listener.close()


def main():
    parser = argparse.ArgumentParser(prog="./dev bench workload", description=__doc__)
    parser.add_argument("--program", required=True, help="the balancer")
    parser.add_argument("--blocks", type=int, default=BLOCKS)
    parser.add_argument("--only", help="the row of this name")
    options = parser.parse_args()
    kinds = [
        ("equal calls in flight shared", "0", 1),
        ("64 MiB", "64MiB", 1),
        # It needs 5.6 MiB.
        ("a tenth of what it needs", "575KiB", 1),
        ("three balancers that share", "64MiB", 3),
    ]
    print(f"| {options.blocks} blocks, {CALLS_A_BLOCK} calls each | node calls a client call | of what all-knowing saves | wrong |")
    print("| --- | ---: | ---: | ---: |")
    print("| each call asked | 1.000 | 0 % | |")
    for name, cache, balancers in kinds:
        if options.only not in (None, name):
            continue
        say(name)
        with tempfile.TemporaryDirectory(prefix="forebay-workload-") as folder:
            found = asyncio.run(run(options.program, Path(folder), cache, options.blocks, balancers))
        asked, got, best, clients = found
        saved = 100 * (asked.total() - got.total()) / (asked.total() - best.total())
        share = got.total() / asked.total()
        print(f"| {name} | {share:.3f} | {saved:.1f} % | {len(clients.wrong)} of {clients.answers} |", flush=True)
        for method in sorted(asked, key=lambda method: best[method] - got[method]):
            say(f"{method}: {asked[method]} calls, {got[method]} to the node, {best[method]} at best")
        for wrong in clients.wrong[:3]:
            say(f"wrong: {wrong}")
    print(f"| all-knowing | {best.total() / asked.total():.3f} | 100 % | |")


if __name__ == "__main__":
    main()
