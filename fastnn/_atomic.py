"""Files that are replaced as a whole: whenever the process is killed, the old one or the new one is there.

Content is written to a file beside the target, which takes the target's name when all of it is on disk. That partial
file is called `TARGET.PID-RANDOM.partial`; it is made with O_EXCL and O_NOFOLLOW, so that nobody can have put a link
there. Its permissions are set before anything is in it. It is locked while it is written, and the kernel releases the
lock of a process that was killed: the next write to the same target removes what such processes left.

A symbolic link as the target is followed and stays; the file that it points to is replaced. A link that another user
put in a shared folder such as /tmp is refused, as Linux refuses it where fs.protected_symlinks is set.
"""

import contextlib
import errno
import hashlib
import os
import re
import secrets
import stat
import sys
import time
from collections.abc import Iterator, Mapping
from typing import BinaryIO, NamedTuple

from fastnn._opening import require_regular

if sys.platform != "win32":
    import fcntl

__all__ = ["remove_stale", "replacing", "sync_folder", "write_together"]

_LONGEST = 180  # bytes of a target's name that are part of its partial files' names, of 255 that file systems take
_MOST_LINKS = 40
_ATTEMPTS = 100
_RENAMING = 60  # seconds that this takes at most


class _Partial(NamedTuple):
    """A file that is being written, and what it will be called."""

    file: BinaryIO
    name: str
    path: str


def sync_folder(folder: str) -> None:
    """Make a renaming durable: it is the folder's content. Windows neither needs nor allows it."""
    if sys.platform == "win32":
        return
    try:
        descriptor = os.open(folder or ".", os.O_RDONLY | os.O_DIRECTORY)
    except PermissionError:  # a folder that may be written to and not listed
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # what file systems say that cannot
            raise
    finally:
        os.close(descriptor)


# --------------------------------------------------------------------------------------------------------------- names


def _status(path: str) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except FileNotFoundError:
        return None


def _followed(path: str) -> str:
    """The name that a symbolic link stands for, itself no link."""
    for _ in range(_MOST_LINKS):
        found = _status(path)
        if found is None or not stat.S_ISLNK(found.st_mode):
            return path
        folder = os.path.dirname(path)
        above = os.stat(folder or ".")
        shared = above.st_mode & stat.S_ISVTX and above.st_mode & stat.S_IWOTH
        if shared and found.st_uid not in (os.geteuid(), above.st_uid):
            raise PermissionError(f"{path}: a link that another user put in a shared folder; choose another name")
        path = os.path.join(folder, os.readlink(path))
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)


def _stem(path: str) -> str:
    """What the partial files of a target begin with."""
    name = os.path.basename(path)
    coded = os.fsencode(name)
    return name if len(coded) <= _LONGEST else hashlib.sha256(coded).hexdigest()


def _partial_name(path: str) -> str:
    name = f"{_stem(path)}.{os.getpid()}-{secrets.token_hex(8)}.partial"
    return os.path.join(os.path.dirname(path), name)


def _unlink(path: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)


# --------------------------------------------------------------------------------------------------------- stale files


