"""The jail, attacked. Every attack is real: it is run, and must come to nothing."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from quorate.aggregators import Limits, Sandbox, Unisolated
from quorate.aggregators.execution import sandbox
from quorate.orchestrator.errors import BadInput


async def ran(program: str, *, kind: type[Sandbox] = Sandbox, **limits: float) -> str:
    """What a program wrote that ended by itself."""
    execution = await kind(Limits(**limits)).run(program)  # type: ignore[arg-type]
    assert execution.ended == "complete"
    return execution.output.decode()


@pytest.mark.parametrize("kind", [Sandbox, Unisolated])
async def test_a_program_runs_and_its_output_comes_back(kind: type[Sandbox]) -> None:
    """Standard output and error, in order; the standard library is there."""
    told = await ran("import json, sys, heapq\nprint(json.dumps([1]))\nprint('err', file=sys.stderr)", kind=kind)
    assert sorted(told.split()) == ["[1]", "err"]


async def test_a_program_that_fails_is_complete() -> None:
    """Its traceback is its output."""
    assert "ZeroDivisionError" in await ran("1 / 0")
    assert "SyntaxError" in await ran("def")


@pytest.mark.parametrize("kind", [Sandbox, Unisolated])
async def test_an_endless_loop_is_ended(kind: type[Sandbox]) -> None:
    """At the time limit, also where the program ignores every signal that it can."""
    program = "import signal\nfor n in (1, 2, 14, 15, 24): signal.signal(n, signal.SIG_IGN)\nwhile True: pass"
    execution = await kind(Limits(seconds=0.5)).run(program)
    assert execution.ended == "time"


@pytest.mark.parametrize("kind", [Sandbox, Unisolated])
async def test_a_sleeper_is_ended(kind: type[Sandbox]) -> None:
    """Time counts on the wall, not on the processor."""
    execution = await kind(Limits(seconds=0.5)).run("import time\nprint('x', flush=True)\ntime.sleep(3600)")
    assert (execution.ended, execution.output) == ("time", b"x\n")


@pytest.mark.parametrize("kind", [Sandbox, Unisolated])
async def test_a_memory_bomb_meets_a_memory_error(kind: type[Sandbox]) -> None:
    """Address space is limited."""
    assert "MemoryError" in await ran("x = []\nwhile True: x.append(bytearray(10**7))", kind=kind, memory=2**27)


async def test_memory_that_no_limit_counts_is_refused() -> None:
    """Shared memory of System V, and files that live in memory alone."""
    told = await ran(
        "import ctypes, os\nlibc = ctypes.CDLL(None, use_errno=True)\n"
        "print(libc.shmget(0, 10**6, 0o1600), ctypes.get_errno())\n"
        "try: os.memfd_create('x')\nexcept PermissionError: print('refused')"
    )
    assert told.split() == ["-1", "1", "refused"]


async def test_a_fork_bomb_does_not_go_off() -> None:
    """Not a single process or thread more than allowed, whatever starts it."""
    told = await ran(
        "import os, subprocess, threading, time\n"
        "thread = threading.Thread(target=time.sleep, args=(9,))\n"
        "for start in (os.fork, lambda: subprocess.run(['/bin/true']), thread.start):\n"
        "    try: start()\n    except (OSError, RuntimeError) as error: print('no')"
    )
    assert told.split() == ["no"] * 3


async def test_processes_that_are_allowed_die_with_the_program() -> None:
    """A child in a session of its own holds the output open, but not for longer than the program lives."""
    program = "import os, time\nif os.fork() == 0:\n    os.setsid()\n    time.sleep(3600)\nprint('done')"
    assert await ran(program, processes=4) == "done\n"


async def test_orphans_die_without_isolation_too() -> None:
    """The supervisor adopts and ends them."""
    program = "import os, time\nif os.fork() == 0:\n    os.setsid()\n    time.sleep(3600)\nprint('done')"
    assert await ran(program, kind=Unisolated) == "done\n"


@pytest.mark.parametrize("kind", [Sandbox, Unisolated])
async def test_huge_output_is_cut(kind: type[Sandbox]) -> None:
    """And the program ended; nothing waits for a reader."""
    execution = await kind(Limits(output=1000)).run("while True: print('a' * 10000)")
    assert (execution.ended, len(execution.output)) == ("output", 1000)


async def test_nothing_can_be_written_outside_its_folder(tmp_path: Path) -> None:
    """Not where the user of this process could; its own folder is small, and gone afterwards."""
    target = tmp_path / "evidence"
    told = await ran(
        f"import os\nfor path in ({str(target)!r}, '/tmp/evidence', '/usr/evidence', '/evidence', '/dev/evidence'):\n"
        "    try: open(path, 'w')\n    except OSError as error: print('no')\n"
        "open('mine', 'w').write('yes')\nprint(open('mine').read(), sorted(os.listdir('.')))"
    )
    assert told.splitlines() == ["no"] * 5 + ["yes ['main.py', 'mine']"]
    assert not target.exists()


async def test_its_folder_is_small() -> None:
    """In bytes of one file and of all, and in files."""
    told = await ran(
        "try:\n    for i in range(9): open(f'f{i}', 'wb').write(bytes(2**19))\n"
        "except OSError as error: print('full', i < 3)\n"
        "import os\nfor name in os.listdir('.'): os.unlink(name)\n"
        "try:\n    for i in range(10**4): open(f'f{i}', 'w').close()\nexcept OSError: print('too many')",
        disk=2**20,
    )
    assert told.splitlines() == ["full True", "too many"]


async def test_files_of_others_cannot_be_seen(tmp_path: Path) -> None:
    """Homes, temporary folders, processes, devices: what is not needed is not there."""
    secret = tmp_path / "secret"
    secret.write_text("key")
    told = await ran(
        f"import os\nprint([p for p in ('/proc/self', '/sys', '/tmp', '/home', '/etc', '/var', {str(secret)!r}) "
        "if os.path.exists(p)])\nprint(sorted(os.listdir('/dev')), os.getppid(), os.getpid())"
    )
    assert told.splitlines() == ["[]", "['null', 'urandom', 'zero'] 0 1"]


async def test_there_is_no_network() -> None:
    """Not outwards, not to servers on this machine, not to sockets with a name, not to a hypervisor."""
    server = socket.create_server(("127.0.0.1", 0))
    hidden = socket.socket(socket.AF_UNIX)
    hidden.bind(f"\0quorate-test-{os.getpid()}")
    hidden.listen()
    with server, hidden:
        told = await ran(
            "import socket\n"
            f"for kind, to in ((2, ('127.0.0.1', {server.getsockname()[1]})), (2, ('1.1.1.1', 53)), "
            f"(1, '\\0quorate-test-{os.getpid()}'), (40, (2, 1))):\n"
            "    try: socket.socket(kind).connect(to)\n    except OSError: print('no')"
        )
    assert told.split() == ["no"] * 4


async def test_the_environment_stays_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither inherited nor to be read from a parent."""
    monkeypatch.setenv("QUORATE_TEST_KEY", "sesame")
    told = await ran(
        "import os, glob\nprint(sorted(os.environ))\nprint(glob.glob('/proc/*/environ'))\n"
        "for fd in range(3, 64):\n    try: os.fstat(fd)\n    except OSError: pass\n    else: print('open', fd)"
    )
    assert "sesame" not in told
    assert told.splitlines() == ["['LANG', 'PYTHONHASHSEED']", "[]"]


