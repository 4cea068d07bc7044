package gateway

import (
	"bytes"
	"io"
	"net/http"
	"time"

	"github.com/gofiber/fiber/v3"
	"github.com/versity/versitygw/s3api/utils"
)

// A tracked is the body of a request in S3's own chunks, or with Transfer-Encoding: chunked. A
// reader of S3's chunks stops at the last of them, before the end of the transfer: what is left
// would be taken for the next request on the connection, and what is missing not be missed.
type tracked struct {
	r      io.Reader
	length int64 // announced; negative: not
	read   int64
	ended  bool
}

func (t *tracked) Read(p []byte) (int, error) {
	n, err := t.r.Read(p)
	t.read += int64(n)
	t.ended = t.ended || err == io.EOF
	return n, err
}

// trackedBody is the name under which a request carries its tracked body.
const trackedBody = "wattle-tracked-body"

// trackBody puts itself between a chunked body and its readers; it is nil for other requests.
func trackBody(c fiber.Ctx) *tracked {
	stream, h := c.Request().BodyStream(), &c.Request().Header
	if c.Method() != http.MethodPut || stream == nil || h.ContentLength() != -1 && !bytes.HasPrefix(h.Peek("X-Amz-Content-Sha256"), []byte("STREAMING-")) {
		return nil
	}
	t := &tracked{r: stream, length: int64(h.ContentLength())}
	utils.ContextKeyBodyReader.Set(c, t)
	c.RequestCtx().SetUserValue(trackedBody, t)
	return t
}

// most is how much may be left of a transfer behind the last chunk.
const most = 256 << 10

// complete reads what is left of the transfer and tells whether all of it came.
func (t *tracked) complete() bool {
	if t == nil {
		return true
	}
	_, _ = io.CopyN(io.Discard, t, most)
	return t.ended && (t.length < 0 || t.read == t.length)
}

// finish reads what is left of the transfer, or gives the connection up.
func (t *tracked) finish(c fiber.Ctx) {
	const patience = 5 * time.Second
	if t == nil || t.ended {
		return
	}
	conn := c.RequestCtx().Conn()
	conn.SetReadDeadline(time.Now().Add(patience))
	_, _ = io.CopyN(io.Discard, t, most)
	conn.SetReadDeadline(time.Time{})
	if !t.ended {
		c.Response().Header.SetConnectionClose()
	}
}
