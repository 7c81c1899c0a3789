//! The child between its birth and its exec. Everything that it needs was made
//! before; it only makes system calls.
#![expect(unsafe_code, reason = "clone and exec")]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::path::PathBuf;
use std::ptr;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};

use nix::fcntl::{FcntlArg, fcntl};
use protocol::shim::{AgentUser, SpawnStage};

use super::{Plan, SpawnError, USER_PLACE, c_path, c_string, nofile_limit};
use crate::pidfd::PidFd;

/// The child's stack: it calls a dozen thin wrappers.
const STACK_BYTES: usize = 64 << 10;

/// The highest signal number of Linux on our targets.
const LAST_SIGNAL: c_int = 64;

/// Everything that the child will touch.
pub(super) struct Prepared {
    argv: Vector,
    envp: Vector,
    candidates: Vec<CString>,
    cwd: CString,
    /// Copies above 2, so that `dup2` never meets its own target.
    stdio: [OwnedFd; 3],
    nofile: Option<libc::rlimit>,
    user: Option<AgentUser>,
    /// It inherits that the kernel spares it.
    pub(super) is_spared: bool,
    parent: libc::pid_t,
    report: Report,
}

/// Where the child says how far it came. It writes to the caller's memory.
#[derive(Default)]
struct Report {
    stage: AtomicI32,
    errno: AtomicI32,
    candidate: AtomicUsize,
}

const FINE: i32 = 0;
const AT_SESSION: i32 = 1;
const AT_STDIO: i32 = 2;
const AT_CHDIR: i32 = 3;
const AT_EXEC: i32 = 4;
const AT_USER: i32 = 5;

/// What the files of another user are closed to, as after a login: that of a
/// service is its own affair.
const USER_UMASK: libc::mode_t = 0o022;

#[cfg(not(target_pointer_width = "64"))]
compile_error!("the kernel's sigaction is laid out for 64-bit targets");

impl Prepared {
    pub(super) fn new(plan: &Plan<'_>, candidates: &[PathBuf]) -> Result<Self, SpawnError> {
        let word = plan.argv.first().map_or("", String::as_str);
        let mut argv = Vec::with_capacity(plan.argv.len());
        for argument in plan.argv {
            argv.push(c_string(argument.as_bytes(), SpawnStage::Exec, word)?);
        }
        let mut envp = Vec::with_capacity(plan.env.len());
        for (name, value) in plan.env {
            let mut entry = Vec::with_capacity(name.len() + value.len() + 2);
            entry.extend_from_slice(name.as_bytes());
            entry.push(b'=');
            entry.extend_from_slice(value.as_bytes());
            envp.push(c_string(&entry, SpawnStage::Exec, word)?);
        }
        let candidates: Result<Vec<_>, _> = candidates
            .iter()
            .map(|path| c_path(path, SpawnStage::Exec))
            .collect();
        let [stdin, stdout, stderr] = plan.stdio;
        Ok(Self {
            argv: Vector::new(argv),
            envp: Vector::new(envp),
            candidates: candidates?,
            cwd: c_path(plan.cwd, SpawnStage::Chdir)?,
            stdio: [
                above_stdio(stdin)?,
                above_stdio(stdout)?,
                above_stdio(stderr)?,
            ],
            nofile: nofile_limit(plan.nofile_soft)?.map(|(soft, hard)| libc::rlimit {
                rlim_cur: soft,
                rlim_max: hard,
            }),
            user: plan.user.cloned(),
            is_spared: crate::oom::is_spared(),
            parent: nix::unistd::getpid().as_raw(),
            report: Report::default(),
        })
    }

    /// Starts the child; returns when it has exec'd or ended.
    pub(super) fn start(&self) -> Result<(i32, PidFd), SpawnError> {
        let failed = |error: &io::Error| {
            SpawnError::new(
                SpawnStage::Fork,
                error.raw_os_error().unwrap_or(libc::EIO),
                "",
            )
        };
        let stack = Stack::new().map_err(|error| failed(&error))?;
        let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD | libc::SIGCHLD;
        let mut pidfd: RawFd = -1;
        let argument = ptr::from_ref(self).cast_mut().cast::<c_void>();
        // SAFETY: the child runs `run_child` on a stack of its own while this
        // only thread stands still (CLONE_VFORK), reads `self`, which outlives
        // it, and writes only to the atomics of the report. It leaves by exec
        // or _exit and never returns into this frame. With CLONE_PIDFD the
        // fifth argument is where the kernel puts the pidfd.
        let pid = unsafe { libc::clone(run_child, stack.top(), flags, argument, &raw mut pidfd) };
        if pid < 0 {
            return Err(failed(&io::Error::last_os_error()));
        }
        Ok((pid, PidFd::from_fresh(pidfd)))
    }

