//! What a client that calls the postbox itself has to ask it for, and to have it discard.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use otr::protocol::session::Session;
use serde_json::json;
use zeroize::Zeroizing;

use crate::commands::expect as asked;
use crate::commands::rpc::call::{Call, Done, wrong};

pub(super) fn expect(call: &Call) -> Done {
    let count = call.params.number("count").unwrap_or(1);
    let tokens = asked::tokens(&call.context, u32::try_from(count).unwrap_or(u32::MAX))?;
    let tokens: Vec<_> = tokens.iter().map(|token| asked::line(token)).collect();
    Ok(json!({ "tokens": tokens }))
}

/// A record comes again until the client says that it was discarded: it may be killed before.
pub(super) fn spent(call: &Call) -> Done {
    let mut discarded = Zeroizing::new(Vec::new());
    for line in call.params.texts("discarded") {
        let record = URL_SAFE_NO_PAD.decode(line).ok().and_then(|bytes| bytes.try_into().ok());
        let Some(record) = record else {
            let hint = "give the lines of 'records' as they came";
            return Err(wrong("'discarded' holds a line that is no record", hint));
        };
        discarded.push(record);
    }
    let records = asked::spent(&call.context, |session: &mut Session| {
        session.forget_collected(&discarded);
        session.collected()
    })?;
    let records: Vec<_> = records.iter().map(|record| asked::line(record)).collect();
    Ok(json!({ "records": records }))
}
