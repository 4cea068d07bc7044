package cluster

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// A tx is one transaction of the catalog. Counts of stripes are summed up in delta and
// written once, at the end.
type tx struct {
	ctx   context.Context
	known *statements
	seq   uint64
	fresh map[uint64]*stripe
	delta map[uint64]delta
	dying bool // a stripe may have lost its last use

	touched touched // what no memo may hold after the commit

	bucketID map[string]bucketRow
	held     map[string]int64 // bytes by bucket that objects gained, for the ledger
	gained   map[string]Usage // what buckets gained, parts of uploads too

	// find, when set, gives a stripe that is not in the catalog yet (recovery).
	find func(id uint64) *stripe
}

type delta struct{ refs, live int64 }

func (t *tx) exec(q string, args ...any) error {
	stmt, err := t.known.get(t.ctx, q)
	if err == nil {
		_, err = stmt.ExecContext(t.ctx, args...)
	}
	return err
}

// begin, commit and rollback run to their end whatever becomes of the context: one that took
// effect and was told as cancelled would leave nobody knowing.

func (t *tx) begin() error {
	if err := t.ctx.Err(); err != nil {
		return err
	}
	return t.toTheEnd(`BEGIN IMMEDIATE`)
}

func (t *tx) commit() error {
	err := t.toTheEnd(`COMMIT`)
	if err != nil {
		t.rollback() // after some errors it was, and then there is none to roll back
	}
	return err
}

func (t *tx) rollback() {
	t.toTheEnd(`ROLLBACK`) //nolint:errcheck // what failed before tells why
}

func (t *tx) toTheEnd(q string) error {
	ctx := context.WithoutCancel(t.ctx)
	stmt, err := t.known.get(ctx, q)
	if err == nil {
		_, err = stmt.ExecContext(ctx)
	}
	return err
}

// rows runs a query of many rows.
func (t *tx) rows(q string, args ...any) (*sql.Rows, error) {
	stmt, err := t.known.get(t.ctx, q)
	if err != nil {
		return nil, err
	}
	return stmt.QueryContext(t.ctx, args...)
}

// row runs a query of one row.
func (t *tx) row(q string, args []any, into ...any) error { return t.scan(q, args...)(into...) }

// scan runs a query of one row, which is scanned by what it returns.
func (t *tx) scan(q string, args ...any) func(into ...any) error {
	stmt, err := t.known.get(t.ctx, q)
	if err != nil {
		return func(...any) error { return err }
	}
	return stmt.QueryRowContext(t.ctx, args...).Scan
}

func (t *tx) setMeta(k string, v []byte) error {
	return t.exec(`INSERT INTO meta (k, v) VALUES (?, ?) ON CONFLICT (k) DO UPDATE SET v = excluded.v`, k, v)
}

// addStripe adds a stripe; its counts follow from the records that refer to it.
func (t *tx) addStripe(s *stripe) { t.fresh[s.ID] = s }

// apply makes the change that r asks for, as the i-th record of batch t.seq. An error that
// is about the request (a precondition, something not found) leaves the transaction sound
// and changes nothing; fatal is true for any other.
func (t *tx) apply(r record, i int) (o Object, fatal bool, err error) {
	if r.Key != "" {
		t.touched.object(r.Bucket, r.Key)
	}
	switch r.Kind {
	case recMakeBucket:
		err = t.makeBucket(r)
	case recRemoveBucket:
		err = t.removeBucket(r)
	case recPut:
		o, err = t.put(r, int64(t.seq)<<20|int64(i))
	case recDelete:
		o, err = t.remove(r, int64(t.seq)<<20|int64(i))
	case recCopy:
		o, err = t.copy(r, int64(t.seq)<<20|int64(i))
	case recSetting:
		err = t.set(r)
	case recAttributes:
		err = t.setAttributes(r)
	case recUpload, recPart, recComplete, recAbort:
		o, err = t.multipart(r, int64(t.seq)<<20|int64(i))
	case recFence:
	case recCheckpoint:
		err = t.checkpoint(r)
	case recMoved:
		err = t.moveExtent(r)
	default:
		return o, true, fmt.Errorf("record of kind %d", r.Kind)
	}
	var q requestError
	return o, err != nil && !errors.As(err, &q), err
}

