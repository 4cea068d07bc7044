package cluster

import (
	"maps"
	"sync"
)

// A memo remembers what gets looked up in the catalog: the latest version of a key with its
// layout, and stripes. It is kept by the process that writes the catalog, and nothing in it
// is ever older than the catalog: a change takes what it touches out before it is committed,
// and until it is committed or given up nothing that was read is taken in. What was read
// while a change went through might be of before it, and is not taken in either.
type memo struct {
	mu      sync.Mutex
	turn    uint64 // guarded by mu; odd while a change is being committed
	objects recent[objectName, whereabouts]
	stripes recent[uint64, *stripe]
}

type objectName struct{ bucket, key string }

// whereabouts is an object and where its bytes are.
type whereabouts struct {
	object Object
	layout []extent
}

// Limits of a memo: entries of each half of objects and of stripes, and the extents of an
// object, and the bytes of its metadata, that are worth remembering.
const (
	memoObjects = 16 << 10
	memoStripes = 4 << 10
	memoExtents = 8
	memoMeta    = 512
)

// touched is what a transaction changes of what a memo may hold.
type touched struct {
	objects []objectName
	stripes []uint64
	all     bool // more than is worth naming
}

// touchedMost is how many names are kept before all is forgotten instead.
const touchedMost = 4096

func (t *touched) object(bucket, key string) {
	if t.all = t.all || len(t.objects) == touchedMost; !t.all {
		t.objects = append(t.objects, objectName{bucket, key})
	}
}

func (t *touched) stripe(id uint64) {
	if t.all = t.all || len(t.stripes) == touchedMost; !t.all {
		t.stripes = append(t.stripes, id)
	}
}

// begin forgets what a change touches that is about to be committed.
func (m *memo) begin(t *touched) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.turn++
	if t.all {
		m.objects, m.stripes = recent[objectName, whereabouts]{}, recent[uint64, *stripe]{}
		return
	}
	for _, name := range t.objects {
		m.objects.forget(name)
	}
	for _, id := range t.stripes {
		m.stripes.forget(id)
	}
}

// end is called when the change is committed or given up.
func (m *memo) end() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.turn++
}

// object returns what is known of a key, or the turn to remember it with.
func (m *memo) object(name objectName) (f whereabouts, ok bool, turn uint64) {
	m.mu.Lock()
	f, ok = m.objects.get(name, memoObjects)
	turn = m.turn
	m.mu.Unlock()
	f.object.Meta, f.object.Tags, f.object.Headers = maps.Clone(f.object.Meta), maps.Clone(f.object.Tags), maps.Clone(f.object.Headers)
	return f, ok, turn
}

func (m *memo) rememberObject(name objectName, f whereabouts, turn uint64) {
	if len(f.layout) > memoExtents || metaBytes(f.object.Meta)+metaBytes(f.object.Tags)+metaBytes(f.object.Headers) > memoMeta {
		return
	}
	f.object.Meta, f.object.Tags, f.object.Headers = maps.Clone(f.object.Meta), maps.Clone(f.object.Tags), maps.Clone(f.object.Headers)
	m.mu.Lock()
	defer m.mu.Unlock()
	if turn == m.turn && turn%2 == 0 {
		m.objects.put(name, f, memoObjects)
	}
}

// stripe returns a stripe, which nobody may change, or nil and the turn to remember it with.
func (m *memo) stripe(id uint64) (*stripe, uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s, _ := m.stripes.get(id, memoStripes)
	return s, m.turn
}

func (m *memo) rememberStripe(s *stripe, turn uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if turn == m.turn && turn%2 == 0 {
		m.stripes.put(s.ID, s, memoStripes)
	}
}

// recent holds what was used last, in two halves: when the newer is full it becomes the older,
// and what was not asked for since is gone.
type recent[K comparable, V any] struct{ newer, older map[K]V }

func (r *recent[K, V]) get(k K, most int) (V, bool) {
	v, ok := r.newer[k]
	if ok {
		return v, true
	}
	if v, ok = r.older[k]; ok {
		delete(r.older, k)
		r.put(k, v, most)
	}
	return v, ok
}

func (r *recent[K, V]) put(k K, v V, most int) {
	if len(r.newer) >= most || r.newer == nil {
		r.newer, r.older = map[K]V{}, r.newer
	}
	r.newer[k] = v
}

func (r *recent[K, V]) forget(k K) {
	delete(r.newer, k)
	delete(r.older, k)
}
