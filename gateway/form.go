package gateway

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"
	"time"

	"github.com/gofiber/fiber/v3"
	"github.com/versity/versitygw/s3err"
)

// The front end takes the first part of a form that has a file name for the file, leaves
// ${filename} as it is, and knows signatures of version 4 only. So forms that fit in memory
// are read here, and handed on as it wants them.

// filenameVariable stands in a form's key for the name of the file, which comes after it.
const filenameVariable = "${filename}"

// formBuffer is the largest form that is held in memory; forms of up to formBuffers requests
// are held at a time. Larger ones pass as they are, and PutObject refuses those with the variable.
const (
	formBuffer  = 8 << 20
	formBuffers = 8
)

// formACL is the user value with the canned access control list of a form.
const formACL = "wattle-form-acl"

// A formData is an upload by POST: fields, and then the file.
type formData struct {
	fields   []formField
	filename string
	file     []byte
}

type formField struct{ name, value string }

// readForm reads a form that fits in memory, and hands on what it means.
func (s *Server) readForm(c fiber.Ctx) error {
	mediaType, params, err := mime.ParseMediaType(c.Get("Content-Type"))
	n := c.Request().Header.ContentLength()
	if c.Method() != http.MethodPost || err != nil || mediaType != fiber.MIMEMultipartForm || n < 0 || n > formBuffer {
		return nil
	}
	s.forms <- struct{}{}
	defer func() { <-s.forms }()
	var body []byte
	if r := c.Request().BodyStream(); r != nil {
		if body, err = io.ReadAll(io.LimitReader(r, int64(n))); err != nil || len(body) < n {
			return s3err.GetAPIError(s3err.ErrIncompleteBody)
		}
	} else {
		body = bytes.Clone(c.Request().Body())
	}
	f, ok := parseForm(body, params["boundary"])
	if !ok {
		c.Request().SetBody(body) // the front end says what is wrong with it
		return nil
	}
	f.fillFilename()
	if err := s.signForm(&f); err != nil {
		return err
	}
	if acl := f.get("acl"); acl != "" {
		c.RequestCtx().SetUserValue(formACL, acl)
	}
	body = f.encode(params["boundary"])
	c.Request().SetBody(body)
	c.Request().Header.SetContentLength(len(body))
	return nil
}

// parseForm reads the fields before the file, and the file; what comes after it is nothing.
// The file is the part of that name, whether or not others have a file name too, as those
// of some libraries do.
func parseForm(body []byte, boundary string) (f formData, ok bool) {
	if boundary == "" {
		return f, false
	}
	r := multipart.NewReader(bytes.NewReader(body), boundary)
	for {
		p, err := r.NextRawPart()
		if err != nil {
			return f, false
		}
		value, err := io.ReadAll(p)
		if err != nil {
			return f, false
		}
		name := p.FormName()
		if strings.EqualFold(name, "file") {
			f.filename, f.file = p.FileName(), value
			return f, !strings.ContainsAny(f.filename, "\r\n")
		}
		if name == "" || strings.ContainsAny(name, "\"\\\r\n") {
			return f, false
		}
		f.fields = append(f.fields, formField{name, string(value)})
	}
}

// get is the value of a field, whose name has no case.
func (f *formData) get(name string) string {
	for _, field := range f.fields {
		if strings.EqualFold(field.name, name) {
			return field.value
		}
	}
	return ""
}

// fillFilename replaces the variable in the fields.
func (f *formData) fillFilename() {
	for i := range f.fields {
		if f.filename != "" && !strings.EqualFold(f.fields[i].name, "policy") {
			f.fields[i].value = strings.ReplaceAll(f.fields[i].value, filenameVariable, f.filename)
		}
	}
}

// encode writes the form; only the file has a file name.
func (f *formData) encode(boundary string) []byte {
	var b bytes.Buffer
	for _, field := range f.fields {
		b.WriteString("--" + boundary + "\r\nContent-Disposition: form-data; name=\"" + field.name + "\"\r\n\r\n" + field.value + "\r\n")
	}
	b.WriteString("--" + boundary + "\r\nContent-Disposition: form-data; name=\"file\"; filename=\"file\"\r\n\r\n")
	b.Write(f.file)
	b.WriteString("\r\n--" + boundary + "--\r\n")
	return b.Bytes()
}

// signForm checks a signature of version 2 and puts one of version 4 in its place: under the
// policy of the form, which has to allow the fields of the latter.
func (s *Server) signForm(f *formData) error {
	access, value, policy := f.get("AWSAccessKeyId"), f.get("signature"), f.get("policy")
	if access == "" || value == "" || policy == "" {
		return nil
	}
	secret, err := s.secretOf(access)
	if err != nil {
		return err
	}
	if !equalVersion2(secret, policy, value) {
		return s3err.GetSignatureDoesNotMatchErr(access, policy, value, "", "", "")
	}
	stamp := time.Now().UTC().Format(amzTime)
	scope := []string{stamp[:8], s.o.Region, "s3", "aws4_request"}
	added := []formField{{"x-amz-algorithm", "AWS4-HMAC-SHA256"}, {"x-amz-credential", access + "/" + strings.Join(scope, "/")}, {"x-amz-date", stamp}}
	policy = allowFields(policy, added)
	fields := append(added, formField{"policy", policy}, formField{"x-amz-signature", signature{scope: scope}.sum(secret, policy)})
	for _, field := range f.fields {
		switch strings.ToLower(field.name) {
		case "awsaccesskeyid", "signature", "policy":
		default:
			fields = append(fields, field)
		}
	}
	f.fields = fields
	return nil
}

// allowFields adds fields to the conditions of a policy; one that cannot be read stays, and
// is refused by whoever reads it next.
func allowFields(policy string, fields []formField) string {
	raw, err := base64.StdEncoding.DecodeString(policy)
	var doc map[string]json.RawMessage
	var conditions []json.RawMessage
	if err != nil || json.Unmarshal(raw, &doc) != nil || json.Unmarshal(doc["conditions"], &conditions) != nil {
		return policy
	}
	for i, c := range conditions {
		var list []any
		if json.Unmarshal(c, &list) == nil && len(list) > 0 {
			if operation, ok := list[0].(string); ok { // which had no case either
				list[0] = strings.ToLower(operation)
				conditions[i] = json.RawMessage(asJSON(list))
			}
		}
	}
	for _, f := range fields {
		conditions = append(conditions, json.RawMessage(asJSON(map[string]string{f.name: f.value})))
	}
	doc["conditions"] = json.RawMessage(asJSON(conditions))
	return base64.StdEncoding.EncodeToString([]byte(asJSON(doc)))
}
