//! Attacks on authentication, driven through the core: a man in the middle, a relay that guesses,
//! replies made to test many secrets, commitments opened twice.

use crate::protocol::authentication::nameplate::{Code, CodeError, Nameplate, NameplateError};
use crate::protocol::authentication::password::Password;
use crate::protocol::authentication::words;
use crate::protocol::handshake::invite::Invite;
use crate::protocol::handshake::{Invitation, Inviting, ReplyError, RespondError, respond};
use crate::protocol::ratchet::address_index::AddressIndex;
use crate::protocol::session::{Opening, Part, Refusal, SealError, Session, nothing_frames};
use crate::protocol::tests::support::{
    Seeded, asleep, asleep_inviting, deliver, handshake, password, seal,
};

/// Legs on each side of the man in the middle.
const LEGS: usize = 200;
/// How many bits two people compare here, in place of 44.
const CUT: u32 = 12;

fn nonce(session: &Session) -> &[u8; 32] {
    let (Opening::Own(nonce) | Opening::Came(nonce)) = &session.opening else {
        panic!("the commitment was not opened");
    };
    nonce.bytes()
}

/// What a person reads out, shortened to [`CUT`] bits.
fn cut(nonce: &[u8; 32], session: &Session) -> u64 {
    u64::from_be_bytes(*words::material(nonce, &session.words).bytes()) >> (64 - CUT)
}

/// A handshake with the inviter's first packet delivered: the inviter's end, then the other one.
fn leg(random: &mut Seeded) -> (Session, Session) {
    let (mut inviter, mut responder) = handshake(None, random);
    let packet = seal(&mut inviter, &nothing_frames(), random);
    deliver(&mut responder, &packet);
    assert_eq!(inviter.words(), responder.words());
    (inviter, responder)
}

/// The man in the middle answers I's invite and gives R his own invite. He makes 200 handshakes
/// with each side, and each pair of them is one run. Any two runs are independent (they share at
/// most one side's words), so the mean is 40,000 / 4,096 ≈ 9.8 and the deviation 3.1, as for runs
/// that share nothing. His invite commits to a nonce of his own, or copies I's commitment, to be
/// opened with I's nonce once that has arrived.
#[test]
fn in_forty_thousand_runs_a_man_in_the_middle_finds_twelve_bits_equal_about_ten_times() {
    let random = &mut Seeded::numbered(2026);
    let inviters: Vec<Session> = (0..LEGS).map(|_| leg(random).0).collect();
    let responders: Vec<Session> = (0..LEGS).map(|_| leg(random).1).collect();
    let own: Vec<u64> = responders.iter().map(|end| cut(nonce(end), end)).collect();
    let (mut agree, mut agree_copied) = (0, 0);
    for inviter in &inviters {
        let words = cut(nonce(inviter), inviter);
        agree += own.iter().filter(|other| **other == words).count();
        let copied = responders.iter().map(|end| cut(nonce(inviter), end));
        agree_copied += copied.filter(|other| *other == words).count();
    }
    for agree in [agree, agree_copied] {
        assert!((2..=22).contains(&agree), "{agree} of {} agree", LEGS * LEGS);
    }
}

/// The man in the middle copies I's commitment into his own invite and opens it with I's nonce: R
/// accepts it, and the words differ all the same.
#[test]
fn a_copied_commitment_gives_other_words() {
    let random = &mut Seeded::numbered(6);
    let (inviter, _) = leg(random);
    let mut his = Inviting::new(Invitation::default(), 0, random).unwrap();
    let mut invite = Invite::parse(his.invite()).unwrap();
    invite.commitment = crate::protocol::handshake::invite::commitment(nonce(&inviter));
    his.invite = invite.to_bytes();
    his.nonce.bytes_mut().copy_from_slice(nonce(&inviter));
    let (mut responder, reply) = respond(his.invite(), None, 0, random).unwrap();
    let opened = his.open(&reply).unwrap();
    let mut his = his.accept(opened, 0).unwrap();
    let packet = seal(&mut his, &nothing_frames(), random);
    deliver(&mut responder, &packet);
    assert_eq!(nonce(&inviter), nonce(&responder));
    assert_ne!(inviter.words().unwrap(), responder.words().unwrap());
}