    /// The index of the candidate that runs, or what went wrong.
    pub(super) fn outcome(&self) -> Result<usize, SpawnError> {
        let errno = self.report.errno.load(Ordering::SeqCst);
        let candidate = self.report.candidate.load(Ordering::SeqCst);
        let shown = |text: Option<&CString>| {
            text.map_or_else(String::new, |text| text.to_string_lossy().into_owned())
        };
        let program = || shown(self.candidates.get(candidate));
        match self.report.stage.load(Ordering::SeqCst) {
            FINE => Ok(candidate),
            AT_SESSION => Err(SpawnError::new(SpawnStage::Fork, errno, "")),
            AT_STDIO => Err(SpawnError::new(SpawnStage::Prepare, errno, "")),
            AT_CHDIR => Err(SpawnError::new(
                SpawnStage::Chdir,
                errno,
                shown(Some(&self.cwd)),
            )),
            AT_USER => {
                let name = self.user.as_ref().map_or("", |user| &user.name);
                let place = format!("{USER_PLACE}{name}");
                Err(SpawnError::new(SpawnStage::Prepare, errno, place))
            }
            _ => Err(SpawnError::new(SpawnStage::Exec, errno, program())),
        }
    }

    fn run(&self) -> Result<(), i32> {
        self.begin_session().map_err(|()| AT_SESSION)?;
        self.take_stdio().map_err(|()| AT_STDIO)?;
        if self.is_spared {
            be_plain_victim();
        }
        if let Some(user) = &self.user {
            become_user(user).map_err(|()| AT_USER)?;
        }
        self.die_with_parent().map_err(|()| AT_SESSION)?;
        // SAFETY: a valid string.
        check(unsafe { libc::chdir(self.cwd.as_ptr()) }).map_err(|()| AT_CHDIR)?;
        default_signals();
        self.exec();
        Err(AT_EXEC)
    }

    fn begin_session(&self) -> Result<(), ()> {
        // SAFETY: no arguments.
        check(unsafe { libc::setsid() })?;
        match &self.nofile {
            // SAFETY: a valid rlimit.
            Some(limit) => check(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, limit) }),
            None => Ok(()),
        }
    }

    /// Behind the change of the user, at which the kernel forgets the signal.
    fn die_with_parent(&self) -> Result<(), ()> {
        // SAFETY: integers only.
        check(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0) })?;
        // SAFETY: no arguments; the parent may have died before the line above.
        if unsafe { libc::getppid() } != self.parent {
            // SAFETY: ends this process; nobody is left to hear why.
            unsafe { libc::_exit(127) };
        }
        Ok(())
    }

    fn take_stdio(&self) -> Result<(), ()> {
        for (source, target) in self.stdio.iter().zip(0..) {
            // SAFETY: integers only; the source is above every target.
            check(unsafe { libc::dup2(source.as_raw_fd(), target) })?;
        }
        // What the caller itself inherited from whoever started it. A kernel
        // without the call (before 5.9) leaves it at close-on-exec.
        // SAFETY: the child's own table of descriptors; none is used below.
        unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, 0) };
        Ok(())
    }

    /// Returns only if no candidate could be executed.
    fn exec(&self) {
        for (index, program) in self.candidates.iter().enumerate() {
            self.report.candidate.store(index, Ordering::SeqCst);
            // SAFETY: NUL-terminated strings and vectors that end with null.
            unsafe { libc::execve(program.as_ptr(), self.argv.as_ptr(), self.envp.as_ptr()) };
            if !matches!(errno(), libc::ENOENT | libc::ENOTDIR | libc::EACCES) {
                return;
            }
        }
    }
}

/// Nothing of the caller's rights is left afterwards: all three user ids are the
/// new one, so that the kernel drops every capability with them. System calls of
/// our own: libc's wrappers would change each thread of a process, and the child
/// is on its caller's memory. That memory must be closed to the new user until
/// the exec; the kernel sees to it (a change of ids makes it not dumpable).
fn become_user(user: &AgentUser) -> Result<(), ()> {
    let syscall = |result: libc::c_long| if result < 0 { Err(()) } else { Ok(()) };
    let (uid, gid, groups) = (user.uid, user.gid, &user.groups);
    leave_session_keyring()?;
    // SAFETY: a valid list of groups and its length.
    syscall(unsafe { libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()) })?;
    // SAFETY: integers only.
    syscall(unsafe { libc::syscall(libc::SYS_setresgid, gid, gid, gid) })?;
    // SAFETY: integers only.
    syscall(unsafe { libc::syscall(libc::SYS_setresuid, uid, uid, uid) })?;
    // SAFETY: integers only; the child's own.
    unsafe { libc::umask(USER_UMASK) };
    Ok(())
}

