package gateway

import (
	"bytes"
	"encoding/xml"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gofiber/fiber/v3"
	"github.com/valyala/fasthttp"
	"github.com/versity/versitygw/s3err"
)

// unlike tells how the headers of a request are unlike those that S3 takes, where the front end
// cannot: it sees an empty header as none, and no length as the length of nothing.
func unlike(c fiber.Ctx) s3err.S3Error {
	h := &c.Request().Header
	if len(h.Peek("Content-Md5")) == 0 && hasHeader(h, "Content-Md5") {
		return s3err.GetInvalidDigestErr("")
	}
	if c.Method() == http.MethodPut && h.ContentLength() == 0 && uploads(c) && !announcesLength(h.RawHeaders()) {
		return s3err.GetAPIError(s3err.ErrMissingContentLength)
	}
	if t, err := time.Parse(amzTime, c.Query("X-Amz-Date")); err == nil && t.After(time.Now().Add(15*time.Minute)) {
		return s3err.APIError{Code: "AccessDenied", HTTPStatusCode: http.StatusForbidden, Description: "Request is not yet valid."}
	}
	if c.Method() == http.MethodPut && locks(h) && uploads(c) && !hasDigest(h) {
		return s3err.APIError{Code: "InvalidRequest", HTTPStatusCode: http.StatusBadRequest,
			Description: "Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with Object Lock parameters."}
	}
	return nil
}

// locks tells whether a request locks what it puts.
func locks(h *fasthttp.RequestHeader) bool {
	return len(h.Peek("X-Amz-Object-Lock-Mode")) > 0 || len(h.Peek("X-Amz-Object-Lock-Retain-Until-Date")) > 0 || len(h.Peek("X-Amz-Object-Lock-Legal-Hold")) > 0
}

// hasDigest tells whether a request has a digest of its body, or announces one behind it.
func hasDigest(h *fasthttp.RequestHeader) bool {
	for k := range h.All() {
		if string(k) == "Content-Md5" || string(k) == "X-Amz-Trailer" || bytes.HasPrefix(k, []byte("X-Amz-Checksum-")) {
			return true
		}
	}
	return false
}

// hasHeader tells whether a header is there, be it empty.
func hasHeader(h *fasthttp.RequestHeader, name string) bool {
	for k := range h.All() {
		if string(k) == name {
			return true
		}
	}
	return false
}

// uploads tells whether a PUT has the bytes of an object or of a part in its body.
func uploads(c fiber.Ctx) bool {
	if len(c.Request().Header.Peek("X-Amz-Copy-Source")) > 0 {
		return false
	}
	for name := range c.Request().URI().QueryArgs().All() {
		switch string(name) {
		case "acl", "tagging", "retention", "legal-hold":
			return false
		}
	}
	_, key, _ := strings.Cut(strings.TrimPrefix(c.Path(), "/"), "/")
	return key != ""
}

// announcesLength looks for the length in headers as they came.
func announcesLength(raw []byte) bool {
	for line := range bytes.Lines(raw) {
		name, _, _ := bytes.Cut(line, []byte(":"))
		if bytes.EqualFold(bytes.TrimSpace(name), []byte("Content-Length")) || bytes.EqualFold(bytes.TrimSpace(name), []byte("Transfer-Encoding")) {
			return true
		}
	}
	return false
}

// A noSuchKey is the error that names the key.
type noSuchKey struct {
	s3err.APIError
	key string
}

func (e noSuchKey) Is(target error) bool { return target == error(e.APIError) }

// XMLBody is the error as an answer carries it.
func (e noSuchKey) XMLBody(request, host string) []byte {
	out, _ := xml.Marshal(struct { // plain data: it marshals
		XMLName                               xml.Name `xml:"Error"`
		Code, Message, Key, RequestId, HostId string
	}{Code: e.Code, Message: e.Description, Key: e.key, RequestId: request, HostId: host})
	return append([]byte(xml.Header), out...)
}

// mendXML takes out of an answer the elements that the front end leaves empty where S3 has none,
// and puts tags in the order of their keys, which it gives in any.
func mendXML(c fiber.Ctx) {
	if c.Method() != http.MethodGet || c.Response().IsBodyStream() || c.Response().StatusCode() != http.StatusOK {
		return
	}
	body := c.Response().Body()
	for _, empty := range []string{"<EncodingType></EncodingType>", "<Delimiter></Delimiter>"} {
		if i := bytes.Index(body, []byte(empty)); i >= 0 {
			body = append(body[:i], body[i+len(empty):]...)
			c.Response().SetBodyRaw(body)
		}
	}
	if q := c.Request().URI().QueryArgs(); q.Has("tagging") {
		sortTags(body)
	}
}

// sortTags sorts the tags of a tag set where they are.
func sortTags(body []byte) {
	const begin, end = "<Tag>", "</Tag>"
	from, to := bytes.Index(body, []byte(begin)), bytes.LastIndex(body, []byte(end))
	if from < 0 || to < from {
		return
	}
	tags := strings.SplitAfter(string(body[from:to+len(end)]), end)
	key := func(tag string) string {
		_, key, _ := strings.Cut(tag, "<Key>")
		key, _, _ = strings.Cut(key, "</Key>")
		return key
	}
	slices.SortFunc(tags, func(a, b string) int { return strings.Compare(key(a), key(b)) })
	copy(body[from:], strings.Join(tags, ""))
}

// plainWords reads metadata as it came: encoded words are what they stand for (RFC 2047), and
// bytes that are no UTF-8 are Latin-1.
func plainWords(meta map[string]string) map[string]string {
	var words mime.WordDecoder
	for k, v := range meta {
		if strings.Contains(v, "=?") {
			if plain, err := words.DecodeHeader(v); err == nil {
				v = plain
			}
		}
		if !utf8.ValidString(v) {
			runes := make([]rune, 0, len(v))
			for _, b := range []byte(v) {
				runes = append(runes, rune(b))
			}
			v = string(runes)
		}
		meta[k] = v
	}
	return meta
}

// encodedWords is metadata as answers carry it: what is not ASCII as encoded words.
func encodedWords(meta map[string]string) map[string]string {
	out, copied := meta, false
	for k, v := range meta {
		e := strings.ReplaceAll(mime.BEncoding.Encode("UTF-8", v), "=?UTF-8?b?", "=?UTF-8?B?") // as S3 writes it
		if e == v {
			continue
		}
		if !copied {
			out, copied = maps.Clone(meta), true
		}
		out[k] = e
	}
	return out
}
