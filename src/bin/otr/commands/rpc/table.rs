//! What a method takes and gives. The checks of parameters come from this, and so does the description of
//! the interface.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use crate::failure::{Code, Failure};

/// What a value is.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// A text.
    Text,
    /// Bytes, in standard base64 with its padding.
    Base64,
    /// A whole number in these bounds.
    Whole(u64, u64),
    /// True or false.
    Flag,
    /// Texts.
    Texts,
    /// An object that is described where its name is told.
    Object,
    /// Several of them.
    Objects,
}

impl Kind {
    /// Whether a value is of this kind.
    fn has(self, value: &Value) -> bool {
        match self {
            Self::Text | Self::Base64 => value.is_string(),
            Self::Whole(least, most) => {
                value.as_u64().is_some_and(|number| (least..=most).contains(&number))
            }
            Self::Flag => value.is_boolean(),
            Self::Texts => value.as_array().is_some_and(|all| all.iter().all(Value::is_string)),
            Self::Object => value.is_object(),
            Self::Objects => value.as_array().is_some_and(|all| all.iter().all(Value::is_object)),
        }
    }

    fn words(self) -> String {
        match self {
            Self::Text => "a string".to_owned(),
            Self::Base64 => "a string in base64".to_owned(),
            Self::Whole(least, u64::MAX) => format!("a whole number from {least} on"),
            Self::Whole(least, most) => format!("a whole number from {least} to {most}"),
            Self::Flag => "true or false".to_owned(),
            Self::Texts => "an array of strings".to_owned(),
            Self::Object => "an object".to_owned(),
            Self::Objects => "an array of objects".to_owned(),
        }
    }

    /// Its JSON schema.
    pub(super) fn schema(self) -> Value {
        match self {
            Self::Text => json!({ "type": "string" }),
            Self::Base64 => json!({ "type": "string", "contentEncoding": "base64" }),
            Self::Whole(least, u64::MAX) => json!({ "type": "integer", "minimum": least }),
            Self::Whole(least, most) => {
                json!({ "type": "integer", "minimum": least, "maximum": most })
            }
            Self::Flag => json!({ "type": "boolean" }),
            Self::Texts => json!({ "type": "array", "items": { "type": "string" } }),
            Self::Object => json!({ "type": "object" }),
            Self::Objects => json!({ "type": "array", "items": { "type": "object" } }),
        }
    }
}

/// A parameter, or a member of a result.
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// Whether it has to be there.
    pub(super) must: bool,
    pub(super) about: &'static str,
}

/// One that has to be there.
pub(super) const fn must(name: &'static str, kind: Kind, about: &'static str) -> Field {
    Field { name, kind, must: true, about }
}

/// One that may be left out.
pub(super) const fn may(name: &'static str, kind: Kind, about: &'static str) -> Field {
    Field { name, kind, must: false, about }
}

/// How many characters of an unknown name are told.
const LONGEST_NAME: usize = 64;

/// The parameters of a call, which fit the table.
pub(super) struct Params(Map<String, Value>);

impl Params {
    /// Refuses what does not fit.
    pub(super) fn new(mut given: Map<String, Value>, fields: &[Field]) -> Result<Self, Failure> {
        given.retain(|_, value| !value.is_null());
        let unknown = given.keys().find(|name| !fields.iter().any(|field| field.name == **name));
        if let Some(name) = unknown {
            let mut known = String::new();
            for field in fields {
                let comma = if known.is_empty() { "" } else { ", " };
                let _ = write!(known, "{comma}{}", field.name);
            }
            let name: String = name.chars().take(LONGEST_NAME).collect();
            let hint = if known.is_empty() {
                "this method takes none".to_owned()
            } else {
                format!("known are {known}")
            };
            return Err(Failure::new(Code::Usage, format!("unknown parameter '{name}'"), hint));
        }
        for field in fields {
            match given.get(field.name) {
                None if field.must => {
                    let what = format!("the parameter '{}' is missing", field.name);
                    return Err(Failure::new(Code::Usage, what, field.about));
                }
                Some(value) if !field.kind.has(value) => {
                    let what = format!("'{}' is {}", field.name, field.kind.words());
                    return Err(Failure::new(Code::Usage, what, field.about));
                }
                _ => {}
            }
        }
        Ok(Self(given))
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str)
    }

    pub(super) fn number(&self, name: &str) -> Option<u64> {
        self.0.get(name).and_then(Value::as_u64)
    }

    /// Texts; none if they are left out.
    pub(super) fn texts(&self, name: &str) -> impl Iterator<Item = &str> {
        let all = self.0.get(name).and_then(Value::as_array);
        all.into_iter().flatten().filter_map(Value::as_str)
    }

    /// Whether a flag is there and true.
    pub(super) fn is_set(&self, name: &str) -> bool {
        self.0.get(name).and_then(Value::as_bool).unwrap_or_default()
    }
}
