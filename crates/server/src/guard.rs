//! What keeps web pages away from a server that has no keys.

use axum::http::HeaderMap;
use axum::http::header::{HOST, ORIGIN};
use stint_api::Problem;

/// Refuses a host name that is not this machine's own: it would be a web site whose name was made to point
/// here (DNS rebinding), and its pages would count as same-origin.
pub(crate) fn check_host(headers: &HeaderMap) -> Result<(), Problem> {
    match headers.get(HOST) {
        Some(host) if !host.to_str().is_ok_and(is_loopback_host) => {
            Err(Problem::invalid("Host", "the host is not a loopback name or address")
                .remedy("Use http://127.0.0.1:PORT, http://[::1]:PORT or http://localhost:PORT."))
        }
        _ => Ok(()),
    }
}

/// Whether a browser's page sent this. Such a request must declare a JSON body, which makes the browser ask
/// first, and it is told no.
pub(crate) fn is_from_page(headers: &HeaderMap) -> bool {
    headers.contains_key(ORIGIN)
}

fn is_loopback_host(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::is_loopback_host;

    #[test]
    fn hosts() {
        for host in
            ["localhost", "LOCALHOST:1", "127.0.0.1", "127.0.0.1:7700", "127.1.2.3:1", "[::1]", "[::1]:7700"]
        {
            assert!(is_loopback_host(host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "10.0.0.1:1",
            "[::2]",
            "0.0.0.0",
        ] {
            assert!(!is_loopback_host(host), "{host}");
        }
    }
}
