"""Forebay, nginx and HAProxy before the same node, each as its makers advise."""

import os
import signal
import socket
import subprocess
import urllib.error
import urllib.request

from machine import MEASURED, Process, Trouble

# Of nginx, those to nodes among them.
CONNECTIONS_MAX = 4096
LOCAL_ANSWER = '{"jsonrpc":"2.0","id":1,"result":"0x1"}'


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Certificate:
    """Of P-256, for this machine and for a day."""

    def __init__(self, folder):
        self.path, self.key = folder / "certificate.pem", folder / "key.pem"
        asked = folder / "certificate.conf"
        asked.write_text(
            """[req]
distinguished_name = name
x509_extensions = more
prompt = no
[name]
CN = localhost
[more]
basicConstraints = critical,CA:FALSE
subjectAltName = DNS:localhost,IP:127.0.0.1
"""
        )
        command = ["openssl", "req", "-x509", "-nodes", "-days", "1", "-config", str(asked)]
        command += ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
        command += ["-keyout", str(self.key), "-out", str(self.path)]
        made = subprocess.run(command, capture_output=True, text=True)
        if made.returncode != 0:
            raise Trouble(f"openssl: {made.stderr}")


class Server:
    """What a server has: a port that forwards, and one that answers by itself."""

    # No other caller's answer carries the caller's id.
    local = ["--fixed", LOCAL_ANSWER]

    def __init__(self, folder):
        self.folder = folder
        self.port, self.local_port = free_port(), free_port()
        # With a certificate: by TLS, HTTP/1.1 and HTTP/2.
        self.tls_port = free_port()

    def is_ready(self):
        return listens(self.port) and listens(self.local_port)

    def start(self, wrapper=(), core=MEASURED, **options):
        """Starts it, inside `wrapper` (valgrind, strace), and waits until it serves."""
        command = [*wrapper, *self.command]
        process = Process(command, core, self.folder, self.ends_by, **options)
        try:
            process.until(self.is_ready, f"{self.name} is ready")
        except BaseException:
            process.end()
            raise
        return process


class Forebay(Server):
    """As shipped, on one thread as the others."""

    name = "Forebay"
    ends_by = signal.SIGINT
    local = ["--method", "eth_chainId"]

    def __init__(
        self,
        folder,
        program,
        node_ports,
        is_quiet=False,
        cache="0",
        chains=1,
        threads=1,
        certificate=None,
        nodes_by="http",
    ):
        """`chains`: so many, c0, c1, …, with as many of the nodes each; or one, with all of them."""
        super().__init__(folder)
        self.local_port = self.http2_port = self.websocket_port = self.port
        each = [
            f'{{ name: node-{at}, url: "{nodes_by}://127.0.0.1:{port}" }}'
            for at, port in enumerate(node_ports)
        ]
        served = f"  chain: {{ id: 1 }}\n  nodes: [{', '.join(each)}]"
        if chains > 1:
            nodes = (", ".join(each[at::chains]) for at in range(chains))
            lines = [f"    c{at}: {{ nodes: [{own}] }}" for at, own in enumerate(nodes)]
            served = "\n".join(["  chains:", *lines])
        trusted, https = "", ""
        if certificate:
            trusted = f'ca_file: "{certificate.path}"'
            shown = f'certificate: "{certificate.path}", key: "{certificate.key}"'
            https = f'https: [{{ address: "127.0.0.1:{self.tls_port}", {shown} }}]'
        # Quiet: nothing happens unasked while calls are counted, by what makes everything slow.
        period, patience = ("1h", "1m") if is_quiet else ("5s", "2s")
        path = folder / "forebay.yaml"
        path.write_text(
            f"""version: 1
threads: {threads}
upstream_keepalive_pool_size: 512
{trusted}
forebay:
  listen:
    http: ["127.0.0.1:{self.port}"]
    {https}
    metrics: "127.0.0.1:{free_port()}"
    admin: "127.0.0.1:{free_port()}"
  registry:
    path: "{folder}/forebay.db"
    last_list: "{folder}/last-list.json"
    refresh: {period}
  health: {{ interval: {period}, timeout: {patience} }}
  cache: {{ memory: {cache} }}
{served}
"""
        )
        self.command = [program, "serve", "-c", str(path)]

    def is_ready(self):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=5):
                return True
        except (urllib.error.URLError, OSError):
            return False


