package gateway

import (
	"fmt"
	"testing"
)

// TestOwners: the owner is that of the ACL as it is now, however many were seen before, and the
// root key's where an ACL names none.
func TestOwners(t *testing.T) {
	f := &front{root: "root"}
	for i := range 3000 {
		for range 2 {
			set := map[string]string{settingACL: fmt.Sprintf(`{"Owner":"user%d"}`, i)}
			if got, want := f.ownerOf(set), fmt.Sprintf("user%d", i); got != want {
				t.Fatalf("owner %q, want %q", got, want)
			}
		}
	}
	for _, set := range []map[string]string{nil, {settingACL: "{"}, {settingACL: "{}"}} {
		if got := f.ownerOf(set); got != "root" {
			t.Errorf("%v: owner %q", set, got)
		}
	}
	if n := len(f.owners.by); n > 1024 {
		t.Errorf("%d ACLs are remembered", n)
	}
}
