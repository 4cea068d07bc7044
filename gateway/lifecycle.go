package gateway

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/gofiber/fiber/v3"
	"github.com/versity/versitygw/auth"
	"github.com/versity/versitygw/s3api/middlewares"
	"github.com/versity/versitygw/s3api/utils"
	"github.com/versity/versitygw/s3err"

	"github.com/wattle-storage/wattle/cluster"
)

// The front end does not know of lifecycles, so that this answers their requests itself,
// with the front end's own check of signatures.

const settingLifecycle = "lifecycle"

// A lifecycle says when a bucket's objects end.
type lifecycle struct {
	XMLName xml.Name        `xml:"LifecycleConfiguration" json:"-"`
	Rules   []lifecycleRule `xml:"Rule"`
}

type lifecycleRule struct {
	ID         string           `xml:",omitempty"`
	Prefix     *string          `xml:",omitempty"` // the older form of Filter
	Filter     *lifecycleFilter `xml:",omitempty"`
	Status     string
	Expiration *struct {
		Days         int    `xml:",omitempty"`
		Date         string `xml:",omitempty"`
		DeleteMarker bool   `xml:"ExpiredObjectDeleteMarker,omitempty"`
	} `xml:",omitempty"`
	Noncurrent *struct {
		Days  int `xml:"NoncurrentDays"`
		Newer int `xml:"NewerNoncurrentVersions,omitempty"`
	} `xml:"NoncurrentVersionExpiration,omitempty"`
	Abort *struct {
		Days int `xml:"DaysAfterInitiation"`
	} `xml:"AbortIncompleteMultipartUpload,omitempty"`
	Transitions           []transition `xml:"Transition" json:"-"`
	NoncurrentTransitions []transition `xml:"NoncurrentVersionTransition" json:"-"`
}

// A transition is read to tell one that is not done from one that cannot be.
type transition struct{ Date, StorageClass string }

func (t transition) sound() bool {
	_, err := lifecycleDate(t.Date)
	return (t.Date == "" || err == nil) && t.StorageClass != "" && slices.Contains(types.TransitionStorageClass("").Values(), types.TransitionStorageClass(t.StorageClass))
}

// lifecycleDate reads a day, at midnight if it says when.
func lifecycleDate(s string) (time.Time, error) {
	if t, err := time.Parse(time.DateOnly, s); err == nil {
		return t, nil
	}
	return time.Parse(time.RFC3339, s)
}

type lifecycleTag struct{ Key, Value string }

type lifecycleFilter struct {
	Prefix  *string       `xml:",omitempty"`
	Tag     *lifecycleTag `xml:",omitempty"`
	Greater *int64        `xml:"ObjectSizeGreaterThan,omitempty"`
	Less    *int64        `xml:"ObjectSizeLessThan,omitempty"`
	And     *struct {
		Prefix  *string        `xml:",omitempty"`
		Tags    []lifecycleTag `xml:"Tag"`
		Greater *int64         `xml:"ObjectSizeGreaterThan,omitempty"`
		Less    *int64         `xml:"ObjectSizeLessThan,omitempty"`
	} `xml:",omitempty"`
}

// maxLifecycle bounds a configuration.
const maxLifecycle = 256 << 10

func invalid(code, format string, a ...any) error {
	return s3err.APIError{Code: code, Description: fmt.Sprintf(format, a...), HTTPStatusCode: http.StatusBadRequest}
}

// readLifecycle reads and checks a configuration.
func readLifecycle(body []byte) (l lifecycle, err error) {
	malformed := s3err.GetAPIError(s3err.ErrMalformedXML)
	if len(body) > maxLifecycle || xml.Unmarshal(body, &l) != nil || len(l.Rules) == 0 || len(l.Rules) > 1000 {
		return l, malformed
	}
	ids := map[string]bool{}
	for i := range l.Rules {
		r := &l.Rules[i]
		if r.ID == "" {
			r.ID = fmt.Sprintf("rule-%d", i+1)
		}
		switch {
		case len(r.ID) > 255 || ids[r.ID]:
			return l, invalid("InvalidArgument", "Rule ID must be unique, and of at most 255 characters: %.300s", r.ID)
		case r.Status != "Enabled" && r.Status != "Disabled", r.Prefix == nil && r.Filter == nil, r.Prefix != nil && r.Filter != nil:
			return l, malformed
		case slices.ContainsFunc(append(slices.Clone(r.Transitions), r.NoncurrentTransitions...), func(t transition) bool { return !t.sound() }):
			return l, malformed
		case len(r.Transitions)+len(r.NoncurrentTransitions) > 0:
			return l, s3err.APIError{Code: "NotImplemented", Description: "There is one kind of storage: transitions are not implemented.", HTTPStatusCode: http.StatusNotImplemented}
		case r.Expiration == nil && r.Noncurrent == nil && r.Abort == nil:
			return l, malformed
		}
		ids[r.ID] = true
		if err := errors.Join(r.checkDays(), r.checkFilter()); err != nil {
			return l, err
		}
	}
	return l, nil
}

