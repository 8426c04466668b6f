"""Batches, long answers, idle connections, many nodes: what does not show in small calls."""

import statistics
import tempfile
import threading
import time
from pathlib import Path

from machine import MIB, Trouble, ask, started, verdict
from servers import Certificate, Forebay, Nginx

# What it must keep to.
SLOW_GROWTH_MIB_MAX = 64
IDLE_MIB_MAX = 75
PROBES_SHARE_MAX = 0.02

BATCH_CALLS, BATCH_CONNECTIONS, BATCH_SECONDS = 100, 16, 4
LARGE_BYTES = 10 * MIB
LARGE_COUNT = 60
SLOW_READERS, SLOW_BYTES, SLOW_SECONDS = 50, 100 * MIB, 20
IDLE_CONNECTIONS = 10_000
NODES, NODES_SECONDS = 300, 30


class Watch:
    """The most memory that a process has while the block runs."""

    def __init__(self, process):
        self.process, self.most, self.is_over = process, 0, threading.Event()
        self.before = process.memory_bytes()
        self.thread = threading.Thread(target=self.look)

    def look(self):
        while not self.is_over.wait(0.1):
            self.most = max(self.most, self.process.memory_bytes())

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.is_over.set()
        self.thread.join()

    @property
    def growth_mib(self):
        return (self.most - self.before) / MIB


def batch(folder, options):
    """Batches of 100 calls, beside the same calls alone, beside a single call as long as the batch,
    and beside nginx, which sees no calls."""
    node, said = started(options.ends, "node", folder=folder)
    with node:
        nginx = Nginx(folder, said["ports"][0])
        forebay = Forebay(folder, options.forebay, said["ports"])
        with nginx.start() as its, forebay.start() as ours:
            running = [("nginx", its, nginx.port), ("Forebay", ours, forebay.port)]
            costs = {}
            kinds = ((), ("--batch", BATCH_CALLS), ("--as-long-as", BATCH_CALLS))
            for _ in range(options.rounds):
                for name, process, port in running:
                    for kind in kinds:
                        cost = cpu_a_call(options.ends, process, port, kind)
                        costs.setdefault((name, kind), []).append(cost)
    for name, _, _ in running:
        alone, together, long = (statistics.median(costs[name, kind]) for kind in kinds)
        print(
            f"{name}: {together:,.0f} µs of CPU for a batch of {BATCH_CALLS}, "
            f"{together / BATCH_CALLS:.2f} µs for each call of it; {alone:.1f} µs for one alone, "
            f"{long:,.0f} µs for a single one as long as the batch"
        )


def cpu_a_call(ends, process, port, kind):
    """Microseconds for what is asked at once, a call or a batch."""
    before = process.cpu_seconds()
    to = ("--to", f"127.0.0.1:{port}", "--connections", BATCH_CONNECTIONS)
    found = ask(ends, "call", *to, "--for", BATCH_SECONDS, *kind)
    return (process.cpu_seconds() - before) / found["calls"] * 1e6


def large(folder, options):
    """Answers of 10 MiB beside nginx, then slow readers of 100 MiB."""
    node, said = started(options.ends, "node", folder=folder)
    with node:
        nginx = Nginx(folder, said["ports"][0])
        forebay = Forebay(folder, options.forebay, said["ports"])
        with nginx.start() as its, forebay.start() as ours:
            ports = [("nginx", its, nginx.unbuffered_port), ("Forebay", ours, forebay.port)]
            speeds = {name: [] for name, _, _ in ports}
            for _ in range(options.rounds):
                for name, process, port in ports:
                    speeds[name].append(passed_on(options.ends, name, process, port))
            medians = {name: statistics.median(found) for name, found in speeds.items()}
            print(f"Forebay ÷ nginx: {medians['Forebay'] / medians['nginx']:.2f}")
            slow(options.ends, ours, forebay.port)


