package gateway

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/gofiber/fiber/v3"
	"github.com/valyala/fasthttp"
	"github.com/versity/versitygw/s3err"
)

// maxDocument bounds the bodies that are not those of objects, which are held in memory. The
// largest that S3 has tells of 10,000 parts with their checksums.
const maxDocument = 4 << 20

// bodyRate is what a body that is held in memory comes with at the least, in bytes a second,
// beside what a client may pause in all.
const bodyRate = 64 << 10

// isUpload tells whether a request's body is that of an object or a form: those stream.
func isUpload(c fiber.Ctx) bool {
	bucket, key, _ := strings.Cut(strings.TrimPrefix(c.Path(), "/"), "/")
	q := c.Request().URI().QueryArgs()
	switch {
	case bucket == "":
		return false
	case key == "":
		return c.Method() == http.MethodPost && strings.HasPrefix(c.Get("Content-Type"), fiber.MIMEMultipartForm)
	}
	return c.Method() == http.MethodPut && c.Get("X-Amz-Copy-Source") == "" && !q.Has("acl") && !q.Has("tagging") && !q.Has("retention") && !q.Has("legal-hold")
}

// readDocument reads a body that is not an object's, and refuses one that is too large or
// comes too slowly: the front end takes those as they are.
func (s *Server) readDocument(c fiber.Ctx) error {
	stream, n := c.Request().BodyStream(), c.Request().Header.ContentLength()
	if stream == nil || isUpload(c) {
		return nil
	}
	body, err := s.readBody(c, stream, n)
	if err == nil {
		c.Request().SetBody(body)
	}
	return err
}

// readBody reads a body of n bytes, or of as many as come and are allowed where n is negative.
func (s *Server) readBody(c fiber.Ctx, r io.Reader, n int) ([]byte, error) {
	const most = maxDocument
	if n > most {
		return nil, errTooBig()
	}
	conn, whole := c.RequestCtx().Conn(), n >= 0
	if !whole {
		n = most + 1
	}
	conn.SetReadDeadline(time.Now().Add(s.o.Stall + time.Duration(n)*time.Second/bodyRate))
	defer conn.SetReadDeadline(time.Time{})
	body, err := io.ReadAll(io.LimitReader(r, int64(n)))
	if err == nil && (whole && len(body) == n || !whole && len(body) <= most) {
		return body, nil
	}
	c.Response().Header.SetConnectionClose()
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, errSlow()
	case len(body) > most:
		return nil, errTooBig()
	}
	return nil, s3err.GetAPIError(s3err.ErrIncompleteBody)
}

// chunked tells whether a request's body comes with Transfer-Encoding: chunked and is not in memory.
func chunked(c fiber.Ctx) bool {
	return c.Request().Header.ContentLength() == -1 && c.Request().IsBodyStream()
}

// twoLengths tells whether the headers of a request, whose body is chunked, give a length too:
// what is between us and the client may have gone by that.
func twoLengths(headers []byte) bool {
	for line := range bytes.Lines(headers) {
		if name, _, ok := bytes.Cut(line, []byte(":")); ok && bytes.EqualFold(bytes.TrimSpace(name), []byte("content-length")) {
			return true
		}
	}
	return false
}

// tooEarly tells whether a signed URL is of a time to come.
func tooEarly(date string, now time.Time) bool {
	t, err := time.Parse(amzTime, date)
	return err == nil && t.Sub(now) > maxSkew
}

// outOfRange is the name of a parameter whose number is so large that the front end would take
// it for another, or "".
func outOfRange(q *fasthttp.Args) string {
	for _, name := range []string{"partNumber", "max-keys", "max-parts", "max-uploads", "max-buckets"} {
		text := string(q.Peek(name))
		if _, err := strconv.ParseInt(text, 10, 32); len(text) > 9 && err != nil {
			return name
		}
	}
	return ""
}

func errTooBig() error { return invalid("MaxMessageLengthExceeded", "Your request was too big.") }

func errSlow() s3err.APIError {
	return s3err.APIError{Code: "RequestTimeout", HTTPStatusCode: http.StatusBadRequest,
		Description: "Your socket connection to the server was not read from or written to within the timeout period."}
}

// A taker is who takes a body. One that takes nothing for as long as the server's stall is
// given up.
type taker struct {
	conn  net.Conn // nil: nobody
	stall time.Duration
}

func (f *front) taker(ctx context.Context) taker {
	if r := request(ctx); r != nil {
		return taker{r.Conn(), f.stall}
	}
	return taker{}
}

// renew gives the next piece its time.
func (t taker) renew() {
	if t.conn != nil {
		t.conn.SetWriteDeadline(time.Now().Add(t.stall)) //nolint:errcheck // a connection that is gone says so when it is written to
	}
}

// writer renews for each piece that is written to w.
func (t taker) writer(w io.Writer) io.Writer {
	if t.conn == nil {
		return w
	}
	return takenWriter{w, t}
}

type takenWriter struct {
	w io.Writer
	taker
}

func (t takenWriter) Write(p []byte) (total int, err error) {
	const piece = 256 << 10
	for err == nil && len(p) > 0 {
		n := min(len(p), piece)
		t.renew()
		n, err = t.w.Write(p[:n])
		total += n
		p = p[n:]
	}
	return total, err
}

// originalPath is where the front end looks for the path that was sent, which is signed.
const originalPath = "original-uri-path"

// pathStyle puts the bucket of a request for bucket.Domain into its path, where what comes
// here looks for it. What is returned takes it away again: the front end does that itself.
func (s *Server) pathStyle(c fiber.Ctx) (restore func()) {
	bucket, _, ok := strings.Cut(string(c.Request().Host()), "."+s.o.Domain)
	if s.o.Domain == "" || !ok || bucket == "" {
		return func() {}
	}
	sent := strings.Clone(c.Path())
	c.Locals(originalPath, sent)
	if c.Path("/" + bucket + sent); sent == "/" {
		c.Path("/" + bucket)
	}
	return func() { c.Path(sent) }
}
