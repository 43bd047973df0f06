//! What is measured: the upstream itself, nginx before it, and the gateway before it with either promise of a record.

use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, pem::PemObject};
use serde_json::{Value, json};
use tokio::process::{Child, Command};
use tokio_rustls::TlsConnector;

use super::harness::certificates::Authority;
use super::harness::gateway::{Gateway, KEY, Setup};
use super::harness::scratch::Scratch;
use super::harness::wait::until;
use super::process::Process;

/// Something that answers.
pub(crate) struct Target {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    pub(crate) tls: Option<TlsConnector>,
    /// The process that is charged; nobody for the upstream itself.
    pub(crate) process: Option<Process>,
    /// Bytes resident before any load.
    pub(crate) idle: u64,
    running: Running,
}

enum Running {
    Nothing,
    Nginx(Box<Child>, #[expect(dead_code, reason = "it holds the directory")] Scratch),
    Gateway(Box<Gateway>),
}

/// All targets, started; where it is asked for, also the gateway with a caller who has every limit.
pub(crate) async fn all(upstream: SocketAddr, limits: bool) -> Vec<Target> {
    let direct =
        Target { name: "direct", address: upstream, tls: None, process: None, idle: 0, running: Running::Nothing };
    let mut all = vec![direct, nginx(upstream).await];
    for (name, recording) in [("candor, best effort", "best_effort"), ("candor, required", "required")] {
        all.push(gateway(name, recording, upstream, json!({})).await);
    }
    if limits {
        // So high that nobody is refused.
        let most = 1_000_000_000;
        let settings = json!({
            "callers": {"keys": [{
                "caller": "alice", "team": "research", "key": KEY, "requests_per_minute": most, "tokens_per_minute": most,
                "concurrency": most, "budget_day": most, "budget_month": most,
            }]},
            "teams": [{"name": "research", "requests_per_minute": most, "budget_month": most}],
            "prices": [{"model": "*", "from": "2026-01-01", "per_million": {"input": 1, "output": 2}}],
        });
        all.push(gateway("candor, best effort, limits", "best_effort", upstream, settings).await);
    }
    all
}

/// A gateway alone, with required records.
pub(crate) async fn held(upstream: SocketAddr) -> Target {
    gateway("candor, required", "required", upstream, json!({})).await
}

impl Target {
    /// The gateway that it is.
    pub(crate) fn gateway(&self) -> &Gateway {
        match &self.running {
            Running::Gateway(gateway) => gateway,
            Running::Nothing | Running::Nginx(..) => panic!("{} is no gateway", self.name),
        }
    }

    /// The most bytes that were ever resident.
    pub(crate) fn peak(&self) -> u64 {
        self.process.as_ref().map_or(0, Process::peak)
    }

    /// Ends what was started.
    pub(crate) async fn stop(&mut self) {
        match &mut self.running {
            Running::Nothing => {}
            Running::Nginx(child, _) => {
                let _ = child.kill().await;
            }
            Running::Gateway(gateway) => gateway.stop().await,
        }
    }

    fn charged(mut self, process: Process) -> Self {
        self.idle = process.resident();
        self.process = Some(process);
        self
    }
}

async fn gateway(name: &'static str, recording: &str, upstream: SocketAddr, settings: Value) -> Target {
    let setup = Setup::new().managed().with(json!({
        "upstreams": [{"name": "up", "base_url": format!("http://{upstream}/v1")}],
        "models": [{"name": "*", "recording": recording, "candidates": [{"upstream": "up"}]}],
        "policies": {"shipped": ["china", "personal-data", "prompt-injection", "secrets"]},
        "observe": {"log": {"filter": "warn"}},
    }));
    let setup = setup.with(settings);
    let gateway = setup.start().await;
    let process = Process::of(gateway.pid().as_raw_nonzero().get());
    let tls = gateway.ca_pem().map(|pem| connector(&pem));
    let address = gateway.address();
    let running = Running::Gateway(Box::new(gateway));
    Target { name, address, tls, process: None, idle: 0, running }.charged(process)
}

/// One worker, no log, no buffering: the least that a TLS proxy does.
async fn nginx(upstream: SocketAddr) -> Target {
    let scratch = Scratch::new();
    let authority = Authority::new("bench");
    let identity = authority.identity(&["localhost"]);
    scratch.write("chain.pem", identity.chain_pem);
    scratch.write("key.pem", identity.key_pem);
    let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).expect("a port");
    let at = scratch.path().display();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|kind| format!("{kind}_temp_path {at}/{kind}; "))
        .collect();
    let config = format!(
        "daemon off; master_process off; pid {at}/pid; error_log stderr crit;
         events {{ worker_connections 4096; }}
         http {{
             access_log off; keepalive_requests 1000000000; client_body_buffer_size 1m; {temporary}
             upstream up {{ server {upstream}; keepalive 256; keepalive_requests 1000000000; }}
             server {{
                 listen {free} ssl; ssl_certificate {at}/chain.pem; ssl_certificate_key {at}/key.pem;
                 ssl_protocols TLSv1.2 TLSv1.3;
                 location / {{ proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection '';
                               proxy_buffering off; }}
             }}
         }}"
    );
    let file = scratch.write("nginx.conf", config);
    let mut command = Command::new("nginx");
    command.arg("-c").arg(file).arg("-p").arg(scratch.path());
    let child = command.stdin(Stdio::null()).kill_on_drop(true).spawn().expect("nginx is installed");
    until("nginx to listen", async || tokio::net::TcpStream::connect(free).await.ok()).await;
    let process = Process::of(child.id().and_then(|id| i32::try_from(id).ok()).expect("nginx runs"));
    let tls = Some(connector(authority.pem()));
    let running = Running::Nginx(Box::new(child), scratch);
    Target { name: "nginx", address: free, tls, process: None, idle: 0, running }.charged(process)
}

fn connector(pem: &str) -> TlsConnector {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).expect("a certificate")).expect("a root");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = builder.expect("protocol versions").with_root_certificates(roots).with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}
