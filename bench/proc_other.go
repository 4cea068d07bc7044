//go:build !linux

package bench

import (
	"net/url"
	"time"
)

func processUse(int) (time.Duration, int64) { return 0, 0 }

func listener(*url.URL) int { return 0 }
