package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// The bucket "history" has versions, tags and multipart uploads. Its keys change one change at
// a time, beside those of other keys, so that the model is a list of versions for each.

// A simVersion is one version of a key; b is nil for a delete marker.
type simVersion struct {
	b    *content
	null bool
	tags string
}

func (v simVersion) String() string {
	return fmt.Sprintf("{%v, null %v, tags %q}", v.b, v.null, v.tags)
}

// A chronicle is the versions of a key, the newest first.
type chronicle []simVersion

// without is h without its null version.
func (h chronicle) without() chronicle {
	return slices.DeleteFunc(slices.Clone(h), func(v simVersion) bool { return v.null })
}

// with is h after v was written in a bucket of the given versioning.
func (h chronicle) with(v simVersion, versioning string) chronicle {
	switch v.null = versioning != VersioningEnabled; versioning {
	case VersioningEnabled:
		return append(chronicle{v}, h...)
	case VersioningSuspended:
		return append(chronicle{v}, h.without()...)
	}
	if v.b == nil {
		return nil
	}
	return chronicle{v}
}

// A simKey is a key and the histories that it may have.
type simKey struct {
	key    string
	may    []chronicle
	ghosts []pastGhost
	busy   bool
}

// A pastGhost is a change that failed and that recovery may find whole.
type pastGhost struct {
	next func(chronicle) chronicle
	at   int
}

const simHistory = "history"

func (s *simulation) past() *simKey {
	p := s.pasts[s.rng.IntN(len(s.pasts))]
	if p.busy {
		s.settle()
	}
	return p
}

// ready tells whether a past may be looked at.
func (s *simulation) ready(p *simKey) bool { return s.err == nil && !s.powerIsOff() && !p.busy }

// narrow compares the versions of a key with what they may be, and returns them.
func (s *simulation) narrow(p *simKey) ([]Object, bool) {
	if !s.ready(p) {
		return nil, false
	}
	var list []Object
	if err := s.c.Versions(ctx, simHistory, p.key, "", "", func(o Object) bool { list = append(list, o); return true }); err != nil {
		s.fail("versions of %s: %v", p.key, err)
		return nil, false
	}
	is := func(o Object, v simVersion) bool {
		return o.Marker == (v.b == nil) && o.Versioned != v.null && o.Tags["t"] == v.tags &&
			(v.b == nil || o.Size == int64(len(v.b.p)) && o.Meta["m"] == v.b.meta)
	}
	for _, h := range p.may {
		if slices.EqualFunc(list, h, is) {
			for i, o := range list {
				if o.Latest != (i == 0) {
					s.fail("versions of %s: %d of %d is the latest: %v", p.key, i, len(list), o.Latest)
				}
			}
			p.may = []chronicle{h}
			return list, s.err == nil
		}
	}
	s.fail("versions of %s: %+v, which is none of %v", p.key, list, p.may)
	return nil, false
}

// write begins a change of a key. Errors of which clean is true leave all as it is.
func (s *simulation) write(p *simKey, name string, next func(chronicle) chronicle, run func() error, clean func(error) bool, also func(o *op, err error)) {
	p.busy = true
	var err error
	o := &op{name: name, run: func() { err = run() }}
	o.finish = func() {
		p.busy = false
		s.note("%s: %v", name, err)
		if also != nil {
			also(o, err)
		}
		if err != nil && clean != nil && clean(err) {
			return
		}
		out := s.ended(o, err)
		switch out {
		case acked:
			s.counts.Versions++
			for i := range p.may {
				p.may[i] = next(p.may[i])
			}
		case unknown:
			for _, h := range p.may {
				p.may = append(p.may, next(h))
			}
		}
		if out != acked { // though the catalog knows nothing of it, its journal may lie on a disk
			p.ghosts = append(p.ghosts, pastGhost{next, s.now()})
		}
		s.expected(o, name, err)
		s.writable(name, err)
	}
	s.begin(o)
}

// ended is changed for what has no cell.
func (s *simulation) ended(o *op, err error) outcome {
	out := s.outcome(err)
	if out == acked {
		s.layGhosts(o.began)
	} else {
		s.counts.Refused++
	}
	return out
}

