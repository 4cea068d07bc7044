package gateway

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/gofiber/fiber/v3"
	"github.com/valyala/fasthttp"
	"github.com/versity/versitygw/auth"
	"github.com/versity/versitygw/s3api/middlewares"
	"github.com/versity/versitygw/s3api/utils"
	"github.com/versity/versitygw/s3err"

	"github.com/wattle-storage/wattle/cluster"
	"github.com/wattle-storage/wattle/gateway/policy"
)

// The front end knows access control lists of buckets only, and lets them say who reads the
// objects in them. Here the lists are read, kept and told as S3 does, of buckets and of
// objects; the front end decides by them. What it asks for as the bucket's list is the one
// that its request is about: for a read of an object, the object's.

// Groups of grantees, as the front end names the first and S3 names them.
const (
	allUsers           = "all-users"
	authenticatedUsers = "authenticated-users"
	logDelivery        = "log-delivery"
)

var groupURI = map[string]string{
	allUsers:           "http://acs.amazonaws.com/groups/global/AllUsers",
	authenticatedUsers: "http://acs.amazonaws.com/groups/global/AuthenticatedUsers",
	logDelivery:        "http://acs.amazonaws.com/groups/s3/LogDelivery",
}

// maxGrants bounds a list.
const maxGrants = 100

// A grantHeader is a header that grants a permission.
type grantHeader struct {
	name       string
	permission auth.Permission
}

var grantHeaders = []grantHeader{
	{"X-Amz-Grant-Full-Control", auth.PermissionFullControl}, {"X-Amz-Grant-Read", auth.PermissionRead}, {"X-Amz-Grant-Read-Acp", auth.PermissionReadAcp},
	{"X-Amz-Grant-Write", auth.PermissionWrite}, {"X-Amz-Grant-Write-Acp", auth.PermissionWriteAcp},
}

func user(access string, p auth.Permission) auth.Grantee {
	return auth.Grantee{Access: access, Permission: p, Type: types.TypeCanonicalUser}
}

func group(name string, p auth.Permission) auth.Grantee {
	return auth.Grantee{Access: name, Permission: p, Type: types.TypeGroup}
}

// owned is the list of what nobody but its owner may use.
func owned(owner string) auth.ACL {
	return auth.ACL{Owner: owner, Grantees: []auth.Grantee{user(owner, auth.PermissionFullControl)}}
}

// enforced tells whether a bucket was said to take no lists.
func enforced(set map[string]string) bool {
	return set[settingOwnership] == string(types.ObjectOwnershipBucketOwnerEnforced)
}

// bucketACL is a bucket's list.
func (f *front) bucketACL(set map[string]string) auth.ACL {
	acl, err := auth.ParseACL([]byte(set[settingACL]))
	if err != nil || set[settingACL] == "" || enforced(set) {
		return owned(f.ownerOf(set))
	}
	if acl.Owner == "" {
		acl.Owner = f.root
	}
	return acl
}

// objectACL is an object's list; one without belongs to its bucket's owner.
func (f *front) objectACL(set map[string]string, o cluster.Object) auth.ACL {
	acl, err := auth.ParseACL([]byte(o.ACL))
	if err != nil || o.ACL == "" || enforced(set) {
		return owned(f.ownerOf(set))
	}
	return acl
}

// GetBucketAcl returns the list that decides about a request: for a read of an object by
// another than its bucket's owner the object's, else the bucket's.
func (f *front) GetBucketAcl(ctx context.Context, in *s3.GetBucketAclInput) ([]byte, error) {
	bucket := str(in.Bucket)
	set, err := f.settings(bucket)
	if err != nil {
		return nil, err
	}
	if err := f.denied(ctx, bucket, set); err != nil {
		return nil, err
	}
	acl, me := f.bucketACL(set), who(ctx)
	if r := request(ctx); r != nil {
		key, version := readBy(r, bucket)
		switch {
		case me == acl.Owner && (key != "" || !writesObject(r)):
			acl.Grantees = append(acl.Grantees, user(me, auth.PermissionFullControl))
		case key != "" && !enforced(set):
			o, err := f.store.Head(f.ctx, bucket, key, version)
			if err == nil {
				acl.Grantees = f.objectACL(set, o).Grantees
			}
		}
	}
	acl.Grantees = effective(blockOf(set).of(acl).Grantees, me)
	return []byte(asJSON(acl)), nil
}

