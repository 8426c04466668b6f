"""Fifty chains of three nodes in one process, beside one chain: memory for each after use, idle CPU, and the start."""

import base64
import http.client
import json
import os
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor

from machine import MIB, Process, Trouble, started, verdict
from program import first_answer
from servers import Forebay, free_port

CHAINS, NODES_A_CHAIN = 50, 3
CALLS_A_CHAIN = 1_000
BLOCKS_HEARD = 20
BLOCK_SECONDS = 12
# So long a block may take on its way: nodes are asked every 5 s.
HEAR_SECONDS_MAX = 120
# Kinds of WebSocket frames.
TEXT, PING, PONG = 1, 9, 10
# After the last subscriber has left.
CALM_SECONDS = 10
IDLE_SECONDS = 60
# What it must keep to.
MIB_A_CHAIN_MAX = 1.0
IDLE_SHARE_MAX = 0.02
START_SECONDS_MAX = 1.0

ADDRESS = "0x00000000219ab540356cbb839cbe05303d7705fa"
# Answered by the node, by Forebay itself, and refused by the node: each has series of its own.
METHODS = [
    ("eth_call", [{"to": ADDRESS, "data": "0x70a08231" + "0" * 56}, "latest"]),
    ("eth_getBalance", [ADDRESS, "latest"]),
    ("eth_getBlockByNumber", ["latest", False]),
    ("eth_getBlockTransactionCountByNumber", ["latest"]),
    *((name, []) for name in ("eth_chainId", "net_version", "web3_clientVersion", "eth_syncing")),
    *((name, []) for name in ("eth_blockNumber", "net_listening", "eth_accounts", "eth_gasPrice")),
    *((name, []) for name in ("eth_blobBaseFee", "eth_maxPriorityFeePerGas", "eth_protocolVersion")),
    ("eth_getCode", [ADDRESS, "latest"]),
    ("eth_getTransactionCount", [ADDRESS, "latest"]),
    ("eth_getStorageAt", [ADDRESS, "0x0", "latest"]),
    ("eth_feeHistory", ["0x1", "latest", []]),
    ("eth_estimateGas", [{"to": ADDRESS}]),
]


