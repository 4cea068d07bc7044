package cluster

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"
)

// An Upload is a multipart upload that is neither complete nor aborted. Its parts are
// durable when they are acknowledged; completing it only publishes them.
type Upload struct {
	Bucket      string
	Key         string
	ID          string
	Created     time.Time
	ContentType string
	Meta        map[string]string
	Attributes
}

// uploadID is the id of an upload, which is made by the record with this sequence.
func uploadID(seq int64) string { return fmt.Sprintf("%016x", uint64(seq)) }

func parseUpload(id string) (int64, error) {
	n, err := strconv.ParseUint(id, 16, 63)
	if err != nil || len(id) != 16 || n == 0 {
		return 0, fmt.Errorf("upload %q: %w", id, ErrUploadNotFound)
	}
	return int64(n), nil
}

// StartUpload begins a multipart upload of an object with the given content type, metadata
// and attributes.
func (c *Cluster) StartUpload(ctx context.Context, bucket, key string, o PutOptions) (Upload, error) {
	if err := errors.Join(checkBucket(bucket), checkKey(key)); err != nil {
		return Upload{}, err
	}
	rec := record{Kind: recUpload, Bucket: bucket, Key: key, Time: c.now(), ContentType: o.ContentType, Meta: o.Meta, Attributes: o.Attributes}
	got, err := c.submit(ctx, &request{rec: rec, user: o.User})
	return Upload{Bucket: bucket, Key: key, ID: uploadID(got.Sequence), Created: got.Modified, ContentType: o.ContentType, Meta: o.Meta, Attributes: o.Attributes}, err
}

// PutPart stores what r gives until EOF as part number of an upload, in place of what was
// there. Of o it takes Size, Attributes (ETag and Checksum) and Finish.
func (c *Cluster) PutPart(ctx context.Context, bucket, key, upload string, number int, r io.Reader, o PutOptions) (Part, error) {
	if number < 1 || number > maxParts {
		return Part{}, fmt.Errorf("part %d: want 1 to %d", number, maxParts)
	}
	if c.readOnly {
		return Part{}, ErrReadOnly
	}
	if _, err := c.Upload(ctx, bucket, key, upload); err != nil {
		return Part{}, err
	}
	id, err := parseUpload(upload)
	if err != nil {
		return Part{}, err
	}
	got, err := c.stream(ctx, record{Kind: recPart, Bucket: bucket, Key: key, Upload: id, Number: number, Attributes: o.Attributes}, r, o)
	return Part{Number: number, Size: got.Size, Modified: got.Modified, Sequence: got.Sequence, ETag: got.ETag, Checksum: got.Checksum}, err
}

// CompleteUpload makes the object of parts, which Parts returned, in their order; the rest
// is dropped. Of o it takes the conditions, ETag and Checksum.
func (c *Cluster) CompleteUpload(ctx context.Context, bucket, key, upload string, parts []Part, o PutOptions) (Object, error) {
	id, err := parseUpload(upload)
	if err != nil {
		return Object{}, err
	}
	rec := record{Kind: recComplete, Bucket: bucket, Key: key, Time: c.now(), Upload: id, Attributes: o.Attributes,
		IfAbsent: o.IfAbsent, IfSequence: o.IfSequence, IfMatch: o.IfMatch}
	for _, p := range parts {
		rec.Chosen = append(rec.Chosen, chosenPart{p.Number, p.Sequence})
	}
	return c.submit(ctx, &request{rec: rec, room: o.Room, user: o.User})
}

// AbortUpload drops an upload and its parts.
func (c *Cluster) AbortUpload(ctx context.Context, bucket, key, upload string) error {
	id, err := parseUpload(upload)
	if err != nil {
		return err
	}
	_, err = c.submit(ctx, &request{rec: record{Kind: recAbort, Bucket: bucket, Key: key, Time: c.now(), Upload: id}})
	return err
}

