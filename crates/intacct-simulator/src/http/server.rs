//! The listening server on its own thread.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

use super::body::reply;
use super::{control_api, front};
use crate::config::Config;
use crate::faults::Fault;
use crate::gateway::Gateway;
use crate::log::Entry;

/// Path of the gateway.
pub const PATH: &str = "/ia/xml/xmlgw.phtml";

/// A running simulator; dropping it stops it.
pub struct Simulator {
    gateway: Arc<Gateway>,
    base: String,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Simulator {
    /// Generates the data and starts listening.
    ///
    /// # Errors
    /// A wrong option, an address in use, a directory that cannot be written.
    pub fn start(config: Config) -> Result<Self, String> {
        let gateway = Arc::new(Gateway::create(&config)?);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("intacct-sim")
            .enable_all()
            .build()
            .map_err(|e| e.to_string())?;
        let listener = runtime
            .block_on(TcpListener::bind(&config.listen))
            .map_err(|e| format!("{}: {e}", config.listen))?;
        let address = listener.local_addr().map_err(|e| e.to_string())?;
        let tls = match &config.tls_dir {
            Some(dir) => Some(TlsAcceptor::from(
                crate::tls::server_config(dir).map_err(|e| e.to_string())?,
            )),
            None => None,
        };
        let base = match &tls {
            Some(_) => format!("https://localhost:{}", address.port()),
            None => format!("http://{address}"),
        };
        gateway.set_url(format!("{base}{PATH}"));
        let (stop, stopped) = oneshot::channel();
        let shared = gateway.clone();
        let thread = std::thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = accept(listener, tls, shared) => {}
                    _ = stopped => {}
                }
            });
            runtime.shutdown_background();
        });
        Ok(Self {
            gateway,
            base,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Address of the gateway.
    pub fn url(&self) -> String {
        format!("{}{PATH}", self.base)
    }

    /// Address of the control surface, without a trailing slash.
    pub fn control_url(&self) -> String {
        format!("{}/_sim", self.base)
    }

    /// The request log so far.
    pub fn log(&self) -> Vec<Entry> {
        self.gateway.log.entries()
    }

    /// Forgets the request log.
    pub fn clear_log(&self) {
        self.gateway.log.clear();
    }

    /// Changes a setting.
    ///
    /// # Panics
    /// On an unknown key or a wrong value: tests should fail loudly.
    pub fn set(&self, key: &str, value: &str) {
        if let Err(problem) = self.gateway.set([(key, value)]) {
            panic!("{problem}");
        }
    }

    /// Adds a line to the fault script.
    pub fn fault(&self, fault: Fault) {
        self.gateway.faults.add([fault]);
    }

    /// Adds lines to the fault script from their JSON form.
    ///
    /// # Panics
    /// When the text is no fault script.
    pub fn faults(&self, json: &str) {
        let value: serde_json::Value = serde_json::from_str(json).expect("a fault script is JSON");
        let list = if value.is_array() {
            value
        } else {
            serde_json::Value::Array(vec![value])
        };
        self.gateway
            .faults
            .add(serde_json::from_value::<Vec<Fault>>(list).expect("a list of faults"));
    }

    /// Empties the fault script.
    pub fn clear_faults(&self) {
        self.gateway.faults.clear();
    }

    /// Ends all sessions; returns how many there were.
    pub fn expire_sessions(&self) -> usize {
        self.gateway.sessions.close_all()
    }

    /// Changes a company's data from a JSON list of operations (`docs/simulator.md`, `/_sim/change`).
    ///
    /// # Panics
    /// When the text is no list of changes, or a change is refused.
    pub fn change(&self, company: &str, json: &str) -> Vec<Vec<i64>> {
        let changes = serde_json::from_str(json).expect("a list of changes");
        self.gateway
            .change(company, changes, false)
            .unwrap_or_else(|problem| panic!("{problem}"))
    }

    /// The world behind the server.
    pub fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    /// Serves until the process gets SIGINT or SIGTERM.
    ///
    /// # Errors
    /// When signals cannot be waited for.
    pub fn serve_until_signal(self) -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async {
            let mut terminate = signal(SignalKind::terminate())?;
            let mut interrupt = signal(SignalKind::interrupt())?;
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            Ok(())
        })
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, gateway: Arc<Gateway>) {
    loop {
        let Ok((stream, peer)) = listener.accept().await else {
            continue;
        };
        let _ = stream.set_nodelay(true);
        let (gateway, tls) = (gateway.clone(), tls.clone());
        tokio::spawn(async move {
            match tls {
                Some(acceptor) => {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        connection(stream, peer, gateway).await;
                    }
                }
                None => connection::<TcpStream>(stream, peer, gateway).await,
            }
        });
    }
}

async fn connection<S>(stream: S, peer: SocketAddr, gateway: Arc<Gateway>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request| {
        let gateway = gateway.clone();
        async move {
            let path = request.uri().path();
            if path == PATH {
                return front::serve(gateway, request).await;
            }
            if path.starts_with("/_sim/") && peer.ip().is_loopback() {
                return Ok(control_api::serve(gateway, request).await);
            }
            Ok::<_, io::Error>(reply(404, "text/html", "<html><body>404 Not Found</body></html>"))
        }
    });
    // A broken connection is the client's business, or a scripted fault.
    let _ = auto::Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(stream), service)
        .await;
}
