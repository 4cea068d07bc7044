package gateway

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gofiber/fiber/v3"
	"github.com/valyala/fasthttp"
	"github.com/versity/versitygw/s3api/utils"
	"github.com/versity/versitygw/s3err"
)

// The front end takes the first part of a form that has a file name for the file, leaves
// ${filename} as it is, and knows signatures of version 4 only. So the fields of forms are read
// here, and it gets the form anew as it wants it, with the file as it comes.

// filenameVariable stands in a form's key for the name of the file, which comes after it.
const filenameVariable = "${filename}"

const (
	maxFormHead = 20 << 10 // bytes before the file, as S3 allows
	formAhead   = 64 << 10 // of the file, read before the front end sees the form
)

// formACL is the user value with the canned access control list of a form, and formAnew marks
// the request that carries a form that was read here.
const (
	formACL  = "wattle-form-acl"
	formAnew = "wattle-form-anew"
)

// formValues is the user value with the fields of a form.
const formValues = "wattle-form-values"

// A formData is an upload by POST before its file.
type formData struct {
	fields   []formField
	filename string
}

type formField struct{ name, value string }

// form reads what comes before a form's file, and has the front end answer the form that it
// means. What is no form it leaves to the front end, which says what is wrong.
func (s *Server) form(c fiber.Ctx) (err error, answered bool) {
	mediaType, params, err := mime.ParseMediaType(c.Get("Content-Type"))
	n := c.Request().Header.ContentLength()
	if c.Method() != http.MethodPost || err != nil || mediaType != fiber.MIMEMultipartForm || n < 0 || c.RequestCtx().UserValue(formAnew) != nil {
		return nil, false
	}
	boundary, stream := params["boundary"], c.Request().BodyStream()
	if stream == nil {
		stream = bytes.NewReader(c.Request().Body())
	}
	r := bufio.NewReaderSize(stream, maxFormHead+formAhead)
	head, _ := r.Peek(min(n, maxFormHead))
	f, start, ok := parseForm(head, boundary)
	switch {
	case !ok && len(head) == n: // all of it, in memory
		c.Request().SetBody(bytes.Clone(head))
		return nil, false
	case !ok && len(head) < min(n, maxFormHead):
		return s3err.GetAPIError(s3err.ErrIncompleteBody), false
	case !ok:
		return s3err.APIError{Code: "MaxPostPreDataLengthExceededError", HTTPStatusCode: http.StatusBadRequest, Description: "Your POST request fields preceding the upload file were too large."}, false
	}
	_, _ = r.Discard(start) // it was seen
	if err := f.refused(); err != nil {
		return err, false
	}
	f.fillFilename()
	if err := s.signForm(&f); err != nil {
		return err, false
	}
	end := "\r\n--" + boundary + "--\r\n"
	file, size, err := formFile(r, boundary, n-start-len(end))
	if err != nil {
		return err, false
	}
	anew := f.encode(boundary)
	s.relay(c, io.MultiReader(bytes.NewReader(anew), file, strings.NewReader(end)), len(anew)+size+len(end), f)
	return nil, true
}

// formFile is the file at the beginning of r, and its size: what it must be, announced, when
// it does not end soon.
func formFile(r io.Reader, boundary string, announced int) (file io.Reader, size int, err error) {
	parts := multipart.NewReader(io.MultiReader(strings.NewReader("--"+boundary+"\r\n\r\n"), r), boundary)
	part, err := parts.NextRawPart()
	if err != nil {
		return nil, 0, s3err.GetAPIError(s3err.ErrIncompleteBody)
	}
	ahead, err := io.ReadAll(io.LimitReader(part, formAhead))
	switch {
	case err != nil:
		return nil, 0, s3err.GetAPIError(s3err.ErrIncompleteBody)
	case len(ahead) < formAhead:
		return bytes.NewReader(ahead), len(ahead), nil
	}
	return io.MultiReader(bytes.NewReader(ahead), whole{part}), max(announced, len(ahead)), nil
}

// whole is a file that is an error when it breaks off.
type whole struct{ io.Reader }

func (w whole) Read(p []byte) (int, error) {
	n, err := w.Reader.Read(p)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = s3err.GetAPIError(s3err.ErrIncompleteBody)
	}
	return n, err
}

