"""A process tree and a mount tree of our own. All namespaces, users, mounts and daemons in it end with its first
process, however that process ends."""

import ctypes
import errno
import os
import pathlib
import signal
import sys

_libc = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNS, CLONE_NEWUTS = 0x00020000, 0x04000000  # linux/sched.h
CLONE_NEWPID, CLONE_NEWNET = 0x20000000, 0x40000000
_MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_REMOUNT, _MS_BIND = 2, 4, 8, 32, 4096  # linux/mount.h
_MS_REC, _MS_PRIVATE = 16384, 1 << 18
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_NAME = 1, 4, 15  # linux/prctl.h

FOLDER = pathlib.Path("/run/ubf-lab")  # in a private tree, on a tmpfs of its own


class Trouble(Exception):
    """A mistake that the person who started us can correct."""


class NotRoot(Trouble):
    """Only root can make namespaces."""


def end_with(trouble):
    """Ends a program after trouble. Without root the status is 77, which CTest knows as a skipped test."""
    print(f"{sys.argv[0]}: {trouble}", file=sys.stderr)
    sys.exit(77 if isinstance(trouble, NotRoot) else 1)


def call(name, *arguments):
    """Calls a function of the C library; raises OSError if it returns -1."""
    if getattr(_libc, name)(*arguments) < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{name}: {os.strerror(error)}")


def mount(source, target, kind="", flags=0, data=None):
    call("mount", source.encode(), str(target).encode(), kind.encode(), flags, data and data.encode())


def remount_proc(data):
    """Remounts /proc with other options, like "hidepid=2"."""
    mount("proc", "/proc", "proc", _MS_REMOUNT | _MS_NOSUID | _MS_NODEV | _MS_NOEXEC, data)


def run_in_private_tree(main):
    """Runs main() as the first process of a process and mount tree of its own. Returns its exit status."""
    if os.geteuid() != 0:
        raise NotRoot("needs root, for network namespaces; run it with sudo")
    call("unshare", CLONE_NEWNS | CLONE_NEWPID)
    child = os.fork()
    if child == 0:
        os._exit(_first_process(main))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal sends SIGINT to the child as well
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: os.kill(child, number))
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _first_process(main):
    def stop(number, _):
        sys.exit(128 + number)

    try:
        call("prctl", PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, stop)
        _make_mounts_private()
        mount("proc", "/proc", "proc", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC)
        # This also hides the sockets of name service caches, so that users come from our copies of the files.
        mount("tmpfs", "/run", "tmpfs", _MS_NOSUID | _MS_NODEV)
        FOLDER.mkdir(mode=0o755)
        return main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    except Trouble as trouble:
        print(f"{sys.argv[0]}: {trouble}", file=sys.stderr)
        return 1
    finally:
        sys.stdout.flush()


def _make_mounts_private():
    try:
        mount("none", "/", flags=_MS_REC | _MS_PRIVATE)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        raise Trouble("the root is no mount point, as in a chroot, so mounts would reach other trees; "
                      "before chroot, run 'mount --bind FOLDER FOLDER'") from None


def reachable(folder):
    """Makes the folder reachable for all users: a home directory may be its owner's alone. The files in it must be
    readable for all."""
    public = pathlib.Path("/run/reachable") / str(folder).strip("/").replace("/", "-")
    if not public.exists():
        public.mkdir(parents=True)
        mount(str(folder), public, flags=_MS_BIND)
    return public


def add_users(users, groups, private=True):
    """Adds users (name: uid) and groups (name: (gid, members)) to this tree or, if not private, to this machine. Every
    user gets a group with the same name and number."""
    lines = {
        "/etc/passwd": [f"{name}:x:{uid}:{uid}::/nonexistent:/bin/sh" for name, uid in users.items()],
        "/etc/group": [f"{name}:x:{uid}:" for name, uid in users.items()]
        + [f"{name}:x:{gid}:{','.join(members)}" for name, (gid, members) in groups.items()],
    }
    for file, more in lines.items():
        names = {line.split(":")[0] for line in more}
        kept = [line for line in pathlib.Path(file).read_text().splitlines() if line.split(":")[0] not in names]
        if private:
            replace_file(file, kept + more)
        else:
            pathlib.Path(file).write_text("\n".join(kept + more) + "\n")


def add_hosts(addresses):
    """Defines host names in this tree: name -> address."""
    replace_file("/etc/hosts", ["127.0.0.1 localhost", "::1 localhost",
                                *(f"{address} {name}" for name, address in addresses.items())])


def replace_file(file, lines):
    """Replaces a file in this tree."""
    copy = FOLDER / pathlib.Path(file).name
    copy.write_text("\n".join(lines) + "\n")
    copy.chmod(0o644)
    mount(str(copy), file, flags=_MS_BIND)
