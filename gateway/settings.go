package gateway

import (
	"encoding/json"
	"encoding/xml"
	"net/http"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/gofiber/fiber/v3"
	"github.com/versity/versitygw/auth"
	"github.com/versity/versitygw/s3api/middlewares"
	"github.com/versity/versitygw/s3err"

	"github.com/wattle-storage/wattle/gateway/policy"
)

// setting lets a request for a setting of a bucket in, and returns the bucket and its
// settings: one that is signed, whole, and of who may.
func (s *Server) setting(c fiber.Ctx) (bucket string, set map[string]string, err error) {
	f := s.front
	bucket = strings.Clone(strings.Trim(c.Path(), "/"))
	if err := s.authenticate(c); err != nil {
		return bucket, nil, err
	}
	if err := middlewares.VerifyChecksums(false, false, false)(c); err != nil {
		return bucket, nil, err
	}
	if set, err = f.settings(bucket); err != nil {
		return bucket, nil, err
	}
	if want := c.Get("X-Amz-Expected-Bucket-Owner"); want != "" && want != f.ownerOf(set) {
		return bucket, nil, s3err.GetAPIError(s3err.ErrAccessDenied)
	}
	return bucket, set, f.maySet(c, bucket, set)
}

// maySet tells whether who sent a request may see or change a setting of a bucket: its owner
// and administrators, unless the policy denies it; but nothing keeps those from the policy
// itself. Others whom the policy lets may see and change all but the policy.
func (f *front) maySet(c fiber.Ctx, bucket string, set map[string]string) error {
	d := f.decider(c.RequestCtx(), bucket, set)
	ours, about := d.owner() || d.role == auth.RoleAdmin, isPolicy(c) && c.Request().URI().QueryArgs().Has("policy")
	if ours && about {
		return nil
	}
	actions := actionsOf(c.RequestCtx(), target{})
	if len(actions) == 0 || slices.ContainsFunc(actions, func(a string) bool { return d.decide(a, "", "") != policy.Allowed }) {
		return s3err.GetAPIError(s3err.ErrAccessDenied)
	}
	if about {
		return s3err.GetMethodNotAllowedErr(c.Method(), s3err.ResourceTypeBucketPolicy, nil)
	}
	return nil
}

// settingBlock is the name of a bucket's block of public access among its settings.
const settingBlock = "public-access-block"

// A publicAccessBlock bounds what a bucket's lists and policy give to everyone.
type publicAccessBlock struct {
	XMLName               xml.Name `xml:"PublicAccessBlockConfiguration" json:"-"`
	BlockPublicAcls       bool     // refuses lists that are public
	IgnorePublicAcls      bool     // passes over what lists grant to groups of everyone
	BlockPublicPolicy     bool     // refuses a policy that is public
	RestrictPublicBuckets bool     // lets a public policy allow nothing to others than the owner
}

func blockOf(set map[string]string) (b publicAccessBlock) {
	if text := set[settingBlock]; text != "" {
		json.Unmarshal([]byte(text), &b) //nolint:errcheck // we wrote it
	}
	return b
}

func isPublicGrant(g auth.Grantee) bool {
	return g.Type == types.TypeGroup && (g.Access == allUsers || g.Access == authenticatedUsers)
}

// of is what is left of a list.
func (b publicAccessBlock) of(acl auth.ACL) auth.ACL {
	if b.IgnorePublicAcls {
		acl.Grantees = slices.DeleteFunc(slices.Clone(acl.Grantees), isPublicGrant)
	}
	return acl
}

// refuses tells that a list is public and may not be.
func (b publicAccessBlock) refuses(acl *auth.ACL) error {
	if acl != nil && b.BlockPublicAcls && slices.ContainsFunc(acl.Grantees, isPublicGrant) {
		return s3err.GetAPIError(s3err.ErrAccessDenied)
	}
	return nil
}

func isBlock(c fiber.Ctx) bool {
	return isBucketPath(c) && c.Request().URI().QueryArgs().Has("publicAccessBlock") && isSetting(c.Method())
}

// block answers GET, PUT and DELETE of a bucket's block of public access.
func (s *Server) block(c fiber.Ctx) error {
	bucket, set, err := s.setting(c)
	if err != nil {
		return err
	}
	switch _, ok := set[settingBlock]; {
	case c.Method() == http.MethodPut:
		var b publicAccessBlock
		if xml.Unmarshal(c.Body(), &b) != nil {
			return s3err.GetAPIError(s3err.ErrMalformedXML)
		}
		return s.front.set(bucket, settingBlock, []byte(asJSON(b)))
	case c.Method() == http.MethodDelete:
		c.Status(http.StatusNoContent)
		return s.front.unset(bucket, settingBlock)
	case !ok:
		return notFound("NoSuchPublicAccessBlockConfiguration", "The public access block configuration was not found")
	}
	b := blockOf(set)
	b.XMLName.Space = namespace
	return sendXML(c, b)
}

