package importer

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// A Kind is a format that is known.
type Kind string

// The kinds of input.
const (
	CephReport   Kind = "ceph report"
	CephTree     Kind = "ceph osd tree"
	CephDF       Kind = "ceph df"
	CephMetadata Kind = "ceph osd metadata"
	CephDump     Kind = "ceph osd dump"
	CephCrush    Kind = "ceph osd crush dump"
	MinIO        Kind = "mc admin info"
	Smartctl     Kind = "smartctl"
	LSBLK        Kind = "lsblk"
	DriveCSV     Kind = "drive CSV"
	Redfish      Kind = "Redfish power"
	Prometheus   Kind = "Prometheus text"
	IPMI         Kind = "IPMI power reading"
	Telemetry    Kind = "openSeaChest power telemetry"
	PowerCSV     Kind = "power CSV"
)

// peekSize is how far detection looks.
const peekSize = 256 << 10

// signs are top-level members that only one kind of text has.
var signs = map[string]Kind{
	"cluster_fingerprint": CephReport, "monmap_first_committed": CephReport, "osdmap": CephReport, "osd_metadata": CephReport, "pool_stats": CephReport,
	"nodes": CephTree, "stray": CephTree,
	"stats_by_class": CephDF, "total_avail_bytes": CephDF,
	"osd_objectstore": CephMetadata, "bluestore_bdev_size": CephMetadata, "ceph_version_short": CephMetadata, "osd_data": CephMetadata, "default_device_class": CephMetadata,
	"erasure_code_profiles": CephDump, "osds": CephDump, "max_osd": CephDump,
	"choose_args": CephCrush, "tunables": CephCrush, "rules": CephCrush,
	"info": MinIO, "storage": MinIO, "deploymentid": MinIO, "backend": MinIO, "servers": MinIO, "sqsarn": MinIO,
	"json_format_version": Smartctl, "smartctl": Smartctl, "ata_smart_attributes": Smartctl, "smart_status": Smartctl, "model_family": Smartctl, "user_capacity": Smartctl, "rotation_rate": Smartctl, "nvme_smart_health_information_log": Smartctl,
	"blockdevices": LSBLK,
	"powercontrol": Redfish, "powersupplies": Redfish, "powerconsumedwatts": Redfish, "powerwatts": Redfish,
}

var errUnknown = errors.New("is no kind of file that is known: want `ceph report`, `ceph osd tree|df|metadata|dump -f json`, `ceph df -f json`, `mc admin info --json`, `smartctl -x --json`, `lsblk -J -b -o NAME,MODEL,SERIAL,SIZE,ROTA,TYPE,TRAN`, or CSV with a header such as model,count,capacity")

// detect tells what the input is, without consuming more than talk before the first value.
func (in *input) detect() (Kind, error) {
	if err := in.skipTalk(); err != nil {
		return "", err
	}
	head, err := in.Peek(peekSize)
	if err != nil && !errors.Is(err, io.EOF) && len(head) == 0 {
		return "", err
	}
	switch {
	case len(head) == 0:
		return "", errors.New("is empty")
	case head[0] == '{' || head[0] == '[':
		return detectJSON(head)
	case bytes.HasPrefix(head, []byte("report ")):
		return "", errors.New("holds nothing but ceph's `report` line: run `ceph report > FILE`, the report comes on stdout")
	}
	return detectText(head)
}

// talk is what ceph and cephadm write to stderr, as a shell that joins it leaves it: the line
// "report 123456", what cephadm inferred, warnings with their time.
var talk = regexp.MustCompile(`^(report \d+|Inferring .*|Using .*image .*|[\w.:/-]+@sha256:[0-9a-f]+|WARNING: .*|\d{4}-\d\d-\d\d[T ][\d:.]+\S* [0-9a-f]+ +-?\d+ .*)\r?\n`)

// skipTalk drops white space and talk.
func (in *input) skipTalk() error {
	for range 1000 {
		c, err := in.ReadByte()
		if err != nil {
			if errors.Is(err, io.EOF) {
				return errors.New("is empty")
			}
			return err
		}
		if c == ' ' || c == '\n' || c == '\r' || c == '\t' {
			continue
		}
		_ = in.UnreadByte()
		head, _ := in.Peek(4096)
		line := talk.Find(head)
		if line == nil {
			return nil
		}
		_, _ = in.Discard(len(line))
	}
	return nil
}

// detectJSON looks for a sign among the members of the first object.
func detectJSON(head []byte) (Kind, error) {
	dec := jsontext.NewDecoder(bytes.NewReader(head), lenient...)
	list := dec.PeekKind() == '['
	if list {
		if _, err := dec.ReadToken(); err != nil {
			return "", errUnknown
		}
	}
	if dec.PeekKind() != '{' {
		return "", errUnknown
	}
	_, _ = dec.ReadToken()
	var seen []string
	for dec.PeekKind() == '"' {
		key, err := dec.ReadToken()
		if err != nil {
			break
		}
		name := strings.ToLower(key.String())
		seen = append(seen, name)
		if kind := signs[name]; kind != "" && (!list || kind == CephMetadata || kind == Smartctl) {
			return kind, nil
		}
		if dec.SkipValue() != nil {
			break
		}
	}
	has := func(names ...string) bool {
		return !slices.ContainsFunc(names, func(n string) bool { return !slices.Contains(seen, n) })
	}
	switch {
	case has("stats", "pools"):
		return CephDF, nil
	case has("devices", "types", "buckets"):
		return CephCrush, nil
	case has("id", "hostname"), list && has("id") && len(seen) == 1:
		return CephMetadata, nil
	case has("status", "error"):
		return "", errors.New("is an error that `mc` printed, not the cluster's state")
	}
	if len(seen) == 0 {
		return "", errUnknown
	}
	return "", fmt.Errorf("has members %s and %w", clean(strings.Join(seen[:min(4, len(seen))], ", ")), errUnknown)
}

// detectText tells CSV of drives from series of power readings.
func detectText(head []byte) (Kind, error) {
	for range 50 { // lines
		line, rest, more := bytes.Cut(head, []byte{'\n'})
		text := strings.ToLower(strings.TrimSpace(string(line[:min(len(line), 4096)])))
		switch {
		case strings.HasPrefix(text, "# help ") || strings.HasPrefix(text, "# type "), strings.Contains(text, "_watts{"), strings.HasPrefix(text, "ipmi_dcmi_power"), strings.HasPrefix(text, "kepler_"):
			return Prometheus, nil
		case dcmiLine.MatchString(text):
			return IPMI, nil
		case strings.Contains(text, "12 volt") || strings.Contains(text, "12v") && strings.Contains(text, "5v"):
			return Telemetry, nil
		case text == "" || text[0] == '#':
		default:
			cells := splitCells(text)
			if columnsOf(cells).drives() {
				return DriveCSV, nil
			}
			if slices.ContainsFunc(cells, func(c string) bool { return c == "watts" || c == "w" || c == "power_w" || c == "power" }) {
				return PowerCSV, nil
			}
		}
		if !more {
			break
		}
		head = rest
	}
	return "", errUnknown
}

// splitCells splits a header by whichever of comma, semicolon and tab it has most of.
func splitCells(line string) []string {
	cells := strings.Split(line, string(delimiter(line)))
	for i, c := range cells {
		cells[i] = strings.Trim(strings.TrimSpace(c), `"`)
	}
	return cells
}

func delimiter(line string) rune {
	best, most := ',', strings.Count(line, ",")
	for _, d := range []rune{';', '\t'} {
		if n := strings.Count(line, string(d)); n > most {
			best, most = d, n
		}
	}
	return best
}