class Chains(Forebay):
    """So many chains, named c0, c1, …; without ids: the node is the same one behind all."""

    def __init__(self, folder, program, ports):
        super().__init__(folder, program, [])
        names = [f"c{at}" for at in range(len(ports) // NODES_A_CHAIN)]
        self.names = names
        lines = []
        for at, name in enumerate(names):
            own = ports[at * NODES_A_CHAIN : (at + 1) * NODES_A_CHAIN]
            nodes = ", ".join(
                f'{{ name: node-{number}, url: "http://127.0.0.1:{port}" }}'
                for number, port in enumerate(own)
            )
            lines.append(f"    {name}: {{ block_time: {BLOCK_SECONDS}s, nodes: [{nodes}] }}")
        path = folder / "chains.yaml"
        chains = "\n".join(lines)
        path.write_text(
            f"""version: 1
threads: 2
forebay:
  listen:
    http: ["127.0.0.1:{self.port}"]
    metrics: "127.0.0.1:{free_port()}"
    admin: "127.0.0.1:{free_port()}"
  registry: {{ path: "{folder}/chains-{len(names)}.db", last_list: "{folder}/chains-{len(names)}.json" }}
  health: {{ interval: 5s }}
  cache: {{ memory: 0 }}
  chains:
{chains}
"""
        )
        self.command = [program, "serve", "-c", str(path)]


def post(connection, name, call):
    connection.request("POST", f"/{name}", json.dumps(call), {"content-type": "application/json"})
    return json.loads(connection.getresponse().read())


def call_of(at):
    method, params = METHODS[at % len(METHODS)]
    if method == "eth_call":
        params = [{**params[0], "data": params[0]["data"] + f"{at:08x}"}, *params[1:]]
    return {"jsonrpc": "2.0", "id": at, "method": method, "params": params}


class Subscriber:
    """A WebSocket that hears heads and logs of one chain."""

    def __init__(self, server, name):
        self.stream = socket.create_connection(("127.0.0.1", server.port), timeout=HEAR_SECONDS_MAX)
        key = base64.b64encode(os.urandom(16)).decode()
        self.stream.sendall(
            (
                f"GET /{name} HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
            ).encode()
        )
        self.reader = self.stream.makefile("rb")
        while self.reader.readline().strip():
            pass
        self.heard = {"heads": 0, "logs": 0}
        self.kinds = {}
        for at, params in enumerate((["newHeads"], ["logs", {}])):
            self.send({"jsonrpc": "2.0", "id": at, "method": "eth_subscribe", "params": params})
        while len(self.kinds) < 2:
            self.hear()

    def send(self, call):
        self.send_frame(TEXT, json.dumps(call).encode())

    def send_frame(self, kind, payload):
        mask = os.urandom(4)
        masked = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
        self.stream.sendall(bytes([0x80 | kind, 0x80 | len(masked)]) + mask + masked)

    def hear(self):
        """The next frame; pings are answered."""
        head = self.reader.read(2)
        if not head:
            raise Trouble("the balancer has closed a subscriber's socket")
        first, length = head
        if length in (126, 127):
            length = int.from_bytes(self.reader.read(2 if length == 126 else 8))
        text = self.reader.read(length)
        if first & 0x0F == PING:
            self.send_frame(PONG, text)
        if first & 0x0F != TEXT:
            return
        said = json.loads(text)
        if "id" in said:
            self.kinds[said["result"]] = ("heads", "logs")[said["id"]]
        else:
            self.heard[self.kinds[said["params"]["subscription"]]] += 1

    def hear_out(self):
        while min(self.heard.values()) < BLOCKS_HEARD:
            self.hear()


def listen(server):
    """Each chain has a subscriber, until each has heard of so many blocks and their logs."""
    subscribers = [Subscriber(server, name) for name in server.names]
    # All at once: each answers pings in time.
    with ThreadPoolExecutor(len(subscribers)) as threads:
        for _ in threads.map(Subscriber.hear_out, subscribers):
            pass
    for subscriber in subscribers:
        subscriber.stream.close()
        subscriber.reader.close()


def use(server):
    for name in server.names:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        for at in range(CALLS_A_CHAIN):
            post(connection, name, call_of(at))
        connection.close()


def measured(folder, options, ports):
    """MiB after use, the idle share of a core, and the seconds to the first answer."""
    server = Chains(folder, options.forebay, ports)
    began = time.monotonic()
    process = Process(server.command, None, folder, signal.SIGINT)
    with process:
        took = first_answer(server.port, process, f"/{server.names[-1]}") - began
        use(server)
        listen(server)
        time.sleep(CALM_SECONDS)
        cpu = process.cpu_seconds()
        time.sleep(IDLE_SECONDS)
        share = (process.cpu_seconds() - cpu) / IDLE_SECONDS
        mib = process.memory_bytes() / MIB
    return mib, share, took


def chains(folder, options):
    """What many chains in one process take."""
    how = ["--nodes", CHAINS * NODES_A_CHAIN, "--block-time", BLOCK_SECONDS]
    node, said = started(options.ends, "node", *how, folder=folder)
    with node:
        ports = said["ports"]
        alone, _, _ = measured(folder, options, ports[:NODES_A_CHAIN])
        mib, share, took = measured(folder, options, ports)
    each = (mib - alone) / (CHAINS - 1)
    holds = each <= MIB_A_CHAIN_MAX and share <= IDLE_SHARE_MAX and took <= START_SECONDS_MAX
    print(
        f"{CHAINS} chains of {NODES_A_CHAIN} nodes: {mib:.0f} MiB, {each:.2f} MiB a chain over the {alone:.0f} MiB "
        f"of one ({MIB_A_CHAIN_MAX} is the limit); idle {share:.2%} of a core ({IDLE_SHARE_MAX:.0%}); first answer "
        f"after {took:.2f} s ({START_SECONDS_MAX} s): {verdict(holds)}"
    )
    if not holds:
        raise Trouble("many chains take too much")