// checkFilter refuses filters that say several things without And, or what cannot be.
func (r lifecycleRule) checkFilter() error {
	f := r.Filter
	if f == nil {
		return nil
	}
	if flags(f.Prefix != nil, f.Tag != nil, f.Greater != nil, f.Less != nil, f.And != nil) > 1 {
		return s3err.GetAPIError(s3err.ErrMalformedXML)
	}
	keys := map[string]bool{}
	if f.And != nil {
		for _, t := range f.And.Tags {
			if keys[t.Key] {
				return invalid("InvalidRequest", "Duplicate Tag Keys are not allowed.")
			}
			keys[t.Key] = true
		}
		if f.And.Greater != nil && f.And.Less != nil && *f.And.Greater >= *f.And.Less {
			return invalid("InvalidRequest", "'ObjectSizeLessThan' has to be a value greater than 'ObjectSizeGreaterThan'.")
		}
	}
	switch tagged := f.Tag != nil || len(keys) > 0; {
	case tagged && r.Abort != nil:
		return invalid("InvalidRequest", "AbortIncompleteMultipartUpload cannot be specified with Tags.")
	case tagged && r.Expiration != nil && r.Expiration.DeleteMarker:
		return invalid("InvalidRequest", "ExpiredObjectDeleteMarker cannot be specified with Tags.")
	}
	return nil
}

func (r lifecycleRule) checkDays() error {
	if e := r.Expiration; e != nil {
		switch given := flags(e.Days != 0, e.Date != "", e.DeleteMarker); {
		case given != 1:
			if e.Days == 0 && given == 0 {
				return invalid("InvalidArgument", "'Days' for Expiration action must be a positive integer")
			}
			return s3err.GetAPIError(s3err.ErrMalformedXML)
		case e.Days < 0:
			return invalid("InvalidArgument", "'Days' for Expiration action must be a positive integer")
		}
		if e.Date != "" {
			if t, err := lifecycleDate(e.Date); err != nil {
				return s3err.GetAPIError(s3err.ErrMalformedXML)
			} else if !t.Equal(t.Truncate(24 * time.Hour)) {
				return invalid("InvalidArgument", "'Date' must be at midnight GMT")
			}
		}
	}
	if r.Noncurrent != nil && r.Noncurrent.Days <= 0 {
		return invalid("InvalidArgument", "'NoncurrentDays' for NoncurrentVersionExpiration action must be a positive integer")
	}
	if r.Noncurrent != nil && (r.Noncurrent.Newer < 0 || r.Noncurrent.Newer > 100) {
		return invalid("InvalidArgument", "'NewerNoncurrentVersions' for NoncurrentVersionExpiration action must be a positive integer of at most 100")
	}
	if r.Abort != nil && r.Abort.Days <= 0 {
		return invalid("InvalidArgument", "'DaysAfterInitiation' for AbortIncompleteMultipartUpload action must be a positive integer")
	}
	return nil
}

func flags(given ...bool) (n int) {
	for _, b := range given {
		if b {
			n++
		}
	}
	return n
}

// isLifecycle tells whether a request is about a bucket's lifecycle.
func isLifecycle(c fiber.Ctx) bool {
	path := strings.Trim(c.Path(), "/")
	return c.Request().URI().QueryArgs().Has("lifecycle") && path != "" && !strings.Contains(path, "/") &&
		slices.Contains([]string{http.MethodGet, http.MethodPut, http.MethodDelete}, c.Method())
}

