package cluster

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"
	"modernc.org/sqlite" // the driver "sqlite"
)

// schemaVersion is the version of the catalog's tables.
const schemaVersion = 2

// schema holds objects by (bucket, key, seq), which is their version: latest marks the one
// that a read without a version sees, marker one that stands for a delete, and versioned
// those that got a version id of their own, of which the others have none (null). An object's extents are in layout, or, once copied, in
// shared. A stripe's row lives until no extent refers to it (refs) and, when a journal
// rides in it, beyond: freed then tells that its data is gone.
var schema = []string{
	`CREATE TABLE meta (k TEXT PRIMARY KEY, v BLOB NOT NULL) WITHOUT ROWID`,
	`CREATE TABLE buckets (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, created INTEGER NOT NULL,
		versioning INTEGER NOT NULL DEFAULT 0)`,
	`CREATE TABLE objects (bucket INTEGER NOT NULL, key TEXT NOT NULL, seq INTEGER NOT NULL,
		latest INTEGER NOT NULL DEFAULT 1, marker INTEGER NOT NULL DEFAULT 0, size INTEGER NOT NULL,
		modified INTEGER NOT NULL, content_type TEXT NOT NULL, meta BLOB, etag TEXT, layout BLOB, shared INTEGER,
		PRIMARY KEY (bucket, key, seq)) WITHOUT ROWID`,
	`CREATE TABLE shared (id INTEGER PRIMARY KEY, refs INTEGER NOT NULL, layout BLOB NOT NULL)`,
	`CREATE TABLE stripes (id INTEGER PRIMARY KEY, refs INTEGER NOT NULL, live INTEGER NOT NULL, seq INTEGER NOT NULL,
		journal INTEGER NOT NULL, missing INTEGER NOT NULL, dead_since INTEGER, freed INTEGER NOT NULL DEFAULT 0, info BLOB NOT NULL)`,
	`CREATE INDEX stripes_dead ON stripes (dead_since) WHERE refs = 0 AND freed = 0`,
	`CREATE INDEX stripes_missing ON stripes (id) WHERE missing > 0`,
	`CREATE TABLE damage (stripe INTEGER NOT NULL, shard INTEGER NOT NULL, PRIMARY KEY (stripe, shard)) WITHOUT ROWID`,
}

// schema2 adds attributes, versions, settings and multipart uploads to version 1.
var schema2 = []string{
	`ALTER TABLE objects ADD COLUMN versioned INTEGER NOT NULL DEFAULT 0`,
	`ALTER TABLE objects ADD COLUMN extra BLOB`,
	`ALTER TABLE objects ADD COLUMN parts BLOB`,
	`CREATE TABLE settings (bucket INTEGER NOT NULL, name TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY (bucket, name)) WITHOUT ROWID`,
	`CREATE TABLE uploads (id INTEGER PRIMARY KEY, bucket INTEGER NOT NULL, key TEXT NOT NULL, created INTEGER NOT NULL,
		content_type TEXT NOT NULL, meta BLOB, extra BLOB)`,
	`CREATE INDEX uploads_key ON uploads (bucket, key, id)`,
	`CREATE TABLE parts (upload INTEGER NOT NULL, number INTEGER NOT NULL, seq INTEGER NOT NULL, size INTEGER NOT NULL,
		modified INTEGER NOT NULL, etag TEXT, extra BLOB, layout BLOB NOT NULL, PRIMARY KEY (upload, number)) WITHOUT ROWID`,
}

// A catalog is the index of buckets, objects and stripes. All SQL of Wattle is in
// catalog.go and apply.go, and plain, since another database may serve it later.
type catalog struct {
	write *sql.DB // nil when opened for reading
	read  *sql.DB

	reading  sync.Mutex
	reads    map[string]*sql.Stmt // guarded by reading; the queries of read, parsed once on each connection
	writes   statements
	updating *semaphore.Weighted // one change at a time, held across I/O
	dying    atomic.Bool         // a stripe lost its last use since the dead were last looked for
	around   around
	memo     *memo // nil when opened for reading: another process may change what it holds

	watch func() error // of tests: asked before every commit, which it may fail
}

// around, when set, runs every change of a catalog: tests have changes wait, fail or crash.
type around func(change func() error) error

