//! Certificates: public roots, extra authorities, and nothing else.

mod support;

use intacct::{Client, ConnectStage, DialectKind, Error, ErrorKind, Page, PageRequest};
use rustls::pki_types::PrivatePkcs8KeyDer;
use std::sync::Arc;
use support::*;
use tokio::io::AsyncReadExt;

/// The server's side of TLS for localhost, with a certificate that it signed itself, and that certificate as PEM.
fn certified(protocols: &[&[u8]]) -> (Arc<rustls::ServerConfig>, Vec<u8>) {
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let pem = certified.cert.pem().into_bytes();
    let key = PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key.into())
        .expect("a server");
    tls.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    (Arc::new(tls), pem)
}

/// A gateway on localhost, and the certificate to trust.
async fn gateway() -> (Gateway, Vec<u8>) {
    let (tls, pem) = certified(&[]);
    let gateway = Gateway::listen(Some(tls.into()), |request| {
        if request.contains("<getAPISession") {
            return Reply::xml(session(request, "s", ""));
        }
        Reply::xml(success(request, &[&page_of(request, &[1])]))
    })
    .await;
    (gateway, pem)
}

async fn page(client: &Client) -> Result<Page, Error> {
    client
        .page(
            &query(),
            DialectKind::Query,
            &PageRequest { size: 10, offset: 0 },
            false,
        )
        .await
}

#[tokio::test]
async fn an_unknown_authority_is_refused_before_anything_is_said() {
    let (gateway, _) = gateway().await;
    let error = page(&gateway.client()).await.expect_err("not trusted");
    assert_eq!(error.kind(), &ErrorKind::Connect(ConnectStage::Tls), "{error}");
    assert!(error.hint().contains("ca_file"));
    assert!(gateway.requests().is_empty());
}

#[tokio::test]
async fn an_extra_authority_is_trusted() {
    let (gateway, pem) = gateway().await;
    let mut config = gateway.config();
    config.ca_pem = Some(pem);
    assert_eq!(
        page(&gateway.client_with(config)).await.expect("a page").rows(),
        1
    );
}

#[tokio::test]
async fn the_host_must_be_the_one_of_the_certificate() {
    let (gateway, pem) = gateway().await;
    let mut config = gateway.config();
    config.ca_pem = Some(pem);
    config.url = gateway.url.replace("localhost", "127.0.0.1");
    let error = page(&gateway.client_with(config))
        .await
        .expect_err("another name");
    assert_eq!(error.kind(), &ErrorKind::Connect(ConnectStage::Tls), "{error}");
}

#[tokio::test]
async fn a_file_without_certificates_is_refused() {
    for pem in [
        "",
        "nonsense",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ] {
        let mut config = intacct::Config::new("a", "b", "c", "d", "e");
        config.ca_pem = Some(pem.into());
        let error = Client::new(config).err().expect("refused");
        assert_eq!(error.kind(), &ErrorKind::Connect(ConnectStage::Tls));
    }
}

/// What a client says first to a server that offers these protocols.
async fn first_words(protocols: &[&[u8]]) -> Vec<u8> {
    let (tls, pem) = certified(protocols);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let mut config = intacct::Config::new("acme", "u", "p", "s", "sp");
    config.url = format!(
        "https://localhost:{}/",
        listener.local_addr().expect("bound").port()
    );
    config.ca_pem = Some(pem);
    config.max_retries = 0;
    let client = Client::new(config).expect("a client");
    let server = async {
        let (stream, _) = listener.accept().await.expect("a connection");
        let mut stream = tokio_rustls::TlsAcceptor::from(tls)
            .accept(stream)
            .await
            .expect("TLS");
        let mut words = vec![0; 14];
        stream.read_exact(&mut words).await.expect("a request");
        words
    };
    tokio::select! {
        words = server => words,
        // It fails when the connection closes, and not before.
        ended = client.sign_in() => panic!("the server has not read yet: {ended:?}"),
    }
}

#[tokio::test]
async fn http_2_is_spoken_where_it_is_offered() {
    assert_eq!(first_words(&[b"h2", b"http/1.1"]).await, b"PRI * HTTP/2.0");
    assert!(first_words(&[b"http/1.1"]).await.starts_with(b"POST / HTTP/1."));
    assert!(first_words(&[]).await.starts_with(b"POST / HTTP/1."));
}
