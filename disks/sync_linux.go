package disks

import (
	"encoding/binary"
	"os"
	"runtime"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A batch syncs many files at a time. A goroutine in fdatasync keeps its processor of Go's
// scheduler until the runtime takes it away, so that on a machine of few cores the syncs
// begin one after another and each pays for a commit of the file system's journal. So a sync
// is handed to the kernel (io_submit with IOCB_CMD_FDSYNC) and its end read from an eventfd,
// for which goroutines wait as they do for a socket. Where the kernel, or what guards the
// process, does not take such requests, fdatasync is called.

// syncSlots is how many syncs may be under way; more go by fdatasync.
const syncSlots = 256

// Of linux/aio_abi.h, for requests without buffers.
type (
	iocb struct {
		data       uint64
		_          uint64 // key and flags of reads and writes
		opcode     uint16
		_          int16
		fd         uint32
		_, _, _, _ uint64
		flags      uint32
		resultFD   uint32
	}
	ioEvent struct {
		data, _   uint64
		result, _ int64
	}
)

const (
	opFDSync     = 3
	flagResultFD = 1
)

// A syncer hands syncs to the kernel and waits for all of them in one place.
type syncer struct {
	context uintptr
	event   int
	ended   *os.File // the eventfd

	mu      sync.Mutex
	next    uint64                // guarded by mu
	waiting map[uint64]chan int64 // guarded by mu
}

// newSyncer returns nil where the kernel offers no asynchronous syncs.
var newSyncer = sync.OnceValue(func() *syncer {
	s := &syncer{waiting: map[uint64]chan int64{}}
	if _, _, err := unix.Syscall(unix.SYS_IO_SETUP, syncSlots, uintptr(unsafe.Pointer(&s.context)), 0); err != 0 {
		return nil
	}
	fd, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		return nil
	}
	s.event, s.ended = fd, os.NewFile(uintptr(fd), "eventfd")
	go s.collect()
	return s
})

// datasync makes the data of a file durable.
func datasync(fd int) error {
	s := newSyncer()
	if s == nil {
		return unix.Fdatasync(fd)
	}
	done := make(chan int64, 1)
	s.mu.Lock()
	s.next++
	id := s.next
	s.waiting[id] = done
	s.mu.Unlock()
	request := &iocb{data: id, opcode: opFDSync, fd: uint32(fd), flags: flagResultFD, resultFD: uint32(s.event)}
	n, _, err := unix.Syscall(unix.SYS_IO_SUBMIT, s.context, 1, uintptr(unsafe.Pointer(&request)))
	runtime.KeepAlive(request)
	if err != 0 || n != 1 {
		s.mu.Lock()
		delete(s.waiting, id)
		s.mu.Unlock()
		return unix.Fdatasync(fd)
	}
	if result := <-done; result < 0 {
		return unix.Errno(-result)
	}
	return nil
}

// collect wakes whoever waits for a sync that has ended.
func (s *syncer) collect() {
	var events [64]ioEvent
	var count [8]byte
	for {
		if _, err := s.ended.Read(count[:]); err != nil {
			panic("eventfd: " + err.Error()) // it is ours and never closed
		}
		for left := binary.NativeEndian.Uint64(count[:]); left > 0; {
			n, _, err := unix.Syscall6(unix.SYS_IO_GETEVENTS, s.context, 1, uintptr(min(left, uint64(len(events)))),
				uintptr(unsafe.Pointer(&events[0])), 0, 0)
			if err == unix.EINTR {
				continue
			}
			if err != 0 {
				panic("io_getevents: " + err.Error()) // likewise
			}
			left -= uint64(n)
			s.mu.Lock()
			for _, e := range events[:n] {
				s.waiting[e.data] <- e.result
				delete(s.waiting, e.data)
			}
			s.mu.Unlock()
		}
	}
}
