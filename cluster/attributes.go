package cluster

import (
	"encoding/binary"
	"time"
)

// Attributes are what is kept beside an object's bytes for those who serve it over a
// protocol: the store keeps them and acts on none but the ETag of a condition.
type Attributes struct {
	ETag      string            `json:"etag,omitempty"`
	Headers   map[string]string `json:"headers,omitempty"` // content headers by name, such as Cache-Control
	Tags      map[string]string `json:"tags,omitempty"`
	Checksum  Checksum          `json:"checksum,omitzero"`
	Retention Retention         `json:"retention,omitzero"`
	LegalHold bool              `json:"legal_hold,omitempty"`
	Released  bool              `json:"released,omitempty"` // a legal hold was said to be off
	ACL       string            `json:"acl,omitempty"`      // who else may use it, in its gateway's words
	Upload    int64             `json:"-"`                  // the multipart upload that the object was, or 0
}

// A Checksum is a client's checksum of an object or a part.
type Checksum struct {
	Algorithm string `json:"algorithm,omitempty"` // as in CRC32C
	Value     string `json:"value,omitempty"`     // in base64; a composite one ends in -N
	Composite bool   `json:"composite,omitempty"` // a checksum of the parts' checksums
}

// A Retention keeps an object from being deleted until a time.
type Retention struct {
	Mode  string    `json:"mode,omitempty"` // GOVERNANCE or COMPLIANCE
	Until time.Time `json:"until,omitzero"`
}

// Fields of Attributes as they are stored: each with its tag, length and bytes, so that a
// reader can pass over those it does not know.
const (
	fieldETag = iota + 1
	fieldHeaders
	fieldTags
	fieldChecksum
	fieldRetention
	fieldLegalHold
	fieldUpload
	fieldACL
	fieldReleased
)

func appendField(p []byte, tag uint64, value []byte) []byte {
	p = binary.AppendUvarint(p, tag)
	return appendString(p, string(value))
}

// append appends the fields of a that are set.
func (a Attributes) append(p []byte) []byte {
	if a.ETag != "" {
		p = appendField(p, fieldETag, []byte(a.ETag))
	}
	if len(a.Headers) > 0 {
		p = appendField(p, fieldHeaders, appendMeta(nil, a.Headers))
	}
	if len(a.Tags) > 0 {
		p = appendField(p, fieldTags, appendMeta(nil, a.Tags))
	}
	if a.Checksum != (Checksum{}) {
		c := []byte{0}
		if a.Checksum.Composite {
			c[0] = 1
		}
		p = appendField(p, fieldChecksum, appendString(appendString(c, a.Checksum.Algorithm), a.Checksum.Value))
	}
	if a.Retention.Mode != "" {
		p = appendField(p, fieldRetention, binary.AppendVarint(appendString(nil, a.Retention.Mode), a.Retention.Until.Unix()))
	}
	if a.LegalHold {
		p = appendField(p, fieldLegalHold, nil)
	}
	if a.Released {
		p = appendField(p, fieldReleased, nil)
	}
	if a.Upload != 0 {
		p = appendField(p, fieldUpload, binary.AppendVarint(nil, a.Upload))
	}
	if a.ACL != "" {
		p = appendField(p, fieldACL, []byte(a.ACL))
	}
	return p
}

// empty tells whether there is nothing to store.
func (a Attributes) empty() bool { return len(a.append(nil)) == 0 }

// attributesOf reads what append wrote, to the end of d.
func (d *decoder) attributesOf() (a Attributes) {
	for d.err == nil && len(d.p) > 0 {
		tag := d.uint()
		f := &decoder{p: []byte(d.string())}
		if d.err != nil {
			break
		}
		switch tag {
		case fieldETag:
			a.ETag = string(f.p)
		case fieldHeaders:
			a.Headers = f.meta()
		case fieldTags:
			a.Tags = f.meta()
		case fieldChecksum:
			a.Checksum.Composite = f.atMostByte() == 1
			a.Checksum.Algorithm, a.Checksum.Value = f.string(), f.string()
		case fieldRetention:
			if mode, until := f.string(), f.int(); mode != "" { // without a mode nothing is retained
				a.Retention = Retention{mode, time.Unix(until, 0).UTC()}
			}
		case fieldLegalHold:
			a.LegalHold = true
		case fieldReleased:
			a.Released = true
		case fieldUpload:
			a.Upload = f.int()
		case fieldACL:
			a.ACL = string(f.p)
		}
		d.err = f.err
	}
	return a
}

// row is what the catalog keeps of a: the ETag has a column of its own.
func (a Attributes) row() (etag, extra any) {
	if a.ETag != "" {
		etag = a.ETag
	}
	a.ETag = ""
	if p := a.append(nil); len(p) > 0 {
		extra = p
	}
	return etag, extra
}

// A Part is one part of a multipart upload, or of the object that was made of one.
type Part struct {
	Number   int       `json:"number"`
	Size     int64     `json:"size"`
	Modified time.Time `json:"modified,omitzero"`
	Sequence int64     `json:"-"` // identifies what was uploaded as this part
	ETag     string    `json:"etag,omitempty"`
	Checksum Checksum  `json:"checksum,omitzero"`
}

// appendParts appends what an object keeps of its parts: numbers, sizes and checksums.
func appendParts(p []byte, parts []Part) []byte {
	p = binary.AppendUvarint(p, uint64(len(parts)))
	for _, part := range parts {
		p = binary.AppendUvarint(p, uint64(part.Number))
		p = binary.AppendUvarint(p, uint64(part.Size))
		p = appendString(p, part.Checksum.Algorithm)
		p = appendString(p, part.Checksum.Value)
	}
	return p
}

func (d *decoder) parts() []Part {
	n := d.count(4)
	var parts []Part
	for i := 0; i < n && d.err == nil; i++ {
		p := Part{Number: int(d.atMost(maxParts)), Size: int64(d.atMost(maxObject))}
		p.Checksum.Algorithm, p.Checksum.Value = d.string(), d.string()
		parts = append(parts, p)
	}
	return parts
}

// maxParts bounds the number of a part.
const maxParts = 10000
