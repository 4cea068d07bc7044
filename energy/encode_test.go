package energy

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// anyLedger is a ledger of which nothing need make sense but the types.
var anyLedger = rapid.Custom(func(t *rapid.T) *Ledger {
	text := rapid.OneOf(rapid.SampledFrom([]string{"", "site1/rack1", "é", `a"b\c`, "<&>", "\x00\xff", "\u2028"}), rapid.String())
	when := rapid.Custom(func(t *rapid.T) time.Time {
		zone := rapid.SampledFrom([]*time.Location{time.UTC, time.FixedZone("", 3600)}).Draw(t, "zone")
		return time.Unix(rapid.Int64Range(0, 1<<34).Draw(t, "s"), rapid.SampledFrom([]int64{0, 1, 5e8, 999999999}).Draw(t, "ns")).In(zone)
	})
	span := rapid.Custom(func(t *rapid.T) time.Duration {
		return time.Duration(rapid.SampledFrom([]int64{0, 0, 1, -1, 1e18}).Draw(t, "span"))
	})
	amount := rapid.OneOf(anyAmount, rapid.SampledFrom([]Amount{{}, Nano(1), Nano(1e9), Nano(1_500_000_000), Nano(1_000_000_010), {0, 1<<64 - 1}, {1, 0}}))
	parts := rapid.Custom(func(t *rapid.T) (p Parts) {
		for i := range p {
			if rapid.Bool().Draw(t, "used") {
				p[i] = amount.Draw(t, "amount")
			}
		}
		return p
	})
	drive := rapid.Custom(func(t *rapid.T) *DriveAccount {
		n := rapid.SampledFrom([]int64{0, 0, 7, -1, 1 << 62})
		d := &DriveAccount{Place: Place{text.Draw(t, "site"), text.Draw(t, "name"), text.Draw(t, "profile"), n.Draw(t, "capacity"), rapid.Bool().Draw(t, "off")},
			At: when.Draw(t, "at"), Used: when.Draw(t, "used"), Spent: parts.Draw(t, "spent"), Unseen: span.Draw(t, "unseen"),
			Work:   Work{n.Draw(t, "r"), n.Draw(t, "w"), n.Draw(t, "s"), n.Draw(t, "rs"), n.Draw(t, "ws"), n.Draw(t, "br"), n.Draw(t, "bw")},
			Starts: n.Draw(t, "starts"), Gaps: n.Draw(t, "gaps"), Beyond: span.Draw(t, "beyond")}
		for i := range d.Times {
			d.Times[i] = span.Draw(t, "time")
		}
		return d
	})
	account := rapid.Custom(func(t *rapid.T) *BucketAccount {
		users := rapid.MapOfN(text, rapid.Custom(func(t *rapid.T) *Parts { p := parts.Draw(t, "asked"); return &p }), 0, 3)
		return &BucketAccount{rapid.Int64().Draw(t, "raw"), parts.Draw(t, "spent"), users.Draw(t, "users")}
	})
	return &Ledger{Since: when.Draw(t, "since"), At: when.Draw(t, "at"), Settled: when.Draw(t, "settled"),
		Settings: Settings{SpinDown{span.Draw(t, "after")}, span.Draw(t, "gap"), rapid.Float64Range(0, 1e22).Draw(t, "core")},
		Drives:   rapid.MapOfN(rapid.Int32(), drive, 0, 4).Draw(t, "drives"), Coding: amount.Draw(t, "coding"), CodingNS: span.Draw(t, "coding ns"),
		Buckets: rapid.MapOfN(text, account, 0, 3).Draw(t, "buckets"), Free: parts.Draw(t, "free"), Pending: parts.Draw(t, "pending"), Unseen: span.Draw(t, "unseen")}
})

// TestEncode: a ledger is written as encoding/json writes it, and read back as it was.
func TestEncode(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := anyLedger.Draw(t, "ledger")
		got, err := l.Encode()
		if err != nil {
			t.Fatal(err)
		}
		want, err := json.Marshal(l)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != string(want) {
			t.Fatalf("got  %s\nwant %s", got, want)
		}
		indented, err := json.MarshalIndent(l, "", "\t")
		if err != nil {
			t.Fatal(err)
		}
		back := &Ledger{}
		if err := json.Unmarshal(indented, back); err != nil {
			t.Fatal(err)
		}
		for _, p := range [][]byte{got, indented} {
			if again, err := unmarshalLedger(p); err != nil || !reflect.DeepEqual(again, back) {
				t.Fatalf("%s\nis read as\n%+v, %v, and should be\n%+v", p, again, err, back)
			}
		}
		if odd := bytes.ContainsAny(got, `\`+"\x7f") || bytes.ContainsFunc(got, func(r rune) bool { return r > '~' }); !odd {
			if _, ok := plainLedger(got); !ok {
				t.Fatalf("%s\nis not read as what was written here", got)
			}
		}
	})
}

// TestEncodeTime: a time that JSON cannot say is an error.
func TestEncodeTime(t *testing.T) {
	l := NewLedger(time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC))
	if p, err := l.Encode(); err == nil {
		t.Errorf("%s", p)
	}
}

// BenchmarkEncode writes and reads the ledger of a cluster of 36 drives.
func BenchmarkEncode(b *testing.B) {
	l := NewLedger(epoch)
	for i := range int32(36) {
		l.Set(epoch, i, Place{Site: "site1", Name: "site1/rack1/host1/disk1", Profile: "helium-5w", Capacity: 18e12})
		l.Work(epoch.Add(time.Hour), i, ForGet, Work{Reads: 1, ReadSeeks: 1, BytesRead: 65536}, []Share{{Bucket: "b", Weight: 1}})
	}
	l.Settle(epoch.Add(Year))
	for b.Loop() {
		p, err := l.Encode()
		if err == nil {
			_, err = DecodeLedger(p)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}
