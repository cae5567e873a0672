"""The system calls that the kernel refuses to a program, whatever its user may do: a seccomp filter.

The program keeps what computing needs: memory, files, threads, pipes, clocks. It cannot start processes or other
programs, or use sockets, mounts, namespaces, tracing, keyrings or shared memory. Numbers from 424 on (Linux 5.1 and
later) do not exist for it, among them clone3, io_uring and pidfd; the C library falls back as on an older kernel.
Numbers and layout: Linux, include/uapi/linux/{seccomp,filter,audit}.h and the tables of the two machines.
"""

import errno
import platform
import struct

from components.errors import ScorerError

# Name → number on x86_64 (None: does not exist there), number on aarch64.
_REFUSED: dict[str, tuple[int | None, int | None]] = {
    "fork": (57, None), "vfork": (58, None), "execve": (59, 221), "execveat": (322, 281),
    "socket": (41, 198), "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "kcmp": (312, 272), "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51),
    "unshare": (272, 97), "setns": (308, 268), "bpf": (321, 280), "perf_event_open": (298, 241),
    "userfaultfd": (323, 282), "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219),
    "shmget": (29, 194), "semget": (64, 190), "msgget": (68, 186), "mq_open": (240, 180), "memfd_create": (319, 279),
    "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265), "fanotify_init": (300, 262),
    "inotify_init": (253, None), "inotify_init1": (294, 26), "vmsplice": (278, 75), "personality": (135, 92),
    "modify_ldt": (154, None), "iopl": (172, None), "ioperm": (173, None), "init_module": (175, 105),
    "finit_module": (313, 273), "delete_module": (176, 106), "kexec_load": (246, 104), "kexec_file_load": (320, 294),
    "reboot": (169, 142), "swapon": (167, 224), "swapoff": (168, 225), "acct": (163, 89), "quotactl": (179, 60),
    "syslog": (103, 116), "settimeofday": (164, 170), "clock_settime": (227, 112), "adjtimex": (159, 171),
    "clock_adjtime": (305, 266), "sethostname": (170, 161), "setdomainname": (171, 162),
    "io_setup": (206, 0), "migrate_pages": (256, 238), "move_pages": (279, 239),
}  # fmt: skip
_MACHINES = {
    "x86_64": (0, 0xC000003E, 56),
    "aarch64": (1, 0xC00000B7, 220),
}  # column, audit's number of the architecture, number of clone
_FIRST_UNKNOWN = 424
_CLONE_THREAD = 0x00010000

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06  # BPF: ld abs, jeq, jge, jset, ret
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16  # offsets into struct seccomp_data, little-endian
_ALLOW, _KILL, _ERROR = 0x7FFF0000, 0x80000000, 0x00050000


def system_call_filter() -> bytes:
    """The filter for this machine, as an array of struct sock_filter.

    Raises:
        ScorerError: The machine is neither x86_64 nor aarch64.
    """
    machine = platform.machine()
    if machine not in _MACHINES:
        raise ScorerError(f"expected a sandbox on {' or '.join(_MACHINES)}, found {machine}")
    column, architecture, clone = _MACHINES[machine]
    numbers = [numbers_of[column] for numbers_of in _REFUSED.values()]
    refused = [number for number in numbers if number is not None]
    return b"".join([
        _step(_LOAD, _ARCHITECTURE), _step(_EQUAL, architecture, 1, 0), _step(_RETURN, _KILL),
        _step(_LOAD, _NUMBER), _step(_AT_LEAST, _FIRST_UNKNOWN, 0, 1), _step(_RETURN, _ERROR | errno.ENOSYS),
        *(step for number in refused for step in (_step(_EQUAL, number, 0, 1), _step(_RETURN, _ERROR | errno.EPERM))),
        _step(_EQUAL, clone, 0, 3),  # threads are allowed, processes are not
        _step(_LOAD, _FIRST_ARGUMENT), _step(_ANY_BIT, _CLONE_THREAD, 1, 0), _step(_RETURN, _ERROR | errno.EPERM),
        _step(_RETURN, _ALLOW),
    ])  # fmt: skip


def _step(code: int, operand: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, operand)
