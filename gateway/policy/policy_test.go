package policy

import (
	"fmt"
	"strings"
	"testing"
)

// parse reads a policy of one statement with these members, of a bucket "b".
func parse(members string) (*Policy, error) {
	return Parse([]byte(`{"Version":"2012-10-17","Statement":[{`+members+`}]}`), "b", func(a string) (bool, error) { return a != "nobody", nil })
}

const (
	allow   = `"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"`
	objects = `"Resource":"arn:aws:s3:::b/*"`
)

func TestRefused(t *testing.T) {
	of := func(action, resource, condition string) string {
		return fmt.Sprintf(`"Effect":"Allow","Principal":"*","Action":%s,"Resource":%s,"Condition":%s`, action, resource, condition)
	}
	get := func(condition string) string { return of(`"s3:GetObject"`, `"arn:aws:s3:::b/*"`, condition) }
	for members, want := range map[string]string{
		allow:                            "",
		`"Sid":"x",` + allow:             "",
		`"Color":"red",` + allow:         "Unknown field Color",
		`"Principal":"*"`:                "Missing required field Effect",
		`"Effect":"Allow"`:               "Missing required field Principal",
		`"Effect":"allow",` + allow[17:]: "Invalid effect: allow",
		`"Effect":"Allow","Principal":"*",` + objects:                                                                     "Missing required field Action",
		`"Effect":"Allow","Principal":"*","Action":"s3:GetObject"`:                                                        "Missing required field Resource",
		`"NotAction":"s3:PutObject",` + allow:                                                                             "Action and NotAction are both given",
		`"Effect":"Allow","NotPrincipal":{"AWS":"anna"},"Action":"s3:GetObject",` + objects:                               "Allow with NotPrincipal is not allowed.",
		`"Effect":"Deny","NotPrincipal":{"AWS":"anna"},"Action":"s3:GetObject",` + objects:                                "",
		`"Effect":"Deny","NotPrincipal":"*","Action":"s3:GetObject",` + objects:                                           string(ErrPrincipal),
		`"Effect":"Allow","Principal":{"AWS":["anna","arn:aws:iam:::user/berit"]},"Action":"s3:GetObject",` + objects:     "",
		`"Effect":"Allow","Principal":{"AWS":"nobody"},"Action":"s3:GetObject",` + objects:                                string(ErrPrincipal),
		`"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::123456789012:user/nobody"},"Action":"s3:GetObject",` + objects: string(ErrPrincipal),
		`"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::123456789012:role/r"},"Action":"s3:GetObject",` + objects:      string(ErrPrincipal),
		`"Effect":"Allow","Principal":{"Robot":"anna"},"Action":"s3:GetObject",` + objects:                                string(ErrPrincipal),
		`"Effect":"Allow","Principal":{"Service":"logging.s3.amazonaws.com"},"Action":"s3:PutObject",` + objects:          "",
		`"Effect":"Allow","Principal":{},"Action":"s3:GetObject",` + objects:                                              string(ErrPrincipal),
		`"Effect":"Allow","Principal":7,"Action":"s3:GetObject",` + objects:                                               string(ErrPrincipal),
		`"Effect":"Allow","Principal":["*","anna"],"Action":"s3:GetObject",` + objects:                                    string(ErrPrincipal),
		of(`"s3:Fly"`, `"arn:aws:s3:::b"`, `{}`):                                                                          string(ErrAction),
		of(`"ec2:GetObject"`, `"arn:aws:s3:::b"`, `{}`):                                                                   string(ErrAction),
		of(`[]`, `"arn:aws:s3:::b"`, `{}`):                                                                                string(ErrAction),
		of(`"s3:getobject"`, `"arn:aws:s3:::b/*"`, `{}`):                                                                  "",
		of(`"*"`, `"*"`, `{}`):                                                                    "",
		of(`"s3:List*"`, `"arn:aws:s3:::b"`, `{}`):                                                "",
		of(`"s3:GetObject"`, `"arn:aws:s3:::b"`, `{}`):                                            string(ErrMismatch),
		of(`"s3:ListBucket"`, `"arn:aws:s3:::b/*"`, `{}`):                                         string(ErrMismatch),
		of(`["s3:ListBucket","s3:GetObject"]`, `"arn:aws:s3:::b/*"`, `{}`):                        string(ErrMismatch),
		of(`["s3:ListBucket","s3:GetObject"]`, `"arn:aws:s3:::b*"`, `{}`):                         "",
		of(`"s3:ListBucket"`, `"arn:aws:s3:::c"`, `{}`):                                           string(ErrResource),
		of(`"s3:ListBucket"`, `"arn:aws:s3:::bb"`, `{}`):                                          string(ErrResource),
		of(`"s3:ListBucket"`, `"arn:aws:s3:::"`, `{}`):                                            string(ErrResource),
		of(`"s3:ListBucket"`, `"arn:aws:iam:::b"`, `{}`):                                          string(ErrResource),
		of(`"s3:ListBucket"`, `[]`, `{}`):                                                         string(ErrResource),
		get(`{"StringMatches":{"aws:UserAgent":"x"}}`):                                            "Invalid Condition type : StringMatches",
		get(`{"NullIfExists":{"aws:UserAgent":"true"}}`):                                          "Invalid Condition type : NullIfExists",
		get(`{"ForSomeValues:StringEquals":{"aws:UserAgent":"x"}}`):                               "Invalid Condition type : ForSomeValues:StringEquals",
		get(`{"StringEquals":{"s3:color":"x"}}`):                                                  string(ErrKey),
		get(`{"StringEquals":{"s3:ExistingObjectTag":"x"}}`):                                      string(ErrKey),
		get(`{"StringEquals":{"s3:ExistingObjectTag/":"x"}}`):                                     string(ErrKey),
		get(`{"StringEquals":{"s3:ExistingObjectTag/a/b":"x"}}`):                                  "",
		get(`{"StringEquals":{"s3:prefix":"x"}}`):                                                 string(ErrKeyMismatch),
		of(`["s3:Get*"]`, `"arn:aws:s3:::b/*"`, `{"StringEquals":{"s3:prefix":"x"}}`):             "",
		get(`{"IpAddress":{"aws:SourceIp":"10.0.0.300"}}`):                                        string(ErrIP),
		get(`{"StringEquals":{"aws:SourceIp":"here"}}`):                                           string(ErrIP),
		get(`{"NumericEquals":{"aws:EpochTime":"soon"}}`):                                         "Invalid value in Conditions: NumericEquals of aws:epochtime is compared with soon",
		get(`{"DateLessThan":{"aws:CurrentTime":"soon"}}`):                                        "Invalid value in Conditions: DateLessThan of aws:currenttime is compared with soon",
		get(`{"Bool":{"aws:SecureTransport":"maybe"}}`):                                           "Invalid value in Conditions: Bool of aws:securetransport is compared with maybe",
		get(`{"Bool":{"aws:SecureTransport":true}}`):                                              "",
		get(`{"Bool":{"aws:SecureTransport":null}}`):                                              string(ErrJSON),
		get(`{"StringEquals":{"aws:Referer":[]}}`):                                                "Condition key aws:referer has no value",
		get(`["StringEquals"]`):                                                                   string(ErrJSON),
		of(`"s3:ListBucket"`, `"arn:aws:s3:::b"`, `{"NumericLessThanEquals":{"s3:max-keys":10}}`): "",
	} {
		got := ""
		if _, err := parse(members); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s:\n\t%q, want %q", members, got, want)
		}
	}
	for doc, want := range map[string]error{
		"": ErrFirstByte, " {}": ErrFirstByte, "[]": ErrFirstByte, "{": ErrJSON, "{}": ErrNoStatement, `{"Statement":[]}`: ErrEmptyStatement, `{"Statement":[{` + allow + `}]} x`: ErrJSON,
		`{"Statement":{` + allow + `}}`: nil, `{"Id":"x","Statement":{` + allow + `}}`: nil, `{"Version":"2012-10-18","Statement":{` + allow + `}}`: ErrVersion,
		`{"Statement":{` + allow + `},"Id":"` + strings.Repeat("x", MaxSize) + `"}`: ErrSize,
		`{"Statement":[{"Sid":"a",` + allow + `},{"Sid":"a",` + allow + `}]}`:       Error("Statement IDs (SID) in a single policy must be unique."),
	} {
		if _, err := Parse([]byte(doc), "b", nil); err != want {
			t.Errorf("%.80s: %v, want %v", doc, err, want)
		}
	}
}