// relay has a form answered that stands for the one that c is.
func (s *Server) relay(c fiber.Ctx, body io.Reader, size int, f formData) {
	var inner fasthttp.RequestCtx
	outer := c.RequestCtx()
	inner.Init2(outer.Conn(), nil, false)
	outer.Request.Header.CopyTo(&inner.Request.Header)
	inner.Request.SetBodyStream(body, size)
	inner.SetUserValue(formAnew, true)
	inner.SetUserValue(formValues, f.fields)
	if acl := f.get("acl"); acl != "" {
		inner.SetUserValue(formACL, acl)
	}
	if class := f.get(headerClass); class != "" {
		inner.Request.Header.Set(headerClass, class) // the front end does not read the field
	}
	id, host := utils.EnsureRequestIDs(c)
	inner.Response.Header.Set(utils.HeaderAmzRequestID, id)
	inner.Response.Header.Set(utils.HeaderAmzID2, host)
	c.App().Handler()(&inner)
	inner.Response.CopyTo(&outer.Response)
}

// parseForm reads the fields before the file from the beginning of a form, and where the file
// starts. The file is the part of that name, whether or not others have a file name too, as
// those of some libraries do.
func parseForm(head []byte, boundary string) (f formData, start int, ok bool) {
	if boundary == "" {
		return f, 0, false
	}
	delimiter := []byte("\r\n--" + boundary + "\r\n")
	rest := append([]byte("\r\n"), head...)
	for {
		i := bytes.Index(rest, delimiter)
		if i < 0 || len(f.fields) == 0 && i > 0 {
			return f, 0, false
		}
		if len(f.fields) > 0 {
			f.fields[len(f.fields)-1].value = string(rest[:i])
		}
		rest = rest[i+len(delimiter):]
		header, value, found := bytes.Cut(rest, []byte("\r\n\r\n"))
		if !found {
			return f, 0, false
		}
		name, filename, valid := partName(header)
		if strings.EqualFold(name, "file") {
			f.filename = filename
			return f, len(head) - len(value), valid && !strings.ContainsAny(f.filename, "\r\n")
		}
		if !valid || name == "" || strings.ContainsAny(name, "\"\\\r\n") {
			return f, 0, false
		}
		f.fields, rest = append(f.fields, formField{name: name}), value
	}
}

// partName reads the header of a part.
func partName(header []byte) (name, filename string, ok bool) {
	for line := range strings.SplitSeq(string(header), "\r\n") {
		key, value, _ := strings.Cut(line, ":")
		if strings.EqualFold(strings.TrimSpace(key), "Content-Disposition") {
			kind, params, err := mime.ParseMediaType(value)
			if filename = params["filename"]; filename != "" {
				filename = filepath.Base(filename)
			}
			return params["name"], filename, err == nil && kind == "form-data"
		}
	}
	return "", "", false
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

// refused tells what a form asks for that would be ignored, and must not be.
func (f *formData) refused() s3err.S3Error {
	for _, field := range f.fields {
		name := http.CanonicalHeaderKey(field.name)
		switch {
		case field.value == "":
		case slices.Contains(encryption, name):
			return notEncrypted(name)
		case strings.HasPrefix(name, "X-Amz-Object-Lock-"):
			return s3err.APIError{Code: "NotImplemented", HTTPStatusCode: http.StatusNotImplemented, Description: "A form cannot lock what it uploads: " + name + " is not implemented in one."}
		}
	}
	return nil
}

// fillFilename replaces the variable in the fields.
func (f *formData) fillFilename() {
	for i := range f.fields {
		if f.filename != "" && !strings.EqualFold(f.fields[i].name, "policy") {
			f.fields[i].value = strings.ReplaceAll(f.fields[i].value, filenameVariable, f.filename)
		}
	}
}

// encode writes the form up to its file, which alone has a file name.
func (f *formData) encode(boundary string) []byte {
	var b bytes.Buffer
	for _, field := range f.fields {
		b.WriteString("--" + boundary + "\r\nContent-Disposition: form-data; name=\"" + field.name + "\"\r\n\r\n" + field.value + "\r\n")
	}
	b.WriteString("--" + boundary + "\r\nContent-Disposition: form-data; name=\"file\"; filename=\"file\"\r\n\r\n")
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
