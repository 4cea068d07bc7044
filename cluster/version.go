package cluster

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Versioning of a bucket, as the setting of that name says: off until it is first switched
// on, then on or suspended.
const (
	versioningOff = iota
	versioningOn
	versioningSuspended
)

// Values of the setting SettingVersioning.
const (
	VersioningEnabled   = "Enabled"
	VersioningSuspended = "Suspended"
)

// NullVersion is the version id of what was written while versioning was off or suspended.
const NullVersion = "null"

// nullVersion stands for NullVersion where a sequence is meant.
const nullVersion = -1

// VersionID is the id of the object's version, for those that ask for one.
func (o Object) VersionID() string {
	if !o.Versioned {
		return NullVersion
	}
	return fmt.Sprintf("%016x", uint64(o.Sequence))
}

// parseVersion is the reverse of VersionID, 0 for no version.
func parseVersion(s string) (int64, error) {
	switch s {
	case "":
		return 0, nil
	case NullVersion:
		return nullVersion, nil
	}
	n, err := strconv.ParseUint(s, 16, 63)
	if foreignVersion(s) {
		return 0, fmt.Errorf("version %s: %w", s, ErrVersionNotFound)
	}
	if err != nil || len(s) != 16 || n == 0 {
		return 0, &NameError{"version id", s, "it is not one that this store gives"}
	}
	return int64(n), nil
}

// foreignVersion tells whether a version id looks like those that other stores give, so that
// it names no version here, rather than nothing at all.
func foreignVersion(s string) bool {
	return len(s) >= 20 && len(s) <= 1024 && strings.Trim(s, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz.-") == ""
}

// find returns a version of an object and where its bytes are; the latest for "".
func (c *catalog) find(ctx context.Context, bucket, key, version string) (Object, []extent, error) {
	seq, err := parseVersion(version)
	if err != nil {
		return Object{}, nil, err
	}
	if seq == 0 {
		return c.latest(ctx, bucket, key)
	}
	id, err := c.bucket(ctx, bucket)
	if err != nil {
		return Object{}, nil, err
	}
	where, arg := versionClause(seq)
	var blob []byte
	o, err := scanObject(bucket, c.queryRow(ctx, `SELECT `+objectColumns+`, coalesce(o.layout, s.layout) FROM objects o
		LEFT JOIN shared s ON s.id = o.shared WHERE o.bucket = ? AND o.key = ? AND o.`+where, id, key, arg).Scan, &blob)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return o, nil, fmt.Errorf("%s/%s, version %s: %w", bucket, key, version, ErrVersionNotFound)
	case err != nil:
		return o, nil, fmt.Errorf("catalog: %s/%s, version %s: %w", bucket, key, version, err)
	case o.Marker:
		return o, nil, fmt.Errorf("%s/%s, version %s: %w", bucket, key, version, ErrDeleteMarker)
	}
	d := &decoder{p: blob}
	layout := d.layout()
	return o, layout, d.err
}

// versionClause selects a version by sequence, or the null version.
func versionClause(seq int64) (where string, arg int64) {
	if seq == nullVersion {
		return `versioned = ?`, 0
	}
	return `seq = ? AND versioned = 1`, seq
}

// replace makes room for a new latest row of a key: what stands there goes, or stays as an
// older version.
func (t *tx) replace(b bucketRow, key string, c *current) error {
	if b.versioning == versioningOff {
		return t.drop(b.id, key, c)
	}
	if b.versioning == versioningSuspended {
		old, err := t.rowOf(versionNull, b.id, key)
		if err != nil {
			return err
		}
		if old != nil {
			if c != nil && c.seq == old.seq {
				old = c // perhaps shared meanwhile
			}
			if err := t.drop(b.id, key, old); err != nil {
				return err
			}
			if old == c {
				return nil
			}
		}
	}
	if c == nil {
		return nil
	}
	return t.exec(`UPDATE objects SET latest = 0 WHERE bucket = ? AND key = ? AND seq = ?`, b.id, key, c.seq)
}

const versionNull = `versioned = 0`

