//! How a chat begins: with a session that is there, with a new code, or with the other person's.

use otr::conversation::Files;
use otr::postbox::client::{Client, first_url};
use zeroize::Zeroizing;

use super::Args;
use crate::commands::{code, cover, meeting, stored, whom};
use crate::context::Context;
use crate::failure::{Code, Failure};
use crate::ui::notices;

/// What a chat begins with.
pub(super) struct Begun {
    pub(super) files: Files,
    pub(super) client: Client,
    /// For the other person.
    pub(super) code: Option<Zeroizing<String>>,
}

pub(super) fn begin(context: &Context, args: &Args) -> Result<Begun, Failure> {
    if let Some(code) = &args.code {
        return answer(context, args, code);
    }
    match context.open() {
        Ok(files) => go_on(args, files),
        Err(failure) if failure.code == Code::NoSession => invite(context, args, failure),
        Err(failure) => Err(failure),
    }
}

fn go_on(args: &Args, mut files: Files) -> Result<Begun, Failure> {
    let client = whom::client(&stored::take(&mut files)?.stage, &args.route)?;
    let Some(client) = client else {
        let hint =
            "use 'otr send' and 'otr recv', or begin another one: otr chat -s NAME --postbox URL";
        return Err(Failure::new(Code::Usage, "the session has no postbox", hint));
    };
    cover::check(&client, args.cover)?;
    Ok(Begun { files, client, code: None })
}

/// Lays an invite into the postbox.
fn invite(context: &Context, args: &Args, missing: Failure) -> Result<Begun, Failure> {
    let given = meeting::named(&args.postbox);
    let Some(postbox) = meeting::postbox(&context.origins, given, None, &args.route)? else {
        let hint = "to begin one, name a postbox with --postbox URL or OTR_POSTBOX; to answer, \
                    otr chat CODE";
        return Err(Failure { hint: hint.into(), ..missing });
    };
    let client = whom::connect(&postbox, &args.route)?;
    cover::check(&client, args.cover)?;
    let telling = whom::connect(first_url(&postbox), &args.route)?
        .telling(notices::of_postbox(context.voice));
    let mut files = context.prepare()?;
    let begun = meeting::begin(&telling, &postbox, None)?;
    let code = begun.shown();
    begun.keep(&mut files, false)?;
    Ok(Begun { files, client, code: Some(code) })
}

/// Answers the other person's.
fn answer(context: &Context, args: &Args, text: &str) -> Result<Begun, Failure> {
    // Before anything is typed or tried in vain.
    let mut files = context.prepare()?;
    let spoken = code::given(text)?;
    let connect = |url: &str| {
        let client = whom::connect(url, &args.route)?;
        cover::check(&client, args.cover)?;
        Ok(client.telling(notices::of_postbox(context.voice)))
    };
    // The postbox of the environment is for codes that name none.
    let typed = meeting::named(&args.postbox).filter(|_| context.origins.was_typed("postbox"));
    let found = meeting::find((typed.as_deref(), false), &spoken, connect)?;
    found.answer(&mut files, &spoken, false)?;
    go_on(args, files)
}
