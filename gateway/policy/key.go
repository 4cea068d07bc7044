package policy

import (
	"slices"
	"strings"
)

// A key is one that conditions may be about.
type key struct {
	actions []string // in lower case, of those with which it can be; none: all
}

func (k key) applies(action string) bool {
	return len(k.actions) == 0 || slices.Contains(k.actions, action)
}

// foldKey writes a key as keys are compared: names do not know case, tags in them do.
func foldKey(s string) string {
	name, tag, ok := strings.Cut(s, "/")
	if !ok {
		return strings.ToLower(s)
	}
	return strings.ToLower(name) + "/" + tag
}

// keyOf looks up a key.
func keyOf(folded string) (key, bool) {
	name, tag, tagged := strings.Cut(folded, "/")
	if tagged {
		if tag == "" {
			return key{}, false
		}
		name += "/"
	}
	k, ok := keys[name]
	return k, ok
}

// keys are those of all services and those of S3. What a request here never has, such as a
// VPC that it came from, is absent from each.
var keys = map[string]key{}

func init() {
	const (
		lists    = "ListBucket ListBucketVersions"
		aclPuts  = "PutObject PutObjectAcl PutObjectVersionAcl PutBucketAcl CreateBucket"
		versions = `DeleteObjectVersion DeleteObjectVersionTagging GetObjectVersion GetObjectVersionAcl GetObjectVersionAttributes
			GetObjectVersionTagging GetObjectVersionTorrent PutObjectVersionAcl PutObjectVersionTagging`
		tagged = `DeleteObject DeleteObjectVersion DeleteObjectTagging DeleteObjectVersionTagging GetObject GetObjectAcl GetObjectTagging GetObjectVersion
			GetObjectVersionAcl GetObjectVersionTagging GetObjectAttributes GetObjectVersionAttributes PutObjectAcl PutObjectTagging
			PutObjectVersionAcl PutObjectVersionTagging RestoreObject`
		tagging = "PutObject PutObjectTagging PutObjectVersionTagging ReplicateTags"
		locks   = "PutObject PutObjectRetention PutObjectLegalHold BypassGovernanceRetention ReplicateObject"
	)
	for names, of := range map[string]string{
		`aws:currenttime aws:epochtime aws:securetransport aws:sourceip aws:useragent aws:referer aws:username aws:userid aws:principalarn
			aws:principaltype aws:principalaccount aws:principalorgid aws:principalorgpaths aws:principalisawsservice aws:principalservicename
			aws:principalservicenameslist aws:principaltag/ aws:multifactorauthpresent aws:multifactorauthage aws:tokenissuetime aws:requestedregion
			aws:requesttag/ aws:tagkeys aws:resourcetag/ aws:resourceaccount aws:resourceorgid aws:resourceorgpaths aws:sourcevpc aws:sourcevpce
			aws:vpcsourceip aws:sourcearn aws:sourceaccount aws:sourceowner aws:sourceorgid aws:sourceorgpaths aws:sourceidentity aws:viaawsservice
			aws:calledvia aws:calledviafirst aws:calledvialast aws:federatedprovider s3:authtype s3:signatureage s3:signatureversion
			s3:resourceaccount s3:tlsversion s3:x-amz-content-sha256 s3:dataaccesspointarn s3:dataaccesspointaccount s3:accesspointnetworkorigin`: "",
		"s3:prefix s3:delimiter s3:max-keys": lists,
		"s3:x-amz-acl":                       aclPuts,
		"s3:x-amz-grant-full-control s3:x-amz-grant-read s3:x-amz-grant-read-acp s3:x-amz-grant-write s3:x-amz-grant-write-acp": aclPuts,
		"s3:versionid":          versions,
		"s3:existingobjecttag/": tagged,
		"s3:requestobjecttag/ s3:requestobjecttagkeys": tagging,
		`s3:x-amz-copy-source s3:x-amz-metadata-directive s3:x-amz-website-redirect-location s3:x-amz-storage-class s3:x-amz-server-side-encryption
			s3:x-amz-server-side-encryption-aws-kms-key-id s3:x-amz-server-side-encryption-customer-algorithm s3:if-match s3:if-none-match
			s3:objectcreationoperation`: "PutObject ReplicateObject DeleteObject",
		"s3:object-lock-mode s3:object-lock-retain-until-date s3:object-lock-legal-hold s3:object-lock-remaining-retention-days": locks + " PutBucketObjectLockConfiguration",
		"s3:x-amz-object-ownership": "CreateBucket PutBucketOwnershipControls",
		"s3:locationconstraint":     "CreateBucket",
	} {
		var k key
		for _, a := range strings.Fields(of) {
			k.actions = append(k.actions, "s3:"+strings.ToLower(a))
		}
		for _, name := range strings.Fields(names) {
			keys[name] = k
		}
	}
}
