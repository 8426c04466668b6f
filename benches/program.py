"""The program as a whole: two threads beside one, how soon it answers, and what its file holds."""

import collections
import http.client
import os
import re
import signal
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from machine import MIB, Process, Trouble, ask, started, verdict
from servers import Forebay

# What it must keep to.
THREADS_CPU_MAX, THREADS_RATE_MIN, THREADS_CORES_MIN = 1.1, 1.8, 4
START_SECONDS_MAX = 0.3
FILE_MIB_WANTED = 16

CONNECTIONS = 64
START_NODES, STARTS, START_PATIENCE_SECONDS = 3, 9, 30
CRATES_SHOWN = 20


def cores_apart():
    """The cores of a program with two threads, and of its callers; shared where there are few."""
    mine = sorted(os.sched_getaffinity(0))
    if len(mine) < THREADS_CORES_MIN:
        return ",".join(map(str, mine)), False
    return ",".join(map(str, mine[:2])), True


def threads(folder, options):
    """Two threads beside one on the same cores, in turns."""
    where, is_apart = cores_apart()
    node, said = started(options.ends, "node", folder=folder)
    found = {1: [], 2: []}
    with node:
        servers = {}
        for count in found:
            place = Path(tempfile.mkdtemp(dir=folder))
            servers[count] = Forebay(place, options.forebay, said["ports"], threads=count)
        with servers[1].start(core=where) as one, servers[2].start(core=where) as two:
            running = [(1, one), (2, two)]
            for number in range(options.pairs + 1):
                for count, process in running if number % 2 else running[::-1]:
                    to = ("--to", f"127.0.0.1:{servers[count].port}", "--connections", CONNECTIONS)
                    cpu = process.cpu_seconds()
                    run = ask(options.ends, "call", *to, "--for", options.pair_seconds)
                    cpu = (process.cpu_seconds() - cpu) / run["calls"] * 1e6
                    # The first pair warms up.
                    if number:
                        found[count].append((cpu, run["rate"]))
    cpu, rate = ([statistics.median(b[at] / a[at] for a, b in zip(found[1], found[2]))] for at in range(2))
    holds = cpu[0] <= THREADS_CPU_MAX and (not is_apart or rate[0] >= THREADS_RATE_MIN)
    means = {count: [statistics.median(run[at] for run in runs) for at in range(2)] for count, runs in found.items()}
    told = f"{THREADS_RATE_MIN} wanted" if is_apart else f"says nothing with less than {THREADS_CORES_MIN} cores"
    print(
        f"one thread: {means[1][0]:.1f} µs of CPU a call, {means[1][1]:,.0f} calls a second; two: {means[2][0]:.1f} µs, "
        f"{means[2][1]:,.0f}; {cpu[0]:.2f} times the CPU time ({THREADS_CPU_MAX} at most), {rate[0]:.2f} times the "
        f"calls ({told}): {verdict(holds)}"
    )
    if not holds:
        raise Trouble("a second thread costs too much")


def start(folder, options):
    """From the start to the first answer of a node, with an empty registry."""
    took = []
    node, said = started(options.ends, "node", "--nodes", START_NODES, folder=folder)
    with node:
        for _ in range(STARTS):
            server = Forebay(Path(tempfile.mkdtemp(dir=folder)), options.forebay, said["ports"])
            began = time.monotonic()
            with Process(server.command, None, server.folder, signal.SIGINT) as process:
                took.append(first_answer(server.port, process) - began)
    middle = statistics.median(took)
    holds = middle <= START_SECONDS_MAX
    print(
        f"start to the first forwarded answer, {START_NODES} nodes: {middle:.3f} s, at most {max(took):.3f} s, of "
        f"{STARTS} starts; {START_SECONDS_MAX} s is the limit: {verdict(holds)}"
    )
    if not holds:
        raise Trouble("it takes long to start")


def first_answer(port, process, path="/"):
    """When a call was first answered by a node."""
    call = '{"jsonrpc":"2.0","id":1,"method":"eth_getBalance","params":["0x00000000219ab540356cbb839cbe05303d7705fa","latest"]}'
    until = time.monotonic() + START_PATIENCE_SECONDS
    while time.monotonic() < until and process.process.poll() is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=START_PATIENCE_SECONDS)
        try:
            connection.request("POST", path, call, {"content-type": "application/json"})
            if b'"result"' in connection.getresponse().read():
                return time.monotonic()
        except OSError:
            pass
        finally:
            connection.close()
        time.sleep(0.002)
    raise Trouble(f"no answer\n{process.said()}")


# Symbols of C, by their first letters.
C_LIBRARIES = {
    "SQLite": r"sqlite3|yy|fts",
    "ring": r"ring_core|p256_|x25519_|bn_|aes_|sha\d+_|gcm_|vpaes|chacha|poly|LIMBS|fiat",
    "Zstandard": r"ZSTD|HUF|FSE|HIST|POOL|ZDICT|XXH|COVER",
    "mimalloc": r"_?mi_",
    "zlib": r"deflate|inflate|crc32|adler|_tr_|zlib|compress",
}


def owner(name):
    """The crate of a symbol, or the library."""
    found = re.search(r"\b[a-z_][A-Za-z0-9_]*(?=::)", name)
    if found:
        return found.group()
    for library, letters in C_LIBRARIES.items():
        if re.match(letters, name):
            return f"{library} (C)"
    return "else"


def size(_, options):
    """The bytes of the program's file: by section, and those of its symbols by crate."""
    whole = os.path.getsize(options.forebay)
    print(f"{options.forebay}: {whole / MIB:.1f} MiB; {FILE_MIB_WANTED} MiB is wanted if it costs nothing\n")
    listed = subprocess.run(["readelf", "-SW", options.forebay], capture_output=True, text=True, check=True).stdout
    sections = re.findall(r"\] (\.\S+) +(\S+) +\w+ +\w+ +(\w+)", listed)
    print("| section | KiB |\n| --- | ---: |")
    for name, kind, length in sorted(sections, key=lambda each: -int(each[2], 16)):
        if kind != "NOBITS" and int(length, 16) >= 64 * 1024:
            print(f"| {name} | {int(length, 16) / 1024:,.0f} |")
    symbols = subprocess.run(["nm", "-S", "-C", options.forebay], capture_output=True, text=True, check=True).stdout
    crates, seen = collections.Counter(), set()
    for place, length, kind, name in re.findall(r"^(\w+) (\w+) (\w) (.+)$", symbols, re.MULTILINE):
        if kind not in "bB" and place not in seen:
            seen.add(place)
            crates[owner(name)] += int(length, 16)
    print("\n| crate or library | KiB of code and data |\n| --- | ---: |")
    for name, length in crates.most_common(CRATES_SHOWN):
        print(f"| {name} | {length / 1024:,.0f} |")


RUNS = {"threads": threads, "start": start, "size": size}
