//! https with the certificate made at start.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use intacct_simulator::{Config, Simulator};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

fn get(port: &str, name: &str, roots: RootCertStore) -> std::io::Result<String> {
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(name.to_string()).unwrap();
    let client = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = StreamOwned::new(client, TcpStream::connect(format!("127.0.0.1:{port}"))?);
    stream.write_all(b"GET /_sim/sessions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut text = String::new();
    let _ = stream.read_to_string(&mut text);
    Ok(text)
}

#[test]
fn the_written_authority_certifies_loopback_names() {
    let directory = tempfile::tempdir().unwrap();
    let config = Config {
        tls_dir: Some(directory.path().into()),
        ..Config::default().rows("arinvoice", 5)
    };
    let simulator = Simulator::start(config).unwrap();
    let url = simulator.url();
    let port = url
        .strip_prefix("https://localhost:")
        .unwrap()
        .split('/')
        .next()
        .unwrap();
    let pem = directory.path().join("ca.pem");
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&pem).unwrap()).unwrap();
    for name in ["localhost", "127.0.0.1"] {
        let text = get(port, name, roots.clone()).unwrap();
        assert!(
            text.starts_with("HTTP/1.1 200") && text.contains(r#"{"open":0}"#),
            "{text}"
        );
    }
    assert!(get(port, "api.intacct.com", roots).is_err());
    assert!(get(port, "localhost", RootCertStore::empty()).is_err());
}
