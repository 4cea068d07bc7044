package policy

import (
	"slices"
	"strings"
)

// fixing are the keys that can make a statement for everyone one for a few, by what S3 says
// of public policies.
var fixing = []string{"aws:sourceip", "aws:sourcearn", "aws:sourcevpc", "aws:sourcevpce", "aws:sourceowner", "aws:sourceaccount", "aws:userid", "aws:username",
	"aws:principalarn", "aws:principalaccount", "aws:principalorgid", "s3:x-amz-server-side-encryption-aws-kms-key-id", "s3:dataaccesspointarn", "s3:dataaccesspointaccount"}

// Public tells whether a policy allows something to everyone. Conditions make a statement
// one for a few when they want a fixed value of something that not everyone has.
func (p *Policy) Public() bool {
	return slices.ContainsFunc(p.Statements, func(s Statement) bool {
		return !s.Deny && (s.Principals.not || slices.Contains(s.Principals.list, "*")) && !slices.ContainsFunc(s.Conditions, Condition.fixes)
	})
}

func (c Condition) fixes() bool {
	if c.IfExists || c.Every || c.Operator == "Null" || operators[c.Operator].not || !slices.Contains(fixing, c.Key) {
		return false
	}
	return !slices.ContainsFunc(c.Values, func(v string) bool {
		if c.Key == "aws:sourceip" {
			p, ok := network(v)
			return !ok || p.Bits() < 8 || p.Addr().Is6() && p.Bits() < 32
		}
		return strings.ContainsAny(v, "*?") || strings.Contains(v, "${")
	})
}
