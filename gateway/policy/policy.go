// Package policy reads the policies of S3 buckets and decides by them.
//
// A policy is a list of statements. Each allows or denies actions on resources to principals,
// under conditions on the request. Who is denied by one statement is denied, whatever the
// others say; who is allowed by none is not allowed, which is not the same: another source,
// such as a list or ownership, may still allow it. What a policy says that is not known is
// refused when it is read, never passed over.
//
// The grammar and the meaning of its elements are those of AWS's "IAM JSON policy elements
// reference" and of the list of actions, resources and condition keys of S3.
package policy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
)

// MaxSize bounds a policy, in bytes.
const MaxSize = 20 << 10

// An Error says why a policy is refused, in the words that S3 has for it.
type Error string

func (e Error) Error() string { return string(e) }

// Errors of policies.
const (
	ErrJSON           = Error("This policy contains invalid Json")
	ErrFirstByte      = Error("Policies must be valid JSON and the first byte must be '{'")
	ErrSize           = Error("Policy exceeds the maximum allowed document size")
	ErrVersion        = Error("The policy must contain a valid version string")
	ErrNoStatement    = Error("Missing required field Statement")
	ErrEmptyStatement = Error("Could not parse the policy: Statement is empty!")
	ErrPrincipal      = Error("Invalid principal in policy")
	ErrAction         = Error("Policy has invalid action")
	ErrResource       = Error("Policy has invalid resource")
	ErrMismatch       = Error("Action does not apply to any resource(s) in statement")
	ErrKey            = Error("Policy has an invalid condition key")
	ErrKeyMismatch    = Error("Conditions do not apply to combination of actions and resources in statement")
	ErrIP             = Error("Invalid IP address in Conditions")
)

func refuse(format string, a ...any) error { return Error(fmt.Sprintf(format, a...)) }

// version2012 is the version in which ${names} in text stand for values of the request.
const version2012 = "2012-10-17"

// A Policy is a bucket's.
type Policy struct {
	Version    string
	Statements []Statement
}

// A Statement allows or denies.
type Statement struct {
	ID         string
	Deny       bool
	Principals set
	Actions    set // in lower case
	Resources  set // without the prefix of their ARNs
	Conditions []Condition
}

// A set is a list of patterns, or of all that none of them matches.
type set struct {
	not  bool
	list []string
}

// A Request is what is decided about.
type Request struct {
	Account  string // the access key, "" for a request that is not signed
	Action   string // such as s3:GetObject
	Resource string // bucket, or bucket/key
	// Values are those of a condition key, in lower case but for what stands behind a slash in
	// it: none when the request has none.
	Values func(key string) []string
}

// A Decision is what a policy says of a request.
type Decision int

// Decisions. Undecided leaves it to others.
const (
	Undecided Decision = iota
	Allowed
	Denied
)

// Decide applies a policy. Allows of a policy that is nil are none.
func (p *Policy) Decide(r Request) Decision {
	d := Undecided
	if p == nil {
		return d
	}
	for i := range p.Statements {
		s := &p.Statements[i]
		if s.Deny || d == Undecided {
			if p.matches(s, r) {
				if s.Deny {
					return Denied
				}
				d = Allowed
			}
		}
	}
	return d
}

func (p *Policy) matches(s *Statement, r Request) bool {
	vars := r.Values
	if p.Version != version2012 {
		vars = nil
	}
	return s.Actions.has(func(x string) bool { return matchPlain(x, strings.ToLower(r.Action)) }) &&
		s.Principals.has(func(x string) bool { return isPrincipal(x, r.Account) }) &&
		s.Resources.has(func(x string) bool { return match(x, r.Resource, vars) }) &&
		!slices.ContainsFunc(s.Conditions, func(c Condition) bool { return !c.holds(r.Values, vars) })
}

func (s set) has(matches func(string) bool) bool {
	return slices.ContainsFunc(s.list, matches) != s.not
}

// Uses tells whether a policy has a condition on a key that begins so, or text that stands
// for its value.
func (p *Policy) Uses(key string) bool {
	for _, s := range p.Statements {
		for _, c := range s.Conditions {
			if strings.HasPrefix(c.Key, key) || slices.ContainsFunc(c.Values, func(v string) bool { return strings.Contains(strings.ToLower(v), "${"+key) }) {
				return true
			}
		}
		if slices.ContainsFunc(s.Resources.list, func(v string) bool { return strings.Contains(strings.ToLower(v), "${"+key) }) {
			return true
		}
	}
	return false
}

// document and statement are a policy as JSON. What else it has is refused.
type document struct {
	Version   *string
	ID        *string `json:"Id"`
	Statement *json.RawMessage
}

type statement struct {
	Sid          string
	Effect       *string
	Principal    *json.RawMessage
	NotPrincipal *json.RawMessage
	Action       *texts
	NotAction    *texts
	Resource     *texts
	NotResource  *texts
	Condition    *json.RawMessage
}

// texts are one text or a list of them.
type texts []string

func (t *texts) UnmarshalJSON(data []byte) error {
	var one string
	if json.Unmarshal(data, &one) == nil {
		*t = texts{one}
		return nil
	}
	return json.Unmarshal(data, (*[]string)(t))
}

