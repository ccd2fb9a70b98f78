"""Uses a server with boto3 the way a script would. Prints JSON with what it saw."""

import json
import sys

import boto3
from botocore.exceptions import ClientError

endpoint, ca, media_file = sys.argv[1:4]


def client(name, url=endpoint):
    return boto3.client(name, endpoint_url=url, verify=ca)


def data_client(name, api, stream):
    answer = video.get_data_endpoint(StreamName=stream, APIName=api)
    return client(name, answer["DataEndpoint"])


def refused(call, **arguments):
    try:
        call(**arguments)
    except ClientError as e:
        return [e.response["Error"]["Code"], e.response["ResponseMetadata"]["HTTPStatusCode"], e.response["Error"]["Message"]]
    return None


seen = {}
video = client("kinesisvideo")

stream = sys.argv[4]
seen["media"] = {}
fragments = data_client("kinesis-video-archived-media", "LIST_FRAGMENTS", stream)
found = []
pages = fragments.get_paginator("list_fragments")
for page in pages.paginate(
    StreamName=stream,
    FragmentSelector={
        "FragmentSelectorType": "PRODUCER_TIMESTAMP",
        "TimestampRange": {"StartTimestamp": 0, "EndTimestamp": 4102444800},
    },
    PaginationConfig={"PageSize": 2},
):
    found += page["Fragments"]
seen["media"]["numbers"] = [f["FragmentNumber"] for f in found]
seen["media"]["times"] = [f["ProducerTimestamp"].timestamp() for f in found]
getter = data_client("kinesis-video-media", "GET_MEDIA", stream)
answer = getter.get_media(StreamName=stream, StartSelector={"StartSelectorType": "EARLIEST"})
seen["media"]["type"] = answer["ContentType"]
with open(media_file, "wb") as f:
    for piece in answer["Payload"].iter_chunks(4096):
        f.write(piece)
getter = data_client("kinesis-video-archived-media", "GET_MEDIA_FOR_FRAGMENT_LIST", stream)
answer = getter.get_media_for_fragment_list(StreamName=stream, Fragments=seen["media"]["numbers"][::-1])
with open(media_file + ".list", "wb") as f:
    f.write(answer["Payload"].read())

arn = video.create_stream(StreamName="boto", DataRetentionInHours=2, Tags={"a": "b"})["StreamARN"]
info = video.describe_stream(StreamName="boto")["StreamInfo"]
seen["arn"] = [arn == info["StreamARN"], info["Status"], info["DataRetentionInHours"], info["CreationTime"].timestamp() > 1.7e9]
video.tag_stream(StreamARN=arn, Tags={"c": "d"})
video.untag_stream(StreamName="boto", TagKeyList=["a"])
video.tag_resource(ResourceARN=arn, Tags=[{"Key": "e", "Value": "f"}])
video.untag_resource(ResourceARN=arn, TagKeyList=["nothing"])
seen["tags"] = [video.list_tags_for_stream(StreamName="boto")["Tags"], video.list_tags_for_resource(ResourceARN=arn)["Tags"]]
video.update_stream(StreamName="boto", CurrentVersion=info["Version"], MediaType="video/h264")
info = video.describe_stream(StreamName="boto")["StreamInfo"]
video.update_data_retention(
    StreamName="boto", CurrentVersion=info["Version"], Operation="INCREASE_DATA_RETENTION", DataRetentionChangeInHours=3
)
info = video.describe_stream(StreamARN=arn)["StreamInfo"]
seen["updated"] = [info["MediaType"], info["DataRetentionInHours"]]
names = []
for page in video.get_paginator("list_streams").paginate(PaginationConfig={"PageSize": 1}):
    names += [s["StreamName"] for s in page["StreamInfoList"]]
seen["streams"] = names
seen["refused"] = [
    refused(video.create_stream, StreamName="boto"),
    refused(video.describe_stream, StreamName="nobody"),
    refused(video.delete_stream, StreamARN=arn, CurrentVersion="stale"),
]
video.delete_stream(StreamARN=arn, CurrentVersion=info["Version"])
seen["refused"].append(refused(video.describe_stream, StreamName="boto"))
json.dump(seen, sys.stdout)
