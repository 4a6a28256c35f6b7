//! The check of a secret between two ends, with loss, reordering, crossing and cheating.

use proptest::prelude::*;

use super::*;
use crate::protocol::authentication::verify::FAILURES_MAX;
use crate::protocol::packet::frame::{self, FrameError, VERIFY_HEAD};
use crate::protocol::ratchet::address_index::AddressIndex;
use crate::protocol::session::{Refusal, nothing_frames};
use crate::protocol::tests::support::{Seeded, answer, asleep, deliver, handshake, password, seal};

/// Both ends, I and R, after the opening.
fn pair(random: &mut Seeded) -> (Session, Session) {
    let (mut inviter, mut responder) = handshake(None, random);
    let opening = seal(&mut inviter, &nothing_frames(), random);
    deliver(&mut responder, &opening);
    (inviter, responder)
}

/// One run; returns what both ends learn, the starter first.
fn run(
    starter: &mut Session,
    answerer: &mut Session,
    secrets: [&str; 2],
    random: &mut Seeded,
) -> [Vec<Event>; 2] {
    let packet = starter.start_verify(&password(secrets[0]), "who?", random).unwrap();
    let asked = deliver(answerer, &packet).verify;
    assert_eq!(asked, [Event::Asked { question: Zeroizing::new("who?".to_owned()) }]);
    assert_eq!(answerer.question(), Some("who?"));
    let packet = answer(answerer, secrets[1], random).unwrap();
    let first = deliver(starter, &packet).verify;
    let packet = starter.seal_pending(random).unwrap().unwrap();
    assert_eq!(starter.seal_pending(random).unwrap(), None);
    [first, deliver(answerer, &packet).verify]
}

/// One packet could hold 95,053 frames, and the person was told of each.
#[test]
fn a_packet_holds_four_frames_at_most() {
    let random = &mut Seeded::numbered(70);
    let (mut inviter, responder) = pair(random);
    let stop = encode(true, 1, Step::Stop);
    let four = seal(&mut inviter, &stop.repeat(4), random);
    let five = seal(&mut inviter, &stop.repeat(5), random);
    let state = responder.to_stored_bytes();
    let refusal = responder.open(&mut AddressIndex::new(64), &mut five.clone(), None).err();
    assert_eq!(refusal, Some(Refusal::Frames(FrameError::TooManyVerify)));
    assert_eq!(*responder.to_stored_bytes(), *state);
    let mut responder = responder;
    assert_eq!(deliver(&mut responder, &four).verify, vec![Event::Dropped; 4]);
}

/// An answer that was stretched for one question is not sent for another.
#[test]
fn an_answer_belongs_to_one_question() {
    let random = &mut Seeded::numbered(71);
    let (mut inviter, mut responder) = pair(random);
    for question in ["first", "second"] {
        let packet = inviter.start_verify(&password("a"), question, random).unwrap();
        let before = responder.question_run().copied();
        deliver(&mut responder, &packet);
        if let Some(before) = before {
            let stale = password("a").stretch(&before).unwrap();
            let error = responder.answer_verify(&stale, random).err();
            assert_eq!(error, Some(VerifyError::AskedAnew));
            assert_eq!((responder.verify_failures(), responder.question()), (0, Some("second")));
        }
    }
    assert!(answer(&mut responder, "a", random).is_ok());
}

fn different(failures: u8) -> Vec<Event> {
    vec![Event::Different { failures }]
}

#[test]
fn both_learn_whether_the_secrets_are_equal() {
    let random = &mut Seeded::numbered(1);
    for inviter_starts in [true, false] {
        let (mut inviter, mut responder) = pair(random);
        let (starter, answerer) = if inviter_starts {
            (&mut inviter, &mut responder)
        } else {
            (&mut responder, &mut inviter)
        };
        let learnt = run(starter, answerer, ["a", "b"], random);
        assert_eq!(learnt, [different(1), different(1)]);
        assert!(!starter.authentication().any() && !answerer.authentication().any());
        let learnt = run(starter, answerer, ["caf\u{e9}", "cafe\u{301}\n"], random);
        assert_eq!(learnt, [vec![Event::Equal], vec![Event::Equal]]);
        assert!(starter.authentication().verified && answerer.authentication().verified);
        // A success takes back only its own failure.
        assert_eq!((starter.verify_failures(), answerer.verify_failures()), (1, 1));
        assert_eq!((starter.ending(), answerer.ending()), (Ending::GoesOn, Ending::GoesOn));
    }
}

