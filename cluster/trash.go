package cluster

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"
)

// SettingTrash is the setting of the cluster that says how long stripes that no object uses
// are kept before they are freed, as a duration; none or 0 frees them at once. Until then a
// copy of the catalog from before the deletion still finds its bytes.
const SettingTrash = "trash"

// maxTrash bounds the trash time.
const maxTrash = 10 * 366 * 24 * time.Hour

// ParseTrash reads a trash time: "off", a duration such as 36h, or days such as 7d.
func ParseTrash(text string) (time.Duration, error) {
	if text == "off" || text == "0" {
		return 0, nil
	}
	unit := time.Duration(1)
	rest := text
	if days, ok := strings.CutSuffix(text, "d"); ok {
		rest, unit = days+"h", 24
	}
	d, err := time.ParseDuration(rest)
	if err != nil || d < 0 || d > maxTrash/unit {
		return 0, fmt.Errorf("trash time %q: want off, a duration such as 36h, or days such as 7d", text)
	}
	return d * unit, nil
}

// SetTrash sets how long freed stripes are kept; 0 not at all.
func (c *Cluster) SetTrash(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return c.Unset(ctx, "", SettingTrash)
	}
	return c.Set(ctx, "", SettingTrash, d.String())
}

// Trash returns how long stripes that no object uses are kept.
func (c *Cluster) Trash(ctx context.Context) (time.Duration, error) {
	s, err := c.Settings(ctx, "")
	if err != nil || s.Values[SettingTrash] == "" {
		return 0, err
	}
	return ParseTrash(s.Values[SettingTrash])
}

// A moment is a time at which a batch was committed already.
type moment struct {
	batch uint64
	at    time.Time
}

// trashSteps is how finely a trash time is kept.
const trashSteps = 16

// ripe takes a moment to a list of earlier ones, when the last is a step ago, and returns the
// newest batch that is at least the trash time old. What became dead with it or before may
// be freed. Moments that no later call needs are left out of the list.
func ripe(list []moment, now moment, trash time.Duration) (uint64, []moment) {
	if n := len(list); n == 0 || list[n-1].batch < now.batch && now.at.Sub(list[n-1].at) >= trash/trashSteps {
		list = append(list, now)
	}
	old := 0
	for old < len(list) && now.at.Sub(list[old].at) >= trash {
		old++
	}
	if old == 0 {
		return 0, list
	}
	return list[old-1].batch, list[old-1:]
}

// ripe returns the newest batch that is as old as the trash time; without one, every batch is.
func (c *Cluster) ripe(ctx context.Context, now time.Time) (uint64, error) {
	trash, err := c.Trash(ctx)
	if err != nil || trash == 0 {
		return ^uint64(0), err
	}
	list, err := c.catalog.moments()
	if err != nil {
		return 0, err
	}
	batch, after := ripe(list, moment{c.committed.Load(), now}, trash)
	if len(after) == len(list) && (len(list) == 0 || after[0] == list[0]) {
		return batch, nil
	}
	return batch, c.catalog.update(ctx, func(t *tx) error { return t.setMoments(after) })
}

// moments are the times of batches that the trash goes by.
func (c *catalog) moments() ([]moment, error) {
	p, err := c.meta("trash_moments")
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err == nil && len(p)%16 != 0 {
		err = errMalformed
	}
	if err != nil {
		return nil, fmt.Errorf("catalog: moments of the trash: %w", err)
	}
	var list []moment
	for ; len(p) > 0; p = p[16:] {
		list = append(list, moment{binary.LittleEndian.Uint64(p), time.Unix(0, int64(binary.LittleEndian.Uint64(p[8:])))})
	}
	return list, nil
}

func (t *tx) setMoments(list []moment) error {
	var p []byte
	for _, m := range list {
		p = binary.LittleEndian.AppendUint64(p, m.batch)
		p = binary.LittleEndian.AppendUint64(p, uint64(m.at.UnixNano()))
	}
	return t.setMeta("trash_moments", p)
}