const namespace = "http://s3.amazonaws.com/doc/2006-03-01/"

func notFound(code, text string) error {
	return s3err.APIError{Code: code, Description: text, HTTPStatusCode: http.StatusNotFound}
}

// An absent is a setting of S3 that no bucket has here, and what S3 says of a bucket that
// does not have it.
type absent struct {
	element, content string // of the answer
	code, text       string // of the error, where it is one
	// off tells whether a document asks for what already is.
	off func(body []byte) bool
	// deletes tells whether S3 has a DELETE of it.
	deletes bool
}

var absents = map[string]absent{
	"requestPayment": {element: "RequestPaymentConfiguration", content: "<Payer>BucketOwner</Payer>", off: func(body []byte) bool {
		var doc struct {
			XMLName xml.Name `xml:"RequestPaymentConfiguration"`
			Payer   string
		}
		return xml.Unmarshal(body, &doc) == nil && doc.Payer == "BucketOwner"
	}},
	"accelerate":          {element: "AccelerateConfiguration"},
	"logging":             {element: "BucketLoggingStatus", off: func(body []byte) bool { return isEmptyElement(body, "BucketLoggingStatus") }},
	"notification":        {element: "NotificationConfiguration", off: func(body []byte) bool { return isEmptyElement(body, "NotificationConfiguration") }},
	"encryption":          {code: "ServerSideEncryptionConfigurationNotFoundError", text: "The server side encryption configuration was not found", deletes: true},
	"replication":         {code: "ReplicationConfigurationNotFoundError", text: "The replication configuration was not found", deletes: true},
	"analytics":           {element: "ListBucketAnalyticsConfigurationResult", content: "<IsTruncated>false</IsTruncated>"},
	"inventory":           {element: "ListInventoryConfigurationsResult", content: "<IsTruncated>false</IsTruncated>"},
	"metrics":             {element: "ListMetricsConfigurationsResult", content: "<IsTruncated>false</IsTruncated>"},
	"intelligent-tiering": {element: "ListBucketIntelligentTieringConfigurationsOutput", content: "<IsTruncated>false</IsTruncated>"},
}

// isEmptyElement tells whether a document is one element with nothing in it.
func isEmptyElement(body []byte, name string) bool {
	var doc struct {
		XMLName xml.Name
		Inside  []struct{} `xml:",any"`
	}
	return xml.Unmarshal(body, &doc) == nil && doc.XMLName.Local == name && len(doc.Inside) == 0
}

// absentOf is the name of the setting that a request is about, if it is one of those.
func absentOf(c fiber.Ctx) string {
	if !isBucketPath(c) || !isSetting(c.Method()) {
		return ""
	}
	for name := range c.Request().URI().QueryArgs().All() {
		if _, ok := absents[string(name)]; ok {
			return string(name)
		}
	}
	return ""
}

// absent answers requests for a setting that no bucket has: as S3 does of a bucket without,
// and that it is not implemented where it would be switched on.
func (s *Server) absent(c fiber.Ctx, name string) error {
	if _, _, err := s.setting(c); err != nil {
		return err
	}
	a, one := absents[name], c.Request().URI().QueryArgs().Has("id")
	switch c.Method() {
	case http.MethodPut:
		if a.off != nil && a.off(c.Body()) {
			return nil
		}
		return s3err.GetAPIError(s3err.ErrNotImplemented)
	case http.MethodDelete:
		switch {
		case one:
			return notFound("NoSuchConfiguration", "The specified configuration does not exist.")
		case !a.deletes:
			return s3err.GetAPIError(s3err.ErrNotImplemented)
		}
		c.Status(http.StatusNoContent)
		return nil
	}
	switch {
	case a.code != "":
		return notFound(a.code, a.text)
	case one:
		return notFound("NoSuchConfiguration", "The specified configuration does not exist.")
	}
	c.Response().Header.SetContentType(fiber.MIMEApplicationXML)
	return c.SendString(xml.Header + "<" + a.element + ` xmlns="` + namespace + `">` + a.content + "</" + a.element + ">")
}
