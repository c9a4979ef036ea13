//! Certificates: public roots, extra authorities, and nothing else.

mod support;

use intacct::{Client, ConnectStage, DialectKind, Error, ErrorKind, Page, PageRequest};
use rustls::pki_types::PrivatePkcs8KeyDer;
use std::sync::Arc;
use support::*;

/// A gateway on localhost with a certificate that it signed itself, and that certificate as PEM.
async fn gateway() -> (Gateway, Vec<u8>) {
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
    let gateway = Gateway::listen(Some(Arc::new(tls).into()), |request| {
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
