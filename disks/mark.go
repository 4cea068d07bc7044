package disks

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"

	"github.com/cespare/xxhash/v2"
)

// A Mark says what was committed when it was made.
type Mark struct {
	Incarnation uint32 // of the writer
	Committed   uint64 // the newest batch
}

// A Marker is a disk that keeps a mark. It is a hint: it is not synced, so that it costs next
// to nothing, and a power cut may take it back to an older one or lose it.
type Marker interface {
	Mark(Mark) error
	// Marked returns the newest mark, the zero Mark when there is none.
	Marked() Mark
}

// MarkOf returns the mark of a disk that keeps one.
func MarkOf(d Disk) Mark {
	if m, ok := d.(Marker); ok {
		return m.Marked()
	}
	return Mark{}
}

// The file of a mark: "WATTLEMK", incarnation and four zeros, newest batch, XXH64 of these.
const (
	markFile  = "mark"
	markMagic = "WATTLEMK"
	markSize  = 32
)

// Mark replaces the mark.
func (d *Segments) Mark(m Mark) error {
	if d.o.ReadOnly {
		return ErrReadOnly
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return fs.ErrClosed
	}
	if d.mark == nil {
		f, err := d.fs.open(markFile, forWriting)
		if errors.Is(err, fs.ErrNotExist) {
			f, err = d.fs.open(markFile, forCreating)
		}
		if err != nil {
			return fmt.Errorf("mark: %w", err)
		}
		d.mark = f
	}
	p := binary.LittleEndian.AppendUint64([]byte(markMagic), uint64(m.Incarnation))
	p = binary.LittleEndian.AppendUint64(p, m.Committed)
	return d.mark.writev([][]byte{binary.LittleEndian.AppendUint64(p, xxhash.Sum64(p))}, 0)
}

// Marked reads the mark.
func (d *Segments) Marked() Mark {
	p, err := d.readFile(markFile)
	if err != nil || len(p) != markSize || string(p[:8]) != markMagic || xxhash.Sum64(p[:24]) != binary.LittleEndian.Uint64(p[24:]) {
		return Mark{}
	}
	return Mark{binary.LittleEndian.Uint32(p[8:]), binary.LittleEndian.Uint64(p[16:])}
}
