"""Runs one program where it can do no harm. Started by `sandbox.py` as a script, in a process of its own.

    supervisor ── inner: new namespaces, supervises ── program: process 1 of its own world

The program sees a file system made of the system's libraries and Python, read-only, and one small
folder in memory; no network, no other process, no environment; it has no capabilities, and system
calls that could hold memory outside the limits or reach deep into the kernel are refused. Everything
ends when the supervisor's input is closed, however that comes about.

Speaks over pipes: in, one line of JSON (`Job`) and then nothing until the end; out, a line `ready`
followed by what the program writes, or why it cannot be isolated. Linux only; standard library only.
"""

from __future__ import annotations

import ctypes
import json
import os
import platform
import resource
import select
import signal
import struct
import sys
import tempfile
from typing import Any, NoReturn

READY = b"ready\n"
HOME = "/work"
"""Where the program runs, inside."""
NOBODY = 65534
LATE, CANNOT = 3, 4

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC = 0x20000, 0x4000000, 0x8000000
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000
MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_BIND, MS_REC, MS_PRIVATE = 2, 4, 8, 4096, 16384, 1 << 18
MNT_DETACH = 2
SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
SYS_MOUNT_SETATTR, AT_FDCWD, AT_RECURSIVE = 442, -100, 0x8000
ATTR_RDONLY, ATTR_NOSUID, ATTR_NODEV = 1, 2, 4
PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, PR_SET_CHILD_SUBREAPER = 24, 38, 22, 36

REFUSED = {
    # shmget, msgget, semget, memfd_create, memfd_secret: memory that no limit counts. socket: families
    # such as vsock know no network namespace. Then what opens up the kernel: ptrace, bpf,
    # perf_event_open, userfaultfd, io_uring_setup, keyctl, add_key, request_key, unshare, setns, mount.
    "x86_64": (29, 68, 64, 319, 447, 41, 101, 321, 298, 323, 425, 250, 248, 249, 272, 308, 165),
    "aarch64": (194, 186, 190, 279, 447, 198, 117, 280, 241, 282, 425, 219, 217, 218, 97, 268, 40),
}
CLONE, CLONE3 = {"x86_64": 56, "aarch64": 220}, 435
NAMESPACES = 0x7E020080
"""Flags of `clone` that make namespaces. Those of `clone3` cannot be looked at; C libraries fall back to `clone`."""
ARCHITECTURE = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

libc = ctypes.CDLL(None, use_errno=True)


class Impossible(Exception):
    """The program cannot be isolated here."""


def call(what: str, *arguments: Any, name: str = "syscall") -> None:
    """A function of the C library that must succeed."""
    converted = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    if getattr(libc, name)(*converted) != 0:
        raise Impossible(f"{what}: {os.strerror(ctypes.get_errno())}")


