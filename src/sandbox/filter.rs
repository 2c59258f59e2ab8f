//! Which system calls a task may not make: a filter for the kernel (seccomp), as data.
//!
//! Everything is allowed but what is on the list; what is on it fails with `EPERM`. A call by another door of the
//! kernel (32 bit, x32), which the list would not see, kills.

use libc::{c_long, sock_filter};

/// The calls that fail whatever their arguments are.
#[rustfmt::skip]
const REFUSED: &[c_long] = &[
    libc::SYS_io_uring_setup, libc::SYS_io_uring_enter, libc::SYS_io_uring_register,
    libc::SYS_ptrace, libc::SYS_process_vm_readv, libc::SYS_process_vm_writev,
    libc::SYS_keyctl, libc::SYS_add_key, libc::SYS_request_key,
    libc::SYS_bpf, libc::SYS_perf_event_open, libc::SYS_userfaultfd,
    libc::SYS_kexec_load, libc::SYS_init_module, libc::SYS_finit_module, libc::SYS_delete_module,
    libc::SYS_open_by_handle_at, libc::SYS_reboot, libc::SYS_swapon, libc::SYS_swapoff, libc::SYS_acct,
    libc::SYS_quotactl,
];

#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xC000_003E;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xC000_00B7;
#[cfg(target_arch = "riscv64")]
const ARCHITECTURE: u32 = 0xC000_00F3;
/// None is known here: the filter then kills everything, and the tier is not offered.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64")))]
const ARCHITECTURE: u32 = 0;

/// What the calls of the x32 door have in common.
const X32: u32 = 0x4000_0000;

const NUMBER: u32 = 0;
const ARCH: u32 = 4;
const FIRST: u32 = 16;
const SECOND: u32 = 24;

const LOAD: u16 = 0x20;
const JUMP_IF_EQUAL: u16 = 0x15;
const JUMP_IF_NOT_BELOW: u16 = 0x35;
const JUMP_IF_SET: u16 = 0x45;
const AND: u16 = 0x54;
const RETURN: u16 = 0x06;

const ALLOW: u32 = 0x7fff_0000;
const KILL: u32 = 0x8000_0000;
const REFUSE: u32 = 0x0005_0000 | libc::EPERM as u32;
/// As a kernel answers that does not know it: what tries it then goes another way.
const UNKNOWN: u32 = 0x0005_0000 | libc::EAFNOSUPPORT as u32;

/// Families of sockets that stay.
const LOCAL: &[libc::c_int] = &[libc::AF_UNIX, libc::AF_NETLINK];
const INTERNET: &[libc::c_int] = &[libc::AF_INET, libc::AF_INET6];
const SOCK_TYPE: u32 = 0xf;

fn step(code: u16, k: u32) -> sock_filter {
    sock_filter { code, jt: 0, jf: 0, k }
}

fn if_equal(k: u32, skip: usize) -> sock_filter {
    sock_filter { code: JUMP_IF_EQUAL, jt: skip as u8, jf: 0, k }
}

fn unless_equal(k: u32, skip: usize) -> sock_filter {
    sock_filter { code: JUMP_IF_EQUAL, jt: 0, jf: skip as u8, k }
}

/// The filter; `internet`: may it make sockets that reach out?
///
/// The kernel asks it once for each call that there is when it is put in force, and again for what it could not know by the number
/// alone: so the numbers are searched by halves.
pub fn program(internet: bool) -> Vec<sock_filter> {
    let mut all = vec![step(LOAD, ARCH), if_equal(ARCHITECTURE, 1), step(RETURN, KILL), step(LOAD, NUMBER)];
    if cfg!(target_arch = "x86_64") {
        all.extend([sock_filter { code: JUMP_IF_SET, jt: 0, jf: 1, k: X32 }, step(RETURN, KILL)]);
    }
    let refused = REFUSED.iter().map(|call| (*call as u32, None));
    let asked = [(libc::SYS_ioctl as u32, Some(terminal())), (libc::SYS_socket as u32, Some(socket(internet)))];
    let mut calls: Vec<Answer> = refused.chain(asked).collect();
    calls.sort_by_key(|(call, _)| *call);
    all.extend(search(&calls));
    all
}

/// A call, and what is asked about it; nothing where it is refused.
type Answer = (u32, Option<Vec<sock_filter>>);

/// So many are told apart one by one: that is as quick, and the kernel has fewer steps to translate.
const FEW: usize = 4;

/// Find the answer for a call; there is none for those that are allowed.
fn search(calls: &[Answer]) -> Vec<sock_filter> {
    match calls {
        few if few.len() <= FEW && few.iter().all(|(_, answer)| answer.is_none()) => {
            let ask = |(at, (call, _)): (usize, &Answer)| if_equal(*call, few.len() - at);
            let answers = [step(RETURN, ALLOW), step(RETURN, REFUSE)];
            few.iter().enumerate().map(ask).chain(answers).collect()
        }
        [(call, Some(answer))] => {
            let mut all = vec![unless_equal(*call, answer.len())];
            all.extend_from_slice(answer);
            all.push(step(RETURN, ALLOW));
            all
        }
        _ => {
            let (lower, upper) = calls.split_at(calls.len() / 2);
            let (pivot, lower, upper) = (upper[0].0, search(lower), search(upper));
            // A jump is one byte: the lower half is always shorter than that, as a test holds.
            let to_upper = sock_filter { code: JUMP_IF_NOT_BELOW, jt: lower.len() as u8, jf: 0, k: pivot };
            [vec![to_upper], lower, upper].concat()
        }
    }
}