// statements are those that changes have used, parsed once, on the one connection that
// changes are made on: what runs on it while a transaction is open is part of that.
type statements struct {
	conn *sql.Conn
	by   map[string]*sql.Stmt
}

func (s *statements) get(ctx context.Context, q string) (*sql.Stmt, error) {
	if stmt := s.by[q]; stmt != nil {
		return stmt, nil
	}
	stmt, err := s.conn.PrepareContext(ctx, q)
	if err == nil {
		s.by[q] = stmt
	}
	return stmt, err
}

// dsn names a catalog with what its connections are set to. That its journal is a write-ahead
// log the file remembers: who only reads need not ask for it.
func dsn(path string, param string) string {
	v := url.Values{"_pragma": {"busy_timeout(10000)", "synchronous(FULL)", "cache_size(-16384)", param}}
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + v.Encode()
}

// createCatalog makes an empty catalog at path.
func createCatalog(path string) (*catalog, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("catalog: %w", err)
	}
	f.Close()
	c, err := dialCatalog(path, forWriting)
	if err != nil {
		return nil, err
	}
	err = c.update(context.Background(), func(t *tx) error { return t.define(slices.Concat(schema, schema2)) })
	if err != nil {
		c.close()
		return nil, fmt.Errorf("catalog %s: %w", path, err)
	}
	return c, nil
}

// define makes tables, and the schema the newest.
func (t *tx) define(statements []string) error {
	for _, s := range statements {
		if _, err := t.known.conn.ExecContext(t.ctx, s); err != nil {
			return err
		}
	}
	return t.setMeta("schema", []byte{schemaVersion})
}

// openCatalog opens the catalog at path.
func openCatalog(path string, how access) (*catalog, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("catalog: %w", err)
	}
	c, err := dialCatalog(path, how)
	if err != nil {
		return nil, err
	}
	v, err := c.meta("schema")
	switch {
	case err != nil:
		err = fmt.Errorf("catalog %s is unreadable (%w): `wattle recover` makes it anew from the disks", path, err)
	case len(v) != 1 || v[0] > schemaVersion:
		err = fmt.Errorf("catalog %s has schema %v: %w", path, v, ErrNewer)
	case v[0] < schemaVersion && how != forWriting:
		err = fmt.Errorf("catalog %s is of an older version of wattle: let any command that writes open it once", path)
	case v[0] < schemaVersion:
		err = c.update(context.Background(), func(t *tx) error { return t.define(schema2) })
	}
	if err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// access is how a catalog is opened.
type access int

const (
	forReading access = iota // beside a writer
	forWriting
	frozen // on a read-only file system
)

// commitByData makes SQLite sync with fdatasync, as the builds of Linux distributions do, where
// the system has it: a commit then waits for the data and the size of the write-ahead log, not
// for the time of its last change.
var commitByData = sync.OnceFunc(func() {
	_, _ = sqlite.Fdatasync(true) // elsewhere it syncs as before
})

func dialCatalog(path string, how access) (*catalog, error) {
	c := &catalog{updating: semaphore.NewWeighted(1), reads: map[string]*sql.Stmt{}}
	source := dsn(path, "query_only(1)")
	if how == frozen {
		if _, err := os.Stat(path + "-wal"); err == nil {
			return nil, fmt.Errorf("catalog: %s-wal holds changes that must be folded in first: make the file system writable, and run `wattle status`", path)
		}
		source = "file:" + (&url.URL{Path: path}).EscapedPath() + "?immutable=1&_pragma=query_only(1)"
	}
	var err error
	if c.read, err = sql.Open("sqlite", source); err != nil {
		return nil, fmt.Errorf("catalog: %w", err)
	}
	c.read.SetMaxOpenConns(8)
	c.read.SetMaxIdleConns(8)
	if how == forWriting {
		commitByData()
		if c.write, err = sql.Open("sqlite", dsn(path, "journal_mode(WAL)")); err != nil {
			c.read.Close()
			return nil, fmt.Errorf("catalog: %w", err)
		}
		conn, err := c.write.Conn(context.Background())
		if err != nil {
			return nil, errors.Join(fmt.Errorf("catalog: %w", err), c.close())
		}
		c.writes = statements{conn, map[string]*sql.Stmt{}}
		c.memo = &memo{}
		c.dying.Store(true)
	}
	return c, nil
}