// readBy is the object of a bucket that a request reads, as what it asks for or as the
// source of a copy.
func readBy(r *fasthttp.RequestCtx, bucket string) (key, version string) {
	q := r.QueryArgs()
	if source := r.Request.Header.Peek("X-Amz-Copy-Source"); len(source) > 0 {
		if r.UserValue(utils.ContextKeyParsedAcl) == nil && r.UserValue(string(utils.ContextKeyParsedAcl)) == nil {
			return "", "" // the front end asks for where it is copied to first
		}
		path, query, _ := strings.Cut(string(source), "?")
		path, _ = url.QueryUnescape(path)
		b, k, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
		if b != bucket {
			return "", ""
		}
		return k, strings.TrimPrefix(query, "versionId=")
	}
	if !r.IsGet() && !r.IsHead() || q.Has("uploadId") {
		return "", ""
	}
	return keyOf(r), string(q.Peek("versionId"))
}

// keyOf is the key of a request's path.
func keyOf(r *fasthttp.RequestCtx) string {
	path, err := url.PathUnescape(string(r.URI().PathOriginal()))
	if err != nil {
		return ""
	}
	_, key, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return key
}

// writesObject tells whether a request writes an object, for which its bucket's owner too
// needs a grant.
func writesObject(r *fasthttp.RequestCtx) bool {
	return (r.IsPut() || r.IsPost() || r.IsDelete()) && keyOf(r) != "" && len(r.QueryArgs().QueryString()) == 0
}

// effective says in the front end's words what grants mean for a user: those of its groups
// are its own, and full control is all of the others.
func effective(grants []auth.Grantee, me string) []auth.Grantee {
	out := []auth.Grantee{}
	for _, g := range grants {
		switch {
		case g.Type == types.TypeGroup && g.Access == authenticatedUsers && me != "":
			out = append(out, user(me, g.Permission))
		case g.Type == types.TypeGroup && g.Access == allUsers && g.Permission == auth.PermissionFullControl:
			for _, h := range grantHeaders[1:] {
				out = append(out, group(allUsers, h.permission))
			}
		default:
			out = append(out, g)
		}
	}
	return out
}

// canned makes the list that a name stands for.
func canned(name, owner, bucketOwner string) (auth.ACL, error) {
	acl := owned(owner)
	add := func(g ...auth.Grantee) { acl.Grantees = append(acl.Grantees, g...) }
	switch name {
	case "private", "aws-exec-read":
	case "public-read":
		add(group(allUsers, auth.PermissionRead))
	case "public-read-write":
		add(group(allUsers, auth.PermissionRead), group(allUsers, auth.PermissionWrite))
	case "authenticated-read":
		add(group(authenticatedUsers, auth.PermissionRead))
	case "log-delivery-write":
		add(group(logDelivery, auth.PermissionWrite), group(logDelivery, auth.PermissionReadAcp))
	case "bucket-owner-read":
		if owner != bucketOwner {
			add(user(bucketOwner, auth.PermissionRead))
		}
	case "bucket-owner-full-control":
		if owner != bucketOwner {
			add(user(bucketOwner, auth.PermissionFullControl))
		}
	default:
		return acl, s3err.GetInvalidArgumentErr(s3err.InvalidArgCannedAcl, name)
	}
	return acl, nil
}

