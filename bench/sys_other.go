//go:build !linux

package bench

import (
	"io"
	"os"
	"runtime"
)

func fileSystem(string) string { return runtime.GOOS }

func settle(string) {}

func datasync(f *os.File) error { return f.Sync() }

func widen(*os.File) {}

func drain(f *os.File) (int64, error) { return io.Copy(io.Discard, f) }
