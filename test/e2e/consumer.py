"""Reads a stream with boto3 as somebody who may only read. Prints JSON with what it saw."""

import json
import sys

import boto3
from botocore.exceptions import ClientError

media_file, stream = sys.argv[1:3]
video = boto3.client("kinesisvideo")


def data(name, api):
    return boto3.client(name, endpoint_url=video.get_data_endpoint(StreamName=stream, APIName=api)["DataEndpoint"])


seen = {"who": boto3.client("sts").get_caller_identity()["Arn"]}
info = video.describe_stream(StreamName=stream)["StreamInfo"]
seen["streams"] = [s["StreamName"] for s in video.list_streams()["StreamInfoList"]]
video.list_tags_for_stream(StreamName=stream)
always = {"FragmentSelectorType": "SERVER_TIMESTAMP", "TimestampRange": {"StartTimestamp": 0, "EndTimestamp": 4102444800}}
data("kinesis-video-archived-media", "LIST_FRAGMENTS").list_fragments(StreamName=stream, FragmentSelector=always)
data("kinesis-video-archived-media", "GET_HLS_STREAMING_SESSION_URL")
answer = data("kinesis-video-media", "GET_MEDIA").get_media(StreamName=stream, StartSelector={"StartSelectorType": "EARLIEST"})
with open(media_file, "wb") as f:
    for piece in answer["Payload"].iter_chunks(4096):
        f.write(piece)

seen["refused"] = {}
for name, call in {
    "CreateStream": lambda: video.create_stream(StreamName="another"),
    "DeleteStream": lambda: video.delete_stream(StreamARN=info["StreamARN"]),
    "UpdateDataRetention": lambda: video.update_data_retention(
        StreamName=stream, CurrentVersion=info["Version"], Operation="DECREASE_DATA_RETENTION", DataRetentionChangeInHours=1
    ),
}.items():
    try:
        call()
    except ClientError as e:
        seen["refused"][name] = [e.response["Error"]["Code"], e.response["Error"]["Message"]]
print(json.dumps(seen))