// grantee reads one of a grant header: id="…", uri="…", emailAddress="…" or an access key.
func (f *front) grantee(s string, p auth.Permission) (auth.Grantee, error) {
	kind, value, ok := strings.Cut(strings.TrimSpace(s), "=")
	if !ok {
		kind, value = "id", kind
	}
	value = strings.Trim(strings.TrimSpace(value), `"`)
	switch strings.ToLower(strings.TrimSpace(kind)) {
	case "id":
		return f.granteeUser(value, p)
	case "uri":
		return granteeGroup(value, p)
	case "emailaddress":
		return auth.Grantee{}, errNoEmail()
	}
	return auth.Grantee{}, s3err.APIError{Code: "InvalidArgument", HTTPStatusCode: http.StatusBadRequest, Description: "Argument format not recognized: " + s}
}

func errNoEmail() error {
	return s3err.APIError{Code: "UnresolvableGrantByEmailAddress", HTTPStatusCode: http.StatusBadRequest, Description: "The e-mail address you provided does not match any account on record."}
}

func errInvalidID() error {
	return s3err.APIError{Code: "InvalidArgument", HTTPStatusCode: http.StatusBadRequest, Description: "Invalid id"}
}

func (f *front) granteeUser(id string, p auth.Permission) (auth.Grantee, error) {
	id = strings.Clone(id)
	if id != f.root {
		if _, err := (accounts{f}).GetUserAccount(id); errors.Is(err, auth.ErrNoSuchUser) {
			return auth.Grantee{}, errInvalidID()
		} else if err != nil {
			return auth.Grantee{}, err
		}
	}
	return user(id, p), nil
}

func granteeGroup(uri string, p auth.Permission) (auth.Grantee, error) {
	for name, u := range groupURI {
		if u == uri {
			return group(name, p), nil
		}
	}
	return auth.Grantee{}, s3err.APIError{Code: "InvalidArgument", HTTPStatusCode: http.StatusBadRequest, Description: "Invalid group uri"}
}

// headerACL is the list that a request's headers ask for; nil when they ask for none.
func (f *front) headerACL(h *fasthttp.RequestHeader, owner, bucketOwner string) (*auth.ACL, error) {
	name := string(h.Peek("X-Amz-Acl"))
	acl := auth.ACL{Owner: owner}
	for _, g := range grantHeaders {
		v := string(h.Peek(g.name))
		if v == "" {
			continue
		}
		if name != "" {
			return nil, s3err.GetAPIError(s3err.ErrBothCannedAndHeaderGrants)
		}
		for _, s := range strings.Split(v, ",") {
			who, err := f.grantee(s, g.permission)
			if err != nil {
				return nil, err
			}
			acl.Grantees = append(acl.Grantees, who)
		}
	}
	switch {
	case name != "":
		acl, err := canned(name, owner, bucketOwner)
		return &acl, err
	case len(acl.Grantees) > 0:
		return &acl, nil
	}
	return nil, nil
}

// granteeKinds are the types of grantees, and which of their elements each has.
var granteeKinds = map[string]func(e aclElement) string{
	"CanonicalUser":         func(e aclElement) string { return e.Grantee.ID },
	"Group":                 func(e aclElement) string { return e.Grantee.URI },
	"AmazonCustomerByEmail": func(e aclElement) string { return e.Grantee.Email },
}

// An aclDocument is a list in XML.
type aclDocument struct {
	XMLName xml.Name     `xml:"AccessControlPolicy"`
	Owner   *aclOwner    `xml:"Owner"`
	Grants  []aclElement `xml:"AccessControlList>Grant"`
}

type aclOwner struct {
	ID          string
	DisplayName string `xml:",omitempty"`
}

type aclElement struct {
	Grantee struct {
		Namespace   string `xml:"xmlns:xsi,attr,omitempty"`
		Type        string `xml:"xsi:type,attr,omitempty"`
		ID          string `xml:",omitempty"`
		DisplayName string `xml:",omitempty"`
		URI         string `xml:",omitempty"`
		Email       string `xml:"EmailAddress,omitempty"`
	}
	Permission auth.Permission
}

