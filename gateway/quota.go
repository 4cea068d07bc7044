package gateway

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/wattle-storage/wattle/cluster"
)

// A Quota is what a bucket, or all that a user owns, holds of what it may.
type Quota struct {
	Bucket string        `json:"bucket,omitempty"`
	User   string        `json:"user,omitempty"` // an access key, of which it is all buckets
	Usage  cluster.Usage `json:"usage"`
	Limits Limits        `json:"limits"`
	Part   float64       `json:"part"` // taken: the larger of bytes over bytes and objects over objects
}

func (l Limits) quota() bool { return l.Bytes > 0 || l.Objects > 0 }

// part is how much of the quota is taken.
func (l Limits) part(u cluster.Usage) (part float64) {
	if l.Bytes > 0 {
		part = float64(u.Bytes) / float64(l.Bytes)
	}
	if l.Objects > 0 {
		part = max(part, float64(u.Objects)/float64(l.Objects))
	}
	return part
}

// A quotaStore knows what its buckets hold, and their settings.
type quotaStore interface {
	settingStore
	BucketNames(ctx context.Context) ([]string, error)
	Usages(ctx context.Context) (map[string]cluster.Usage, error)
}

// Quotas lists the buckets and users that have one, the fullest first.
func Quotas(ctx context.Context, s quotaStore) ([]Quota, error) {
	names, err := s.BucketNames(ctx)
	if err != nil {
		return nil, err
	}
	held, err := s.Usages(ctx)
	if err != nil {
		return nil, err
	}
	owned := map[string]cluster.Usage{}
	list := []Quota{}
	for _, name := range names {
		set, err := s.Settings(ctx, name)
		if errors.Is(err, cluster.ErrBucketNotFound) { // removed meanwhile
			continue
		}
		if err != nil {
			return nil, err
		}
		owner := OwnerOf(set.Values)
		owned[owner] = owned[owner].Plus(held[name])
		if l := LimitsOf(set.Values); l.quota() {
			list = append(list, Quota{Bucket: name, Usage: held[name], Limits: l, Part: l.part(held[name])})
		}
	}
	set, err := s.Settings(ctx, "")
	if err != nil {
		return nil, err
	}
	for _, name := range set.SettingNames() {
		access, ok := strings.CutPrefix(name, settingUser)
		var v stored
		if !ok || json.Unmarshal([]byte(set.Values[name]), &v) != nil || v.Limits == nil || !v.Limits.quota() {
			continue
		}
		list = append(list, Quota{User: access, Usage: owned[access], Limits: *v.Limits, Part: v.Limits.part(owned[access])})
	}
	slices.SortStableFunc(list, func(a, b Quota) int { return cmp.Compare(b.Part, a.Part) })
	return list, nil
}
