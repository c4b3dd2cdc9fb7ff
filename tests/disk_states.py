"""What a disk may hold after a crash: a file system in memory, replayed from a recorded trace.

The model is that of POSIX without favours (as in ALICE, OSDI'14). What a file holds is safe only
after an fsync of the file, what a folder holds (names, renames, removals) only after an fsync of
the folder; all else may be there or not, in any order, and a write may be torn at 512-byte edges.
A rename by itself is whole or absent. Not modelled: sectors that lose what was safe, a torn sector.
"""

import dataclasses
import hashlib
import itertools
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

SECTOR = 512
TEARS = 8
# SQLite's index of the WAL is memory; the first one to open the journal makes it anew.
FORGOTTEN = ("journal.sqlite-shm", "lock")


@dataclasses.dataclass(frozen=True)
class Record:
    """One call: C create, M mkdir, W write, T truncate, R rename, U unlink, D rmdir, S sync.

    A is an acknowledgment, whose `one` is a text.
    """

    op: str
    one: str
    two: str
    offset: int
    data: bytes


def read_trace(path: Path) -> list[Record]:
    """The records that the layer wrote."""
    raw, at, found = path.read_bytes(), 0, []
    while at < len(raw):
        op, n1, n2, offset, size = struct.unpack_from("<cIIqQ", raw, at)
        at += struct.calcsize("<cIIqQ")
        one, two, data = raw[at : at + n1], raw[at + n1 : at + n1 + n2], raw[at + n1 + n2 :][:size]
        at += n1 + n2 + size
        found.append(Record(op.decode(), one.decode(), two.decode(), offset, data))
    return found


@dataclasses.dataclass(frozen=True)
class Change:
    """A record resolved to inodes: `node` is the file or folder that changes.

    An entry change sets `names` ({name: inode or None}) in folder `node`.
    """

    at: int
    node: int
    names: tuple[tuple[str, int | None], ...] = ()
    offset: int = 0
    data: bytes | None = None
    size: int | None = None


Choice = Sequence[tuple[int, int | None]]
"""Numbers of changes, each with how many of its bytes count (None for all)."""
Recipe = tuple[tuple[str, tuple[int, Choice]], ...]
"""Path, and the file with the changes made to it."""


