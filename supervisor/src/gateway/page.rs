//! The operator's page: one file, without anything from elsewhere.

use hyper::Response;
use hyper::header::{CONTENT_SECURITY_POLICY, HeaderValue, REFERRER_POLICY};

use super::body::{Body, text_response};

const PAGE: &str = include_str!("page.html");

/// Nothing but this page and this supervisor, whatever an agent prints.
const POLICY: &str = "default-src 'none'; connect-src 'self'; style-src 'unsafe-inline'; \
    script-src 'unsafe-inline'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'";

/// Answers `GET /`. The page holds no secret: its requests need the token.
pub(super) fn answer() -> Response<Body> {
    let mut response = text_response("text/html; charset=utf-8", PAGE);
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

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
        ] {
            assert!(!PAGE.contains(word), "{word}");
        }
    }
}
