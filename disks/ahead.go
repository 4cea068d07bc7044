package disks

import "bytes"

// Appending to a file changes its size, so that syncing it costs a commit of the file
// system's journal beside the data. Where small appends follow one another, zeros are
// therefore written ahead of the end of the segment: the next appends overwrite them, and
// their syncs write data alone. Streams of large objects append much at a time and would only
// write everything twice. What is left over is cut off when the disk is closed or the segment
// sealed; after a crash it stays behind as a hole, stepped over like all that stands behind
// the last shard.
const (
	calmAppends = 16         // small appends in a row, from which on it pays
	smallAppend = 64 << 10   // bytes
	aheadStep   = windowSize // zeros at a time
)

var zeros [64 << 10]byte

// writeAhead writes zeros behind the active segment, after an append of n bytes, when those
// from before are used up; d.mu is held. What it could not write is only not there.
func (d *Segments) writeAhead(s *segment, n int64) {
	s.ahead = max(s.ahead, s.end)
	if n > smallAppend {
		d.calm = 0
		return
	}
	if d.calm++; d.calm < calmAppends || s.end < s.ahead {
		return
	}
	to := min(s.end+aheadStep, d.limit(s.number)) / pageSize * pageSize
	if to <= s.end || to-s.end > d.id.Capacity-d.used-reserve(d.id.Capacity) {
		return
	}
	var iov [][]byte
	for at := s.end; at < to; at += int64(len(zeros)) {
		iov = append(iov, zeros[:min(int64(len(zeros)), to-at)])
	}
	s.ahead = to
	if s.f.writev(iov, s.end) != nil {
		d.calm = -1 << 20
		d.cutAhead(s)
	}
}

// cutAhead takes back what was written ahead; d.mu is held.
func (d *Segments) cutAhead(s *segment) {
	if s.ahead <= s.end {
		return
	}
	if s.f.truncate(s.end) == nil {
		s.ahead = s.end
	}
}

// aheadBytes is what the zeros ahead take; d.mu is held.
func (d *Segments) aheadBytes() int64 {
	if s := d.active; s != nil {
		return max(0, s.ahead-s.end)
	}
	return 0
}

// punchAhead makes the zeros at the end of a file that a crash left behind a hole and returns
// the bytes that this gave back. Reading it gives the same as before.
func punchAhead(f file) int64 {
	size, err := f.size()
	if err != nil {
		return 0
	}
	from, err := zerosBefore(f, size, max(segmentHeader, size-aheadStep))
	if err != nil || size-from < pageSize {
		return 0
	}
	before, err := f.allocated()
	if err != nil || f.punch(from, size-from) != nil {
		return 0
	}
	after, err := f.allocated()
	if err != nil {
		return 0
	}
	return max(0, before-after)
}

// zerosBefore returns where the zeros begin that end at an offset of a file, but not before
// least. It reads backwards, more and more at a time: as a rule there are none.
func zerosBefore(f file, end, least int64) (int64, error) {
	window := windows.Get().(*[windowSize]byte)
	defer windows.Put(window)
	for n := int64(pageSize); end > least; n = min(4*n, windowSize) {
		p := window[:min(n, end-least)]
		if err := f.readv([][]byte{p}, end-int64(len(p))); err != nil {
			return 0, err
		}
		last := len(p)
		for last >= pageSize && bytes.Equal(p[last-pageSize:last], zeros[:pageSize]) {
			last -= pageSize
		}
		for last > 0 && p[last-1] == 0 {
			last--
		}
		if end -= int64(len(p) - last); last > 0 {
			break
		}
	}
	return end, nil
}
