package energy

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// A Note is what a process that only reads asked of the drives. It cannot write the ledger,
// so it leaves the note to the next that does. A note may also say that drives went out of
// service, or came back.
type Note struct {
	From time.Time      `json:"from"`
	To   time.Time      `json:"to"`
	Work []NotedWork    `json:"work,omitempty"`
	CPU  []NotedCPU     `json:"cpu,omitempty"`
	Off  map[int32]bool `json:"off,omitempty"` // drives that are off, or not any more, from From on
}

// NotedWork is what one drive did for one bucket, or for nobody in particular.
type NotedWork struct {
	Drive  int32  `json:"drive"`
	Why    Cause  `json:"for"`
	Bucket string `json:"bucket,omitempty"`
	Work
}

// NotedCPU is processor time for coding for one bucket.
type NotedCPU struct {
	Bucket string        `json:"bucket,omitempty"`
	Time   time.Duration `json:"ns"`
}

// Add notes work.
func (n *Note) Add(drive int32, why Cause, bucket string, w Work) {
	i := slices.IndexFunc(n.Work, func(x NotedWork) bool { return x.Drive == drive && x.Why == why && x.Bucket == bucket })
	if i < 0 {
		n.Work = append(n.Work, NotedWork{drive, why, bucket, w})
		return
	}
	n.Work[i].Work = n.Work[i].Work.Plus(w)
}

// AddCPU notes processor time.
func (n *Note) AddCPU(bucket string, t time.Duration) {
	i := slices.IndexFunc(n.CPU, func(x NotedCPU) bool { return x.Bucket == bucket })
	if i < 0 {
		n.CPU = append(n.CPU, NotedCPU{bucket, t})
		return
	}
	n.CPU[i].Time += t
}

// IsEmpty tells whether a note says nothing that a ledger would not know without it.
func (n *Note) IsEmpty() bool { return len(n.Work) == 0 && len(n.CPU) == 0 && len(n.Off) == 0 }

// DecodeNote reads a note as JSON.
func DecodeNote(p []byte) (Note, error) {
	var n Note
	if err := json.Unmarshal(p, &n); err != nil {
		return n, fmt.Errorf("%w: note: %w", ErrLedger, err)
	}
	if n.To.Before(n.From) {
		return n, fmt.Errorf("%w: note from %s to %s", ErrLedger, n.From, n.To)
	}
	const most = 1 << 50 // far more than any process does, small enough that sums hold
	for _, w := range n.Work {
		for _, v := range []int64{w.Reads, w.Writes, w.Syncs, w.ReadSeeks, w.WriteSeeks, w.BytesRead, w.BytesWritten} {
			if v < 0 || v > most {
				return n, fmt.Errorf("%w: note: drive %d: %d is no number of I/Os or bytes", ErrLedger, w.Drive, v)
			}
		}
	}
	for _, c := range n.CPU {
		if c.Time < 0 {
			return n, fmt.Errorf("%w: note: %s of processor time", ErrLedger, c.Time)
		}
	}
	return n, nil
}

// Absorb takes notes into the ledger, in order of their time. One that a wrong clock dated
// after now is of now.
func (l *Ledger) Absorb(notes []Note, now time.Time) {
	for i := range notes {
		for _, t := range []*time.Time{&notes[i].From, &notes[i].To} {
			if t.After(now) {
				*t = now
			}
		}
	}
	slices.SortStableFunc(notes, func(a, b Note) int { return cmp.Compare(a.From.UnixNano(), b.From.UnixNano()) })
	for _, n := range notes {
		l.Resume(n.From)
		for id, off := range n.Off {
			if d := l.Drives[id]; d != nil {
				p := d.Place
				p.Off = off
				l.Set(n.From, id, p)
			}
		}
		for _, w := range n.Work {
			if l.Drives[w.Drive] != nil {
				l.Work(n.From, w.Drive, w.Why, w.Work, sharesOf(w.Bucket))
			}
		}
		for _, c := range n.CPU {
			l.Coded(c.Time, sharesOf(c.Bucket))
		}
		l.Settle(n.To)
	}
}

func sharesOf(bucket string) []Share {
	if bucket == "" {
		return nil
	}
	return []Share{{Bucket: bucket, Weight: 1}}
}