// lifecycle answers GET, PUT and DELETE of a bucket's lifecycle.
func (s *Server) lifecycle(c fiber.Ctx) error {
	f, bucket := s.front, strings.Clone(strings.Trim(c.Path(), "/"))
	key := middlewares.RootUserConfig{Access: s.o.Root.Access, Secret: s.o.Root.Secret}
	utils.ContextKeyRegion.Set(c, s.o.Region)
	utils.ContextKeyIsRoot.Set(c, false)
	if err := middlewares.VerifyV4Signature(key, accounts{f}, s.o.Region, false, false, true)(c); err != nil {
		return err
	}
	set, err := f.settings(bucket)
	if err != nil {
		return err
	}
	acct, _ := utils.ContextKeyAccount.Get(c).(auth.Account)
	if root, _ := utils.ContextKeyIsRoot.Get(c).(bool); !root && acct.Role != auth.RoleAdmin && acct.Access != f.ownerOf(set) {
		return s3err.GetAPIError(s3err.ErrAccessDenied)
	}
	if expected := c.Get("X-Amz-Expected-Bucket-Owner"); expected != "" && expected != f.ownerOf(set) {
		return s3err.GetAPIError(s3err.ErrAccessDenied)
	}
	switch c.Method() {
	case http.MethodPut:
		if err := middlewares.VerifyChecksums(false, true, false)(c); err != nil {
			return err
		}
		l, err := readLifecycle(c.Body())
		if err != nil {
			return err
		}
		return f.set(bucket, settingLifecycle, []byte(asJSON(l)))
	case http.MethodDelete:
		c.Status(http.StatusNoContent)
		return f.unset(bucket, settingLifecycle)
	}
	l, ok := lifecycleOf(set)
	if !ok {
		return s3err.APIError{Code: "NoSuchLifecycleConfiguration", Description: "The lifecycle configuration does not exist", HTTPStatusCode: http.StatusNotFound}
	}
	l.XMLName = xml.Name{Space: "http://s3.amazonaws.com/doc/2006-03-01/", Local: "LifecycleConfiguration"}
	out, err := xml.Marshal(l)
	if err != nil {
		return err
	}
	c.Response().Header.SetContentType(fiber.MIMEApplicationXML)
	return c.Send(append([]byte(xml.Header), out...))
}

func lifecycleOf(set map[string]string) (l lifecycle, ok bool) {
	text, ok := set[settingLifecycle]
	return l, ok && json.Unmarshal([]byte(text), &l) == nil
}

// fits tells whether a rule is about an object.
func (r lifecycleRule) fits(o cluster.Object) bool {
	if r.Status != "Enabled" {
		return false
	}
	within := func(prefix *string, tags []lifecycleTag, greater, less *int64) bool {
		for _, t := range tags {
			if v, ok := o.Tags[t.Key]; !ok || v != t.Value {
				return false
			}
		}
		return (prefix == nil || strings.HasPrefix(o.Key, *prefix)) && (greater == nil || o.Size > *greater) && (less == nil || o.Size < *less)
	}
	if r.Filter == nil {
		return within(r.Prefix, nil, nil, nil)
	}
	f := r.Filter
	var tags []lifecycleTag
	if f.Tag != nil {
		tags = []lifecycleTag{*f.Tag}
	}
	return within(f.Prefix, tags, f.Greater, f.Less) && (f.And == nil || within(f.And.Prefix, f.And.Tags, f.And.Greater, f.And.Less))
}

// ends is the midnight after so many days, when what began at t ends.
func ends(t time.Time, days int) time.Time {
	return t.UTC().Add(time.Duration(days+1) * 24 * time.Hour).Truncate(24 * time.Hour)
}

// expires is when an object's first rule ends it; ok is false when none does.
func (l lifecycle) expires(o cluster.Object) (at time.Time, rule string, ok bool) {
	for _, r := range l.Rules {
		if r.Expiration == nil || !r.fits(o) {
			continue
		}
		var t time.Time
		switch {
		case r.Expiration.Days > 0:
			t = ends(o.Modified, r.Expiration.Days)
		case r.Expiration.Date != "":
			t, _ = lifecycleDate(r.Expiration.Date)
		default:
			continue
		}
		if !ok || t.Before(at) {
			at, rule, ok = t, r.ID, true
		}
	}
	return at, rule, ok
}

// expiration puts the end of an object on an answer.
func (f *front) expiration(ctx context.Context, o cluster.Object) {
	r := request(ctx)
	set, err := f.settings(o.Bucket)
	if r == nil || err != nil || set[settingLifecycle] == "" {
		return
	}
	if l, ok := lifecycleOf(set); ok {
		if at, rule, ok := l.expires(o); ok {
			r.Response.Header.Set("x-amz-expiration", fmt.Sprintf(`expiry-date="%s", rule-id="%s"`, at.Format(http.TimeFormat), rule))
		}
	}
}

// abortion puts the end of an upload on an answer: when the first rule drops what is not complete.
func (f *front) abortion(ctx context.Context, bucket, key string, begun time.Time) {
	r := request(ctx)
	set, err := f.settings(bucket)
	if r == nil || err != nil || set[settingLifecycle] == "" {
		return
	}
	l, _ := lifecycleOf(set)
	var at time.Time
	for _, rule := range l.Rules {
		if rule.Abort == nil || !rule.fits(cluster.Object{Key: key}) {
			continue
		}
		if t := ends(begun, rule.Abort.Days); at.IsZero() || t.Before(at) {
			at = t
			r.Response.Header.Set("x-amz-abort-date", at.Format(http.TimeFormat))
			r.Response.Header.Set("x-amz-abort-rule-id", rule.ID)
		}
	}
}

