// Package md5lanes computes the MD5 of many streams at a time, each in a lane of the widest
// vector registers, beside whoever writes to them.
//
// MD5 is a chain of dependent steps, so that a stream by itself cannot use a vector unit, and
// at about 1.3 processor seconds a gigabyte it would be the dearest part of storing a large
// object. Sixteen streams in lanes cost little more than two by themselves. Writing copies
// into chunks; workers, at most one for every two processors, take the chunks of as many
// streams as have one, when all that are open do or one cannot wait. Where AVX-512 is missing
// they hash one stream after another.
package md5lanes

//go:generate go run gen.go

import (
	"crypto/md5"
	"encoding"
	"encoding/binary"
	"runtime"
	"sync"
)

const (
	width     = 16       // lanes
	chunkSize = 64 << 10 // bytes; sixteen of them stay in a second-level cache
	queued    = 3        // chunks of a stream that may wait
)

// A Hash is the MD5 of a stream. One goroutine at a time may use it; it must be closed.
type Hash struct {
	state [4]uint32 // of whole blocks; the worker's while listed
	size  uint64    // bytes of those
	chunk []byte    // being filled

	queue    [][]byte // guarded by work.mu
	listed   bool     // guarded by work.mu; in work.pending, or with a worker
	pressing bool     // guarded by work.mu; its writer waits, or will with the next chunk
	ending   bool     // guarded by work.mu; its writer waits for all of it
	moved    *sync.Cond
	closed   bool
}

// work is what all streams share.
var work struct {
	mu       sync.Mutex
	pending  []*Hash // guarded by mu; have a chunk in their queue
	workers  int     // guarded by mu
	open     int     // guarded by mu; streams
	pressing int     // guarded by mu; streams
}

// ready tells whether a worker should begin: a lane that stays empty costs as much as a full
// one. work.mu is held.
func ready() bool {
	n := len(work.pending)
	return n > 0 && (n >= min(lanes, work.open) || work.pressing > 0)
}

// press sets whether a stream can wait; work.mu is held.
func (h *Hash) press(on bool) {
	if on && !h.pressing {
		work.pressing++
	} else if !on && h.pressing {
		work.pressing--
	}
	h.pressing = on
}

// start starts a worker where one is needed; work.mu is held.
func start() {
	if ready() && (work.workers == 0 || len(work.pending) > lanes && work.workers < runtime.GOMAXPROCS(0)/2) {
		work.workers++
		go run()
	}
}

var chunks = sync.Pool{New: func() any { return (*[chunkSize]byte)(make([]byte, chunkSize)) }}

// New begins a stream.
func New() *Hash {
	work.mu.Lock()
	work.open++
	work.mu.Unlock()
	return &Hash{state: [4]uint32{0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476}, moved: sync.NewCond(&work.mu)}
}

// Write adds to the stream. It keeps nothing of p, and waits while too much of the stream is
// not hashed yet.
func (h *Hash) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		if h.chunk == nil {
			h.chunk = chunks.Get().(*[chunkSize]byte)[:0]
		}
		m := min(len(p), chunkSize-len(h.chunk))
		h.chunk = append(h.chunk, p[:m]...)
		p = p[m:]
		if len(h.chunk) == chunkSize {
			h.submit(h.chunk)
			h.chunk = nil
		}
	}
	return n, nil
}

// submit gives a chunk of whole blocks to the workers.
func (h *Hash) submit(chunk []byte) {
	work.mu.Lock()
	defer work.mu.Unlock()
	for len(h.queue) >= queued {
		h.moved.Wait()
	}
	h.queue = append(h.queue, chunk)
	h.press(len(h.queue) >= queued)
	if !h.listed {
		h.listed = true
		work.pending = append(work.pending, h)
	}
	start()
}

// wait returns when all chunks are hashed.
func (h *Hash) wait() {
	work.mu.Lock()
	defer work.mu.Unlock()
	h.ending = true
	h.press(h.listed)
	start()
	for h.listed {
		h.moved.Wait()
	}
	h.ending = false
}

