"""A second verifier of Candor's evidence bundles, written from gateway/src/ledger/FORMAT.md alone.

usage: verify_bundle.py BUNDLE [--key KEY]... [--checkpoint FILE]...

Prints a JSON object with the conclusion, the number of records by what is left of them, and every problem.
Exit status: 0 verified, 1 invalid, 4 incomplete, 5 unanchored. Needs Python 3.9 and the package `cryptography`.
"""

import argparse
import base64
import hashlib
import json
import struct
import sys
import uuid
from collections import Counter, defaultdict

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

KINDS = [
    "begin", "end", "loss", "duplicate", "stream_open", "stream_close", "decision", "reveal", "hold", "release",
    "erase", "retention_drop", "policy_change", "key_rotation", "key_create", "key_revoke",
]
STATUSES = ["present-verified", "expired-under-policy", "erased-under-authority", "missing", "altered"]


def sha(*parts):
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.digest()


def leaf_hash(data):
    return sha(b"\x00", data)


def node_hash(left, right):
    return sha(b"\x01", left, right)


def row_hash(salt, text):
    return sha(b"candor/row/v1\x00", salt, text)


def payload_hash(salt, data):
    return sha(b"candor/payload/v1\x00", salt, data)


def b64(text):
    return base64.b64decode(text, validate=True)


def half(size):
    """The largest power of two smaller than size."""
    power = 1
    while power * 2 < size:
        power *= 2
    return power


def tree_root(hashes):
    if not hashes:
        return sha()
    level = list(hashes)
    while len(level) > 1:
        pairs = [node_hash(level[at], level[at + 1]) for at in range(0, len(level) - 1, 2)]
        level = pairs + ([level[-1]] if len(level) % 2 else [])
    return level[0]


def range_root(start, leaves, size, proof):
    """The root over [0, size), given the leaves from start on and the subtrees beside them."""
    end = start + len(leaves)
    left, beside = list(reversed(leaves)), list(reversed(proof))

    def walk(a, b):
        if b <= start or end <= a:
            return beside.pop()
        if b - a == 1:
            return left.pop()
        middle = a + half(b - a)
        first = walk(a, middle)
        return node_hash(first, walk(middle, b))

    if not leaves or end > size:
        raise ValueError("no such range")
    root = walk(0, size)
    if left or beside:
        raise ValueError("hashes are left over")
    return root


def inclusion_root(index, leaf, size, path):
    """RFC 6962 section 2.1.1, from the definition: the path from the leaf upward."""

    def walk(at, size, path):
        if size == 1:
            if path:
                raise ValueError("hashes are left over")
            return leaf
        middle = half(size)
        if at < middle:
            return node_hash(walk(at, middle, path[:-1]), path[-1])
        return node_hash(path[-1], walk(at - middle, size - middle, path[:-1]))

    return walk(index, size, path)


def is_consistent(old, old_root, new, new_root, proof):
    """RFC 6962 section 2.1.2: SUBPROOF read backwards, giving both roots."""

    def walk(old, new, whole, proof):
        if old == new:
            if whole:
                if proof:
                    raise ValueError("hashes are left over")
                return old_root, old_root
            (only,) = proof
            return only, only
        middle = half(new)
        if old <= middle:
            before, after = walk(old, middle, whole, proof[:-1])
            return before, node_hash(after, proof[-1])
        before, after = walk(old - middle, new - middle, False, proof[:-1])
        return node_hash(proof[-1], before), node_hash(proof[-1], after)

    return walk(old, new, True, proof) == (old_root, new_root)


class Key:
    def __init__(self, text):
        self.name, hexadecimal, data = text.strip().split("+", 2)
        data = b64(data)
        self.public = data[1:]
        self.id = sha(self.name.encode(), b"\n", data[:1], self.public)[:4]
        if data[0] != 1 or len(self.public) != 32 or hexadecimal != self.id.hex():
            raise ValueError("not an Ed25519 verifier key")

    def open(self, note):
        """(origin, size, root) of a note that this key has signed, else None."""
        at = note.rfind("\n\n")
        text, signatures = note[: at + 1], note[at + 2 :]
        for line in signatures.splitlines():
            dash, name, signature = line.split(" ")
            signature = b64(signature)
            if dash != "\u2014" or name != self.name or signature[:4] != self.id:
                continue
            try:
                Ed25519PublicKey.from_public_bytes(self.public).verify(signature[4:], text.encode())
            except InvalidSignature:
                continue
            origin, size, root = text.split("\n")[:3]
            return origin, int(size), b64(root)
        return None


class Leaf:
    def __init__(self, data):
        if data[:4] != b"CDL1":
            raise ValueError("not a leaf")
        self.kind = KINDS[data[4] - 1]
        self.log, self.record, self.stream = (uuid.UUID(bytes=data[at : at + 16]) for at in (5, 21, 37))
        self.sequence, self.time = struct.unpack(">Qq", data[53:69])
        self.row = data[69:101]
        self.parts = {}
        at = 102
        for _ in range(data[101]):
            length = data[at]
            name = data[at + 1 : at + 1 + length].decode()
            at += 1 + length
            self.parts[name] = (struct.unpack(">Q", data[at : at + 8])[0], data[at + 8 : at + 40])
            at += 40
        if at != len(data):
            raise ValueError("a leaf of another length")
        self.hash = leaf_hash(data)
        self.row_found = None
        self.found = {}
        self.takes = 1


