//! What Forgejo delivers: signed with the webhook's secret, and then JSON.

use hmac::{Hmac, KeyInit, Mac};
use hyper::header::HeaderMap;
use serde::Deserialize;
use sha2::Sha256;

/// An issue got or lost an assignee.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Delivery {
    /// The delivery's own id.
    pub(crate) id: String,
    /// Is the agent among the issue's assignees now?
    pub(crate) assigned: bool,
    /// The issue.
    pub(crate) issue: Issue,
    /// Who did it.
    pub(crate) sender: String,
}

/// As much of an issue as the hub uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Issue {
    /// `owner/name`.
    pub(crate) repo: String,
    pub(crate) number: i64,
    pub(crate) url: String,
    pub(crate) title: String,
    pub(crate) body: String,
}

#[derive(Deserialize)]
struct Payload {
    action: String,
    issue: IssueForm,
    repository: Repository,
    sender: Account,
}

#[derive(Deserialize)]
struct IssueForm {
    number: i64,
    #[serde(default)]
    html_url: String,
    #[serde(default)]
    title: String,
    #[serde(default)]
    body: String,
    // Null where there is none. Without it nobody would know: a task would be stopped for
    // a field that another program left out.
    #[serde(deserialize_with = "Option::deserialize")]
    assignees: Option<Vec<Account>>,
    // Pull requests are issues, too, and have this.
    pull_request: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Repository {
    full_name: String,
}

#[derive(Deserialize)]
struct Account {
    login: String,
}

/// Where a signature stands, and what stands before it.
const SIGNATURES: [(&str, &[u8]); 3] = [
    ("x-forgejo-signature", b""),
    ("x-gitea-signature", b""),
    ("x-hub-signature-256", b"sha256="),
];

/// Is the body from who knows the secret? Over the bytes as they came, and in a
/// time that does not depend on where they differ.
pub(crate) fn is_signed(headers: &HeaderMap, secret: &[u8], body: &[u8]) -> bool {
    // All of them have the same value where several are sent; the first one counts.
    let signature = SIGNATURES
        .iter()
        .find_map(|(name, before)| Some((headers.get(*name)?.as_bytes(), *before)));
    let signature = signature.and_then(|(value, before)| value.strip_prefix(before));
    let Some(signature) = signature.and_then(bytes_of) else {
        return false;
    };
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret) else {
        return false;
    };
    mac.update(body);
    mac.verify_slice(&signature).is_ok()
}

/// What a signed delivery means for `agent`; none: nothing.
///
/// # Errors
/// In words for Forgejo's list of deliveries.
pub(crate) fn read(
    headers: &HeaderMap,
    body: &[u8],
    agent: &str,
) -> Result<Option<Delivery>, String> {
    let text = |names: [&str; 2]| {
        let value = names.iter().find_map(|name| headers.get(*name));
        value.and_then(|value| value.to_str().ok())
    };
    if text(["x-forgejo-event", "x-gitea-event"]) != Some("issues") {
        return Ok(None);
    }
    let id = text(["x-forgejo-delivery", "x-gitea-delivery"])
        .filter(|id| is_plain(id))
        .ok_or("no delivery id that a task's id could be made of")?;
    let payload: Payload = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    if !["assigned", "unassigned"].contains(&payload.action.as_str())
        || payload.issue.pull_request.is_some()
    {
        return Ok(None);
    }
    let assignees = payload.issue.assignees.unwrap_or_default();
    Ok(Some(Delivery {
        id: id.to_owned(),
        // The payload does not say who was added or removed, only who is there.
        assigned: assignees
            .iter()
            // Forgejo has no two accounts that differ in this alone.
            .any(|account| account.login.eq_ignore_ascii_case(agent)),
        issue: Issue {
            repo: payload.repository.full_name,
            number: payload.issue.number,
            url: payload.issue.html_url,
            title: payload.issue.title,
            body: payload.issue.body,
        },
        sender: payload.sender.login,
    }))
}

