package cluster

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/cespare/xxhash/v2"
)

// A shipment is the journal of a committed batch on its way to a standby, as it lies on the
// disks: encrypted when those are.
type shipment struct {
	seq, before uint64 // the batch, and the one that was committed before it
	time        int64  // when it was committed, Unix nanoseconds
	incarnation uint32
	journal     []byte
}

// An outbox keeps the newest journals for whoever ships them, within a bound: who comes late
// reads the rest off the disks. The zero value keeps nothing until it is opened.
type outbox struct {
	mu    sync.Mutex
	open  bool       // guarded by mu
	list  []shipment // guarded by mu
	bytes int        // guarded by mu
	wake  chan struct{}
}

const outboxBytes = 8 << 20

// begin has the outbox keep what comes from now on, and returns what tells of that.
func (o *outbox) begin() <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.open = true
	if o.wake == nil {
		o.wake = make(chan struct{}, 1)
	}
	return o.wake
}

func (o *outbox) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.open, o.list, o.bytes = false, nil, 0
}

// add never waits.
func (o *outbox) add(s shipment) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.open {
		return
	}
	o.list, o.bytes = append(o.list, s), o.bytes+len(s.journal)
	for o.bytes > outboxBytes && len(o.list) > 0 {
		o.drop()
	}
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// drop forgets the oldest; mu is held.
func (o *outbox) drop() {
	o.bytes -= len(o.list[0].journal)
	o.list[0] = shipment{}
	o.list = o.list[1:]
}

// after returns what came after a batch, and whether that is all of it.
func (o *outbox) after(seq uint64) ([]shipment, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.list) > 0 && o.list[0].seq <= seq {
		o.drop()
	}
	if len(o.list) == 0 || o.list[0].before > seq {
		return nil, false
	}
	return append([]shipment(nil), o.list...), true
}

// A shipped log lies beside the copy of a catalog and holds the journals of the batches after
// it, one after another: a head of 32 bytes (magic, batch of the copy, XXH64 of the cluster's
// ID, XXH64 of these 24 bytes), then for each batch its length (4 bytes), XXH64 of what follows
// seeded by adding the batch before, and batch, batch before, time, incarnation, journal. All
// numbers are little-endian. What does not verify ends it: the last write was cut short.
const (
	shippedHead  = 32
	shippedFrame = 4 + 8
	shippedBody  = 8 + 8 + 8 + 4
	maxShipped   = 64 << 20
)

var shippedMagic = [8]byte{'w', 't', 'l', 's', 'h', 'i', 'p', 1}

// logOf is the shipped log that lies beside the copy of a catalog.
func logOf(copy string) string { return strings.TrimSuffix(copy, ".db") + ".log" }

// batchOf reads the batch off the name of a copy.
func batchOf(name string) (uint64, bool) {
	name = strings.TrimSuffix(name, ".db")
	n, err := strconv.ParseUint(name[strings.LastIndexByte(name, '-')+1:], 10, 64)
	return n, err == nil
}

func shippedHeader(cluster string, base uint64) []byte {
	p := append(make([]byte, 0, shippedHead), shippedMagic[:]...)
	p = binary.LittleEndian.AppendUint64(p, base)
	p = binary.LittleEndian.AppendUint64(p, xxhash.Sum64String(cluster))
	return binary.LittleEndian.AppendUint64(p, xxhash.Sum64(p))
}

func shippedSum(body []byte, before uint64) uint64 {
	h := xxhash.NewWithSeed(before)
	h.Write(body)
	return h.Sum64()
}

// append appends a shipment as the log has it.
func (s shipment) append(p []byte) []byte {
	body := make([]byte, 0, shippedBody+len(s.journal))
	body = binary.LittleEndian.AppendUint64(body, s.seq)
	body = binary.LittleEndian.AppendUint64(body, s.before)
	body = binary.LittleEndian.AppendUint64(body, uint64(s.time))
	body = binary.LittleEndian.AppendUint32(body, s.incarnation)
	body = append(body, s.journal...)
	p = binary.LittleEndian.AppendUint32(p, uint32(len(body)))
	p = binary.LittleEndian.AppendUint64(p, shippedSum(body, s.before))
	return append(p, body...)
}

// A shipped is what a log holds.
type shipped struct {
	file *os.File
	at   map[uint64]span // by batch: where its journal lies
	base uint64
	last shipment // without its journal
	size int64    // up to the end of what verifies
}

type span struct{ off, len int64 }

// openShipped reads a shipped log up to the first that does not follow or verify.
func openShipped(path, cluster string) (*shipped, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	l := &shipped{file: f, at: map[uint64]span{}}
	if err := l.scan(bufio.NewReaderSize(f, 1<<20), cluster); err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return l, nil
}