class Bundle:
    def __init__(self):
        self.invalid, self.incomplete = [], []
        self.head = self.note = None
        self.keys, self.leaves, self.outside, self.consistencies = [], [], [], []
        self.range = []
        self.erased, self.drops = defaultdict(list), []
        self.unsealed = 0

    def read(self, lines):
        count, ended = 0, False
        for line in lines:
            if not line.strip():
                continue
            if ended:
                self.invalid.append("lines behind the end")
                break
            try:
                ((what, value),) = json.loads(line).items()
                if what == "end":
                    ended = True
                    if value != count:
                        self.incomplete.append("lines are missing")
                else:
                    getattr(self, "line_" + what)(value)
            except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
                self.invalid.append(f"line {count + 1}: {error!r}")
            count += 1
        if not ended:
            self.incomplete.append("the last line is missing")

    def line_bundle(self, value):
        if self.head or value["version"] != 1:
            raise ValueError("a second head, or another version")
        self.head = value

    def line_key(self, value):
        self.keys.append(Key(value))

    def line_checkpoint(self, value):
        if self.note:
            raise ValueError("a second checkpoint")
        self.note = value

    def line_range(self, value):
        self.range = [b64(item) for item in value]

    def line_consistency(self, value):
        self.consistencies.append((value["checkpoint"], [b64(item) for item in value["proof"]]))

    def line_leaf(self, value):
        leaf = Leaf(b64(value["bytes"]))
        if value["index"] != self.head["from"] + len(self.leaves):
            self.incomplete.append(f"a gap before leaf {value['index']}")
        if str(leaf.log) != self.head["log"]:
            raise ValueError("a leaf of another ledger")
        self.leaves.append(leaf)

    def owner(self, index):
        if index + 1 != self.head["from"] + len(self.leaves):
            raise ValueError("it does not follow its leaf")
        return self.leaves[-1]

    def line_row(self, value):
        leaf = self.owner(value["index"])
        good = row_hash(b64(value["salt"]), value["text"].encode()) == leaf.row
        leaf.row_found = good and leaf.row_found is not False
        if not good:
            raise ValueError(f"the row of {leaf.kind} {leaf.record} was altered")
        if leaf.kind == "loss":
            row = json.loads(value["text"])
            leaf.takes = max(1, row["count"]) if row["why"] == "quarantined" else 1
        self.event(leaf.kind, value["text"])

    def line_payload(self, value):
        leaf = self.owner(value["index"])
        size, expected = leaf.parts[value["part"]]
        data = b64(value["bytes"])
        good = len(data) == size and payload_hash(b64(value["salt"]), data) == expected
        leaf.found[value["part"]] = good and leaf.found.get(value["part"]) is not False
        if not good:
            raise ValueError(f"the payload {value['part']} of {leaf.record} was altered")

    def line_event(self, value):
        leaf = Leaf(b64(value["bytes"]))
        if str(leaf.log) != self.head["log"] or row_hash(b64(value["salt"]), value["text"].encode()) != leaf.row:
            raise ValueError("the row of an event was altered")
        self.event(leaf.kind, value["text"])
        self.outside.append((value["index"], leaf.hash, [b64(item) for item in value["proof"]]))

    def line_unsealed(self, _):
        self.unsealed += 1

    def line_document(self, _):
        pass

    def event(self, kind, text):
        if kind == "erase":
            row = json.loads(text)
            self.erased[row["exchange"]].append(set(row.get("parts", [])))
        elif kind == "retention_drop":
            self.drops.append(json.loads(text))

    def expired(self, table, exchange):
        at = (exchange.int >> 80) * 1000
        return any(
            drop["table"] == table
            and drop["from"] <= at < drop["until"]
            and (str(exchange) in drop["only"] if drop.get("only") else str(exchange) not in drop.get("kept", []))
            for drop in self.drops
        )

    def is_erased(self, exchange, part):
        return any(not parts or part in parts for parts in self.erased.get(str(exchange), []))

    def conclude(self, keys, kept):
        if not self.head or not self.note:
            self.invalid.append("no evidence bundle")
            return self.report(Counter(), False)
        anchored = self.check_head(keys, kept) or bool(keys)
        statuses = {}
        for leaf in self.leaves:
            if leaf.kind == "duplicate":
                continue
            status = self.status(leaf)
            if leaf.kind in ("begin", "end"):
                statuses[leaf.record] = max(statuses.get(leaf.record, 0), status)
        self.check_streams()
        return self.report(Counter(STATUSES[status] for status in statuses.values()), anchored)

    def check_head(self, keys, kept):
        head, size = self.head, self.head["size"]
        if head["until"] - head["from"] != len(self.leaves):
            self.incomplete.append("leaves are missing")
        opened = next((found for key in keys or self.keys if (found := key.open(self.note))), None)
        if not opened:
            self.invalid.append("the checkpoint is not signed by a known key")
            return False
        origin, signed_size, root = opened
        if origin != head["origin"] or signed_size != size:
            self.invalid.append("the checkpoint is of another ledger or size")
        hashes = [leaf.hash for leaf in self.leaves]
        try:
            if range_root(head["from"], hashes, size, self.range) != root:
                raise ValueError("another root")
            for index, leaf, path in self.outside:
                if inclusion_root(index, leaf, size, path) != root:
                    raise ValueError("an event that is not in the tree")
        except (ValueError, IndexError) as error:
            self.invalid.append(f"the leaves do not give the root that was signed: {error}")
        anchors = 0
        for note in kept:
            found = next((found for key in [*self.keys, *keys] if (found := key.open(note))), None)
            if not found or found[0] != origin:
                self.invalid.append("a kept checkpoint is of another ledger")
            elif found[1] > size:
                self.incomplete.append("a kept checkpoint is newer than the bundle")
            elif found[1] == size or head["from"] == 0:
                same = found[2] == (root if found[1] == size else tree_root(hashes[: found[1]]))
                anchors += same
                if not same:
                    self.invalid.append("a kept checkpoint tells of another past")
            else:
                proof = next((proof for checkpoint, proof in self.consistencies if checkpoint == note), None)
                try:
                    if proof is None:
                        self.incomplete.append("no proof for a kept checkpoint")
                    elif is_consistent(found[1], found[2], size, root, proof):
                        anchors += 1
                    else:
                        raise ValueError("another past")
                except (ValueError, IndexError):
                    self.invalid.append("a kept checkpoint tells of another past")
        return anchors > 0

    def status(self, leaf):
        if leaf.row_found is not None:
            worst = 0 if leaf.row_found else 4
        elif leaf.kind in ("begin", "end") and self.expired("record", leaf.record):
            worst = 1
        else:
            self.incomplete.append(f"the row of {leaf.kind} {leaf.record} is missing")
            worst = 3
        for part in leaf.parts:
            if part in leaf.found:
                status = 0 if leaf.found[part] else 4
            elif self.is_erased(leaf.record, part):
                status = 2
            elif self.expired("payload", leaf.record):
                status = 1
            else:
                self.incomplete.append(f"the payload {part} of {leaf.record} is missing")
                status = 3
            worst = max(worst, status)
        return worst

    def check_streams(self):
        numbers, opened, closed = defaultdict(list), set(), {}
        begun, ended = {}, set()
        for leaf in self.leaves:
            if leaf.stream.int == 0:
                continue
            if leaf.kind == "stream_open":
                opened.add(leaf.stream)
            elif leaf.kind == "stream_close":
                closed[leaf.stream] = leaf.sequence
            else:
                numbers[leaf.stream].extend(range(leaf.sequence - leaf.takes + 1, leaf.sequence + 1))
            if leaf.kind == "begin":
                begun[leaf.record] = leaf.stream
            elif leaf.kind == "end":
                ended.add(leaf.record)
        whole, cut = self.head["from"] == 0, self.head["until"] < self.head["size"]
        for stream, found in numbers.items():
            if len(set(found)) != len(found):
                self.invalid.append(f"stream {stream}: a number comes twice")
            first = 1 if whole else min(found)
            if set(range(first, max(found) + 1)) - set(found):
                self.incomplete.append(f"stream {stream} has gaps")
            if whole and stream not in opened:
                self.incomplete.append(f"stream {stream} has no opening")
            if closed.get(stream, max(found)) != max(found):
                self.incomplete.append(f"stream {stream} was closed at another number")
        for exchange, stream in begun.items():
            if exchange not in ended and not cut and stream in closed:
                self.incomplete.append(f"exchange {exchange} began and never ended")
        if whole:
            for exchange in ended - set(begun):
                self.incomplete.append(f"exchange {exchange} ended and never began")

    def report(self, records, anchored):
        if self.invalid:
            conclusion, status = "invalid", 1
        elif self.incomplete:
            conclusion, status = "incomplete", 4
        elif anchored:
            conclusion, status = "verified", 0
        else:
            conclusion, status = "unanchored", 5
        print(json.dumps({
            "conclusion": conclusion,
            "records": dict(sorted(records.items())),
            "unsealed": self.unsealed,
            "invalid": self.invalid,
            "incomplete": self.incomplete,
        }))
        return status


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle")
    parser.add_argument("--key", action="append", default=[], type=Key)
    parser.add_argument("--checkpoint", action="append", default=[])
    arguments = parser.parse_args()
    kept = []
    for path in arguments.checkpoint:
        with open(path, encoding="utf-8") as file:
            kept.append(file.read())
    bundle = Bundle()
    with open(arguments.bundle, "rb") as file:
        bundle.read(file)
    sys.exit(bundle.conclude(arguments.key, kept))


if __name__ == "__main__":
    main()