class Disk:
    """The folder before the trace, the trace resolved to inodes, and the states after a crash."""

    def __init__(self, root: Path, before: dict[str, bytes | None], trace: list[Record]) -> None:
        self._root = str(root)
        self._folders: dict[int, dict[str, int]] = {0: {}}
        self._files: dict[int, bytes] = {}
        self._next = itertools.count(1)
        for name, content in sorted(before.items()):
            parent, last = self._parent(f"{root}/{name}")
            self._add(parent, last, content)
        self._start = {node: dict(names) for node, names in self._folders.items()}
        self._content = dict(self._files)
        self.trace = trace
        self.changes: list[Change] = []
        # Record number at which a change is safe.
        self._safe: dict[int, int] = {}
        self._digests: dict[tuple[int, tuple[tuple[int, int | None], ...]], bytes] = {}
        for at, record in enumerate(trace):
            self._resolve(at, record)

    def _add(self, parent: int, name: str, content: bytes | None) -> int:
        node = next(self._next)
        self._folders[parent][name] = node
        if content is None:
            self._folders[node] = {}
        else:
            self._files[node] = content
        return node

    def _parent(self, path: str) -> tuple[int, str]:
        *parts, last = path.removeprefix(self._root).strip("/").split("/")
        node = 0
        for part in parts:
            node = self._folders[node][part]
        return node, last

    def _node(self, path: str) -> int:
        if path == self._root:
            return 0
        parent, last = self._parent(path)
        return self._folders[parent][last]

    def _resolve(self, at: int, record: Record) -> None:
        if record.op == "A" or Path(record.one).name in FORGOTTEN:
            return
        if record.op == "S":
            node = self._node(record.one)
            for number, change in enumerate(self.changes):
                if change.node == node:
                    self._safe.setdefault(number, at)
            return
        if record.op in "WT":
            path = record.one.removesuffix(" (deleted)")
            node = self._node(path) if path == record.one else -1
            data = record.data if record.op == "W" else None
            size = None if record.op == "W" else record.offset
            self.changes.append(Change(at, node, (), record.offset, data, size))
            return
        parent, name = self._parent(record.one)
        if record.op in "CM":
            node = self._add(parent, name, b"" if record.op == "C" else None)
            self.changes.append(Change(at, parent, ((name, node),)))
        elif record.op in "UD":
            del self._folders[parent][name]
            self.changes.append(Change(at, parent, ((name, None),)))
        else:
            target, new = self._parent(record.two)
            assert target == parent, "a rename across folders is not modelled"
            node = self._folders[parent].pop(name)
            self._folders[parent][new] = node
            self.changes.append(Change(at, parent, ((name, None), (new, node))))

    def final(self) -> dict[str, bytes]:
        """{path: content} when nothing is lost."""
        return self.content(self._recipe([(n, None) for n in range(len(self.changes))]))

    def states(self) -> Iterator[tuple[int, Recipe]]:
        """(records done, recipe) of every different state that a crash may leave."""
        seen = set()
        for done in range(len(self.trace) + 1):
            for choice in self._choices(done):
                recipe = self._recipe(choice)
                digests = tuple((path, self._digest(*made)) for path, made in recipe)
                # What was acknowledged matters, so the same files may count twice.
                key = hash((self.acknowledged(done), digests))
                if key not in seen:
                    seen.add(key)
                    yield done, recipe

    def content(self, recipe: Recipe) -> dict[str, bytes]:
        """{path: content} of a state; the path of a folder ends with a slash."""
        return {path: self._bytes(*made) for path, made in recipe}

    def acknowledged(self, done: int) -> str:
        """The text of the last acknowledgment within the first `done` records."""
        marks = [record.one for record in self.trace[:done] if record.op == "A"]
        return marks[-1] if marks else ""

    def _choices(self, done: int) -> Iterator[Choice]:
        """Numbers of the changes that reached the disk, each with the bytes that did (or None)."""
        past = [n for n, change in enumerate(self.changes) if change.at < done]
        open_ = {n for n in past if self._safe.get(n, done) >= done}

        def chosen(keep: set[int], torn: tuple[int, int] = (-1, 0)) -> Choice:
            kept = [n for n in past if n not in open_ or n in keep]
            return [(n, torn[1] if torn[0] == n else None) for n in kept]

        yield chosen(open_)
        yield chosen(set())
        for n in open_:
            yield chosen(open_ - {n})
            yield chosen({n})
            data = self.changes[n].data
            edges = list(range(SECTOR, len(data), SECTOR)) if data else []
            for edge in edges[:: max(1, len(edges) // TEARS)]:
                yield chosen(open_, (n, edge))
                yield chosen({n}, (n, edge))

    def _recipe(self, choice: Choice) -> Recipe:
        folders = {node: dict(names) for node, names in self._start.items()}
        made: dict[int, list[tuple[int, int | None]]] = {}
        for number, length in choice:
            change = self.changes[number]
            if not change.names:
                made.setdefault(change.node, []).append((number, length))
                continue
            entries = folders.setdefault(change.node, {})
            for name, node in change.names:
                if node is None:
                    entries.pop(name, None)
                else:
                    entries[name] = node
        return tuple(sorted(self._walk(0, "", folders, made)))

    def _walk(self, node, prefix, folders, made):
        for name, child in folders.get(node, {}).items():
            path = f"{prefix}{name}"
            if child in self._folders:
                yield f"{path}/", (-1, ())
                yield from self._walk(child, f"{path}/", folders, made)
            elif name not in FORGOTTEN:
                yield path, (child, tuple(made.get(child, ())))

    def _digest(self, node: int, made: Choice) -> bytes:
        key = (node, tuple(made))
        if key not in self._digests:
            self._digests[key] = hashlib.sha256(self._bytes(node, made)).digest()
        return self._digests[key]

    def _bytes(self, node: int, made: Choice) -> bytes:
        file = bytearray(self._content.get(node, b""))
        for number, length in made:
            change = self.changes[number]
            if change.data is None:
                assert change.size is not None
                del file[change.size :]
                file.extend(bytes(change.size - len(file)))
                continue
            data = change.data if length is None else change.data[:length]
            file.extend(bytes(max(0, change.offset - len(file))))
            file[change.offset : change.offset + len(data)] = data
        return bytes(file)


def read_folder(root: Path) -> dict[str, bytes | None]:
    """{path: content, or None for a folder} of everything below `root`."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes() if path.is_file() else None
        for path in sorted(root.rglob("*"))
        if path.name not in FORGOTTEN
    }


def write_folder(root: Path, state: dict[str, bytes]) -> None:
    """The files of a state are in the new folder `root`."""
    root.mkdir(mode=0o700)
    for path, content in state.items():
        target = root / path
        if path.endswith("/"):
            target.mkdir(parents=True, exist_ok=True)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
