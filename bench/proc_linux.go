package bench

import (
	"bytes"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// processUse returns the processor time of a process, user and system, and the most memory
// that it has had; zeros for pid 0 and for one that is gone.
func processUse(pid int) (cpu time.Duration, peak int64) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if pid == 0 || err != nil {
		return 0, 0
	}
	if i := bytes.LastIndexByte(stat, ')'); i >= 0 {
		if f := strings.Fields(string(stat[i+1:])); len(f) > 12 {
			for _, s := range f[11:13] {
				n, _ := strconv.ParseInt(s, 10, 64)
				cpu += time.Duration(n) * time.Second / 100 // USER_HZ is 100 on every Linux that Go runs on
			}
		}
	}
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			n, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			peak = n << 10
		}
	}
	return cpu, peak
}

// listener finds the process of this machine that listens on a URL's port, 0 for none.
func listener(u *url.URL) int {
	if ip := net.ParseIP(u.Hostname()); u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return 0
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		return 0
	}
	var inodes []string
	for _, name := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		table, _ := os.ReadFile(name)
		for line := range strings.Lines(string(table)) {
			f := strings.Fields(line)
			if len(f) > 9 && f[3] == "0A" && strings.HasSuffix(f[1], fmt.Sprintf(":%04X", port)) {
				inodes = append(inodes, "socket:["+f[9]+"]")
			}
		}
	}
	links, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, link := range links {
		to, err := os.Readlink(link)
		if err != nil {
			continue
		}
		for _, inode := range inodes {
			if to == inode {
				pid, _ := strconv.Atoi(strings.Split(link, "/")[2])
				return pid
			}
		}
	}
	return 0
}
