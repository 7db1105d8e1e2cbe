//! `portcullis schema`: the policy language for editors (JSON Schema 2020-12) and for readers.
//!
//! Both are walked out of the tables that the checks use, so they cannot say anything else.

use clap::Args;
use portcullis_core::config::grammar::{Field, Form, Kind, POLICY, Presence, Rule, Shape};
use serde_json::{Map, Value, json};

use crate::exit::Exit;
use crate::output::{print_json, print_lines};

mod reference;

#[derive(Args)]
pub(crate) struct Schema {
    /// Print the reference tables (Markdown) instead.
    #[arg(long)]
    reference: bool,
}

pub(crate) fn run(arguments: &Schema) -> Exit {
    if arguments.reference {
        print_lines(&reference::lines());
    } else {
        print_json(&schema());
    }
    Exit::Success
}

/// The schema of a policy.
fn schema() -> Value {
    let mut definitions = Map::new();
    let mut top = shape(&POLICY, &mut definitions);
    if let Some(top) = top.as_object_mut() {
        top.insert("$schema".to_owned(), "https://json-schema.org/draft/2020-12/schema".into());
        top.insert("title".to_owned(), "Portcullis policy, version 1".into());
        top.insert("$defs".to_owned(), definitions.into());
    }
    top
}

fn shape(shape: &Shape, definitions: &mut Map<String, Value>) -> Value {
    let required: Vec<_> =
        shape.fields.iter().filter(|f| f.presence == Presence::Required).collect();
    let required: Vec<_> = required.into_iter().map(|field| field.name).collect();
    let properties: Map<_, _> = shape
        .fields
        .iter()
        .map(|field| (field.name.to_owned(), property(field, definitions)))
        .collect();
    let mut object = json!({
        "type": "object",
        "description": shape.doc,
        "properties": properties,
        "additionalProperties": false,
    });
    if let Some(object) = object.as_object_mut() {
        if !required.is_empty() {
            object.insert("required".to_owned(), required.into());
        }
        let rules: Vec<_> = shape.rules.iter().map(rule).collect();
        if !rules.is_empty() {
            object.insert("allOf".to_owned(), rules.into());
        }
    }
    object
}

fn property(field: &Field, definitions: &mut Map<String, Value>) -> Value {
    let mut property = kind(&field.kind, definitions);
    if let Some(object) = property.as_object_mut() {
        object.insert("description".to_owned(), field.doc.into());
        if let Presence::Default(text) = field.presence {
            let default = serde_json::from_str(text).unwrap_or(Value::Null);
            object.insert("default".to_owned(), default);
        }
    }
    property
}

fn kind(kind_: &Kind, definitions: &mut Map<String, Value>) -> Value {
    match kind_ {
        Kind::Bool => json!({"type": "boolean"}),
        Kind::Integer { min, max } => json!({"type": "integer", "minimum": min, "maximum": max}),
        Kind::Scalar => json!({"type": ["string", "number", "boolean"]}),
        Kind::Text(form) => text(form, definitions),
        Kind::Choice(choices) => {
            let words = choices.iter().map(|c| json!({"const": c.word, "description": c.doc}));
            json!({"oneOf": words.collect::<Vec<_>>()})
        }
        Kind::Day(choices) => {
            let words: Vec<_> = choices.iter().map(|c| c.word).collect();
            json!({"anyOf": [{"enum": words}, {"type": "integer", "minimum": 1, "maximum": 28}]})
        }
        Kind::List(of) => {
            let items = kind(of, definitions);
            let mut list = json!({"type": "array", "minItems": 1, "items": items});
            if let (Kind::Text(_) | Kind::Choice(_) | Kind::Scalar, Some(list)) =
                (of, list.as_object_mut())
            {
                list.insert("uniqueItems".to_owned(), true.into());
            }
            list
        }
        Kind::Map { names, of } => json!({
            "type": "object",
            "minProperties": 1,
            "propertyNames": text(names, definitions),
            "additionalProperties": kind(of, definitions),
        }),
        Kind::Object(shape) => reference_to(shape, definitions),
        Kind::Either { short, long } => {
            json!({"anyOf": [kind(short, definitions), reference_to(long, definitions)]})
        }
    }
}

fn text(form: &Form, definitions: &mut Map<String, Value>) -> Value {
    let name = definition_name(form.name);
    definitions.entry(name.as_str()).or_insert_with(
        || json!({"type": "string", "description": form.doc, "pattern": form.pattern}),
    );
    json!({"$ref": format!("#/$defs/{name}")})
}

fn reference_to(long: &Shape, definitions: &mut Map<String, Value>) -> Value {
    let name = definition_name(long.name);
    if !definitions.contains_key(&name) {
        let definition = shape(long, definitions);
        definitions.insert(name.clone(), definition);
    }
    json!({"$ref": format!("#/$defs/{name}")})
}

/// `a scope requirement` as `scope_requirement`.
fn definition_name(name: &str) -> String {
    let bare = ["a ", "an ", "the "].iter().find_map(|article| name.strip_prefix(article));
    bare.unwrap_or(name).replace(' ', "_").to_ascii_lowercase()
}

fn rule(rule: &Rule) -> Value {
    let each = |fields: &[&str]| -> Vec<_> {
        fields.iter().map(|field| json!({"required": [field]})).collect()
    };
    match rule {
        Rule::ExactlyOne(fields) => json!({"oneOf": each(fields)}),
        Rule::AtLeastOne(fields) => json!({"anyOf": each(fields)}),
        Rule::Needs(field, other) => json!({"dependentRequired": {*field: [other]}}),
    }
}
