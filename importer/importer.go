// Package importer reads what an existing storage cluster says of itself and turns it into a
// scenario of the energy model, a topology of the placement, and a first answer.
//
// It reads `ceph report`, `ceph osd tree`, `osd df`, `df`, `osd metadata`, `osd dump` and
// `osd crush dump` as JSON, `mc admin info --json` (MinIO and RustFS), `smartctl -x --json`,
// `lsblk -J`, and CSV inventories of drives. Several files add up to one cluster.
//
// # What it promises
//
// Input is untrusted: it is streamed, every size is bounded, and a text that ends early or is
// not what it seems is an error that names the place. A value of the wrong type is a note
// in Missing, never a zero in a total. What was assumed is a note in Guessed. Names of hosts,
// racks, sites and pools, addresses and serial numbers are dropped while reading unless
// Options.KeepNames is set; sections on authentication are skipped unread.
package importer

import (
	"bufio"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Bounds of what is read.
const (
	MaxFile  = 1 << 30  // bytes of one file, unpacked
	maxValue = 32 << 20 // bytes of one JSON value that is kept
	maxToken = 8 << 20  // bytes of one JSON string that is skipped, or of one line of CSV
	MaxFiles = 1 << 17  // files of one import
	maxDrive = 1 << 20  // drives of one import
)

// ErrInput is the error of a file that cannot be read as what it seems to be.
var ErrInput = errors.New("cannot be imported")

// A FileError says where in which file the reading ended.
type FileError struct {
	Name string
	Kind Kind
	Err  error
}

func (e *FileError) Error() string {
	if e.Kind == "" {
		return fmt.Sprintf("%s: %v", e.Name, e.Err)
	}
	return fmt.Sprintf("%s (%s): %v", e.Name, e.Kind, e.Err)
}

func (e *FileError) Unwrap() []error { return []error{ErrInput, e.Err} }

// A File is one input. Host names the machine it came from, where that is known.
type File struct {
	Name string
	Host string
	Open func() (io.ReadCloser, error)
}

// Options say how Read reads. The zero value keeps no names.
type Options struct {
	KeepNames bool // keep the names of hosts, racks, sites, pools and files, and serial numbers
}

// Read reads files that describe one cluster. Errors are FileErrors.
func Read(files []File, o Options) (*Found, error) {
	if len(files) == 0 {
		return nil, fmt.Errorf("%w: no files", ErrInput)
	}
	if len(files) > MaxFiles {
		return nil, fmt.Errorf("%w: %d files, and at most %d are read", ErrInput, len(files), MaxFiles)
	}
	b := newBuild(o)
	for _, f := range files {
		if err := b.file(f); err != nil {
			return nil, err
		}
	}
	return b.found()
}

// file reads one file into the build.
func (b *build) file(f File) error {
	rc, err := f.Open()
	if err != nil {
		return &FileError{f.Name, "", err}
	}
	defer rc.Close()
	in, err := unpack(rc)
	if err != nil {
		return &FileError{f.Name, "", err}
	}
	kind, err := in.detect()
	if err == nil {
		b.at = f
		err = b.read(kind, in)
	}
	if err != nil {
		return &FileError{f.Name, kind, err}
	}
	if _, err := io.Copy(io.Discard, in); err != nil {
		return &FileError{f.Name, kind, err}
	}
	b.sources = append(b.sources, Source{Name: f.Name, Kind: kind, Bytes: in.n, SHA256: hex.EncodeToString(in.sum.Sum(nil))})
	return nil
}

func (b *build) read(kind Kind, in *input) error {
	switch kind {
	case CephReport:
		return b.cephReport(in)
	case CephTree:
		return b.cephTree(in)
	case CephDF:
		return b.cephDF(in)
	case CephMetadata:
		return b.cephMetadata(in)
	case CephDump:
		return b.cephDump(in)
	case CephCrush:
		return b.cephCrush(in)
	case MinIO:
		return b.minio(in)
	case Smartctl:
		return b.smartctl(in)
	case LSBLK:
		return b.lsblk(in)
	case DriveCSV:
		return b.csv(in)
	}
	return fmt.Errorf("holds power readings, which say nothing of drives: give it to `wattle calibrate`")
}

// An input is the unpacked bytes of a file, bounded, counted and summed.
type input struct {
	*bufio.Reader
	n   int64
	sum interface {
		io.Writer
		Sum([]byte) []byte
	}
	tail byte // the last byte read
}

// unpack opens the gzip layer, if there is one, and skips a byte order mark.
func unpack(r io.Reader) (*input, error) {
	br := bufio.NewReaderSize(r, 64<<10)
	head, _ := br.Peek(4)
	var src io.Reader = br
	switch {
	case len(head) == 0:
		if _, err := br.Peek(1); !errors.Is(err, io.EOF) {
			return nil, err
		}
		return nil, errors.New("is empty")
	case head[0] == 0x1f && len(head) > 1 && head[1] == 0x8b:
		z, err := gzip.NewReader(br)
		if err != nil {
			return nil, fmt.Errorf("damaged gzip: %w", err)
		}
		src = z
	case head[0] == 0xff && len(head) > 1 && head[1] == 0xfe, head[0] == 0xfe && len(head) > 1 && head[1] == 0xff:
		return nil, errors.New("is UTF-16 text: save it as UTF-8 (in PowerShell: `… | Out-File -Encoding utf8 FILE`)")
	}
	in := &input{sum: sha256.New()}
	in.Reader = bufio.NewReaderSize(&counted{src, in}, peekSize)
	if bom, _ := in.Peek(3); string(bom) == "\xef\xbb\xbf" {
		_, _ = in.Discard(3)
	}
	return in, nil
}

// counted bounds, counts and sums what is read.
type counted struct {
	r  io.Reader
	in *input
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.in.n += int64(n)
	_, _ = c.in.sum.Write(p[:n])
	if n > 0 {
		c.in.tail = p[n-1]
	}
	if c.in.n > MaxFile {
		return n, fmt.Errorf("more than %d bytes: split the file", MaxFile)
	}
	if errors.Is(err, gzip.ErrChecksum) || errors.Is(err, gzip.ErrHeader) {
		err = fmt.Errorf("damaged gzip: %w", err)
	}
	return n, err
}

// A Note is a thing that was guessed, or that is missing.
type Note struct {
	Field string `json:"field"` // the place in the input, or the quantity
	Text  string `json:"text"`
	Count int    `json:"count,omitempty"` // how often, when more than once
}

func (n Note) String() string {
	s := n.Field + ": " + n.Text
	if n.Count > 1 {
		s += fmt.Sprintf(" (%d times)", n.Count)
	}
	return s
}

// notes are Notes without repetition, in order of their first appearance.
type notes []Note

func (n *notes) add(field, format string, a ...any) {
	text := fmt.Sprintf(format, a...)
	for i := range *n {
		if (*n)[i].Field == field && (*n)[i].Text == text {
			(*n)[i].Count++
			return
		}
	}
	const most = 400
	if len(*n) == most {
		field, text = "notes", "further notes are left out"
	}
	if len(*n) <= most {
		*n = append(*n, Note{field, text, 1})
	}
}

// clean makes a short printable word of untrusted text.
func clean(s string) string {
	s = strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '\ufffd' || r >= 0x80 && r < 0xa0 || r >= 0x2028 && r <= 0x202e {
			return ' '
		}
		return r
	}, s)), " ")
	if len(s) > 80 {
		s = s[:80]
		for len(s) > 0 && s[len(s)-1]&0xc0 == 0x80 {
			s = s[:len(s)-1]
		}
	}
	return s
}

// sortedKeys lists the keys of a map in order.
func sortedKeys[K interface{ ~int | ~string }, V any](m map[K]V) []K {
	list := make([]K, 0, len(m))
	for k := range m {
		list = append(list, k)
	}
	slices.Sort(list)
	return list
}
