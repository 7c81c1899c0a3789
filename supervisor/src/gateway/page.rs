//! The operator's page: one file, without anything from elsewhere.

use std::sync::LazyLock;

use hyper::Response;
use hyper::header::{CONTENT_SECURITY_POLICY, HeaderValue, REFERRER_POLICY};

use sha2::{Digest, Sha256};

use super::body::{Body, text_response};

const PAGE: &str = include_str!("page.html");

/// Nothing but this page and this supervisor, whatever an agent prints: of scripts and
/// styles those alone that stand in the page, by their digests.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let [script, style] = ["script", "style"].map(|tag| digest(between(PAGE, tag)));
    format!(
        "default-src 'none'; connect-src 'self'; style-src 'sha256-{style}'; \
         script-src 'sha256-{script}'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'"
    )
});

/// Answers `GET /`. The page holds no secret: its requests need the token.
pub(super) fn answer() -> Response<Body> {
    let mut response = text_response("text/html; charset=utf-8", PAGE);
    let headers = response.headers_mut();
    // Letters and digits: there is nothing to fail.
    if let Ok(policy) = HeaderValue::from_str(&POLICY) {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

/// What stands in the page's only element of this name.
fn between<'page>(page: &'page str, tag: &str) -> &'page str {
    let begins = page.split_once(&format!("<{tag}>"));
    let inner = begins.and_then(|(_, rest)| rest.split_once(&format!("</{tag}>")));
    inner.map_or("", |(inner, _)| inner)
}

/// SHA-256 in base64, as a policy has it.
fn digest(text: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut base64 = String::new();
    for three in Sha256::digest(text.as_bytes()).chunks(3) {
        let bytes = [0, 1, 2].map(|at| u32::from(three.get(at).copied().unwrap_or(0)));
        let bits = bytes[0] << 16 | bytes[1] << 8 | bytes[2];
        for place in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * place)) as usize & 63];
            base64.push(if place <= three.len() {
                char::from(digit)
            } else {
                '='
            });
        }
    }
    base64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_in_base64() {
        // printf abc | openssl dgst -sha256 -binary | base64
        assert_eq!(
            digest("abc"),
            "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0="
        );
        for tag in ["script", "style"] {
            assert!(!between(PAGE, tag).is_empty(), "{tag}");
            assert_eq!(PAGE.matches(&format!("<{tag}")).count(), 1, "{tag}");
        }
        assert!(!POLICY.contains("unsafe"), "{}", *POLICY);
    }

    /// Output of agents reaches the page as text, and nothing comes from elsewhere.
    #[test]
    fn the_page_makes_no_markup_and_loads_nothing() {
        for word in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "http://",
            "https://",
            "src=",
            "style=",
            " onclick=",
        ] {
            assert!(!PAGE.contains(word), "{word}");
        }
    }
}