// A requestError is an outcome of a request that concerns nobody else in its batch.
type requestError struct{ error }

func (e requestError) Unwrap() error { return e.error }

func refuse(what string, err error) error { return requestError{fmt.Errorf("%s: %w", what, err)} }

// A bucketRow is what changes need to know of a bucket.
type bucketRow struct {
	id         int64
	versioning int
}

func (t *tx) bucket(name string) (bucketRow, error) {
	if b, ok := t.bucketID[name]; ok {
		return b, nil
	}
	var b bucketRow
	err := t.row(`SELECT id, versioning FROM buckets WHERE name = ?`, []any{name}, &b.id, &b.versioning)
	if errors.Is(err, sql.ErrNoRows) {
		return b, refuse(name, ErrBucketNotFound)
	}
	if err == nil {
		if t.bucketID == nil {
			t.bucketID = map[string]bucketRow{}
		}
		t.bucketID[name] = b
	}
	return b, err
}

func (t *tx) makeBucket(r record) error {
	switch _, err := t.bucket(r.Bucket); {
	case err == nil:
		return refuse(r.Bucket, ErrExists)
	case !errors.Is(err, ErrBucketNotFound):
		return err
	}
	if err := t.exec(`INSERT INTO buckets (name, created) VALUES (?, ?)`, r.Bucket, r.Time); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(r.Meta)) {
		if err := t.set(record{Bucket: r.Bucket, Name: name, Value: r.Meta[name]}); err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) removeBucket(r record) error {
	b, err := t.bucket(r.Bucket)
	if err != nil {
		return err
	}
	var n int
	if err := t.row(`SELECT count(*) FROM (SELECT 1 FROM objects WHERE bucket = ? LIMIT 1)`, []any{b.id}, &n); err != nil {
		return err
	}
	if n > 0 {
		return refuse(r.Bucket, ErrBucketNotEmpty)
	}
	if err := t.dropUploads(b.id); err != nil {
		return err
	}
	delete(t.bucketID, r.Bucket)
	return errors.Join(t.exec(`DELETE FROM settings WHERE bucket = ?`, b.id), t.exec(`DELETE FROM buckets WHERE id = ?`, b.id))
}

// A current is a row of a key: the one that an unversioned change replaces, or a version.
type current struct {
	seq       int64
	layout    []byte
	shared    sql.NullInt64
	etag      sql.NullString
	marker    bool
	versioned bool
	latest    bool
}

// current returns the latest row of a key, or nil.
func (t *tx) current(bucket int64, key string) (*current, error) {
	return t.rowOf(`latest = 1`, bucket, key)
}

func (t *tx) rowOf(where string, args ...any) (*current, error) {
	var c current
	err := t.row(`SELECT seq, layout, shared, etag, marker, versioned, latest FROM objects WHERE bucket = ? AND key = ? AND `+where,
		args, &c.seq, &c.layout, &c.shared, &c.etag, &c.marker, &c.versioned, &c.latest)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return &c, err
}

// precondition decides r's conditions against the row that stands.
func (r record) precondition(c *current) error {
	if !r.IfAbsent && r.IfSequence == 0 && r.IfMatch == "" {
		return nil
	}
	name := r.Bucket + "/" + r.Key
	if c != nil && c.marker {
		c = nil
	}
	switch {
	case r.IfMatch != "" && c == nil:
		return refuse(name, ErrObjectNotFound)
	case r.IfMatch != "" && r.IfMatch != "*" && r.IfMatch != c.etag.String:
		return refuse(name, fmt.Errorf("%w: its ETag is %q, not %q", ErrPrecondition, c.etag.String, r.IfMatch))
	case r.IfAbsent && c != nil:
		return refuse(name, fmt.Errorf("%w: %w", ErrPrecondition, ErrExists))
	case r.IfSequence != 0 && c == nil:
		return refuse(name, fmt.Errorf("%w: no object", ErrPrecondition))
	case r.IfSequence != 0 && c.seq != r.IfSequence:
		return refuse(name, fmt.Errorf("%w: it is version %d, not %d", ErrPrecondition, c.seq, r.IfSequence))
	}
	return nil
}

