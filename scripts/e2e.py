"""Round trips through boto3 for scripts/e2e.sh: sizes, metadata, versions, multipart, presigned."""
import hashlib, os, urllib.request
import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config

s3 = boto3.client("s3", endpoint_url=os.environ["WATTLE_URL"], config=Config(signature_version="s3v4", s3={"addressing_style": "path"}))
bucket = "boto3-" + os.environ["ROUND"]
s3.create_bucket(Bucket=bucket)
for n in (0, 1, 4096, 100_000, 12 << 20):
    body = os.urandom(n)
    s3.put_object(Bucket=bucket, Key=f"k/{n}", Body=body, Metadata={"sum": hashlib.sha256(body).hexdigest()}, Tagging="a=b")
    got = s3.get_object(Bucket=bucket, Key=f"k/{n}")
    assert hashlib.sha256(got["Body"].read()).hexdigest() == got["Metadata"]["sum"], n
    assert got["ETag"] == f'"{hashlib.md5(body).hexdigest()}"', n
big = os.path.join(os.environ["WORK"], "big")
s3.upload_file(big, bucket, "big", Config=TransferConfig(multipart_chunksize=5 << 20, max_concurrency=4))
s3.download_file(bucket, "big", big + ".boto3")
assert open(big, "rb").read() == open(big + ".boto3", "rb").read()
url = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "k/4096"}, ExpiresIn=60)
assert len(urllib.request.urlopen(url).read()) == 4096
s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
v = [s3.put_object(Bucket=bucket, Key="v", Body=str(i).encode())["VersionId"] for i in range(3)]
s3.delete_object(Bucket=bucket, Key="v")
assert s3.get_object(Bucket=bucket, Key="v", VersionId=v[1])["Body"].read() == b"1"
form = s3.generate_presigned_post(bucket, "form/${filename}", ExpiresIn=60)
assert form["fields"]["key"] == "form/${filename}"
keys = [o["Key"] for p in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, PaginationConfig={"PageSize": 2}) for o in p["Contents"]]
assert keys == sorted(keys) and len(keys) == 6, keys
for p in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
    for o in p.get("Versions", []) + p.get("DeleteMarkers", []):
        s3.delete_object(Bucket=bucket, Key=o["Key"], VersionId=o["VersionId"])
s3.delete_bucket(Bucket=bucket)