def mount(source: str, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    texts = [t.encode() if t is not None else None for t in (source, target, kind)]
    call(f"mounting {target}", *texts, flags, data.encode() if data else None, name="mount")


def main() -> int:
    """Exit status: 0 the program ended by itself, `LATE` its time was up, `CANNOT` it never began."""
    job = json.loads(_line())
    try:
        if sys.platform != "linux" or platform.machine() not in REFUSED:
            raise Impossible(f"{sys.platform} on {platform.machine()} is not supported")
        if not job["isolated"]:
            return _supervise(lambda: _program(job, None), job)
        return _in_namespaces(job)
    except (Impossible, OSError) as error:
        os.write(1, f"{error}\n".encode())
        return CANNOT


def _line() -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        piece = os.read(0, 1 << 16)
        if not piece:
            raise SystemExit("no job")
        line += piece
    return line


def _in_namespaces(job: dict[str, Any]) -> int:
    """Forks the inner process, and maps its users from outside, which alone may give it two of them."""
    asks, asked = os.pipe()
    answers, answered = os.pipe()
    root = tempfile.mkdtemp(prefix="quorate-jail-")
    try:
        child = os.fork()
        if child == 0:
            _inner(job, root, asked, answers)
        os.close(asked)
        os.close(answers)
        if os.read(asks, 1):
            _map_users(child)
            os.write(answered, b"+")
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    finally:
        os.rmdir(root)


def _inner(job: dict[str, Any], root: str, asked: int, answers: int) -> NoReturn:
    status = CANNOT
    try:
        spaces = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS
        call("new namespaces", spaces, name="unshare")
        os.write(asked, b"?")
        if not os.read(answers, 1):
            raise Impossible("users cannot be mapped")
        os.close(asked)
        os.close(answers)
        status = _supervise(lambda: _program(job, root), job)
    except (Impossible, OSError) as error:
        os.write(1, f"{error}\n".encode())
    finally:
        os._exit(status)


def _map_users(child: int) -> None:
    """Root inside for setting up, nobody for the program; without root outside one user must do."""
    privileged = os.geteuid() == 0
    if not privileged:
        _write(f"/proc/{child}/setgroups", "deny")
    for kind, own in (("uid", os.geteuid()), ("gid", os.getegid())):
        _write(f"/proc/{child}/{kind}_map", f"0 0 1\n1000 {NOBODY} 1" if privileged else f"1000 {own} 1")


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def _supervise(program: Any, job: dict[str, Any]) -> int:
    """Waits until the program ends, its time is up, or nobody wants it any more; then nothing is left of it."""
    call("adopting orphans", PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0, name="prctl")
    child = os.fork()
    if child == 0:
        program()
    poll = select.poll()
    poll.register(0, select.POLLIN)
    poll.register(os.pidfd_open(child), select.POLLIN)
    happened = poll.poll(job["seconds"] * 1000)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    if not job["isolated"]:  # Process 1 takes its whole world along.
        _kill_orphans()
    return 0 if happened else LATE


def _kill_orphans() -> None:
    while children := _children():
        for one in children:
            os.kill(one, signal.SIGKILL)
        os.waitpid(children[0], 0)


def _children() -> list[int]:
    with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as file:
        return [int(number) for number in file.read().split()]


def _program(job: dict[str, Any], root: str | None) -> NoReturn:
    """Becomes the program."""
    try:
        os.setpgid(0, 0)
        if root is not None:
            _new_root(root, job)
            # Where there is no root inside, the supervisor is of the program's user, and counts.
            job["processes"] += os.getuid() != 0
            _change_user()
            os.chdir(HOME)
        else:
            os.chdir(job["folder"])
        _limit(job)
        with open("main.py", "w", encoding="utf-8", errors="surrogatepass") as file:
            file.write(job["program"])
        null = os.open("/dev/null", os.O_RDWR)
        os.dup2(null, 0)
        os.dup2(1, 2)
        if root is not None:
            _drop_privileges()
        os.write(1, READY)
        python = job["python"]
        os.execve(python, [python, "-I", "-S", "-B", "main.py"], {"PYTHONHASHSEED": "0", "LANG": "C.UTF-8"})
    except (Impossible, OSError, UnicodeError) as error:
        os.write(1, f"{error}\n".encode(errors="replace"))
    finally:
        os._exit(1)


def _new_root(root: str, job: dict[str, Any]) -> None:
    """A file system of what a Python program needs, and nothing else."""
    mount("none", "/", None, MS_REC | MS_PRIVATE)
    mount("tmpfs", root, "tmpfs", MS_NOSUID | MS_NODEV, "size=1m,mode=755")
    for shown in job["shown"]:
        inside = root + shown
        if os.path.islink(shown):
            os.symlink(os.readlink(shown), inside)
            continue
        os.makedirs(inside, mode=0o755, exist_ok=True)
        mount(shown, inside, None, MS_BIND | MS_REC)
    os.mkdir(f"{root}/dev", 0o755)
    for device in ("null", "zero", "urandom"):
        os.close(os.open(f"{root}/dev/{device}", os.O_CREAT | os.O_WRONLY))
        mount(f"/dev/{device}", f"{root}/dev/{device}", None, MS_BIND)
    os.mkdir(root + HOME)
    attributes = ctypes.create_string_buffer(struct.pack("QQQQ", ATTR_RDONLY | ATTR_NOSUID, 0, 0, 0), 32)
    call("a read-only file system", SYS_MOUNT_SETATTR, AT_FDCWD, root.encode(), AT_RECURSIVE, attributes, 32)
    size = f"size={job['disk']},nr_inodes=256,mode=777"
    mount("tmpfs", root + HOME, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, size)
    os.chdir(root)
    call("a new root", SYS_PIVOT_ROOT[platform.machine()], b".", b".")
    call("leaving the old root", b".", MNT_DETACH, name="umount2")


def _change_user() -> None:
    """To the one user there is, or from root to nobody, for whom limits hold."""
    if os.getuid() == 0:
        os.setgroups([])
        os.setresgid(1000, 1000, 1000)
        os.setresuid(1000, 1000, 1000)


def _limit(job: dict[str, Any]) -> None:
    for limit, wanted in (
        (resource.RLIMIT_AS, job["memory"]),
        (resource.RLIMIT_CPU, int(job["seconds"]) + 1),
        (resource.RLIMIT_FSIZE, job["disk"]),
        (resource.RLIMIT_NOFILE, 32),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_MEMLOCK, 0),
        *(((resource.RLIMIT_NPROC, job["processes"]),) if job["isolated"] else ()),
    ):
        hard = resource.getrlimit(limit)[1]
        value = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(limit, (value, value))


def _drop_privileges() -> None:
    """No capability, none to be gained, and a filter before the kernel."""
    for capability in range(64):
        libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
    header = ctypes.create_string_buffer(struct.pack("Ii", 0x20080522, 0), 8)
    call("dropping capabilities", header, ctypes.create_string_buffer(24), name="capset")
    call("no new privileges", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, name="prctl")
    instructions = _filter(platform.machine())
    held = ctypes.create_string_buffer(instructions, len(instructions))
    program = struct.pack("HxxxxxxP", len(instructions) // 8, ctypes.addressof(held))
    call("filtering system calls", PR_SET_SECCOMP, 2, ctypes.create_string_buffer(program, 16), 0, 0, name="prctl")


def _filter(machine: str) -> bytes:
    """A BPF program: another architecture kills, a refused call fails with EPERM, `clone3` with ENOSYS."""
    load, equal, above, holds, give = 0x20, 0x15, 0x35, 0x45, 0x06
    kill, allow, refuse, absent = 0x80000000, 0x7FFF0000, 0x50000 | 1, 0x50000 | 38
    steps = [(load, 0, 0, 4), (equal, 1, 0, ARCHITECTURE[machine]), (give, 0, 0, kill), (load, 0, 0, 0)]
    if machine == "x86_64":
        steps += [(above, 0, 1, 0x40000000), (give, 0, 0, refuse)]
    for number in REFUSED[machine]:
        steps += [(equal, 0, 1, number), (give, 0, 0, refuse)]
    steps += [(equal, 0, 1, CLONE3), (give, 0, 0, absent)]
    steps += [(equal, 0, 3, CLONE[machine]), (load, 0, 0, 16), (holds, 0, 1, NAMESPACES), (give, 0, 0, refuse)]
    steps += [(give, 0, 0, allow)]
    return b"".join(struct.pack("HBBI", *step) for step in steps)


if __name__ == "__main__":
    sys.exit(main())