// query runs a query beside changes. Its text is of a small set: each is parsed once.
func (c *catalog) query(ctx context.Context, q string, args ...any) (*sql.Rows, error) {
	stmt, err := c.reader(ctx, q)
	if err != nil {
		return nil, err
	}
	return stmt.QueryContext(ctx, args...)
}

// queryRow is query for at most one row.
func (c *catalog) queryRow(ctx context.Context, q string, args ...any) *sql.Row {
	stmt, err := c.reader(ctx, q)
	if err != nil {
		return c.read.QueryRowContext(ctx, q, args...) // fails in the same way, and says so in the row
	}
	return stmt.QueryRowContext(ctx, args...)
}

func (c *catalog) reader(ctx context.Context, q string) (*sql.Stmt, error) {
	c.reading.Lock()
	defer c.reading.Unlock()
	if stmt := c.reads[q]; stmt != nil {
		return stmt, nil
	}
	stmt, err := c.read.PrepareContext(ctx, q)
	if err == nil {
		c.reads[q] = stmt
	}
	return stmt, err
}

func (c *catalog) close() error {
	var err error
	if c.writes.conn != nil { // statements first: only then the database is closed and its log folded in
		for _, stmt := range c.writes.by {
			err = errors.Join(err, stmt.Close())
		}
		err = errors.Join(err, c.writes.conn.Close())
	}
	c.reading.Lock()
	defer c.reading.Unlock()
	for _, stmt := range c.reads {
		err = errors.Join(err, stmt.Close())
	}
	if c.write != nil {
		err = errors.Join(err, c.write.Close())
	}
	return errors.Join(err, c.read.Close())
}

func (c *catalog) meta(k string) ([]byte, error) {
	var v []byte
	err := c.queryRow(context.Background(), `SELECT v FROM meta WHERE k = ?`, k).Scan(&v)
	return v, err
}

const objectColumns = `o.key, o.seq, o.size, o.modified, o.content_type, o.meta, o.etag, o.extra, o.versioned, o.marker, o.latest`

// scanObject reads objectColumns, then whatever else the query selects.
func scanObject(bucket string, scan func(...any) error, more ...any) (Object, error) {
	o := Object{Bucket: bucket}
	var modified int64
	var meta, extra []byte
	var etag sql.NullString
	if err := scan(append([]any{&o.Key, into(&o.Sequence), into(&o.Size), into(&modified), &o.ContentType, &meta, &etag, &extra, &o.Versioned, &o.Marker, &o.Latest}, more...)...); err != nil {
		return o, err
	}
	o.Modified = time.Unix(0, modified).UTC()
	d := &decoder{p: meta}
	if len(meta) > 0 {
		o.Meta = d.meta()
	}
	if d.err == nil {
		d = &decoder{p: extra}
		o.Attributes = d.attributesOf()
	}
	o.ETag = etag.String
	return o, d.err
}

// lookup returns an object and where its bytes are.
func (c *catalog) lookup(ctx context.Context, bucket, key string) (Object, []extent, error) {
	var blob []byte
	o, err := scanObject(bucket, c.queryRow(ctx, `SELECT `+objectColumns+`, coalesce(o.layout, s.layout) FROM objects o
		JOIN buckets b ON b.id = o.bucket LEFT JOIN shared s ON s.id = o.shared
		WHERE b.name = ? AND o.key = ? AND o.latest = 1`, bucket, key).Scan, &blob)
	if errors.Is(err, sql.ErrNoRows) {
		if _, err := c.bucket(ctx, bucket); err != nil {
			return o, nil, err
		}
		return o, nil, fmt.Errorf("%s/%s: %w", bucket, key, ErrObjectNotFound)
	}
	if err != nil {
		return o, nil, fmt.Errorf("catalog: %s/%s: %w", bucket, key, err)
	}
	if o.Marker {
		return o, nil, fmt.Errorf("%s/%s: %w", bucket, key, ErrObjectNotFound)
	}
	d := &decoder{p: blob}
	layout := d.layout()
	if d.err != nil {
		return o, nil, fmt.Errorf("catalog: %s/%s: layout: %w", bucket, key, d.err)
	}
	return o, layout, nil
}

