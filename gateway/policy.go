package gateway

import (
	"context"
	"encoding/xml"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/gofiber/fiber/v3"
	"github.com/valyala/fasthttp"
	"github.com/versity/versitygw/auth"
	"github.com/versity/versitygw/s3err"

	"github.com/wattle-storage/wattle/cluster"
	"github.com/wattle-storage/wattle/gateway/policy"
)

// The front end decides by policies of a simpler kind than S3's. Policies are read, kept and
// applied here; what the front end is told as a bucket's policy is what has been decided about
// the request at hand: for each bucket and key that it is about, the actions that are allowed
// and those that are denied, by the policy, by lists and by ownership.

// policies remembers policies as they were read.
type policies struct {
	mu sync.Mutex
	by map[string]*policy.Policy // guarded by mu; by bucket and text
}

// of is the policy in a bucket's settings, or nil. One that cannot be read denies all.
func (p *policies) of(bucket string, set map[string]string) *policy.Policy {
	const most = 1024
	text, ok := set[settingPolicy]
	if !ok {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	name := bucket + "\x00" + text
	read, ok := p.by[name]
	if ok {
		return read
	}
	if len(p.by) >= most || p.by == nil {
		p.by = map[string]*policy.Policy{}
	}
	read, err := policy.Parse([]byte(text), bucket, nil)
	if err != nil {
		read, _ = policy.Parse([]byte(`{"Statement":{"Effect":"Deny","Principal":"*","Action":"*","Resource":"*"}}`), bucket, nil)
	}
	p.by[name] = read
	return read
}

// NormalizeObjectKey is how keys are written where the front end compares them with patterns:
// so that those of a key that has stars match that key alone.
func (f *front) NormalizeObjectKey(_, key string) string { return literal.Replace(key) }

var literal = strings.NewReplacer("%", "%25", "*", "%2A", "?", "%3F")

// A decider decides about one request and one bucket.
type decider struct {
	f       *front
	r       *fasthttp.RequestCtx
	bucket  string
	set     map[string]string
	policy  *policy.Policy
	me      string
	role    auth.Role
	block   publicAccessBlock
	objects map[subject]*cluster.Object // that were looked up, nil for what is not there
}

func (f *front) decider(ctx context.Context, bucket string, set map[string]string) *decider {
	return &decider{f: f, r: request(ctx), bucket: bucket, set: set, policy: f.policies.of(bucket, set), me: who(ctx), role: account(ctx).Role, block: blockOf(set)}
}

// owner tells whether who asks owns the bucket.
func (d *decider) owner() bool { return d.me != "" && d.me == d.f.ownerOf(d.set) }

// decide says what the policy, the lists and ownership make of an action.
func (d *decider) decide(action, key, version string) policy.Decision {
	resource := d.bucket
	if key != "" {
		resource += "/" + key
	}
	decision := d.policy.Decide(policy.Request{Account: d.me, Action: action, Resource: resource, Values: d.values(action, key, version)})
	switch {
	case decision == policy.Denied:
		return decision
	case d.owner() || d.role == auth.RoleAdmin:
		return policy.Allowed
	case decision == policy.Allowed && d.block.RestrictPublicBuckets && d.policy.Public():
		decision = policy.Undecided
	}
	if decision == policy.Undecided && d.listed(action, key, version) {
		return policy.Allowed
	}
	return decision
}

// listGrants are what permissions of lists allow: of the bucket's, or of the object's.
var listGrants = map[string]struct {
	permission auth.Permission
	object     bool
}{
	"s3:ListBucket": {auth.PermissionRead, false}, "s3:ListBucketVersions": {auth.PermissionRead, false}, "s3:ListBucketMultipartUploads": {auth.PermissionRead, false},
	"s3:PutObject": {auth.PermissionWrite, false}, "s3:DeleteObject": {auth.PermissionWrite, false}, "s3:AbortMultipartUpload": {auth.PermissionWrite, false},
	"s3:ListMultipartUploadParts": {auth.PermissionWrite, false},
	"s3:GetBucketAcl":             {auth.PermissionReadAcp, false}, "s3:PutBucketAcl": {auth.PermissionWriteAcp, false},
	"s3:GetObject": {auth.PermissionRead, true}, "s3:GetObjectVersion": {auth.PermissionRead, true},
	"s3:GetObjectAttributes": {auth.PermissionRead, true}, "s3:GetObjectVersionAttributes": {auth.PermissionRead, true},
	"s3:GetObjectAcl": {auth.PermissionReadAcp, true}, "s3:GetObjectVersionAcl": {auth.PermissionReadAcp, true},
	"s3:PutObjectAcl": {auth.PermissionWriteAcp, true}, "s3:PutObjectVersionAcl": {auth.PermissionWriteAcp, true},
}

// listed tells whether a list lets who asks do an action.
func (d *decider) listed(action, key, version string) bool {
	g, ok := listGrants[action]
	if !ok {
		return false
	}
	acl := d.f.bucketACL(d.set)
	if g.object {
		o := d.object(key, version)
		if o == nil {
			return false
		}
		acl = d.f.objectACL(d.set, *o)
	}
	return grants(d.block.of(acl), d.me, g.permission)
}

// grants tells whether a list gives a user a permission; "" is who did not sign.
func grants(acl auth.ACL, me string, p auth.Permission) bool {
	return slices.ContainsFunc(effective(acl.Grantees, me), func(g auth.Grantee) bool {
		return (g.Permission == p || g.Permission == auth.PermissionFullControl) &&
			(g.Type == types.TypeGroup && g.Access == allUsers || g.Type == types.TypeCanonicalUser && me != "" && g.Access == me)
	})
}

// object is a version of the bucket's, or nil.
func (d *decider) object(key, version string) *cluster.Object {
	about := subject{bucket: d.bucket, key: key, version: version}
	if o, ok := d.objects[about]; ok {
		return o
	}
	if d.objects == nil {
		d.objects = map[subject]*cluster.Object{}
	}
	d.objects[about] = nil
	if o, err := d.f.store.Head(d.f.ctx, d.bucket, key, version); err == nil {
		d.objects[about] = &o
	}
	return d.objects[about]
}

// A target is a key that a request is about.
type target struct{ key, version string }

// targets are the keys in the bucket that the request is about: that of its path, or of its
// form, the source of a copy, and those to delete.
func (d *decider) targets() (list []target) {
	q := d.r.QueryArgs()
	if bucket, _, _ := strings.Cut(strings.TrimPrefix(string(d.r.Path()), "/"), "/"); bucket == d.bucket {
		if key := keyOf(d.r); key != "" {
			list = append(list, target{key, string(q.Peek("versionId"))})
		}
		if fields, ok := d.r.UserValue(formValues).([]formField); ok {
			list = append(list, target{key: (&formData{fields: fields}).get("key")})
		}
		if d.r.IsPost() && q.Has("delete") {
			var doc struct {
				Objects []struct{ Key, VersionId string } `xml:"Object"`
			}
			xml.Unmarshal(d.r.PostBody(), &doc) //nolint:errcheck // the front end reads it, too
			for _, o := range doc.Objects[:min(len(doc.Objects), 1000)] {
				list = append(list, target{o.Key, o.VersionId})
			}
		}
	}
	if bucket, source := copySource(d.r); bucket == d.bucket {
		list = append(list, source)
	}
	return list
}

// copySource is where a request copies from.
func copySource(r *fasthttp.RequestCtx) (bucket string, t target) {
	source := string(r.Request.Header.Peek("X-Amz-Copy-Source"))
	if source == "" {
		return "", t
	}
	path, query, _ := strings.Cut(source, "?")
	path, _ = url.QueryUnescape(path)
	bucket, t.key, _ = strings.Cut(strings.TrimPrefix(path, "/"), "/")
	t.version = strings.TrimPrefix(query, "versionId=")
	return bucket, t
}

// decided is the policy that the front end is told.
func (d *decider) decided() []byte {
	type statement struct {
		Effect, Principal, Resource string
		Action                      []string
	}
	doc := struct{ Statement []statement }{[]statement{}}
	add := func(object bool, t target) {
		var allowed, denied []string
		for _, a := range policy.Actions() {
			if a.Object != object {
				continue
			}
			switch d.decide(a.Name, t.key, t.version) {
			case policy.Allowed:
				allowed = append(allowed, a.Name)
			case policy.Denied:
				denied = append(denied, a.Name)
			}
		}
		resource := "arn:aws:s3:::" + d.bucket
		if object {
			resource += "/" + t.key
		}
		if len(allowed) > 0 {
			doc.Statement = append(doc.Statement, statement{"Allow", "*", resource, d.known(allowed)})
		}
		if len(denied) > 0 {
			doc.Statement = append(doc.Statement, statement{"Deny", "*", resource, d.known(denied)})
		}
	}
	add(false, target{})
	for _, t := range d.targets() {
		add(true, t)
	}
	return []byte(asJSON(doc))
}

// known leaves out the actions that the front end does not know, and would not take; of what
// is left there is always some, or one that is never asked for.
func (d *decider) known(names []string) []string {
	known := []string{}
	for _, n := range names {
		if auth.Action(n).IsValid() == nil {
			known = append(known, n)
		}
	}
	if len(known) == 0 {
		return []string{string(auth.CreateBucketAction)}
	}
	return known
}

// GetBucketPolicy returns what has been decided about the request; that there is no policy
// where all else decides.
func (f *front) GetBucketPolicy(ctx context.Context, bucket string) ([]byte, error) {
	bucket = strings.Clone(bucket)
	set, err := f.settings(bucket)
	if err != nil {
		return nil, err
	}
	d := f.decider(ctx, bucket, set)
	bypass := d.r != nil && d.owner() && len(d.r.Request.Header.Peek("X-Amz-Bypass-Governance-Retention")) > 0 // the front end wants to see it allowed
	if d.policy == nil && !bypass {
		return nil, s3err.GetBucketErr(s3err.ErrNoSuchBucketPolicy, bucket)
	}
	if d.r == nil {
		return []byte(set[settingPolicy]), nil
	}
	return d.decided(), nil
}

// denied is the error of a request that the bucket's policy denies. The front end does not
// look at what it denies to administrators, nor at all that a request does.
func (f *front) denied(ctx context.Context, bucket string, set map[string]string) error {
	d := f.decider(ctx, bucket, set)
	if d.r == nil {
		return nil
	}
	if name, _, _ := strings.Cut(strings.TrimPrefix(string(d.r.Path()), "/"), "/"); name != bucket {
		return nil
	}
	if d.policy != nil {
		t := target{keyOf(d.r), string(d.r.QueryArgs().Peek("versionId"))}
		if fields, ok := d.r.UserValue(formValues).([]formField); ok {
			t.key = (&formData{fields: fields}).get("key")
		}
		for _, action := range actionsOf(d.r, t) {
			if d.decide(action, t.key, t.version) == policy.Denied {
				return d.refusal(action, t.key)
			}
		}
	}
	from, source := copySource(d.r)
	if from == "" || d.role != auth.RoleAdmin {
		return nil
	}
	if set, err := f.settings(from); err == nil {
		if of := f.decider(ctx, from, set); of.decide("s3:GetObject", source.key, source.version) == policy.Denied {
			return of.refusal("s3:GetObject", source.key)
		}
	}
	return nil
}

// refusal is the error of what a policy denies.
func (d *decider) refusal(action, key string) error {
	arn := "arn:aws:s3:::" + d.bucket
	if key != "" {
		arn += "/" + key
	}
	return s3err.GetExplicitDenyAccessErr(d.me, action, arn, "a resource-based policy")
}

// deletable parts what an administrator wants to delete from what the policy denies it.
func (f *front) deletable(ctx context.Context, bucket string, list []types.ObjectIdentifier) (rest []types.ObjectIdentifier, refused []types.Error) {
	set, err := f.settings(bucket)
	d := f.decider(ctx, bucket, set)
	if err != nil || d.policy == nil || d.role != auth.RoleAdmin {
		return list, nil
	}
	for _, o := range list {
		key, version, action := str(o.Key), str(o.VersionId), "s3:DeleteObject"
		if version != "" {
			action = "s3:DeleteObjectVersion"
		}
		if d.decide(action, key, version) == policy.Denied {
			refused = append(refused, types.Error{Key: &key, VersionId: ptr(version), Code: ptr("AccessDenied"), Message: ptr("Access Denied")})
			continue
		}
		rest = append(rest, o)
	}
	return rest, refused
}

// mayList tells whether who asks may see which keys there are in a bucket.
func (f *front) mayList(ctx context.Context, bucket string) bool {
	set, err := f.settings(bucket)
	return err == nil && f.decider(ctx, bucket, set).decide("s3:ListBucket", "", "") == policy.Allowed
}

// unseen makes of an error that an object is not there one that says no more than that it
// may not be had, to whom the bucket does not show its keys.
func (f *front) unseen(ctx context.Context, bucket string, err error) error {
	if errors.Is(err, s3err.GetAPIError(s3err.ErrNoSuchKey)) && !f.mayList(ctx, bucket) {
		return s3err.GetAPIError(s3err.ErrAccessDenied)
	}
	return err
}

// settingActions are the actions of requests with a parameter, on buckets by method.
var settingActions = map[string][3]string{ // GET, PUT, DELETE
	"accelerate": {"GetAccelerateConfiguration", "PutAccelerateConfiguration", ""}, "acl": {"GetBucketAcl", "PutBucketAcl", ""},
	"analytics": {"GetAnalyticsConfiguration", "PutAnalyticsConfiguration", "PutAnalyticsConfiguration"}, "cors": {"GetBucketCORS", "PutBucketCORS", "PutBucketCORS"},
	"encryption":          {"GetEncryptionConfiguration", "PutEncryptionConfiguration", "PutEncryptionConfiguration"},
	"intelligent-tiering": {"GetIntelligentTieringConfiguration", "PutIntelligentTieringConfiguration", "PutIntelligentTieringConfiguration"},
	"inventory":           {"GetInventoryConfiguration", "PutInventoryConfiguration", "PutInventoryConfiguration"},
	"lifecycle":           {"GetLifecycleConfiguration", "PutLifecycleConfiguration", "PutLifecycleConfiguration"},
	"location":            {"GetBucketLocation", "", ""}, "logging": {"GetBucketLogging", "PutBucketLogging", ""},
	"metrics": {"GetMetricsConfiguration", "PutMetricsConfiguration", "PutMetricsConfiguration"}, "notification": {"GetBucketNotification", "PutBucketNotification", ""},
	"object-lock":       {"GetBucketObjectLockConfiguration", "PutBucketObjectLockConfiguration", ""},
	"ownershipControls": {"GetBucketOwnershipControls", "PutBucketOwnershipControls", "PutBucketOwnershipControls"},
	"policy":            {"GetBucketPolicy", "PutBucketPolicy", "DeleteBucketPolicy"}, "policyStatus": {"GetBucketPolicyStatus", "", ""},
	"publicAccessBlock": {"GetBucketPublicAccessBlock", "PutBucketPublicAccessBlock", "PutBucketPublicAccessBlock"},
	"replication":       {"GetReplicationConfiguration", "PutReplicationConfiguration", "PutReplicationConfiguration"},
	"requestPayment":    {"GetBucketRequestPayment", "PutBucketRequestPayment", ""}, "tagging": {"GetBucketTagging", "PutBucketTagging", "PutBucketTagging"},
	"uploads": {"ListBucketMultipartUploads", "", ""}, "versioning": {"GetBucketVersioning", "PutBucketVersioning", ""}, "versions": {"ListBucketVersions", "", ""},
	"website": {"GetBucketWebsite", "PutBucketWebsite", "DeleteBucketWebsite"},
}

// actionsOf are what a request does to the bucket or key of its path, by its method and
// parameters. What is in its body is decided by those who read it.
func actionsOf(r *fasthttp.RequestCtx, t target) (list []string) {
	method, q := string(r.Method()), r.QueryArgs()
	at := slices.Index([]string{http.MethodGet, http.MethodPut, http.MethodDelete}, method)
	if t.key == "" {
		for _, name := range slices.Sorted(maps.Keys(settingActions)) {
			if a := settingActions[name]; q.Has(name) && at >= 0 && a[at] != "" {
				return []string{"s3:" + a[at]}
			}
		}
		switch {
		case method == http.MethodGet || method == http.MethodHead:
			return []string{"s3:ListBucket"}
		case method == http.MethodDelete:
			return []string{"s3:DeleteBucket"}
		}
		return nil
	}
	version := ""
	if t.version != "" {
		version = "Version"
	}
	add := func(names ...string) []string {
		for _, n := range names {
			list = append(list, "s3:"+n)
		}
		return list
	}
	switch verb := map[string]string{http.MethodGet: "Get", http.MethodHead: "Get", http.MethodPut: "Put", http.MethodDelete: "Delete"}[method]; {
	case q.Has("acl"):
		return add(verb + "Object" + version + "Acl")
	case q.Has("tagging"):
		return add(verb + "Object" + version + "Tagging")
	case q.Has("retention"):
		return add(verb + "ObjectRetention")
	case q.Has("legal-hold"):
		return add(verb + "ObjectLegalHold")
	case q.Has("attributes"):
		return add("GetObject"+version, "GetObject"+version+"Attributes")
	case q.Has("uploadId") && verb == "Get":
		return add("ListMultipartUploadParts")
	case q.Has("uploadId") && verb == "Delete":
		return add("AbortMultipartUpload")
	case q.Has("restore"):
		return add("RestoreObject")
	case verb == "Get", verb == "Delete":
		return add(verb + "Object" + version)
	}
	h := &r.Request.Header
	if add("PutObject"); len(h.Peek("X-Amz-Tagging")) > 0 {
		add("PutObjectTagging")
	}
	if len(h.Peek("X-Amz-Acl")) > 0 || slices.ContainsFunc(grantHeaders, func(g grantHeader) bool { return len(h.Peek(g.name)) > 0 }) {
		add("PutObjectAcl")
	}
	if len(h.Peek("X-Amz-Object-Lock-Legal-Hold")) > 0 {
		add("PutObjectLegalHold")
	}
	if len(h.Peek("X-Amz-Object-Lock-Mode")) > 0 {
		add("PutObjectRetention")
	}
	return list
}

// signedAs is the user value with how a request was signed, where it was signed anew.
const signedAs = "wattle-signed-as"

// A signing is how a request was signed.
type signing struct{ version, kind string }

func signingOf(r *fasthttp.RequestCtx) signing {
	switch s, ok := r.UserValue(signedAs).(signing); {
	case ok:
		return s
	case r.UserValue(formValues) != nil:
		return signing{"AWS4-HMAC-SHA256", "POST"}
	case r.QueryArgs().Has("X-Amz-Signature"):
		return signing{"AWS4-HMAC-SHA256", "REST-QUERY-STRING"}
	case len(r.Request.Header.Peek("Authorization")) > 0:
		return signing{"AWS4-HMAC-SHA256", "REST-HEADER"}
	}
	return signing{}
}

// values are those of condition keys that a request has.
func (d *decider) values(action, key, version string) func(string) []string {
	if d.r == nil {
		return func(string) []string { return nil }
	}
	h, q := &d.r.Request.Header, d.r.QueryArgs()
	fields, form := d.r.UserValue(formValues).([]formField)
	header := func(name string) string {
		if form {
			return (&formData{fields: fields}).get(name)
		}
		return string(h.Peek(name))
	}
	one := func(s string) []string {
		if s == "" {
			return nil
		}
		return []string{s}
	}
	has := func(name, value string) []string {
		if !q.Has(name) {
			return nil
		}
		return []string{value}
	}
	return func(name string) []string {
		name, tag, _ := strings.Cut(name, "/")
		switch name {
		case "aws:currenttime":
			return one(time.Now().UTC().Format(time.RFC3339))
		case "aws:epochtime":
			return one(strconv.FormatInt(time.Now().Unix(), 10))
		case "aws:securetransport":
			return one(strconv.FormatBool(d.r.IsTLS()))
		case "aws:sourceip":
			return one(d.r.RemoteIP().String())
		case "aws:useragent":
			return one(string(h.UserAgent()))
		case "aws:referer":
			return one(string(h.Referer()))
		case "aws:username", "aws:userid", "aws:principalaccount":
			return one(d.me)
		case "aws:principalarn":
			if d.me == "" {
				return nil
			}
			return one("arn:aws:iam:::user/" + d.me)
		case "aws:principaltype":
			if d.me == "" {
				return one("Anonymous")
			}
			return one("User")
		case "s3:authtype":
			return one(signingOf(d.r).kind)
		case "s3:signatureversion":
			return one(signingOf(d.r).version)
		case "s3:signatureage":
			if at, err := time.Parse(amzTime, string(q.Peek("X-Amz-Date"))); err == nil {
				return one(strconv.FormatInt(time.Since(at).Milliseconds(), 10))
			}
		case "s3:tlsversion":
			if s := d.r.TLSConnectionState(); s != nil {
				return one(map[uint16]string{0x301: "1.0", 0x302: "1.1", 0x303: "1.2", 0x304: "1.3"}[s.Version])
			}
		case "s3:prefix", "s3:delimiter", "s3:max-keys":
			return has(name[3:], string(q.Peek(name[3:])))
		case "s3:versionid":
			return one(version)
		case "s3:existingobjecttag":
			if o := d.object(key, version); o != nil {
				return one(o.Tags[tag])
			}
		case "s3:requestobjecttag":
			return d.requestTags(header)[tag]
		case "s3:requestobjecttagkeys":
			return slices.Sorted(maps.Keys(d.requestTags(header)))
		case "s3:x-amz-copy-source":
			if bucket, source := copySource(d.r); bucket != "" { // it is written in both ways, in requests and in policies
				return []string{"/" + bucket + "/" + source.key, bucket + "/" + source.key}
			}
		case "s3:x-amz-acl":
			if form {
				return one(header("acl"))
			}
			return one(header("x-amz-acl"))
		case "s3:object-lock-mode", "s3:object-lock-retain-until-date", "s3:object-lock-legal-hold":
			return one(header("x-amz-" + name[3:]))
		case "s3:object-lock-remaining-retention-days":
			if until, err := time.Parse(time.RFC3339, header("x-amz-object-lock-retain-until-date")); err == nil {
				return one(strconv.Itoa(int(time.Until(until) / (24 * time.Hour))))
			}
		case "s3:if-match", "s3:if-none-match":
			return one(header(name[3:]))
		default:
			if strings.HasPrefix(name, "s3:x-amz-") {
				return one(header(name[3:]))
			}
		}
		return nil
	}
}

// requestTags are the tags that a request gives to an object.
func (d *decider) requestTags(header func(string) string) map[string][]string {
	tags := map[string][]string{}
	if text := header("x-amz-tagging"); text != "" {
		if v, err := url.ParseQuery(text); err == nil {
			return v
		}
	}
	text := []byte(header("tagging"))
	if d.r.QueryArgs().Has("tagging") && d.r.IsPut() {
		text = d.r.PostBody()
	}
	var doc struct {
		Tags []struct{ Key, Value string } `xml:"TagSet>Tag"`
	}
	if len(text) > 0 && xml.Unmarshal(text, &doc) == nil {
		for _, t := range doc.Tags {
			tags[t.Key] = []string{t.Value}
		}
	}
	return tags
}

// isPolicy tells whether a request is about a bucket's policy.
func isPolicy(c fiber.Ctx) bool {
	q := c.Request().URI().QueryArgs()
	return isBucketPath(c) && (q.Has("policy") && isSetting(c.Method()) || q.Has("policyStatus") && c.Method() == http.MethodGet)
}

func isBucketPath(c fiber.Ctx) bool {
	path := strings.Trim(c.Path(), "/")
	return path != "" && !strings.Contains(path, "/")
}

func isSetting(method string) bool {
	return method == http.MethodGet || method == http.MethodPut || method == http.MethodDelete
}

// policy answers GET, PUT and DELETE of policies, and whether one is public. A bucket's owner
// and administrators may always see and replace it, whatever it says of them.
func (s *Server) policy(c fiber.Ctx) error {
	f := s.front
	bucket, set, err := s.setting(c)
	if err != nil {
		return err
	}
	text, ok := set[settingPolicy]
	switch {
	case c.Method() == http.MethodPut:
		c.Status(http.StatusNoContent)
		return f.replacePolicy(bucket, set, c.Body())
	case c.Method() == http.MethodDelete:
		c.Status(http.StatusNoContent)
		return f.unset(bucket, settingPolicy)
	case !ok:
		return s3err.GetBucketErr(s3err.ErrNoSuchBucketPolicy, bucket)
	case c.Request().URI().QueryArgs().Has("policyStatus"):
		return sendXML(c, struct {
			XMLName  xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ PolicyStatus"`
			IsPublic bool
		}{IsPublic: f.policies.of(bucket, set).Public()})
	}
	c.Response().Header.SetContentType(fiber.MIMEApplicationJSON)
	return c.SendString(text)
}

// replacePolicy takes the policy of a bucket.
func (f *front) replacePolicy(bucket string, set map[string]string, body []byte) error {
	p, err := policy.Parse(body, bucket, func(access string) (bool, error) {
		missing, err := accounts{f}.ResolveAccounts([]string{access})
		return len(missing) == 0, err
	})
	var malformed policy.Error
	switch {
	case errors.As(err, &malformed):
		return invalid("MalformedPolicy", "%s", string(malformed))
	case err != nil:
		return err
	case blockOf(set).BlockPublicPolicy && p.Public():
		return s3err.GetAPIError(s3err.ErrAccessDenied)
	}
	return f.set(bucket, settingPolicy, body)
}

func sendXML(c fiber.Ctx, v any) error {
	out, err := xml.Marshal(v)
	if err != nil {
		return err
	}
	c.Response().Header.SetContentType(fiber.MIMEApplicationXML)
	return c.Send(append([]byte(xml.Header), out...))
}