#[test]
fn three_failures_in_both_roles_together_end_the_session() {
    let random = &mut Seeded::numbered(2);
    let (mut inviter, mut responder) = pair(random);
    run(&mut inviter, &mut responder, ["a", "b"], random);
    run(&mut responder, &mut inviter, ["a", "b"], random);
    assert_eq!(inviter.ending(), Ending::GoesOn);
    let packet = inviter.start_verify(&password("a"), "", random).unwrap();
    deliver(&mut responder, &packet);
    let packet = answer(&mut responder, "b", random).unwrap();
    assert_eq!(responder.ending(), Ending::GoesOn, "a right step 3 may still take it back");
    assert_eq!(deliver(&mut inviter, &packet).verify, different(3));
    inviter = asleep(inviter);
    assert_eq!(inviter.ending(), Ending::AfterPendingStep);
    assert_eq!(inviter.start_verify(&password("a"), "", random).err(), Some(VerifyError::Ended));
    let packet = inviter.seal_pending(random).unwrap().unwrap();
    assert_eq!(inviter.ending(), Ending::Now);
    assert_eq!(deliver(&mut responder, &packet).verify, different(3));
    assert_eq!(responder.ending(), Ending::Now);
    assert_eq!(asleep(responder).ending(), Ending::Now);
}

#[test]
fn an_answerer_that_is_never_told_the_result_counts_it() {
    let random = &mut Seeded::numbered(3);
    let (mut inviter, mut responder) = pair(random);
    for failures in 1..=3 {
        let packet = inviter.start_verify(&password("guess"), "", random).unwrap();
        let events = deliver(&mut responder, &packet).verify;
        if failures > 1 {
            assert_eq!(events[0], Event::Unfinished { failures: failures - 1 });
        }
        // The peer learns one guess's worth from this packet: the guess is already counted.
        answer(&mut responder, "secret", random).unwrap();
        assert_eq!(responder.verify_failures(), failures);
        responder = asleep(responder);
        assert_eq!(responder.ending(), Ending::GoesOn);
        assert_eq!(
            responder.start_verify(&password("x"), "", random).err(),
            Some(VerifyError::Waiting)
        );
    }
    let packet = inviter.start_verify(&password("guess"), "", random).unwrap();
    assert_eq!(deliver(&mut responder, &packet).verify, [Event::Unfinished { failures: 3 }]);
    assert_eq!(responder.ending(), Ending::Now);
    assert_eq!(answer(&mut responder, "x", random).err(), Some(VerifyError::Ended));
}

#[test]
fn of_two_that_cross_the_inviters_goes_on() {
    let random = &mut Seeded::numbered(4);
    let (mut inviter, mut responder) = pair(random);
    let by_responder = responder.start_verify(&password("a"), "mine", random).unwrap();
    let by_inviter = inviter.start_verify(&password("a"), "no, mine", random).unwrap();
    assert_eq!(deliver(&mut inviter, &by_responder).verify, [Event::Crossed]);
    let events = deliver(&mut responder, &by_inviter).verify;
    assert_eq!(events[0], Event::GaveWay);
    assert_eq!(responder.question(), Some("no, mine"));
    let packet = answer(&mut responder, "a", random).unwrap();
    assert_eq!(deliver(&mut inviter, &packet).verify, [Event::Equal]);
    let packet = inviter.seal_pending(random).unwrap().unwrap();
    assert_eq!(deliver(&mut responder, &packet).verify, [Event::Equal]);
    // The attempt that crossed is used up; the next one is higher.
    run(&mut responder, &mut inviter, ["a", "a"], random);
}

#[test]
fn a_pending_step_goes_out_with_the_next_one() {
    let random = &mut Seeded::numbered(5);
    let (mut inviter, mut responder) = pair(random);
    let packet = inviter.start_verify(&password("a"), "", random).unwrap();
    deliver(&mut responder, &packet);
    let packet = answer(&mut responder, "a", random).unwrap();
    deliver(&mut inviter, &packet);
    let mut inviter = asleep(inviter);
    assert!(inviter.has_pending_step());
    let packet = inviter.start_verify(&password("b"), "again?", random).unwrap();
    assert!(!inviter.has_pending_step());
    let events = deliver(&mut responder, &packet).verify;
    assert_eq!(events[0], Event::Equal);
    assert_eq!(responder.question(), Some("again?"));
    assert_eq!(responder.verify_failures(), 0);
}

/// A packet of `from` with one VERIFY frame of the attacker's choice.
fn frame_of(from: &mut Session, verify: &Verify, random: &mut Seeded) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame::put_verify(&mut bytes, verify);
    seal(from, &bytes, random)
}

