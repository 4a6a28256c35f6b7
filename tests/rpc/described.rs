//! The description of the interface, walked: every method does what it says with right parameters, and
//! refuses wrong ones by name.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::client::Rpc;
use crate::place::Place;
use crate::postbox::Postbox;

/// The methods, by their names.
fn methods(rpc: &mut Rpc) -> Map<String, Value> {
    let document = rpc.ok("rpc.discover", json!({}));
    assert_eq!(document["openrpc"], "1.3.2");
    let all = document["methods"].as_array().unwrap().iter();
    all.map(|method| (method["name"].as_str().unwrap().to_owned(), method.clone())).collect()
}

/// Whether a value is what a schema says.
fn fits(schema: &Value, value: &Value) -> bool {
    match schema["type"].as_str().unwrap() {
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => {
            let number = value.as_u64();
            let most = schema["maximum"].as_u64().unwrap_or(u64::MAX);
            number.is_some_and(|number| {
                number >= schema["minimum"].as_u64().unwrap() && number <= most
            })
        }
        "array" => {
            value.as_array().is_some_and(|all| all.iter().all(|one| fits(&schema["items"], one)))
        }
        "object" => {
            let Some(members) = value.as_object() else { return false };
            let Some(properties) = schema["properties"].as_object() else { return true };
            let required = schema["required"].as_array().unwrap();
            required.iter().all(|name| members.contains_key(name.as_str().unwrap()))
                && members.iter().all(|(name, value)| {
                    // What OpenRPC has besides is not ours to describe.
                    properties.get(name).is_some_and(|schema| fits(schema, value))
                })
        }
        other => panic!("{other}"),
    }
}