// AbortUploadsBefore drops the uploads that were begun before t, and returns them.
func (c *Cluster) AbortUploadsBefore(ctx context.Context, t time.Time) ([]Upload, error) {
	names, err := c.BucketNames(ctx)
	if err != nil {
		return nil, err
	}
	var old []Upload
	for _, name := range names {
		err := c.Uploads(ctx, name, "", "", "", func(u Upload) bool {
			if u.Created.Before(t) {
				old = append(old, u)
			}
			return true
		})
		if err != nil && !errors.Is(err, ErrBucketNotFound) {
			return nil, err
		}
	}
	for i, u := range old {
		if err := c.AbortUpload(ctx, u.Bucket, u.Key, u.ID); err != nil && !errors.Is(err, ErrUploadNotFound) && !errors.Is(err, ErrBucketNotFound) {
			return old[:i], err
		}
	}
	return old, nil
}

const uploadColumns = `u.id, u.key, u.created, u.content_type, u.meta, u.extra`

func scanUpload(bucket string, scan func(...any) error) (Upload, error) {
	u := Upload{Bucket: bucket}
	var id, created int64
	var meta, extra []byte
	if err := scan(&id, &u.Key, &created, &u.ContentType, &meta, &extra); err != nil {
		return u, err
	}
	u.ID, u.Created = uploadID(id), time.Unix(0, created).UTC()
	d := &decoder{p: meta}
	if len(meta) > 0 {
		u.Meta = d.meta()
	}
	if d.err == nil {
		d = &decoder{p: extra}
		u.Attributes = d.attributesOf()
	}
	return u, d.err
}

// Upload returns a multipart upload of a key.
func (c *Cluster) Upload(ctx context.Context, bucket, key, upload string) (Upload, error) {
	b, err := c.catalog.bucket(ctx, bucket)
	if err != nil {
		return Upload{}, err
	}
	id, err := parseUpload(upload)
	if err != nil {
		return Upload{}, err
	}
	u, err := scanUpload(bucket, c.catalog.queryRow(ctx, `SELECT `+uploadColumns+` FROM uploads u WHERE u.id = ? AND u.bucket = ? AND u.key = ?`, id, b, key).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		err = fmt.Errorf("%s/%s, upload %s: %w", bucket, key, upload, ErrUploadNotFound)
	}
	return u, err
}

// Uploads calls yield for the multipart uploads of keys that begin with prefix, by key and
// then the oldest first, after the given upload of the key after; with no upload, after all
// of that key. It ends early when yield returns false.
func (c *Cluster) Uploads(ctx context.Context, bucket, prefix, after, upload string, yield func(Upload) bool) error {
	b, err := c.catalog.bucket(ctx, bucket)
	if err != nil {
		return err
	}
	last := int64(1<<63 - 1)
	if upload != "" && after != "" {
		if last, err = parseUpload(upload); err != nil {
			return err
		}
	}
	q, args := `SELECT `+uploadColumns+` FROM uploads u WHERE u.bucket = ? AND u.key >= ? AND (u.key > ? OR u.key = ? AND u.id > ?)`, []any{b, prefix, after, after, last}
	if end := beyond(prefix); end != "" {
		q, args = q+` AND u.key < ?`, append(args, end)
	}
	rows, err := c.catalog.query(ctx, q+` ORDER BY u.key, u.id`, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		u, err := scanUpload(bucket, rows.Scan)
		if err != nil {
			return err
		}
		if !yield(u) {
			return nil
		}
	}
	return rows.Err()
}