func (t *tx) put(r record, seq int64) (Object, error) {
	bucket, err := t.bucket(r.Bucket)
	if err != nil {
		return Object{}, err
	}
	c, err := t.current(bucket.id, r.Key)
	if err != nil {
		return Object{}, err
	}
	if err := r.precondition(c); err != nil {
		return Object{}, err
	}
	if err := t.use(r.Layout, 1); err != nil {
		return Object{}, err
	}
	return t.add(bucket, r, seq, c, body{layout: appendLayout(nil, r.Layout)})
}

// A body says where the bytes of a new row are, and of which parts they were made.
type body struct {
	layout []byte
	shared any
	parts  []byte
}

// add makes a row for r the latest of its key, in place of c.
func (t *tx) add(b bucketRow, r record, seq int64, c *current, at body) (Object, error) {
	if err := t.replace(b, r.Key, c); err != nil {
		return Object{}, err
	}
	o := Object{Bucket: r.Bucket, Key: r.Key, Size: r.Size, Modified: time.Unix(0, r.Time).UTC(), ContentType: r.ContentType,
		Meta: r.Meta, Sequence: seq, Attributes: r.Attributes, Versioned: b.versioning == versioningOn, Latest: true}
	var meta []byte
	if len(r.Meta) > 0 {
		meta = appendMeta(nil, r.Meta)
	}
	etag, extra := r.Attributes.row()
	t.hold(b.id, r.Size)
	t.gain(b.id, r.Size, 1)
	return o, t.exec(`INSERT INTO objects (bucket, key, seq, size, modified, content_type, meta, etag, extra, layout, shared, parts, versioned)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, b.id, r.Key, seq, r.Size, r.Time, r.ContentType, meta, etag, extra, at.layout, at.shared, at.parts, o.Versioned)
}

// hold notes that the objects of a bucket got larger by n bytes.
func (t *tx) hold(bucket, n int64) {
	for name, b := range t.bucketID {
		if b.id == bucket {
			if t.held == nil {
				t.held = map[string]int64{}
			}
			t.held[name] += n
		}
	}
}

// drop removes the row c of a key, if there is one, and its use of stripes.
func (t *tx) drop(bucket int64, key string, c *current) error {
	if c == nil {
		return nil
	}
	var size int64
	if err := t.row(`DELETE FROM objects WHERE bucket = ? AND key = ? AND seq = ? RETURNING size`, []any{bucket, key, c.seq}, &size); err != nil {
		return err
	}
	t.hold(bucket, -size)
	if c.marker {
		return nil
	}
	t.gain(bucket, -size, -1)
	if c.shared.Valid {
		var refs int64
		if err := t.row(`UPDATE shared SET refs = refs - 1 WHERE id = ? RETURNING refs, layout`,
			[]any{c.shared.Int64}, &refs, &c.layout); err != nil {
			return err
		}
		if refs > 0 {
			return nil
		}
		if err := t.exec(`DELETE FROM shared WHERE id = ?`, c.shared.Int64); err != nil {
			return err
		}
	}
	d := &decoder{p: c.layout}
	layout := d.layout()
	if d.err != nil {
		return d.err
	}
	return t.use(layout, -1)
}

// copy makes the destination share the source's extents.
func (t *tx) copy(r record, seq int64) (Object, error) {
	from, err := t.bucket(r.From)
	if err != nil {
		return Object{}, err
	}
	to, err := t.bucket(r.Bucket)
	if err != nil {
		return Object{}, err
	}
	src, err := t.rowOf(`seq = ? AND marker = 0`, from.id, r.FromKey, r.FromSequence)
	if err != nil {
		return Object{}, err
	}
	if src == nil {
		return Object{}, refuse(r.From+"/"+r.FromKey, fmt.Errorf("%w: it changed during the copy", ErrObjectNotFound))
	}
	old, err := t.current(to.id, r.Key)
	if err != nil {
		return Object{}, err
	}
	if err := r.precondition(old); err != nil {
		return Object{}, err
	}
	var parts []byte
	source, err := scanObject(r.From, t.scan(`SELECT `+objectColumns+`, o.parts FROM objects o
		WHERE o.bucket = ? AND o.key = ? AND o.seq = ?`, from.id, r.FromKey, src.seq), &parts)
	if err != nil {
		return Object{}, err
	}
	if err := t.share(from.id, r.FromKey, src); err != nil {
		return Object{}, err
	}
	r.Size = source.Size
	if !r.Replace {
		r.ContentType, r.Meta, r.Attributes = source.ContentType, source.Meta, source.Attributes
		r.Attributes.Retention, r.Attributes.LegalHold, r.Attributes.Released, r.Attributes.ACL = Retention{}, false, false, ""
	}
	if old != nil && from == to && r.FromKey == r.Key && old.seq == src.seq {
		old = src // the same row: its share was just made, and is dropped below
	}
	return t.add(to, r, seq, old, body{shared: src.shared.Int64, parts: parts})
}

// share adds one reference to the extents of c, moving them out of its row first.
func (t *tx) share(bucket int64, key string, c *current) error {
	if c.shared.Valid {
		return t.exec(`UPDATE shared SET refs = refs + 1 WHERE id = ?`, c.shared.Int64)
	}
	if err := t.row(`INSERT INTO shared (refs, layout) VALUES (2, ?) RETURNING id`, []any{c.layout}, &c.shared.Int64); err != nil {
		return err
	}
	c.shared.Valid, c.layout = true, nil
	return t.exec(`UPDATE objects SET layout = NULL, shared = ? WHERE bucket = ? AND key = ? AND seq = ?`, c.shared.Int64, bucket, key, c.seq)
}

// use adds sign references for every extent of a layout to its stripes.
func (t *tx) use(layout []extent, sign int64) error {
	for _, e := range layout {
		k := 1
		if e.Count > 0 {
			s, err := t.stripe(e.Stripe)
			if errors.Is(err, sql.ErrNoRows) && sign < 0 {
				continue // freed long ago, and recovery did not find it
			}
			if err != nil {
				return err
			}
			k = len(s.Columns)
		}
		e.stripes(k, func(id uint64, n int64) {
			d := t.delta[id]
			t.delta[id] = delta{d.refs + sign, d.live + sign*e.room(n, k)}
			t.dying = t.dying || sign < 0
			if t.find != nil && t.fresh[id] == nil {
				if s := t.find(id); s != nil {
					t.fresh[id] = s
				}
			}
		})
	}
	return nil
}

// stripe returns a stripe as this transaction sees it.
func (t *tx) stripe(id uint64) (*stripe, error) {
	if s := t.fresh[id]; s != nil {
		return s, nil
	}
	s := &stripe{ID: id}
	var info []byte
	err := t.row(`SELECT seq, journal, refs, live, info FROM stripes WHERE id = ?`, []any{int64(id)},
		&s.Seq, &s.Journal, &s.Refs, &s.Live, &info)
	if errors.Is(err, sql.ErrNoRows) && t.find != nil {
		if s := t.find(id); s != nil {
			return s, nil
		}
	}
	if err != nil {
		return nil, fmt.Errorf("stripe %x: %w", id, err)
	}
	return s, s.decodeInfo(info)
}

// flush writes new stripes and the summed counts of all.
func (t *tx) flush() error {
	for id, s := range t.fresh {
		d := t.delta[id]
		delete(t.delta, id)
		s.Refs, s.Live = s.Refs+d.refs, s.Live+d.live
		if err := t.insertStripe(s); err != nil {
			return err
		}
	}
	for id, d := range t.delta {
		if err := t.exec(`UPDATE stripes SET refs = refs + ?, live = live + ?,
			dead_since = CASE WHEN refs + ? = 0 THEN ? END WHERE id = ?`, d.refs, d.live, d.refs, int64(t.seq), int64(id)); err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) insertStripe(s *stripe) error {
	var dead any
	if s.Refs == 0 {
		dead = int64(t.seq)
	}
	empty := s.longest() == 0 // only a journal: there is nothing to free
	t.dying = t.dying || s.Refs == 0 && !empty
	return t.exec(`INSERT INTO stripes (id, refs, live, seq, journal, missing, dead_since, freed, info) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (id) DO UPDATE SET refs = refs + excluded.refs, live = live + excluded.live`,
		int64(s.ID), s.Refs, s.Live, int64(s.Seq), s.Journal, s.missing(), dead, empty, s.appendInfo(nil))
}

// move sets the place of one shard where it still is at old, and tells whether it was.
func (t *tx) move(id uint64, shard int, old, to place) (bool, error) {
	s, err := t.stripe(id)
	if err != nil {
		return false, err
	}
	if s.Places[shard] != old {
		return false, nil
	}
	s.Places[shard] = to
	t.touched.stripe(id)
	if err := t.exec(`UPDATE stripes SET info = ?, missing = ? WHERE id = ?`, s.appendInfo(nil), s.missing(), int64(id)); err != nil {
		return false, err
	}
	return true, t.exec(`DELETE FROM damage WHERE stripe = ? AND shard = ?`, int64(id), shard)
}

// relocate is move for a shard whose stripe has neither gone nor been freed since it was
// copied.
func (t *tx) relocate(m move) (bool, error) {
	var freed bool
	err := t.row(`SELECT freed FROM stripes WHERE id = ?`, []any{int64(m.stripe)}, &freed)
	if errors.Is(err, sql.ErrNoRows) || err == nil && freed != m.freed {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	st, err := t.stripe(m.stripe)
	if err != nil {
		return false, err
	}
	for i, p := range st.Places { // another mover may have put another shard there meanwhile
		if i != m.shard && p.Disk == m.new.Disk && (!freed || st.carries(i)) { // those without a journal went with the data
			return false, nil
		}
	}
	return t.move(m.stripe, m.shard, m.old, m.new)
}

// relocateAll is relocate for many, and tells which of them lost. One may go where another of them
// comes from, in any order.
func (t *tx) relocateAll(moves []move) (lost []bool, err error) {
	lost = make([]bool, len(moves))
	left := make([]int, len(moves))
	for i := range moves {
		left[i] = i
	}
	for won := true; won; {
		won = false
		var again []int
		for _, i := range left {
			ok, err := t.relocate(moves[i])
			if err != nil {
				return nil, err
			}
			if lost[i] = !ok; !ok {
				again = append(again, i)
			}
			won = won || ok
		}
		left = again
		won = won && len(left) > 0
	}
	return lost, nil
}

// freeStripes marks the data of stripes as gone, and forgets those without a journal that is
// to be kept. What is known to be bad beside a journal stays known: that may be bad too.
func (t *tx) freeStripes(list []*stripe, keep func(*stripe) bool) error {
	for _, s := range list {
		t.touched.stripe(s.ID)
		q, first := `DELETE FROM stripes WHERE id = ?`, -1
		columns := len(s.Places)
		if keep(s) {
			q, first, columns = `UPDATE stripes SET freed = 1 WHERE id = ?`, s.first(), len(s.Columns)
		}
		if err := t.exec(q, int64(s.ID)); err != nil {
			return err
		}
		if err := t.exec(`DELETE FROM damage WHERE stripe = ? AND shard < ? AND shard <> ?`, int64(s.ID), columns, first); err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) addDamage(id uint64, shard int) error {
	return t.exec(`INSERT INTO damage (stripe, shard) SELECT id, ? FROM stripes WHERE id = ? ON CONFLICT DO NOTHING`, shard, int64(id))
}

func (t *tx) clearDamage(id uint64, shard int) error {
	return t.exec(`DELETE FROM damage WHERE stripe = ? AND shard = ?`, int64(id), shard)
}

// checkpoint makes r's the newest checkpoint, in place of the one before.
func (t *tx) checkpoint(r record) error {
	var blob []byte
	err := t.row(`SELECT v FROM meta WHERE k = 'checkpoint'`, nil, &blob)
	if err == nil {
		var old checkpointed
		if old, err = decodeCheckpointed(blob); err == nil {
			if old.Batch > uint64(r.FromSequence) {
				return refuse("checkpoint", fmt.Errorf("%w: there is a newer one", ErrPrecondition))
			}
			err = t.use(old.Layout, -1)
		}
	}
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	p := checkpointed{uint64(r.FromSequence), r.Size, r.Layout}
	return errors.Join(t.use(r.Layout, 1), t.setMeta("checkpoint", p.encode()))
}

// moveExtent replaces an extent of a version by another that holds the same bytes, unless the
// version is gone or has it no more.
func (t *tx) moveExtent(r record) error {
	b, err := t.bucket(r.Bucket)
	if err != nil {
		return err
	}
	c, err := t.rowOf(`seq = ? AND marker = 0`, b.id, r.Key, r.FromSequence)
	if err != nil {
		return err
	}
	if c == nil {
		return refuse(r.Bucket+"/"+r.Key, ErrObjectNotFound)
	}
	if c.shared.Valid {
		if err := t.row(`SELECT layout FROM shared WHERE id = ?`, []any{c.shared.Int64}, &c.layout); err != nil {
			return err
		}
	}
	d := &decoder{p: c.layout}
	layout := d.layout()
	if d.err != nil {
		return d.err
	}
	i := slices.Index(layout, r.Old)
	if i < 0 {
		return refuse(r.Bucket+"/"+r.Key, fmt.Errorf("%w: the extent is not where it was", ErrPrecondition))
	}
	layout[i] = r.Layout[0]
	if err := errors.Join(t.use(r.Layout, 1), t.use([]extent{r.Old}, -1)); err != nil {
		return err
	}
	if c.shared.Valid {
		t.touched.all = true // other keys share it
		return t.exec(`UPDATE shared SET layout = ? WHERE id = ?`, appendLayout(nil, layout), c.shared.Int64)
	}
	return t.exec(`UPDATE objects SET layout = ? WHERE bucket = ? AND key = ? AND seq = ?`, appendLayout(nil, layout), b.id, r.Key, c.seq)
}

// load adds a row of a checkpoint. Extents in it count for their stripes, of which uses is
// told first.
func (t *tx) load(table string, columns []string, values []any, uses func([]extent)) error {
	if !slices.Contains(logicalTables(), table) {
		return fmt.Errorf("checkpoint: table %q: %w", table, ErrNewer)
	}
	t.touched.all = true
	q, marks := "INSERT INTO "+table+" (", ""
	for i, name := range columns {
		if strings.Trim(name, "abcdefghijklmnopqrstuvwxyz_") != "" || name == "" {
			return fmt.Errorf("checkpoint: column %q of table %s: %w", name, table, errMalformed)
		}
		if i > 0 {
			q, marks = q+", ", marks+", "
		}
		q, marks = q+name, marks+"?"
		if p, ok := values[i].([]byte); ok && name == "layout" {
			d := &decoder{p: p}
			layout := d.layout()
			if d.err != nil {
				return d.err
			}
			uses(layout)
			if err := t.use(layout, 1); err != nil {
				return err
			}
		}
	}
	return t.exec(q+") VALUES ("+marks+")", values...)
}
