//! The OpenAPI document, checked against the routes and what is posted.

/// As it is served.
pub(super) const DOCUMENT: &str = include_str!("openapi.json");

#[cfg(test)]
mod tests {
    use super::*;
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

    #[test]
    fn the_document_has_every_field_of_what_is_posted() {
        let document = document();
        for (name, mut expected) in [
            ("Run", fields::<RunBody>()),
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