async def test_there_is_no_way_out() -> None:
    """No capability, no new namespace, no mount, no change of root, no root user; the supervisor is out of reach."""
    told = await ran(
        "import ctypes, os\nlibc = ctypes.CDLL(None, use_errno=True)\n"
        "print(os.getuid() != 0, libc.unshare(0x10000000), libc.mount(b'none', b'/work', b'tmpfs', 0, None),\n"
        "      libc.chroot(b'/usr'), libc.ptrace(16, 1, 0, 0), libc.setuid(0))\n"
        "try: os.kill(-1, 9)\nexcept OSError: print('alone')"
    )
    assert told.splitlines() == ["True -1 -1 -1 -1 -1", "alone"]


async def test_a_child_gets_no_namespace_of_its_own() -> None:
    """Where children are allowed: plain ones are, ones with new users and so with new powers are not."""
    told = await ran(
        "import ctypes, os, platform\nlibc = ctypes.CDLL(None, use_errno=True)\n"
        "clone = {'x86_64': 56, 'aarch64': 220}[platform.machine()]\n"
        "child = os.fork()\nif child == 0: os._exit(0)\nos.waitpid(child, 0)\n"
        "for flags in (0x10000000, 0x20000, 0x40000000):\n"
        "    print(libc.syscall(clone, flags | 17, 0, 0, 0, 0), ctypes.get_errno())\n"
        "print(libc.syscall(435, 0, 0), ctypes.get_errno())",
        processes=4,
    )
    assert told.splitlines() == ["-1 1"] * 3 + ["-1 38"]


async def test_cancelling_ends_the_program_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the cancelled call returns, the supervisor has ended, and nobody holds the program's output any more."""
    started: list[asyncio.subprocess.Process] = []
    start = asyncio.create_subprocess_exec

    async def noted(*arguments: Any, **options: Any) -> asyncio.subprocess.Process:
        started.append(await start(*arguments, **options))
        return started[0]

    monkeypatch.setattr(asyncio, "create_subprocess_exec", noted)
    task = asyncio.create_task(Sandbox(Limits(seconds=600)).run("while True: pass"))
    while not started or not children(started[0].pid):  # noqa: ASYNC110 - another process is waited for
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert started[0].returncode is not None
    assert started[0].stdout is not None
    assert started[0].stdout.at_eof()


def children(pid: int) -> str:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")


async def test_without_isolation_nothing_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says why, and what to do; it takes a class of its own to run unprotected."""
    evidence = tmp_path / "evidence"
    source = sandbox.JAIL.read_text(encoding="utf-8")
    broken = tmp_path / "jail.py"
    broken.write_text(source.replace('name="unshare"', 'name="chroot"'), encoding="utf-8")
    monkeypatch.setattr(sandbox, "JAIL", broken)
    program = f"open({str(evidence)!r}, 'w').close()"
    with pytest.raises(BadInput, match=r"cannot be isolated here \(.*new namespaces.*Unisolated"):
        await Sandbox().run(program)
    assert not evidence.exists()
    assert (await Unisolated().run(program)).ended == "complete"
    assert evidence.exists()


@pytest.mark.parametrize("wrong", [{"seconds": 0}, {"memory": -1}, {"output": 0}, {"disk": 0}, {"processes": 0}])
def test_limits_are_checked(wrong: dict[str, int]) -> None:
    """A limit of nothing is a mistake."""
    with pytest.raises(BadInput, match=next(iter(wrong))):
        Limits(**wrong)