// documentACL reads a list in XML. Its owner cannot be another than it was.
func (f *front) documentACL(body []byte, owner string) (*auth.ACL, error) {
	var doc aclDocument
	var kinds struct {
		Grants []struct {
			Grantee struct {
				Type *string `xml:"http://www.w3.org/2001/XMLSchema-instance type,attr"`
			}
		} `xml:"AccessControlList>Grant"`
	}
	malformed := s3err.GetAPIError(s3err.ErrMalformedACL)
	if xml.Unmarshal(body, &doc) != nil || xml.Unmarshal(body, &kinds) != nil || doc.Owner == nil || doc.Owner.ID == "" || len(doc.Grants) > maxGrants {
		return nil, malformed
	}
	if doc.Owner.ID != owner {
		return nil, errInvalidID()
	}
	acl := auth.ACL{Owner: owner}
	for i, e := range doc.Grants {
		if kind := kinds.Grants[i].Grantee.Type; kind != nil && (granteeKinds[*kind] == nil || granteeKinds[*kind](e) == "") {
			return nil, malformed
		}
		if !slices.ContainsFunc(grantHeaders, func(h grantHeader) bool { return h.permission == e.Permission }) {
			return nil, malformed
		}
		var g auth.Grantee
		var err error
		switch {
		case e.Grantee.Email != "":
			err = errNoEmail()
		case e.Grantee.URI != "":
			g, err = granteeGroup(e.Grantee.URI, e.Permission)
		case e.Grantee.ID != "":
			g, err = f.granteeUser(e.Grantee.ID, e.Permission)
		default:
			err = malformed
		}
		if err != nil {
			return nil, err
		}
		acl.Grantees = append(acl.Grantees, g)
	}
	return &acl, nil
}

// aclXML writes a list, groups first.
func aclXML(acl auth.ACL) ([]byte, error) {
	doc := aclDocument{XMLName: xml.Name{Space: "http://s3.amazonaws.com/doc/2006-03-01/", Local: "AccessControlPolicy"}, Owner: &aclOwner{acl.Owner, acl.Owner}}
	for _, groups := range []bool{true, false} {
		for _, g := range acl.Grantees {
			if (g.Type == types.TypeGroup) != groups {
				continue
			}
			e := aclElement{Permission: g.Permission}
			e.Grantee.Namespace, e.Grantee.Type = "http://www.w3.org/2001/XMLSchema-instance", string(g.Type)
			if groups {
				e.Grantee.URI = groupURI[g.Access]
			} else {
				e.Grantee.ID, e.Grantee.DisplayName = g.Access, g.Access
			}
			doc.Grants = append(doc.Grants, e)
		}
	}
	out, err := xml.Marshal(doc)
	return append([]byte(xml.Header), out...), err
}

// putACL is the list that a request which makes an object gives to it, "" when that is the
// bucket owner's alone.
func (f *front) putACL(ctx context.Context, bucket string) (string, error) {
	r := request(ctx)
	if r == nil {
		return "", nil
	}
	set, err := f.settings(bucket)
	if err != nil {
		return "", err
	}
	bucketOwner, me := f.ownerOf(set), account(ctx)
	owner := strings.Clone(me.Access)
	if owner == "" || me.Role == auth.RoleAdmin {
		owner = bucketOwner
	}
	name, _ := r.UserValue(formACL).(string)
	if h := &r.Request.Header; name == "" && len(h.Peek("X-Amz-Acl")) > 0 {
		name = string(h.Peek("X-Amz-Acl"))
	}
	var acl *auth.ACL
	switch {
	case r.UserValue(formACL) != nil:
		var made auth.ACL
		made, err = canned(name, owner, bucketOwner)
		acl = &made
	default:
		acl, err = f.headerACL(&r.Request.Header, owner, bucketOwner)
	}
	switch {
	case err != nil:
		return "", err
	case blockOf(set).refuses(acl) != nil:
		return "", blockOf(set).refuses(acl)
	case enforced(set) && acl != nil && name != "private" && name != "bucket-owner-full-control":
		return "", s3err.GetAPIError(s3err.ErrAclNotSupported)
	case enforced(set), owner == bucketOwner && (acl == nil || name == "private"),
		name == "bucket-owner-full-control" && set[settingOwnership] == string(types.ObjectOwnershipBucketOwnerPreferred):
		return "", nil
	case acl == nil:
		acl = new(auth.ACL)
		*acl = owned(owner)
	}
	return asJSON(acl), nil
}