/// If nothing bound the same man to the nonce of his invite, he would search until the words agree.
/// So the test above can fail; and R refuses the nonce that he then opens.
#[test]
fn a_nonce_that_was_searched_for_afterwards_would_agree_and_is_refused() {
    let random = &mut Seeded::numbered(7);
    let (inviter, _) = leg(random);
    let (mut his, mut responder) = handshake(None, random);
    let wanted = cut(nonce(&inviter), &inviter);
    let searched = (0..u64::MAX).find(|number| {
        let Opening::Own(searched) = &mut his.opening else { panic!("he made the invite") };
        searched.bytes_mut()[..8].copy_from_slice(&number.to_be_bytes());
        cut(nonce(&his), &his) == wanted
    });
    assert!(searched.unwrap() < 1 << 17, "found quickly");
    let packet = seal(&mut his, &nothing_frames(), random);
    let mut bytes = packet.clone();
    let refused = responder.open(&mut AddressIndex::new(64), &mut bytes, None).err();
    assert_eq!(refused, Some(Refusal::CommitmentBroken));
    assert!(responder.words().is_err());
    assert!(responder.record_same_words().is_err());
    responder = asleep(responder);
    assert!(!responder.authentication().any());
}

#[test]
fn words_are_the_same_on_both_ends_and_are_recorded() {
    let random = &mut Seeded::numbered(8);
    let (inviter, mut responder) = leg(random);
    assert!(!responder.authentication().any());
    responder.record_same_words().unwrap();
    let responder = asleep(responder);
    assert!(responder.authentication().words && responder.authentication().any());
    assert_eq!(inviter.words().unwrap(), responder.words().unwrap());
    let (other, _) = leg(random);
    assert_ne!(inviter.words().unwrap(), other.words().unwrap());
}

fn inviting(secret: &str, random: &mut Seeded) -> Inviting {
    Inviting::new(
        Invitation { secret: Some(&password(secret)), ..Invitation::default() },
        0,
        random,
    )
    .unwrap()
}

fn reply(invite: &[u8], secret: &str, random: &mut Seeded) -> (Session, Vec<u8>) {
    respond(invite, Some(&password(secret)), 0, random).unwrap()
}

/// The relay has the invite, replaces both directions, and does not know the secret.
#[test]
fn a_man_in_the_middle_without_the_secret_is_refused_on_both_sides() {
    let random = &mut Seeded::numbered(20);
    let mut inviter = inviting("apple", random);
    let (_, guessed) = reply(inviter.invite(), "guess", random);
    let opened = inviter.open(&guessed).unwrap();
    assert_eq!(inviter.accept(opened, 0).err(), Some(ReplyError::NotAuthentic));

    let mut his = inviting("guess", random);
    let (responder, good) = reply(his.invite(), "apple", random);
    let opened = his.open(&good).unwrap();
    assert_eq!(his.accept(opened, 0).err(), Some(ReplyError::NotAuthentic));
    // Nobody has proved anything to R, so R sends no text.
    assert!(!responder.authentication().any() && !responder.may_send_text());
}

#[test]
fn an_invite_gives_one_guess_even_if_the_process_is_killed() {
    let random = &mut Seeded::numbered(21);
    let mut inviter = inviting("apple", random);
    let replies: Vec<Vec<u8>> = ["pear", "plum", "apple"]
        .iter()
        .map(|guess| reply(inviter.invite(), guess, random).1)
        .collect();
    // Anyone can post junk there; it costs no guess.
    let mut junk = replies[0].clone();
    junk[5000] ^= 1;
    assert_eq!(inviter.open(&junk).err(), Some(ReplyError::Junk));
    assert!(!inviter.is_spent());

    let opened = inviter.open(&replies[0]).unwrap();
    let mut stored = asleep_inviting(inviter);
    assert!(stored.is_spent() && stored.asks_for_secret());
    // The process is killed here, and again after each try.
    for other in &replies[1..] {
        assert_eq!(stored.open(other).err(), Some(ReplyError::Second));
    }
    assert_eq!(stored.accept(opened, 0).err(), Some(ReplyError::NotAuthentic));
    let opened = stored.open(&replies[0]).unwrap();
    assert_eq!(stored.accept(opened, 0).err(), Some(ReplyError::NotAuthentic));
}

#[test]
fn a_good_reply_may_be_tried_again_after_a_crash() {
    let random = &mut Seeded::numbered(22);
    let mut inviter = inviting("apple", random);
    let (mut responder, good) = reply(inviter.invite(), "apple", random);
    let _ = inviter.open(&good).unwrap();
    let mut stored = asleep_inviting(inviter);
    let opened = stored.open(&good).unwrap();
    let mut session = asleep(stored.accept(opened, 0).unwrap());
    assert!(session.authentication().secret);
    let packet = seal(&mut session, &nothing_frames(), random);
    deliver(&mut responder, &packet);
    let responder = asleep(responder);
    assert!(responder.authentication().secret && responder.may_send_text());
}