func TestDecide(t *testing.T) {
	request := map[string][]string{"aws:username": {"anna"}, "aws:sourceip": {"10.1.2.3"}, "aws:securetransport": {"false"}, "aws:currenttime": {"2026-11-25T12:00:00Z"},
		"aws:epochtime": {"1795608000"}, "s3:max-keys": {"10"}, "s3:prefix": {"a/b"}, "aws:referer": {"http://example.com/x"}, "s3:requestobjecttagkeys": {"a", "b"},
		"s3:existingobjecttag/Case": {"yes"}}
	when := func(condition string) string { return allow + `,"Condition":` + condition }
	for _, c := range []struct {
		members  string
		key      string
		decision Decision
	}{
		{allow, "k", Allowed},
		{allow, "", Undecided},
		{strings.Replace(allow, "b/*", "b/a?c*", 1), "abcd", Allowed},
		{strings.Replace(allow, "b/*", "b/a?c*", 1), "aéc", Allowed},
		{strings.Replace(allow, "b/*", "b/a?c*", 1), "ac", Undecided},
		{strings.Replace(allow, "b/*", "b/home/${aws:username}/*", 1), "home/anna/x", Allowed},
		{strings.Replace(allow, "b/*", "b/home/${aws:username}/*", 1), "home/berit/x", Undecided},
		{strings.Replace(allow, "b/*", "b/${aws:userid}", 1), "${aws:userid}", Undecided}, // no value: no match
		{strings.Replace(allow, "b/*", "b/${aws:userid, 'none'}", 1), "none", Allowed},
		{strings.Replace(allow, "b/*", "b/a${*}", 1), "a*", Allowed},
		{strings.Replace(allow, "b/*", "b/a${*}", 1), "ab", Undecided},
		{strings.Replace(allow, `"*"`, `{"AWS":"anna"}`, 1), "k", Allowed},
		{strings.Replace(allow, `"*"`, `{"AWS":"arn:aws:iam::123456789012:user/staff/anna"}`, 1), "k", Allowed},
		{strings.Replace(allow, `"*"`, `{"AWS":"arn:aws:iam::*:user/anna"}`, 1), "k", Allowed},
		{strings.Replace(allow, `"*"`, `{"CanonicalUser":"anna"}`, 1), "k", Allowed},
		{strings.Replace(allow, `"*"`, `{"AWS":"berit"}`, 1), "k", Undecided},
		{strings.Replace(allow, `"*"`, `{"Service":"anna.amazonaws.com"}`, 1), "k", Undecided},
		{strings.Replace(allow, "Action", "NotAction", 1), "k", Undecided},
		{strings.Replace(allow, `Action":"s3:GetObject`, `NotAction":"s3:PutObject`, 1), "k", Allowed},
		{strings.Replace(allow, "Resource", "NotResource", 1), "k", Undecided},
		{strings.Replace(allow, `Resource":"arn:aws:s3:::b/*`, `NotResource":"arn:aws:s3:::b/x*`, 1), "k", Allowed},
		{strings.Replace(allow, "Allow", "Deny", 1), "k", Denied},
		{allow + `},{` + strings.Replace(allow, "Allow", "Deny", 1), "k", Denied},
		{strings.Replace(allow, "Allow", "Deny", 1) + `},{` + allow, "k", Denied},
		{`"Effect":"Deny","NotPrincipal":{"AWS":"anna"},"Action":"s3:*","Resource":"*"},{` + allow, "k", Allowed},
		{`"Effect":"Deny","NotPrincipal":{"AWS":"berit"},"Action":"s3:*","Resource":"*"},{` + allow, "k", Denied},

		{when(`{"StringEquals":{"aws:Referer":["x","http://example.com/x"]}}`), "k", Allowed},
		{when(`{"StringEquals":{"aws:Referer":"http://example.com/*"}}`), "k", Undecided},
		{when(`{"StringLike":{"aws:Referer":"http://example.com/*"}}`), "k", Allowed},
		{when(`{"StringNotLike":{"aws:Referer":"http://example.com/*"}}`), "k", Undecided},
		{when(`{"StringNotEquals":{"aws:Referer":["x","y"]}}`), "k", Allowed},
		{when(`{"StringNotEquals":{"aws:Referer":["x","http://example.com/x"]}}`), "k", Undecided},
		{when(`{"StringEqualsIgnoreCase":{"aws:Referer":"HTTP://example.com/X"}}`), "k", Allowed},
		{when(`{"StringNotEqualsIgnoreCase":{"aws:Referer":"HTTP://example.com/X"}}`), "k", Undecided},
		{when(`{"StringEquals":{"aws:Referer":"http://example.com/x","aws:UserAgent":"x"}}`), "k", Undecided}, // all of them
		{when(`{"StringEquals":{"AWS:UserName":"${aws:username}"}}`), "k", Allowed},
		{when(`{"StringEquals":{"aws:UserAgent":"x"}}`), "k", Undecided}, // it has none
		{when(`{"StringEqualsIfExists":{"aws:UserAgent":"x"}}`), "k", Allowed},
		{when(`{"StringLikeIfExists":{"aws:Referer":"x*"}}`), "k", Undecided},
		{when(`{"StringNotEquals":{"aws:UserAgent":"x"}}`), "k", Allowed},
		{when(`{"Null":{"aws:UserAgent":"true"}}`), "k", Allowed},
		{when(`{"Null":{"aws:UserAgent":"false"}}`), "k", Undecided},
		{when(`{"Null":{"aws:Referer":"false"}}`), "k", Allowed},
		{when(`{"IpAddress":{"aws:SourceIp":["192.168.0.0/16","10.0.0.0/8"]}}`), "k", Allowed},
		{when(`{"NotIpAddress":{"aws:SourceIp":"10.0.0.0/8"}}`), "k", Undecided},
		{when(`{"NotIpAddress":{"aws:SourceIp":"2001:db8::/32"}}`), "k", Allowed},
		{when(`{"Bool":{"aws:SecureTransport":"False"}}`), "k", Allowed},
		{when(`{"Bool":{"aws:SecureTransport":true}}`), "k", Undecided},
		{when(`{"DateGreaterThan":{"aws:CurrentTime":"2026-11-25T11:59:59Z"}}`), "k", Allowed},
		{when(`{"DateLessThan":{"aws:CurrentTime":"2026-11-25"}}`), "k", Undecided},
		{when(`{"DateEquals":{"aws:EpochTime":"1795608000"}}`), "k", Allowed},
		{when(`{"DateNotEquals":{"aws:EpochTime":"1795608000"}}`), "k", Undecided},
		{when(`{"DateGreaterThanEquals":{"aws:CurrentTime":1795608000}}`), "k", Allowed},
		{when(`{"NumericGreaterThan":{"aws:EpochTime":17}}`), "k", Allowed},
		{when(`{"NumericLessThanEquals":{"aws:EpochTime":"17"}}`), "k", Undecided},
		{when(`{"NumericNotEquals":{"aws:EpochTime":"17"}}`), "k", Allowed},
		{when(`{"ArnLike":{"aws:PrincipalArn":"*"}}`), "k", Undecided},
		{when(`{"ArnNotEquals":{"aws:PrincipalArn":"x"}}`), "k", Allowed},
		{when(`{"StringEquals":{"S3:existingObjectTag/Case":"yes"}}`), "k", Allowed},
		{when(`{"StringEquals":{"s3:ExistingObjectTag/case":"yes"}}`), "k", Undecided},
		{strings.Replace(allow, "Get", "Put", 1) + `,"Condition":{"ForAllValues:StringEquals":{"s3:RequestObjectTagKeys":["a","b","c"]}}`, "put", Allowed},
		{strings.Replace(allow, "Get", "Put", 1) + `,"Condition":{"ForAllValues:StringLike":{"s3:RequestObjectTagKeys":["a"]}}`, "put", Undecided},
		{strings.Replace(allow, "Get", "Put", 1) + `,"Condition":{"ForAnyValue:StringEquals":{"s3:RequestObjectTagKeys":["a","z"]}}`, "put", Allowed},
		{strings.Replace(allow, "Get", "Put", 1) + `,"Condition":{"ForAnyValue:StringEquals":{"s3:RequestObjectTagKeys":["z"]}}`, "put", Undecided},
		{strings.Replace(allow, "Get", "Put", 1) + `,"Condition":{"ForAllValues:StringEquals":{"s3:RequestObjectTag/x":["z"]}}`, "put", Allowed}, // of none, all
	} {
		p, err := parse(c.members)
		if err != nil {
			t.Errorf("%s: %v", c.members, err)
			continue
		}
		r := Request{Account: "anna", Action: "s3:GetObject", Resource: "b", Values: func(k string) []string { return request[k] }}
		switch c.key {
		case "":
		case "put":
			r.Action, r.Resource = "s3:PutObject", "b/k"
		default:
			r.Resource = "b/" + c.key
		}
		if got := p.Decide(r); got != c.decision {
			t.Errorf("%s of %q: %d, want %d", c.members, c.key, got, c.decision)
		}
	}
	old, err := Parse([]byte(`{"Statement":{`+strings.Replace(allow, "b/*", "b/${aws:username}", 1)+`}}`), "b", nil)
	if err != nil || old.Decide(Request{Action: "s3:GetObject", Resource: "b/${aws:username}"}) != Allowed {
		t.Errorf("a policy of 2008 has no variables: %v", err)
	}
}

