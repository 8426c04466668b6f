//! The load balancer before the balancers: nginx or HAProxy, as Debian has them.

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::process::Command;

use tempfile::TempDir;

use crate::support::{Process, Rpc, free_port, soon};

/// Which balancer a call goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Front {
    NginxInTurn,
    NginxAtRandom,
    HaproxyInTurn,
}

/// A running one; killed on drop.
pub struct RunningFront {
    pub rpc: Rpc,
    _process: Process,
    _folder: TempDir,
}

impl Front {
    pub fn as_str(self) -> &'static str {
        match self {
            Front::NginxInTurn => "nginx, in turn",
            Front::NginxAtRandom => "nginx, at random",
            Front::HaproxyInTurn => "HAProxy, in turn",
        }
    }

    pub async fn start(self, balancers: &[SocketAddr]) -> RunningFront {
        let folder = TempDir::new().unwrap();
        let rpc = Rpc::on_port(free_port());
        let configuration = folder.path().join("front.conf");
        fs::write(&configuration, self.configuration(rpc.address, balancers)).unwrap();
        let mut command = match self {
            Front::NginxInTurn | Front::NginxAtRandom => {
                let mut nginx = Command::new(program("nginx"));
                nginx.arg("-p").arg(folder.path()).arg("-c");
                nginx
            }
            Front::HaproxyInTurn => {
                let mut haproxy = Command::new(program("haproxy"));
                haproxy.args(["-db", "-f"]);
                haproxy
            }
        };
        command.arg(&configuration);
        let mut process = Process::start("front", command, folder.path());
        soon("the load balancer answers", async || {
            assert!(process.is_running(), "it has ended");
            rpc.answers().await
        })
        .await;
        RunningFront {
            rpc,
            _process: process,
            _folder: folder,
        }
    }

    fn configuration(self, address: SocketAddr, balancers: &[SocketAddr]) -> String {
        let order = match self {
            Front::NginxInTurn => "",
            Front::NginxAtRandom => "random;",
            Front::HaproxyInTurn => return haproxy(address, balancers),
        };
        let mut servers = String::new();
        for balancer in balancers {
            write!(servers, "server {balancer} max_fails=0; ").unwrap();
        }
        format!(
            "daemon off; master_process off; error_log stderr; pid nginx.pid;\n\
             events {{ worker_connections 4096; }}\n\
             http {{\n\
             access_log off; client_body_temp_path body; proxy_temp_path proxy;\n\
             fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;\n\
             upstream balancers {{ {order} {servers} keepalive 64; }}\n\
             server {{ listen {address}; location / {{\n\
             proxy_pass http://balancers; proxy_http_version 1.1;\n\
             proxy_set_header Connection \"\";\n\
             }} }} }}\n"
        )
    }
}

fn haproxy(address: SocketAddr, balancers: &[SocketAddr]) -> String {
    let mut text = format!(
        "defaults\n  mode http\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n\
         frontend calls\n  bind {address}\n  default_backend balancers\n\
         backend balancers\n  balance roundrobin\n"
    );
    for (at, balancer) in balancers.iter().enumerate() {
        writeln!(text, "  server balancer{at} {balancer}").unwrap();
    }
    text
}

/// Debian keeps servers where users don't look.
fn program(name: &str) -> String {
    let path = format!("/usr/sbin/{name}");
    assert!(
        fs::exists(&path).unwrap(),
        "{path} is missing: `./dev test` installs it"
    );
    path
}