/// A state does not try a reply that another state opened.
#[test]
fn a_reply_must_be_opened_by_the_state_that_accepts_it() {
    let random = &mut Seeded::numbered(23);
    let mut inviter = inviting("apple", random);
    let copy = asleep_inviting(asleep_copy(&mut inviter));
    let (_, good) = reply(inviter.invite(), "apple", random);
    let opened = inviter.open(&good).unwrap();
    assert_eq!(copy.accept(opened, 0).err(), Some(ReplyError::Second));
}

fn asleep_copy(inviting: &mut Inviting) -> Inviting {
    let taken = core::mem::replace(inviting, self::inviting("x", &mut Seeded::numbered(0)));
    let bytes = crate::protocol::session::stored::Stage::Inviting(Box::new(taken)).to_bytes(false);
    let wake = || match crate::protocol::session::stored::Stored::from_bytes(&bytes).unwrap().stage
    {
        crate::protocol::session::stored::Stage::Inviting(inviting) => *inviting,
        crate::protocol::session::stored::Stage::Session(_) => {
            panic!("it went to sleep as an invite")
        }
    };
    *inviting = wake();
    wake()
}

/// A relay sends I's own share back as R's: it does not know the key.
#[test]
fn the_inviters_share_reflected_is_refused() {
    let random = &mut Seeded::numbered(24);
    let mut inviter = inviting("apple", random);
    let share = Invite::parse(inviter.invite()).unwrap().cpace_share.unwrap();
    let (_, guessed) = reply(inviter.invite(), "guess", random);
    let invite = Invite::parse(inviter.invite()).unwrap();
    let fields =
        crate::protocol::handshake::reply::open(inviter.invite(), &invite.reply_address, &guessed)
            .unwrap();
    let fields = crate::protocol::handshake::reply::ReplyFields { last_field: share, ..fields };
    let reflected = crate::protocol::handshake::reply::seal(
        inviter.invite(),
        &invite.reply_address,
        &[3; 32],
        &fields,
    );
    let opened = inviter.open(&reflected).unwrap();
    assert_eq!(inviter.accept(opened, 0).err(), Some(ReplyError::NotAuthentic));
}

/// A reply whose packet 0 opens under two secrets would test both at once. Its address is a hash
/// that depends on the secret, so at most one secret can fit: every other one is refused before any
/// AEAD is tried.
#[test]
fn a_reply_tests_one_secret() {
    let random = &mut Seeded::numbered(25);
    let secrets = ["apple", "pear", "plum", "cherry"];
    let addresses: Vec<Vec<u8>> = secrets
        .iter()
        .map(|secret| {
            // The same invite and the same values of R: only the secret differs.
            let inviter = inviting("apple", &mut Seeded::numbered(26));
            let (_, reply) = reply(inviter.invite(), secret, &mut Seeded::numbered(27));
            let invite = Invite::parse(inviter.invite()).unwrap();
            let fields = crate::protocol::handshake::reply::open(
                inviter.invite(),
                &invite.reply_address,
                &reply,
            )
            .unwrap();
            fields.packet_0[..32].to_vec()
        })
        .collect();
    for (at, address) in addresses.iter().enumerate() {
        assert!(!addresses[at + 1..].contains(address));
    }
    // The packet of a right guess under the address of another one is refused.
    let mut inviter = inviting("apple", random);
    let (_, good) = reply(inviter.invite(), "apple", random);
    let invite = Invite::parse(inviter.invite()).unwrap();
    let mut fields =
        crate::protocol::handshake::reply::open(inviter.invite(), &invite.reply_address, &good)
            .unwrap();
    fields.packet_0[..32].copy_from_slice(&addresses[1]);
    let mixed = crate::protocol::handshake::reply::seal(
        inviter.invite(),
        &invite.reply_address,
        &[4; 32],
        &fields,
    );
    let opened = inviter.open(&mixed).unwrap();
    assert_eq!(inviter.accept(opened, 0).err(), Some(ReplyError::NotAuthentic));
}

/// A relay cannot check a guess against what it records: another secret gives another transcript of
/// the same form, and the shares are points like any other.
#[test]
fn a_wrong_secret_gives_invites_and_replies_of_the_same_form() {
    let lengths = |secret: &str| {
        let random = &mut Seeded::numbered(28);
        let inviter = inviting(secret, random);
        let (_, reply) = reply(inviter.invite(), secret, random);
        assert!(crate::protocol::authentication::pake::is_valid_share(
            &Invite::parse(inviter.invite()).unwrap().cpace_share.unwrap()
        ));
        (inviter.invite().len(), reply.len())
    };
    assert_eq!(lengths("a"), lengths(&"b".repeat(1024)));
}