// Parse reads the policy of a bucket. known tells whether there is an account; nil takes all
// for known. Errors are of type Error, or those of known.
func Parse(data []byte, bucket string, known func(account string) (bool, error)) (*Policy, error) {
	switch {
	case len(data) == 0 || data[0] != '{':
		return nil, ErrFirstByte
	case len(data) > MaxSize:
		return nil, ErrSize
	}
	var doc document
	if err := strict(data, &doc); err != nil {
		return nil, err
	}
	p := &Policy{Version: "2008-10-17"}
	if doc.Version != nil {
		p.Version = *doc.Version
	}
	list, err := doc.statements()
	if err != nil {
		return nil, err
	}
	ids := map[string]bool{}
	for _, in := range list {
		s, err := in.read(bucket, known)
		switch {
		case err != nil:
			return nil, err
		case s.ID != "" && ids[s.ID]:
			return nil, refuse("Statement IDs (SID) in a single policy must be unique.")
		}
		ids[s.ID] = true
		p.Statements = append(p.Statements, s)
	}
	if p.Version != "2008-10-17" && p.Version != version2012 {
		return nil, ErrVersion
	}
	return p, nil
}

// strict reads JSON and refuses members that v does not have.
func strict(data []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		if _, name, ok := strings.Cut(err.Error(), "unknown field "); ok {
			return refuse("Unknown field %s", strings.Trim(name, `"`))
		}
		return ErrJSON
	}
	if _, err := d.Token(); err != io.EOF {
		return ErrJSON
	}
	return nil
}

// statements are one or a list of them.
func (d document) statements() (list []statement, err error) {
	if d.Statement == nil {
		return nil, ErrNoStatement
	}
	raw := bytes.TrimSpace(*d.Statement)
	if bytes.HasPrefix(raw, []byte("{")) {
		list = make([]statement, 1)
		return list, strict(raw, &list[0])
	}
	if err := strict(raw, &list); err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, ErrEmptyStatement
	}
	return list, nil
}

// read checks a statement. The order is that in which S3 tells of errors.
func (in statement) read(bucket string, known func(string) (bool, error)) (s Statement, err error) {
	switch {
	case in.Effect == nil:
		return s, refuse("Missing required field Effect")
	case *in.Effect != "Allow" && *in.Effect != "Deny":
		return s, refuse("Invalid effect: %.100s", *in.Effect)
	case in.NotPrincipal != nil && *in.Effect == "Allow":
		return s, refuse("Allow with NotPrincipal is not allowed.")
	}
	s.ID, s.Deny = in.Sid, *in.Effect == "Deny"
	raw, err := either(&s.Principals, in.Principal, in.NotPrincipal, "Principal")
	if err != nil {
		return s, err
	}
	if s.Principals.list, err = principals(*raw, s.Principals.not, known); err != nil {
		return s, err
	}
	actions, err := either(&s.Actions, in.Action, in.NotAction, "Action")
	if err != nil {
		return s, err
	}
	resources, err := either(&s.Resources, in.Resource, in.NotResource, "Resource")
	if err != nil {
		return s, err
	}
	if s.Actions.list, err = actionPatterns(*actions); err != nil {
		return s, err
	}
	if s.Resources.list, err = resourcePatterns(*resources, bucket); err != nil {
		return s, err
	}
	if s.Conditions, err = conditions(in.Condition, s.Actions); err != nil {
		return s, err
	}
	return s, s.applies()
}

// either takes what is given of an element and its opposite.
func either[T any](s *set, is, not *T, name string) (*T, error) {
	switch s.not = not != nil; {
	case is != nil && not != nil:
		return nil, refuse("%s and Not%s are both given", name, name)
	case not != nil:
		return not, nil
	case is == nil:
		return nil, refuse("Missing required field %s", name)
	}
	return is, nil
}

// resourcePatterns are patterns of a bucket and its keys.
func resourcePatterns(arns []string, bucket string) (list []string, err error) {
	for _, arn := range arns {
		r, ok := strings.CutPrefix(arn, "arn:aws:s3:::")
		if arn == "*" {
			r, ok = "*", true
		}
		name, _, _ := strings.Cut(r, "/")
		if !ok || !match(name, bucket, nil) && !strings.Contains(name, "*") || !fits(name, bucket) {
			return nil, ErrResource
		}
		list = append(list, r)
	}
	if len(list) == 0 {
		return nil, ErrResource
	}
	return list, nil
}

// fits tells whether a pattern may match a bucket's name, or keys in it: a star also stands
// for slashes.
func fits(name, bucket string) bool {
	before, _, star := strings.Cut(name, "*")
	if !star {
		return matchPlain(name, bucket)
	}
	return matchPlain(before+"*", bucket)
}

// applies tells whether each of the actions is one on some of the resources.
func (s Statement) applies() error {
	if s.Actions.not || s.Resources.not {
		return nil
	}
	var keys, buckets bool
	for _, r := range s.Resources.list {
		keys = keys || strings.ContainsAny(r, "/*")
		buckets = buckets || !strings.Contains(r, "/")
	}
	for _, pattern := range s.Actions.list {
		if !slices.ContainsFunc(Actions(), func(a Action) bool {
			return matchPlain(pattern, strings.ToLower(a.Name)) && (a.Object && keys || !a.Object && buckets)
		}) {
			return ErrMismatch
		}
	}
	return nil
}
