package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// crashClients is how many put and delete at a time, so that batches have several requests.
const crashClients = 6

// serve kills a server while clients put, upload and delete. What it acknowledged is known; what was
// under way may have happened.
func (c *crashTest) serve() {
	c.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		c.t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	var said bytes.Buffer
	cmd := exec.Command("wattle", "--dir", c.dir, "serve", "--listen", address, "--dashboard", "off", "--log", "none")
	cmd.Env = append(os.Environ(), "WATTLE_ROOT_USER=crashkey", "WATTLE_ROOT_PASSWORD=crashsecret")
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.runs++
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	c.ready("http://"+address+"/readyz", ended, &said)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	client := s3.New(s3.Options{BaseEndpoint: aws.String("http://" + address), Region: "us-east-1", UsePathStyle: true, Retryer: aws.NopRetryer{},
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "crashkey", SecretAccessKey: "crashsecret"}, nil
		})})
	var mu sync.Mutex
	var clients sync.WaitGroup
	for n := range crashClients {
		rng := rand.New(rand.NewPCG(c.rng.Uint64(), 3))
		clients.Go(func() { c.client(ctx, client, n, rng, &mu) })
	}
	select {
	case err := <-ended:
		c.t.Fatalf("wattle serve ended: %v\n%s", err, &said)
	case <-time.After(time.Duration(c.rng.Int64N(int64(time.Second)))):
	}
	if err := cmd.Process.Kill(); err != nil {
		c.t.Fatal(err)
	}
	<-ended
	cancel()
	clients.Wait()
	c.kills++
	c.killed["serve"]++
}

// ready waits until a server answers.
func (c *crashTest) ready(url string, ended <-chan error, said *bytes.Buffer) {
	c.t.Helper()
	for range 2000 {
		if r, err := http.Get(url); err == nil {
			r.Body.Close()
			if r.StatusCode == http.StatusOK {
				return
			}
		}
		select {
		case err := <-ended:
			c.t.Fatalf("wattle serve ended: %v\n%s", err, said)
		case <-time.After(20 * time.Millisecond):
		}
	}
	c.t.Fatal("the server does not answer")
}

// client changes keys that no other client has, one after another, until that fails.
func (c *crashTest) client(ctx context.Context, client *s3.Client, n int, rng *rand.Rand, mu *sync.Mutex) {
	for {
		key := fmt.Sprintf("f%02d", n+crashClients*rng.IntN(20/crashClients))
		body := make([]byte, rng.IntN(20_000))
		if rng.IntN(5) == 0 {
			body = make([]byte, rng.IntN(700_000))
		}
		rand.NewChaCha8([32]byte{byte(rng.Uint64()), byte(rng.Uint64()), byte(rng.Uint64())}).Read(body)
		d, err := sum(sha256.Sum256(body)), error(nil)
		switch rng.IntN(6) {
		case 0:
			d = sum{}
			_, err = client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: aws.String("bucket"), Key: aws.String("p/" + key)})
		case 1:
			err = uploadParts(ctx, client, "p/"+key, body)
		default:
			_, err = client.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String("bucket"), Key: aws.String("p/" + key), Body: bytes.NewReader(body)})
		}
		mu.Lock()
		c.change(key, d, err == nil)
		if err == nil {
			c.acked++
		}
		mu.Unlock()
		if answer := (interface{ HTTPStatusCode() int })(nil); errors.As(err, &answer) && answer.HTTPStatusCode() != 0 {
			c.t.Errorf("%s: %v", key, err) // a refusal, where the kill leaves no answer
		}
		if err != nil {
			return
		}
	}
}

// uploadParts puts an object as an upload of one part.
func uploadParts(ctx context.Context, client *s3.Client, key string, body []byte) error {
	u, err := client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: aws.String("bucket"), Key: aws.String(key)})
	if err != nil {
		return err
	}
	p, err := client.UploadPart(ctx, &s3.UploadPartInput{Bucket: u.Bucket, Key: u.Key, UploadId: u.UploadId, PartNumber: aws.Int32(1), Body: bytes.NewReader(body)})
	if err != nil {
		return err
	}
	parts := []types.CompletedPart{{PartNumber: aws.Int32(1), ETag: p.ETag}}
	_, err = client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{Bucket: u.Bucket, Key: u.Key, UploadId: u.UploadId,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: parts}})
	return err
}