// Parts returns up to limit parts of an upload with numbers after the given one, in order.
func (c *Cluster) Parts(ctx context.Context, bucket, key, upload string, after, limit int) ([]Part, error) {
	if _, err := c.Upload(ctx, bucket, key, upload); err != nil {
		return nil, err
	}
	id, err := parseUpload(upload)
	if err != nil {
		return nil, err
	}
	rows, err := c.catalog.query(ctx, `SELECT number, seq, size, modified, etag, extra FROM parts
		WHERE upload = ? AND number > ? ORDER BY number LIMIT ?`, id, after, limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var parts []Part
	for rows.Next() {
		var p Part
		var modified int64
		var etag sql.NullString
		var extra []byte
		if err := rows.Scan(&p.Number, &p.Sequence, &p.Size, &modified, &etag, &extra); err != nil {
			return nil, err
		}
		d := &decoder{p: extra}
		p.Modified, p.ETag, p.Checksum = time.Unix(0, modified).UTC(), etag.String, d.attributesOf().Checksum
		if d.err != nil {
			return nil, d.err
		}
		parts = append(parts, p)
	}
	return parts, rows.Err()
}

// ObjectParts returns the parts of which an object was made, none for one that was put
// whole.
func (c *Cluster) ObjectParts(ctx context.Context, o Object) ([]Part, error) {
	b, err := c.catalog.bucket(ctx, o.Bucket)
	if err != nil {
		return nil, err
	}
	var blob []byte
	err = c.catalog.queryRow(ctx, `SELECT parts FROM objects WHERE bucket = ? AND key = ? AND seq = ?`, b, o.Key, o.Sequence).Scan(&blob)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("%s/%s: %w", o.Bucket, o.Key, ErrObjectNotFound)
	}
	if err != nil || len(blob) == 0 {
		return nil, err
	}
	d := &decoder{p: blob}
	return d.parts(), d.err
}

// multipart applies the records of multipart uploads.
func (t *tx) multipart(r record, seq int64) (Object, error) {
	b, err := t.bucket(r.Bucket)
	if err != nil {
		return Object{}, err
	}
	if r.Kind == recUpload {
		return t.startUpload(b, r, seq)
	}
	var n int
	if err := t.row(`SELECT count(*) FROM uploads WHERE id = ? AND bucket = ? AND key = ?`, []any{r.Upload, b.id, r.Key}, &n); err != nil {
		return Object{}, err
	}
	if n == 0 {
		return Object{}, refuse(fmt.Sprintf("%s/%s, upload %s", r.Bucket, r.Key, uploadID(r.Upload)), ErrUploadNotFound)
	}
	switch r.Kind {
	case recPart:
		return t.putPart(b, r, seq)
	case recComplete:
		return t.complete(b, r, seq)
	}
	return Object{}, t.dropUpload(b.id, r.Upload)
}

func (t *tx) startUpload(b bucketRow, r record, seq int64) (Object, error) {
	var meta []byte
	if len(r.Meta) > 0 {
		meta = appendMeta(nil, r.Meta)
	}
	extra := r.Attributes.append(nil)
	return Object{Sequence: seq, Modified: time.Unix(0, r.Time).UTC()},
		t.exec(`INSERT INTO uploads (id, bucket, key, created, content_type, meta, extra) VALUES (?, ?, ?, ?, ?, ?, ?)`, seq, b.id, r.Key, r.Time, r.ContentType, meta, extra)
}

func (t *tx) putPart(b bucketRow, r record, seq int64) (Object, error) {
	if err := t.use(r.Layout, 1); err != nil {
		return Object{}, err
	}
	var old []byte
	var size int64
	err := t.row(`SELECT layout, size FROM parts WHERE upload = ? AND number = ?`, []any{r.Upload, r.Number}, &old, &size)
	t.gain(b.id, r.Size-size, 0)
	switch {
	case err == nil:
		if err := t.unuse(old); err != nil {
			return Object{}, err
		}
	case !errors.Is(err, sql.ErrNoRows):
		return Object{}, err
	}
	etag, extra := r.Attributes.row()
	return Object{Bucket: r.Bucket, Key: r.Key, Size: r.Size, Modified: time.Unix(0, r.Time).UTC(), Sequence: seq, Attributes: r.Attributes},
		t.exec(`INSERT INTO parts (upload, number, seq, size, modified, etag, extra, layout) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (upload, number) DO UPDATE SET seq = excluded.seq, size = excluded.size, modified = excluded.modified,
			etag = excluded.etag, extra = excluded.extra, layout = excluded.layout`,
			r.Upload, r.Number, seq, r.Size, r.Time, etag, extra, appendLayout(nil, r.Layout))
}