fn is_plain(id: &str) -> bool {
    (1..=60).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

fn bytes_of(hex: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    hex.chunks(2)
        .map(|pair| match pair {
            [high, low] => u8::try_from(digit(*high)? * 16 + digit(*low)?).ok(),
            _odd => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.insert(*name, value.parse().expect("a header's value"));
        }
        map
    }

    /// RFC 4231, test case 2.
    #[test]
    fn only_the_whole_signature_over_the_whole_body_counts() {
        let good = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        let (secret, body) = (b"Jefe", b"what do ya want for nothing?");
        for name in ["x-forgejo-signature", "x-gitea-signature"] {
            assert!(is_signed(&headers(&[(name, good)]), secret, body));
            assert!(!is_signed(&headers(&[(name, good)]), b"jefe", body));
            assert!(!is_signed(
                &headers(&[(name, good)]),
                secret,
                b"something else"
            ));
            for bad in [&good[..62], &good[1..], "", "zz"] {
                assert!(!is_signed(&headers(&[(name, bad)]), secret, body), "{bad}");
            }
        }
        assert!(!is_signed(&HeaderMap::new(), secret, body));
        let hub =
            |value: &str| is_signed(&headers(&[("x-hub-signature-256", value)]), secret, body);
        assert!(hub(&format!("sha256={good}")));
        for bad in [
            good.to_owned(),
            format!("sha1={good}"),
            "sha256=".to_owned(),
        ] {
            assert!(!hub(&bad), "{bad}");
        }
        let both = [("x-forgejo-signature", "00"), ("x-gitea-signature", good)];
        assert!(
            !is_signed(&headers(&both), secret, body),
            "the first counts"
        );
    }

    #[test]
    fn recorded_deliveries_are_read() {
        let id = "f6266f16-1bf3-46a5-9ea4-602e06ead473";
        let issues = headers(&[("x-forgejo-event", "issues"), ("x-forgejo-delivery", id)]);
        let read = |body: &str| read(&issues, body.as_bytes(), "dev").expect("read");
        let assigned = read(include_str!("../tests/deliveries/assigned.json")).expect("for us");
        assert!(assigned.assigned);
        assert_eq!(
            (assigned.id.as_str(), assigned.sender.as_str()),
            (id, "charles")
        );
        let issue = &assigned.issue;
        assert_eq!(
            (issue.repo.as_str(), issue.number),
            ("charles/claude-hooks", 1104)
        );
        let unassigned = read(include_str!("../tests/deliveries/unassigned.json"));
        assert!(!unassigned.expect("for us").assigned);
        assert_eq!(read(include_str!("../tests/deliveries/opened.json")), None);
    }

    /// The recorded assignment with something else in it.
    fn changed(change: impl Fn(&mut serde_json::Value)) -> Result<Option<Delivery>, String> {
        let text = include_str!("../tests/deliveries/assigned.json");
        let mut body = serde_json::from_str(text).expect("JSON");
        change(&mut body);
        let issues = [("x-gitea-event", "issues"), ("x-gitea-delivery", "a")];
        read(&headers(&issues), body.to_string().as_bytes(), "dev")
    }

    fn is_assigned(change: impl Fn(&mut serde_json::Value)) -> bool {
        changed(change).expect("read").expect("for us").assigned
    }

    #[test]
    fn what_forgejo_may_send_is_understood() {
        let account = |login: &str| serde_json::json!({ "login": login });
        assert!(is_assigned(|body| {
            body["issue"]["assignees"] = serde_json::json!([account("other"), account("dev")]);
            body["issue"]["assignee"] = account("other");
        }));
        assert!(is_assigned(
            |body| body["issue"]["assignees"][0] = account("Dev")
        ));
        // Taken away from the agent, and still another's.
        assert!(!is_assigned(|body| {
            body["action"] = "unassigned".into();
            body["issue"]["assignees"] = serde_json::json!([account("other")]);
        }));
        assert!(!is_assigned(
            |body| body["issue"]["assignees"] = serde_json::json!([])
        ));
        // Of another version: fields that are new, and some that were not there yet.
        assert!(is_assigned(|body| {
            body["new"] = serde_json::json!({"in": ["a", "version"]});
            for old in ["pin_order", "assets", "is_locked"] {
                body["issue"].as_object_mut().expect("one").remove(old);
            }
        }));
        let title = "<script>alert(1)</script> &amp; \u{202e}\n{body}";
        let read = changed(|body| body["issue"]["title"] = title.into());
        assert_eq!(read.expect("read").expect("for us").issue.title, title);
        // A pull request has an event of its own, and would be an issue with this in it.
        let pull = serde_json::json!({"merged": false, "merged_at": null, "draft": false});
        let pull = changed(|body| body["issue"]["pull_request"] = pull.clone());
        assert_eq!(pull, Ok(None));
        let event = [
            ("x-forgejo-event", "pull_request"),
            ("x-forgejo-delivery", "a"),
        ];
        let body = br#"{"action":"assigned","number":2,"pull_request":{"assignees":null}}"#;
        assert_eq!(super::read(&headers(&event), body, "dev"), Ok(None));
    }

    #[test]
    fn what_could_mean_another_thing_is_an_error() {
        for (what, change) in [
            (
                "assignees",
                (|issue| drop(issue.remove("assignees"))) as fn(&mut Fields),
            ),
            ("number", |issue| drop(issue.remove("number"))),
            ("1104", |issue| {
                drop(issue.insert("number".into(), "1104".into()))
            }),
            ("a sequence", |issue| {
                drop(issue.insert("assignees".into(), "dev".into()))
            }),
            ("login", |issue| {
                drop(issue.insert("assignees".into(), serde_json::json!([{"id": 7}])));
            }),
        ] {
            let refused = changed(|body| change(body["issue"].as_object_mut().expect("one")));
            assert!(
                refused.as_ref().is_err_and(|why| why.contains(what)),
                "{refused:?}"
            );
        }
        for missing in ["repository", "sender", "action"] {
            let refused = changed(|body| {
                body.as_object_mut().expect("one").remove(missing);
            });
            assert!(
                refused.as_ref().is_err_and(|why| why.contains(missing)),
                "{refused:?}"
            );
        }
    }

    type Fields = serde_json::Map<String, serde_json::Value>;

    #[test]
    fn what_cannot_be_used_is_said() {
        let push = headers(&[("x-gitea-event", "push")]);
        assert_eq!(read(&push, b"{}", "dev"), Ok(None));
        let nameless = headers(&[("x-forgejo-event", "issues")]);
        assert!(read(&nameless, b"{}", "dev").is_err());
        let broken = [("x-forgejo-event", "issues"), ("x-forgejo-delivery", "a")];
        assert!(read(&headers(&broken), b"{", "dev").is_err());
    }
}
