//! The OpenAPI document, checked against the routes and what is posted.

/// As it is served.
pub(super) const DOCUMENT: &str = include_str!("openapi.json");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::body::from_json;
    use crate::gateway::posted::{DrainBody, ReleaseBody, RunBody, SessionBody, StopBody};
    use crate::gateway::routes::{Access, ROUTES};
    use serde::de::DeserializeOwned;
    use serde_json::Value;

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

    /// The other direction is tried over HTTP: a status that is not here is a failure there.
    #[test]
    fn the_document_has_every_status() {
        let document = document();
        for route in ROUTES {
            let operation = &document["paths"][route.path][route.method.to_lowercase()];
            let mut expected = match route.access {
                Access::Open => vec!["200"],
                Access::Known => vec!["200", "400", "401", "403", "500", "503"],
            };
            if operation["requestBody"].is_object() {
                expected.extend(["408", "413", "415"]);
            }
            for status in expected {
                let described = &operation["responses"][status];
                assert!(
                    described.is_object(),
                    "{status}: {} {}",
                    route.method,
                    route.path
                );
            }
        }
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