class Nginx(Server):
    name = "nginx"
    ends_by = signal.SIGTERM

    def __init__(self, folder, node_port, master=True, certificate=None, nodes_by="http"):
        super().__init__(folder)
        # One with `proxy_buffering off`, for long answers.
        self.unbuffered_port = free_port()
        self.http2_port, self.websocket_port = free_port(), free_port()
        self.resumed = folder / "resumed.log"
        path = folder / "nginx.conf"
        path.write_text(
            f"""daemon off;
master_process {"on" if master else "off"};
worker_processes 1;
{"user root;" if os.geteuid() == 0 else ""}
pid {folder}/nginx.pid;
error_log stderr;
events {{ worker_connections {CONNECTIONS_MAX}; }}
http {{
  access_log off;
  default_type application/json;
  keepalive_requests 1000000000;
  client_body_buffer_size 1m;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  upstream node {{
    server 127.0.0.1:{node_port};
    keepalive 512;
    keepalive_requests 1000000000;
  }}
  proxy_http_version 1.1;
  proxy_set_header Connection "";
  {self.trusting(certificate) if certificate else ""}
  server {{
    listen 127.0.0.1:{self.port};
    location / {{ proxy_pass {nodes_by}://node; }}
  }}
  server {{
    listen 127.0.0.1:{self.http2_port} http2;
    location / {{ proxy_pass {nodes_by}://node; }}
  }}
  server {{
    listen 127.0.0.1:{self.websocket_port};
    location / {{
      proxy_pass {nodes_by}://node;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection upgrade;
    }}
  }}
  {self.by_tls(certificate, nodes_by) if certificate else ""}
  server {{
    listen 127.0.0.1:{self.unbuffered_port};
    location / {{ proxy_pass {nodes_by}://node; proxy_buffering off; }}
  }}
  server {{
    listen 127.0.0.1:{self.local_port};
    location / {{ return 200 '{LOCAL_ANSWER}'; }}
  }}
}}
"""
        )
        self.command = ["nginx", "-p", str(folder), "-c", str(path), "-e", "stderr"]

    @staticmethod
    def trusting(certificate):
        """Nodes on `https` are those of the certificate."""
        return f"""proxy_ssl_trusted_certificate {certificate.path};
  proxy_ssl_verify on;
  proxy_ssl_name localhost;
  proxy_ssl_protocols TLSv1.3;"""

    def by_tls(self, certificate, nodes_by):
        """No session is resumed, and no ticket given for it; what is resumed nevertheless is written down."""
        return f"""map $ssl_session_reused $is_resumed {{ r 1; default 0; }}
  log_format resumed $ssl_session_reused;
  server {{
    listen 127.0.0.1:{self.tls_port} ssl http2;
    ssl_certificate {certificate.path};
    ssl_certificate_key {certificate.key};
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_session_cache off;
    ssl_session_tickets off;
    ssl_conf_command NumTickets 0;
    access_log {self.resumed} resumed if=$is_resumed;
    location / {{ proxy_pass {nodes_by}://node; }}
  }}"""


class Haproxy(Server):
    name = "HAProxy"
    ends_by = signal.SIGTERM

    def __init__(self, folder, node_port):
        super().__init__(folder)
        path = folder / "haproxy.cfg"
        path.write_text(
            f"""global
  nbthread 1
  maxconn 4096
defaults
  mode http
  http-reuse always
  timeout connect 5s
  timeout client 75s
  timeout server 75s
frontend forwarded
  bind 127.0.0.1:{self.port}
  default_backend nodes
backend nodes
  server node 127.0.0.1:{node_port}
frontend answered
  bind 127.0.0.1:{self.local_port}
  http-request return status 200 content-type application/json string '{LOCAL_ANSWER}'
"""
        )
        self.command = ["haproxy", "-f", str(path)]
