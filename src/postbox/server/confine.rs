//! The postbox shuts itself in: after this no file can be opened, no program run, no connection
//! made, whatever a caller finds wrong in it. That it writes no log can then be checked.
//!
//! Two walls, each of which would do: Landlock (no file, no outgoing TCP) and seccomp (only the
//! calls that a server with its sockets open needs; a list of what is allowed, not of what isn't).

use std::fmt;
use std::io::{self, Write};

/// What the kernel granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Granted {
    /// Landlock: no file.
    pub(crate) landlock: bool,
    /// Seccomp: no call to open one, or to do anything but serve.
    pub(crate) seccomp: bool,
}

impl Granted {
    /// Whether both walls stand.
    pub(crate) fn whole(self) -> bool {
        self.landlock && self.seccomp
    }
}

impl fmt::Display for Granted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = |granted| if granted { "granted" } else { "not to be had from this kernel" };
        write!(f, "Landlock {}, seccomp {}", word(self.landlock), word(self.seccomp))
    }
}

/// Tries what must not succeed, and says of each what came of it. True if all was refused.
pub(crate) fn probe(out: &mut impl Write) -> io::Result<bool> {
    let target = std::env::temp_dir().join(format!("otr-postbox-{}", std::process::id()));
    let tries: [(&str, io::Result<()>); 4] = [
        ("write a file", std::fs::write(&target, b"x")),
        ("read /etc/passwd", std::fs::read("/etc/passwd").map(drop)),
        ("run /bin/true", std::process::Command::new("/bin/true").status().map(drop)),
        (
            "connect elsewhere",
            std::net::TcpStream::connect((std::net::Ipv4Addr::LOCALHOST, 9)).map(drop),
        ),
    ];
    let mut all = true;
    for (what, came) in tries {
        match came {
            Err(why) if why.kind() == io::ErrorKind::PermissionDenied => {
                writeln!(out, "{what}: refused ({why})")?;
            }
            Err(why) => {
                all = false;
                writeln!(out, "{what}: NOT REFUSED ({why})")?;
            }
            Ok(()) => {
                all = false;
                writeln!(out, "{what}: NOT REFUSED")?;
            }
        }
    }
    Ok(all)
}

/// Shuts the process in. There must be one thread: only that one, and those it starts, are inside.
#[cfg(target_os = "linux")]
pub(crate) fn confine() -> Granted {
    Granted { landlock: linux::landlock(), seccomp: linux::seccomp() }
}

/// Elsewhere there are no such walls.
#[cfg(not(target_os = "linux"))]
pub(crate) fn confine() -> Granted {
    Granted { landlock: false, seccomp: false }
}

#[cfg(target_os = "linux")]
mod linux {
    use landlock::{
        ABI, Access as _, AccessFs, AccessNet, Ruleset, RulesetAttr as _, RulesetCreatedAttr as _,
        RulesetStatus, Scope,
    };
    use seccompiler::{
        BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
        SeccompRule, TargetArch,
    };
    use std::collections::BTreeMap;

    /// The newest set of rights that we know; an older kernel takes those of them that it knows.
    const NEWEST: ABI = ABI::V6;

    /// Calls that serving needs: sockets that are open, memory, time, the end.
    const ALLOWED: &[libc::c_long] = &[
        libc::SYS_read,
        libc::SYS_readv,
        libc::SYS_recvfrom,
        libc::SYS_recvmsg,
        libc::SYS_write,
        libc::SYS_writev,
        libc::SYS_sendto,
        libc::SYS_sendmsg,
        libc::SYS_accept4,
        libc::SYS_shutdown,
        libc::SYS_close,
        libc::SYS_getsockname,
        libc::SYS_getpeername,
        libc::SYS_getsockopt,
        libc::SYS_setsockopt,
        libc::SYS_epoll_ctl,
        libc::SYS_epoll_pwait,
        libc::SYS_epoll_pwait2,
        #[cfg(target_arch = "x86_64")]
        libc::SYS_epoll_wait,
        libc::SYS_futex,
        libc::SYS_sched_yield,
        libc::SYS_munmap,
        libc::SYS_mremap,
        libc::SYS_madvise,
        libc::SYS_brk,
        libc::SYS_clock_gettime,
        libc::SYS_clock_nanosleep,
        libc::SYS_getrandom,
        libc::SYS_getpid,
        libc::SYS_gettid,
        libc::SYS_rt_sigaction,
        libc::SYS_rt_sigprocmask,
        libc::SYS_rt_sigreturn,
        libc::SYS_sigaltstack,
        libc::SYS_restart_syscall,
        libc::SYS_exit,
        libc::SYS_exit_group,
    ];

    /// Memory may be mapped, never to run code from.
    const MAPPING: &[libc::c_long] = &[libc::SYS_mmap, libc::SYS_mprotect];

    /// No file, no TCP of our own making, no signal to others. True if the kernel does it.
    pub(super) fn landlock() -> bool {
        let status = Ruleset::default()
            .handle_access(AccessFs::from_all(NEWEST))
            .and_then(|ruleset| ruleset.handle_access(AccessNet::from_all(NEWEST)))
            .and_then(|ruleset| ruleset.scope(Scope::from_all(NEWEST)))
            .and_then(Ruleset::create)
            .and_then(|ruleset| ruleset.no_new_privs(true).restrict_self());
        status.is_ok_and(|status| status.ruleset != RulesetStatus::NotEnforced)
    }

    /// Only the calls above. True if the kernel does it.
    pub(super) fn seccomp() -> bool {
        program().is_some_and(|program| seccompiler::apply_filter(&program).is_ok())
    }

    fn program() -> Option<BpfProgram> {
        let no_code = SeccompCondition::new(
            2,
            SeccompCmpArgLen::Dword,
            SeccompCmpOp::MaskedEq(u64::from(libc::PROT_EXEC.unsigned_abs())),
            0,
        );
        let no_code = SeccompRule::new(vec![no_code.ok()?]).ok()?;
        let mut rules: BTreeMap<_, _> = ALLOWED.iter().map(|&call| (call, Vec::new())).collect();
        rules.extend(MAPPING.iter().map(|&call| (call, vec![no_code.clone()])));
        // Refused, not killed: an allocator that asks the system something lives on without.
        let refuse = SeccompAction::Errno(libc::EPERM.unsigned_abs());
        let arch = TargetArch::try_from(std::env::consts::ARCH).ok()?;
        SeccompFilter::new(rules, refuse, SeccompAction::Allow, arch).ok()?.try_into().ok()
    }
}
