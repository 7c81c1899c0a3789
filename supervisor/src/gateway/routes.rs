//! Every path, its methods, and what is in a path and a query.

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    /// Something about the supervisor itself.
    Tell(About),
    LogsOfTask,
    Events,
    /// A question that the core has one answer to.
    Ask(Question),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum About {
    Page,
    Health,
    Ready,
    Metrics,
    Document,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Question {
    Status,
    ListTasks,
    CreateTask,
    ShowTask,
    WhyTask,
    StopTask,
    RetryTask,
    ReopenTask,
    ArchiveTask,
    UnarchiveTask,
    ChangeTask,
    ListSessions,
    ShowSession,
    ReleaseSession,
    QuarantineSession,
    BeginDrain,
    CancelDrain,
}

/// Who may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Everyone who reaches the door: it says nothing of anybody's tasks.
    Open,
    /// Who has the token, or on a unix socket the right user.
    Known,
}

/// One method of one path.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    pub(super) operation: Operation,
    pub(super) access: Access,
}

impl Route {
    /// Has a request something to say beside its path?
    pub(super) fn takes_body(&self) -> bool {
        ["POST", "PATCH"].contains(&self.method)
    }
}

const fn known(method: &'static str, path: &'static str, operation: Operation) -> Route {
    Route {
        method,
        path,
        operation,
        access: Access::Known,
    }
}

const fn open(path: &'static str, about: About) -> Route {
    Route {
        method: "GET",
        path,
        operation: Operation::Tell(about),
        access: Access::Open,
    }
}

/// All of them.
pub(super) const ROUTES: &[Route] = &[
    open("/", About::Page),
    open("/healthz", About::Health),
    open("/readyz", About::Ready),
    known("GET", "/metrics", Operation::Tell(About::Metrics)),
    open("/v1/openapi.json", About::Document),
    known("GET", "/v1/status", Operation::Ask(Question::Status)),
    known("GET", "/v1/tasks", Operation::Ask(Question::ListTasks)),
    known("POST", "/v1/tasks", Operation::Ask(Question::CreateTask)),
    known("GET", "/v1/tasks/{id}", Operation::Ask(Question::ShowTask)),
    known(
        "GET",
        "/v1/tasks/{id}/why",
        Operation::Ask(Question::WhyTask),
    ),
    known("GET", "/v1/tasks/{id}/logs", Operation::LogsOfTask),
    known(
        "PATCH",
        "/v1/tasks/{id}",
        Operation::Ask(Question::ChangeTask),
    ),
    known(
        "POST",
        "/v1/tasks/{id}/stop",
        Operation::Ask(Question::StopTask),
    ),
    known(
        "POST",
        "/v1/tasks/{id}/retry",
        Operation::Ask(Question::RetryTask),
    ),
    known(
        "POST",
        "/v1/tasks/{id}/reopen",
        Operation::Ask(Question::ReopenTask),
    ),
    known(
        "POST",
        "/v1/tasks/{id}/archive",
        Operation::Ask(Question::ArchiveTask),
    ),
    known(
        "POST",
        "/v1/tasks/{id}/unarchive",
        Operation::Ask(Question::UnarchiveTask),
    ),
    known(
        "GET",
        "/v1/sessions",
        Operation::Ask(Question::ListSessions),
    ),
    known(
        "GET",
        "/v1/sessions/{key}",
        Operation::Ask(Question::ShowSession),
    ),
    known(
        "POST",
        "/v1/sessions/{key}/release",
        Operation::Ask(Question::ReleaseSession),
    ),
    known(
        "POST",
        "/v1/sessions/{key}/quarantine",
        Operation::Ask(Question::QuarantineSession),
    ),
    known("GET", "/v1/drain", Operation::Ask(Question::Status)),
    known("POST", "/v1/drain", Operation::Ask(Question::BeginDrain)),
    known("DELETE", "/v1/drain", Operation::Ask(Question::CancelDrain)),
    known("GET", "/v1/events", Operation::Events),
];

/// What a path led to.
#[derive(Debug)]
pub(super) enum Found {
    /// A route, and the variable part of the path (empty if it has none).
    Route(&'static Route, String),
    /// The path has these methods, and not this one.
    OtherMethods(String),
    /// Nothing.
    Nothing,
}

/// Looks a path up.
pub(super) fn find(method: &str, path: &str) -> Found {
    let mut others = Vec::new();
    for route in ROUTES {
        let Some(variable) = matches(route.path, path) else {
            continue;
        };
        // The answer to HEAD is that to GET, less its body.
        if route.method == method || (method == "HEAD" && route.method == "GET") {
            return Found::Route(route, variable);
        }
        others.push(route.method);
        if route.method == "GET" {
            others.push("HEAD");
        }
    }
    if others.is_empty() {
        Found::Nothing
    } else {
        Found::OtherMethods(others.join(", "))
    }
}

/// The variable part, decoded, if the path fits the template.
fn matches(template: &str, path: &str) -> Option<String> {
    let mut variable = String::new();
    let mut parts = path.split('/');
    for wanted in template.split('/') {
        let part = parts.next()?;
        if wanted.starts_with('{') {
            variable = decode(part, Plus::Plus)?;
            if variable.is_empty() {
                return None;
            }
        } else if part != wanted {
            return None;
        }
    }
    parts.next().is_none().then_some(variable)
}

/// What a `+` stands for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Plus {
    Plus,
    Space,
}