// remove deletes an object: its one row, or, in a bucket with versions, by a delete marker;
// or the version that r names. It returns what it made or took away.
func (t *tx) remove(r record, seq int64) (Object, error) {
	b, err := t.bucket(r.Bucket)
	if err != nil {
		return Object{}, err
	}
	if r.Version != 0 {
		return t.removeVersion(b, r)
	}
	c, err := t.current(b.id, r.Key)
	if err != nil {
		return Object{}, err
	}
	if err := r.precondition(c); err != nil {
		return Object{}, err
	}
	if b.versioning == versioningOff {
		if c == nil {
			return Object{}, refuse(r.Bucket+"/"+r.Key, ErrObjectNotFound)
		}
		return Object{Bucket: r.Bucket, Key: r.Key, Sequence: c.seq}, t.drop(b.id, r.Key, c)
	}
	if err := t.replace(b, r.Key, c); err != nil {
		return Object{}, err
	}
	o := Object{Bucket: r.Bucket, Key: r.Key, Sequence: seq, Versioned: b.versioning == versioningOn, Marker: true, Latest: true}
	return o, t.exec(`INSERT INTO objects (bucket, key, seq, marker, size, modified, content_type, versioned) VALUES (?, ?, ?, 1, 0, ?, '', ?)`,
		b.id, r.Key, seq, r.Time, o.Versioned)
}

func (t *tx) removeVersion(b bucketRow, r record) (Object, error) {
	where, arg := versionClause(r.Version)
	c, err := t.rowOf(where, b.id, r.Key, arg)
	if err != nil {
		return Object{}, err
	}
	if c == nil {
		return Object{}, refuse(r.Bucket+"/"+r.Key, ErrVersionNotFound)
	}
	if err := r.precondition(c); err != nil {
		return Object{}, err
	}
	if err := t.drop(b.id, r.Key, c); err != nil {
		return Object{}, err
	}
	o := Object{Bucket: r.Bucket, Key: r.Key, Sequence: c.seq, Versioned: c.versioned, Marker: c.marker}
	if !c.latest {
		return o, nil
	}
	return o, t.exec(`UPDATE objects SET latest = 1 WHERE bucket = ? AND key = ? AND seq =
		(SELECT max(seq) FROM objects WHERE bucket = ? AND key = ?)`, b.id, r.Key, b.id, r.Key)
}

// setAttributes sets some attributes of a version that stands.
func (t *tx) setAttributes(r record) error {
	b, err := t.bucket(r.Bucket)
	if err != nil {
		return err
	}
	where, args := `latest = 1`, []any{b.id, r.Key}
	if r.Version != 0 {
		var arg int64
		where, arg = versionClause(r.Version)
		args = append(args, arg)
	}
	c, err := t.rowOf(where, args...)
	switch {
	case err != nil:
		return err
	case c == nil && r.Version != 0:
		return refuse(r.Bucket+"/"+r.Key, ErrVersionNotFound)
	case c == nil:
		return refuse(r.Bucket+"/"+r.Key, ErrObjectNotFound)
	case c.marker:
		return refuse(r.Bucket+"/"+r.Key, ErrDeleteMarker)
	}
	var extra []byte
	if err := t.row(`SELECT extra FROM objects WHERE bucket = ? AND key = ? AND seq = ?`, []any{b.id, r.Key, c.seq}, &extra); err != nil {
		return err
	}
	d := &decoder{p: extra}
	a := d.attributesOf()
	if d.err != nil {
		return d.err
	}
	if r.Fields&setTags != 0 {
		a.Tags = r.Attributes.Tags
	}
	if r.Fields&setRetention != 0 {
		a.Retention = r.Attributes.Retention
	}
	if r.Fields&setLegalHold != 0 {
		a.LegalHold, a.Released = r.Attributes.LegalHold, r.Attributes.Released
	}
	if r.Fields&setACL != 0 {
		a.ACL = r.Attributes.ACL
	}
	_, value := a.row()
	return t.exec(`UPDATE objects SET extra = ? WHERE bucket = ? AND key = ? AND seq = ?`, value, b.id, r.Key, c.seq)
}

// DeleteOptions say what Delete deletes and on which conditions.
type DeleteOptions struct {
	Version    string // empty: the object, leaving a delete marker in a bucket with versions
	IfMatch    string // if not empty, fail unless the key has this ETag; * is any
	IfSequence int64  // if not 0, fail unless the key has this sequence
	User       string // asks for it, as with PutOptions
}

