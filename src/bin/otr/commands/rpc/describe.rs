//! The description of the interface, an `OpenRPC` document, from the table of its methods.

use serde_json::{Value, json};

use super::call::Method;
use super::envelope::{FAILURES, PARAMS};
use super::table::Field;
use crate::failure::Code;

/// What all of it has in common.
const ABOUT: &str = "\
JSON-RPC 2.0 on stdin and stdout of `otr rpc`, or at the Unix socket of `otr rpc --socket PATH`: one \
line of UTF-8 for each call, answer and notification.

## Calls

Parameters are given by name; one that is not known is refused. `session` names the session. Bytes are \
standard base64 with padding; times are whole seconds. Calls about one session run in the order in which \
a client makes them; all others run at the same time, so answers come in any order. Short messages that \
wait while an earlier one is on its way go out together, in one call of the postbox, and each has its own \
answer: so write calls without waiting for the answer to the one before. At most 32 calls of a \
client run or wait: then its next line is read when one of them is done. A line has at most 4 MiB, a \
batch at most 64 calls; a line that comes back has less than 8 MiB.

## Messages

After `subscribe`, and during `receive`, each part of a message comes as a notification `message`:

- `subscription`, `session`, and `tag` if the call had one
- `message`: its number, from 0; `offset`: where in it the part begins; `end`: whether the message ends \
with this part. A short message is one part, with offset 0. The parts of a message come in order, with no \
other message's in between.
- `bytes`: the length of the part; `text` if the part is a whole message of UTF-8, otherwise `base64`
- `file` instead of these, if the call has named a directory for `files` and the message has more than one \
part: the name of a new file with all of it (`file_base64` if that is not UTF-8). It is in its final place \
already, and `ack` says that you know of it.
- `authenticated`: how the other side was checked so far, as in `otr status`; empty if nobody has checked

`ack` it when it is in its final place. At most `credit` parts are out that were not acknowledged. Until \
then its packet stays in the postbox and its key in the session: after a kill at any moment it comes again \
to the next receiver, of any program or of `otr recv`. An acknowledgement that was answered is stored.

Other notifications need no acknowledgement. `event` has `event`: `opened` (the reply has come), \
`truncated` (no more of `message` will come; `file` has what came of it, if that went into one), `verify` (the result of a step of a check, as in `otr recv \
--json`), `closed` (during `receive`), `postbox_away`, `postbox_back`. `ended` is the last one of a subscription; `reason`: \
`closed` (by the other side), `enough`, `nothing_more`, `stopped`, or `failed` with `error`.

## Errors

The `code` of an error is -32700 (no JSON), -32600 (no call), -32601 (no such method), -32602 (wrong \
parameters, and all else that the command line ends with 2 for), or -32000 minus the exit code of the \
command line: -32015 is 15, busy. `data` has `code` and `name`, the exit code and its name in `man otr`, \
`hint`, what to do about it, and maybe `file`. For what sends, `data.taken` tells whether the message is \
stored and goes out later: only if it is false may it be sent again.";

/// The document.
pub(super) fn document(methods: &[Method]) -> Value {
    json!({
        "openrpc": "1.3.2",
        "info": {
            "title": "otr rpc",
            "version": "1",
            "description": ABOUT,
        },
        "methods": methods.iter().map(method).collect::<Vec<_>>(),
    })
}

fn method(method: &Method) -> Value {
    let params: Vec<_> = method.takes.iter().map(parameter).collect();
    json!({
        "name": method.name,
        "description": method.about,
        "paramStructure": "by-name",
        "params": params,
        "result": { "name": "result", "schema": result(method.gives) },
        "errors": errors(),
    })
}

fn described(field: &Field) -> Value {
    let mut schema = field.kind.schema();
    schema["description"] = field.about.into();
    schema
}

fn parameter(field: &Field) -> Value {
    json!({
        "name": field.name,
        "required": field.must,
        "schema": described(field),
    })
}

fn result(fields: &[Field]) -> Value {
    let properties: serde_json::Map<String, Value> =
        fields.iter().map(|field| (field.name.to_owned(), described(field))).collect();
    let required: Vec<_> =
        fields.iter().filter(|field| field.must).map(|field| field.name).collect();
    json!({ "type": "object", "properties": properties, "required": required })
}

/// Every method may fail in every way of the table.
fn errors() -> Vec<Value> {
    let failures = Code::ALL.into_iter().map(|code| {
        let number = match code {
            Code::Usage => PARAMS,
            code => FAILURES - i64::from(code as u8),
        };
        json!({ "code": number, "message": code.name() })
    });
    failures.collect()
}