#[test]
fn wrong_parameters_are_refused_by_name() {
    let mut rpc = Rpc::start(&Place::new(), &[]);
    for (name, method) in methods(&mut rpc) {
        let params = method["params"].as_array().unwrap();
        let mut refused = |params: Value, of: &str| {
            let error = rpc.call(&name, params.clone()).expect_err(&name);
            assert_eq!(error["code"], -32602, "{name} {params}: {error}");
            assert_eq!(error["data"]["name"], "usage", "{name} {params}: {error}");
            assert!(error["message"].as_str().unwrap().contains(of), "{name} {params}: {error}");
        };
        refused(json!({ "no_such": 1 }), "no_such");
        let valid = |schema: &Value| match schema["type"].as_str().unwrap() {
            "string" => json!("x"),
            "boolean" => json!(true),
            _ => schema["minimum"].clone(),
        };
        let required: Map<String, Value> = params
            .iter()
            .filter(|param| param["required"] == true)
            .map(|param| (param["name"].as_str().unwrap().to_owned(), valid(&param["schema"])))
            .collect();
        for missing in required.keys() {
            let mut others = required.clone();
            others.remove(missing);
            refused(others.into(), missing);
        }
        for param in params {
            let (of, schema) = (param["name"].as_str().unwrap(), &param["schema"]);
            for wrong in [json!(-1), json!(1.5), json!([1]), json!({}), json!("x"), json!(true)] {
                if !fits(schema, &wrong) {
                    let mut given = required.clone();
                    given.insert(of.to_owned(), wrong);
                    refused(given.into(), of);
                }
            }
        }
    }
    // By place, and of no kind at all.
    rpc.write(br#"{"jsonrpc":"2.0","id":"a","method":"status","params":["a"]}"#);
    assert_eq!(rpc.line()["error"]["code"], -32602);
}

/// Calls methods and checks what they give.
struct Walk {
    rpc: Rpc,
    methods: Map<String, Value>,
    seen: BTreeSet<String>,
}

impl Walk {
    #[track_caller]
    fn checked(&mut self, method: &str, result: &Value) {
        let schema = &self.methods[method]["result"]["schema"];
        assert!(fits(schema, result), "{method}: {result} is not {schema}");
        self.seen.insert(method.to_owned());
    }

    #[track_caller]
    fn ok(&mut self, method: &str, params: Value) -> Value {
        let result = self.rpc.ok(method, params);
        self.checked(method, &result);
        result
    }
}

#[test]
fn every_method_does_what_it_says() {
    let (place, postbox) = (Place::new(), Postbox::start(&[]));
    let mut rpc = Rpc::start(&place, &["-s", "a"]);
    let methods = methods(&mut rpc);
    let mut walk = Walk { rpc, methods, seen: BTreeSet::new() };
    // 'a' and 'b' by the postbox,
    let invite = walk.ok("init", json!({ "postbox": postbox.url, "expires": 3600, "anew": true }));
    assert_eq!(walk.ok("init.again", json!({})), invite);
    walk.ok(
        "respond",
        json!({ "session": "b", "invite": invite["invite"], "postbox": postbox.url }),
    );
    walk.ok("respond.again", json!({ "session": "b", "yes": true }));
    walk.ok("accept", json!({ "wait": 20 }));
    // and 'c' and 'd' by hand, with a secret.
    let invite = walk.ok("init", json!({ "session": "c", "secret": "a word" }));
    let params = json!({ "session": "d", "invite": invite["invite"], "secret": "a word" });
    let reply = walk.ok("respond", params)["reply"].take();
    walk.ok("accept", json!({ "session": "c", "reply": reply }));
    let names = walk.ok("sessions", json!({}));
    assert_eq!(names, json!({ "sessions": ["a", "b", "c", "d"] }));
    walk.ok("status", json!({}));
    walk.ok("status", json!({ "session": "b", "ask": true }));
    walk.ok("send", json!({ "text": "hello", "retry": 5 }));
    walk.ok("flush", json!({}));
    walk.ok("subscribe", json!({ "session": "b", "credit": 1, "wait": 600 }));
    let message = walk.rpc.message();
    let id = walk.rpc.begin_ack(&message);
    let stored = walk.rpc.answer(id).unwrap();
    walk.checked("ack", &stored);
    walk.ok("unsubscribe", json!({ "subscription": message["subscription"] }));
    // By hand
    walk.ok("send", json!({ "session": "c", "text": "by hand" }));
    let again = walk.ok("resend", json!({ "session": "c" }));
    let seen = walk.ok("inspect", json!({ "packets": again["packets"][0] }));
    let seen = &seen["items"][0];
    assert_eq!((&seen["kind"], &seen["bytes"]), (&json!("packet"), &json!(4096)));
    let id = walk.rpc.begin(
        "receive",
        json!({ "tag": "t", "session": "d", "packets": again["packets"][0], "end": true }),
    );
    let message = walk.rpc.message();
    assert_eq!((&message["text"], &message["tag"]), (&json!("by hand"), &json!("t")));
    walk.rpc.ack(&message);
    let received = walk.rpc.answer(id).unwrap();
    walk.checked("receive", &received);
    let tokens = walk.ok("expect", json!({ "session": "d", "count": 2 }));
    assert!(!tokens["tokens"].as_array().unwrap().is_empty());
    walk.ok("expect.spent", json!({ "session": "d", "discarded": [] }));
    let wrong = json!({ "session": "d", "discarded": ["AAAA"] });
    assert_eq!(walk.rpc.fails("expect.spent", wrong).0, 2);
    let words = walk.ok("words", json!({}));
    assert_eq!(walk.ok("words", json!({ "session": "b" })), words);
    walk.ok("words.same", json!({}));
    walk.ok("verify.ask", json!({ "secret": "Rome", "question": "where?" }));
    walk.ok("subscribe", json!({ "session": "b", "until": "empty" }));
    assert_eq!(walk.rpc.told("event")["question"], "where?");
    walk.rpc.told("ended");
    walk.ok("verify.answer", json!({ "session": "b", "secret": "Rome" }));
    walk.ok("subscribe", json!({ "until": "empty" }));
    assert_eq!(walk.rpc.told("event")["verify"], "equal");
    walk.rpc.told("ended");
    let status = walk.ok("status", json!({ "session": "a" }));
    assert_eq!(status["sessions"][0]["authenticated"], json!(["words", "verify"]));
    // It moves away and back again,
    let line = walk.ok("export", json!({ "session": "d", "passphrase": "a long one" }));
    assert_eq!(walk.rpc.fails("words", json!({ "session": "d" })).0, 14);
    walk.ok("export.undo", json!({ "session": "d" }));
    walk.ok("export", json!({ "session": "d" }));
    let params = json!({ "session": "e", "line": line["line"], "passphrase": "another one" });
    assert_eq!(walk.rpc.fails("import", params).0, 4);
    walk.ok("import", json!({ "session": "e", "line": line["line"], "passphrase": "a long one" }));
    walk.ok("export.forget", json!({ "session": "d" }));
    // and all of it ends.
    let last = walk.ok("words.differ", json!({ "session": "c" }));
    walk.ok("receive", json!({ "session": "e", "packets": last["packets"][0] }));
    walk.ok("close", json!({ "by_hand": true }));
    walk.ok("close", json!({ "session": "b", "silent": true }));
    walk.ok("rpc.version", json!({}));
    let document = walk.rpc.ok("rpc.discover", json!({}));
    let schema = &walk.methods["rpc.discover"]["result"]["schema"];
    assert!(fits(schema, &document));
    walk.seen.insert("rpc.discover".to_owned());
    let all: BTreeSet<String> = walk.methods.keys().cloned().collect();
    assert_eq!(walk.seen, all, "every method was called");
}

/// The way by a code, and what a wrong one costs.
#[test]
fn a_code_opens_a_session_once() {
    let (place, postbox) = (Place::new(), Postbox::start(&[]));
    let mut rpc = Rpc::start(&place, &[]);
    assert_eq!(rpc.fails("init", json!({ "session": "a", "code": true })).0, 2);
    let made = rpc.ok("init", json!({ "session": "a", "code": true, "postbox": postbox.url }));
    let code = made["code"].as_str().unwrap();
    assert!(code.ends_with(&format!("@{}", postbox.url)), "{code}");
    assert_eq!(rpc.ok("respond", json!({ "session": "b", "code": code }))["posted"], true);
    assert_eq!(rpc.ok("accept", json!({ "session": "a" })), json!({ "secret": true }));
    assert_eq!(rpc.fails("respond", json!({ "session": "c", "code": code })).0, 8);
    let status = rpc.ok("status", json!({ "session": "a" }));
    assert_eq!(status["sessions"][0]["authenticated"], json!(["secret"]));
}
