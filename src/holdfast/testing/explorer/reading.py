"""From calls to operations: what each system call did to the folder that is followed."""

import re
from collections.abc import Callable
from typing import Final

from holdfast.testing.explorer.following import MARKS, Follower
from holdfast.testing.explorer.operations import (
    Allocate,
    Entry,
    Flush,
    FlushAll,
    FlushFolder,
    Mark,
    Name,
    Resize,
    Write,
)  # fmt: skip
from holdfast.testing.explorer.processes import Descriptor
from holdfast.testing.explorer.strace import unhex

__all__ = ("Reader",)

_QUOTED: Final = re.compile(r'"([^"]*)"')
_ASKING: Final = {"TCGETS", "FIONREAD", "FIONBIO", "FIOCLEX", "FIONCLEX", "TIOCGWINSZ"}
_ZEROING: Final = ("FALLOC_FL_PUNCH_HOLE", "FALLOC_FL_ZERO_RANGE")
_KEEP: Final = "FALLOC_FL_KEEP_SIZE"


class Reader(Follower):
    """Turns the calls of one run into operations; `marks` is the file that marks are written to."""

    def _handle(self, name: str) -> None:
        _HANDLERS[name](self)

    def _open(self) -> None:
        at = self._call.name == "openat"
        flags = "O_WRONLY|O_CREAT|O_TRUNC" if self._call.name == "creat" else self._given.text(2 if at else 1)
        named = set(flags.split("|"))
        descriptor = self._opened(self._given.path(at), self._given.absolute(*self._given.spelled(at)), named)
        self._opens(self._given.result, descriptor, closing="O_CLOEXEC" in named)

    def _opens(self, fd: int, descriptor: Descriptor | None, *, closing: bool) -> None:
        self._process.set(fd, descriptor, closing=closing, at=len(self._after) - 1)

    def _opened(self, path: str | None, absolute: str, flags: set[str]) -> Descriptor | None:
        if absolute == self._marks:
            return Descriptor(MARKS)
        if path is None:
            return None
        if "O_TMPFILE" in flags:
            raise self._refuse("files without a name are not known to the model")
        node = self.view.find(path)
        if node is None:
            if "O_CREAT" not in flags:
                raise self._refuse("it opened what is not there in the trace")
            node = self._named(path, f"create {path}", folder=False)
        elif "O_TRUNC" in flags and self.view.bytes.get(node):
            self._resize(node, 0)
        sync = "all" if "O_SYNC" in flags else "data" if "O_DSYNC" in flags else ""
        return Descriptor(node, append="O_APPEND" in flags, sync=sync)

    def _named(self, path: str, text: str, *, folder: bool) -> int:
        slot = self.view.slot(path)
        node = self.view.new(folder=folder)
        self._do(Name(text, (Entry(*slot, node),)))
        return node

    def _write(self) -> None:
        descriptor = self._given.descriptor(0)
        if descriptor is None:
            return
        data = b"".join(unhex(text) for text in _QUOTED.findall(self._given.text(1)))[: self._given.result]
        if len(data) != self._given.result:
            raise self._refuse("strace does not show all that was written")
        if descriptor.node == MARKS:
            for line in data.decode().splitlines():
                self._do(Mark(line))
            return
        self._written(descriptor, data)

    def _written(self, descriptor: Descriptor, data: bytes) -> None:
        offset, file = self._offset(descriptor, len(data)), descriptor.node
        if data:
            grew = self.view.write(file, offset, data)
            self._do(Write(f"write {self.view.path(file)} {offset}+{len(data)}", file, offset, data, grew))
            sync = self._sync(descriptor)
            if sync:
                last = len(self._operations)
                self._do(Flush(f"  (written with O_{sync})", file, last, sync == "DSYNC", last - 1))

    def _offset(self, descriptor: Descriptor, size: int) -> int:
        """Return where a write goes, and move on where it does."""
        positioned = self._call.name.startswith("pw") and self._given.number(3) != -1
        offset = self._given.number(3) if positioned else descriptor.offset
        if descriptor.append:
            offset = len(self.view.bytes[descriptor.node])
        if not positioned:
            descriptor.offset = offset + size
        return offset

    def _sync(self, descriptor: Descriptor) -> str:
        flags = self._given.text(4).split("|") if self._call.name == "pwritev2" else []
        if set(flags) - {"0", "RWF_DSYNC", "RWF_SYNC"}:
            raise self._refuse("these flags are not known to the model")
        if "RWF_SYNC" in flags or descriptor.sync == "all":
            return "SYNC"
        return "DSYNC" if "RWF_DSYNC" in flags or descriptor.sync == "data" else ""

    def _seek(self) -> None:
        descriptor = self._given.descriptor(0)
        if descriptor is not None:
            descriptor.offset = self._given.result

    def _ftruncate(self) -> None:
        descriptor = self._file(0)
        if descriptor is not None:
            self._resize(descriptor.node, self._given.number(1))

    def _truncate(self) -> None:
        path = self._given.path(at=False)
        node = None if path is None else self.view.find(path)
        if node is not None:
            self._resize(node, self._given.number(1))

    def _resize(self, file: int, size: int) -> None:
        self.view.resize(file, size)
        self._do(Resize(f"truncate {self.view.path(file)} to {size}", file, size))

    def _fallocate(self) -> None:
        descriptor = self._file(0)
        if descriptor is None:
            return
        flags, begin = set(self._given.text(1).split("|")), self._given.number(2)
        if flags - {"0", _KEEP, *_ZEROING}:
            raise self._refuse("this way of allocating is not known to the model")
        self._allocated(descriptor.node, begin, begin + self._given.number(3), flags)

    def _allocated(self, file: int, begin: int, end: int, flags: set[str]) -> None:
        size = len(self.view.bytes[file])
        grown = size if _KEEP in flags else max(size, end)
        zeroed = (begin, min(end, grown)) if flags & set(_ZEROING) and begin < grown else (0, 0)
        self.view.resize(file, grown)
        self.view.bytes[file][slice(*zeroed)] = bytes(zeroed[1] - zeroed[0])
        self._do(Allocate(f"allocate {self.view.path(file)} {begin}+{end - begin}", file, grown, zeroed))

    def _flush(self) -> None:
        descriptor = self._given.descriptor(0)
        if descriptor is None or descriptor.node == MARKS:
            return
        node, since = descriptor.node, self._after[self._call.began]
        text = f"{self._call.name} {self.view.path(node)}"
        if node in self.view.folders:
            self._do(FlushFolder(text, node, since, self._nth))
        else:
            self._do(Flush(text, node, since, self._call.name == "fdatasync", nth=self._nth))

    def _flush_all(self) -> None:
        if self._call.name == "sync" or self._given.descriptor(0) is not None:
            self._do(FlushAll(self._call.name, self._after[self._call.began], self._nth))

    def _rename(self) -> None:
        at = self._call.name != "rename"
        if self._call.name == "renameat2" and self._given.text(4) not in ("0", "RENAME_NOREPLACE"):
            raise self._refuse("this way of renaming is not known to the model")
        old, new = self._given.path(at), self._given.path(at, 2 if at else 1)
        if old is None and new is None:
            return
        if old is None or new is None:
            raise self._refuse("it renamed across the border of the traced folder")
        node = self.view.find(old)
        if node is None:
            raise self._refuse("it renamed what is not there in the trace")
        if node != self.view.find(new):  # two names of one file: then rename does nothing
            gone, there = Entry(*self.view.slot(old), None), Entry(*self.view.slot(new), node)
            self._do(Name(f"rename {old} to {new}", (gone, there)))

    def _link(self) -> None:
        at = self._call.name == "linkat"
        old, new = self._given.path(at), self._given.path(at, 2 if at else 1)
        if new is None:
            return
        node = None if old is None else self.view.find(old)
        if node is None:
            raise self._refuse("it linked what is not in the traced folder")
        self._do(Name(f"link {old} to {new}", (Entry(*self.view.slot(new), node),)))

    def _unlink(self) -> None:
        path = self._given.path(self._call.name == "unlinkat")
        if path is not None:
            self._do(Name(f"{self._call.name} {path}", (Entry(*self.view.slot(path), None),)))

    def _mkdir(self) -> None:
        path = self._given.path(self._call.name == "mkdirat")
        if path is not None:
            self._named(path, f"mkdir {path}", folder=True)

    def _close(self) -> None:
        self._process.close(self._given.number(0), self._given.number(0), self._call.began)

    def _close_range(self) -> None:
        if self._given.text(2) != "0":
            raise self._refuse("these flags are not known to the model")
        self._process.close(self._given.number(0), self._given.number(1), self._call.began)

    def _dup(self) -> None:
        closing = self._call.name == "dup3" and "O_CLOEXEC" in self._given.text(2)
        self._opens(self._given.result, self._given.descriptor(0), closing=closing)

    def _fcntl(self) -> None:
        command, descriptor = self._given.text(1), self._given.descriptor(0)
        if command.startswith("F_DUPFD"):
            self._opens(self._given.result, descriptor, closing=command == "F_DUPFD_CLOEXEC")
        elif command == "F_SETFD":
            self._opens(self._given.number(0), descriptor, closing="FD_CLOEXEC" in self._given.text(2))
        elif command == "F_SETFL" and descriptor is not None:
            descriptor.append = "O_APPEND" in self._given.text(2).split("|")

    def _mmap(self) -> None:
        shared = "MAP_SHARED" in self._given.text(3) and "PROT_WRITE" in self._given.text(2)
        if shared and self._given.text(4) != "-1" and self._file(4) is not None:
            raise self._refuse("what is written through memory is not seen")

    def _ioctl(self) -> None:
        if self._given.descriptor(0) is not None and self._given.text(1).split()[0] not in _ASKING:
            raise self._refuse("this is not known to the model")

    def _chdir(self) -> None:
        self._process.cwd = self._given.folder()

    def _nothing(self) -> None:
        """Do nothing: it promises nothing about what survives."""