// isACL tells whether a request is about the list of a bucket or an object.
func isACL(c fiber.Ctx) bool {
	return c.Request().URI().QueryArgs().Has("acl") && len(strings.Trim(c.Path(), "/")) > 0 && (c.Method() == http.MethodGet || c.Method() == http.MethodPut)
}

// acl answers GET and PUT of lists.
func (s *Server) acl(c fiber.Ctx) error {
	f := s.front
	if err := middlewares.DecodeURL(c); err != nil {
		return s3err.GetAPIError(s3err.ErrInvalidURI)
	}
	bucket, key, _ := strings.Cut(strings.TrimPrefix(strings.Clone(c.Path()), "/"), "/")
	about := subject{bucket: bucket, key: key, version: string(c.Request().URI().QueryArgs().Peek("versionId"))}
	set, err := f.settings(bucket)
	if err != nil {
		if e := s.authenticate(c); e != nil {
			return e
		}
		return err
	}
	acl := f.bucketACL(set)
	if key != "" {
		o, err := f.store.Head(f.ctx, bucket, key, about.version)
		if err != nil {
			if e := s.mayACL(c, about, set, ""); e != nil {
				return e
			}
			return f.unseen(c.RequestCtx(), bucket, f.fail(err, about))
		}
		acl = f.objectACL(set, o)
	}
	if err := s.mayACL(c, about, set, acl.Owner); err != nil {
		return err
	}
	if want := c.Get("X-Amz-Expected-Bucket-Owner"); want != "" && want != f.ownerOf(set) {
		return s3err.GetAPIError(s3err.ErrAccessDenied)
	}
	if c.Method() == http.MethodPut {
		return s.replaceACL(c, about, set, acl.Owner)
	}
	out, err := aclXML(acl)
	if err != nil {
		return err
	}
	c.Response().Header.SetContentType(fiber.MIMEApplicationXML)
	return c.Send(out)
}

// authenticate checks the signature of a request that is answered here.
func (s *Server) authenticate(c fiber.Ctx) error {
	key := middlewares.RootUserConfig{Access: s.o.Root.Access, Secret: s.o.Root.Secret}
	utils.ContextKeyRegion.Set(c, s.o.Region)
	utils.ContextKeyIsRoot.Set(c, false)
	utils.ContextKeyAccount.Set(c, auth.Account{})
	if c.Get("Authorization") == "" && !utils.IsPresignedURLAuth(c) {
		return nil
	}
	if err := middlewares.VerifyPresignedV4Signature(key, accounts{s.front}, s.o.Region, false)(c); err != nil {
		return err
	}
	return middlewares.VerifyV4Signature(key, accounts{s.front}, s.o.Region, false, false, true)(c)
}

// mayACL tells whether who sent a request may see or change a list: its owner may, the
// bucket's owner, and whom the list or the bucket's policy lets.
func (s *Server) mayACL(c fiber.Ctx, about subject, set map[string]string, owner string) error {
	if err := s.authenticate(c); err != nil {
		return err
	}
	d := s.front.decider(c.RequestCtx(), about.bucket, set)
	if d.me == "" && c.Method() == http.MethodPut {
		return s3err.GetAPIError(s3err.ErrAnonymousRequest)
	}
	decision := policy.Undecided
	for _, action := range actionsOf(d.r, target{about.key, about.version}) {
		decision = d.decide(action, about.key, about.version)
	}
	if decision == policy.Allowed || decision == policy.Undecided && d.me != "" && d.me == owner {
		return nil
	}
	return s3err.GetAPIError(s3err.ErrAccessDenied)
}

