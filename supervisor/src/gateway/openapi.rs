//! The OpenAPI document, checked against the routes and what is posted.

use std::sync::LazyLock;

use hyper::StatusCode;
use serde_json::Value;

use super::routes::Route;

/// As it is served.
pub(super) const DOCUMENT: &str = include_str!("openapi.json");

static READ: LazyLock<Value> = LazyLock::new(|| serde_json::from_str(DOCUMENT).unwrap_or_default());

/// Says so where an answer has a status that the document does not know. For builds of
/// tests: every test of the gateway is one of its document.
pub(super) fn check(route: &Route, status: StatusCode) {
    if !responses(route)[status.as_str()].is_object() {
        let (method, path) = (route.method, route.path);
        tracing::error!(%status, method, path, "the gateway's document has no such answer");
    }
}

fn responses(route: &Route) -> &'static Value {
    &READ["paths"][route.path][route.method.to_ascii_lowercase()]["responses"]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::body::from_json;
    use crate::gateway::error::status_of;
    use crate::gateway::events::VOLATILE;
    use crate::gateway::posted::{DrainBody, ReleaseBody, RunBody, SessionBody, StopBody};
    use crate::gateway::routes::{About, Access, Operation, Question, ROUTES};
    use lifecycle::EventBody;
    use protocol::control::ErrorCode;
    use serde::de::DeserializeOwned;
    use std::collections::BTreeSet;

    fn document() -> Value {
        serde_json::from_str(DOCUMENT).expect("JSON")
    }

    #[test]
    fn the_document_has_every_route_and_no_other() {
        let document = document();
        let mut described = Vec::new();
        for (path, methods) in document["paths"].as_object().expect("paths") {
            for (method, operation) in methods.as_object().expect("methods") {
                let open = operation["security"] == serde_json::json!([]);
                described.push((method.to_uppercase(), path.clone(), open));
                let variable = path.contains('{');
                let parameters = operation["parameters"].as_array();
                let in_path =
                    parameters.is_some_and(|all| all.iter().any(|one| one["in"] == "path"));
                assert_eq!(variable, in_path, "{method} {path}");
                assert!(operation["operationId"].is_string(), "{method} {path}");
            }
        }
        let mut served: Vec<_> = ROUTES
            .iter()
            .map(|route| {
                let open = route.access == Access::Open;
                (route.method.to_owned(), route.path.to_owned(), open)
            })
            .collect();
        described.sort();
        served.sort();
        assert_eq!(described, served);
    }

    /// The fields that a body knows, by what it says of one that it does not.
    fn fields<T: DeserializeOwned>() -> Vec<String> {
        let refused = serde_json::from_str::<T>(r#"{"no such field":1}"#);
        let words = refused.err().expect("unknown").to_string();
        let (_, expected) = words.split_once("expected ").expect("it lists them");
        let quoted = expected.split('`').skip(1).step_by(2);
        let mut fields: Vec<String> = quoted.map(str::to_owned).collect();
        fields.sort();
        fields
    }

    /// What may stand in a field, by the kinds of JSON.
    fn check_kinds<T: DeserializeOwned>(schema: &str) {
        let samples = [
            ("null", "null"),
            ("boolean", "true"),
            ("integer", "1"),
            ("number", "1.5"),
            ("string", "\"x\""),
            ("array", "[]"),
            ("object", "{}"),
        ];
        let document = document();
        let schema_of = &document["components"]["schemas"][schema];
        let required = schema_of["required"].as_array();
        for (field, described) in schema_of["properties"].as_object().expect("an object") {
            let kind = &described["type"];
            let kinds: Vec<&str> = match kind.as_array() {
                Some(several) => several.iter().filter_map(Value::as_str).collect(),
                None => vec![kind.as_str().expect("a kind")],
            };
            let needed = required.is_some_and(|all| all.iter().any(|one| one == field));
            for (kind, sample) in samples {
                // Whether it is there is looked at later.
                if needed && kind == "null" {
                    continue;
                }
                let told =
                    kinds.contains(&kind) || (kind == "integer" && kinds.contains(&"number"));
                let read = from_json::<T>(format!("{{\"{field}\":{sample}}}").as_bytes());
                let taken = match read.as_ref().err() {
                    None => true,
                    // The right kind, and not one that makes sense.
                    Some(why) => kind == "string" && !why.contains("invalid type"),
                };
                assert_eq!(taken, told, "{schema}.{field} {sample}: {:?}", read.err());
            }
        }
    }

    #[test]
    fn a_field_takes_what_the_document_says() {
        check_kinds::<RunBody>("Run");
        check_kinds::<RunBody>("RunChanges");
        check_kinds::<StopBody>("Stop");
        check_kinds::<DrainBody>("Drain");
        check_kinds::<SessionBody>("SessionChange");
        check_kinds::<ReleaseBody>("SessionRelease");
    }

    /// What the core can refuse a request with. (`Storage` also of one that it only looks
    /// for: the ledger may fail at any time.)
    fn refusals(operation: Operation) -> &'static [ErrorCode] {
        use ErrorCode::{
            Ambiguous, Conflict, CrashLoop, Draining, IdConflict, Internal, KeyBusy, Limit,
            NotFound, NotGone, NotPermitted, SessionRefused, Storage, Usage,
        };
        const ALWAYS: &[ErrorCode] = &[Internal, Storage, Draining];
        const NAMED: &[ErrorCode] = &[Internal, Storage, Draining, NotFound, Ambiguous];
        const DISPATCHED: &[ErrorCode] = &[
            Internal,
            Storage,
            Draining,
            NotFound,
            Ambiguous,
            KeyBusy,
            SessionRefused,
            IdConflict,
            Conflict,
            CrashLoop,
            Limit,
            NotPermitted,
            Usage,
        ];
        const CHANGED: &[ErrorCode] = &[
            Internal, Storage, Draining, NotFound, Ambiguous, Conflict, NotGone, Usage,
        ];
        match operation {
            Operation::Tell(About::Page | About::Health | About::Document) => &[],
            Operation::Tell(About::Ready | About::Metrics) => ALWAYS,
            Operation::LogsOfTask | Operation::Events => NAMED,
            Operation::Ask(question) => match question {
                Question::Status | Question::ListTasks => ALWAYS,
                Question::BeginDrain | Question::CancelDrain => {
                    &[Internal, Storage, Draining, Conflict, Usage]
                }
                Question::ListSessions | Question::ShowSession => {
                    &[Internal, Storage, Draining, NotFound]
                }
                Question::ShowTask | Question::WhyTask => NAMED,
                Question::CreateTask | Question::RetryTask | Question::ReopenTask => DISPATCHED,
                Question::StopTask
                | Question::ArchiveTask
                | Question::UnarchiveTask
                | Question::ChangeTask
                | Question::ReleaseSession
                | Question::QuarantineSession => CHANGED,
            },
        }
    }

    /// Every status of a route, and no other: what it answers with when all is well, what
    /// stands before it (the head, the body, the token), and what the core can say.
    #[test]
    fn the_document_has_every_status_and_no_other() {
        for route in ROUTES {
            let created = matches!(
                route.operation,
                Operation::Ask(Question::CreateTask | Question::RetryTask | Question::ReopenTask)
            );
            let in_background = matches!(
                route.operation,
                Operation::Ask(Question::StopTask | Question::BeginDrain)
            );
            let mut expected = BTreeSet::from([200, 400, 405, 408, 414, 431, 503]);
            expected.extend(created.then_some(201));
            expected.extend(in_background.then_some(202));
            if route.access == Access::Known {
                expected.extend([401, 403]);
            }
            if route.takes_body() {
                expected.extend([413, 415]);
            }
            let refusals = refusals(route.operation).iter();
            expected.extend(refusals.map(|code| status_of(*code).as_u16()));
            let described = responses(route).as_object().expect("responses");
            let described: BTreeSet<u16> = described
                .keys()
                .map(|status| status.parse().expect("a status"))
                .collect();
            assert_eq!(described, expected, "{} {}", route.method, route.path);
            let operation = &document()["paths"][route.path][route.method.to_lowercase()];
            assert_eq!(operation["requestBody"].is_object(), route.takes_body());
        }
    }

    /// Of what the core can say, two are about `wait` and about frames, which are not here.
    #[test]
    fn no_route_can_time_out_or_be_unknown_to_the_core() {
        for code in [ErrorCode::Timeout, ErrorCode::Unsupported] {
            assert!(
                ROUTES
                    .iter()
                    .all(|route| !refusals(route.operation).contains(&code))
            );
        }
    }

    #[test]
    fn the_document_has_every_type_of_event() {
        let document = document();
        let parameters = document["paths"]["/v1/events"]["get"]["parameters"].as_array();
        let mut parameters = parameters.expect("a list").iter();
        let types = parameters.find(|one| one["name"] == "type").expect("type");
        let described = types["schema"]["items"]["enum"].as_array().expect("a list");
        let described: BTreeSet<&str> = described.iter().filter_map(Value::as_str).collect();
        let known = EventBody::KINDS.iter().copied();
        assert_eq!(described, known.chain(VOLATILE).collect());
    }

    #[test]
    fn the_document_has_every_field_of_what_is_posted() {
        let document = document();
        for (name, mut expected) in [
            ("Run", fields::<RunBody>()),
            ("RunChanges", fields::<RunBody>()),
            ("Stop", fields::<StopBody>()),
            ("Drain", fields::<DrainBody>()),
            ("SessionChange", fields::<SessionBody>()),
            ("SessionRelease", fields::<ReleaseBody>()),
            ("TaskChange", vec!["name".to_owned()]),
        ] {
            let schema = &document["components"]["schemas"][name];
            assert_eq!(schema["additionalProperties"], false, "{name}");
            let properties = schema["properties"].as_object().expect(name);
            let mut described: Vec<String> = properties.keys().cloned().collect();
            described.sort();
            expected.sort();
            assert_eq!(described, expected, "{name}");
        }
    }
}
