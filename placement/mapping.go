package placement

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// ErrMapping is the error of a mapping file that makes no sense.
var ErrMapping = errors.New("bad mapping file")

func errShape(a, b *Table) error {
	return fmt.Errorf("%w: %d groups of %d shards, and %d groups of %d", ErrMapping, a.PGs(), a.n, b.PGs(), b.n)
}

// WriteTo writes a table as a mapping file: a line for each group, the numbers of its disks
// with spaces between, -1 for none.
func (t *Table) WriteTo(w io.Writer) (int64, error) {
	b := bufio.NewWriter(w)
	total := int64(0)
	line := make([]byte, 0, 8*t.n)
	for pg := range t.PGs() {
		line = line[:0]
		for i, d := range t.Disks(pg) {
			if i > 0 {
				line = append(line, ' ')
			}
			line = strconv.AppendInt(line, int64(d), 10)
		}
		n, err := b.Write(append(line, '\n'))
		total += int64(n)
		if err != nil {
			return total, err
		}
	}
	return total, b.Flush()
}

// ReadTable reads a mapping file. The number of lines must be a power of two, and each line
// as long as the first.
func ReadTable(r io.Reader) (*Table, error) {
	var rows []DiskID
	n := 0
	scan := bufio.NewScanner(r)
	scan.Buffer(nil, 1<<20)
	for at := 1; scan.Scan(); at++ {
		fields := strings.Fields(scan.Text())
		if n == 0 {
			n = len(fields)
		}
		if len(fields) != n || n == 0 || n > MaxShards {
			return nil, fmt.Errorf("%w: line %d has %d disks; want 1 to %d, as many on each line", ErrMapping, at, len(fields), MaxShards)
		}
		if at > MaxPGs {
			return nil, fmt.Errorf("%w: more than %d lines", ErrMapping, MaxPGs)
		}
		for _, f := range fields {
			d, err := strconv.ParseInt(f, 10, 32)
			if err != nil || d < -1 {
				return nil, fmt.Errorf("%w: line %d: %q is not the number of a disk, nor -1 for none", ErrMapping, at, f)
			}
			rows = append(rows, DiskID(d))
		}
	}
	if err := scan.Err(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMapping, err)
	}
	if n == 0 {
		return nil, fmt.Errorf("%w: it is empty", ErrMapping)
	}
	t, err := NewTable(n, rows)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMapping, err)
	}
	return t, nil
}
