"""More calls than the nodes can do: how many are answered, and how soon, beside HAProxy with `maxconn`
and a queue before the same nodes.

Pretend nodes, here in Python, work at so many calls together, each for so long; what is more waits in
them, or gets 503, or 429 by a token bucket. Calls are sent at even times whatever becomes of the others
(an open loop); a call's time counts from when it was due.
"""

import asyncio
import json
import signal
import sys
import time
from pathlib import Path

from machine import MEASURED, MEASURING, Process, say
from servers import free_port, listens

SECONDS = 8
# What each line is held to, by what was wanted when the limits were made.
HEAD = "| nodes and load | before them | answered/s | of what they can | p50 ms | p99 ms | ÷ unloaded | executed ÷ answered | refused | else |"
RULE = "| --- | --- |" + " ---: |" * 8


def message(read):
    """Of the first message its head in small letters, its body, and what follows; `None` while it isn't whole."""
    end = read.find(b"\r\n\r\n")
    if end < 0:
        return None
    head, start = read[:end].lower(), end + 4
    at = head.find(b"content-length:")
    length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
    if len(read) < start + length:
        return None
    return head, read[start : start + length], read[start + length :]


# The nodes, a process of their own.


class Shape:
    """What a node can do: `queue 20 50`, `refuse 4 50`, `limit 80 5`."""

    def __init__(self, kind, most, millis):
        self.kind, self.most, self.takes = kind, int(most), int(millis) / 1000
        self.busy, self.waiting, self.done = 0, [], 0
        self.tokens, self.filled = self.most / 10, time.monotonic()

    def capacity(self):
        return self.most if self.kind == "limit" else self.most / self.takes

    def ask(self, answer):
        """Calls `answer` with an HTTP status, now or once the work is done."""
        loop = asyncio.get_running_loop()
        if self.kind == "limit":
            now = time.monotonic()
            self.tokens = min(self.tokens + (now - self.filled) * self.most, self.most / 10)
            self.filled = now
            if self.tokens < 1:
                return answer(429)
            self.tokens -= 1
        elif self.busy >= self.most:
            return answer(503) if self.kind == "refuse" else self.waiting.append(answer)
        self.busy += 1
        loop.call_later(self.takes, self.end, answer)

    def end(self, answer):
        self.busy -= 1
        self.done += 1
        answer(200)
        if self.waiting and self.kind == "queue":
            self.busy += 1
            asyncio.get_running_loop().call_later(self.takes, self.end, self.waiting.pop(0))


BLOCK = {
    "number": "0x64",
    "hash": "0x" + "11" * 32,
    "parentHash": "0x" + "10" * 32,
    "timestamp": "0x5f5e100",
}


class Guest(asyncio.Protocol):
    """One connection to a node."""

    def __init__(self, shape):
        self.shape, self.read = shape, b""

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.read += data
        while whole := message(self.read):
            head, body, self.read = whole
            if head.startswith(b"get"):
                self.say(200, {"done": self.shape.done})
            else:
                self.hear(json.loads(body))

    def hear(self, call):
        if isinstance(call, list):
            self.say(200, [self.known(one) for one in call])
        elif call["method"] == "eth_getBalance":
            said = {"jsonrpc": "2.0", "id": call["id"], "result": "0x1"}
            self.shape.ask(lambda status: self.say(status, said))
        else:
            self.say(200, self.known(call))

    def known(self, call):
        results = {
            "eth_chainId": "0x1",
            "net_version": "1",
            "eth_syncing": False,
            "eth_blockNumber": "0x64",
            "eth_getBlockByNumber": BLOCK,
        }
        if call["method"] not in results:
            error = {"code": -32601, "message": f"the method {call['method']} does not exist"}
            return {"jsonrpc": "2.0", "id": call["id"], "error": error}
        return {"jsonrpc": "2.0", "id": call["id"], "result": results[call["method"]]}

    def say(self, status, body):
        if self.transport.is_closing():
            return
        body = json.dumps(body).encode() if status == 200 else b"too much to do"
        head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        self.transport.write(head.encode() + body)


