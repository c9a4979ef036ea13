//! A proxy on the way: what it is sent, and what it is not.

mod support;

use intacct::{Client, ConnectStage, DialectKind, Error, ErrorKind, Page, PageRequest, Proxy};
use rustls::pki_types::PrivatePkcs8KeyDer;
use std::sync::{Arc, Mutex};
use support::*;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A certificate for localhost: the server's side, and the file for the client.
fn certified() -> (Arc<rustls::ServerConfig>, Vec<u8>) {
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let pem = certified.cert.pem().into_bytes();
    let key = PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key.into())
        .expect("a server");
    (Arc::new(tls), pem)
}

/// A proxy that makes tunnels, or answers as the test says.
struct Tunnels {
    port: u16,
    /// Everything that it was sent before a tunnel stood, and the bytes that went through tunnels to the gateway.
    heads: Arc<Mutex<Vec<String>>>,
    through: Arc<Mutex<Vec<u8>>>,
}

impl Tunnels {
    /// `answer` is sent in place of a tunnel; none makes one.
    async fn start(tls: Option<Arc<rustls::ServerConfig>>, answer: Option<&'static str>) -> Tunnels {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let tunnels = Tunnels {
            port: listener.local_addr().expect("bound").port(),
            heads: Arc::default(),
            through: Arc::default(),
        };
        let (heads, through) = (tunnels.heads.clone(), tunnels.through.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (heads, through, tls) = (heads.clone(), through.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, answer, &heads, &through).await,
                        Some(tls) => {
                            if let Ok(stream) = tokio_rustls::TlsAcceptor::from(tls).accept(stream).await {
                                serve(stream, answer, &heads, &through).await;
                            }
                        }
                    }
                });
            }
        });
        tunnels
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().expect("no panic").clone()
    }
}

async fn serve(
    mut client: impl AsyncRead + AsyncWrite + Unpin,
    answer: Option<&str>,
    heads: &Mutex<Vec<String>>,
    through: &Mutex<Vec<u8>>,
) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match client.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let head = String::from_utf8(head).expect("a head is text");
    heads.lock().expect("no panic").push(head.clone());
    if let Some(answer) = answer {
        let _ = client.write_all(answer.as_bytes()).await;
        return;
    }
    let host = head.split(' ').nth(1).expect("CONNECT host HTTP/1.1").to_owned();
    let Ok(mut gateway) = TcpStream::connect(host).await else {
        return;
    };
    client
        .write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")
        .await
        .expect("the client waits");
    let (mut from_client, mut to_client) = tokio::io::split(client);
    let (mut from_gateway, mut to_gateway) = gateway.split();
    let up = async {
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = from_client.read(&mut buffer).await {
            through
                .lock()
                .expect("no panic")
                .extend_from_slice(&buffer[..length]);
            if to_gateway.write_all(&buffer[..length]).await.is_err() {
                break;
            }
        }
    };
    tokio::join!(up, async {
        let _ = tokio::io::copy(&mut from_gateway, &mut to_client).await;
        let _ = to_client.shutdown().await;
    });
}

async fn gateway() -> (Gateway, Vec<u8>) {
    let (tls, pem) = certified();
    let gateway = Gateway::listen(Some(tls.into()), |request| {
        if request.contains("<getAPISession") {
            return Reply::xml(session(request, "s-12345", ""));
        }
        Reply::xml(success(request, &[&page_of(request, &[1])]))
    })
    .await;
    (gateway, pem)
}

async fn page(client: &Client) -> Result<Page, Error> {
    let page = PageRequest { size: 10, offset: 0 };
    client.page(&query(), DialectKind::Query, &page, false).await
}

fn contains(bytes: &[u8], part: &str) -> bool {
    bytes.windows(part.len()).any(|window| window == part.as_bytes())
}

