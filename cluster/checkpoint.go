package cluster

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"
)

// A checkpoint is a copy of what the journals up to a batch say, so that they can go. Its
// format is in doc/format.md.

const (
	checkpointMagic   = "WATTLCKP"
	checkpointVersion = 1
	maxValue          = 64 << 20 // bytes of one value of a row; far above what is written
	maxTables         = 64
	maxTableColumns   = 64
)

// physical tables say where shards lie and how far the catalog is; recovery learns that from
// the disks. All others are in a checkpoint.
var physical = []string{"meta", "stripes", "damage"}

// logicalTables are the names of the tables that a checkpoint holds, in order of creation.
func logicalTables() []string {
	var list []string
	for _, s := range slices.Concat(schema, schema2) {
		rest, ok := strings.CutPrefix(s, "CREATE TABLE ")
		name, _, _ := strings.Cut(rest, " ")
		if ok && !slices.Contains(physical, name) {
			list = append(list, name)
		}
	}
	return list
}

// A checkpointWriter writes the parts of a checkpoint.
type checkpointWriter struct {
	w   *bufio.Writer
	sum hash.Hash64
	buf []byte
}

func newCheckpointWriter(w io.Writer, seq uint64) (*checkpointWriter, error) {
	c := &checkpointWriter{sum: xxhash.New()}
	c.w = bufio.NewWriterSize(io.MultiWriter(w, c.sum), 64<<10)
	p := append([]byte(checkpointMagic), checkpointVersion)
	_, err := c.w.Write(binary.AppendUvarint(p, seq))
	return c, err
}

func (c *checkpointWriter) table(name string, columns []string) error {
	p := binary.AppendUvarint(appendString(c.buf[:0], name), uint64(len(columns)))
	for _, n := range columns {
		p = appendString(p, n)
	}
	c.buf = p
	_, err := c.w.Write(p)
	return err
}

// row writes values: nil, int64, string or []byte.
func (c *checkpointWriter) row(values []any) error {
	p := append(c.buf[:0], 1)
	for _, v := range values {
		switch v := v.(type) {
		case nil:
			p = append(p, 0)
		case int64:
			p = binary.AppendVarint(append(p, 1), v)
		case string:
			p = appendString(append(p, 2), v)
		case []byte:
			p = append(binary.AppendUvarint(append(p, 3), uint64(len(v))), v...)
		default:
			return fmt.Errorf("checkpoint: a value of type %T", v)
		}
	}
	c.buf = p
	_, err := c.w.Write(p)
	return err
}

func (c *checkpointWriter) endTable() error { return c.w.WriteByte(0) }

// end writes the end and the sum.
func (c *checkpointWriter) end(w io.Writer) error {
	if err := errors.Join(c.w.WriteByte(0), c.w.Flush()); err != nil {
		return err
	}
	_, err := w.Write(binary.LittleEndian.AppendUint64(nil, c.sum.Sum64()))
	return err
}

// A checkpointReader reads what a checkpointWriter wrote. It believes no size.
type checkpointReader struct {
	r   *bufio.Reader
	sum *xxhash.Digest
	err error
}

// A checkpointTable is the head of a table.
type checkpointTable struct {
	name    string
	columns []string
}

func newCheckpointReader(r io.Reader) *checkpointReader {
	return &checkpointReader{r: bufio.NewReaderSize(r, 64<<10), sum: xxhash.New()}
}

func (c *checkpointReader) fail(format string, a ...any) {
	if c.err == nil {
		c.err = fmt.Errorf("checkpoint: %w: "+format, append([]any{errMalformed}, a...)...)
	}
}

// ReadByte makes the reader an io.ByteReader for varints; it sums what it gives.
func (c *checkpointReader) ReadByte() (byte, error) {
	b, err := c.r.ReadByte()
	if err == nil {
		c.sum.Write([]byte{b})
	}
	return b, err
}

func (c *checkpointReader) byte() byte {
	if c.err != nil {
		return 0
	}
	b, err := c.ReadByte()
	if err != nil {
		c.fail("%v", err)
	}
	return b
}

func (c *checkpointReader) uint(top uint64) uint64 {
	if c.err != nil {
		return 0
	}
	v, err := binary.ReadUvarint(c)
	if err != nil {
		c.fail("%v", err)
	} else if v > top {
		c.fail("%d is over %d", v, top)
	}
	if c.err != nil {
		return 0
	}
	return v
}

func (c *checkpointReader) int() int64 {
	if c.err != nil {
		return 0
	}
	v, err := binary.ReadVarint(c)
	if err != nil {
		c.fail("%v", err)
	}
	return v
}

// bytes reads a length and as many bytes, in pieces, so that a length that lies costs nothing.
func (c *checkpointReader) bytes(top uint64) []byte {
	n := int64(c.uint(top))
	if c.err != nil {
		return nil
	}
	var b bytes.Buffer
	b.Grow(int(min(n, 4096)))
	if _, err := io.CopyN(&b, c.r, n); err != nil {
		c.fail("%v", err)
		return nil
	}
	c.sum.Write(b.Bytes())
	return b.Bytes()
}

// header reads the beginning and returns the batch of the checkpoint.
func (c *checkpointReader) header() uint64 {
	p := make([]byte, len(checkpointMagic)+1)
	if _, err := io.ReadFull(c.r, p); err != nil {
		c.fail("%v", err)
		return 0
	}
	c.sum.Write(p)
	if string(p[:len(checkpointMagic)]) != checkpointMagic {
		c.fail("it begins otherwise")
	} else if v := p[len(checkpointMagic)]; v > checkpointVersion {
		c.err = fmt.Errorf("checkpoint of version %d: %w", v, ErrNewer)
	}
	return c.uint(1<<63 - 1)
}