// Expire ends what the buckets' lifecycles end at now, and returns how many objects, versions
// and uploads that were.
func Expire(ctx context.Context, s Store, now time.Time) (n int, err error) {
	names, err := s.BucketNames(ctx)
	if err != nil {
		return 0, err
	}
	var failed []error
	for _, name := range names {
		set, err := s.Settings(ctx, name)
		if err != nil {
			continue // it is gone
		}
		if l, ok := lifecycleOf(set.Values); ok {
			m, err := l.run(ctx, s, name, set.Values[cluster.SettingVersioning] != "", now)
			n += m
			if err != nil {
				failed = append(failed, fmt.Errorf("bucket %s: %w", name, err))
			}
		}
	}
	return n, errors.Join(failed...)
}

// run does for one bucket what is due.
func (l lifecycle) run(ctx context.Context, s Store, bucket string, versioned bool, now time.Time) (n int, err error) {
	type due struct{ key, version string }
	var list []due
	var older int            // versions of the key that are older than the latest, so far
	var newer cluster.Object // the version that replaced this one
	err = s.Versions(ctx, bucket, "", "", "", func(o cluster.Object) bool {
		if o.Latest {
			older = 0
			if at, _, ok := l.expires(o); ok && !o.Marker && !at.After(now) {
				list = append(list, due{key: o.Key})
			}
		} else {
			older++
			if l.noncurrentDue(o, newer.Modified, older, now) {
				list = append(list, due{o.Key, o.VersionID()})
			}
		}
		newer = o
		return ctx.Err() == nil
	})
	if err != nil {
		return 0, err
	}
	for _, d := range list {
		o, err := s.Head(ctx, bucket, d.key, d.version)
		if err == nil && (o.LegalHold || o.Retention.Until.After(now)) && (d.version != "" || !versioned) {
			continue // locked
		}
		if _, err := s.DeleteVersion(ctx, bucket, d.key, cluster.DeleteOptions{Version: d.version}); err == nil {
			n++
		} else if !errors.Is(err, cluster.ErrObjectNotFound) && !errors.Is(err, cluster.ErrVersionNotFound) {
			return n, err
		}
	}
	markers, err := l.dropMarkers(ctx, s, bucket)
	n += markers
	if err != nil {
		return n, err
	}
	uploads, err := l.abortUploads(ctx, s, bucket, now)
	return n + uploads, err
}

// noncurrentDue tells whether a version that was replaced at a time, as the so-many-th oldest
// after the latest, ends.
func (l lifecycle) noncurrentDue(o cluster.Object, replaced time.Time, older int, now time.Time) bool {
	for _, r := range l.Rules {
		if e := r.Noncurrent; e != nil && r.fits(o) && older > e.Newer && !ends(replaced, e.Days).After(now) {
			return true
		}
	}
	return false
}

// dropMarkers removes delete markers that are all that is left of their keys.
func (l lifecycle) dropMarkers(ctx context.Context, s Store, bucket string) (n int, err error) {
	var rules []lifecycleRule
	for _, r := range l.Rules {
		if r.Expiration != nil && r.Expiration.DeleteMarker {
			rules = append(rules, r)
		}
	}
	if len(rules) == 0 {
		return 0, nil
	}
	count := map[string]int{}
	var alone []cluster.Object
	err = s.Versions(ctx, bucket, "", "", "", func(o cluster.Object) bool {
		if count[o.Key]++; o.Marker && o.Latest && slices.ContainsFunc(rules, func(r lifecycleRule) bool { return r.fits(o) }) {
			alone = append(alone, o)
		}
		return ctx.Err() == nil
	})
	for _, o := range alone {
		if err != nil {
			break
		}
		if count[o.Key] > 1 {
			continue
		}
		if _, err = s.DeleteVersion(ctx, bucket, o.Key, cluster.DeleteOptions{Version: o.VersionID()}); err == nil {
			n++
		}
	}
	return n, err
}

func (l lifecycle) abortUploads(ctx context.Context, s Store, bucket string, now time.Time) (n int, err error) {
	var list []cluster.Upload
	err = s.Uploads(ctx, bucket, "", "", "", func(u cluster.Upload) bool {
		for _, r := range l.Rules {
			if r.Abort != nil && r.fits(cluster.Object{Key: u.Key, Attributes: cluster.Attributes{Tags: u.Tags}}) && !ends(u.Created, r.Abort.Days).After(now) {
				list = append(list, u)
				break
			}
		}
		return ctx.Err() == nil
	})
	for _, u := range list {
		if err != nil {
			break
		}
		if err = s.AbortUpload(ctx, bucket, u.Key, u.ID); err == nil {
			n++
		} else if errors.Is(err, cluster.ErrUploadNotFound) {
			err = nil
		}
	}
	return n, err
}
