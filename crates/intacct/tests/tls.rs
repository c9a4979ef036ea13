//! Certificates: public roots, extra authorities, and nothing else.

mod support;

use intacct::{Client, ConnectStage, DialectKind, Error, ErrorKind, Page, PageRequest};
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use std::sync::Arc;
use support::*;
use tokio::io::AsyncReadExt;

/// The server's side of TLS for localhost, with a certificate that it signed itself, and that certificate as PEM.
fn certified(protocols: &[&[u8]]) -> (Arc<rustls::ServerConfig>, Vec<u8>) {
    certified_as(
        CertificateParams::new(["localhost".to_owned()]).expect("a name"),
        protocols,
    )
}

/// The same for another certificate.
fn certified_as(certificate: CertificateParams, protocols: &[&[u8]]) -> (Arc<rustls::ServerConfig>, Vec<u8>) {
    let key = KeyPair::generate().expect("a key");
    let certificate = certificate.self_signed(&key).expect("a certificate");
    let pem = certificate.pem().into_bytes();
    let key = PrivatePkcs8KeyDer::from(key.serialize_der());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key.into())
        .expect("a server");
    tls.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    (Arc::new(tls), pem)
}

/// A gateway on localhost, and the certificate to trust.
async fn gateway() -> (Gateway, Vec<u8>) {
    gateway_as(CertificateParams::new(["localhost".to_owned()]).expect("a name")).await
}

/// The same with another certificate.
async fn gateway_as(certificate: CertificateParams) -> (Gateway, Vec<u8>) {
    let (tls, pem) = certified_as(certificate, &[]);
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

/// What `openssl req -x509` makes: the server's own certificate, marked as that of an authority.
fn authority(name: &str, length: BasicConstraints) -> CertificateParams {
    let mut certificate = CertificateParams::new([name.to_owned()]).expect("a name");
    certificate.is_ca = IsCa::Ca(length);
    certificate
}

#[tokio::test]
async fn a_servers_own_certificate_is_trusted_where_the_file_holds_it() {
    for length in [BasicConstraints::Unconstrained, BasicConstraints::Constrained(0)] {
        let (gateway, pem) = gateway_as(authority("localhost", length)).await;
        // Not by itself: only where the file holds it.
        let error = page(&gateway.client()).await.expect_err("not trusted");
        assert_eq!(error.kind(), &ErrorKind::Connect(ConnectStage::Tls), "{error}");
        let mut config = gateway.config();
        config.ca_pem = Some(pem.clone());
        assert_eq!(
            page(&gateway.client_with(config)).await.expect("a page").rows(),
            1
        );
        // Among others.
        let other = certified_as(authority("localhost", length), &[]).1;
        let mut config = gateway.config();
        config.ca_pem = Some([other.clone(), pem].concat());
        assert_eq!(
            page(&gateway.client_with(config)).await.expect("a page").rows(),
            1
        );
        // Another one of the same name is another one.
        let mut config = gateway.config();
        config.ca_pem = Some(other);
        let error = page(&gateway.client_with(config)).await.expect_err("another key");
        assert_eq!(error.kind(), &ErrorKind::Connect(ConnectStage::Tls), "{error}");
    }
}

#[tokio::test]
async fn a_servers_own_certificate_must_be_for_its_name_and_for_now() {
    let other_name = authority("gateway.example", BasicConstraints::Unconstrained);
    let mut past = authority("localhost", BasicConstraints::Unconstrained);
    past.not_before = rcgen::date_time_ymd(2001, 1, 1);
    past.not_after = rcgen::date_time_ymd(2002, 1, 1);
    let mut future = authority("localhost", BasicConstraints::Unconstrained);
    future.not_before = rcgen::date_time_ymd(2999, 1, 1);
    future.not_after = rcgen::date_time_ymd(3000, 1, 1);
    for certificate in [other_name, past, future] {
        let (gateway, pem) = gateway_as(certificate).await;
        let mut config = gateway.config();
        config.ca_pem = Some(pem);
        let error = page(&gateway.client_with(config)).await.expect_err("not good");
        assert_eq!(error.kind(), &ErrorKind::Connect(ConnectStage::Tls), "{error}");
        assert!(gateway.requests().is_empty());
    }
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