// DeleteVersion removes a version for good, or an object as its bucket's versioning says.
// It returns the version that it removed, or the delete marker that it made. An object that
// is not there is ErrObjectNotFound only where versioning was never on.
func (c *Cluster) DeleteVersion(ctx context.Context, bucket, key string, o DeleteOptions) (Object, error) {
	if err := checkKey(key); err != nil {
		return Object{}, err
	}
	seq, err := parseVersion(o.Version)
	if err != nil {
		return Object{}, err
	}
	if err := c.expect(ctx, bucket); err != nil {
		return Object{}, err
	}
	return c.submit(ctx, &request{user: o.User, rec: record{Kind: recDelete, Bucket: bucket, Key: key, Time: c.now(), Version: seq,
		IfMatch: o.IfMatch, IfSequence: o.IfSequence}})
}

// SetTags replaces the tags of a version of an object, the latest for "".
func (c *Cluster) SetTags(ctx context.Context, bucket, key, version string, tags map[string]string) error {
	return c.setAttributes(ctx, bucket, key, version, setTags, Attributes{Tags: tags})
}

// SetRetention replaces the retention of a version of an object.
func (c *Cluster) SetRetention(ctx context.Context, bucket, key, version string, r Retention) error {
	return c.setAttributes(ctx, bucket, key, version, setRetention, Attributes{Retention: r})
}

// SetLegalHold puts a legal hold on a version of an object, or takes it away.
func (c *Cluster) SetLegalHold(ctx context.Context, bucket, key, version string, on bool) error {
	return c.setAttributes(ctx, bucket, key, version, setLegalHold, Attributes{LegalHold: on, Released: !on})
}

// SetACL replaces the access control list of a version of an object; "" takes it away.
func (c *Cluster) SetACL(ctx context.Context, bucket, key, version, acl string) error {
	return c.setAttributes(ctx, bucket, key, version, setACL, Attributes{ACL: acl})
}

func (c *Cluster) setAttributes(ctx context.Context, bucket, key, version string, fields byte, a Attributes) error {
	seq, err := parseVersion(version)
	if err != nil {
		return err
	}
	_, err = c.submit(ctx, &request{rec: record{Kind: recAttributes, Bucket: bucket, Key: key, Time: c.now(), Version: seq, Fields: fields, Attributes: a}})
	return err
}

// Versions calls yield for the versions and delete markers of a bucket's objects with keys
// that begin with prefix, by key and then the newest first, after the given version of the
// key after; with no version, after all of that key. It ends early when yield returns false.
func (c *Cluster) Versions(ctx context.Context, bucket, prefix, after, version string, yield func(Object) bool) error {
	id, err := c.catalog.bucket(ctx, bucket)
	if err != nil {
		return err
	}
	if version != "" && after != "" {
		more, err := c.olderVersions(ctx, id, bucket, after, version, yield)
		if err != nil || !more {
			return err
		}
	}
	q, args := `SELECT `+objectColumns+` FROM objects o WHERE o.bucket = ? AND o.key >= ? AND o.key > ?`, []any{id, prefix, after}
	if end := beyond(prefix); end != "" {
		q, args = q+` AND o.key < ?`, append(args, end)
	}
	_, err = c.catalog.each(ctx, bucket, yield, q+` ORDER BY o.key, o.seq DESC`, args...)
	return err
}

// olderVersions calls yield for the versions of a key that are older than the given one.
func (c *Cluster) olderVersions(ctx context.Context, id int64, bucket, key, version string, yield func(Object) bool) (more bool, err error) {
	seq, err := parseVersion(version)
	if err != nil {
		return false, err
	}
	if seq == nullVersion {
		err := c.catalog.queryRow(ctx, `SELECT seq FROM objects WHERE bucket = ? AND key = ? AND versioned = 0`, id, key).Scan(&seq)
		if errors.Is(err, sql.ErrNoRows) {
			return true, nil
		}
		if err != nil {
			return false, err
		}
	}
	return c.catalog.each(ctx, bucket, yield, `SELECT `+objectColumns+` FROM objects o WHERE o.bucket = ? AND o.key = ? AND o.seq < ? ORDER BY o.seq DESC`, id, key, seq)
}

// each calls yield for the objects that a query selects, and tells whether it wants more.
func (c *catalog) each(ctx context.Context, bucket string, yield func(Object) bool, q string, args ...any) (more bool, err error) {
	rows, err := c.query(ctx, q, args...)
	if err != nil {
		return false, err
	}
	defer rows.Close()
	for rows.Next() {
		o, err := scanObject(bucket, rows.Scan)
		if err != nil {
			return false, err
		}
		if !yield(o) {
			return false, nil
		}
	}
	return true, rows.Err()
}