// Sum ends the stream and returns its MD5.
func (h *Hash) Sum() [md5.Size]byte {
	whole := len(h.chunk) / md5.BlockSize * md5.BlockSize
	var end [md5.BlockSize]byte
	n := copy(end[:], h.chunk[whole:])
	if whole > 0 {
		h.submit(h.chunk[:whole])
		h.chunk = nil
	}
	h.wait()
	d := resume(h.state, h.size)
	_, _ = d.Write(end[:n])
	return [md5.Size]byte(d.Sum(nil))
}

// Close gives back what the stream holds.
func (h *Hash) Close() {
	if h.closed {
		return
	}
	h.closed = true
	h.wait()
	if h.chunk != nil {
		giveBack(h.chunk)
		h.chunk = nil
	}
	work.mu.Lock()
	work.open--
	start() // those that are left may be all that are open now
	work.mu.Unlock()
}

func giveBack(chunk []byte) { chunks.Put((*[chunkSize]byte)(chunk[:chunkSize])) }

// run hashes the chunks of as many streams at a time as there are lanes, while it should.
func run() {
	var batch []*Hash
	var data [][]byte
	work.mu.Lock()
	defer work.mu.Unlock()
	for ready() {
		if len(work.pending) < min(lanes, work.open) { // whoever is about to write may come along
			work.mu.Unlock()
			runtime.Gosched()
			work.mu.Lock()
		}
		n := min(lanes, len(work.pending))
		batch = append(batch[:0], work.pending[:n]...)
		work.pending = append(work.pending[:0], work.pending[n:]...)
		data = data[:0]
		for _, h := range batch {
			data = append(data, h.queue[0])
		}
		work.mu.Unlock()
		compress(batch, data)
		work.mu.Lock()
		for _, h := range batch {
			giveBack(h.queue[0])
			h.queue = append(h.queue[:0], h.queue[1:]...)
			if h.listed = len(h.queue) > 0; h.listed {
				work.pending = append(work.pending, h)
			}
			h.press(h.listed && h.ending)
			h.moved.Broadcast()
		}
	}
	work.workers--
}

// compress hashes the chunk of each stream; it changes data.
func compress(batch []*Hash, data [][]byte) {
	for i, h := range batch {
		h.size += uint64(len(data[i]))
	}
	for {
		left, least := 0, chunkSize
		for _, p := range data {
			if len(p) > 0 {
				left++
				least = min(least, len(p))
			}
		}
		switch {
		case left == 0:
			return
		case left == 1 || lanes == 1:
			for i, h := range batch {
				h.scalar(data[i])
				data[i] = nil
			}
		default:
			vector(batch, data, least)
		}
	}
}

// scalar hashes whole blocks with the standard library.
func (h *Hash) scalar(p []byte) {
	if len(p) == 0 {
		return
	}
	d := resume(h.state, 0)
	_, _ = d.Write(p)
	saved, err := d.(encoding.BinaryMarshaler).MarshalBinary()
	if err != nil {
		panic(err) // of our own making
	}
	for i := range h.state {
		h.state[i] = binary.BigEndian.Uint32(saved[magic+4*i:])
	}
}

// magic is the length of what the standard library's saved state of an MD5 begins with; the
// four words, a block of bytes not hashed yet, and the length of all follow.
const magic = 4

// resume makes the standard library's hash go on from a state after size bytes, whole blocks.
func resume(state [4]uint32, size uint64) (d interface {
	Write([]byte) (int, error)
	Sum([]byte) []byte
}) {
	fresh := md5.New()
	saved, err := fresh.(encoding.BinaryMarshaler).MarshalBinary()
	if err != nil {
		panic(err)
	}
	for i, w := range state {
		binary.BigEndian.PutUint32(saved[magic+4*i:], w)
	}
	binary.BigEndian.PutUint64(saved[magic+16+md5.BlockSize:], size)
	if err := fresh.(encoding.BinaryUnmarshaler).UnmarshalBinary(saved); err != nil {
		panic(err)
	}
	return fresh
}