_HANDLERS: Final[dict[str, Callable[[Reader], None]]] = {
    "open": Reader._open, "openat": Reader._open, "creat": Reader._open,
    "close": Reader._close, "close_range": Reader._close_range,
    "dup": Reader._dup, "dup2": Reader._dup, "dup3": Reader._dup, "fcntl": Reader._fcntl, "lseek": Reader._seek,
    "write": Reader._write, "pwrite64": Reader._write, "writev": Reader._write, "pwritev": Reader._write,
    "pwritev2": Reader._write, "truncate": Reader._truncate, "ftruncate": Reader._ftruncate,
    "fallocate": Reader._fallocate, "rename": Reader._rename, "renameat": Reader._rename,
    "renameat2": Reader._rename, "link": Reader._link, "linkat": Reader._link, "unlink": Reader._unlink,
    "unlinkat": Reader._unlink, "rmdir": Reader._unlink, "mkdir": Reader._mkdir, "mkdirat": Reader._mkdir,
    "fsync": Reader._flush, "fdatasync": Reader._flush, "sync": Reader._flush_all, "syncfs": Reader._flush_all,
    "sync_file_range": Reader._nothing, "mmap": Reader._mmap, "ioctl": Reader._ioctl,
    "chdir": Reader._chdir, "fchdir": Reader._chdir,
}  # fmt: skip
