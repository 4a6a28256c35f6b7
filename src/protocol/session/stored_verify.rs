//! The stored form of a check of a secret: its part of a session's bytes.

use zeroize::Zeroizing;

use crate::protocol::authentication::pake::{SHARE, Scalar};
use crate::protocol::authentication::verify::{
    Answered, Asked, PENDING_MAX, Run, Started, Verification,
};
use crate::protocol::packet::frame::QUESTION_MAX;
use crate::protocol::session::stored::{put_option, put_run, take_option, take_run, take_secret};
use crate::protocol::wire::{Malformed, Reader, Sink};

impl Verification {
    pub(super) fn write(&self, out: &mut dyn Sink) {
        out.u32(self.own_attempt);
        out.u32(self.peer_attempt);
        out.u8(self.failures);
        out.flag(self.succeeded);
        out.flag(self.over);
        for frame in [&self.starter_pending, &self.answerer_pending] {
            put_option(out, frame.as_ref(), |frame, out| put_run(out, frame));
        }
        match &self.run {
            Run::None => out.u8(0),
            Run::Started(run) => {
                out.u8(1);
                out.put(&run.sid);
                out.put(&run.share);
                out.put(run.scalar.0.bytes());
                put_run(out, run.question.as_bytes());
            }
            Run::Asked(run) => {
                out.u8(2);
                out.put(&run.sid);
                out.put(&run.share);
                put_run(out, run.question.as_bytes());
            }
            Run::Answered(run) => {
                out.u8(3);
                out.put(run.expected.bytes());
            }
        }
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            own_attempt: reader.u32()?,
            peer_attempt: reader.u32()?,
            failures: reader.u8()?,
            succeeded: reader.flag()?,
            over: reader.flag()?,
            starter_pending: take_option(reader, take_frame)?,
            answerer_pending: take_option(reader, take_frame)?,
            run: match reader.u8()? {
                0 => Run::None,
                1 => Run::Started(Started {
                    sid: *reader.array()?,
                    share: *reader.array::<SHARE>()?,
                    scalar: Scalar(take_secret(reader)?),
                    question: take_question(reader)?,
                }),
                2 => Run::Asked(Asked {
                    sid: *reader.array()?,
                    share: *reader.array::<SHARE>()?,
                    question: take_question(reader)?,
                }),
                3 => Run::Answered(Answered { expected: take_secret(reader)? }),
                _ => return Err(Malformed),
            },
        })
    }
}

fn take_frame(reader: &mut Reader<'_>) -> Result<Zeroizing<Vec<u8>>, Malformed> {
    Ok(Zeroizing::new(take_run(reader, PENDING_MAX)?.to_vec()))
}

fn take_question(reader: &mut Reader<'_>) -> Result<Zeroizing<String>, Malformed> {
    let question = core::str::from_utf8(take_run(reader, QUESTION_MAX)?).map_err(|_| Malformed)?;
    Ok(Zeroizing::new(question.to_owned()))
}