// stripeByID returns a stripe.
func (c *catalog) stripeByID(ctx context.Context, id uint64) (*stripe, error) {
	s := &stripe{ID: id}
	var info []byte
	err := c.queryRow(ctx, `SELECT seq, journal, refs, live, info FROM stripes WHERE id = ?`, int64(id)).
		Scan(into(&s.Seq), into(&s.Journal), into(&s.Refs), into(&s.Live), &info)
	if err != nil {
		return nil, fmt.Errorf("catalog: stripe %x: %w", id, err)
	}
	return s, s.decodeInfo(info)
}

// latest is lookup, from memory when it is there.
func (c *catalog) latest(ctx context.Context, bucket, key string) (Object, []extent, error) {
	if c.memo == nil {
		return c.lookup(ctx, bucket, key)
	}
	name := objectName{bucket, key}
	f, ok, turn := c.memo.object(name)
	if ok {
		return f.object, f.layout, nil
	}
	o, layout, err := c.lookup(ctx, bucket, key)
	if err == nil {
		c.memo.rememberObject(name, whereabouts{o, layout}, turn)
	}
	return o, layout, err
}

// stripeToRead is stripeByID for who only reads, from memory when it is there. Its counts may
// be old.
func (c *catalog) stripeToRead(ctx context.Context, id uint64) (*stripe, error) {
	if c.memo == nil {
		return c.stripeByID(ctx, id)
	}
	s, turn := c.memo.stripe(id)
	if s != nil {
		return s, nil
	}
	s, err := c.stripeByID(ctx, id)
	if err == nil {
		c.memo.rememberStripe(s, turn)
	}
	return s, err
}

// bucket returns the number of a bucket.
func (c *catalog) bucket(ctx context.Context, name string) (int64, error) {
	var id int64
	err := c.queryRow(ctx, `SELECT id FROM buckets WHERE name = ?`, name).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, fmt.Errorf("%s: %w", name, ErrBucketNotFound)
	}
	return id, err
}

