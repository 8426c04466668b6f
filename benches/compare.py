"""Forebay beside nginx and HAProxy before the same node: what does a call cost?

Each server runs on one core, its callers and the node on the others. All are measured in turns,
several rounds; every answer is compared with what it must be, and a wrong or missing one ends it
all. The table is Markdown.
"""

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

import chains
import counting
import overload
import pairs
import program
import scale
from machine import MEASURED, MEASURING, MIB, Trouble, ask, say, started
from servers import Forebay, Haproxy, Nginx

CONNECTIONS = 64
WARM_CALLS = 5000
# Counted runs are slow: so many calls, and so many more.
FEW, MANY = 200, 600
FORWARDED, LOCAL = "forwarded", "answered by itself"


def ways(server):
    """How a server is asked: the port, and what."""
    return {FORWARDED: (server.port, []), LOCAL: (server.local_port, server.local)}


def measured(process, ends, port, kind, *how):
    """One run of calls: what the caller found, and the server's CPU time for a call."""
    before = process.cpu_seconds()
    found = ask(ends, "call", "--to", f"127.0.0.1:{port}", *how, *kind)
    found["cpu"] = (process.cpu_seconds() - before) / found["calls"] * 1e6
    return found


def rounds(running, ends, options):
    """For each server and way, what each round found."""
    found = {}
    for number in range(options.rounds):
        say(f"round {number + 1} of {options.rounds}")
        # None is always first.
        turn = running[number % len(running) :] + running[: number % len(running)]
        for way in (FORWARDED, LOCAL):
            for server, process in turn:
                port, kind = ways(server)[way]
                many = ("--connections", CONNECTIONS)
                measured(process, ends, port, kind, "--calls", WARM_CALLS, *many)
                run = measured(process, ends, port, kind, "--for", options.seconds, *many)
                at_rate = ("--for", options.seconds, "--rate", options.rate, *many)
                timed = measured(process, ends, port, kind, *at_rate)
                run.update({key: timed[key] for key in ("p50", "p99", "p99.9")})
                run["memory"] = process.memory_bytes() / MIB
                found.setdefault((server.name, way), []).append(run)
    return found


def counted(folder, options, node_port):
    """Instructions and system calls of a call, for each server and way."""
    makers = {
        "nginx": lambda place: Nginx(place, node_port, master=False),
        "HAProxy": lambda place: Haproxy(place, node_port),
        "Forebay": lambda place: Forebay(place, options.forebay, [node_port], is_quiet=True),
    }
    found = {}
    for name, make in makers.items():
        for way in (FORWARDED, LOCAL):
            say(f"counting {name}, {way}")

            def fresh(make=make, way=way):
                server = make(Path(tempfile.mkdtemp(dir=folder)))
                port, _ = ways(server)[way]
                return server, port

            server, port = fresh()
            _, kind = ways(server)[way]
            call = counting.asker(options.ends, "--connections", CONNECTIONS, *kind)
            counts = counting.calls_counted(server, port, call, FEW, MANY)
            counts["system_calls"] = counting.system_calls(fresh, call, FEW, MANY)
            found[name, way] = counts
    return found


ROWS = [
    ("CPU time a call, µs", "cpu", 1),
    ("calls a second on one core", "rate", 0),
    ("p50 at a constant rate, µs", "p50", 0),
    ("p99, µs", "p99", 0),
    ("p99.9, µs", "p99.9", 0),
    ("memory (RSS), MiB", "memory", 1),
    ("instructions a call, without the kernel's", "instructions", 0),
    ("system calls a call", "system_calls", 2),
]
NAMES = ("nginx", "HAProxy", "Forebay")


def table(way, found, counts):
    heads = [*NAMES, "Forebay ÷ nginx"]
    lines = [f"| {way} | " + " | ".join(heads) + " |", "| --- |" + " ---: |" * len(heads)]
    for title, key, digits in ROWS:
        cells = {}
        for name in NAMES:
            if key in ("instructions", "system_calls"):
                cells[name] = counts.get((name, way), {}).get(key)
            else:
                cells[name] = statistics.median(run[key] for run in found[name, way])
        if None in cells.values():
            continue
        shown = [f"{cells[name]:,.{digits}f}" for name in NAMES]
        ratio = cells["Forebay"] / cells["nginx"]
        lines.append(f"| {title} | " + " | ".join(shown) + f" | {ratio:.2f} |")
    return "\n".join(lines)


def each_round(way, found):
    lines = []
    for number, runs in enumerate(zip(*(found[name, way] for name in NAMES))):
        costs = dict(zip(NAMES, (run["cpu"] for run in runs)))
        said = ", ".join(f"{name} {cost:.1f}" for name, cost in costs.items())
        ratio = costs["Forebay"] / costs["nginx"]
        lines.append(f"round {number + 1}, {way}: {said} µs a call; Forebay ÷ nginx {ratio:.2f}")
    return "\n".join(lines)


def compare(folder, options):
    """Small calls, forwarded and answered by itself, beside nginx and HAProxy."""
    node, said = started(options.ends, "node", folder=folder)
    with node:
        node_port = said["ports"][0]
        servers = [
            Nginx(folder, node_port),
            Haproxy(folder, node_port),
            Forebay(folder, options.forebay, [node_port]),
        ]
        running = []
        try:
            for server in servers:
                running.append((server, server.start()))
            found = rounds(running, options.ends, options)
        finally:
            for _, process in running:
                process.end()
        counts = {} if options.quick else counted(folder, options, node_port)
    where = f"core {MEASURED} for each, {MEASURING} for the rest" if MEASURED else "one core for all"
    print(f"{CONNECTIONS} connections, {where}; times at {options.rate:,} calls a second;", end=" ")
    print(f"medians of {options.rounds} rounds of {options.seconds} s\n")
    for way in (FORWARDED, LOCAL):
        print(table(way, found, counts), end="\n\n")
        print(each_round(way, found), end="\n\n")


RUNS = {
    "calls": compare,
    **pairs.RUNS,
    "overload": overload.overload,
    "chains": chains.chains,
    **scale.RUNS,
    **program.RUNS,
}


def main():
    of = "\n".join(f"  {name:12} {' '.join(run.__doc__.split())}" for name, run in RUNS.items())
    parser = argparse.ArgumentParser(
        prog="./dev bench", description=__doc__, epilog=of, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", nargs="?", default="calls", choices=RUNS)
    parser.add_argument("--forebay", required=True, help="the program")
    parser.add_argument("--ends", required=True, help="the caller and the node")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=4, help="of each run")
    parser.add_argument("--rate", type=int, default=8000, help="calls a second for the times")
    parser.add_argument("--pairs", type=int, default=9, help="of runs in turns, where only two are compared")
    parser.add_argument("--pair-seconds", type=int, default=2, help="of each run of a pair")
    parser.add_argument("--quick", action="store_true", help="without callgrind and strace")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="forebay-bench-") as folder:
        RUNS[options.what](Path(folder), options)


if __name__ == "__main__":
    try:
        main()
    except Trouble as trouble:
        sys.exit(f"bench: {trouble}")