/// Typing into the terminal of somebody else.
fn terminal() -> Vec<sock_filter> {
    vec![
        step(LOAD, SECOND),
        if_equal(libc::TIOCSTI as u32, 1),
        unless_equal(libc::TIOCLINUX as u32, 1),
        step(RETURN, REFUSE),
        step(RETURN, ALLOW),
    ]
}

/// Sockets of families that do not stay, and raw packets of any that stays but the one that talks to the kernel itself.
fn socket(internet: bool) -> Vec<sock_filter> {
    let families: Vec<libc::c_int> = LOCAL.iter().chain(if internet { INTERNET } else { &[] }).copied().collect();
    let mut all = vec![step(LOAD, FIRST)];
    for (index, family) in families.iter().enumerate() {
        all.push(if_equal(*family as u32, families.len() - index));
    }
    all.push(step(RETURN, UNKNOWN));
    all.extend([if_equal(libc::AF_NETLINK as u32, 4), step(LOAD, SECOND), step(AND, SOCK_TYPE)]);
    all.extend([unless_equal(libc::SOCK_RAW as u32, 1), step(RETURN, REFUSE)]);
    all.push(step(RETURN, ALLOW));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kernel would do, step by step.
    fn run(program: &[sock_filter], call: c_long, arguments: [u64; 2], arch: u32) -> u32 {
        let (mut at, mut value) = (0_usize, 0_u32);
        loop {
            let step = program[at];
            at += 1;
            match step.code {
                LOAD => {
                    value = match step.k {
                        NUMBER => call as u32,
                        ARCH => arch,
                        FIRST => arguments[0] as u32,
                        SECOND => arguments[1] as u32,
                        other => panic!("nothing is at {other}"),
                    }
                }
                AND => value &= step.k,
                JUMP_IF_EQUAL => at += usize::from(if value == step.k { step.jt } else { step.jf }),
                JUMP_IF_NOT_BELOW => at += usize::from(if value >= step.k { step.jt } else { step.jf }),
                JUMP_IF_SET => at += usize::from(if value & step.k != 0 { step.jt } else { step.jf }),
                RETURN => return step.k,
                other => panic!("no such step: {other}"),
            }
        }
    }

    #[test]
    fn what_the_filter_answers() {
        let (open, closed) = (program(true), program(false));
        let ask = |call, arguments| run(&open, call, arguments, ARCHITECTURE);
        for call in REFUSED {
            assert_eq!(ask(*call, [0, 0]), REFUSE, "{call}");
        }
        for call in [libc::SYS_read, libc::SYS_clone, libc::SYS_unshare, libc::SYS_mount, libc::SYS_execve] {
            assert_eq!(ask(call, [0, 0]), ALLOW, "{call}");
        }
        assert_eq!(ask(libc::SYS_ioctl, [0, libc::TIOCSTI]), REFUSE);
        assert_eq!(ask(libc::SYS_ioctl, [0, libc::TIOCLINUX]), REFUSE);
        assert_eq!(ask(libc::SYS_ioctl, [0, libc::TIOCGWINSZ]), ALLOW);
        let socket = |program: &[sock_filter], family: libc::c_int, kind: libc::c_int| {
            run(program, libc::SYS_socket, [family as u64, kind as u64], ARCHITECTURE)
        };
        let stream = libc::SOCK_STREAM | libc::SOCK_CLOEXEC;
        for family in [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6] {
            assert_eq!(socket(&open, family, stream), ALLOW, "{family}");
        }
        assert_eq!(socket(&open, libc::AF_NETLINK, libc::SOCK_RAW), ALLOW);
        assert_eq!(socket(&open, libc::AF_INET, libc::SOCK_RAW), REFUSE);
        for family in [libc::AF_VSOCK, libc::AF_ALG, libc::AF_PACKET, libc::AF_BLUETOOTH] {
            assert_eq!(socket(&open, family, stream), UNKNOWN, "{family}");
        }
        for family in [libc::AF_INET, libc::AF_INET6] {
            assert_eq!(socket(&closed, family, stream), UNKNOWN, "{family}");
        }
        assert_eq!(socket(&closed, libc::AF_UNIX, stream), ALLOW);
    }

    /// Each number that there is, and those beside the ones on the list: nothing else is refused, and no jump leads astray.
    #[test]
    fn what_is_not_on_the_list_is_allowed() {
        let filter = program(true);
        assert!(filter.len() < usize::from(u8::MAX), "a jump of one byte reaches all of it");
        for call in 0..1024 {
            let is_refused = run(&filter, call, [libc::AF_UNIX as u64, 0], ARCHITECTURE) != ALLOW;
            assert_eq!(is_refused, REFUSED.contains(&call), "{call}");
        }
    }

    #[test]
    fn another_door_of_the_kernel_kills() {
        assert_eq!(run(&program(true), libc::SYS_read, [0, 0], 3), KILL);
        if cfg!(target_arch = "x86_64") {
            assert_eq!(run(&program(true), c_long::from(X32) | libc::SYS_read, [0, 0], ARCHITECTURE), KILL);
        }
    }
}
