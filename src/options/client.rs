//! Configuration of the client library, from the options of a server and of a user mapping.

use super::catalog;
use super::error::OptionError;
use super::files::{self, FileStamp};
use super::kind;
use super::server::ServerOptions;
use intacct::{Config, Proxy};
use pgrx::pg_sys;

/// The extra certificates of a server, if it names any.
///
/// # Errors
/// The file cannot be read, or not any more.
pub fn ca_certificates(
    server: &ServerOptions,
    server_oid: pg_sys::Oid,
) -> Result<Option<Vec<u8>>, OptionError> {
    match &server.ca_file {
        Some(path) => files::read_for_server("ca_file", path, server_oid).map(Some),
        None => Ok(None),
    }
}

/// What a client is made from.
pub struct ClientConfig {
    /// For the client library.
    pub config: Config,
    /// The files that were read, as they were.
    pub files: Vec<FileStamp>,
    /// Server option `max_calls_per_day`.
    pub max_calls_per_day: u32,
    /// Server option `share_sessions`.
    pub share_sessions: bool,
}

/// The configuration of a client for this server and this user.
///
/// # Errors
/// Whatever is missing or wrong in the options, no user mapping, or a file that cannot be read.
pub fn client_config(server_oid: pg_sys::Oid, user_oid: pg_sys::Oid) -> Result<ClientConfig, OptionError> {
    let server = catalog::server(server_oid)?;
    let mut files: Vec<FileStamp> = server.ca_file.iter().map(|path| FileStamp::of(path)).collect();
    let user = catalog::user(server_oid, user_oid, &mut files)?;
    let ca_pem = ca_certificates(&server, server_oid)?;
    let (max_calls_per_day, share_sessions) = (server.max_calls_per_day, server.share_sessions);
    let mut config = Config::new(
        server.company_id,
        user.user_id,
        user.password,
        user.sender_id,
        user.sender_password,
    );
    config.url = server.url;
    config.location_id = user.location_id.or(server.location_id);
    config.client_id = user.client_id.or(server.client_id);
    config.dtd_version = server.dtd_version;
    config.request_timeout = server.request_timeout;
    config.write_timeout = server.write_timeout;
    config.connect_timeout = server.connect_timeout;
    config.max_retries = server.max_retries;
    config.max_concurrency = server.max_concurrency;
    config.time_zone = server.time_zone.as_deref().and_then(kind::time_zone);
    config.ca_pem = ca_pem;
    config.proxy = match server.proxy {
        Some(address) => {
            files::may_use_proxy(server_oid)?;
            let proxy = Proxy::new(&address);
            let proxy = match user.proxy_login {
                Some((name, password)) => proxy.and_then(|proxy| proxy.with_login(name, password)),
                None => proxy,
            };
            Some(proxy.map_err(|error| OptionError::proxy(&error))?)
        }
        None => None,
    };
    Ok(ClientConfig {
        config,
        files,
        max_calls_per_day,
        share_sessions,
    })
}