#[test]
fn the_flag_taken_off_or_put_on_is_refused() {
    let random = &mut Seeded::numbered(29);
    let with = inviting("apple", random);
    let without = Inviting::new(Invitation::default(), 0, random).unwrap();
    let secret = password("apple");
    let error = |invite: &[u8], secret: Option<&Password>| {
        respond(invite, secret, 0, &mut Seeded::numbered(30)).err()
    };
    assert_eq!(error(without.invite(), Some(&secret)), Some(RespondError::SecretTakenOff));
    assert_eq!(error(with.invite(), None), Some(RespondError::SecretAsked));
    assert_eq!(error(with.invite(), Some(&secret)), None);
    // The flag was removed from an invite that has also expired: the worse news is reported first.
    let mut stripped = Invite::parse(with.invite()).unwrap();
    stripped.cpace_share = None;
    stripped.expires = Some(1);
    let error = respond(&stripped.to_bytes(), Some(&secret), 2, random).err();
    assert_eq!(error, Some(RespondError::SecretTakenOff));
}

/// With a secret, R's text waits for I's first packet, but cover traffic does not.
#[test]
fn the_answering_side_sends_no_text_before_it_is_confirmed() {
    let random = &mut Seeded::numbered(31);
    for secret in [None, Some("apple")] {
        let (mut inviter, responder) = handshake(secret, random);
        let mut responder = asleep(responder);
        assert_eq!(responder.may_send_text(), secret.is_none());
        let text = |responder: &mut Session, random: &mut Seeded| {
            let mut reservation = responder.reserve(1, random).unwrap();
            let part = Part { message: 0, offset: 0, end: true, length: 2 };
            reservation.seal_part(&mut [0; 4096], part, random).map(drop)
        };
        let expected = if secret.is_some() { Err(SealError::Unconfirmed) } else { Ok(()) };
        assert_eq!(text(&mut responder, random), expected);
        let cover = seal(&mut responder, &nothing_frames(), random);
        deliver(&mut inviter, &cover);
        assert!(!responder.may_send_text() || secret.is_none());
        let packet = seal(&mut inviter, &nothing_frames(), random);
        deliver(&mut responder, &packet);
        assert_eq!(text(&mut responder, random), Ok(()));
    }
}

#[test]
fn codes_as_people_type_them() {
    let code = Code::parse(" 417-Guitar-VANISH\n").unwrap();
    assert_eq!((code.text(), code.number()), ("417-guitar-vanish", 417));
    assert_eq!(code.secret().unwrap().bytes(), b"417-guitar-vanish");
    for (text, error) in [
        ("", CodeError::Shape),
        ("417", CodeError::Shape),
        ("417-guitar", CodeError::Shape),
        ("417-guitar-vanish-", CodeError::Shape),
        ("417 guitar vanish", CodeError::Shape),
        ("99-guitar-vanish", CodeError::Number),
        ("0417-guitar-vanish", CodeError::Number),
        ("1000000000-guitar-vanish", CodeError::Number),
        ("99999999999999999999-guitar-vanish", CodeError::Number),
        ("-417-guitar", CodeError::Number),
        ("+417-guitar-vanish", CodeError::Number),
        ("\u{664}\u{661}\u{667}-guitar-vanish", CodeError::Number),
        ("417-guitarr-vanish", CodeError::UnknownWord(1)),
        ("417-guitar-", CodeError::UnknownWord(2)),
        ("417-guitar-vanich", CodeError::UnknownWord(2)),
    ] {
        assert_eq!(Code::parse(text).err(), Some(error), "{text}");
    }
}

#[test]
fn codes_at_random() {
    let random = &mut Seeded::numbered(40);
    for digits in 0..12_u32 {
        for _ in 0..20 {
            let code = Code::generate(digits, random).unwrap();
            let parsed = Code::parse(code.text()).unwrap();
            assert_eq!(parsed.number(), code.number());
            let length = u32::try_from(code.number().to_string().len()).unwrap();
            assert_eq!(length, digits.clamp(3, 9));
        }
    }
}

#[test]
fn what_lies_under_a_number_is_checked() {
    let random = &mut Seeded::numbered(41);
    let inviter = inviting("417-guitar-vanish", random);
    let place = Nameplate::of(417);
    let bytes = place.seal(inviter.invite(), random).unwrap();
    assert_eq!(place.open(&bytes).as_deref(), Some(inviter.invite()));
    assert_eq!(Nameplate::of(418).open(&bytes), None);
    for at in [0, 31, 32, 63, 64, 2000, 4095] {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        assert_eq!(place.open(&changed), None);
    }
    assert_eq!(place.open(&bytes[..4095]), None);
    assert_eq!(place.open(&[]), None);
    let long = vec![0; crate::protocol::handshake::invite::INVITE_MAX + 1];
    assert_eq!(place.seal(&long, random).err(), Some(NameplateError::TooLong));
}
