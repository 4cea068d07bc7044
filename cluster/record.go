package cluster

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
)

// A record is one acknowledged change of the catalog, as the journal keeps it. Applying
// the records of all committed batches in order of sequence to an empty catalog gives the
// catalog; so a record holds its preconditions and says nothing of their outcome.
type record struct {
	Kind        recordKind
	Bucket, Key string
	Time        int64 // Unix nanoseconds

	// put and copy
	Size        int64
	ContentType string
	Meta        map[string]string
	Layout      []extent
	IfAbsent    bool
	IfSequence  int64

	// copy: where from, and whether ContentType and Meta replace the source's
	From, FromKey string
	FromSequence  int64 // copy and moved: the version; checkpoint: the batch
	Replace       bool
	Old           extent // moved: what the extent in Layout replaces

	Attributes Attributes // put, copy, attributes, upload, part, complete
	IfMatch    string     // put, copy, complete, delete: the ETag that must stand there, or *

	Version int64        // delete and attributes: of this version; 0 means the latest
	Fields  byte         // attributes: which to set
	Upload  int64        // part, complete, abort
	Number  int          // part
	Chosen  []chosenPart // complete: what the object is made of
	Name    string       // setting
	Value   string       // setting; with Remove, none
	Remove  bool
}

// A chosenPart names what was uploaded as a part.
type chosenPart struct {
	Number   int
	Sequence int64
}

type recordKind uint8

const (
	recMakeBucket recordKind = iota + 1
	recRemoveBucket
	recPut
	recDelete
	recCopy
	recFence // changes nothing; the batches tried before it were given up
	recSetting
	recAttributes
	recUpload
	recPart
	recComplete
	recAbort

	recCheckpoint recordKind = iota + 8 // 20
	recMoved      recordKind = iota + 8
)

const (
	flagIfAbsent = 1 << iota
	flagReplace
	flagIfSequence
	flagAttributes
	flagIfMatch
	flagVersion
	flagRemove
)

// Attributes that a recAttributes sets.
const (
	setTags = 1 << iota
	setRetention
	setLegalHold
	setACL
)

// appendRecord appends r as: length, kind, flags, fields.
func appendRecord(p []byte, r record) []byte {
	body := []byte{byte(r.Kind), r.flags()}
	body = binary.AppendVarint(body, r.Time)
	body = appendString(body, r.Bucket)
	switch r.Kind {
	case recMakeBucket: // its settings are in Meta
		if len(r.Meta) > 0 {
			body = appendMeta(body, r.Meta)
		}
	case recDelete:
		body = appendString(body, r.Key)
	case recSetting:
		body = appendString(body, r.Name)
		body = appendString(body, r.Value)
	case recAttributes:
		body = append(appendString(body, r.Key), r.Fields)
	case recUpload, recPart, recComplete, recAbort:
		body = r.appendUpload(body)
	case recCheckpoint:
		body = binary.AppendUvarint(body, uint64(r.Size))
		body = appendLayout(binary.AppendVarint(body, r.FromSequence), r.Layout)
	case recMoved:
		body = binary.AppendVarint(appendString(body, r.Key), r.FromSequence)
		body = appendLayout(body, append([]extent{r.Old}, r.Layout...))
	case recPut:
		body = appendString(body, r.Key)
		body = binary.AppendUvarint(body, uint64(r.Size))
		body = r.appendAttributes(body)
		body = appendLayout(body, r.Layout)
	case recCopy:
		body = appendString(body, r.Key)
		body = appendString(body, r.From)
		body = appendString(body, r.FromKey)
		body = binary.AppendVarint(body, r.FromSequence)
		body = r.appendAttributes(body)
	}
	body = r.appendTrailer(body)
	p = binary.AppendUvarint(p, uint64(len(body)))
	return append(p, body...)
}

