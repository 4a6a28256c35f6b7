//! What a client reads: a line for each answer and each notification, those that are there together in one
//! write.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::ui::printable;

/// Where it goes. Who writes waits while the client does not read.
pub(super) struct Out {
    to: Mutex<Box<dyn Write + Send>>,
    closed: AtomicBool,
}

impl Out {
    pub(super) fn new(to: Box<dyn Write + Send>) -> Self {
        Self { to: Mutex::new(to), closed: AtomicBool::new(false) }
    }

    /// Writes a line; returns whether somebody is there to read it.
    pub(super) fn write(&self, line: &Value) -> bool {
        self.write_all(&text(line))
    }

    /// Writes lines.
    pub(super) fn write_all(&self, lines: &str) -> bool {
        let mut to = self.to.lock().unwrap_or_else(PoisonError::into_inner);
        let written = to.write_all(lines.as_bytes()).and_then(|()| to.flush());
        if written.is_err() {
            self.close();
        }
        written.is_ok()
    }

    /// Tells the client something for which it has not called.
    pub(super) fn tell(&self, method: &str, params: &Value) -> bool {
        self.write(&notification(method, params))
    }

    /// Nothing more is written: the client reads the end, whoever else still knows of it.
    pub(super) fn end(&self) {
        self.close();
        *self.to.lock().unwrap_or_else(PoisonError::into_inner) = Box::new(io::sink());
    }

    /// Nobody reads any more.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }
}

/// What a client is told without having called.
pub(super) fn notification(method: &str, params: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "method": method, "params": params })
}

/// A line of text, its newline included.
pub(super) fn text(line: &Value) -> Zeroizing<String> {
    let text = Zeroizing::new(line.to_string());
    let is_plain = text.bytes().all(|byte| byte.is_ascii() && byte != 0x7f);
    let mut shown = if is_plain { text } else { Zeroizing::new(printable::json(&text)) };
    shown.push('\n');
    shown
}