def passed_on(ends, name, process, port):
    """MiB a second."""
    to = ("--to", f"127.0.0.1:{port}")
    before = process.cpu_seconds()
    with Watch(process) as watch:
        found = ask(
            ends, "large", *to, "--bytes", LARGE_BYTES, "--count", LARGE_COUNT, "--connections", 4
        )
    speed = found["bytes"] / MIB / found["seconds"]
    cpu = (process.cpu_seconds() - before) / (found["bytes"] / MIB) * 1e6
    print(
        f"{name}: {LARGE_COUNT} answers of 10 MiB: {speed:,.0f} MiB/s, "
        f"{cpu:.0f} µs of CPU a MiB, memory grew by {watch.growth_mib:.1f} MiB"
    )
    return speed


def slow(ends, process, port):
    with Watch(process) as watch:
        ask(
            ends, "large", "--to", f"127.0.0.1:{port}", "--bytes", SLOW_BYTES,
            "--connections", SLOW_READERS, "--slow", MIB, "--for", SLOW_SECONDS,
        )
    holds = watch.growth_mib <= SLOW_GROWTH_MIB_MAX
    print(
        f"{SLOW_READERS} slow readers of 100 MiB: memory grew by {watch.growth_mib:.1f} MiB; "
        f"{SLOW_GROWTH_MIB_MAX} is the limit: {verdict(holds)}"
    )
    if not holds:
        raise Trouble("memory grows with what readers leave")


def idle(folder, options):
    """Connections that say nothing, of each kind before a program of its own."""
    certificate = Certificate(folder)
    by_tls = ("--trusted", certificate.path)
    by_http2 = ("--by", "http2")
    node, said = started(options.ends, "node", folder=folder)
    with node:
        for name, port, how, mib_max in (
            ("HTTP/1.1", "port", (), IDLE_MIB_MAX),
            ("HTTP/1.1 over TLS", "tls_port", by_tls, None),
            ("HTTP/2", "http2_port", by_http2, None),
            ("HTTP/2 over TLS", "tls_port", (*by_http2, *by_tls), None),
        ):
            place = Path(tempfile.mkdtemp(dir=folder))
            server = Forebay(place, options.forebay, said["ports"], certificate=certificate)
            silent(server, options.ends, name, (port, how), mib_max)


def silent(server, ends, name, kind, mib_max):
    """So many connections of a kind; prints what they take."""
    port, how = kind
    with server.start() as process:
        before = process.memory_bytes() / MIB
        to = ("--to", f"127.0.0.1:{getattr(server, port)}", "--connections", IDLE_CONNECTIONS)
        callers, held = started(ends, "idle", *to, *how, folder=server.folder)
        with callers:
            # A connection gives its memory back after 5 s of silence.
            time.sleep(10)
            mib = process.memory_bytes() / MIB
            cpu = process.cpu_seconds()
            time.sleep(10)
            share = (process.cpu_seconds() - cpu) / 10
    holds = mib_max is None or mib <= mib_max
    limit = f"; {mib_max} MiB is the limit: {verdict(holds)}" if mib_max else ""
    print(
        f"{held['connections']:,} idle connections by {name}: {mib:.0f} MiB (before: {before:.0f} MiB), "
        f"{share:.2%} of a core{limit}"
    )
    if not holds:
        raise Trouble("idle connections take too much memory")


def nodes(folder, options):
    """What asking many nodes for their heads costs."""
    node, said = started(options.ends, "node", "--nodes", NODES, folder=folder)
    with node:
        server = Forebay(folder, options.forebay, said["ports"])
        with server.start() as process:
            time.sleep(30)
            cpu = process.cpu_seconds()
            time.sleep(NODES_SECONDS)
            share = (process.cpu_seconds() - cpu) / NODES_SECONDS
            mib = process.memory_bytes() / MIB
    holds = share < PROBES_SHARE_MAX
    print(
        f"{NODES} nodes probed every 5 s: {share:.2%} of a core, {mib:.0f} MiB; "
        f"{PROBES_SHARE_MAX:.0%} is the limit: {verdict(holds)}"
    )
    if not holds:
        raise Trouble("probing costs too much")


RUNS = {"batch": batch, "large": large, "idle": idle, "nodes": nodes}