// replaceACL takes the list of a request, which its headers or its body give.
func (s *Server) replaceACL(c fiber.Ctx, about subject, set map[string]string, owner string) error {
	f, body := s.front, bytes.TrimSpace(c.Body())
	if enforced(set) {
		return s3err.GetAPIError(s3err.ErrAclNotSupported)
	}
	acl, err := f.headerACL(&c.Request().Header, owner, f.ownerOf(set))
	switch {
	case len(body) > 0 && (acl != nil || err != nil):
		return s3err.GetAPIError(s3err.ErrUnexpectedContent)
	case err != nil:
		return err
	case acl == nil && len(body) == 0:
		return s3err.GetAPIError(s3err.ErrMissingSecurityHeader)
	case acl == nil:
		if acl, err = f.documentACL(body, owner); err != nil {
			return err
		}
	}
	if err := blockOf(set).refuses(acl); err != nil {
		return err
	}
	if about.key == "" {
		return f.set(about.bucket, settingACL, []byte(asJSON(acl)))
	}
	return f.fail(f.store.SetACL(f.ctx, about.bucket, about.key, about.version, asJSON(acl)), about)
}

// making is the user value with what the front end is not told of a bucket to make.
const making = "wattle-new-bucket"

// A bucketMaking is what a request to make a bucket says of lists.
type bucketMaking struct {
	acl       *auth.ACL
	ownership string // as it was said, "" for nothing
}

// permitACL lets a bucket be made with any list: the front end knows some, and refuses all
// unless the request also says that lists are used. It is signed anew without.
func (s *Server) permitACL(c fiber.Ctx) error {
	path := strings.Trim(c.Path(), "/")
	h := &c.Request().Header
	if c.Method() != http.MethodPut || path == "" || strings.Contains(path, "/") || len(c.Request().URI().QueryString()) > 0 {
		return nil
	}
	m := &bucketMaking{ownership: string(h.Peek("X-Amz-Object-Ownership"))}
	c.RequestCtx().SetUserValue(making, m)
	names := []string{"X-Amz-Acl"}
	for _, g := range grantHeaders {
		names = append(names, g.name)
	}
	if !slices.ContainsFunc(names, func(n string) bool { return len(h.Peek(n)) > 0 }) || c.Get("Authorization") == "" {
		return nil
	}
	if err := s.authenticate(c); err != nil {
		return err
	}
	me, _ := utils.ContextKeyAccount.Get(c).(auth.Account)
	acl, err := s.front.headerACL(h, strings.Clone(me.Access), strings.Clone(me.Access))
	switch private := string(h.Peek("X-Amz-Acl")) == "private"; {
	case err != nil:
		return err
	case m.ownership == string(types.ObjectOwnershipBucketOwnerEnforced) && !private:
		return s3err.GetAPIError(s3err.ErrInvalidBucketAclWithObjectOwnership)
	}
	for _, n := range names {
		h.Del(n)
	}
	m.acl = acl
	s.signAnew(c, me.Access, me.Secret)
	return nil
}

// madeWith is the list and the ownership of a bucket that a request makes; listed and said
// are those that the front end hands over.
func madeWith(ctx context.Context, said types.ObjectOwnership, listed []byte) (acl, ownership string) {
	acl, ownership = string(listed), strings.Clone(string(said))
	r := request(ctx)
	if r == nil {
		return acl, ownership
	}
	if m, ok := r.UserValue(making).(*bucketMaking); ok {
		ownership = m.ownership
		if m.acl != nil {
			acl = asJSON(m.acl)
		}
	}
	return acl, ownership
}
