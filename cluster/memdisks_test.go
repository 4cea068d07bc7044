package cluster

import (
	"slices"
	"sync"

	"github.com/wattle-storage/wattle/disks"
)

// A power cuts all disks and the catalog off after a number of calls.
type power struct {
	mu   sync.Mutex
	left int // calls until it goes off; below 0: never
	off  bool
}

func (p *power) call(string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.left > 0 {
		p.left--
	}
	p.off = p.off || p.left == 0
	if p.off {
		return errPower
	}
	return nil
}

func (p *power) set(left int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.left, p.off = left, false
}

// memDisks opens disks in memory, each wrapped to fail on demand.
type memDisks struct {
	mu     sync.Mutex
	fs     map[int32]*disks.MemFS
	open   map[int32]*disks.Faulty
	faults map[int32]disks.Fault
	power  *power
}

func newMemDisks() *memDisks {
	return &memDisks{fs: map[int32]*disks.MemFS{}, open: map[int32]*disks.Faulty{}, faults: map[int32]disks.Fault{}, power: &power{left: -1}}
}

func (m *memDisks) Create(id disks.Identity) (disks.Disk, error) {
	m.mu.Lock()
	m.fs[id.Number] = disks.NewMemFS()
	f := m.fs[id.Number]
	m.mu.Unlock()
	return disks.CreateMem(f, id)
}

func (m *memDisks) Open(id disks.Identity, readOnly bool) (disks.Disk, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.faults[id.Number].Lost {
		return nil, disks.ErrLost
	}
	d, err := disks.OpenMem(m.fs[id.Number], disks.Options{ReadOnly: readOnly})
	if err != nil {
		return nil, err
	}
	f := disks.NewFaulty(d, m.power.call)
	f.Set(m.faults[id.Number])
	m.open[id.Number] = f
	return f, nil
}

func (m *memDisks) List() ([]disks.Identity, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []disks.Identity
	for n, f := range m.fs {
		if m.faults[n].Lost {
			continue
		}
		d, err := disks.OpenMem(f, disks.Options{ReadOnly: true})
		if err != nil {
			continue
		}
		list = append(list, d.Identity())
	}
	slices.SortFunc(list, func(a, b disks.Identity) int { return int(a.Number - b.Number) })
	return list, nil
}

func (m *memDisks) set(n int32, f disks.Fault) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.faults[n] = f
	if d := m.open[n]; d != nil {
		d.Set(f)
	}
}