#[test]
fn frames_that_belong_to_no_active_run_are_dropped() {
    let random = &mut Seeded::numbered(6);
    let (mut inviter, mut responder) = pair(random);
    let steps = || {
        [Step::Answer { share: [9; 32], mac: [0; 32] }, Step::Confirm { mac: [0; 32] }, Step::Stop]
    };
    let packet = responder.start_verify(&password("a"), "", random).unwrap();
    for (by_inviter, attempt) in [(true, 0), (true, 1), (false, 0), (false, 2), (true, u32::MAX)] {
        for step in steps() {
            let verify = Verify { started_by_inviter: by_inviter, attempt, step };
            let packet = frame_of(&mut inviter, &verify, random);
            assert_eq!(deliver(&mut responder, &packet).verify, [Event::Dropped]);
        }
    }
    // The active run still works.
    deliver(&mut inviter, &packet);
    let packet = answer(&mut inviter, "a", random).unwrap();
    assert_eq!(deliver(&mut responder, &packet).verify, [Event::Equal]);
    assert_eq!(responder.verify_failures(), 0);
}

#[test]
fn an_attempt_must_rise() {
    let random = &mut Seeded::numbered(7);
    let (mut inviter, mut responder) = pair(random);
    let first = inviter.start_verify(&password("a"), "old", random).unwrap();
    let second = inviter.start_verify(&password("a"), "new", random).unwrap();
    deliver(&mut responder, &second);
    assert_eq!(deliver(&mut responder, &first).verify, [Event::Dropped]);
    assert_eq!(responder.question(), Some("new"));
    let packet = answer(&mut responder, "a", random).unwrap();
    assert_eq!(deliver(&mut inviter, &packet).verify, [Event::Equal]);
}

/// An answer names the run by the highest attempt of the side that asked: an answer to an earlier
/// question would be sent under another run's name.
#[test]
fn a_stop_of_a_later_attempt_ends_an_earlier_run() {
    let random = &mut Seeded::numbered(72);
    for answered in [false, true] {
        let (mut inviter, mut responder) = pair(random);
        let packet = responder.start_verify(&password("a"), "", random).unwrap();
        deliver(&mut inviter, &packet);
        if answered {
            answer(&mut inviter, "a", random).unwrap();
        }
        let stop = Verify { started_by_inviter: false, attempt: 9, step: Step::Stop };
        let packet = frame_of(&mut responder, &stop, random);
        let events = deliver(&mut inviter, &packet).verify;
        if answered {
            assert!(matches!(events[..], [Event::Different { .. }]), "{events:?}");
            assert_eq!(inviter.verify_failures(), 1);
        } else {
            assert_eq!(events, [Event::Stopped]);
        }
        assert_eq!(inviter.question(), None);
        assert!(answer(&mut inviter, "a", random).is_err());
    }
}

const BAD_SHARES: [&str; 4] = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
];

fn bad_shares() -> impl Iterator<Item = [u8; 32]> {
    BAD_SHARES.iter().map(|hex| {
        core::array::from_fn(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap())
    })
}

#[test]
fn a_bad_share_in_step_1_is_answered_by_a_stop_and_counts_nothing() {
    let random = &mut Seeded::numbered(8);
    let (mut inviter, mut responder) = pair(random);
    for (attempt, share) in (1..).zip(bad_shares()) {
        let question = Zeroizing::new(String::new());
        let step = Step::Ask { share, question };
        let verify = Verify { started_by_inviter: true, attempt, step };
        let packet = frame_of(&mut inviter, &verify, random);
        assert_eq!(deliver(&mut responder, &packet).verify, [Event::BadShare]);
        assert_eq!(responder.question(), None);
        assert_eq!(responder.verify_failures(), 0);
        // Only the last one is pending, however many there were.
        responder = asleep(responder);
        assert!(responder.verify.answerer_pending.as_ref().unwrap().len() == VERIFY_HEAD);
    }
    let packet = responder.seal_pending(random).unwrap().unwrap();
    assert_eq!(deliver(&mut inviter, &packet).verify, [Event::Dropped]);
}

#[test]
fn a_bad_share_in_step_2_counts_as_wrong() {
    let random = &mut Seeded::numbered(9);
    for share in bad_shares() {
        let (mut inviter, mut responder) = pair(random);
        let packet = inviter.start_verify(&password("a"), "", random).unwrap();
        deliver(&mut responder, &packet);
        let step = Step::Answer { share, mac: [0; 32] };
        let verify = Verify { started_by_inviter: true, attempt: 1, step };
        let packet = frame_of(&mut responder, &verify, random);
        assert_eq!(deliver(&mut inviter, &packet).verify, different(1));
        assert!(inviter.has_pending_step());
    }
}