// appendUpload appends the fields of the records of multipart uploads.
func (r record) appendUpload(p []byte) []byte {
	p = appendString(p, r.Key)
	if r.Kind == recUpload {
		p = appendString(p, r.ContentType)
		return appendMeta(p, r.Meta)
	}
	p = binary.AppendVarint(p, r.Upload)
	switch r.Kind {
	case recPart:
		p = binary.AppendUvarint(p, uint64(r.Number))
		p = binary.AppendUvarint(p, uint64(r.Size))
		p = appendLayout(p, r.Layout)
	case recComplete:
		p = binary.AppendUvarint(p, uint64(len(r.Chosen)))
		for _, c := range r.Chosen {
			p = binary.AppendUvarint(p, uint64(c.Number))
			p = binary.AppendVarint(p, c.Sequence)
		}
	}
	return p
}

// appendTrailer appends what flags announce at the end of any record.
func (r record) appendTrailer(p []byte) []byte {
	if !r.Attributes.empty() {
		p = appendString(p, string(r.Attributes.append(nil)))
	}
	if r.IfMatch != "" {
		p = appendString(p, r.IfMatch)
	}
	if r.Version != 0 {
		p = binary.AppendVarint(p, r.Version)
	}
	if r.IfSequence != 0 && r.lateSequence() {
		p = binary.AppendVarint(p, r.IfSequence)
	}
	return p
}

// lateSequence tells whether the wanted sequence stands in the trailer.
func (r record) lateSequence() bool { return r.Kind != recPut && r.Kind != recCopy }

func (r record) flags() byte {
	var f byte
	if r.IfAbsent {
		f |= flagIfAbsent
	}
	if r.Replace {
		f |= flagReplace
	}
	if r.IfSequence != 0 {
		f |= flagIfSequence
	}
	if !r.Attributes.empty() || r.Kind == recMakeBucket && len(r.Meta) > 0 {
		f |= flagAttributes
	}
	if r.IfMatch != "" {
		f |= flagIfMatch
	}
	if r.Version != 0 {
		f |= flagVersion
	}
	if r.Remove {
		f |= flagRemove
	}
	return f
}

func (r record) appendAttributes(p []byte) []byte {
	p = appendString(p, r.ContentType)
	p = appendMeta(p, r.Meta)
	if r.IfSequence != 0 {
		p = binary.AppendVarint(p, r.IfSequence)
	}
	return p
}

func appendMeta(p []byte, meta map[string]string) []byte {
	p = binary.AppendUvarint(p, uint64(len(meta)))
	for _, k := range slices.Sorted(maps.Keys(meta)) {
		p = appendString(p, k)
		p = appendString(p, meta[k])
	}
	return p
}

func (d *decoder) meta() map[string]string {
	n := d.count(2)
	if n == 0 {
		return nil
	}
	meta := make(map[string]string, n)
	for i := 0; i < n && d.err == nil; i++ {
		k := d.string()
		meta[k] = d.string()
	}
	return meta
}

// encodeJournal is the journal of a batch: version, number of records, records.
func encodeJournal(records []record) []byte {
	p := binary.AppendUvarint([]byte{journalVersion}, uint64(len(records)))
	for _, r := range records {
		p = appendRecord(p, r)
	}
	return p
}

const journalVersion = 1

// decodeJournal is the reverse of encodeJournal. It never panics, and never gives records
// of a journal of which a part is malformed.
func decodeJournal(p []byte) ([]record, error) {
	if len(p) == 0 {
		return nil, fmt.Errorf("journal: %w: empty", errMalformed)
	}
	if p[0] != journalVersion {
		return nil, fmt.Errorf("journal version %d: %w", p[0], ErrNewer)
	}
	d := &decoder{p: p[1:]}
	n := d.count(3)
	var records []record
	for i := 0; i < n && d.err == nil; i++ {
		size := d.count(1)
		if d.err != nil {
			break
		}
		one := &decoder{p: d.p[:size]}
		d.p = d.p[size:]
		records = append(records, one.record())
		if one.err == nil && len(one.p) > 0 {
			one.err = fmt.Errorf("%w: %d bytes left", errMalformed, len(one.p))
		}
		if one.err != nil {
			return nil, fmt.Errorf("journal record %d: %w", i, one.err)
		}
	}
	if d.err == nil && len(d.p) > 0 {
		d.err = fmt.Errorf("%w: %d bytes left", errMalformed, len(d.p))
	}
	if d.err != nil {
		return nil, fmt.Errorf("journal: %w", d.err)
	}
	return records, nil
}

