package gateway

import (
	"bytes"
	"encoding/json"
	"sync"
	"testing"
	"time"
)

// logLines are what the server has logged.
type logLines struct {
	mu   sync.Mutex
	text bytes.Buffer // guarded by mu
}

func (l *logLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// A logLine is the line of a request.
type logLine struct {
	Msg, ID, Method, Path, From string
	Status, Took                int64
}

// of returns the line of the request with an id.
func (l *logLines) of(t testing.TB, id string) (found logLine) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range bytes.Split(l.text.Bytes(), []byte("\n")) {
		var line logLine
		if json.Unmarshal(p, &line) == nil && line.ID == id {
			found = line
		}
	}
	return found
}

// TestRequestLog: every request, refused ones too, has a line in the log under the id that its
// answer carries.
func TestRequestLog(t *testing.T) {
	b := newBucket(t)
	for _, c := range []call{{Method: "PUT", Path: "/" + b + "/k", Body: "x"}, {Path: "/" + b + "/k"}, {Path: "/" + b + "/none"}, {Path: "/" + b + "/k", Broken: true}} {
		a := c.do(t)
		id := a.Header.Get("X-Amz-Request-Id")
		var line logLine
		for range 200 { // it is written when the answer has gone
			if line = logged.of(t, id); line.ID != "" {
				break
			}
			time.Sleep(5 * time.Millisecond)
		}
		method := c.Method
		if method == "" {
			method = "GET"
		}
		if id == "" || line.Msg != "request" || line.Method != method || line.Path != c.Path || line.Status != int64(a.Status) || line.From != "127.0.0.1" || line.Took <= 0 {
			t.Errorf("%s %s: id %q, logged %+v", method, c.Path, id, line)
		}
	}
}