// unuse drops a layout's use of stripes.
func (t *tx) unuse(layout []byte) error {
	d := &decoder{p: layout}
	extents := d.layout()
	if d.err != nil {
		return d.err
	}
	return t.use(extents, -1)
}

// complete makes an object of the chosen parts: their extents pass to it as they are.
func (t *tx) complete(b bucketRow, r record, seq int64) (Object, error) {
	c, err := t.current(b.id, r.Key)
	if err != nil {
		return Object{}, err
	}
	if err := r.precondition(c); err != nil {
		return Object{}, err
	}
	var layout []extent
	var parts []Part
	for i, chosen := range r.Chosen {
		if i > 0 && chosen.Number <= r.Chosen[i-1].Number {
			return Object{}, refuse(fmt.Sprintf("%s/%s, part %d is out of order", r.Bucket, r.Key, chosen.Number), ErrPart)
		}
		p := Part{Number: chosen.Number}
		var blob, extra []byte
		err := t.row(`SELECT seq, size, extra, layout FROM parts WHERE upload = ? AND number = ?`, []any{r.Upload, chosen.Number}, &p.Sequence, &p.Size, &extra, &blob)
		if errors.Is(err, sql.ErrNoRows) || err == nil && p.Sequence != chosen.Sequence {
			return Object{}, refuse(fmt.Sprintf("%s/%s, part %d", r.Bucket, r.Key, chosen.Number), ErrPart)
		}
		if err != nil {
			return Object{}, err
		}
		d, a := &decoder{p: blob}, &decoder{p: extra}
		layout = append(layout, d.layout()...)
		p.Checksum = a.attributesOf().Checksum
		if err := errors.Join(d.err, a.err); err != nil {
			return Object{}, err
		}
		r.Size += p.Size
		parts = append(parts, p)
	}
	u, err := scanUpload(r.Bucket, t.scan(`SELECT `+uploadColumns+` FROM uploads u WHERE u.id = ?`, r.Upload))
	if err != nil {
		return Object{}, err
	}
	t.gain(b.id, -r.Size, 0)          // it is the object's from here on
	for _, chosen := range r.Chosen { // their use of stripes is the object's now
		if err := t.exec(`DELETE FROM parts WHERE upload = ? AND number = ?`, r.Upload, chosen.Number); err != nil {
			return Object{}, err
		}
	}
	if err := t.dropUpload(b.id, r.Upload); err != nil {
		return Object{}, err
	}
	r.ContentType, r.Meta = u.ContentType, u.Meta
	u.Attributes.ETag, u.Attributes.Checksum, u.Attributes.Upload = r.Attributes.ETag, r.Attributes.Checksum, r.Upload
	r.Attributes = u.Attributes
	return t.add(b, r, seq, c, body{layout: appendLayout(nil, layout), parts: appendParts(nil, parts)})
}

// dropUpload removes an upload and the parts that are left of it.
func (t *tx) dropUpload(bucket, id int64) error {
	rows, err := t.rows(`SELECT layout, size FROM parts WHERE upload = ?`, id)
	if err != nil {
		return err
	}
	var layouts [][]byte
	for rows.Next() {
		var blob []byte
		var size int64
		if err := rows.Scan(&blob, &size); err != nil {
			rows.Close()
			return err
		}
		layouts = append(layouts, blob)
		t.gain(bucket, -size, 0)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return err
	}
	for _, blob := range layouts {
		if err := t.unuse(blob); err != nil {
			return err
		}
	}
	return errors.Join(t.exec(`DELETE FROM parts WHERE upload = ?`, id), t.exec(`DELETE FROM uploads WHERE id = ?`, id))
}

// dropUploads removes all uploads of a bucket.
func (t *tx) dropUploads(bucket int64) error {
	rows, err := t.rows(`SELECT id FROM uploads WHERE bucket = ?`, bucket)
	if err != nil {
		return err
	}
	var ids []int64
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			rows.Close()
			return err
		}
		ids = append(ids, id)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return err
	}
	for _, id := range ids {
		if err := t.dropUpload(bucket, id); err != nil {
			return err
		}
	}
	return nil
}
