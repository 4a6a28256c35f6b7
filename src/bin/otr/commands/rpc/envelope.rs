//! The envelope of JSON-RPC 2.0: what is a call, and how answers and errors are written.

use serde_json::{Map, Value, json};

use crate::failure::{Code, Failure};
use crate::ui::names;

/// The line is no JSON.
const PARSE: i64 = -32_700;
/// The JSON is no call.
const NO_CALL: i64 = -32_600;
/// There is no such method.
const NO_METHOD: i64 = -32_601;
/// The parameters are wrong: [`Code::Usage`].
pub(super) const PARAMS: i64 = -32_602;
/// A fault of otr.
const FAULT: i64 = -32_603;
/// The numbers of failures of the table begin below this.
pub(super) const FAILURES: i64 = -32_000;
/// The most calls in one batch.
pub(super) const BATCH: usize = 64;

/// A call.
pub(super) struct Call {
    /// What the answer will carry; `None` for a notification, which gets none.
    pub(super) id: Option<Value>,
    pub(super) method: String,
    pub(super) params: Map<String, Value>,
}

/// What is in a line: calls, or errors to answer in their place.
pub(super) enum Read {
    One(Result<Call, Value>),
    Batch(Vec<Result<Call, Value>>),
}

/// Reads a line.
pub(super) fn read(line: &[u8]) -> Read {
    match serde_json::from_slice(line) {
        Ok(Value::Array(all)) if all.is_empty() => {
            Read::One(Err(refused(&Value::Null, NO_CALL, "a batch without a call", "")))
        }
        Ok(Value::Array(all)) if all.len() > BATCH => {
            let what = format!("a batch of more than {BATCH} calls");
            Read::One(Err(refused(&Value::Null, NO_CALL, &what, "make several of it")))
        }
        Ok(Value::Array(all)) => Read::Batch(all.into_iter().map(call).collect()),
        Ok(one) => Read::One(call(one)),
        Err(error) => {
            // Its place, and nothing of the text.
            let what = format!("the line is no JSON, at column {}", error.column());
            Read::One(Err(refused(&Value::Null, PARSE, &what, "write each call on one line")))
        }
    }
}

/// The answer to a line that is too long.
pub(super) fn too_long(most: usize) -> Value {
    let what = format!("a line of more than {} MiB", most >> 20);
    let hint = "give what is long by its file, or by a descriptor";
    refused(&Value::Null, NO_CALL, &what, hint)
}

fn call(value: Value) -> Result<Call, Value> {
    let wrong = |id: &Value, what: &str| Err(refused(id, NO_CALL, what, ""));
    let Value::Object(mut members) = value else {
        return wrong(&Value::Null, "a call is an object");
    };
    let id = members.remove("id");
    let shown = id.clone().filter(|id| id.is_string() || id.is_number()).unwrap_or_default();
    if id.as_ref().is_some_and(|id| !id.is_null() && *id != shown) {
        return wrong(&Value::Null, "an id is a string or a number");
    }
    if members.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
        return wrong(&shown, "a call has \"jsonrpc\": \"2.0\"");
    }
    let Some(Value::String(method)) = members.remove("method") else {
        return wrong(&shown, "a call has a method, which is a string");
    };
    match members.remove("params") {
        None | Some(Value::Null) => Ok(Call { id, method, params: Map::new() }),
        Some(Value::Object(params)) => Ok(Call { id, method, params }),
        Some(_) => Err(refused(&shown, PARAMS, "parameters are given by name", "see rpc.discover")),
    }
}

/// The answer to a call of a method that is not there.
pub(super) fn no_method(id: &Value) -> Value {
    refused(id, NO_METHOD, "there is no such method", "rpc.discover lists them")
}

/// The answer to a call that ended before it was done.
pub(super) fn fault(id: &Value) -> Value {
    let error = Failure::new(Code::Failed, "the call has ended before it was done", "");
    answer(id, json!({ "error": object(&error, FAULT) }))
}

fn refused(id: &Value, number: i64, what: &str, hint: &'static str) -> Value {
    let error = Failure::new(Code::Usage, what.to_owned(), hint);
    answer(id, json!({ "error": object(&error, number) }))
}

/// The answer to a call that was done, or that failed.
pub(super) fn done(id: &Value, done: Result<Value, Failure>) -> Value {
    answer(
        id,
        match done {
            Ok(result) => json!({ "result": result }),
            Err(failure) => json!({ "error": error(&failure) }),
        },
    )
}

/// A failure as an error: a number for it, and the names of the table.
pub(super) fn error(failure: &Failure) -> Value {
    object(
        failure,
        match failure.code {
            Code::Usage => PARAMS,
            code => FAILURES - i64::from(code as u8),
        },
    )
}

fn object(failure: &Failure, number: i64) -> Value {
    let Failure { code, what, hint, .. } = failure;
    let mut data = json!({ "code": *code as u8, "name": code.name(), "hint": hint });
    if let Some(taken) = failure.taken {
        data["taken"] = taken.into();
    }
    if let Some(path) = &failure.file {
        names::put(&mut data, "file", path);
    }
    json!({ "code": number, "message": what, "data": data })
}

fn answer(id: &Value, mut rest: Value) -> Value {
    rest["jsonrpc"] = "2.0".into();
    rest["id"] = id.clone();
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(line: &str) -> (i64, Value) {
        match read(line.as_bytes()) {
            Read::One(Err(answer)) => {
                (answer["error"]["code"].as_i64().unwrap(), answer["id"].clone())
            }
            _ => panic!("{line} is taken"),
        }
    }

    #[test]
    fn what_is_no_call_is_refused_by_its_number() {
        let deep = "[".repeat(1000);
        for (line, number) in [
            ("{", PARSE),
            ("\u{1}", PARSE),
            (deep.as_str(), PARSE),
            ("[]", NO_CALL),
            ("7", NO_CALL),
            ("{}", NO_CALL),
            (r#"{"jsonrpc":"2.0","method":7}"#, NO_CALL),
            (r#"{"jsonrpc":"1.0","method":"status"}"#, NO_CALL),
            (r#"{"jsonrpc":"2.0","method":"status","id":{}}"#, NO_CALL),
        ] {
            assert_eq!(refusal(line), (number, Value::Null), "{line}");
        }
        let by_place = r#"{"jsonrpc":"2.0","method":"status","id":"a","params":[1]}"#;
        assert_eq!(refusal(by_place), (PARAMS, "a".into()));
        let many = format!("[{}1]", "1,".repeat(BATCH));
        assert_eq!(refusal(&many).0, NO_CALL);
    }

    #[test]
    fn a_call_keeps_its_id_and_a_notification_has_none() {
        for (id, kept) in
            [("", None), (r#","id":7"#, Some(7.into())), (r#","id":null"#, Some(Value::Null))]
        {
            let line = format!(r#"{{"jsonrpc":"2.0","method":"status"{id}}}"#);
            let Read::One(Ok(call)) = read(line.as_bytes()) else { panic!("{line}") };
            assert_eq!((call.id, call.method.as_str()), (kept, "status"));
        }
    }
}
