package gateway

import (
	"bytes"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"

	"github.com/gofiber/fiber/v3"
	"github.com/versity/versitygw/s3err"
)

// filenameVariable stands in a form's key for the name of the file, which comes after it.
const filenameVariable = "${filename}"

// formBuffer is the largest form that is held in memory to put the file's name into its key;
// forms of up to formBuffers requests are held at a time.
const (
	formBuffer  = 8 << 20
	formBuffers = 8
)

// fillFilename replaces the variable in the fields of a form, which the front end leaves.
// Larger forms are not looked into; one that has the variable is refused by PutObject.
func (s *Server) fillFilename(c fiber.Ctx) error {
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
	c.Request().SetBody(withFilename(body, params["boundary"]))
	return nil
}

// withFilename replaces the variable before the file's part of a form.
func withFilename(body []byte, boundary string) []byte {
	name := filenameOf(body, boundary)
	at := bytes.Index(body, []byte("filename="))
	if name == "" || at < 0 || !bytes.Contains(body[:at], []byte(filenameVariable)) {
		return body
	}
	return append(bytes.ReplaceAll(body[:at:at], []byte(filenameVariable), []byte(name)), body[at:]...)
}

// filenameOf is the name of a form's file, without the directories that some browsers send.
func filenameOf(body []byte, boundary string) string {
	r := multipart.NewReader(bytes.NewReader(body), boundary)
	for {
		p, err := r.NextPart()
		if err != nil {
			return ""
		}
		if name := p.FileName(); name != "" && !strings.ContainsAny(name, "\r\n") {
			return name
		}
	}
}
