//! The part of a configuration that says where and how the gateway listens.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use super::read::{Shared, Table};
use super::resolve::close;
use super::settings::{CertificateFiles, ClientCertificates, Listen, Tls, Transport};

/// Reads `listen`.
pub(super) fn listen(root: &mut Table, base: &Path, shared: &mut Shared<'_>) -> Listen {
    let mut table = root.table("listen", shared);
    let default = SocketAddr::from((Ipv4Addr::LOCALHOST, 8443));
    let expected = "an address such as `127.0.0.1:8443`";
    let address = table.parsed("address", expected, |text| text.parse().ok(), shared).unwrap_or(default);
    table.note("address", address.to_string());
    let plain = table.flag("plain", false, shared);
    let anywhere = table.flag("plain_anywhere", false, shared);
    if plain && table.has("tls") {
        shared.mistake(table.place_of("tls"), "listen has both `plain: true` and `tls`", Some("keep one".to_owned()));
    }
    if plain && !address.ip().is_loopback() && !anywhere {
        let hint = "listen on 127.0.0.1, use TLS, or insist with `plain_anywhere: true`".to_owned();
        shared.mistake(
            table.place_of("plain"),
            format!("plain HTTP on {address} would show keys to the network"),
            Some(hint),
        );
    }
    let tls = tls(&mut table, base, shared);
    let transport = if plain { Transport::Plain } else { Transport::Tls(tls) };
    close(root, "listen", table, shared);
    Listen { address, transport }
}

fn tls(listen: &mut Table, base: &Path, shared: &mut Shared<'_>) -> Tls {
    let mut table = listen.table("tls", shared);
    let chain = table.path("certificate", shared).map(|path| base.join(path));
    let key = table.path("key", shared).map(|path| base.join(path));
    let certificate = match (chain, key) {
        (Some(chain), Some(key)) => Some(CertificateFiles { chain, key }),
        (None, None) => None,
        _ => {
            let hint = Some("give both, or none for a development certificate".to_owned());
            shared.mistake(table.place(), "listen.tls needs `certificate` and `key` together", hint);
            None
        }
    };
    let development_names = table.texts("names", &[], shared);
    let client_certificates = client_certificates(&mut table, base, shared);
    close(listen, "tls", table, shared);
    Tls { certificate, development_names, client_certificates }
}

#[derive(Clone, Copy, PartialEq)]
enum Asked {
    Ignore,
    Optional,
    Required,
}

fn client_certificates(table: &mut Table, base: &Path, shared: &mut Shared<'_>) -> ClientCertificates {
    let words = [("ignore", Asked::Ignore), ("optional", Asked::Optional), ("required", Asked::Required)];
    let asked = table.choice("client_certificates", &words, "ignore", shared).unwrap_or(Asked::Ignore);
    let authorities = table.path("client_authorities", shared).map(|path| base.join(path));
    match (asked, authorities) {
        (Asked::Ignore, None) => ClientCertificates::Ignore,
        (Asked::Optional, Some(authorities)) => ClientCertificates::Optional { authorities },
        (Asked::Required, Some(authorities)) => ClientCertificates::Required { authorities },
        (Asked::Ignore, Some(_)) => {
            let hint = Some("add `client_certificates: optional` or `required`".to_owned());
            shared.mistake(table.place_of("client_authorities"), "client_authorities has no effect", hint);
            ClientCertificates::Ignore
        }
        (_, None) => {
            let hint = Some("name the PEM file of the authorities that sign clients".to_owned());
            shared.mistake(table.place(), "client certificates need `client_authorities`", hint);
            ClientCertificates::Ignore
        }
    }
}
