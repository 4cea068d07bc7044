package gateway

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gofiber/fiber/v3"
	"github.com/valyala/fasthttp"
	"github.com/versity/versitygw/auth"
	"github.com/versity/versitygw/s3err"
)

// Some clients still sign as S3 did before version 4, when they make URLs and forms above
// all. A request with a right signature of version 2 gets one of version 4 in its place,
// which the front end then checks.

// amzTime is how X-Amz-Date is written.
const amzTime = "20060102T150405Z"

// maxSkew is how far a request's time may be from ours.
const maxSkew = 15 * time.Minute

// version2Sub are the parameters of a query that a signature of version 2 covers, beside
// those that override headers of the answer.
var version2Sub = []string{"accelerate", "acl", "analytics", "cors", "defaultObjectAcl", "delete", "inventory", "lifecycle", "location", "logging", "metrics",
	"notification", "object-lock", "partNumber", "policy", "replication", "requestPayment", "restore", "select", "select-type", "storageClass", "tagging",
	"torrent", "uploadId", "uploads", "versionId", "versioning", "versions", "website"}

// equalVersion2 tells whether value is the signature of text.
func equalVersion2(secret, text, value string) bool {
	m := hmac.New(sha1.New, []byte(secret))
	m.Write([]byte(text))
	got, err := base64.StdEncoding.DecodeString(value)
	return err == nil && hmac.Equal(got, m.Sum(nil))
}

// secretOf is the secret of an access key.
func (s *Server) secretOf(access string) (string, error) {
	if access == s.o.Root.Access {
		return s.o.Root.Secret, nil
	}
	account, err := accounts{s.front}.GetUserAccount(access)
	if errors.Is(err, auth.ErrNoSuchUser) {
		return "", s3err.GetInvalidAccessKeyIdErr(access)
	}
	return account.Secret, err
}

// signVersion2 replaces a signature of version 2 by one of version 4.
func (s *Server) signVersion2(c fiber.Ctx) error {
	h, q := &c.Request().Header, c.Request().URI().QueryArgs()
	fields, inHeader := strings.CutPrefix(string(h.Peek("Authorization")), "AWS ")
	inQuery := q.Has("AWSAccessKeyId") && q.Has("Signature") && q.Has("Expires")
	if !inHeader && !inQuery {
		return nil
	}
	access, value, ok := strings.Cut(fields, ":")
	date := string(h.Peek("Date"))
	if inHeader && (!ok || access == "") {
		return s3err.APIError{Code: "InvalidArgument", HTTPStatusCode: http.StatusBadRequest, Description: "Authorization header is invalid: want AWS ACCESS-KEY:SIGNATURE."}
	}
	var err error
	if inHeader {
		if len(h.Peek("X-Amz-Date")) > 0 {
			date = ""
		}
		err = checkDate(string(h.Peek("X-Amz-Date")), date, time.Now())
	} else {
		access, value, date = string(q.Peek("AWSAccessKeyId")), string(q.Peek("Signature")), string(q.Peek("Expires"))
		err = checkExpires(date, time.Now())
	}
	if err != nil {
		return err
	}
	secret, err := s.secretOf(access)
	if err != nil {
		return err
	}
	text, slash := s.textOfVersion2(c, date, ""), s.textOfVersion2(c, date, "/")
	bucket := !strings.Contains(strings.Trim(c.Path(), "/"), "/") // some sign its path with a slash at the end, and do not send that
	if !equalVersion2(secret, text, value) && !(bucket && equalVersion2(secret, slash, value)) {
		return s3err.GetSignatureDoesNotMatchErr(access, text, value, "", "", "")
	}
	for _, name := range []string{"AWSAccessKeyId", "Signature", "Expires"} {
		if !inHeader {
			q.Del(name)
		}
	}
	kind := "REST-QUERY-STRING"
	if inHeader {
		kind = "REST-HEADER"
	}
	c.RequestCtx().SetUserValue(signedAs, signing{"AWS", kind})
	s.signAnew(c, access, secret)
	return nil
}