func TestPublic(t *testing.T) {
	for members, want := range map[string]bool{
		allow: true,
		strings.Replace(allow, "Allow", "Deny", 1):                                  false,
		strings.Replace(allow, `"*"`, `{"AWS":"anna"}`, 1):                          false,
		allow + `,"Condition":{"IpAddress":{"aws:SourceIp":"10.0.0.0/32"}}`:         false,
		allow + `,"Condition":{"IpAddress":{"aws:SourceIp":"0.0.0.0/0"}}`:           true,
		allow + `,"Condition":{"IpAddress":{"aws:SourceIp":["10.0.0.1","::/0"]}}`:   true,
		allow + `,"Condition":{"NotIpAddress":{"aws:SourceIp":"10.0.0.0/32"}}`:      true,
		allow + `,"Condition":{"StringEquals":{"aws:SourceVpc":"vpc-1"}}`:           false,
		allow + `,"Condition":{"StringLike":{"aws:SourceVpc":"vpc-*"}}`:             true,
		allow + `,"Condition":{"StringEqualsIfExists":{"aws:SourceVpc":"vpc-1"}}`:   true,
		allow + `,"Condition":{"StringEquals":{"aws:Referer":"http://a.example/"}}`: true,
	} {
		p, err := parse(members)
		if err != nil {
			t.Fatal(members, err)
		}
		if p.Public() != want {
			t.Errorf("%s: public %v", members, !want)
		}
	}
}

// FuzzParse: what can be read can be applied, to any request.
func FuzzParse(f *testing.F) {
	f.Add(`{"Version":"2012-10-17","Statement":[{`+allow+`,"Condition":{"StringLike":{"aws:Referer":["${aws:username}*","${x"]}}}]}`, "b/k")
	f.Add(`{"Statement":{"Effect":"Deny","NotPrincipal":{"AWS":["arn:aws:iam::*:user/a"]},"NotAction":"s3:Get*","NotResource":"arn:aws:s3:::b/**?**"}}`, "b/***")
	f.Fuzz(func(t *testing.T, doc, resource string) {
		p, err := Parse([]byte(doc), "b", nil)
		if err != nil {
			if _, ok := err.(Error); !ok {
				t.Fatalf("an error that S3 has no word for: %v", err)
			}
			return
		}
		p.Public()
		r := Request{Account: "a", Action: "s3:GetObject", Resource: resource, Values: func(k string) []string { return []string{k} }}
		if first := p.Decide(r); first != p.Decide(r) {
			t.Fatal("it decides now one way, now another")
		}
	})
}
