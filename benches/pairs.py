"""Forebay beside nginx in turns, pair by pair: new connections, TLS, HTTP/2, nodes on `https`, WebSocket.

All calls differ, every answer is compared with what it must be, and the node has counted as many calls
as were made. Of nine pairs the median counts.
"""

import dataclasses
import os
import statistics
import tempfile
from pathlib import Path

import counting
from machine import Trouble, ask, counts, say, started, verdict
from servers import Certificate, Forebay, Nginx

CONNECTIONS = 64
# Of one caller by HTTP/2: so many connections, and calls at once on each.
HTTP2 = ("--by", "http2", "--connections", 8, "--streams", 8)
WARM_SECONDS = 1
# Counted runs are slow: so many calls, and so many more, by so few connections that none waits for long.
FEW, MANY, FEW_LINES = 200, 600, ("--connections", 8)
# Connections to the node that a run may open: no more than it has calls at once, and probes.
OPENED_MAX = CONNECTIONS + 8


@dataclasses.dataclass
class Way:
    """How a call comes, and what it may cost."""

    title: str
    port: str
    how: tuple
    # Forebay ÷ nginx; `None`: it stands beside the others, to compare.
    wanted: float | None
    is_tls: bool = False
    # A connection of its own for each call.
    is_new: bool = False

    def arguments(self, certificate):
        trusted = ("--trusted", certificate.path) if self.is_tls else ()
        new = ("--new", "yes") if self.is_new else ()
        return (*self.how, *trusted, *new)


MANY_LINES = ("--connections", CONNECTIONS)
WAYS = {
    "connections": [
        Way("new plain connection with one call", "port", MANY_LINES, 1.05, is_new=True),
        Way("new TLS 1.3 connection with one call", "tls_port", MANY_LINES, 1.05, is_tls=True, is_new=True),
        Way("call on a kept TLS 1.3 connection", "tls_port", MANY_LINES, None, is_tls=True),
    ],
    "http2": [
        Way("call by HTTP/2 in the clear", "http2_port", HTTP2, 1.1),
        Way("call by HTTP/2 over TLS 1.3", "tls_port", HTTP2, 1.1, is_tls=True),
    ],
    "https-nodes": [Way("call to a node on `https`", "port", MANY_LINES, 1.15)],
    "websocket": [Way("call over WebSocket", "websocket_port", (*MANY_LINES, "--by", "websocket"), 1.15)],
}


def cost(ends, node, running, way, certificate, seconds):
    """One run: microseconds of the server's CPU time for a call."""
    server, process = running
    to = ("--to", f"127.0.0.1:{getattr(server, way.port)}", "--for", seconds)
    before, cpu = counts(node), process.cpu_seconds()
    found = ask(ends, "call", *to, *way.arguments(certificate))
    cpu = process.cpu_seconds() - cpu
    after = counts(node)
    forwarded, opened = (after[what] - before[what] for what in ("calls", "connections"))
    where = f"{server.name}, {way.title}"
    if forwarded != found["calls"]:
        raise Trouble(f"{where}: {found['calls']:,} calls were made, and {forwarded:,} came to the node")
    if opened > OPENED_MAX:
        raise Trouble(f"{where}: {opened:,} connections to the node are not kept ones")
    if way.is_tls and way.is_new and found["full_handshakes"] != found["calls"]:
        raise Trouble(f"{where}: {found['full_handshakes']:,} full handshakes for {found['calls']:,} calls")
    return cpu / found["calls"] * 1e6, found["tickets"] / found["calls"]


def in_pairs(running, ends, node, way, certificate, options):
    """For each pair the costs of nginx and of Forebay, neither always first."""
    for each in running:
        cost(ends, node, each, way, certificate, WARM_SECONDS)
    found = []
    for number in range(options.pairs):
        turn = running if number % 2 else running[::-1]
        pair = {each[0].name: cost(ends, node, each, way, certificate, options.pair_seconds) for each in turn}
        found.append([pair[server.name] for server, _ in running])
    return found


