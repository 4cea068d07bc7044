package energy

import (
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
)

// figures is the form of data/drives.yaml and of a user's file.
type figures struct {
	Sources map[string]struct {
		Title     string `yaml:"title"`
		Publisher string `yaml:"publisher"`
		Year      int    `yaml:"year"`
		Where     string `yaml:"where"`
	} `yaml:"sources"`
	Disks    []Profile `yaml:"disks"`
	Profiles []Profile `yaml:"profiles"` // the same, in a user's file
}

// profiles returns the disks with source and status filled in.
func (f figures) profiles(verified Status) []Profile {
	for i := range f.Disks {
		p := &f.Disks[i]
		p.Status = verified
		if !p.Verified && verified == Datasheet {
			p.Status = Recalled
		}
		p.Source = p.SourceID
		if s, ok := f.Sources[p.SourceID]; ok {
			p.Source = fmt.Sprintf("%s (%s)", s.Title, s.Publisher)
		}
	}
	return f.Disks
}

// ReadProfiles reads drives of a user's own from YAML: a list, or disks (or profiles) with
// sources, as the embedded file has them. Unknown fields are errors, with line and column.
// Every drive is checked and has status input.
func ReadProfiles(text []byte) (list []Profile, err error) {
	defer func() {
		if r := recover(); r != nil { // the YAML parser, on text that is none
			err = fmt.Errorf("%w: not YAML: %v", ErrProfile, r)
		}
	}()
	var f figures
	if strings.HasPrefix(strings.TrimLeft(string(text), " \n"), "-") {
		err = yaml.UnmarshalWithOptions(text, &f.Disks, yaml.Strict())
	} else {
		err = yaml.UnmarshalWithOptions(text, &f, yaml.Strict())
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrProfile, err)
	}
	f.Disks = append(f.Disks, f.Profiles...)
	seen := map[string]bool{}
	for i := range f.Disks {
		p := &f.Disks[i]
		if p.ID == "" || strings.ContainsAny(p.ID, "@/ ") || seen[p.ID] {
			return nil, fmt.Errorf("%w: drive %d: id %q: want a name of its own, without @, / and blanks", ErrProfile, i+1, p.ID)
		}
		if err := p.Validate(); err != nil {
			return nil, err
		}
		seen[p.ID] = true
	}
	return f.profiles(Input), nil
}