func (s *simulation) versioning() string {
	set, err := s.c.Settings(ctx, simHistory)
	if err != nil {
		s.fail("settings: %v", err)
		return ""
	}
	return set.Values[SettingVersioning]
}

// fresh gives a body a name that no other has.
func (s *simulation) fresh() *content {
	b := s.object()
	s.names++
	b.meta = fmt.Sprint("v", s.names)
	return b
}

func (s *simulation) putVersion() {
	p := s.past()
	if _, ok := s.narrow(p); !ok {
		return
	}
	s.counts.Puts++
	mode, b := s.versioning(), s.fresh()
	s.write(p, "put version "+p.key, func(h chronicle) chronicle { return h.with(simVersion{b: b}, mode) }, func() error {
		_, err := s.c.Put(ctx, simHistory, p.key, bytes.NewReader(b.p), b.options())
		return err
	}, nil, nil)
	s.some()
}

// removeVersion deletes a key, as its bucket's versioning says, or one of its versions.
func (s *simulation) removeVersion() {
	p := s.past()
	list, ok := s.narrow(p)
	if !ok {
		return
	}
	mode, at := s.versioning(), s.rng.IntN(len(list)+2)
	if at >= len(list) {
		s.write(p, "delete "+p.key, func(h chronicle) chronicle { return h.with(simVersion{}, mode) }, func() error {
			_, err := s.c.DeleteVersion(ctx, simHistory, p.key, DeleteOptions{})
			return err
		}, func(err error) bool { return errors.Is(err, ErrObjectNotFound) && mode == "" && len(list) == 0 }, nil)
	} else {
		s.write(p, "delete version of "+p.key, func(h chronicle) chronicle {
			return slices.Delete(slices.Clone(h), min(at, len(h)), min(at+1, len(h)))
		}, func() error {
			_, err := s.c.DeleteVersion(ctx, simHistory, p.key, DeleteOptions{Version: list[at].VersionID()})
			return err
		}, nil, nil)
	}
	s.some()
}

func (s *simulation) tag() {
	p := s.past()
	list, ok := s.narrow(p)
	if !ok || len(list) == 0 {
		return
	}
	at := s.rng.IntN(len(list))
	s.names++
	name := fmt.Sprint("t", s.names)
	s.write(p, "tag "+p.key, func(h chronicle) chronicle {
		if h = slices.Clone(h); at < len(h) { // a change that failed is tried on what came of others
			h[at].tags = name
		}
		return h
	}, func() error {
		return s.c.SetTags(ctx, simHistory, p.key, list[at].VersionID(), map[string]string{"t": name})
	}, func(err error) bool { return errors.Is(err, ErrDeleteMarker) && list[at].Marker }, nil)
	s.some()
}

// copyVersion copies any version of a key to another key, or brings an old one back.
func (s *simulation) copyVersion() {
	from, to := s.past(), s.past()
	if !s.ready(from) {
		return
	}
	list, ok := s.narrow(from)
	if _, also := s.narrow(to); !ok || !also || len(list) == 0 {
		return
	}
	at, mode := s.rng.IntN(len(list)), s.versioning()
	src := from.may[0][at]
	s.write(to, "copy version of "+from.key+" to "+to.key, func(h chronicle) chronicle {
		return h.with(simVersion{b: src.b, tags: src.tags}, mode)
	}, func() error {
		_, err := s.c.Copy(ctx, simHistory, from.key, simHistory, to.key, PutOptions{Version: list[at].VersionID()})
		return err
	}, func(err error) bool { return errors.Is(err, ErrDeleteMarker) && src.b == nil }, nil)
	s.settle()
}

// readVersion reads one version of a key.
func (s *simulation) readVersion() {
	p := s.past()
	list, ok := s.narrow(p)
	if !ok || len(list) == 0 {
		return
	}
	s.readVersionAt(p, list, s.rng.IntN(len(list)))
}