def counted(folder, options, way, certificate, node_port, nodes_by):
    """Instructions of a call without the kernel's, of nginx and of Forebay."""
    say(f"counting: {way.title}")
    found = []
    by = {"certificate": certificate, "nodes_by": nodes_by}
    for make in (
        lambda place: Nginx(place, node_port, master=False, **by),
        lambda place: Forebay(place, options.forebay, [node_port], is_quiet=True, **by),
    ):
        server = make(Path(tempfile.mkdtemp(dir=folder)))
        call = counting.asker(options.ends, *way.arguments(certificate), *FEW_LINES)
        port, alike = getattr(server, way.port), {**os.environ, **counting.CHOSEN_ALIKE}
        found.append(counting.calls_counted(server, port, call, FEW, MANY, env=alike)["instructions"])
    return found


def row(way, pairs, instructions):
    """A line of the table, and whether it holds."""
    medians = [statistics.median(pair[side][0] for pair in pairs) for side in range(2)]
    ratio = statistics.median(ours[0] / its[0] for its, ours in pairs)
    holds = way.wanted is None or ratio <= way.wanted
    wanted = "" if way.wanted is None else f"{way.wanted}: {verdict(holds)}"
    cells = [f"{cost:.1f}" for cost in medians] + [f"{ratio:.2f}", wanted]
    if instructions:
        its, ours = instructions
        cells += [f"{its:,.0f}", f"{ours:,.0f}", f"{ours / its:.2f}"]
    return f"| {way.title} | " + " | ".join(cells) + " |", holds


def compare(what, folder, options):
    certificate = Certificate(folder)
    nodes_by = "https" if what == "https-nodes" else "http"
    shown = ("--certificate", certificate.path, "--key", certificate.key) if nodes_by == "https" else ()
    node, said = started(options.ends, "node", *shown, folder=folder)
    lines, tickets, all_hold = [], {}, True
    with node:
        node_port = said["ports"][0]
        by = {"certificate": certificate, "nodes_by": nodes_by}
        nginx, forebay = Nginx(folder, node_port, **by), Forebay(folder, options.forebay, [node_port], **by)
        with nginx.start() as its, forebay.start() as ours:
            measured = []
            for way in WAYS[what]:
                say(way.title)
                pairs = in_pairs([(nginx, its), (forebay, ours)], options.ends, node, way, certificate, options)
                measured.append((way, pairs))
                if way.is_tls and way.is_new:
                    tickets = {"nginx": pairs[-1][0][1], "Forebay": pairs[-1][1][1]}
        for way, pairs in measured:
            instructions = () if options.quick else counted(folder, options, way, certificate, node_port, nodes_by)
            line, holds = row(way, pairs, instructions)
            lines.append(line)
            all_hold = all_hold and holds
    if nginx.resumed.exists() and nginx.resumed.read_text():
        raise Trouble("nginx has resumed sessions")
    heads = ["nginx, µs of CPU", "Forebay", "Forebay ÷ nginx", "wanted at most"]
    if not options.quick:
        heads += ["instructions without the kernel's, nginx", "Forebay", "Forebay ÷ nginx"]
    print(f"medians of {options.pairs} pairs of {options.pair_seconds} s\n")
    print("| | " + " | ".join(heads) + " |\n| --- |" + " ---: |" * len(heads))
    print("\n".join(lines))
    if tickets:
        said = ", ".join(f"{name} sends {count:.0f}" for name, count in tickets.items())
        print(f"\nEach handshake is a full one, by X25519 and AES-128-GCM; tickets that no client uses: {said}.")
    if not all_hold:
        raise Trouble("a call costs more than is wanted")


def run_of(what):
    def run(folder, options):
        compare(what, folder, options)

    run.__doc__ = "; ".join(way.title for way in WAYS[what]) + ", beside nginx."
    return run


RUNS = {what: run_of(what) for what in WAYS}