// table reads the head of the next table, and tells whether there is one.
func (c *checkpointReader) table() (checkpointTable, bool) {
	t := checkpointTable{name: string(c.bytes(64))}
	if t.name == "" || c.err != nil {
		return t, false
	}
	for range c.uint(maxTableColumns) {
		t.columns = append(t.columns, string(c.bytes(64)))
	}
	return t, c.err == nil
}

// row reads the next row of a table of n columns, and tells whether there is one.
func (c *checkpointReader) row(n int) ([]any, bool) {
	switch more := c.byte(); {
	case c.err != nil || more == 0:
		return nil, false
	case more != 1:
		c.fail("a row begins with %d", more)
		return nil, false
	}
	values := make([]any, n)
	for i := range values {
		switch kind := c.byte(); kind {
		case 0:
		case 1:
			values[i] = c.int()
		case 2:
			values[i] = string(c.bytes(maxValue))
		case 3:
			values[i] = c.bytes(maxValue)
		default:
			c.fail("a value of kind %d", kind)
		}
		if c.err != nil {
			return nil, false
		}
	}
	return values, true
}

// end compares the sum.
func (c *checkpointReader) end() error {
	if c.err != nil {
		return c.err
	}
	want := c.sum.Sum64()
	var p [8]byte
	if _, err := io.ReadFull(c.r, p[:]); err != nil {
		c.fail("%v", err)
	} else if binary.LittleEndian.Uint64(p[:]) != want {
		c.fail("its checksum differs")
	} else if _, err := c.r.ReadByte(); err != io.EOF {
		c.fail("something follows its end")
	}
	return c.err
}

// readCheckpoint gives the rows of a checkpoint to yield, and returns its batch. The rows are
// not to be trusted until it returned without an error.
func readCheckpoint(r io.Reader, yield func(table string, columns []string, values []any) error) (uint64, error) {
	c := newCheckpointReader(r)
	seq := c.header()
	for range maxTables {
		t, ok := c.table()
		if !ok {
			break
		}
		for {
			values, ok := c.row(len(t.columns))
			if !ok {
				break
			}
			if err := yield(t.name, t.columns, values); err != nil {
				return seq, err
			}
		}
	}
	return seq, c.end()
}

// A checkpointed says where the newest checkpoint lies.
type checkpointed struct {
	Batch  uint64 // whose state it holds
	Size   int64
	Layout []extent
}

func (p checkpointed) encode() []byte {
	b := binary.AppendUvarint(nil, p.Batch)
	return appendLayout(binary.AppendUvarint(b, uint64(p.Size)), p.Layout)
}

func decodeCheckpointed(b []byte) (checkpointed, error) {
	d := &decoder{p: b}
	p := checkpointed{Batch: d.atMost(1<<63 - 1), Size: int64(d.atMost(maxObject)), Layout: d.layout()}
	return p, d.err
}

// Checkpoint stores a copy of what the journals say, so that those of batches that it holds
// can be freed. It returns that batch and the copy's size.
func (c *Cluster) Checkpoint(ctx context.Context) (uint64, int64, error) {
	if c.readOnly {
		return 0, 0, ErrReadOnly
	}
	if err := c.checkpointing.Acquire(ctx, 1); err != nil { // of two at a time one would be refused as the older
		return 0, 0, err
	}
	defer c.checkpointing.Release(1)
	if err := c.ledgerIntoCheckpoint(ctx); err != nil {
		return 0, 0, fmt.Errorf("checkpoint: energy ledger: %w", err)
	}
	r, w := io.Pipe()
	var seq uint64
	size := int64(0)
	dumped := make(chan struct{})
	began := make(chan uint64, 1)
	go func() {
		defer close(dumped)
		count := &counting{w: w}
		err := c.catalog.dump(ctx, count, func(s uint64) { began <- s })
		size = count.n
		w.CloseWithError(err)
		close(began)
	}()
	seq, ok := <-began
	if !ok {
		_, err := r.Read(make([]byte, 1))
		return 0, 0, fmt.Errorf("checkpoint: %w", err)
	}
	_, err := c.stream(ctx, record{Kind: recCheckpoint, FromSequence: int64(seq)}, r, PutOptions{})
	r.CloseWithError(errClosed)
	<-dumped
	if err != nil {
		return 0, 0, fmt.Errorf("checkpoint of batch %d: %w", seq, err)
	}
	c.checkpoint.Store(seq)
	c.spent.Store(true)
	return seq, size, nil
}

type counting struct {
	w io.Writer
	n int64
}

func (c *counting) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

// checkpointed says which checkpoint there is; without one all is zero.
func (c *catalog) checkpointed() (checkpointed, error) {
	blob, err := c.meta("checkpoint")
	if errors.Is(err, sql.ErrNoRows) {
		return checkpointed{}, nil
	}
	var p checkpointed
	if err == nil {
		p, err = decodeCheckpointed(blob)
	}
	if err != nil {
		return p, fmt.Errorf("catalog: checkpoint: %w", err)
	}
	return p, nil
}

// readCheckpointed takes from the catalog which checkpoint there is.
func (c *Cluster) readCheckpointed() error {
	p, err := c.catalog.checkpointed()
	c.checkpoint.Store(p.Batch)
	c.spent.Store(p.Batch > 0)
	return err
}

// needed tells whether recovery needs the journal in a stripe.
func (c *Cluster) needed(s *stripe) bool { return s.Journal > 0 && s.Seq > c.checkpoint.Load() }
