//! The JSON Schema of the configuration file.

/// JSON Schema, draft 2020-12. The test below holds it to what is really read, in both directions.
pub(super) const TEXT: &str = include_str!("../../config/schema.json");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use serde_json::{Map, Value, json};
    use std::collections::BTreeSet;

    /// A name for what has names of the user's choice: a tenant, a store, a subsystem.
    const NAME: &str = "one";

    fn schema() -> Value {
        serde_json::from_str(TEXT).unwrap()
    }

    /// A configuration with every key that the schema names, as deep as it goes. Of several forms, the one asked for.
    fn full(schema: &Value, form: usize) -> Value {
        if let Some(forms) = schema["oneOf"].as_array() {
            return full(&forms[form % forms.len()], form);
        }
        let first = schema["enum"].get(0).or(schema.get("default"));
        match schema["type"].as_str() {
            Some("object") => match (&schema["properties"], &schema["additionalProperties"]) {
                (Value::Object(properties), _) => properties
                    .iter()
                    .map(|(key, inner)| (key.clone(), full(inner, form)))
                    .collect(),
                (_, inner) => json!({ NAME: full(inner, form) }),
            },
            Some("array") => json!([full(&schema["items"], form)]),
            Some("integer") => first.cloned().unwrap_or(json!(1)),
            Some("boolean") => json!(false),
            _ => first.cloned().unwrap_or(json!("x")),
        }
    }

    fn refusal(value: &Value) -> Option<String> {
        serde_json::from_value::<Config>(value.clone())
            .err()
            .map(|error| error.to_string())
    }

    #[test]
    fn every_key_of_the_schema_is_read() {
        for form in 0..3 {
            assert_eq!(refusal(&full(&schema(), form)), None);
        }
    }

    /// The keys that are expected where an unknown one is found: what the refusal lists.
    fn expected(refusal: &str) -> BTreeSet<String> {
        let (_, list) = refusal.split_once("expected").unwrap_or_else(|| panic!("{refusal}"));
        list.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    }

    /// Puts an unknown key into each object in turn, and compares what is expected there with the schema.
    fn compare(schema: &Value, whole: &Value, pointer: &str, form: usize) {
        let schema = schema["oneOf"].get(form).unwrap_or(schema);
        if let Some(properties) = schema["properties"].as_object() {
            let mut wrong = whole.clone();
            let here: &mut Map<_, _> = wrong.pointer_mut(pointer).unwrap().as_object_mut().unwrap();
            here.insert("unknown_key".to_owned(), json!(1));
            // An enum has one key only: its object is compared one level below.
            if schema
                .get("required")
                .is_none_or(|it| !["bearer", "basic", "header"].contains(&it[0].as_str().unwrap_or_default()))
            {
                let refusal = refusal(&wrong).unwrap_or_else(|| panic!("{pointer} takes an unknown key"));
                let named: BTreeSet<String> = properties.keys().cloned().collect();
                assert_eq!(expected(&refusal), named, "{pointer}: {refusal}");
            }
            for (key, inner) in properties {
                compare(inner, whole, &format!("{pointer}/{key}"), form);
            }
        }
        if schema["additionalProperties"].is_object() {
            compare(&schema["additionalProperties"], whole, &format!("{pointer}/{NAME}"), form);
        }
        if schema["items"]["type"] == "object" {
            compare(&schema["items"], whole, &format!("{pointer}/0"), form);
        }
    }

    #[test]
    fn every_key_that_is_read_is_in_the_schema() {
        for form in 0..3 {
            compare(&schema(), &full(&schema(), form), "", form);
        }
    }

    #[test]
    fn every_key_has_a_description() {
        fn check(schema: &Value, at: &str) {
            for (key, inner) in schema["properties"].as_object().into_iter().flatten() {
                assert!(inner["description"].is_string(), "{at}/{key}");
                check(inner, &format!("{at}/{key}"));
            }
        }
        check(&schema(), "");
    }
}
