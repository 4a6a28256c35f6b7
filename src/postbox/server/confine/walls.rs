//! Landlock and seccomp.

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, LandlockStatus, NetPort, Ruleset, RulesetAttr as _,
    RulesetCreatedAttr as _, RulesetStatus, Scope,
};
use seccompiler::SeccompCmpArgLen::{Dword, Qword};
use seccompiler::SeccompCmpOp::{Eq, MaskedEq};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
};
use std::collections::BTreeMap;

/// The newest set of rights that we know; an older kernel applies those that it knows.
const NEWEST: ABI = ABI::V10;

/// The versions of Landlock, and what each refuses.
const REFUSED: [(ABI, &str); 5] = [
    (ABI::V1, "files"),
    (ABI::V4, super::TCP),
    (ABI::V6, "signals"),
    (ABI::V9, "Unix sockets"),
    (ABI::V10, "UDP"),
];

/// System calls that serving makes with any arguments: open sockets, memory, time, the end. Each
/// was seen under load (tests/postbox/confinement.rs), except those that another C library, another
/// processor or a process that was stopped for a while makes instead.
const ALLOWED: &[libc::c_long] = &[
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_accept4,
    libc::SYS_close,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_epoll_wait,
    libc::SYS_futex,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_brk,
    libc::SYS_clock_gettime,
    libc::SYS_getrandom,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_restart_syscall,
    libc::SYS_exit_group,
];

/// Forbids files, new connections but by TCP to these ports, and signals to others; returns which of
/// these the kernel enforces.
pub(super) fn landlock(ports: &[u16]) -> Vec<&'static str> {
    let allowed = ports.iter().map(|port| Ok(NetPort::new(*port, AccessNet::ConnectTcp)));
    let status = Ruleset::default()
        .handle_access(AccessFs::from_all(NEWEST))
        .and_then(|ruleset| ruleset.handle_access(AccessNet::from_all(NEWEST)))
        .and_then(|ruleset| ruleset.scope(Scope::from_all(NEWEST)))
        .and_then(Ruleset::create)
        .and_then(|ruleset| ruleset.add_rules(allowed))
        .and_then(|ruleset| ruleset.no_new_privs(true).restrict_self());
    match status.map(|status| (status.ruleset, status.landlock)) {
        Ok((RulesetStatus::NotEnforced, _)) | Err(_) => Vec::new(),
        Ok((_, LandlockStatus::Available { effective_abi, .. })) => {
            let known = REFUSED.iter().filter(|(since, _)| *since <= effective_abi);
            known.map(|(_, what)| *what).collect()
        }
        Ok(_) => Vec::new(),
    }
}

/// Files may be read, and nothing else.
pub(super) fn only_read() {
    // No stranger talks to this process, so it may go on without Landlock.
    let _ = Ruleset::default()
        .handle_access(AccessFs::from_write(NEWEST) | AccessFs::Execute)
        .and_then(|ruleset| ruleset.handle_access(AccessNet::from_all(NEWEST)))
        .and_then(|ruleset| ruleset.scope(Scope::from_all(NEWEST)))
        .and_then(Ruleset::create)
        .and_then(|ruleset| ruleset.no_new_privs(true).restrict_self());
}

/// Allows only the system calls above and below; `connects`: those that connect by TCP, too. True if
/// the kernel enforces it.
pub(super) fn seccomp(connects: bool) -> bool {
    program(connects).is_some_and(|program| seccompiler::apply_filter(&program).is_ok())
}

/// Calls that are allowed with these arguments alone.
fn narrow() -> Option<[(libc::c_long, SeccompRule); 6]> {
    // Memory of its own may be mapped, never to run code from.
    let no_code = || masked(2, libc::PROT_EXEC, 0);
    let of_no_file = || masked(3, libc::MAP_ANONYMOUS, libc::MAP_ANONYMOUS);
    Some([
        (libc::SYS_mmap, rule([no_code(), of_no_file()])?),
        (libc::SYS_mprotect, rule([no_code()])?),
        // Without an address, and without the flag that connects on sending: the caller's
        // connection decides where it goes.
        (libc::SYS_sendto, rule([is(3, libc::MSG_NOSIGNAL), nowhere(4)])?),
        (libc::SYS_recvfrom, rule([is(3, 0), nowhere(4)])?),
        // A listener that is shut down for reading becomes an unused socket again.
        (libc::SYS_shutdown, rule([is(1, libc::SHUT_WR)])?),
        (libc::SYS_setsockopt, rule([is(1, libc::IPPROTO_TCP), is(2, libc::TCP_NODELAY)])?),
    ])
}

/// What it takes to connect by TCP; Landlock says where to. No other protocol comes with the same
/// arguments, and none of the sockets can listen.
fn connecting() -> Option<[(libc::c_long, Vec<SeccompRule>); 3]> {
    let kind = libc::SOCK_STREAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    let socket = |family| rule([is(0, family), is(1, kind), is(2, 0)]);
    let outcome = rule([is(1, libc::SOL_SOCKET), is(2, libc::SO_ERROR)])?;
    Some([
        (libc::SYS_socket, vec![socket(libc::AF_INET)?, socket(libc::AF_INET6)?]),
        (libc::SYS_connect, Vec::new()),
        (libc::SYS_getsockopt, vec![outcome]),
    ])
}

type Condition = seccompiler::Result<SeccompCondition>;

fn rule<const N: usize>(all: [Condition; N]) -> Option<SeccompRule> {
    let all: Result<Vec<_>, _> = all.into_iter().collect();
    SeccompRule::new(all.ok()?).ok()
}

fn is(argument: u8, value: libc::c_int) -> Condition {
    condition(SeccompCondition::new(argument, Dword, Eq, u64::from(value.unsigned_abs())))
}

fn masked(argument: u8, mask: libc::c_int, value: libc::c_int) -> Condition {
    let mask = MaskedEq(u64::from(mask.unsigned_abs()));
    condition(SeccompCondition::new(argument, Dword, mask, u64::from(value.unsigned_abs())))
}

/// A null pointer.
fn nowhere(argument: u8) -> Condition {
    condition(SeccompCondition::new(argument, Qword, Eq, 0))
}

fn condition(made: Result<SeccompCondition, seccompiler::BackendError>) -> Condition {
    made.map_err(seccompiler::Error::from)
}

fn program(connects: bool) -> Option<BpfProgram> {
    let mut rules: BTreeMap<_, _> = ALLOWED.iter().map(|&call| (call, Vec::new())).collect();
    rules.extend(narrow()?.map(|(call, rule)| (call, vec![rule])));
    if connects {
        rules.extend(connecting()?);
    }
    // Refused, not killed: an allocator that makes another system call can go on without it.
    let refuse = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    let arch = TargetArch::try_from(std::env::consts::ARCH).ok()?;
    SeccompFilter::new(rules, refuse, SeccompAction::Allow, arch).ok()?.try_into().ok()
}