async def serve_nodes(count, shape):
    loop = asyncio.get_running_loop()
    ports = []
    for _ in range(count):
        one = Shape(*shape)
        server = await loop.create_server(lambda one=one: Guest(one), "127.0.0.1", 0, backlog=4096)
        ports.append(server.sockets[0].getsockname()[1])
    print(json.dumps({"ports": ports}), flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


# The callers.


class Line(asyncio.Protocol):
    """One connection of the caller's, with one call at a time."""

    def __init__(self, caller):
        self.caller, self.read, self.began, self.is_open = caller, b"", None, False

    def connection_made(self, transport):
        self.transport, self.is_open = transport, True

    def ask(self, number, due):
        self.began = due
        body = (
            f'{{"jsonrpc":"2.0","id":{number},"method":"eth_getBalance",'
            f'"params":["0x{number:040x}","latest"]}}'
        )
        head = f"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        self.transport.write((head + body).encode())

    def data_received(self, data):
        self.read += data
        if whole := message(self.read):
            head, body, _ = whole
            self.read = b""
            self.caller.hear(self, int(head[9:12]), body, b"connection: close" in head)

    def connection_lost(self, _):
        self.is_open = False
        if self.began is not None:
            self.caller.hear(self, 0, b"", True)


class Caller:
    """Calls at even times from one address."""

    def __init__(self, port, address="127.0.0.1"):
        self.port, self.address, self.idle = port, address, []
        self.answered, self.refused, self.other = [], 0, 0
        self.left = 0

    def hear(self, line, status, body, closes):
        took = time.monotonic() - line.began
        line.began = None
        self.left -= 1
        if status == 200 and b'"result"' in body:
            self.answered.append(took)
        elif status in (429, 503) and (b"-32012" in body or b"jsonrpc" not in body):
            self.refused += 1
        else:
            self.other += 1
        if line.is_open and not closes:
            self.idle.append(line)

    async def line(self):
        while self.idle:
            line = self.idle.pop()
            if line.is_open:
                return line
        loop = asyncio.get_running_loop()
        _, line = await loop.create_connection(
            lambda: Line(self), "127.0.0.1", self.port, local_addr=(self.address, 0)
        )
        return line

    async def one(self, number, due):
        try:
            line = await self.line()
        except OSError:
            self.left -= 1
            self.other += 1
            return
        line.ask(number, due)

    async def offer(self, rate, seconds):
        """So many calls a second; what came of them within 10 s more."""
        self.answered, self.refused, self.other = [], 0, 0
        began = time.monotonic()
        tasks = set()
        for number in range(int(rate * seconds)):
            due = began + number / rate
            wait = due - time.monotonic()
            if wait > 0:
                await asyncio.sleep(wait)
            self.left += 1
            task = asyncio.ensure_future(self.one(number, due))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        until = time.monotonic() + 10
        while self.left and time.monotonic() < until:
            await asyncio.sleep(0.01)
        self.other += self.left
        self.left = 0
        return self

    def at(self, part):
        took = sorted(self.answered)
        return took[min(int(len(took) * part), len(took) - 1)] * 1000 if took else float("nan")


# What stands before the nodes.


def forebay(folder, program, ports, in_flight_max):
    port = free_port()
    fixed = f", in_flight_max: {in_flight_max}" if in_flight_max else ""
    nodes = "\n".join(
        f'    - {{ name: node-{at}, url: "http://127.0.0.1:{node}"{fixed} }}'
        for at, node in enumerate(ports)
    )
    path = folder / f"forebay-{port}.yaml"
    path.write_text(
        f"""version: 1
threads: 1
upstream_keepalive_pool_size: 1024
forebay:
  chain: {{ id: 1 }}
  listen:
    http: ["127.0.0.1:{port}"]
    metrics: "off"
  registry:
    path: "{folder}/forebay-{port}.db"
    last_list: "{folder}/last-list-{port}.json"
  cache: {{ memory: 0 }}
  nodes:
{nodes}
"""
    )
    return port, [program, "serve", "-c", str(path)], signal.SIGINT


def haproxy(folder, ports, maxconn):
    port = free_port()
    servers = "\n".join(
        f"  server node-{at} 127.0.0.1:{node} maxconn {maxconn}" for at, node in enumerate(ports)
    )
    path = folder / f"haproxy-{port}.cfg"
    path.write_text(
        f"""global
  nbthread 1
  maxconn 8192
defaults
  mode http
  http-reuse always
  timeout connect 5s
  timeout client 75s
  timeout server 75s
  timeout queue 100ms
  balance leastconn
frontend all
  bind 127.0.0.1:{port}
  default_backend nodes
backend nodes
{servers}
"""
    )
    return port, ["haproxy", "-f", str(path)], signal.SIGTERM


async def done_by(ports):
    done = 0
    for port in ports:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        done += json.loads(await reader.read(1000))["done"]
        writer.close()
    return done


class Scene:
    """Nodes of one shape, and what stands before them."""

    def __init__(self, folder, count, shape, make):
        self.folder, self.count, self.shape, self.make = folder, count, shape, make

    def __enter__(self):
        command = [sys.executable, __file__, "nodes", str(self.count), *map(str, self.shape)]
        self.nodes = Process(
            command, MEASURING, self.folder, signal.SIGTERM, stdin=-1, stdout=-1
        )
        self.ports = json.loads(self.nodes.process.stdout.readline())["ports"]
        self.port, command, ends_by = self.make(self.ports)
        self.server = Process(command, MEASURED, self.folder, ends_by)
        self.server.until(lambda: listens(self.port), "the server is ready")
        time.sleep(3)
        return self

    def __exit__(self, *_):
        self.server.end()
        self.nodes.end()


def row(title, name, caller, seconds, capacity, unloaded, executed):
    answered = len(caller.answered)
    rate = answered / seconds
    p99 = caller.at(0.99)
    return (
        f"| {title} | {name} | {rate:,.0f} | {rate / capacity:.0%} | {caller.at(0.5):.0f} | {p99:.0f} | "
        f"{p99 / unloaded:.2f} | {executed / max(answered, 1):.2f} | {caller.refused:,} | {caller.other:,} |"
    )


async def flood(folder, count, shape, rates, name, make, after):
    capacity = count * Shape(*shape).capacity()
    kind, most, millis = shape
    nodes = f"{count} × {most} {'a second' if kind == 'limit' else 'at a time'}, {millis} ms ({kind})"
    lines = []
    for rate in rates:
        with Scene(folder, count, shape, make) as scene:
            caller = Caller(scene.port)
            quiet = await caller.offer(min(100, capacity / 4), 4)
            unloaded = quiet.at(0.99)
            before = await done_by(scene.ports)
            say(f"{name}: {nodes}, {rate}/s")
            await caller.offer(rate, SECONDS)
            executed = await done_by(scene.ports) - before
            line = row(f"{nodes}: {rate:,}/s", name, caller, SECONDS, capacity, unloaded, executed)
            lines.append(line)
            if after:
                await asyncio.sleep(2)
                before = await done_by(scene.ports)
                await caller.offer(after, 4)
                executed = await done_by(scene.ports) - before
                title = f"2 s later: {after:,}/s"
                lines.append(row(title, name, caller, 4, after, unloaded, executed))
    return lines


async def beside(folder, name, make, times_max):
    """A quiet caller beside a flood."""
    shape = ("queue", 20, 50)
    with Scene(folder, 2, shape, make) as scene:
        quiet, loud = Caller(scene.port, "127.0.0.2"), Caller(scene.port)
        alone = (await quiet.offer(20, 5)).at(0.99)
        say(f"{name}: a quiet caller beside 1,600/s")
        await asyncio.gather(quiet.offer(20, SECONDS), loud.offer(1600, SECONDS))
        title = f"a quiet caller's 20/s beside 1,600/s (wanted: all, ≤ {times_max} ×)"
        return [row(title, name, quiet, SECONDS, 20, alone, len(quiet.answered))]


async def measure(folder, options):
    makers = [
        ("Forebay, auto", lambda ports: forebay(folder, options.forebay, ports, None)),
        ("Forebay, in_flight_max 20", lambda ports: forebay(folder, options.forebay, ports, 20)),
        ("HAProxy, maxconn 20", lambda ports: haproxy(folder, ports, 20)),
    ]
    lines = []
    for name, make in makers:
        lines += await flood(folder, 2, ("queue", 20, 50), (1600, 3200), name, make, 400)
    auto = makers[0]
    lines += await flood(folder, 3, ("refuse", 4, 50), (480,), *auto, None)
    four = ("HAProxy, maxconn 4", lambda ports: haproxy(folder, ports, 4))
    lines += await flood(folder, 3, ("refuse", 4, 50), (480,), *four, None)
    lines += await flood(folder, 3, ("limit", 80, 5), (480,), *auto, None)
    lines += await flood(folder, 3, ("limit", 80, 5), (480,), *makers[2], None)
    for (name, make), times_max in zip(makers, (3, 1.5, "–")):
        lines += await beside(folder, name, make, times_max)
    return lines


def overload(folder, options):
    """More calls than the nodes can do, beside HAProxy with a queue."""
    lines = asyncio.run(measure(Path(folder), options))
    print(f"{SECONDS} s each; `÷ unloaded` is p99 by that of a quarter of the load or less.\n")
    print("\n".join([HEAD, RULE, *lines]))


if __name__ == "__main__":
    if sys.argv[1:2] != ["nodes"]:
        sys.exit("./dev bench overload runs this")
    asyncio.run(serve_nodes(int(sys.argv[2]), sys.argv[3:6]))
