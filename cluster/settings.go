package cluster

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// SettingVersioning is the one setting of a bucket that the store itself acts on. The
// others are kept for whoever serves the bucket.
const SettingVersioning = "versioning"

// Settings are what is set for a bucket, or, for the bucket "", for the cluster.
type Settings struct {
	Bucket  string
	Created time.Time
	Values  map[string]string // must not be changed
}

// settingsCache remembers settings, which every request asks for.
type settingsCache struct {
	mu  sync.Mutex
	gen uint64               // guarded by mu; grows with every change
	by  map[string]*Settings // guarded by mu
}

// forget drops what committed records changed.
func (s *settingsCache) forget(records []record) {
	for _, r := range records {
		switch r.Kind {
		case recMakeBucket, recRemoveBucket, recSetting:
			s.mu.Lock()
			s.gen++
			delete(s.by, r.Bucket)
			s.mu.Unlock()
		}
	}
}

func (s *settingsCache) get(bucket string) (*Settings, uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.by[bucket], s.gen
}

// keep remembers v, unless something changed since gen.
func (s *settingsCache) keep(v *Settings, gen uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gen != gen {
		return
	}
	if s.by == nil || len(s.by) > 10_000 {
		s.by = map[string]*Settings{}
	}
	s.by[v.Bucket] = v
}

// Settings returns what is set for a bucket; for "", for the cluster.
func (c *Cluster) Settings(ctx context.Context, bucket string) (*Settings, error) {
	known, gen := c.settings.get(bucket)
	if known != nil && !c.readOnly { // a reader does not see when another process changes them
		return known, nil
	}
	s, err := c.catalog.settings(ctx, bucket)
	if err == nil {
		c.settings.keep(s, gen)
	}
	return s, err
}

func (c *catalog) settings(ctx context.Context, bucket string) (*Settings, error) {
	s := &Settings{Bucket: bucket, Values: map[string]string{}}
	var id int64
	if bucket != "" {
		var created int64
		var versioning int
		err := c.queryRow(ctx, `SELECT id, created, versioning FROM buckets WHERE name = ?`, bucket).Scan(&id, &created, &versioning)
		if errors.Is(err, sql.ErrNoRows) {
			return nil, fmt.Errorf("%s: %w", bucket, ErrBucketNotFound)
		}
		if err != nil {
			return nil, err
		}
		s.Created = time.Unix(0, created).UTC()
		switch versioning {
		case versioningOn:
			s.Values[SettingVersioning] = VersioningEnabled
		case versioningSuspended:
			s.Values[SettingVersioning] = VersioningSuspended
		}
	}
	rows, err := c.query(ctx, `SELECT name, value FROM settings WHERE bucket = ?`, id)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		var value []byte
		if err := rows.Scan(&name, &value); err != nil {
			return nil, err
		}
		s.Values[name] = string(value)
	}
	return s, rows.Err()
}

// Set sets a setting of a bucket, or of the cluster for "".
func (c *Cluster) Set(ctx context.Context, bucket, name, value string) error {
	if name == SettingVersioning && value != VersioningEnabled && value != VersioningSuspended {
		return fmt.Errorf("versioning %q: want %s or %s", value, VersioningEnabled, VersioningSuspended)
	}
	_, err := c.submit(ctx, &request{rec: record{Kind: recSetting, Bucket: bucket, Time: c.now(), Name: name, Value: value}})
	return err
}

// Unset removes a setting, if it is there.
func (c *Cluster) Unset(ctx context.Context, bucket, name string) error {
	if name == SettingVersioning {
		return fmt.Errorf("versioning cannot be taken away, only suspended")
	}
	_, err := c.submit(ctx, &request{rec: record{Kind: recSetting, Bucket: bucket, Time: c.now(), Name: name, Remove: true}})
	return err
}

// BucketNames returns the names of all buckets in order, without a look at their objects.
func (c *Cluster) BucketNames(ctx context.Context) ([]string, error) {
	rows, err := c.catalog.query(ctx, `SELECT name FROM buckets ORDER BY name`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var names []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, rows.Err()
}

// set applies a recSetting.
func (t *tx) set(r record) error {
	var b bucketRow
	if r.Bucket != "" {
		var err error
		if b, err = t.bucket(r.Bucket); err != nil {
			return err
		}
	}
	switch {
	case r.Name == SettingVersioning && r.Bucket != "":
		b.versioning = versioningSuspended
		if r.Value == VersioningEnabled {
			b.versioning = versioningOn
		}
		t.bucketID[r.Bucket] = b
		return t.exec(`UPDATE buckets SET versioning = ? WHERE id = ?`, b.versioning, b.id)
	case r.Remove:
		return t.exec(`DELETE FROM settings WHERE bucket = ? AND name = ?`, b.id, r.Name)
	}
	return t.exec(`INSERT INTO settings (bucket, name, value) VALUES (?, ?, ?)
		ON CONFLICT (bucket, name) DO UPDATE SET value = excluded.value`, b.id, r.Name, []byte(r.Value))
}

// more is about how many bytes a record's newer fields take in a journal.
func (r record) more() int {
	n := len(r.Name) + len(r.Value) + len(r.IfMatch) + 12*len(r.Chosen)
	n += len(r.Attributes.ETag) + metaBytes(r.Attributes.Headers) + metaBytes(r.Attributes.Tags)
	return n + len(r.Attributes.Checksum.Algorithm) + len(r.Attributes.Checksum.Value)
}

// SettingNames returns the names of what is set, in order.
func (s *Settings) SettingNames() []string { return slices.Sorted(maps.Keys(s.Values)) }