/// Percent-encoding. `None` if it is broken or not UTF-8.
fn decode(text: &str, plus: Plus) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let high = char::from(rest.next()?).to_digit(16)?;
                let low = char::from(rest.next()?).to_digit(16)?;
                u8::try_from(high * 16 + low).ok()?
            }
            b'+' if plus == Plus::Space => b' ',
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

/// A number of digits alone: others write a sign or a space where they mean something else.
pub(super) fn whole<N: std::str::FromStr>(text: &str) -> Option<N> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

/// A query, each name taken at most once by whoever knows it.
#[derive(Debug, Default)]
pub(super) struct Query {
    left: Vec<(String, String)>,
    taken: Vec<String>,
}

impl Query {
    /// # Errors
    /// In words: an encoding that is broken.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let pairs = text.split('&').filter(|pair| !pair.is_empty());
        let decoded = pairs.map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((decode(name, Plus::Space)?, decode(value, Plus::Space)?))
        });
        let left = decoded.collect::<Option<_>>();
        let taken = Vec::new();
        left.map(|left| Self { left, taken })
            .ok_or_else(|| "the query is not percent-encoded UTF-8".to_owned())
    }

    /// The value of a name, which is taken out.
    pub(super) fn take(&mut self, name: &str) -> Option<String> {
        let at = self.left.iter().position(|(known, _)| known == name)?;
        self.taken.push(name.to_owned());
        Some(self.left.remove(at).1)
    }

    /// All values of a name, with several in one value separated by commas.
    pub(super) fn take_all(&mut self, name: &str) -> Vec<String> {
        let mut values = Vec::new();
        for (known, value) in std::mem::take(&mut self.left) {
            if known == name {
                values.extend(value.split(',').map(str::to_owned));
            } else {
                self.left.push((known, value));
            }
        }
        values
    }

    /// A yes or no: `?follow`, `?follow=true`.
    ///
    /// # Errors
    /// In words: something else.
    pub(super) fn take_flag(&mut self, name: &str) -> Result<bool, String> {
        match self.take(name).as_deref() {
            None | Some("false" | "0") => Ok(false),
            Some("" | "true" | "1") => Ok(true),
            Some(other) => Err(format!("{name}: `{other}` is not true or false")),
        }
    }

    /// A whole number.
    ///
    /// # Errors
    /// In words: something else.
    pub(super) fn take_number<N: std::str::FromStr>(
        &mut self,
        name: &str,
    ) -> Result<Option<N>, String> {
        let Some(text) = self.take(name) else {
            return Ok(None);
        };
        let number = whole(&text).map(Some);
        number.ok_or_else(|| format!("{name}: `{text}` is not a number in its range"))
    }

    /// Nothing is ignored in silence.
    ///
    /// # Errors
    /// In words: a name that nobody took.
    pub(super) fn end(&self) -> Result<(), String> {
        match self.left.first() {
            None => Ok(()),
            Some((name, _)) if self.taken.contains(name) => {
                Err(format!("`{name}` is given more than once"))
            }
            Some((name, _)) => Err(format!("this path has no query parameter `{name}`")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(method: &str, path: &str) -> Option<(Operation, String)> {
        match find(method, path) {
            Found::Route(route, variable) => Some((route.operation, variable)),
            Found::OtherMethods(_) | Found::Nothing => None,
        }
    }

    #[test]
    fn paths_lead_to_their_operations() {
        let none = String::new;
        assert_eq!(
            found("GET", "/v1/tasks"),
            Some((Operation::Ask(Question::ListTasks), none()))
        );
        assert_eq!(
            found("POST", "/v1/sessions/a%2Fb%23c+d/release"),
            Some((Operation::Ask(Question::ReleaseSession), "a/b#c+d".into()))
        );
        for path in [
            "//",
            "/v1/tasks/",
            "/v1/tasks//why",
            "/v1/tasks/%zz",
            "/v1/tasks/%ff",
            "/x",
        ] {
            assert_eq!(found("GET", path), None, "{path}");
        }
        let Found::OtherMethods(methods) = find("PUT", "/v1/drain") else {
            panic!("it has others");
        };
        assert_eq!(methods, "GET, HEAD, POST, DELETE");
    }

    #[test]
    fn a_query_is_read_whole() {
        let mut query = Query::read("status=a,b&status=c&all&n=3&key=a%26+b").expect("good");
        assert_eq!(query.take_all("status"), ["a", "b", "c"]);
        assert_eq!(query.take_flag("all"), Ok(true));
        assert_eq!(query.take_number::<u32>("n"), Ok(Some(3)));
        assert!(query.end().is_err());
        assert_eq!(query.take("key").as_deref(), Some("a& b"));
        assert_eq!(query.end(), Ok(()));
        assert!(Query::read("a=%f").is_err());
        for (text, words) in [
            ("n=-1", "`-1` is not a number"),
            ("n=%2B5", "`+5` is not a number"),
            ("n=", "`` is not a number"),
            ("n=4294967296", "not a number in its range"),
            ("n=1&n=2", "`n` is given more than once"),
            ("m=1&n=2", "no query parameter `m`"),
        ] {
            let mut query = Query::read(text).expect("good");
            let number = query.take_number::<u32>("n");
            let refused = number.and_then(|_| query.end()).expect_err(text);
            assert!(refused.contains(words), "{refused}");
        }
    }
}
