package gateway

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"slices"
	"strings"

	"github.com/gofiber/fiber/v3"
)

// The front end checks signatures over the path as S3 encodes it: all but letters, digits and
// -._~/ in upper-case hex. Some clients leave other characters as they are, '+' above all, and
// sign the path as they send it. Where the two differ and the signature is right for the path
// as sent, it is made anew for the path as encoded.

// encodePath is how S3 encodes a path.
func encodePath(path string) string {
	const hexDigits = "0123456789ABCDEF"
	var b strings.Builder
	for _, c := range []byte(path) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("-._~/", c) >= 0:
			b.WriteByte(c)
		default:
			b.Write([]byte{'%', hexDigits[c>>4], hexDigits[c&15]})
		}
	}
	return b.String()
}

// signRawPath replaces a signature that is right for the path as it was sent.
func (s *Server) signRawPath(c fiber.Ctx) {
	h := &c.Request().Header
	raw, _, _ := strings.Cut(string(h.RequestURI()), "?")
	path, err := url.PathUnescape(raw)
	encoded := encodePath(path)
	if err != nil || encoded == raw {
		return
	}
	sig, ok := parseSignature(string(h.Peek("Authorization")))
	payload := string(h.Peek("X-Amz-Content-Sha256"))
	if !ok || strings.HasPrefix(payload, "STREAMING-AWS4") { // signatures of chunks hang on the first
		return
	}
	secret, err := s.secretOf(sig.access)
	if err != nil {
		return
	}
	sign := func(path string) string {
		canonical := strings.Join([]string{c.Method(), path, canonicalQuery(c), canonicalHeaders(c, sig.headers), strings.Join(sig.headers, ";"), payload}, "\n")
		return sig.of(secret, string(h.Peek("X-Amz-Date")), canonical)
	}
	if hmac.Equal([]byte(sign(raw)), []byte(sig.value)) {
		h.Set("Authorization", sig.before+sign(encoded))
	}
}

// A signature is what an Authorization header of version 4 says.
type signature struct {
	access  string
	scope   []string // date, region, service, aws4_request
	headers []string
	value   string
	before  string // the header up to value, which ends it
}

func parseSignature(header string) (s signature, ok bool) {
	fields, ok := strings.CutPrefix(header, "AWS4-HMAC-SHA256 ")
	if !ok {
		return s, false
	}
	for _, field := range strings.Split(fields, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(field), "=")
		switch name {
		case "Credential":
			parts := strings.Split(value, "/")
			if len(parts) < 5 {
				return s, false
			}
			s.access, s.scope = strings.Join(parts[:len(parts)-4], "/"), parts[len(parts)-4:]
		case "SignedHeaders":
			s.headers = strings.Split(value, ";")
		case "Signature":
			s.value = value
		}
	}
	s.before, ok = strings.CutSuffix(header, s.value)
	return s, ok && s.access != "" && len(s.headers) > 0 && s.value != ""
}

// of signs a canonical request.
func (s signature) of(secret, date, canonical string) string {
	sum := sha256.Sum256([]byte(canonical))
	return s.sum(secret, "AWS4-HMAC-SHA256\n"+date+"\n"+strings.Join(s.scope, "/")+"\n"+hex.EncodeToString(sum[:]))
}

// sum signs text.
func (s signature) sum(secret, text string) string {
	key := []byte("AWS4" + secret)
	for _, part := range append(slices.Clone(s.scope), text) {
		m := hmac.New(sha256.New, key)
		m.Write([]byte(part))
		key = m.Sum(nil)
	}
	return hex.EncodeToString(key)
}

func canonicalQuery(c fiber.Ctx) string {
	var list []string
	for name, value := range c.Request().URI().QueryArgs().All() {
		list = append(list, encodeQuery(string(name))+"="+encodeQuery(string(value)))
	}
	slices.Sort(list)
	return strings.Join(list, "&")
}

func encodeQuery(s string) string { return strings.ReplaceAll(encodePath(s), "/", "%2F") }

// canonicalHeaders are a line for each signed header, blanks in it folded.
func canonicalHeaders(c fiber.Ctx, names []string) string {
	var b strings.Builder
	for _, name := range names {
		var values []string
		for _, v := range c.Request().Header.PeekAll(name) {
			values = append(values, strings.Join(strings.Fields(string(v)), " "))
		}
		b.WriteString(strings.ToLower(name) + ":" + strings.Join(values, ",") + "\n")
	}
	return b.String()
}