func (c *catalog) buckets(ctx context.Context) ([]Bucket, error) {
	rows, err := c.query(ctx, `SELECT b.name, b.created, coalesce(sum(o.latest), 0), coalesce(sum(o.size), 0) FROM buckets b
		LEFT JOIN objects o ON o.bucket = b.id AND o.marker = 0 GROUP BY b.id ORDER BY b.name`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []Bucket
	for rows.Next() {
		var b Bucket
		var created int64
		if err := rows.Scan(&b.Name, &created, &b.Objects, &b.Bytes); err != nil {
			return nil, err
		}
		b.Created = time.Unix(0, created).UTC()
		list = append(list, b)
	}
	return list, rows.Err()
}

// objects calls yield for objects of a bucket with keys in [from, to), to when not empty,
// in byte order; exclusive leaves out from itself. It ends early when yield returns false.
func (c *catalog) objects(ctx context.Context, bucket string, from string, exclusive bool, to string, limit int, yield func(Object) bool) error {
	id, err := c.bucket(ctx, bucket)
	if err != nil {
		return err
	}
	op := ">="
	if exclusive {
		op = ">"
	}
	q := `SELECT ` + objectColumns + ` FROM objects o WHERE o.bucket = ? AND o.key ` + op + ` ? AND o.latest = 1 AND o.marker = 0`
	args := []any{id, from}
	if to != "" {
		q += ` AND o.key < ?`
		args = append(args, to)
	}
	q += ` ORDER BY o.key LIMIT ?`
	rows, err := c.query(ctx, q, append(args, limit)...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		o, err := scanObject(bucket, rows.Scan)
		if err != nil {
			return err
		}
		if !yield(o) {
			return nil
		}
	}
	return rows.Err()
}

// integer scans a whole number without the detour over text that database/sql takes for types
// that are not the driver's own.
type integer[T int64 | uint64 | uint32] struct{ to *T }

func into[T int64 | uint64 | uint32](to *T) integer[T] { return integer[T]{to} }

// Scan takes what the driver has for an INTEGER.
func (w integer[T]) Scan(v any) error {
	n, ok := v.(int64)
	if *w.to = T(n); !ok || int64(T(n)) != n {
		return fmt.Errorf("%v, and it should be a whole number of %T", v, *w.to)
	}
	return nil
}

// stripes calls yield for each stripe with data or journal on disk, in order of id.
func (c *catalog) stripes(ctx context.Context, yield func(s *stripe, freed bool) error) error {
	rows, err := c.query(ctx, `SELECT id, seq, journal, refs, live, freed, info FROM stripes ORDER BY id`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		s, freed, err := scanStripe(rows)
		if err != nil {
			return err
		}
		if err := yield(s, freed); err != nil {
			return err
		}
	}
	return rows.Err()
}

// dead returns stripes that no object has used since before the given batch.
func (c *catalog) dead(ctx context.Context, before uint64, limit int) ([]*stripe, error) {
	return c.few(ctx, `SELECT id, seq, journal, info FROM stripes
		WHERE refs = 0 AND freed = 0 AND dead_since < ? ORDER BY dead_since LIMIT ?`, int64(before), limit)
}

// few returns the stripes of a query.
func (c *catalog) few(ctx context.Context, q string, args ...any) ([]*stripe, error) {
	rows, err := c.query(ctx, q, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []*stripe
	for rows.Next() {
		s := &stripe{}
		var info []byte
		if err := rows.Scan(into(&s.ID), into(&s.Seq), into(&s.Journal), &info); err != nil {
			return nil, err
		}
		if err := s.decodeInfo(info); err != nil {
			return nil, err
		}
		list = append(list, s)
	}
	return list, rows.Err()
}

// damage returns the shards that reads or checks found bad, by stripe.
func (c *catalog) damage(ctx context.Context) (map[uint64][]int, error) {
	rows, err := c.query(ctx, `SELECT stripe, shard FROM damage ORDER BY stripe, shard`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	bad := map[uint64][]int{}
	for rows.Next() {
		var id uint64
		var shard int
		if err := rows.Scan(&id, &shard); err != nil {
			return nil, err
		}
		bad[id] = append(bad[id], shard)
	}
	return bad, rows.Err()
}

// totals returns the numbers of buckets and objects and the sum of object sizes.
func (c *catalog) totals(ctx context.Context) (buckets, objects, bytes int64, err error) {
	err = c.queryRow(ctx, `SELECT (SELECT count(*) FROM buckets), coalesce(sum(latest), 0), coalesce(sum(size), 0)
		FROM objects WHERE marker = 0`).Scan(&buckets, &objects, &bytes)
	return buckets, objects, bytes, err
}

// keysOf returns the names of objects that lie in any of the stripes.
func (c *catalog) keysOf(ctx context.Context, k int, stripes map[uint64]bool) ([]string, error) {
	rows, err := c.query(ctx, `SELECT b.name, o.key, coalesce(o.layout, s.layout) FROM objects o
		JOIN buckets b ON b.id = o.bucket LEFT JOIN shared s ON s.id = o.shared WHERE o.marker = 0 ORDER BY b.name, o.key`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var keys []string
	for rows.Next() {
		var bucket, key string
		var blob []byte
		if err := rows.Scan(&bucket, &key, &blob); err != nil {
			return nil, err
		}
		d := &decoder{p: blob}
		hit := false
		for _, e := range d.layout() {
			e.stripes(k, func(id uint64, _ int64) { hit = hit || stripes[id] })
		}
		if hit {
			keys = append(keys, bucket+"/"+key)
		}
	}
	return keys, rows.Err()
}

// update runs f in a transaction that is committed, durably, when f returns nil.
func (c *catalog) update(ctx context.Context, f func(*tx) error) error {
	if c.write == nil {
		return ErrReadOnly
	}
	if c.around != nil {
		return c.around(func() error { return c.change(ctx, f) })
	}
	return c.change(ctx, f)
}

func (c *catalog) change(ctx context.Context, f func(*tx) error) error {
	if err := c.updating.Acquire(ctx, 1); err != nil {
		return err
	}
	defer c.updating.Release(1)
	t := &tx{ctx: ctx, known: &c.writes, fresh: map[uint64]*stripe{}, delta: map[uint64]delta{}}
	if err := t.begin(); err != nil {
		return fmt.Errorf("catalog: %w", catalogError(err))
	}
	if err := f(t); err != nil {
		t.rollback()
		return err
	}
	if err := t.flush(); err != nil {
		t.rollback()
		return fmt.Errorf("catalog: %w", catalogError(err))
	}
	err := ctx.Err()
	if err == nil && c.watch != nil {
		err = c.watch()
	}
	if err != nil {
		t.rollback()
		return err
	}
	c.memo.begin(&t.touched)
	defer c.memo.end()
	if err := t.commit(); err != nil {
		if err = catalogError(err); !errors.Is(err, ErrNoSpace) {
			err = fmt.Errorf("%w: %w", errUncertain, err)
		}
		return fmt.Errorf("catalog: %w", err)
	}
	if t.dying {
		c.dying.Store(true)
	}
	return nil
}

// errUncertain is a commit that failed in a way, such as a sync that failed, after which the
// change may be in the write-ahead log all the same: only the next opening tells.
var errUncertain = errors.New("nobody knows whether the change was committed; open the cluster again")

// catalogError tells a full file system from other errors of the driver.
func catalogError(err error) error {
	if strings.Contains(err.Error(), "database or disk is full") {
		return fmt.Errorf("%w: %w", ErrNoSpace, err)
	}
	return err
}

func (t *tx) setNumber(k string, n uint64) error {
	return t.setMeta(k, binary.LittleEndian.AppendUint64(nil, n))
}

// number reads a number of meta.
func (c *catalog) number(k string) (uint64, error) {
	v, err := c.meta(k)
	if err == nil && len(v) != 8 {
		err = errMalformed
	}
	if err != nil {
		return 0, fmt.Errorf("catalog: %s: %w", k, err)
	}
	return binary.LittleEndian.Uint64(v), nil
}

// standing returns a stripe and whether its data was freed, or nil for one that is not there.
func (c *catalog) standing(ctx context.Context, id uint64) (*stripe, bool, error) {
	s := &stripe{ID: id}
	var info []byte
	var freed bool
	err := c.queryRow(ctx, `SELECT seq, journal, refs, live, freed, info FROM stripes WHERE id = ?`, int64(id)).
		Scan(into(&s.Seq), into(&s.Journal), into(&s.Refs), into(&s.Live), &freed, &info)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("catalog: stripe %x: %w", id, err)
	}
	return s, freed, s.decodeInfo(info)
}

// A standing is a stripe that is there, and whether its data was freed.
type standing struct {
	*stripe
	freed bool
}

// standingOf is standing for many stripes. Those that are not there are left out.
func (c *catalog) standingOf(ctx context.Context, ids []uint64) (map[uint64]standing, error) {
	list := []byte{'['}
	for i, id := range ids {
		if i > 0 {
			list = append(list, ',')
		}
		list = strconv.AppendInt(list, int64(id), 10)
	}
	rows, err := c.query(ctx, `SELECT id, seq, journal, refs, live, freed, info FROM stripes
		WHERE id IN (SELECT value FROM json_each(?))`, string(append(list, ']')))
	if err != nil {
		return nil, fmt.Errorf("catalog: %d stripes: %w", len(ids), err)
	}
	defer rows.Close()
	found := make(map[uint64]standing, len(ids))
	for rows.Next() {
		s, freed, err := scanStripe(rows)
		if err != nil {
			return nil, err
		}
		found[s.ID] = standing{s, freed}
	}
	return found, rows.Err()
}

// scanStripe reads a row of id, seq, journal, refs, live, freed and info.
func scanStripe(rows *sql.Rows) (*stripe, bool, error) {
	s := &stripe{}
	var info sql.RawBytes
	var gone int64
	if err := rows.Scan(into(&s.ID), into(&s.Seq), into(&s.Journal), into(&s.Refs), into(&s.Live), into(&gone), &info); err != nil {
		return nil, false, err
	}
	return s, gone != 0, s.decodeInfo(info)
}

// unchecked lists the disks that were away when a writer opened the cluster, and were not
// read since they came back.
func (c *catalog) unchecked() ([]string, error) {
	v, err := c.meta("unchecked")
	if errors.Is(err, sql.ErrNoRows) || err == nil && len(v) == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("catalog: unchecked disks: %w", err)
	}
	return strings.Split(string(v), "\n"), nil
}

func (t *tx) setUnchecked(names []string) error {
	return t.setMeta("unchecked", []byte(strings.Join(names, "\n")))
}

// held returns the bytes of the objects of each bucket, all versions.
func (c *catalog) held(ctx context.Context) (map[string]int64, error) {
	rows, err := c.query(ctx, `SELECT b.name, sum(o.size) FROM objects o JOIN buckets b ON b.id = o.bucket GROUP BY b.id`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	held := map[string]int64{}
	for rows.Next() {
		var name string
		var n int64
		if err := rows.Scan(&name, &n); err != nil {
			return nil, err
		}
		held[name] = n
	}
	return held, rows.Err()
}

// dump writes a checkpoint of the catalog as it is now, beside changes. It tells began the
// newest batch that it holds before it writes anything.
func (c *catalog) dump(ctx context.Context, w io.Writer, began func(uint64)) error {
	conn, err := c.read.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, `BEGIN DEFERRED`); err != nil {
		return err
	}
	defer conn.ExecContext(context.WithoutCancel(ctx), `ROLLBACK`) //nolint:errcheck // it read only
	var blob []byte
	if err := conn.QueryRowContext(ctx, `SELECT v FROM meta WHERE k = 'sequence'`).Scan(&blob); err != nil {
		return err
	}
	if len(blob) != 8 {
		return fmt.Errorf("sequence: %w", errMalformed)
	}
	seq := binary.LittleEndian.Uint64(blob)
	began(seq)
	cw, err := newCheckpointWriter(w, seq)
	if err != nil {
		return err
	}
	for _, name := range logicalTables() {
		if err := dumpTable(ctx, conn, cw, name); err != nil {
			return fmt.Errorf("table %s: %w", name, err)
		}
	}
	return cw.end(w)
}

func dumpTable(ctx context.Context, conn *sql.Conn, cw *checkpointWriter, name string) error {
	rows, err := conn.QueryContext(ctx, `SELECT * FROM `+name)
	if err != nil {
		return err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err == nil {
		err = cw.table(name, columns)
	}
	if err != nil {
		return err
	}
	values, into := make([]any, len(columns)), make([]any, len(columns))
	for i := range values {
		into[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return err
		}
		if err := cw.row(values); err != nil {
			return err
		}
	}
	return errors.Join(rows.Err(), cw.endTable())
}

// carriers returns stripes in which the journals of batches after one ride, in their order.
func (c *catalog) carriers(ctx context.Context, after uint64, limit int) ([]*stripe, error) {
	return c.few(ctx, `SELECT id, seq, journal, info FROM stripes WHERE journal > 0 AND seq > ? ORDER BY seq LIMIT ?`, int64(after), limit)
}

// carried counts the batches after one.
func (c *catalog) carried(ctx context.Context, after uint64) (n int64, err error) {
	err = c.read.QueryRowContext(ctx, `SELECT count(*) FROM stripes WHERE journal > 0 AND seq > ?`, int64(after)).Scan(&n)
	return n, err
}

// spent returns stripes of which only a journal is left that a checkpoint of a batch holds.
func (c *catalog) spent(ctx context.Context, batch uint64, limit int) ([]*stripe, error) {
	return c.few(ctx, `SELECT id, seq, journal, info FROM stripes WHERE freed = 1 AND seq <= ? ORDER BY id LIMIT ?`, int64(batch), limit)
}

// layouts calls yield for the extents of every version, those that copies share once.
func (c *catalog) layouts(ctx context.Context, yield func(bucket, key string, seq int64, layout []extent) error) error {
	rows, err := c.query(ctx, `SELECT b.name, o.key, o.seq, o.shared, coalesce(o.layout, s.layout) FROM objects o
		JOIN buckets b ON b.id = o.bucket LEFT JOIN shared s ON s.id = o.shared WHERE o.marker = 0`)
	if err != nil {
		return err
	}
	defer rows.Close()
	seen := map[int64]bool{}
	for rows.Next() {
		var bucket, key string
		var seq int64
		var shared sql.NullInt64
		var blob []byte
		if err := rows.Scan(&bucket, &key, &seq, &shared, &blob); err != nil {
			return err
		}
		if shared.Valid && seen[shared.Int64] {
			continue
		}
		seen[shared.Int64] = shared.Valid
		d := &decoder{p: blob}
		layout := d.layout()
		if d.err != nil {
			return fmt.Errorf("catalog: %s/%s: layout: %w", bucket, key, d.err)
		}
		if err := yield(bucket, key, seq, layout); err != nil {
			return err
		}
	}
	return rows.Err()
}

// freedJournals counts the stripes of which only a journal is left.
func (c *catalog) freedJournals(ctx context.Context) (int64, error) {
	var n int64
	err := c.queryRow(ctx, `SELECT count(*) FROM stripes WHERE freed = 1`).Scan(&n)
	return n, err
}

// copyTo writes a copy of the catalog, as it is now, to a new file, beside changes.
func (c *catalog) copyTo(ctx context.Context, path string) error {
	conn, err := c.read.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, `PRAGMA query_only(0)`); err != nil { // it writes, though not to this one
		return err
	}
	_, err = conn.ExecContext(ctx, `VACUUM INTO ?`, path)
	_, e := conn.ExecContext(context.WithoutCancel(ctx), `PRAGMA query_only(1)`)
	return errors.Join(err, e)
}

// integrity returns what is wrong with the database file, if anything.
func (c *catalog) integrity(ctx context.Context) ([]string, error) {
	rows, err := c.read.QueryContext(ctx, `PRAGMA integrity_check(20)`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var bad []string
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			return nil, err
		}
		if line != "ok" {
			bad = append(bad, line)
		}
	}
	return bad, rows.Err()
}

// audit calls yield for every layout, with the name of what it is of and its size (-1 when
// the row says none), and bad for every row that contradicts another.
func (c *catalog) audit(ctx context.Context, yield func(what string, size int64, layout []byte), bad func(format string, a ...any)) error {
	for _, q := range []string{
		`SELECT coalesce(b.name, '(no bucket)') || '/' || o.key, o.size, coalesce(o.layout, x'00'), (b.id IS NULL) OR
			(o.layout IS NOT NULL AND o.shared IS NOT NULL) FROM objects o LEFT JOIN buckets b ON b.id = o.bucket WHERE o.marker = 0 AND o.shared IS NULL`,
		`SELECT 'shared layout ' || s.id, -1, s.layout, s.refs <> (SELECT count(*) FROM objects o WHERE o.shared = s.id) FROM shared s`,
		`SELECT 'part ' || p.number || ' of upload ' || p.upload, p.size, p.layout, NOT EXISTS (SELECT 1 FROM uploads u WHERE u.id = p.upload) FROM parts p`,
	} {
		if err := c.auditOf(ctx, q, yield, bad); err != nil {
			return err
		}
	}
	for _, q := range []struct{ query, what string }{
		{`SELECT b.name || '/' || o.key FROM objects o JOIN buckets b ON b.id = o.bucket GROUP BY o.bucket, o.key HAVING sum(o.latest) <> 1`, "the latest of its versions is not one"},
		{`SELECT b.name || '/' || o.key FROM objects o JOIN buckets b ON b.id = o.bucket LEFT JOIN shared s ON s.id = o.shared
			WHERE o.shared IS NOT NULL AND s.id IS NULL`, "the layout that it shares is not there"},
	} {
		rows, err := c.query(ctx, q.query)
		if err != nil {
			return err
		}
		for rows.Next() {
			var name string
			if err := rows.Scan(&name); err != nil {
				return errors.Join(err, rows.Close())
			}
			bad("%s: %s", name, q.what)
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			return err
		}
	}
	return nil
}

func (c *catalog) auditOf(ctx context.Context, q string, yield func(string, int64, []byte), bad func(string, ...any)) error {
	rows, err := c.query(ctx, q)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var what string
		var size int64
		var layout []byte
		var wrong bool
		if err := rows.Scan(&what, &size, &layout, &wrong); err != nil {
			return err
		}
		if wrong {
			bad("%s: what it refers to, or what refers to it, is not there", what)
		}
		yield(what, size, layout)
	}
	return rows.Err()
}

// times returns the newest time of a change that stands, and by how much the clock went back
// most between changes that followed one another.
func (c *catalog) times(ctx context.Context) (newest time.Time, backwards time.Duration, err error) {
	rows, err := c.query(ctx, `SELECT modified FROM objects ORDER BY seq`)
	if err != nil {
		return newest, 0, err
	}
	defer rows.Close()
	top := int64(0)
	for rows.Next() {
		var t int64
		if err := rows.Scan(&t); err != nil {
			return newest, 0, err
		}
		backwards = max(backwards, time.Duration(top-t))
		top = max(top, t)
	}
	return time.Unix(0, top).UTC(), backwards, rows.Err()
}