/// What root's login has in its session keyring (tickets, keys of file systems) is
/// open to whoever inherits it, whatever its user.
fn leave_session_keyring() -> Result<(), ()> {
    let (join, anonymous) = (libc::KEYCTL_JOIN_SESSION_KEYRING, ptr::null::<c_char>());
    // SAFETY: a command and no name.
    let joined = unsafe { libc::syscall(libc::SYS_keyctl, join, anonymous) };
    // Where it is not there or forbidden, the agent cannot ask for keys either.
    if joined < 0 && !matches!(errno(), libc::ENOSYS | libc::EPERM) {
        return Err(());
    }
    Ok(())
}

/// Anybody may become more likely a victim; without `/proc` it stays as it is. The
/// kernel leaves the caller alone, on whose memory the child still is.
fn be_plain_victim() {
    let (path, score) = crate::oom::PLAIN_SCORE;
    // SAFETY: a valid string; bytes and their length; the descriptor just opened.
    unsafe {
        let file = libc::open(path.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
        libc::write(file, score.as_ptr().cast(), score.len());
        libc::close(file);
    }
}

extern "C" fn run_child(argument: *mut c_void) -> c_int {
    // SAFETY: `start` passes a Prepared that outlives this child.
    let prepared = unsafe { &*argument.cast::<Prepared>() };
    if let Err(stage) = prepared.run() {
        prepared.report.errno.store(errno(), Ordering::SeqCst);
        prepared.report.stage.store(stage, Ordering::SeqCst);
    }
    // SAFETY: ends this process without running the caller's exit handlers.
    unsafe { libc::_exit(127) }
}

/// What the caller ignores must not be ignored by the agent, and what it
/// blocks must reach it. The child has a signal table of its own.
fn default_signals() {
    // The kernel's own sigaction, all zero: default handler, no flags, no mask.
    // libc's wrapper would refuse the numbers that it keeps for itself.
    let default = [0u64; 4];
    let (nothing, mask_bytes) = (ptr::null::<c_void>(), 8usize);
    for signal in 1..=LAST_SIGNAL {
        // SAFETY: `default` is as large as the kernel's sigaction on 64-bit
        // targets. KILL and STOP are refused, and are default anyway.
        unsafe {
            libc::syscall(
                libc::SYS_rt_sigaction,
                signal,
                default.as_ptr(),
                nothing,
                mask_bytes,
            );
        }
    }
    let mut none = MaybeUninit::<libc::sigset_t>::zeroed();
    // SAFETY: the set is initialised by sigemptyset before it is used.
    unsafe {
        libc::sigemptyset(none.as_mut_ptr());
        libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), ptr::null_mut());
    }
}

fn check(result: c_int) -> Result<(), ()> {
    if result < 0 { Err(()) } else { Ok(()) }
}

fn errno() -> c_int {
    io::Error::last_os_error()
        .raw_os_error()
        .unwrap_or(libc::EIO)
}

fn above_stdio(fd: std::os::fd::BorrowedFd<'_>) -> Result<OwnedFd, SpawnError> {
    let failed = |errno: nix::errno::Errno| SpawnError::new(SpawnStage::Prepare, errno as i32, "");
    let copy = fcntl(fd, FcntlArg::F_DUPFD_CLOEXEC(3)).map_err(failed)?;
    // SAFETY: fcntl just made this descriptor for us.
    Ok(unsafe { std::os::fd::FromRawFd::from_raw_fd(copy) })
}

/// Strings and the null-terminated vector of pointers to them.
struct Vector {
    pointers: Vec<*const c_char>,
    /// What the pointers point to.
    _strings: Vec<CString>,
}

impl Vector {
    fn new(strings: Vec<CString>) -> Self {
        let ends = std::iter::once(ptr::null());
        let pointers = strings
            .iter()
            .map(|text| CStr::as_ptr(text))
            .chain(ends)
            .collect();
        Self {
            pointers,
            _strings: strings,
        }
    }

    fn as_ptr(&self) -> *const *const c_char {
        self.pointers.as_ptr()
    }
}

/// Memory for the child's stack, given back when the child has its own.
struct Stack(*mut c_void);

impl Stack {
    fn new() -> io::Result<Self> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_STACK;
        // SAFETY: a fresh anonymous mapping at a place of the kernel's choice.
        let base = unsafe { libc::mmap(ptr::null_mut(), STACK_BYTES, protection, flags, -1, 0) };
        if base == libc::MAP_FAILED {
            Err(io::Error::last_os_error())
        } else {
            Ok(Self(base))
        }
    }

    /// Stacks grow downwards on all our targets; a mapping's end is aligned.
    fn top(&self) -> *mut c_void {
        self.0.wrapping_byte_add(STACK_BYTES)
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: our own mapping, and the child no longer runs on it.
        unsafe { libc::munmap(self.0, STACK_BYTES) };
    }
}