// checkDate checks the time of a signed request.
func checkDate(amz, date string, now time.Time) error {
	if amz == "" {
		amz = date
	}
	t, err := http.ParseTime(amz)
	if err != nil {
		t, err = time.Parse(amzTime, amz)
	}
	switch {
	case err != nil || t.Year() < 1970:
		return s3err.APIError{Code: "AccessDenied", HTTPStatusCode: http.StatusForbidden, Description: "AWS authentication requires a valid Date or x-amz-date header."}
	case t.Sub(now).Abs() > maxSkew:
		return s3err.APIError{Code: "RequestTimeTooSkewed", HTTPStatusCode: http.StatusForbidden, Description: "The difference between the request time and the current time is too large."}
	}
	return nil
}

func checkExpires(expires string, now time.Time) error {
	n, err := strconv.ParseInt(expires, 10, 64)
	switch {
	case err != nil:
		return s3err.APIError{Code: "AccessDenied", HTTPStatusCode: http.StatusForbidden, Description: "Invalid date (should be seconds since epoch): " + expires}
	case now.Unix() > n:
		return s3err.APIError{Code: "AccessDenied", HTTPStatusCode: http.StatusForbidden, Description: "Request has expired"}
	}
	return nil
}

// textOfVersion2 is what a signature of version 2 signs, of the path with an end put to it.
func (s *Server) textOfVersion2(c fiber.Ctx, date, end string) string {
	h := &c.Request().Header
	path, _, _ := strings.Cut(string(h.RequestURI()), "?")
	host, _, _ := strings.Cut(string(h.Host()), ":")
	if bucket, ok := strings.CutSuffix(host, "."+s.o.Domain); ok && s.o.Domain != "" {
		path = "/" + bucket + path
	}
	path += end
	var sub []string
	for name, value := range c.Request().URI().QueryArgs().All() {
		switch n := string(name); {
		case !slices.Contains(version2Sub, n) && !strings.HasPrefix(n, "response-"):
		case len(value) == 0:
			sub = append(sub, n)
		default:
			sub = append(sub, n+"="+string(value))
		}
	}
	slices.Sort(sub)
	if len(sub) > 0 {
		path += "?" + strings.Join(sub, "&")
	}
	return c.Method() + "\n" + string(h.Peek("Content-Md5")) + "\n" + string(h.Peek("Content-Type")) + "\n" + date + "\n" + canonicalHeaders(c, amzHeaders(h)) + path
}

// amzHeaders are the names of a request's x-amz headers, in order.
func amzHeaders(h *fasthttp.RequestHeader) []string {
	var names []string
	for name := range h.All() {
		if n := strings.ToLower(string(name)); strings.HasPrefix(n, "x-amz-") && !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	return names
}

// signAnew signs a request as version 4 does, its body aside.
func (s *Server) signAnew(c fiber.Ctx, access, secret string) {
	h := &c.Request().Header
	stamp := time.Now().UTC().Format(amzTime)
	h.Del("Authorization")
	h.Set("X-Amz-Date", stamp)
	if len(h.Peek("X-Amz-Content-Sha256")) == 0 {
		h.Set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD")
	}
	raw, _, _ := strings.Cut(string(h.RequestURI()), "?")
	path, err := url.PathUnescape(raw)
	if err != nil {
		path = raw
	}
	if args := c.Request().URI().QueryArgs().String(); args != "" {
		raw += "?" + args
	}
	h.SetRequestURI(raw)
	sig := signature{scope: []string{stamp[:8], s.o.Region, "s3", "aws4_request"}, headers: append([]string{"host"}, amzHeaders(h)...)}
	names := strings.Join(sig.headers, ";")
	canonical := strings.Join([]string{c.Method(), encodePath(path), canonicalQuery(c), canonicalHeaders(c, sig.headers), names, string(h.Peek("X-Amz-Content-Sha256"))}, "\n")
	h.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+access+"/"+strings.Join(sig.scope, "/")+",SignedHeaders="+names+",Signature="+sig.of(secret, stamp, canonical))
}
