package dashboard

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// serve runs a server at an address of its own, and returns its URL and what stops it.
func serve(t *testing.T, s *Server) (url string, stop func() error) {
	t.Helper()
	l, err := s.Listen()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, l) }()
	return s.URL(l), func() error {
		cancel()
		return <-done
	}
}

func TestRun(t *testing.T) {
	f := newFake()
	url, stop := serve(t, newServer(t, f, Options{Address: "127.0.0.1:0"}))
	res, err := http.Get(url + "api/power")
	if err != nil || res.StatusCode != 200 {
		t.Fatalf("%v, %v", res, err)
	}
	if n, err := io.Copy(io.Discard, res.Body); err != nil || n < 20 {
		t.Errorf("%d bytes: %v", n, err)
	}
	res.Body.Close()
	if err := stop(); err != nil {
		t.Errorf("a server that was stopped: %v", err)
	}
	if _, err := http.Get(url); err == nil {
		t.Error("it answers after it was stopped")
	}
}

// TestConnections: more than so many wait, and are served when others go.
func TestConnections(t *testing.T) {
	s := newServer(t, newFake(), Options{Address: "127.0.0.1:0"})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	few := &limited{Listener: l, slots: make(chan struct{}, 2)}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, few) }()
	var open []net.Conn
	for range 2 {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, c)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 20 * time.Second}
	answer := make(chan error, 1)
	go func() {
		res, err := client.Get("http://" + l.Addr().String() + "/")
		if err == nil {
			res.Body.Close()
		}
		answer <- err
	}()
	for len(few.slots) < 2 {
		time.Sleep(time.Millisecond)
	}
	select {
	case err := <-answer:
		t.Fatalf("the third of two was served: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	for _, c := range open {
		c.Close()
	}
	if err := <-answer; err != nil {
		t.Errorf("after the others went: %v", err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestTLS(t *testing.T) {
	cert, key := selfSigned(t)
	s := newServer(t, newFake(), Options{Address: "127.0.0.1:0", CertFile: cert, KeyFile: key})
	url, stop := serve(t, s)
	defer func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	}()
	client := &http.Client{Transport: &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} // our own
	defer client.CloseIdleConnections()
	res, err := client.Get(url)
	if err != nil || res.StatusCode != 200 || res.ProtoMajor != 2 {
		t.Fatalf("%v, %v; want HTTP/2", res, err)
	}
	res.Body.Close()
	if c := s.cookie("token", 1); !c.Secure {
		t.Error("the cookie goes over plain HTTP too")
	}
	if err := os.WriteFile(cert, []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Reload(); err == nil {
		t.Error("nonsense was taken for a certificate")
	}
	client.CloseIdleConnections()
	if res, err := client.Get(url); err != nil {
		t.Errorf("the old certificate is gone: %v", err)
	} else {
		res.Body.Close()
	}
}

func selfSigned(t *testing.T) (cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	about := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, about, about, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name, kind string, p []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: p}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	return write("tls.crt", "CERTIFICATE", der), write("tls.key", "PRIVATE KEY", secret)
}
