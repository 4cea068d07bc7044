//go:build !linux

package bench

import (
	"io"
	"os"
	"runtime"
)

func fileSystem(string) string { return runtime.GOOS }

func settle(string) {}

func freeSpace(string) (int64, bool) { return 0, false }

func forget(string) error { return nil } // what is in memory is for both

func datasync(f *os.File) error { return f.Sync() }

func widen(*os.File) {}

func drain(f *os.File) (int64, error) { return io.Copy(io.Discard, f) }