func (l *shipped) scan(r io.Reader, cluster string) error {
	head := make([]byte, shippedHead)
	if _, err := io.ReadFull(r, head); err != nil {
		return fmt.Errorf("%w: %d bytes are its head", errMalformed, shippedHead)
	}
	l.base = binary.LittleEndian.Uint64(head[8:])
	if string(head) != string(shippedHeader(cluster, l.base)) {
		return fmt.Errorf("%w: it is no log of journals of cluster %s", errMalformed, cluster)
	}
	l.last, l.size = shipment{seq: l.base}, shippedHead
	for {
		s, ok, err := readShipment(r, l.last.seq)
		if err != nil || !ok {
			return err
		}
		l.at[s.seq] = span{l.size + shippedFrame + shippedBody, int64(len(s.journal))}
		l.size += shippedFrame + shippedBody + int64(len(s.journal))
		s.journal = nil
		l.last = s
	}
}

// readShipment reads the shipment that follows a batch; ok is false at the end of what verifies.
func readShipment(r io.Reader, before uint64) (s shipment, ok bool, err error) {
	var head [shippedFrame]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return s, false, cutShort(err)
	}
	n := binary.LittleEndian.Uint32(head[:])
	if n < shippedBody || n > maxShipped {
		return s, false, nil
	}
	var body []byte
	for left := int(n); left > 0; left = int(n) - len(body) { // what a length says is believed as it comes
		part := make([]byte, min(left, 1<<20))
		if _, err := io.ReadFull(r, part); err != nil {
			return s, false, cutShort(err)
		}
		body = append(body, part...)
	}
	s = shipment{seq: binary.LittleEndian.Uint64(body), before: binary.LittleEndian.Uint64(body[8:]),
		time: int64(binary.LittleEndian.Uint64(body[16:])), incarnation: binary.LittleEndian.Uint32(body[24:]), journal: body[shippedBody:]}
	ok = binary.LittleEndian.Uint64(head[4:]) == shippedSum(body, before) && s.before == before && s.seq > before
	return s, ok, nil
}

func cutShort(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}

// journal reads the journal of a batch.
func (l *shipped) journal(seq uint64) ([]byte, bool) {
	if l == nil {
		return nil, false
	}
	at, ok := l.at[seq]
	if !ok {
		return nil, false
	}
	p := make([]byte, at.len)
	_, err := l.file.ReadAt(p, at.off)
	return p, err == nil
}

func (l *shipped) close() error {
	if l == nil {
		return nil
	}
	return l.file.Close()
}

// startShipped makes an empty log beside a copy.
func startShipped(path, cluster string, base uint64) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(shippedHeader(cluster, base))
	return errors.Join(err, f.Sync(), f.Close())
}

// appendShipped appends to a log of so many bytes, and syncs it. What was there beyond them,
// of a write that was cut short, goes; after an error so does what was written.
func appendShipped(path string, size int64, list []shipment) (int64, error) {
	f, err := os.OpenFile(path, os.O_WRONLY, 0) // it is there, unless its file system went away
	if err != nil {
		return size, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil && info.Size() < size {
		err = fmt.Errorf("%s: %w: it has lost what was written to it", path, errMalformed)
	}
	if err == nil {
		err = f.Truncate(size)
	}
	if err != nil {
		return size, err
	}
	at := size
	for _, s := range list {
		p := s.append(nil)
		if _, err = f.WriteAt(p, at); err != nil {
			break
		}
		at += int64(len(p))
	}
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		f.Truncate(size) //nolint:errcheck // the next round does it again
		return size, err
	}
	return at, nil
}

// A bestCopy is the copy in a directory that reaches furthest, with its log.
type bestCopy struct {
	path  string
	batch uint64    // whose state the copy holds
	upTo  uint64    // the last batch of the log, or batch
	time  time.Time // when that was committed; zero without a log
	size  int64     // of the log, as far as it verifies; 0: there is none
}

// furthestCopy looks through the copies of a cluster's catalog that a directory holds.
func furthestCopy(dir, prefix, cluster string) (best bestCopy, err error) {
	list, err := os.ReadDir(dir)
	if err != nil {
		return best, err
	}
	for _, e := range list {
		batch, ok := batchOf(e.Name())
		if !ok || !strings.HasPrefix(e.Name(), prefix) || !strings.HasSuffix(e.Name(), ".db") || !e.Type().IsRegular() {
			continue
		}
		b := bestCopy{path: dir + string(os.PathSeparator) + e.Name(), batch: batch, upTo: batch}
		l, err := openShipped(logOf(b.path), cluster)
		if err == nil && l.base == batch {
			b.upTo, b.size = l.last.seq, l.size
			if l.last.time != 0 {
				b.time = time.Unix(0, l.last.time).UTC()
			}
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, errMalformed) {
			return best, err
		}
		if err == nil {
			l.close()
		}
		if best.path == "" || b.upTo > best.upTo || b.upTo == best.upTo && b.path > best.path {
			best = b
		}
	}
	return best, nil
}
