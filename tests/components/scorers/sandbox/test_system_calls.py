"""What the kernel answers to each system call under the filter, worked out as the kernel does it."""

import re
import struct
from pathlib import Path

import pytest

from components.errors import ScorerError
from components.scorers.sandbox.system_calls import system_call_filter

# Name, number on x86_64, number on aarch64 (unistd_64.h and asm-generic/unistd.h of Linux 6).
REFUSED = (
    "acct 163 89; add_key 248 217; adjtimex 159 171; bpf 321 280; chroot 161 51; clock_adjtime 305 266; "
    "clock_settime 227 112; delete_module 176 106; execve 59 221; execveat 322 281; fanotify_init 300 262; "
    "finit_module 313 273; fork 57 -; init_module 175 105; inotify_init 253 -; inotify_init1 294 26; io_setup 206 0; "
    "ioperm 173 -; iopl 172 -; kcmp 312 272; kexec_file_load 320 294; kexec_load 246 104; keyctl 250 219; "
    "memfd_create 319 279; migrate_pages 256 238; modify_ldt 154 -; mount 165 40; move_pages 279 239; "
    "mq_open 240 180; msgget 68 186; name_to_handle_at 303 264; open_by_handle_at 304 265; perf_event_open 298 241; "
    "personality 135 92; pivot_root 155 41; process_vm_readv 310 270; process_vm_writev 311 271; ptrace 101 117; "
    "quotactl 179 60; reboot 169 142; request_key 249 218; semget 64 190; setdomainname 171 162; "
    "sethostname 170 161; setns 308 268; settimeofday 164 170; shmget 29 194; socket 41 198; swapoff 168 225; "
    "swapon 167 224; syslog 103 116; umount2 166 39; unshare 272 97; userfaultfd 323 282; vfork 58 -; "
    "vmsplice 278 75"
)
NUMBERS = {name: numbers for name, *numbers in (line.split() for line in REFUSED.split("; "))}
HEADERS = [Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"), Path("/usr/include/asm-generic/unistd.h")]
MACHINES = [("x86_64", 0, 0xC000003E, 56), ("aarch64", 1, 0xC00000B7, 220)]  # column, architecture, clone
ALLOWED, KILLED, NO_PERMISSION, NO_SUCH_CALL = 0x7FFF0000, 0x80000000, 0x00050001, 0x00050026  # EPERM 1, ENOSYS 38
THREAD = 0x3D0F00  # the flags with which a thread is made; CLONE_THREAD is 0x10000
PROCESS = 0x1200011  # and a process


def verdict(steps: bytes, number: int, architecture: int, argument: int = 0) -> int:
    """Run the filter over a struct seccomp_data: number, architecture, where the caller stands, six arguments."""
    data = struct.pack("<IIQ6Q", number, architecture, 0, argument, 0, 0, 0, 0, 0)
    program = list(struct.iter_unpack("=HBBI", steps))
    place = value = 0
    while True:
        code, if_true, if_false, operand = program[place]
        place += 1
        if code == 0x20:  # BPF_LD | BPF_W | BPF_ABS
            assert operand % 4 == 0, "the kernel takes aligned words alone"
            (value,) = struct.unpack_from("<I", data, operand)
        elif code == 0x06:  # BPF_RET | BPF_K
            return operand
        else:  # BPF_JMP with BPF_JEQ, BPF_JGE, BPF_JSET
            holds = {0x15: value == operand, 0x35: value >= operand, 0x45: value & operand != 0}[code]
            place += if_true if holds else if_false


@pytest.mark.parametrize(("machine", "column", "architecture", "clone"), MACHINES)
def test_listed_calls_are_refused_and_all_others_allowed(
    machine: str, column: int, architecture: int, clone: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.machine", lambda: machine)
    steps = system_call_filter()
    refused = {int(numbers[column]) for numbers in NUMBERS.values() if numbers[column] != "-"}
    verdicts = {number: verdict(steps, number, architecture) for number in range(424)}
    assert {number for number, answer in verdicts.items() if answer == NO_PERMISSION} == refused | {clone}
    assert {number for number, answer in verdicts.items() if answer == ALLOWED} == set(range(424)) - refused - {clone}


@pytest.mark.parametrize(("machine", "column", "architecture", "clone"), MACHINES)
def test_threads_are_allowed_and_processes_new_calls_and_other_machines_are_not(
    machine: str, column: int, architecture: int, clone: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.machine", lambda: machine)
    steps = system_call_filter()
    assert verdict(steps, clone, architecture, THREAD) == ALLOWED
    assert verdict(steps, clone, architecture, PROCESS) == NO_PERMISSION
    assert {verdict(steps, number, architecture, THREAD) for number in (424, 435, 0xFFFFFFFF)} == {NO_SUCH_CALL}
    others = {0, architecture - 1, architecture + 1, 0x40000003, *(machine[2] for machine in MACHINES)} - {architecture}
    assert {verdict(steps, number, other) for other in others for number in (0, 1, 63)} == {KILLED}


@pytest.mark.parametrize("column", [0, 1])
def test_the_numbers_are_those_of_the_kernels_headers(column: int) -> None:
    if not HEADERS[column].is_file():
        pytest.skip("the kernel's headers are not installed")
    defined = re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", HEADERS[column].read_text(encoding="utf-8"))
    first = dict(reversed(defined))
    assert {name: first.get(name, "-") for name in NUMBERS} == {
        name: numbers[column] for name, numbers in NUMBERS.items()
    }


def test_a_machine_whose_system_calls_are_unknown_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    with pytest.raises(ScorerError, match="expected a sandbox on x86_64 or aarch64, found riscv64"):
        system_call_filter()
