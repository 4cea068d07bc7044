package policy

import (
	"slices"
	"strings"
)

// An Action is what a request does.
type Action struct {
	Name   string
	Object bool // on keys, not on the bucket
}

// Actions returns the actions that a bucket's policy may name.
func Actions() []Action { return actions }

var actions = slices.Concat(named(true, `AbortMultipartUpload BypassGovernanceRetention DeleteObject DeleteObjectTagging DeleteObjectVersion
	DeleteObjectVersionTagging GetObject GetObjectAcl GetObjectAttributes GetObjectLegalHold GetObjectRetention GetObjectTagging
	GetObjectTorrent GetObjectVersion GetObjectVersionAcl GetObjectVersionAttributes GetObjectVersionForReplication
	GetObjectVersionTagging GetObjectVersionTorrent ListMultipartUploadParts PutObject PutObjectAcl PutObjectLegalHold
	PutObjectRetention PutObjectTagging PutObjectVersionAcl PutObjectVersionTagging ReplicateDelete ReplicateObject ReplicateTags
	RestoreObject`),
	named(false, `CreateBucket DeleteBucket DeleteBucketPolicy DeleteBucketWebsite GetAccelerateConfiguration GetAnalyticsConfiguration
	GetBucketAcl GetBucketCORS GetBucketLocation GetBucketLogging GetBucketNotification GetBucketObjectLockConfiguration
	GetBucketOwnershipControls GetBucketPolicy GetBucketPolicyStatus GetBucketPublicAccessBlock GetBucketRequestPayment
	GetBucketTagging GetBucketVersioning GetBucketWebsite GetEncryptionConfiguration GetIntelligentTieringConfiguration
	GetInventoryConfiguration GetLifecycleConfiguration GetMetricsConfiguration GetReplicationConfiguration ListBucket
	ListBucketMultipartUploads ListBucketVersions PutAccelerateConfiguration PutAnalyticsConfiguration PutBucketAcl PutBucketCORS
	PutBucketLogging PutBucketNotification PutBucketObjectLockConfiguration PutBucketOwnershipControls PutBucketPolicy
	PutBucketPublicAccessBlock PutBucketRequestPayment PutBucketTagging PutBucketVersioning PutBucketWebsite
	PutEncryptionConfiguration PutIntelligentTieringConfiguration PutInventoryConfiguration PutLifecycleConfiguration
	PutMetricsConfiguration PutReplicationConfiguration`))

func named(object bool, names string) (list []Action) {
	for _, n := range strings.Fields(names) {
		list = append(list, Action{"s3:" + n, object})
	}
	return list
}

// actionPatterns are patterns of actions in lower case, each of which matches one.
func actionPatterns(names []string) (list []string, err error) {
	for _, name := range names {
		n := strings.ToLower(name)
		if n == "*" {
			n = "s3:*"
		}
		if !strings.HasPrefix(n, "s3:") || !slices.ContainsFunc(actions, func(a Action) bool { return matchPlain(n, strings.ToLower(a.Name)) }) {
			return nil, ErrAction
		}
		list = append(list, n)
	}
	if len(list) == 0 {
		return nil, ErrAction
	}
	return list, nil
}
