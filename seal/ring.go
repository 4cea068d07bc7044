package seal

import (
	"bufio"
	"bytes"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// An ID names a key, in headers and extents. 0 stands for no key.
type ID uint32

func (id ID) String() string { return fmt.Sprintf("%08x", uint32(id)) }

// A Print is a fingerprint of a key, in hexadecimal. It begins with the key's ID and tells
// nothing else of it.
type Print string

// ID returns the ID of the key with this fingerprint, 0 when it is none.
func (p Print) ID() ID {
	b, err := hex.DecodeString(string(p))
	if err != nil || len(b) != printSize {
		return 0
	}
	return ID(binary.BigEndian.Uint32(b))
}

const printSize = 20

// A Key is a secret of 256 bits.
type Key struct {
	secret [32]byte
	print  Print
}

// NewKey returns a random key.
func NewKey() Key {
	for {
		var s [32]byte
		rand.Read(s[:]) // never fails
		if k := keyOf(s); k.ID() != 0 {
			return k
		}
	}
}

func keyOf(secret [32]byte) Key {
	p, err := hkdf.Key(sha256.New, secret[:], nil, "wattle fingerprint 1", printSize)
	if err != nil {
		panic(fmt.Sprintf("seal: %v", err)) // the sizes are ours
	}
	return Key{secret, Print(hex.EncodeToString(p))}
}

// ID returns what names the key.
func (k Key) ID() ID { return k.print.ID() }

// Print returns the key's fingerprint.
func (k Key) Print() Print { return k.print }

// A Ring holds keys, the oldest first.
type Ring []Key

// Find returns a key by its ID.
func (r Ring) Find(id ID) (Key, bool) {
	for _, k := range r {
		if k.ID() == id {
			return k, true
		}
	}
	return Key{}, false
}

// IDs returns the IDs of all keys in order, for people.
func (r Ring) IDs() string {
	if len(r) == 0 {
		return "no key"
	}
	var list []string
	for _, k := range r {
		list = append(list, k.ID().String())
	}
	return strings.Join(list, ", ")
}

// keyWord is what each line of a key begins with.
const keyWord = "wattle-key-1:"

// line is a key as a ring file has it: its ID and its secret.
func (k Key) line() string {
	return keyWord + k.ID().String() + ":" + base64.StdEncoding.EncodeToString(k.secret[:])
}

// ParseRing reads keys, one a word, between blanks and lines; from # to the end of the line
// is for people. Its errors name a line and never what stands there.
func ParseRing(text []byte) (Ring, error) {
	var r Ring
	lines := bufio.NewScanner(bytes.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		line, _, _ := strings.Cut(lines.Text(), "#")
		for _, word := range strings.Fields(line) {
			k, err := parseKey(word)
			if err == nil {
				if _, twice := r.Find(k.ID()); twice {
					err = fmt.Errorf("key %s stands there twice", k.ID())
				}
			}
			if err != nil {
				return nil, fmt.Errorf("line %d: %w", n, err)
			}
			r = append(r, k)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, errors.New("it has a line that is far too long to hold keys")
	}
	return r, nil
}

func parseKey(word string) (Key, error) {
	rest, ok := strings.CutPrefix(word, keyWord)
	id, secret, two := strings.Cut(rest, ":")
	b, err := base64.StdEncoding.Strict().DecodeString(secret)
	if !ok || !two || err != nil || len(b) != 32 {
		return Key{}, fmt.Errorf("not a key: want %sID:SECRET, as `wattle key new` writes it", keyWord)
	}
	k := keyOf([32]byte(b))
	if k.ID() == 0 || k.ID().String() != id {
		return Key{}, fmt.Errorf("its secret is not that of key %.8q: a copy went wrong", id)
	}
	return k, nil
}

// maxRing bounds what is read of a ring file.
const maxRing = 1 << 20

// ReadFile reads the keys of a file that only its owner can read. Every error is an ErrKey.
func ReadFile(path string) (Ring, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("key file: %w: %w", err, ErrKey)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("key file: %w: %w", err, ErrKey)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("key file %s: not a regular file: %w", path, ErrKey)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("key file %s: its mode is %04o, and others may read it: `chmod 600` it: %w", path, mode, ErrKey)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxRing))
	if err != nil {
		return nil, fmt.Errorf("key file: %w: %w", err, ErrKey)
	}
	r, err := ParseRing(text)
	if err != nil {
		return nil, fmt.Errorf("key file %s: %w: %w", path, err, ErrKey)
	}
	return r, nil
}

const preamble = "# Keys of a Wattle cluster, the newest last. Whoever has them can read its disks, and without\n" +
	"# them its data is gone: keep a copy elsewhere, and never on those disks.\n"

// AddToFile adds a key to a ring file, which is made when it is not there, durably and with all
// or nothing of it. A key that is in it already is not added again.
func AddToFile(path string, k Key) error {
	r, err := ReadFile(path)
	text := []byte(preamble)
	switch {
	case err == nil:
		if text, err = os.ReadFile(path); err != nil {
			return err
		}
		if len(text) > 0 && text[len(text)-1] != '\n' {
			text = append(text, '\n')
		}
	case errors.Is(err, fs.ErrNotExist):
	default:
		return err
	}
	if _, ok := r.Find(k.ID()); ok {
		return nil
	}
	return replaceFile(path, append(text, k.line()+"\n"...))
}

// replaceFile puts a file with this text in the place of path, mode 0600.
func replaceFile(path string, text []byte) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".wattle-key-") // made with mode 0600
	if err != nil {
		return fmt.Errorf("key file: %w", err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("key file: %w", err)
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) { // some file systems cannot
		return fmt.Errorf("key file: %w", err)
	}
	return nil
}
