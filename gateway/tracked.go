package gateway

import (
	"io"
	"net/http"
	"time"

	"github.com/gofiber/fiber/v3"
	"github.com/versity/versitygw/s3api/utils"
)

// A tracked is the body of a request with Transfer-Encoding: chunked. A reader of S3's own
// chunks in it stops at the last of them, before the end of the transfer, and what is left
// would be taken for the next request on the connection.
type tracked struct {
	r     io.Reader
	ended bool
}

func (t *tracked) Read(p []byte) (int, error) {
	n, err := t.r.Read(p)
	t.ended = t.ended || err != nil
	return n, err
}

// trackBody puts itself between a chunked body and its readers; it is nil for other requests.
func trackBody(c fiber.Ctx) *tracked {
	stream := c.Request().BodyStream()
	if c.Request().Header.ContentLength() != -1 || c.Method() != http.MethodPut || stream == nil {
		return nil
	}
	t := &tracked{r: stream}
	utils.ContextKeyBodyReader.Set(c, t)
	return t
}

// finish reads what is left of the transfer, or gives the connection up.
func (t *tracked) finish(c fiber.Ctx) {
	const most, patience = 256 << 10, 5 * time.Second
	if t == nil || t.ended {
		return
	}
	conn := c.RequestCtx().Conn()
	conn.SetReadDeadline(time.Now().Add(patience))
	io.CopyN(io.Discard, t, most)
	conn.SetReadDeadline(time.Time{})
	if !t.ended {
		c.Response().Header.SetConnectionClose()
	}
}
