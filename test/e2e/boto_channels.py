"""Uses signaling channels with boto3 the way a script would. Prints JSON with what it saw."""

import json
import sys

import boto3
from botocore.exceptions import ClientError

endpoint, ca = sys.argv[1:3]
video = boto3.client("kinesisvideo", endpoint_url=endpoint, verify=ca)


def refused(call, **arguments):
    try:
        call(**arguments)
    except ClientError as e:
        return [e.response["Error"]["Code"], e.response["ResponseMetadata"]["HTTPStatusCode"]]
    return None


def channel(**which):
    return video.describe_signaling_channel(**which)["ChannelInfo"]


seen = {}
arn = video.create_signaling_channel(
    ChannelName="door", ChannelType="SINGLE_MASTER", Tags=[{"Key": "a", "Value": "b"}, {"Key": "c", "Value": ""}]
)["ChannelARN"]
info = channel(ChannelName="door")
seen["created"] = [
    info["ChannelARN"] == arn,
    info["ChannelStatus"],
    info["ChannelType"],
    info["SingleMasterConfiguration"],
    info["CreationTime"].timestamp() == int(arn.split("/")[-1]) / 1000,
]
video.update_signaling_channel(
    ChannelARN=arn, CurrentVersion=info["Version"], SingleMasterConfiguration={"MessageTtlSeconds": 120}
)
stale, info = info["Version"], channel(ChannelARN=arn)
seen["updated"] = [info["SingleMasterConfiguration"]["MessageTtlSeconds"], info["Version"] != stale]
video.tag_resource(ResourceARN=arn, Tags=[{"Key": "c", "Value": "d"}])
video.untag_resource(ResourceARN=arn, TagKeyList=["a"])
seen["tags"] = video.list_tags_for_resource(ResourceARN=arn)["Tags"]
endpoints = video.get_signaling_channel_endpoint(
    ChannelARN=arn, SingleMasterChannelEndpointConfiguration={"Protocols": ["WSS", "HTTPS"], "Role": "VIEWER"}
)["ResourceEndpointList"]
at = {e["Protocol"]: e["ResourceEndpoint"] for e in endpoints}
seen["endpoints"] = [at["HTTPS"] == endpoint, at["WSS"] == endpoint.replace("https:", "wss:") + "/channel/viewer"]
signaling = boto3.client("kinesis-video-signaling", endpoint_url=at["HTTPS"], verify=ca)
seen["ice"] = [
    signaling.get_ice_server_config(ChannelARN=arn, ClientId="me")["IceServerList"],
    refused(signaling.get_ice_server_config, ChannelARN=arn, ClientId="AWS_me"),
]
for name in ["attic", "yard"]:
    video.create_signaling_channel(ChannelName=name)
pages = video.get_paginator("list_signaling_channels").paginate(PaginationConfig={"PageSize": 2})
seen["pages"] = [[c["ChannelName"] for c in page["ChannelInfoList"]] for page in pages]

stream = video.create_stream(StreamName="films", DataRetentionInHours=1)["StreamARN"]
store = {"ChannelARN": arn, "MediaStorageConfiguration": {"Status": "ENABLED", "StreamARN": stream}}
video.update_media_storage_configuration(**store)
stored = video.describe_media_storage_configuration(ChannelName="door")["MediaStorageConfiguration"]
mapped = []
for page in video.get_paginator("describe_mapped_resource_configuration").paginate(StreamName="films"):
    mapped += page["MappedResourceConfigurationList"]
seen["stored"] = [stored == {"Status": "ENABLED", "StreamARN": stream}, mapped == [{"Type": "channel", "ARN": arn}]]
seen["refused"] = [
    refused(video.create_signaling_channel, ChannelName="door"),
    refused(video.describe_signaling_channel, ChannelName="nobody"),
    refused(video.delete_signaling_channel, ChannelARN=arn, CurrentVersion=stale),
    refused(video.delete_stream, StreamARN=stream),
    refused(video.tag_resource, ResourceARN=arn, Tags=[{"Key": str(i), "Value": ""} for i in range(50)]),
    refused(video.update_media_storage_configuration, **store | {"ChannelARN": channel(ChannelName="yard")["ChannelARN"]}),
]
video.delete_signaling_channel(ChannelARN=arn)
video.delete_stream(StreamARN=stream)
seen["gone"] = [refused(video.list_tags_for_resource, ResourceARN=arn), refused(video.delete_signaling_channel, ChannelARN=arn)]
print(json.dumps(seen))