#[tokio::test]
async fn the_gateway_is_reached_through_a_tunnel_that_sees_nothing() {
    let (gateway, pem) = gateway().await;
    let (proxy_tls, proxy_pem) = certified();
    for (tls, login) in [(false, false), (false, true), (true, false), (true, true)] {
        let tunnels = Tunnels::start(tls.then(|| proxy_tls.clone()), None).await;
        let scheme = if tls { "https" } else { "http" };
        let proxy = Proxy::new(&format!("{scheme}://localhost:{}", tunnels.port)).expect("an address");
        let mut config = gateway.config();
        config.ca_pem = Some([pem.clone(), proxy_pem.clone()].concat());
        config.proxy = Some(match login {
            true => proxy.with_login("us er", "p:ss wörd").expect("this machine"),
            false => proxy,
        });
        let rows = page(&gateway.client_with(config)).await.expect("a page").rows();
        assert_eq!(rows, 1, "{scheme} {login}");
        let heads = tunnels.heads();
        assert!(!heads.is_empty());
        for head in heads {
            let head = head.to_lowercase();
            assert!(head.starts_with("connect localhost:"), "{head}");
            // "us er:p:ss wörd"
            let basic = "proxy-authorization: basic dxmgzxi6cdpzcyb3w7zyza==";
            assert_eq!(head.contains(basic), login, "{head}");
        }
        let through = tunnels.through.lock().expect("no panic");
        for secret in ["user-secret", "sender-secret", "apiuser", "s-12345", "p:ss"] {
            assert!(!contains(&through, secret), "{secret}");
        }
    }
}

#[tokio::test]
async fn plain_http_stays_on_this_machine() {
    let gateway = Gateway::start(|request| Reply::xml(success(request, &[&page_of(request, &[1])]))).await;
    let tunnels = Tunnels::start(None, None).await;
    let mut config = gateway.config();
    config.proxy = Some(Proxy::new(&format!("http://127.0.0.1:{}", tunnels.port)).expect("an address"));
    assert_eq!(
        page(&gateway.client_with(config)).await.expect("a page").rows(),
        1
    );
    assert!(tunnels.heads().is_empty());
}

#[tokio::test]
async fn a_proxy_that_refuses_is_named_and_its_words_are_clean() {
    let (gateway, pem) = gateway().await;
    for answer in [
        "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"hunter22\"\r\n\r\n",
        "HTTP/1.1 403 hunter22\r\n\r\n",
        "HTTP/1.1 502 Bad Gateway\r\n\r\ndTpodW50ZXIyMg==",
        "nonsense hunter22",
        "",
    ] {
        let tunnels = Tunnels::start(None, Some(answer)).await;
        let proxy = Proxy::new(&format!("http://127.0.0.1:{}", tunnels.port)).expect("an address");
        let mut config = gateway.config();
        config.ca_pem = Some(pem.clone());
        config.proxy = Some(proxy.with_login("u", "hunter22").expect("this machine"));
        config.max_retries = 0;
        let client = gateway.client_with(config);
        let error = page(&client).await.expect_err("no tunnel");
        assert_eq!(
            error.kind(),
            &ErrorKind::Connect(ConnectStage::Tcp),
            "{answer}: {error}"
        );
        assert!(
            error.to_string().contains(&format!("127.0.0.1:{}", tunnels.port)),
            "{error}"
        );
        assert!(error.hint().contains("proxy_user"), "{}", error.hint());
        let all = format!("{error:?} {error} {:?}", client.config());
        assert!(
            !all.contains("hunter22") && !all.contains("dTpodW50ZXIyMg"),
            "{all}"
        );
    }
    // A port without a listener.
    let unused = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = unused.local_addr().expect("bound").port();
    drop(unused);
    let mut config = gateway.config();
    config.proxy = Some(Proxy::new(&format!("http://127.0.0.1:{port}")).expect("an address"));
    config.max_retries = 0;
    let error = page(&gateway.client_with(config)).await.expect_err("no listener");
    assert_eq!(error.kind(), &ErrorKind::Connect(ConnectStage::Tcp), "{error}");
    assert!(error.to_string().contains("proxy"), "{error}");
    assert!(gateway.requests().is_empty());
}
