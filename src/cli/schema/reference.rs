//! The reference tables of the policy language, as Markdown.

use portcullis_core::config::diagnostic::code;
use portcullis_core::config::grammar::{Field, Form, Kind, POLICY, Presence, Rule, Shape};

use crate::check::CODES;

/// Everything that the tables of the language hold: objects, forms of text, findings.
pub(super) fn lines() -> Vec<String> {
    let mut shapes = Vec::new();
    let mut forms = Vec::new();
    gather(&POLICY, &mut shapes, &mut forms);
    let mut lines = Vec::new();
    for shape in shapes {
        lines.extend(object(shape));
    }
    lines.extend(heading("Forms of text", "How texts are written, wherever a table names them."));
    lines.extend(table("Form", "Written as"));
    lines.extend(forms.iter().map(|form| format!("| {} | {} |", cell(form.name), cell(form.doc))));
    lines.extend(heading(
        "Findings about a policy",
        "The same words in `portcullis check`, in `envoy --mode validate` and in Envoy's log.",
    ));
    lines.extend(table("Code", "Meaning"));
    lines.extend(
        code::ALL.iter().map(|(name, meaning)| format!("| `{name}` | {} |", cell(meaning))),
    );
    lines.extend(heading("Findings about the file around it", "By `portcullis check` only."));
    lines.extend(table("Code", "What to do"));
    lines.extend(CODES.iter().map(|code| format!("| `{}` | {} |", code.name, cell(code.help))));
    lines
}

/// Every object and form below a shape, each once, in the order of the tables.
fn gather(shape: &'static Shape, shapes: &mut Vec<&'static Shape>, forms: &mut Vec<&'static Form>) {
    if shapes.iter().any(|known| known.name == shape.name) {
        return;
    }
    shapes.push(shape);
    for field in shape.fields {
        gather_kind(&field.kind, shapes, forms);
    }
}

fn gather_kind(
    kind: &'static Kind,
    shapes: &mut Vec<&'static Shape>,
    forms: &mut Vec<&'static Form>,
) {
    let mut add = |form: &'static Form| {
        if !forms.iter().any(|known| known.name == form.name) {
            forms.push(form);
        }
    };
    match kind {
        Kind::Bool | Kind::Integer { .. } | Kind::Scalar | Kind::Choice(_) | Kind::Day(_) => {}
        Kind::Text(form) => add(form),
        Kind::List(of) => gather_kind(of, shapes, forms),
        Kind::Map { names, of } => {
            add(names);
            gather_kind(of, shapes, forms);
        }
        Kind::Object(shape) => gather(shape, shapes, forms),
        Kind::Either { short, long } => {
            gather_kind(short, shapes, forms);
            gather(long, shapes, forms);
        }
    }
}

fn object(shape: &Shape) -> Vec<String> {
    let mut lines = heading(&title(shape.name), shape.doc);
    lines.extend([
        "| Field | Value | Left out | Meaning |".to_owned(),
        "| --- | --- | --- | --- |".to_owned(),
    ]);
    lines.extend(shape.fields.iter().map(row));
    let rules = shape.rules.iter().map(|rule| match rule {
        Rule::ExactlyOne(fields) => format!("Exactly one of {}.", list(fields)),
        Rule::AtLeastOne(fields) => format!("At least one of {}.", list(fields)),
        Rule::Needs(field, other) => format!("`{field}` needs `{other}` beside it."),
    });
    let rules = rules.collect::<Vec<_>>().join(" ");
    if !rules.is_empty() {
        lines.extend([String::new(), rules]);
    }
    lines
}

fn row(field: &Field) -> String {
    let left_out = match field.presence {
        Presence::Required => "an error".to_owned(),
        Presence::Optional => String::new(),
        Presence::Default(json) => format!("`{json}`"),
        Presence::From(other) => format!("as `{other}`"),
    };
    let words = words(&field.kind).map_or(String::new(), |words| format!(" {words}"));
    let meaning = cell(&format!("{}{words}", field.doc));
    format!(
        "| `{}` | {} | {} | {meaning} |",
        field.name,
        cell(&value(&field.kind)),
        cell(&left_out)
    )
}

fn value(kind: &Kind) -> String {
    match kind {
        Kind::Bool => "`true` or `false`".to_owned(),
        Kind::Integer { min, max } if min == max => format!("`{min}`"),
        Kind::Integer { min, max } => format!("a whole number, {min} to {max}"),
        Kind::Scalar => "a text, a number, `true` or `false`".to_owned(),
        Kind::Text(form) => form.name.to_owned(),
        Kind::Choice(choices) => {
            choices.iter().map(|c| format!("`{}`", c.word)).collect::<Vec<_>>().join(" or ")
        }
        Kind::Day(choices) => {
            let words: Vec<_> = choices.iter().map(|c| format!("`{}`", c.word)).collect();
            format!("{} or a whole number, 1 to 28", words.join(" or "))
        }
        Kind::List(of) => format!("list of: {}", value(of)),
        Kind::Map { names, of } => format!("map of {} to: {}", names.name, value(of)),
        Kind::Object(shape) => link(shape.name),
        Kind::Either { short, long } => format!("{} or {}", value(short), link(long.name)),
    }
}

/// What each word of a choice does.
fn words(kind: &Kind) -> Option<String> {
    match kind {
        Kind::Choice(choices) => {
            let each = choices.iter().map(|choice| format!("`{}`: {}", choice.word, choice.doc));
            Some(each.collect::<Vec<_>>().join(" "))
        }
        Kind::List(of) => words(of),
        Kind::Either { short, .. } => words(short),
        _ => None,
    }
}

fn link(name: &str) -> String {
    format!("[{name}](#{})", title(name).to_lowercase().replace(' ', "-"))
}

/// `a scope requirement` as `Scope requirement`.
fn title(name: &str) -> String {
    let bare = ["a ", "an ", "the "].iter().find_map(|article| name.strip_prefix(article));
    let mut letters = bare.unwrap_or(name).chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}

fn heading(title: &str, text: &str) -> Vec<String> {
    vec![String::new(), format!("### {title}"), String::new(), text.to_owned(), String::new()]
}

fn table(first: &str, second: &str) -> [String; 2] {
    [format!("| {first} | {second} |"), "| --- | --- |".to_owned()]
}

fn list(fields: &[&str]) -> String {
    fields.iter().map(|field| format!("`{field}`")).collect::<Vec<_>>().join(", ")
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}
