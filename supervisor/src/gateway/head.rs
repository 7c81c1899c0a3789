//! The head of a request, whatever it asks for.

use hyper::header::{AUTHORIZATION, CONNECTION, HOST, HeaderMap, HeaderValue, TRANSFER_ENCODING};
use hyper::http::request::Parts;
use hyper::http::uri::Authority;
use hyper::{Response, Version};

use super::error::HttpError;

/// A request has one `Host` (RFC 9112, section 3.2). Which one does not matter here; two
/// would be two requests to whoever stands in between.
pub(super) fn check(parts: &Parts) -> Result<(), HttpError> {
    let mut hosts = parts.headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) if parts.version == Version::HTTP_10 => Ok(()),
        (Some(host), None) if is_host(host.as_bytes()) => Ok(()),
        (Some(_), None) => Err(HttpError::usage("the `Host` is not a host")),
        (None, _) => Err(HttpError::usage("a request has a `Host`")),
        (Some(_), Some(_)) => Err(HttpError::usage("there is more than one `Host`")),
    }
}

/// Empty where the target has no authority.
fn is_host(host: &[u8]) -> bool {
    host.is_empty() || (!host.contains(&b'@') && Authority::try_from(host).is_ok())
}

/// What `Authorization` offers; nothing where it is said twice.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return None;
    };
    let (scheme, token) = value.as_bytes().split_at_checked("Bearer ".len())?;
    let token = token.trim_ascii_start();
    scheme.eq_ignore_ascii_case(b"Bearer ").then_some(token)
}

/// Where a body comes in pieces a proxy in front may have counted its bytes in another way,
/// and what it takes for the next request is another one to us: there is no next one.
pub(super) fn end_what_others_count_otherwise<B>(headers: &HeaderMap, answer: &mut Response<B>) {
    if headers.contains_key(TRANSFER_ENCODING) {
        let close = HeaderValue::from_static("close");
        answer.headers_mut().insert(CONNECTION, close);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_host() {
        for good in ["", "x", "x:7411", "[::1]:7411", "127.0.0.1", "a-b.example"] {
            assert!(is_host(good.as_bytes()), "{good}");
        }
        for bad in ["a b", "a/b", "u@h", "a?b", "\u{e9}"] {
            assert!(!is_host(bad.as_bytes()), "{bad}");
        }
    }

    #[test]
    fn a_token_is_offered_once() {
        let of = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(AUTHORIZATION, HeaderValue::from_static(value));
            }
            bearer(&headers).map(<[u8]>::to_vec)
        };
        for good in ["Bearer a", "bearer a", "BEARER   a"] {
            assert_eq!(of(&[good]).as_deref(), Some(&b"a"[..]), "{good}");
        }
        for bad in [
            &[][..],
            &["Basic a"],
            &["Bearer"],
            &["Bearer a", "Bearer a"],
        ] {
            assert_eq!(of(bad), None, "{bad:?}");
        }
    }
}