func (d *decoder) record() record {
	r := record{Kind: recordKind(d.atMostByte())}
	flags := d.atMostByte()
	r.IfAbsent = flags&flagIfAbsent != 0
	r.Replace = flags&flagReplace != 0
	r.Remove = flags&flagRemove != 0
	r.Time = d.int()
	r.Bucket = d.string()
	switch r.Kind {
	case recRemoveBucket, recFence:
	case recMakeBucket:
		if flags&flagAttributes != 0 {
			r.Meta = d.meta()
			flags &^= flagAttributes
		}
	case recDelete:
		r.Key = d.string()
	case recSetting:
		r.Name, r.Value = d.string(), d.string()
	case recAttributes:
		r.Key, r.Fields = d.string(), d.atMostByte()
	case recUpload, recPart, recComplete, recAbort:
		d.upload(&r)
	case recCheckpoint:
		r.Size = int64(d.atMost(maxObject))
		r.FromSequence = d.int()
		r.Layout = d.layout()
	case recMoved:
		r.Key, r.FromSequence = d.string(), d.int()
		if l := d.layout(); len(l) == 2 && l[0].Count == 0 && l[1].Count == 0 {
			r.Old, r.Layout = l[0], l[1:]
		} else if d.err == nil {
			d.err = fmt.Errorf("%w: %d extents moved", errMalformed, len(l))
		}
	case recPut:
		r.Key = d.string()
		r.Size = int64(d.atMost(maxObject))
		d.attributes(&r, flags)
		r.Layout = d.layout()
	case recCopy:
		r.Key = d.string()
		r.From = d.string()
		r.FromKey = d.string()
		r.FromSequence = d.int()
		d.attributes(&r, flags)
	default:
		if d.err == nil {
			d.err = fmt.Errorf("%w: record kind %d", errMalformed, r.Kind)
		}
	}
	d.trailer(&r, flags)
	return r
}

func (d *decoder) upload(r *record) {
	r.Key = d.string()
	if r.Kind == recUpload {
		r.ContentType, r.Meta = d.string(), d.meta()
		return
	}
	r.Upload = d.int()
	switch r.Kind {
	case recPart:
		r.Number, r.Size = int(d.atMost(maxParts)), int64(d.atMost(maxObject))
		r.Layout = d.layout()
	case recComplete:
		n := d.count(2)
		for i := 0; i < n && d.err == nil; i++ {
			r.Chosen = append(r.Chosen, chosenPart{int(d.atMost(maxParts)), d.int()})
		}
	}
}

func (d *decoder) trailer(r *record, flags byte) {
	if flags&flagAttributes != 0 {
		a := &decoder{p: []byte(d.string())}
		r.Attributes = a.attributesOf()
		if d.err == nil {
			d.err = a.err
		}
	}
	if flags&flagIfMatch != 0 {
		r.IfMatch = d.string()
	}
	if flags&flagVersion != 0 {
		r.Version = d.int()
	}
	if flags&flagIfSequence != 0 && r.lateSequence() {
		r.IfSequence = d.int()
	}
}

func (d *decoder) attributes(r *record, flags byte) {
	r.ContentType = d.string()
	r.Meta = d.meta()
	if flags&flagIfSequence != 0 {
		r.IfSequence = d.int()
	}
}