func (s *simulation) readVersionAt(p *simKey, list []Object, at int) {
	want := p.may[0][at].b
	var got []byte
	var err error
	s.counts.Gets++
	s.call("get a version of "+p.key, func() {
		var r Reader
		if r, err = s.c.Get(ctx, simHistory, p.key, GetOptions{Version: list[at].VersionID()}); err != nil {
			return
		}
		var b *content
		if b, err = readAll(r); b != nil {
			got = b.p
		}
	})
	switch {
	case s.powerIsOff() || s.err != nil:
	case want == nil:
		if !errors.Is(err, ErrDeleteMarker) {
			s.fail("get a delete marker of %s: %v", p.key, err)
		}
	case err != nil:
		s.unreadable(p.key, err)
	case !bytes.Equal(got, want.p):
		s.fail("get version %d of %s: %d bytes that are not those of %v", at, p.key, len(got), want)
	}
}

// setting changes a setting of a bucket or of the cluster.
func (s *simulation) setting() {
	s.settle()
	if s.powerIsOff() || s.err != nil {
		return
	}
	kinds := []struct {
		bucket, name string
		values       []string
	}{
		{simHistory, SettingVersioning, []string{VersioningEnabled, VersioningEnabled, VersioningSuspended}},
		{simHistory, "policy", []string{"", "one", strings.Repeat("two", 300)}},
		{"", SettingTrash, []string{"", "", "20s"}},
	}
	k := kinds[s.rng.IntN(len(kinds))]
	c := s.set[k.bucket+"/"+k.name]
	if c == nil {
		c = &cell{values: []*content{nil}}
		s.set[k.bucket+"/"+k.name] = c
	}
	if !s.agree(k.bucket, k.name, c) {
		return
	}
	v := k.values[s.rng.IntN(len(k.values))]
	b, run := &content{meta: v}, func() error { return s.c.Set(ctx, k.bucket, k.name, v) }
	if v == "" {
		b, run = nil, func() error { return s.c.Unset(ctx, k.bucket, k.name) }
	}
	s.changeCell("set "+k.name+" to "+v[:min(len(v), 10)], c, b, run, nil)
	s.settle()
}

// agree compares a setting with the model.
func (s *simulation) agree(bucket, name string, c *cell) bool {
	set, err := s.c.Settings(ctx, bucket)
	if err != nil {
		s.fail("settings: %v", err)
		return false
	}
	var b *content
	if v, ok := set.Values[name]; ok {
		b = &content{meta: v}
	}
	if !c.found(c.look(), b) {
		s.fail("setting %s: %v, which is none of %v", name, b, c.values)
	}
	return s.err == nil
}

// A simUpload is a multipart upload.
type simUpload struct {
	p     *simKey
	id    string
	meta  string
	there *cell
	parts map[int]*cell
}

func (u *simUpload) part(n int) *cell {
	if u.parts[n] == nil {
		u.parts[n] = &cell{values: []*content{nil}}
	}
	return u.parts[n]
}

// upload begins an upload, or goes on with one.
func (s *simulation) upload() {
	if len(s.uploads) == 0 || len(s.uploads) < 3 && s.rng.IntN(6) == 0 {
		s.startUpload()
		return
	}
	u := s.uploads[s.rng.IntN(len(s.uploads))]
	switch s.rng.IntN(6) {
	case 0:
		s.completeUpload(u)
	case 1:
		if s.rng.IntN(2) == 0 {
			s.abortUpload(u)
		}
	default:
		s.putPart(u)
	}
}

func (s *simulation) startUpload() {
	p := s.pasts[s.rng.IntN(len(s.pasts))]
	s.names++
	u := &simUpload{p: p, meta: fmt.Sprint("v", s.names), there: &cell{values: []*content{{}}}, parts: map[int]*cell{}}
	var got Upload
	var err error
	s.call("start an upload of "+p.key, func() {
		got, err = s.c.StartUpload(ctx, simHistory, p.key, (&content{meta: u.meta}).options())
	})
	if s.err != nil || s.powerIsOff() || err != nil { // nobody has its id
		return
	}
	s.layGhosts(s.now())
	u.id = got.ID
	s.uploads = append(s.uploads, u)
}

