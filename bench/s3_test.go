package bench

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// memoryStore is an endpoint that keeps what it is given, checks no signature and lists all.
type memoryStore struct {
	mu      sync.Mutex
	objects map[string]string
	spoil   bool
}

func (m *memoryStore) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !strings.HasPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 Credential=key/") {
		http.Error(w, "no signature", http.StatusForbidden)
		return
	}
	switch parts := strings.SplitN(strings.Trim(r.URL.Path, "/"), "/", 2); {
	case len(parts) == 1 && r.Method == http.MethodGet:
		io.WriteString(w, "<ListBucketResult>")
		for k := range m.objects {
			if key := strings.TrimPrefix(k, r.URL.Path+"/"); strings.HasPrefix(key, r.URL.Query().Get("prefix")) {
				io.WriteString(w, "<Contents><Key>"+key+"</Key></Contents>")
			}
		}
		io.WriteString(w, "</ListBucketResult>")
	case len(parts) == 1:
	case r.Method == http.MethodPut:
		b, _ := io.ReadAll(r.Body)
		if m.spoil && len(b) > 0 {
			b[0]++
		}
		m.objects[r.URL.Path] = string(b)
	case r.Method == http.MethodDelete:
		delete(m.objects, r.URL.Path)
	default:
		io.WriteString(w, m.objects[r.URL.Path])
	}
}

func TestRunS3(t *testing.T) {
	m := &memoryStore{objects: map[string]string{}}
	srv := httptest.NewServer(m)
	defer srv.Close()
	c := S3Config{URL: srv.URL, Access: "key", Secret: "secret", Sizes: []int64{1000}, Concurrency: []int{3}, Time: 20 * time.Millisecond, Rounds: 2, Mixed: true, Verify: true, Keys: 50}
	r, err := RunS3(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Rows) != 4 || r.Rows[0].Operation != "put" || r.Rows[3].Operation != "list" || len(r.Rows[2].Rounds) != 2 {
		t.Errorf("%+v", r.Rows)
	}
	for _, row := range r.Rows {
		for _, s := range row.Rounds {
			if s.Operations == 0 || s.Wall <= 0 {
				t.Errorf("%s: %+v", row.Operation, s)
			}
		}
	}
	if len(m.objects) > 0 {
		t.Errorf("%d objects were left behind", len(m.objects))
	}
	if r.PID != 0 && r.PID != os.Getpid() {
		t.Errorf("the server is process %d, found %d", os.Getpid(), r.PID)
	}
	m.spoil = true
	if _, err := RunS3(context.Background(), c); err == nil || !strings.Contains(err.Error(), "not what was put") {
		t.Errorf("spoiled bytes: %v", err)
	}
	c.URL = "ftp://x"
	if _, err := RunS3(context.Background(), c); err == nil {
		t.Error("ftp was taken")
	}
}
