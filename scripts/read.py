#!/usr/bin/env python3
"""Reads all objects from the disks of a Wattle cluster, without the catalog and without Wattle.

    read.py [--key-file FILE] [--versions] DISK... OUT

DISK is a directory of a disk, or one that holds some below it: as many as are left. Nothing is
written to them. OUT, which must be new or empty, gets what `wattle export` writes: BUCKET/KEY,
BUCKET.keys for keys that cannot be paths, and BUCKET.jsonl, which lists what was found and what
could not be read. With --versions older versions go to BUCKET.versions/KEY/VERSION.

It is written from doc/format.md alone, and is there to show that this page suffices. It decodes
every scheme itself; python3-xxhash makes it fast, and what is encrypted needs python3-cryptography.

Exit codes: 0 all was read, 1 other, 2 usage, 7 something could not be read.
"""

import argparse
import base64
import hashlib
import hmac
import json
import mmap
import os
import re
import struct
import sys
import urllib.parse
from datetime import datetime, timezone

BLOCK = 16384  # bytes that one sum covers
TAG = 16  # bytes of a sealed unit that are its tag
ALIGN = 64  # where shards begin
BUCKET = re.compile(rb"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")

try:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
except ImportError:
    AESGCM = None


class Bad(Exception):
    """What was read is not what the format says, or not there."""


# Sums

try:
    import xxhash

    def xxh64(p, seed=0):
        return xxhash.xxh64_intdigest(p, seed)

except ImportError:
    M64 = (1 << 64) - 1
    P1, P2, P3 = 0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9
    P4, P5 = 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5

    def _rotl(x, r):
        return (x << r | x >> (64 - r)) & M64

    def _round(acc, lane):
        acc = (acc + lane * P2) & M64
        return ((acc << 31 | acc >> 33) & M64) * P1 & M64

    def xxh64(p, seed=0):
        p = bytes(p)
        n, at = len(p), 0
        if n >= 32:
            a, b, c, d = (seed + P1 + P2) & M64, (seed + P2) & M64, seed, (seed - P1) & M64
            at = n & ~31
            for w, x, y, z in struct.iter_unpack("<4Q", p[:at]):
                a, b, c, d = _round(a, w), _round(b, x), _round(c, y), _round(d, z)
            h = (_rotl(a, 1) + _rotl(b, 7) + _rotl(c, 12) + _rotl(d, 18)) & M64
            for acc in a, b, c, d:
                h = ((h ^ _round(0, acc)) * P1 + P4) & M64
        else:
            h = (seed + P5) & M64
        h = (h + n) & M64
        while at + 8 <= n:
            h ^= _round(0, int.from_bytes(p[at : at + 8], "little"))
            h, at = (_rotl(h, 27) * P1 + P4) & M64, at + 8
        if at + 4 <= n:
            h ^= int.from_bytes(p[at : at + 4], "little") * P1 & M64
            h, at = (_rotl(h, 23) * P2 + P3) & M64, at + 4
        for byte in p[at:]:
            h ^= byte * P5 & M64
            h = _rotl(h, 11) * P1 & M64
        h = (h ^ h >> 33) * P2 & M64
        h = (h ^ h >> 29) * P3 & M64
        return h ^ h >> 32


def seed(generation, stripe, index, block):
    return xxh64(struct.pack("<QQBI", generation, stripe, index, block))


# Codes

EXP, LOG = [0] * 510, [0] * 256


def _tables():
    x = 1
    for i in range(255):
        EXP[i] = EXP[i + 255] = x
        LOG[x] = i
        x = x << 1 ^ (0x11D if x & 128 else 0)


_tables()


def mul(a, b):
    return EXP[LOG[a] + LOG[b]] if a and b else 0


def inverse(a):
    return EXP[255 - LOG[a]]


_rows = {}


def scaled(p, c):
    """Every byte of p times c."""
    if c == 1:
        return p
    if c not in _rows:
        _rows[c] = bytes(mul(c, x) for x in range(256))
    return p.translate(_rows[c])


def add(p, q):
    return (int.from_bytes(p, "little") ^ int.from_bytes(q, "little")).to_bytes(len(p), "little")


