//! As much of JSON Schema as the policy's schema and Kubernetes' resource schemas use. A keyword that
//! is not known here fails the test.

use regex_lite::Regex;
use serde_json::Value;

/// What is wrong with a value, each fault with its place.
pub(crate) fn faults(root: &Value, schema: &Value, value: &Value, place: &str) -> Vec<String> {
    let mut all = properties(root, schema, value, place);
    for (keyword, rule) in schema.as_object().expect("a schema is an object") {
        let list = || rule.as_array().expect("a list");
        let holds = |schema: &Value| faults(root, schema, value, place).is_empty();
        let good = match keyword.as_str() {
            "$ref" => {
                let pointer = text(rule).trim_start_matches('#');
                let target = root.pointer(pointer).expect("a definition");
                all.extend(faults(root, target, value, place));
                true
            }
            "items" => {
                for (at, item) in value.as_array().into_iter().flatten().enumerate() {
                    all.extend(faults(root, rule, item, &format!("{place}/{at}")));
                }
                true
            }
            "propertyNames" => {
                let mut names = value.as_object().into_iter().flatten().map(|(name, _)| name);
                names.all(|name| faults(root, rule, &name.as_str().into(), place).is_empty())
            }
            "allOf" => list().iter().all(holds),
            "anyOf" => list().iter().any(holds),
            "oneOf" => list().iter().filter(|branch| holds(branch)).count() == 1,
            "not" => !holds(rule),
            other => alone(other, rule, value),
        };
        if !good {
            all.push(format!("{place}: {keyword} {rule}"));
        }
    }
    all
}

/// Whether a value obeys a keyword that is about the value as it stands.
fn alone(keyword: &str, rule: &Value, value: &Value) -> bool {
    let has = |name: &Value| value.get(text(name)).is_some();
    let list = || rule.as_array().expect("a list").iter();
    match keyword {
        "type" => match text(rule) {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "boolean" => value.is_boolean(),
            "integer" => value.is_i64() || value.is_u64(),
            other => panic!("the type `{other}` is not known to the test"),
        },
        "const" => rule == value,
        "enum" => list().any(|word| word == value),
        "pattern" => {
            let pattern = Regex::new(text(rule)).expect("an expression");
            value.as_str().is_none_or(|text| pattern.is_match(text))
        }
        "minimum" => value.as_f64().is_none_or(|number| Some(number) >= rule.as_f64()),
        "maximum" => value.as_f64().is_none_or(|number| Some(number) <= rule.as_f64()),
        "minLength" | "minItems" | "minProperties" => {
            length(keyword, value).is_none_or(|length| Some(length) >= rule.as_u64())
        }
        "maxLength" | "maxItems" | "maxProperties" => {
            length(keyword, value).is_none_or(|length| Some(length) <= rule.as_u64())
        }
        "uniqueItems" => {
            let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
            items.iter().enumerate().all(|(at, item)| !items[..at].contains(item))
        }
        "required" => !value.is_object() || list().all(has),
        "dependentRequired" => rule.as_object().into_iter().flatten().all(|(name, needs)| {
            value.get(name).is_none() || needs.as_array().into_iter().flatten().all(has)
        }),
        "$schema"
        | "$defs"
        | "title"
        | "description"
        | "default"
        | "format"
        | "properties"
        | "additionalProperties" => true,
        other => {
            assert!(other.starts_with("x-kubernetes-"), "`{other}` is not known to the test");
            true
        }
    }
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

/// Known members by their schema, others by `additionalProperties`. A resource's schema closes every
/// object: Kubernetes drops fields that it does not know.
fn properties(root: &Value, schema: &Value, value: &Value, place: &str) -> Vec<String> {
    let Some(members) = value.as_object() else { return Vec::new() };
    let open = schema.get("x-kubernetes-preserve-unknown-fields").is_some()
        || schema.get("properties").is_none()
        || root.get("$schema").is_some();
    let others = schema.get("additionalProperties");
    let mut all = Vec::new();
    for (name, member) in members {
        let place = format!("{place}/{name}");
        match (schema.get("properties").and_then(|known| known.get(name)), others) {
            (Some(schema), _) => all.extend(faults(root, schema, member, &place)),
            (None, Some(Value::Bool(false))) => all.push(format!("{place}: unknown")),
            (None, Some(Value::Bool(true))) => {}
            (None, Some(others)) => all.extend(faults(root, others, member, &place)),
            (None, None) if open => {}
            (None, None) => all.push(format!("{place}: unknown")),
        }
    }
    all
}

/// Checks a custom resource against the definition of its kind in a folder of definitions.
pub(crate) fn custom_resource(folder: &str, resource: &str) {
    let resource: Value = serde_saphyr::from_str(resource).expect("yaml");
    let (group, version) =
        resource["apiVersion"].as_str().and_then(|v| v.split_once('/')).expect("a version");
    let mut found = false;
    for file in yaml_files(folder.as_ref()) {
        let text = std::fs::read_to_string(&file).expect("a readable file");
        for document in text.split("\n---") {
            let Ok(definition) = serde_saphyr::from_str::<Value>(document) else { continue };
            let spec = &definition["spec"];
            if spec["group"] != group || spec["names"]["kind"] != resource["kind"] {
                continue;
            }
            let mut versions = spec["versions"].as_array().expect("a list").iter();
            let schema = versions.find(|v| v["name"] == version).expect("the version");
            let schema = &schema["schema"]["openAPIV3Schema"];
            let spec = &schema["properties"]["spec"];
            assert_eq!(faults(schema, spec, &resource["spec"], "/spec"), [""; 0], "{resource}");
            found = true;
        }
    }
    assert!(found, "no definition of {} in {folder}", resource["kind"]);
}

fn yaml_files(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries =
        std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    entries
        .flat_map(|path| match path.extension() {
            _ if path.is_dir() => yaml_files(&path),
            Some(extension) if extension == "yaml" => vec![path],
            _ => Vec::new(),
        })
        .collect()
}

/// The length that a keyword is about, of a value that has one.
fn length(keyword: &str, value: &Value) -> Option<u64> {
    let length = match value {
        Value::String(text) if keyword.ends_with("Length") => text.chars().count(),
        Value::Array(items) if keyword.ends_with("Items") => items.len(),
        Value::Object(members) if keyword.ends_with("Properties") => members.len(),
        _ => return None,
    };
    u64::try_from(length).ok()
}