def _is_locked(descriptor: int, pid: int) -> bool:
    """Whether the process that wrote a partial file still does; takes the lock if not.

    A lock is certain where process numbers are not: they are used again, and differ between containers. Where the file
    system has no locks, the file is left alone as long as any process has the number.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        except OSError:
            return True
        return True
    return False


def _remove_if_stale(path: str, pid: int) -> None:
    if sys.platform == "win32":  # an open file cannot be removed, and is closed just before it takes its name
        if time.time() - os.stat(path).st_mtime > _RENAMING:
            os.unlink(path)
        return
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        found, named = os.fstat(descriptor), os.lstat(path)
        ours = stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid()
        same = (found.st_dev, found.st_ino) == (named.st_dev, named.st_ino)
        if ours and same and not _is_locked(descriptor, pid):
            os.unlink(path)
    finally:
        os.close(descriptor)


def remove_stale(path: str) -> None:
    """Remove the partial files of a target that killed processes of this user left."""
    pattern = re.compile(re.escape(_stem(path)) + r"\.(\d+)-[0-9a-f]+\.partial")
    with contextlib.suppress(OSError), os.scandir(os.path.dirname(path) or ".") as entries:
        found = [(entry.path, match) for entry in entries if (match := pattern.fullmatch(entry.name))]
        for name, match in found:
            with contextlib.suppress(OSError):
                _remove_if_stale(name, int(match[1]))


# ------------------------------------------------------------------------------------------------------------- writing


def _set_owner_and_mode(descriptor: int, before: os.stat_result) -> None:
    """Those of the file that is replaced; less for the group, where the file cannot have the same one."""
    if sys.platform == "win32":
        return
    for owner in (before.st_uid, -1):  # only root may give a file away
        with contextlib.suppress(OSError):
            os.fchown(descriptor, owner, before.st_gid)
            break
    mode = before.st_mode & 0o777
    if os.fstat(descriptor).st_gid != before.st_gid:
        mode &= ~0o070 | (mode & 0o007) << 3
    os.fchmod(descriptor, mode)


def _lock(descriptor: int) -> bool:
    """Lock a new partial file. False if another process has just taken it for one that was left, and removes it."""
    if sys.platform == "win32":
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return os.fstat(descriptor).st_nlink > 0


@contextlib.contextmanager
def _partial(path: str, follow: bool = True) -> Iterator[_Partial]:
    """A new, empty, locked file beside the target, which is closed and removed at the end unless it was renamed."""
    given = path
    if follow:
        path = _followed(path)
    before = _status(path)
    if before is not None and stat.S_ISLNK(before.st_mode):
        before = None
    if before is not None:
        require_regular(given, before)
    remove_stale(path)
    mode = 0o666 if before is None else before.st_mode & 0o600

    def opener(name: str, flags: int) -> int:
        return os.open(name, flags | getattr(os, "O_NOFOLLOW", 0), mode)

    for _ in range(_ATTEMPTS):
        name = _partial_name(path)  # before the file is made: an interrupt at any moment removes it
        try:
            with open(name, "xb", opener=opener) as file:
                if not _lock(file.fileno()):
                    continue
                if before is not None:
                    _set_owner_and_mode(file.fileno(), before)
                yield _Partial(file, name, path)
                return
        finally:
            _unlink(name)
    raise OSError(f"{path}: each of {_ATTEMPTS} files beside it was removed by another process")


def _finish(partial: _Partial) -> None:
    """All of it on disk. It stays open and with that locked, but on Windows, which renames no open file."""
    partial.file.flush()
    os.fsync(partial.file.fileno())
    if sys.platform == "win32":
        partial.file.close()


def _take_free_name(name: str, path: str) -> None:
    """Give the file `name` another name, which no other has, not even one that was made just now."""
    try:
        os.link(name, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without such links
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path) from None
        os.rename(name, path)


@contextlib.contextmanager
def replacing(
    path: str, keep_previous: str | None = None, follow: bool = True, overwrite: bool = True
) -> Iterator[BinaryIO]:
    """A file to write, which takes its name when all of it is on disk.

    It has the permissions of the file that it replaces, at every moment, or those of a new file. What was there goes to
    `keep_previous`, if that is given. follow=False replaces a symbolic link itself, where no user would have made one.
    overwrite=False is a FileExistsError where there is a file by then.
    """
    with _partial(os.fsdecode(path), follow) as partial:
        yield partial.file
        _finish(partial)
        if keep_previous is not None and os.path.lexists(partial.path):
            os.replace(partial.path, keep_previous)
        if overwrite:
            os.replace(partial.name, partial.path)
        else:
            _take_free_name(partial.name, partial.path)
    sync_folder(os.path.dirname(partial.path))


def _keep(path: str, name: str) -> None:
    """Give what is at `path`, if anything, another name too, from which it can come back."""
    with contextlib.suppress(FileNotFoundError):
        try:
            os.link(path, name)
        except OSError:  # a file system without such links
            os.rename(path, name)


def _put_back(partial: _Partial, kept: str) -> None:
    with contextlib.suppress(OSError):
        if os.path.lexists(kept):
            os.replace(kept, partial.path)
            _unlink(kept)  # where both are names of one file, replacing does nothing
        elif not os.path.lexists(partial.name):  # it took a name that was free
            os.unlink(partial.path)


def write_together(contents: Mapping[str, bytes]) -> None:
    """Write several files: all are replaced, or after an error none is.

    All are on disk before the first takes its name. If one cannot take its name, the others' former files come back.
    """
    with contextlib.ExitStack() as stack:
        partials = [stack.enter_context(_partial(os.fsdecode(path))) for path in contents]
        for partial, content in zip(partials, contents.values(), strict=True):
            partial.file.write(content)
            _finish(partial)
        renamed: list[tuple[_Partial, str]] = []
        try:
            for partial in partials:
                renamed.append((partial, _partial_name(partial.path)))
                _keep(partial.path, renamed[-1][1])
                os.replace(partial.name, partial.path)
        except BaseException:
            for partial, kept in reversed(renamed):
                _put_back(partial, kept)
            raise
        for _, kept in renamed:
            _unlink(kept)
    for folder in {os.path.dirname(partial.path) for partial in partials}:
        sync_folder(folder)