class Scheme:
    """A scheme, of the 4 bytes of a header: k data shards, n in all, a row of coefficients for each parity shard."""

    def __init__(self, code):
        kind, k, x, y = code
        if kind in (1, 2) and k and not y and k + x <= 255 and (kind == 2 or k == 1):
            plain = kind == 1 or x == 1
            self.parity = [[1 if plain else inverse((k + p) ^ j) for j in range(k)] for p in range(x)]
        elif kind == 3 and k and x and k % x == 0 and k + x + y <= 255:
            size = k // x
            local = [[int(j // size == g) for j in range(k)] for g in range(x)]
            if y > 2:
                rows = [[mul(k ^ j, inverse((k + p + 1) ^ j)) for j in range(k)] for p in range(y)]
            else:
                small = x <= 17 and size <= 15
                base = [j // size + 17 * (j % size) if small else j for j in range(k)]
                rows = [[EXP[base[j] * (p + 1) % 255] for j in range(k)] for p in range(y)]
            self.parity = local + rows
        else:
            raise Bad(f"scheme {code.hex()}")
        self.k, self.n = k, k + len(self.parity)


def solve(scheme, lost, known, rebuild):
    """The column rebuild, of the columns in lost, from known, a map of blocks by shard; None when they do not suffice."""
    rows = []
    for i in range(scheme.k, scheme.n):
        if i not in known:
            continue
        coef = scheme.parity[i - scheme.k]
        right = known[i]
        for j in range(scheme.k):
            if coef[j] and known.get(j) is not None:
                right = add(right, scaled(known[j], coef[j]))
        rows.append(([coef[j] for j in lost], right))
    done = 0
    for at in range(len(lost)):
        pivot = next((r for r in range(done, len(rows)) if rows[r][0][at]), None)
        if pivot is None:
            continue
        rows[done], rows[pivot] = rows[pivot], rows[done]
        coef, right = rows[done]
        f = inverse(coef[at])
        rows[done] = coef, right = [mul(f, c) for c in coef], scaled(right, f)
        for r, (other, value) in enumerate(rows):
            if r != done and other[at]:
                f = other[at]
                rows[r] = [c ^ mul(f, d) for c, d in zip(other, coef)], add(value, scaled(right, f))
        done += 1
    unit = [int(j == rebuild) for j in lost]
    return next((right for coef, right in rows if coef == unit), None)


# What is in a segment


class Shard:
    """A header, and where its shard lies."""

    def __init__(self, p, segment, offset):
        fixed = struct.unpack_from("<4sBBBB4sB3sIIQQQIIQ", p)
        magic, version, self.flags, self.index, k, code, self.transform = fixed[:7]
        self.key, self.incarnation, self.stripe, self.sequence, self.before, self.size, self.journal = fixed[8:15]
        self.segment, self.offset = segment, offset
        self.head = 64 + (4 * k + 7) // 8 * 8 + 8
        if magic != b"WShd" or len(p) < self.head:
            raise Bad("no header")
        want = int.from_bytes(p[self.head - 8 : self.head], "little")
        if want != xxh64(p[: self.head - 8], seed(segment.generation, offset, 0, 0xFFFFFFFE)):
            raise Bad("sum of a header")
        if version != 1 or self.transform > 1:
            raise Bad(f"shard version {version}, transform {self.transform}")
        self.columns = struct.unpack_from(f"<{k}I", p, 64)
        self.scheme = code
        blocks = (self.size + BLOCK - 1) // BLOCK
        self.length = self.head + self.size + 8 * blocks + (self.journal + 8 if self.journal else 0)
        align = 4096 if self.flags & 2 else ALIGN
        self.end = (offset + self.length + align - 1) // align * align

    def block(self, number):
        """Block number of the data, checked."""
        at = self.offset + self.head + number * (BLOCK + 8)
        n = min(BLOCK, self.size - number * BLOCK)
        if n <= 0:
            raise Bad("past the end of a shard")
        return self._checked(at, n, number)

    def journal_bytes(self):
        blocks = (self.size + BLOCK - 1) // BLOCK
        return self._checked(self.offset + self.head + self.size + 8 * blocks, self.journal, 0xFFFFFFFF)

    def _checked(self, at, n, number):
        p = self.segment.read(at, n + 8)
        if len(p) != n + 8 or int.from_bytes(p[n:], "little") != xxh64(p[:n], seed(self.segment.generation, self.stripe, self.index, number)):
            raise Bad(f"sum of shard {self.index} of stripe {self.stripe:x} in {self.segment.path} at {self.offset}")
        return p[:n]


class Segment:
    """A segment file; shards() lists what it holds."""

    def __init__(self, path, cluster, disk):
        self.path = path
        with open(path, "rb") as f:
            if os.fstat(f.fileno()).st_size < 64:
                raise Bad("no header")
            self.map = mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ)
        p = self.map[:64]
        magic, version, features, _, self.generation = struct.unpack_from("<8sHHIQ", p)
        if magic != b"WATTLSEG" or int.from_bytes(p[56:], "little") != xxh64(p[:56]):
            raise Bad("header damaged")
        if version != 1 or features:
            raise Bad(f"version {version}, features {features:x}: too new")
        if p[24:40] != name_sum(cluster) or p[40:56] != name_sum(disk):
            raise Bad("of another disk or cluster")
        self.durable = self._durable(path[: -len("seg")] + "doubt")

    def _durable(self, path):
        try:
            with open(path, "rb") as f:
                generation, offset = struct.unpack("<QQ", f.read(16))
        except (FileNotFoundError, struct.error):
            return len(self.map)
        return offset if generation == self.generation else len(self.map)

    def read(self, at, n):
        return self.map[at : at + n]

    def shards(self):
        for s in self._footer() or self._scan():
            if s.offset + s.length <= self.durable:
                yield s

    def freed(self, s):
        return self.read(s.offset, 4) == b"\0\0\0\0"

    def _header(self, p, offset):
        return Shard(p[: 64 + 4 * 255 + 4 + 8], self, offset)

    def _footer(self):
        """The shards that the footer lists, or None when it is not whole."""
        end = len(self.map)
        magic, count, size, generation, total = struct.unpack("<8sIIQQ", self.read(end - 32, 32))
        begin = end - 32 - size
        if magic != b"WATTLEND" or generation != self.generation or begin < 64:
            return None
        if total != xxh64(self.read(begin, size + 24)):
            return None
        entries, list_ = self.read(begin, size), []
        at = 0
        try:
            for _ in range(count):
                offset = int.from_bytes(entries[at : at + 4], "little")
                s = self._header(entries[at + 4 : at + 4 + 2048], offset)
                list_.append(s)
                at += 4 + s.head
        except (Bad, struct.error):
            return None
        return list_

    def _scan(self):
        at = 64
        while True:
            at = self.map.find(b"WShd", at)
            if at < 0:
                return
            if at % ALIGN:
                at += 1
                continue
            try:
                s = self._header(self.read(at, 2048), at)
            except (Bad, struct.error):
                at += ALIGN
                continue
            yield s
            at = s.end


def name_sum(id):
    return struct.pack("<QQ", xxh64(id.encode(), 0), xxh64(id.encode(), 1))


# The disks


class Stripe:
    """What the disks have of a stripe: places by index of the shard."""

    def __init__(self, s):
        self.id, self.scheme_code, self.columns = s.stripe, s.scheme, s.columns
        self.places = {}
        self._scheme = None

    @property
    def scheme(self):
        if self._scheme is None:
            self._scheme = Scheme(self.scheme_code)
            if self._scheme.k != len(self.columns):
                raise Bad(f"stripe {self.id:x} has {len(self.columns)} columns, not {self._scheme.k}")
        return self._scheme

    def block(self, index, number):
        """Block number of shard index, of any of its places; None when none has it whole."""
        for s in self.places.get(index, []):
            try:
                return s.block(number)
            except Bad:
                pass
        return None

    def column(self, j, number):
        """Block number of column j, made from others where it must be."""
        n = min(BLOCK, self.columns[j] - number * BLOCK)
        if n <= 0:
            raise Bad(f"past the end of column {j} of stripe {self.id:x}")
        p = self.block(j, number)
        if p is not None and len(p) == n:
            return p
        p = self._rebuild(j, number)
        if p is None:
            raise Bad(f"stripe {self.id:x}: too few shards")
        return p[:n]

    def _rebuild(self, want, number):
        scheme, longest = self.scheme, max(self.columns)
        width = min(BLOCK, longest - number * BLOCK)
        known, lost = {}, []
        for i in range(scheme.n):
            if i < scheme.k and self.columns[i] <= number * BLOCK:
                known[i] = bytes(width)
                continue
            p = self.block(i, number) if i != want else None
            size = min(BLOCK, (self.columns[i] if i < scheme.k else longest) - number * BLOCK)
            if p is not None and len(p) == size:
                known[i] = p + bytes(width - len(p))
            elif i < scheme.k:
                lost.append(i)
        return solve(scheme, lost, known, want)


class Disks:
    """All that the given disks hold."""

    def __init__(self, roots, say):
        self.stripes, self.journals, self.committed, self.cluster, self.say = {}, {}, 0, None, say
        self.count = 0
        for path in sorted({d for root in roots for d in disks_below(root)}):
            self._disk(path)
        if not self.count:
            raise Bad("no disk there")

    def _disk(self, path):
        try:
            with open(os.path.join(path, "disk.json")) as f:
                about = json.load(f)
            cluster, disk = about["cluster"], about["disk"]
        except (OSError, ValueError, KeyError, TypeError) as e:
            self.say(f"{path}: disk.json: {e}")
            return
        if self.cluster not in (None, cluster):
            raise Bad(f"{path} is of cluster {cluster}, others are of {self.cluster}")
        self.cluster = cluster
        self.count += 1
        self._mark(os.path.join(path, "mark"))
        for name in sorted(os.listdir(os.path.join(path, "segments"))):
            if not name.endswith(".seg"):
                continue
            file = os.path.join(path, "segments", name)
            try:
                segment = Segment(file, cluster, disk)
                for s in segment.shards():
                    self._shard(s)
            except (OSError, Bad) as e:
                self.say(f"{file}: {e}")

    def _mark(self, path):
        try:
            with open(path, "rb") as f:
                p = f.read(33)
        except OSError:
            return
        if len(p) == 32 and p[:8] == b"WATTLEMK" and int.from_bytes(p[24:], "little") == xxh64(p[:24]):
            self.committed = max(self.committed, int.from_bytes(p[16:24], "little"))

    def _shard(self, s):
        self.committed = max(self.committed, s.before)
        if s.segment.freed(s):
            return
        stripe = self.stripes.setdefault(s.stripe, Stripe(s))
        if (stripe.scheme_code, stripe.columns) != (s.scheme, s.columns):
            self.say(f"stripe {s.stripe:x}: its shards disagree")
            return
        stripe.places.setdefault(s.index, []).append(s)
        if s.journal:
            self.journals.setdefault(s.sequence, []).append(s)


def disks_below(root):
    if not os.path.isdir(root):
        raise Bad(f"{root} is no directory")
    for path, dirs, files in os.walk(root):
        if "disk.json" in files and "segments" in dirs:
            dirs.clear()
            yield os.path.realpath(path)


# Encryption


class NoKey(Exception):
    """Something is encrypted with a key that is not given."""


class Keys:
    """The keys of a key file, by their IDs."""

    def __init__(self, path, cluster):
        self.keys, self.cluster = {}, cluster.encode()
        if not path:
            return
        with open(path) as f:
            words = [w for line in f for w in line.split("#")[0].split()]
        for word in words:
            try:
                kind, id, key = word.split(":")
                self.keys[int(id, 16)] = base64.b64decode(key, validate=True)
            except ValueError:
                kind = None
            if kind != "wattle-key-1":
                raise Bad(f"{path}: no file of keys")

    def open(self, purpose, id, salt, place, sealed):
        """A unit as it was before it was sealed; place is stripe, column and where in it."""
        if id not in self.keys:
            raise NoKey(f"encrypted with key {id:08x}: name the file that holds it with --key-file")
        if AESGCM is None:
            raise NoKey("encrypted: python3-cryptography is needed")
        nonce = struct.pack(">QB", *place[:2]) + place[2].to_bytes(3, "big")
        try:
            return AESGCM(self._derived(self.keys[id], salt, purpose)).decrypt(nonce, sealed, None)
        except InvalidTag:
            raise Bad(f"encrypted bytes of {place} were changed") from None

    def _derived(self, key, salt, purpose):
        """HKDF-SHA256, of one block."""
        first = hmac.new(salt, key, hashlib.sha256).digest()
        return hmac.new(first, purpose + b"\0" + self.cluster + b"\1", hashlib.sha256).digest()


# Records


class Reader:
    """Decodes bytes, and never reads past their end."""

    def __init__(self, p):
        self.p, self.at = bytes(p), 0

    def take(self, n):
        if n > len(self.p) - self.at:
            raise Bad("a record ends too early")
        self.at += n
        return self.p[self.at - n : self.at]

    def byte(self):
        return self.take(1)[0]

    def u(self):
        x = 0
        for shift in range(0, 70, 7):
            b = self.byte()
            x |= (b & 127) << shift
            if b < 128:
                if x >> 64:
                    break
                return x
        raise Bad("a number is too long")

    def z(self):
        x = self.u()
        return x >> 1 ^ -(x & 1)

    def string(self):
        return self.take(self.u())

    def count(self):
        n = self.u()
        if n > len(self.p) - self.at:  # whatever is counted has a byte at least
            raise Bad("a count is too large")
        return n

    def map(self):
        return {self.string(): self.string() for _ in range(self.count())}

    def layout(self):
        return [Extent(self) for _ in range(self.count())]

    def left(self):
        return len(self.p) - self.at


class Extent:
    def __init__(self, r):
        self.stripe, count = r.u(), r.u()
        self.sealed, self.count = count >> 32, count & 0xFFFFFFFF
        if self.sealed > 1:
            raise Bad("an extent of an unknown kind")
        if self.sealed:
            self.key, self.salt = int.from_bytes(r.take(4), "little"), r.take(16)
        self.length = r.u()
        if self.count:
            self.width = r.u()
        else:
            self.column, self.offset = r.byte(), r.u()
            self.sum = int.from_bytes(r.take(8), "little")

    def __eq__(self, other):
        return vars(self) == vars(other)


def attributes(p):
    """The fields of attributes by tag."""
    r, fields = Reader(p), {}
    while r.left():
        tag = r.u()
        fields[tag] = r.string()
    return fields


class Record:
    """One change; fields that its kind does not have are absent."""

    def __init__(self, p):
        r = Reader(p)
        self.kind, self.flags, self.time, self.bucket = r.byte(), r.byte(), r.z(), r.string()
        kind, flags = self.kind, self.flags
        self.extra, self.wanted, self.version = b"", None, None
        if kind == 1:
            self.settings = r.map() if flags & 8 else {}
        elif kind == 7:
            self.name, self.value = r.string(), r.string()
        elif kind == 20:
            self.holds, self.size, self.layout = r.u(), r.u(), r.layout()
        elif kind not in (2, 6):
            self.key = r.string()
            getattr(self, f"_{kind}", self._unknown)(r)
        if flags & 2 and kind != 5:
            raise Bad(f"flag 2 of a record of kind {kind}")
        if flags & 8 and kind != 1:
            self.extra = r.string()
        self.etag = r.string() if flags & 16 else None
        if flags & 32:
            self.version = r.z()
        if flags & 4 and kind not in (3, 5):
            self.wanted = r.z()
        if r.left():
            raise Bad(f"a record of kind {kind} has {r.left()} bytes too many")

    def _unknown(self, r):
        raise Bad(f"a record of kind {self.kind}, which is not known")

    def _3(self, r):
        self.size, self.type, self.meta = r.u(), r.string(), r.map()
        self.wanted = r.z() if self.flags & 4 else None
        self.layout = r.layout()

    def _4(self, r):
        pass

    def _5(self, r):
        self.from_bucket, self.from_key, self.from_sequence = r.string(), r.string(), r.z()
        self.type, self.meta = r.string(), r.map()
        self.wanted = r.z() if self.flags & 4 else None

    def _8(self, r):
        self.which = r.byte()

    def _9(self, r):
        self.type, self.meta = r.string(), r.map()

    def _10(self, r):
        self.upload, self.number, self.size, self.layout = r.z(), r.u(), r.u(), r.layout()

    def _11(self, r):
        self.upload = r.z()
        self.parts = [(r.u(), r.z()) for _ in range(r.count())]

    def _12(self, r):
        self.upload = r.z()

    def _21(self, r):
        self.sequence, self.moved = r.z(), r.layout()


# The state


class Version:
    def __init__(self, sequence, modified, size=0, type=b"", meta=None, layout=None, extra=b"", marker=False, null=True):
        self.sequence, self.modified, self.size, self.type, self.meta = sequence, modified, size, type, meta or {}
        self.layout, self.fields, self.marker, self.null = [] if layout is None else layout, attributes(extra), marker, null

    @property
    def etag(self):
        return self.fields.get(1, b"")


class Bucket:
    def __init__(self):
        self.versioning, self.objects = b"", {}  # by key: versions, the newest first


class Upload:
    def __init__(self, bucket, key, type, meta, extra):
        self.bucket, self.key, self.type, self.meta, self.extra, self.parts = bucket, key, type, meta, extra, {}


class State:
    """What the records say, one after another."""

    def __init__(self):
        self.buckets, self.uploads = {}, {}

    def apply(self, record, sequence):
        do = getattr(self, f"_{record.kind}", None)
        if do is not None:
            do(record, sequence)

    def _1(self, r, sequence):
        if r.bucket not in self.buckets:
            b = self.buckets[r.bucket] = Bucket()
            b.versioning = r.settings.get(b"versioning", b"")

    def _2(self, r, sequence):
        b = self.buckets.get(r.bucket)
        if b is not None and not b.objects:
            del self.buckets[r.bucket]
            self.uploads = {id: u for id, u in self.uploads.items() if u.bucket != r.bucket}

    def _7(self, r, sequence):
        if r.bucket in self.buckets and r.name == b"versioning":
            self.buckets[r.bucket].versioning = b"" if r.flags & 64 else r.value

    def _find(self, bucket, key, version=None):
        """The version of a key, its latest when version is None; None for a marker or when there is none."""
        versions = self.buckets[bucket].objects.get(key, []) if bucket in self.buckets else []
        for v in versions:
            if version is None or v.sequence == version or version == -1 and v.null:
                return v
        return None

    def _allowed(self, r):
        """Whether the preconditions of a record hold: of the version that it names, else of the latest."""
        if r.bucket not in self.buckets:
            return False
        v = self._find(r.bucket, r.key, r.version)
        there = v is not None and not v.marker
        if r.flags & 1 and there:
            return False
        if r.flags & 16 and not (there and r.etag in (b"*", v.etag)):
            return False
        return r.wanted is None or there and r.wanted == v.sequence

    def _add(self, r, v):
        b = self.buckets[r.bucket]
        v.null = b.versioning != b"Enabled"
        versions = b.objects.setdefault(r.key, [])
        if v.null:
            versions[:] = [o for o in versions if not o.null]
        versions.insert(0, v)

    def _3(self, r, sequence):
        if self._allowed(r):
            self._add(r, Version(sequence, r.time, r.size, r.type, r.meta, r.layout, r.extra))

    def _4(self, r, sequence):
        if not self._allowed(r):
            return
        b = self.buckets[r.bucket]
        versions = b.objects.get(r.key, [])
        if r.version is not None:
            v = self._find(r.bucket, r.key, r.version)
            versions[:] = [o for o in versions if o is not v]
        elif b.versioning:
            self._add(r, Version(sequence, r.time, marker=True))
        else:
            versions[:] = [o for o in versions if not o.null]
        if not b.objects.get(r.key, True):
            del b.objects[r.key]

    def _5(self, r, sequence):
        v = self._find(r.from_bucket, r.from_key, r.from_sequence)
        if v is None or v.marker or not self._allowed(r):
            return
        new = Version(sequence, r.time, v.size, r.type, r.meta, v.layout, r.extra)  # one list: an extent moves for all that share it
        if not r.flags & 2:
            new.type, new.meta = v.type, v.meta
            new.fields = {t: p for t, p in v.fields.items() if t not in (5, 6, 8, 9)}
        self._add(r, new)

    def _8(self, r, sequence):
        v = self._find(r.bucket, r.key, r.version)
        if v is not None and not v.marker:
            tags = [tag for bit, tag in ((1, 3), (2, 5), (4, 6), (4, 9), (8, 8)) if r.which & bit]
            given = attributes(r.extra)
            v.fields = {t: p for t, p in v.fields.items() if t not in tags} | {t: p for t, p in given.items() if t in tags}

    def _9(self, r, sequence):
        if r.bucket in self.buckets:
            self.uploads[sequence] = Upload(r.bucket, r.key, r.type, r.meta, r.extra)

    def _upload(self, r):
        u = self.uploads.get(r.upload)
        return u if u is not None and (u.bucket, u.key) == (r.bucket, r.key) else None

    def _10(self, r, sequence):
        u = self._upload(r)
        if u is not None:
            u.parts[r.number] = (sequence, r.size, r.layout)

    def _11(self, r, sequence):
        u = self._upload(r)
        if u is None or not self._allowed(r):
            return
        parts = []
        if any(a[0] >= b[0] for a, b in zip(r.parts, r.parts[1:])):
            return
        for number, wanted in r.parts:
            part = u.parts.get(number)
            if part is None or part[0] != wanted:
                return
            parts.append(part)
        v = Version(sequence, r.time, sum(p[1] for p in parts), u.type, u.meta, [e for p in parts for e in p[2]], u.extra)
        given = attributes(r.extra)
        v.fields = {t: p for t, p in v.fields.items() if t not in (1, 4)} | {t: p for t, p in given.items() if t in (1, 4)}
        self._add(r, v)
        del self.uploads[r.upload]

    def _12(self, r, sequence):
        if self._upload(r) is not None:
            del self.uploads[r.upload]

    def _21(self, r, sequence):
        v = self._find(r.bucket, r.key, r.sequence)
        if v is not None and len(r.moved) == 2:
            old, new = r.moved
            v.layout[:] = [new if e == old else e for e in v.layout]


# Checkpoints


def tables(p):
    """The tables of a checkpoint by name, each a list of rows by name of the column, and its batch."""
    if len(p) < 16 or p[:8] != b"WATTLCKP" or int.from_bytes(p[-8:], "little") != xxh64(p[:-8]):
        raise Bad("a checkpoint is damaged")
    r = Reader(p[8:-8])
    if r.byte() != 1:
        raise Bad("a checkpoint of an unknown version")
    holds, all = r.u(), {}
    while True:
        name = r.string().decode(errors="replace")
        if not name:
            return holds, all
        columns = [r.string().decode(errors="replace") for _ in range(r.count())]
        rows = all[name] = []
        while r.byte():
            rows.append({c: value(r) for c in columns})


def value(r):
    kind = r.byte()
    if kind == 0:
        return None
    if kind == 1:
        return r.z()
    if kind in (2, 3):
        return r.string()
    raise Bad("a checkpoint has a value of an unknown kind")


def meta_of(p):
    return Reader(p).map() if p else {}


def layout_of(p):
    return Reader(p).layout() if p else []


def loaded(all):
    """The state that a checkpoint is."""
    try:
        return _loaded(all)
    except (KeyError, IndexError, TypeError, AttributeError) as e:
        raise Bad(f"the tables of a checkpoint are not those that are known: {e}") from None


def _loaded(all):
    state, names = State(), {}
    for row in all["buckets"]:
        b = state.buckets[row["name"]] = Bucket()
        names[row["id"]] = row["name"]
        b.versioning = (b"", b"Enabled", b"Suspended")[row["versioning"]]
    shared = {row["id"]: layout_of(row["layout"]) for row in all["shared"]}
    for row in sorted(all["objects"], key=lambda row: -row["seq"]):
        layout = layout_of(row["layout"]) if row["shared"] is None else shared[row["shared"]]
        v = Version(row["seq"], row["modified"], row["size"], row["content_type"] or b"", meta_of(row["meta"]), layout, row["extra"] or b"", bool(row["marker"]), not row["versioned"])
        if row["etag"]:
            v.fields[1] = row["etag"]
        state.buckets[names[row["bucket"]]].objects.setdefault(row["key"], []).append(v)
    for row in all["uploads"]:
        state.uploads[row["id"]] = Upload(names[row["bucket"]], row["key"], row["content_type"] or b"", meta_of(row["meta"]), row["extra"] or b"")
    for row in all["parts"]:
        state.uploads[row["upload"]].parts[row["number"]] = (row["seq"], row["size"], layout_of(row["layout"]))
    return state


# The cluster


class Cluster:
    def __init__(self, disks, keys, say):
        self.disks, self.keys, self.say = disks, keys, say
        self.decoded, self.missing = {}, 0

    def journal(self, sequence):
        """The records of a batch, of any copy that is whole."""
        if sequence not in self.decoded:
            self.decoded[sequence] = self._journal(sequence)
        return self.decoded[sequence]

    def _journal(self, sequence):
        last = Bad(f"journal of batch {sequence} is lost")
        for s in self.disks.journals[sequence]:
            try:
                return s.before, self._records(s, s.journal_bytes())
            except Bad as e:
                last = e
        raise last

    def _records(self, s, p):
        r = Reader(p)
        version = r.byte()
        if version == 2:
            id, salt = int.from_bytes(r.take(4), "little"), r.take(16)
            r = Reader(self.keys.open(b"wattle journal 1", id, salt, (s.sequence, 0, 0), r.take(r.left())))
            version = r.byte()
        if version != 1:
            raise Bad(f"journal of an unknown version {version}")
        records = [Record(r.string()) for _ in range(r.count())]
        if r.left():
            raise Bad("a journal has bytes too many")
        return records

    def bytes(self, layout):
        """The bytes that a layout names, piece by piece, each checked."""
        for e in layout:
            if e.count:
                yield from self._spread(e)
            else:
                yield self._packed(self._stripe(e.stripe), e)

    def _stripe(self, id):
        if id not in self.disks.stripes:
            raise Bad(f"stripe {id:x} is lost")
        return self.disks.stripes[id]

    def _spread(self, e):
        """The bytes of e.count stripes that follow one another, column after column."""
        unit = BLOCK - TAG if e.sealed else BLOCK
        left = e.length
        for id in range(e.stripe, e.stripe + e.count):
            stripe = self._stripe(id)
            for j in range(len(stripe.columns)):
                here = min(left, e.width)
                left -= here
                for number in range((here + unit - 1) // unit):
                    n = min(unit, here - number * unit)
                    p = stripe.column(j, number)
                    if e.sealed:
                        p = self._opened(e, p[: n + TAG], id, j, number)
                    if len(p) < n:
                        raise Bad(f"an extent does not fit stripe {id:x}")
                    yield p[:n]
        if left:
            raise Bad(f"an extent is longer than its {e.count} stripes")

    def _packed(self, stripe, e):
        n = e.length + (TAG if e.sealed else 0)
        j, end = e.column, e.offset + n
        if j >= len(stripe.columns) or end > stripe.columns[j]:
            raise Bad(f"an extent does not fit stripe {stripe.id:x}")
        want = xxh64(struct.pack("<QBI", e.stripe, j, e.offset))
        blocks = range(e.offset // BLOCK, (end + BLOCK - 1) // BLOCK)
        p = b"".join(stripe.column(j, b) for b in blocks)
        p = p[e.offset - blocks.start * BLOCK :][:n]
        if xxh64(p, want) != e.sum:
            raise Bad(f"sum of an extent of stripe {stripe.id:x}")
        return self._opened(e, p, stripe.id, j, e.offset) if e.sealed else p

    def _opened(self, e, p, stripe, column, unit):
        return self.keys.open(b"wattle extent 1", e.key, e.salt, (stripe, column, unit), p)

    def _usable(self):
        """The sequences of the batches that count, newest first."""
        all = sorted(self.disks.journals, reverse=True)
        given_up = set()
        befores = {s: {shard.before for shard in self.disks.journals[s]} for s in all}
        for s in all:
            given_up.update(t for t in all if min(befores[s]) < t < s)
        for s in all:
            if s in given_up:
                continue
            if s > self.disks.committed:
                why = self._undecided(s)
                self.say(f"batch {s} is the last, and nothing says that it was committed: {'left out: ' + why if why else 'taken'}")
                if why:
                    continue
            yield s, min(befores[s])

    def _undecided(self, s):
        """Why the last batch cannot be taken, or nothing."""
        try:
            for r in self.journal(s)[1]:
                for _ in self.bytes(getattr(r, "layout", [])):
                    pass
        except Bad as e:
            return str(e)
        return ""

    def _miss(self, what):
        self.missing += 1
        self.say(what)

    def state(self):
        """The state after the last batch that counts."""
        replay, state, floor, expect = [], State(), 0, None
        for s, before in self._usable():
            if s <= floor:
                break
            if expect not in (None, s):
                self._miss(f"batch {expect} is nowhere: more disks are away than the scheme stands")
            try:
                _, records = self.journal(s)
            except Bad as e:
                self._miss(f"journal of batch {s}: {e}")
                expect = before
                continue
            replay.append((s, records))
            expect = before
            if not floor:
                for r in records:
                    if r.kind == 20:
                        try:
                            holds, all = tables(b"".join(self.bytes(r.layout)))
                            state, floor = loaded(all), holds
                        except Bad as e:
                            self.say(f"checkpoint of batch {r.holds}: {e}")
        for s, records in reversed(replay):
            if s > floor:
                for place, record in enumerate(records):
                    try:
                        state.apply(record, s << 20 | place)
                    except Bad as e:
                        self._miss(f"batch {s}, record {place}: {e}")
        return state


# Output


def text(p):
    return p.decode("utf-8", "surrogateescape")


def parts(key):
    """The parts of a path that is the key, or None when it cannot be one."""
    list_ = key.split(b"/")
    if b"\0" in key or any(p in (b"", b".", b"..") or len(p) > 255 for p in list_):
        return None
    return list_


def directory(bucket):
    """A name for the directory of a bucket: its own, which what lies on the disks need not be."""
    if BUCKET.fullmatch(bucket):
        return bucket
    return b"bucket-" + hashlib.sha256(bucket).hexdigest().encode()


class Output:
    def __init__(self, root):
        self.root = os.fsencode(root)
        os.makedirs(self.root, mode=0o700, exist_ok=True)
        if os.listdir(self.root):
            raise Bad(f"{root} is not empty")

    def write(self, bucket, key, pieces, version=None):
        """Writes what pieces yields; returns the name of the file below the root."""
        bucket = directory(bucket)
        folder, path = bucket, parts(key)
        if version is not None:
            folder += b".versions"
            path = path and path + [b"%d" % version]
        file = self._create(folder, path) if path else None
        if file is None:
            quoted = b"key-" + urllib.parse.quote(key, safe="").encode()
            if len(quoted) > 200:
                quoted = b"key-" + hashlib.sha256(key).hexdigest().encode()
            if version is not None:
                quoted += b"-%d" % version
            file = self._create(bucket + b".keys", [quoted])
        if file is None:
            raise Bad("its file is there already")
        f, name = file
        try:
            with f:
                for p in pieces:
                    f.write(p)
        except BaseException:
            os.unlink(os.path.join(self.root, name))
            raise
        return text(name)

    def _create(self, folder, path):
        name = b"/".join([folder] + path)
        full = os.path.join(self.root, name)
        try:
            os.makedirs(os.path.dirname(full), mode=0o700, exist_ok=True)
            return os.fdopen(os.open(full, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb"), name
        except (FileExistsError, NotADirectoryError, IsADirectoryError):
            return None


def when(ns):
    try:
        s = datetime.fromtimestamp(ns // 10**9, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
    except (OverflowError, ValueError, OSError):
        return "0001-01-01T00:00:00Z"
    fraction = f"{ns % 10**9:09d}".rstrip("0")
    return s + ("." + fraction if fraction else "") + "Z"


def line(bucket, key, v):
    said = {"bucket": text(bucket), "key": text(key), "size": v.size, "modified": when(v.modified)}
    if v.type:
        said["content_type"] = text(v.type)
    if v.meta:
        said["meta"] = texts(v.meta)
    said["sequence"] = v.sequence
    try:
        said.update(told(v.fields))
    except Bad:  # they help nobody to read the bytes
        pass
    if not v.null:
        said["versioned"] = True
    if v.marker:
        said["delete_marker"] = True
    return said


def texts(m):
    return {text(k): text(p) for k, p in m.items()}


def told(fields):
    """Attributes as the lists give them."""
    said = {}
    if fields.get(1):
        said["etag"] = text(fields[1])
    for tag, name in ((2, "headers"), (3, "tags")):
        if fields.get(tag):
            said[name] = texts(Reader(fields[tag]).map())
    if 4 in fields:
        r = Reader(fields[4])
        composite, algorithm, value = r.byte(), text(r.string()), text(r.string())
        said["checksum"] = {"algorithm": algorithm, "value": value} | ({"composite": True} if composite else {})
    if 5 in fields:
        r = Reader(fields[5])
        said["retention"] = {"mode": text(r.string()), "until": when(r.z() * 10**9)}
    for tag, name in ((6, "legal_hold"), (9, "released")):
        if tag in fields:
            said[name] = True
    if fields.get(8):
        said["acl"] = text(fields[8])
    return said


def export(cluster, state, out, versions, say):
    """Writes all; returns how many were written, and how many could not be."""
    done = failed = 0
    for bucket in sorted(state.buckets):
        lines = []
        for key, list_ in sorted(state.buckets[bucket].objects.items()):
            for i, v in enumerate(list_ if versions else list_[:1]):
                if v.marker and not versions:
                    continue
                said = line(bucket, key, v)
                if not v.marker:
                    try:
                        if sum(e.length for e in v.layout) != v.size:
                            raise Bad("its extents are not as long as it")
                        said["file"] = out.write(bucket, key, cluster.bytes(v.layout), v.sequence if i else None)
                        done += 1
                    except Bad as e:
                        said["error"] = str(e)
                        say(f"{text(bucket)}/{text(key)}: {e}")
                        failed += 1
                lines.append(json.dumps(said, ensure_ascii=False, separators=(",", ":")))
        with open(os.path.join(out.root, directory(bucket) + b".jsonl"), "x", encoding="utf-8", errors="replace") as f:
            f.writelines(l + "\n" for l in lines)
    return done, failed


def main():
    parser = argparse.ArgumentParser(description="Reads all objects from the disks of a Wattle cluster, without the catalog and without Wattle.")
    parser.add_argument("--key-file", default=os.environ.get("WATTLE_KEY_FILE"), help="file with the keys of an encrypted cluster")
    parser.add_argument("--versions", action="store_true", help="older versions too")
    parser.add_argument("disk", nargs="+", help="directory of a disk, or one that holds some below it")
    parser.add_argument("out", help="directory to write to, new or empty")
    args = parser.parse_args()

    def say(*what):
        print("read.py:", *what, file=sys.stderr)

    try:
        disks = Disks(args.disk, say)
        cluster = Cluster(disks, Keys(args.key_file, disks.cluster), say)
        state = cluster.state()
        done, failed = export(cluster, state, Output(args.out), args.versions, say)
    except (Bad, NoKey, OSError) as e:
        say(e)
        return 1
    print(f"{args.out}: {done} objects in {len(state.buckets)} buckets from {disks.count} disks; {failed} could not be read, {cluster.missing} batches of changes are missing")
    return 7 if failed or cluster.missing else 0


if __name__ == "__main__":
    sys.exit(main())
