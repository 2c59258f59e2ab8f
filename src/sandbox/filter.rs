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

/// The filter; `internet`: may it make sockets that reach out?
pub fn program(internet: bool) -> Vec<sock_filter> {
    let step = |code, k| sock_filter { code, jt: 0, jf: 0, k };
    let unless_equal = |k, skip| sock_filter { code: JUMP_IF_EQUAL, jt: 0, jf: skip, k };
    let if_equal = |k, skip| sock_filter { code: JUMP_IF_EQUAL, jt: skip, jf: 0, k };
    let mut all = vec![step(LOAD, ARCH), if_equal(ARCHITECTURE, 1), step(RETURN, KILL), step(LOAD, NUMBER)];
    if cfg!(target_arch = "x86_64") {
        all.extend([sock_filter { code: JUMP_IF_SET, jt: 0, jf: 1, k: X32 }, step(RETURN, KILL)]);
    }
    for call in REFUSED {
        all.extend([unless_equal(*call as u32, 1), step(RETURN, REFUSE)]);
    }
    // Typing into the terminal of somebody else.
    all.extend([unless_equal(libc::SYS_ioctl as u32, 4), step(LOAD, SECOND)]);
    all.extend([if_equal(libc::TIOCSTI as u32, 1), unless_equal(libc::TIOCLINUX as u32, 1), step(RETURN, REFUSE)]);
    // The number again: it was overwritten only where the call was `ioctl`, which is allowed from here on.
    all.push(step(LOAD, NUMBER));
    let families: Vec<libc::c_int> = LOCAL.iter().chain(if internet { INTERNET } else { &[] }).copied().collect();
    let mut socket = vec![step(LOAD, FIRST)];
    for (index, family) in families.iter().enumerate() {
        socket.push(if_equal(*family as u32, (families.len() - index) as u8));
    }
    socket.push(step(RETURN, UNKNOWN));
    // Raw packets, of any family that stays but the one that talks to the kernel itself.
    socket.extend([if_equal(libc::AF_NETLINK as u32, 4), step(LOAD, SECOND), step(AND, SOCK_TYPE)]);
    socket.extend([unless_equal(libc::SOCK_RAW as u32, 1), step(RETURN, REFUSE)]);
    all.push(unless_equal(libc::SYS_socket as u32, socket.len() as u8));
    all.extend(socket);
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

    #[test]
    fn another_door_of_the_kernel_kills() {
        assert_eq!(run(&program(true), libc::SYS_read, [0, 0], 3), KILL);
        if cfg!(target_arch = "x86_64") {
            assert_eq!(run(&program(true), c_long::from(X32) | libc::SYS_read, [0, 0], ARCHITECTURE), KILL);
        }
    }
}
