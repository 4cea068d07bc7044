package policy

import (
	"bytes"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
)

// principals reads who a statement is about: accounts by their access keys, as they are, as
// canonical users or in ARNs of users of any account, and services, which make no requests
// here. "*" is everyone.
func principals(raw json.RawMessage, not bool, known func(string) (bool, error)) (list []string, err error) {
	var plain texts
	if json.Unmarshal(raw, &plain) == nil {
		list, err = accounts(plain, known)
	} else {
		var kinds map[string]texts
		if !bytes.HasPrefix(bytes.TrimSpace(raw), []byte("{")) || json.Unmarshal(raw, &kinds) != nil || len(kinds) == 0 {
			return nil, ErrPrincipal
		}
		for kind, names := range kinds {
			var more []string
			switch kind {
			case "AWS", "CanonicalUser":
				more, err = accounts(names, known)
			case "Service":
				more, err = services(names)
			default:
				err = ErrPrincipal
			}
			if err != nil {
				return nil, err
			}
			list = append(list, more...)
		}
	}
	switch everyone := slices.Contains(list, "*"); {
	case err != nil:
		return nil, err
	case everyone && (not || len(list) > 1):
		return nil, ErrPrincipal
	}
	return list, nil
}

// userARN names a user, whatever account and path stand before it.
var userARN = regexp.MustCompile(`^arn:aws:(?:iam|sts)::([0-9]{12}|[A-Za-z0-9_-]*|\*):user/(?:[!-.0-~]+/)*([^/]+)$`)

func accounts(names []string, known func(string) (bool, error)) (list []string, err error) {
	if len(names) == 0 {
		return nil, ErrPrincipal
	}
	for _, name := range names {
		if m := userARN.FindStringSubmatch(name); m != nil {
			name = m[2]
		}
		switch {
		case name == "" || strings.HasPrefix(name, "arn:"):
			return nil, ErrPrincipal
		case name != "*" && known != nil:
			if ok, err := known(name); err != nil {
				return nil, err
			} else if !ok {
				return nil, ErrPrincipal
			}
		}
		list = append(list, name)
	}
	return list, nil
}

// services reads names of services. As they make no requests, they match nobody.
func services(names []string) (list []string, err error) {
	for _, name := range names {
		if !strings.HasSuffix(name, ".amazonaws.com") {
			return nil, ErrPrincipal
		}
		list = append(list, "service:"+name)
	}
	if len(list) == 0 {
		return nil, ErrPrincipal
	}
	return list, nil
}

// isPrincipal tells whether an account is one that a statement names.
func isPrincipal(name, account string) bool {
	return name == "*" || name == account && !strings.HasPrefix(name, "service:")
}
