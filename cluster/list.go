package cluster

import (
	"context"
	"strings"
)

// Buckets returns all buckets in order of name.
func (c *Cluster) Buckets(ctx context.Context) ([]Bucket, error) { return c.catalog.buckets(ctx) }

// List returns a page of a bucket's keys in byte order. With a delimiter, keys that share
// the part up to it after the prefix are folded into one prefix.
func (c *Cluster) List(ctx context.Context, bucket string, o ListOptions) (Page, error) {
	limit := o.Limit
	if limit <= 0 {
		limit = 1000
	}
	var page Page
	from, exclusive := o.Prefix, false
	if o.After >= o.Prefix && o.After != "" {
		from, exclusive = o.After, true
		if p, ok := fold(o.After, o.Prefix, o.Delimiter); ok && p == o.After {
			from, exclusive = beyond(p), false // After names a folded prefix: go past it
			if from == "" {
				return page, nil
			}
		}
	}
	end, last := beyond(o.Prefix), ""
	for {
		skip := ""
		room := limit - len(page.Objects) - len(page.Prefixes)
		n := 0
		err := c.catalog.objects(ctx, bucket, from, exclusive, end, room+1, func(obj Object) bool {
			if n++; n > room {
				page.Next = last
				return false
			}
			if p, ok := fold(obj.Key, o.Prefix, o.Delimiter); ok {
				page.Prefixes = append(page.Prefixes, p)
				skip, last = p, p
				return false
			}
			page.Objects = append(page.Objects, obj)
			last = obj.Key
			return true
		})
		if err != nil || skip == "" || page.Next != "" {
			return page, err
		}
		if from, exclusive = beyond(skip), false; from == "" {
			return page, nil
		}
	}
}

// fold returns the part of key up to and with the first delimiter after the prefix.
func fold(key, prefix, delimiter string) (string, bool) {
	if delimiter == "" || !strings.HasPrefix(key, prefix) {
		return "", false
	}
	i := strings.Index(key[len(prefix):], delimiter)
	if i < 0 {
		return "", false
	}
	return key[:len(prefix)+i+len(delimiter)], true
}

// beyond is the least string that is greater than all that begin with prefix, or "" when
// there is none.
func beyond(prefix string) string {
	p := []byte(prefix)
	for len(p) > 0 {
		if p[len(p)-1] < 0xff {
			p[len(p)-1]++
			return string(p)
		}
		p = p[:len(p)-1]
	}
	return ""
}

// Find calls yield for each object that o describes, in order of bucket and key.
func (c *Cluster) Find(ctx context.Context, o FindOptions, yield func(Object) error) error {
	names := []string{o.Bucket}
	if o.Bucket == "" {
		list, err := c.catalog.buckets(ctx)
		if err != nil {
			return err
		}
		names = names[:0]
		for _, b := range list {
			names = append(names, b.Name)
		}
	}
	for _, name := range names {
		var failed error
		err := c.catalog.objects(ctx, name, o.Prefix, false, beyond(o.Prefix), 1<<62, func(obj Object) bool {
			if o.matches(obj) {
				failed = yield(obj)
			}
			return failed == nil
		})
		if err == nil {
			err = failed
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (o FindOptions) matches(obj Object) bool {
	for k, v := range o.Meta {
		if got, ok := obj.Meta[k]; !ok || got != v {
			return false
		}
	}
	return (o.ContentType == "" || o.ContentType == obj.ContentType) &&
		obj.Size >= o.MinSize && (o.MaxSize == 0 || obj.Size <= o.MaxSize) &&
		(o.After.IsZero() || obj.Modified.After(o.After)) && (o.Before.IsZero() || obj.Modified.Before(o.Before))
}