func (s *simulation) putPart(u *simUpload) {
	n, b := 1+s.rng.IntN(4), s.fresh()
	s.counts.Parts++
	c := u.part(n)
	if c.writers > 0 || u.there.writers > 0 {
		s.settle()
	}
	if s.powerIsOff() || s.err != nil {
		return
	}
	s.changeCell(fmt.Sprintf("part %d of %s", n, u.p.key), c, b, func() error {
		_, err := s.c.PutPart(ctx, simHistory, u.p.key, u.id, n, bytes.NewReader(b.p), PutOptions{Attributes: Attributes{ETag: b.meta}})
		return err
	}, func(err error) bool { return errors.Is(err, ErrUploadNotFound) && u.there.may(absent) })
	s.some()
}

// partsOf compares the parts of an upload with the model; nil when it is gone.
func (s *simulation) partsOf(u *simUpload) []Part {
	list, err := s.c.Parts(context.Background(), simHistory, u.p.key, u.id, 0, 100)
	switch {
	case errors.Is(err, ErrUploadNotFound):
		if !u.there.found(u.there.look(), nil) {
			s.fail("upload of %s is gone: %v", u.p.key, err)
		}
		s.uploads = slices.DeleteFunc(s.uploads, func(v *simUpload) bool { return v == u })
		return nil
	case err != nil:
		s.fail("parts of %s: %v", u.p.key, err)
		return nil
	}
	if !u.there.may(present) {
		s.fail("upload of %s is there", u.p.key)
		return nil
	}
	at := map[int]Part{}
	for _, p := range list {
		at[p.Number] = p
		u.part(p.Number)
	}
	for _, n := range slices.Sorted(maps.Keys(u.parts)) {
		c := u.parts[n]
		i := slices.IndexFunc(c.values, func(b *content) bool {
			p, ok := at[n]
			return ok == (b != nil) && (b == nil || p.Size == int64(len(b.p)) && p.ETag == b.meta)
		})
		if i < 0 {
			s.fail("part %d of %s: %+v, which is none of %v", n, u.p.key, at[n], c.values)
			return nil
		}
		c.values = []*content{c.values[i]}
	}
	return list
}

func (s *simulation) completeUpload(u *simUpload) {
	s.settle()
	if _, ok := s.narrow(u.p); !ok {
		return
	}
	list := s.partsOf(u)
	list = slices.DeleteFunc(list, func(Part) bool { return s.rng.IntN(4) == 0 })
	if len(list) == 0 || s.err != nil {
		return
	}
	b := &content{meta: u.meta}
	for _, p := range list {
		b.p = append(b.p, u.parts[p.Number].values[0].p...)
	}
	mode := s.versioning()
	u.there.begin(nil)
	s.write(u.p, "complete the upload of "+u.p.key, func(h chronicle) chronicle { return h.with(simVersion{b: b}, mode) }, func() error {
		_, err := s.c.CompleteUpload(ctx, simHistory, u.p.key, u.id, list, PutOptions{})
		return err
	}, nil, func(o *op, err error) { s.changed(o, u.there, nil, err) })
	s.settle()
}

func (s *simulation) abortUpload(u *simUpload) {
	s.settle()
	if s.powerIsOff() || s.err != nil || s.partsOf(u) == nil {
		return
	}
	s.changeCell("abort the upload of "+u.p.key, u.there, nil, func() error {
		return s.c.AbortUpload(ctx, simHistory, u.p.key, u.id)
	}, nil)
	s.settle()
}

// checkHistory holds all of the bucket against the model.
func (s *simulation) checkHistory() {
	for _, name := range slices.Sorted(maps.Keys(s.set)) {
		bucket, setting, _ := strings.Cut(name, "/")
		if s.powerIsOff() || s.err != nil || !s.agree(bucket, setting, s.set[name]) {
			return
		}
	}
	for _, u := range slices.Clone(s.uploads) {
		if s.powerIsOff() || s.err != nil {
			return
		}
		s.partsOf(u)
	}
	for _, p := range s.pasts {
		list, ok := s.narrow(p)
		for i := range list {
			if ok && s.ready(p) {
				s.readVersionAt(p, list, i)
			}
		}
	}
}

// reviveHistory adds what recovery may have found of changes that failed.
func (s *simulation) reviveHistory() (revived bool) {
	for _, p := range s.pasts {
		for _, g := range p.ghosts {
			for _, h := range p.may {
				p.may = append(p.may, g.next(h))
			}
			revived = true
		}
		p.ghosts = nil
	}
	return revived
}