/// A peer that does not know the secret sends back what it received: the share, and the MAC.
#[test]
fn reflection_is_refused() {
    let random = &mut Seeded::numbered(10);
    let (mut inviter, mut responder) = pair(random);
    inviter.start_verify(&password("a"), "", random).unwrap();
    let Run::Started(started) = &inviter.verify.run else { panic!("it has started") };
    let (share, question) = (started.share, Zeroizing::new(String::new()));
    let step = Step::Ask { share, question };
    // This end's own step 1, sent back as the other side's question.
    let mut own = Vec::new();
    frame::put_verify(
        &mut own,
        &Verify { started_by_inviter: true, attempt: 1, step: step.clone() },
    );
    let mut packet = seal(&mut responder, &own, random);
    let mut index = crate::protocol::ratchet::address_index::AddressIndex::new(64);
    let refused = inviter.open(&mut index, &mut packet, None).err();
    assert_eq!(refused, Some(crate::protocol::session::Refusal::Verify));
    // This end's own share as the answer, with any MAC.
    let step = Step::Answer { share, mac: [0; 32] };
    let verify = Verify { started_by_inviter: true, attempt: 1, step };
    let packet = frame_of(&mut responder, &verify, random);
    assert_eq!(deliver(&mut inviter, &packet).verify, different(1));

    // The answerer's MAC, sent back as the starter's.
    let packet = responder.start_verify(&password("guess"), "", random).unwrap();
    deliver(&mut inviter, &packet);
    let packet = answer(&mut inviter, "secret", random).unwrap();
    let frames = crate::protocol::tests::support::open(&responder, &packet).frames.verify.clone();
    // A stop of the previous run precedes it.
    let Step::Answer { mac, .. } = frames[1].step else { panic!("it is an answer") };
    deliver(&mut responder, &packet);
    let attempt = frames[1].attempt;
    let verify = Verify { started_by_inviter: false, attempt, step: Step::Confirm { mac } };
    let packet = frame_of(&mut responder, &verify, random);
    assert_eq!(deliver(&mut inviter, &packet).verify, different(2));
}

/// The man in the middle has a session with each side, and forwards the frames.
#[test]
fn a_relay_between_two_sessions_learns_that_they_differ() {
    let random = &mut Seeded::numbered(11);
    let (mut inviter, mut to_inviter) = pair(random);
    let (mut to_responder, mut responder) = pair(random);
    let packet = inviter.start_verify(&password("same"), "", random).unwrap();
    let ask = crate::protocol::tests::support::open(&to_inviter, &packet).frames.verify[0].clone();
    deliver(&mut to_inviter, &packet);
    let packet = frame_of(&mut to_responder, &ask, random);
    deliver(&mut responder, &packet);
    let packet = answer(&mut responder, "same", random).unwrap();
    let answer =
        crate::protocol::tests::support::open(&to_responder, &packet).frames.verify[0].clone();
    deliver(&mut to_responder, &packet);
    let packet = frame_of(&mut to_inviter, &answer, random);
    assert_eq!(deliver(&mut inviter, &packet).verify, different(1));
    assert!(!inviter.authentication().any());
}

#[test]
fn another_question_or_secret_gives_no_agreement() {
    let random = &mut Seeded::numbered(12);
    let (mut inviter, mut responder) = pair(random);
    let packet = inviter.start_verify(&password("a"), "asked", random).unwrap();
    deliver(&mut responder, &packet);
    let Run::Asked(asked) = &mut responder.verify.run else { panic!("it was asked") };
    asked.question = Zeroizing::new("shown".to_owned());
    let packet = answer(&mut responder, "a", random).unwrap();
    assert_eq!(deliver(&mut inviter, &packet).verify, different(1));
}

#[test]
fn questions_have_bounds() {
    let random = &mut Seeded::numbered(13);
    let (mut inviter, mut responder) = pair(random);
    let longest = "?".repeat(QUESTION_MAX);
    let error = inviter.start_verify(&password("a"), &format!("{longest}?"), random).err();
    assert_eq!(error, Some(VerifyError::QuestionTooLong));
    // The longest one fits next to the pending steps and the opening.
    inviter.verify.starter_pending = Some(encode(true, 9, Step::Confirm { mac: [0; 32] }));
    inviter.verify.answerer_pending = Some(encode(false, 9, Step::Stop));
    let packet = inviter.start_verify(&password("a"), &longest, random).unwrap();
    deliver(&mut responder, &packet);
    assert_eq!(responder.question(), Some(&*longest));
}

#[test]
fn a_question_that_is_not_utf_8_is_refused() {
    let random = &mut Seeded::numbered(14);
    let (mut inviter, responder) = pair(random);
    let question = Zeroizing::new("?".to_owned());
    let step = Step::Ask { share: [2; 32], question };
    let mut bytes = encode(true, 1, step);
    *bytes.last_mut().unwrap() = 0xff;
    let mut packet = seal(&mut inviter, &bytes, random);
    let mut index = crate::protocol::ratchet::address_index::AddressIndex::new(64);
    assert!(responder.open(&mut index, &mut packet, None).is_err());
}

/// What a person or the network may do next.
#[derive(Clone, Copy, Debug)]
enum Act {
    Start(usize),
    Answer(usize),
    Pending(usize),
    /// Delivers the packet at this index among those that wait for that side, or loses it.
    Deliver(usize, usize),
    Lose(usize, usize),
    Sleep(usize),
}

fn act() -> impl Strategy<Value = Act> {
    let side = 0..2_usize;
    prop_oneof![
        2 => side.clone().prop_map(Act::Start),
        3 => side.clone().prop_map(Act::Answer),
        3 => side.clone().prop_map(Act::Pending),
        6 => (side.clone(), 0..3_usize).prop_map(|(side, at)| Act::Deliver(side, at)),
        1 => (side.clone(), 0..3_usize).prop_map(|(side, at)| Act::Lose(side, at)),
        1 => side.prop_map(Act::Sleep),
    ]
}

/// Two people, I and R, and the packets on their way to each.
struct Schedule {
    ends: [Option<Session>; 2],
    wires: [Vec<Vec<u8>>; 2],
    secrets: [&'static str; 2],
    answers: [u8; 2],
    random: Seeded,
}

impl Schedule {
    fn new(equal: bool, seed: u64) -> Self {
        let mut random = Seeded::numbered(seed);
        let (inviter, responder) = pair(&mut random);
        Self {
            ends: [Some(inviter), Some(responder)],
            wires: [Vec::new(), Vec::new()],
            secrets: ["right", if equal { "right" } else { "wrong" }],
            answers: [0, 0],
            random,
        }
    }

    /// Performs the act; returns the events.
    fn act(&mut self, act: Act) -> Vec<Event> {
        let (Act::Start(side)
        | Act::Answer(side)
        | Act::Pending(side)
        | Act::Deliver(side, _)
        | Act::Lose(side, _)
        | Act::Sleep(side)) = act;
        let end = self.ends[side].as_mut().unwrap();
        match act {
            Act::Start(_) => {
                let packet = end.start_verify(&password(self.secrets[side]), "", &mut self.random);
                self.wires[1 - side].extend(packet.map(Vec::from));
            }
            Act::Answer(_) => {
                if let Ok(packet) = answer(end, self.secrets[side], &mut self.random) {
                    self.answers[side] += 1;
                    self.wires[1 - side].push(packet);
                }
            }
            Act::Pending(_) => {
                let packet = end.seal_pending(&mut self.random).unwrap();
                self.wires[1 - side].extend(packet.map(Vec::from));
            }
            Act::Lose(_, at) if at < self.wires[side].len() => {
                self.wires[side].remove(at);
            }
            Act::Deliver(_, at) if at < self.wires[side].len() => {
                let packet = self.wires[side].remove(at);
                return deliver(end, &packet).verify;
            }
            Act::Sleep(_) => self.ends[side] = self.ends[side].take().map(asleep),
            Act::Lose(..) | Act::Deliver(..) => {}
        }
        Vec::new()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..Default::default() })]

    /// Whatever is lost, late or crosses: a side reports "equal" only for equal secrets, a side
    /// answers a peer with another secret at most three times, and the session is over exactly when
    /// three failures stand and none can be taken back.
    #[test]
    fn no_schedule_gives_more_guesses(
        acts in proptest::collection::vec(act(), 1..80), equal: bool, seed: u64,
    ) {
        let mut schedule = Schedule::new(equal, seed);
        for act in acts {
            let events = schedule.act(act);
            prop_assert!(equal || !events.contains(&Event::Equal));
            for (end, answers) in schedule.ends.iter().flatten().zip(schedule.answers) {
                prop_assert!(equal || answers <= end.verify_failures());
                prop_assert!(end.verify_failures() <= FAILURES_MAX);
                let waits = matches!(end.verify.run, Run::Answered(_));
                let stands = end.verify_failures() == FAILURES_MAX && !waits;
                prop_assert_eq!(end.ending() != Ending::GoesOn, stands);
            }
        }
    }
}
