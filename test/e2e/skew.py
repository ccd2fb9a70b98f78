"""Calls a server with boto3 whose clock is wrong. Prints JSON with how the calls were refused."""

import datetime
import json
import sys

import boto3
import botocore.auth
from botocore.exceptions import ClientError

right = botocore.auth.get_current_datetime
botocore.auth.get_current_datetime = lambda *a, **k: right(*a, **k) + datetime.timedelta(minutes=int(sys.argv[1]))


def refused(call, **arguments):
    try:
        call(**arguments)
    except ClientError as e:
        return [e.response["Error"]["Code"], e.response["ResponseMetadata"]["HTTPStatusCode"], e.response["Error"]["Message"]]
    return None


print(json.dumps([
    refused(boto3.client("kinesisvideo").describe_stream, StreamName=sys.argv[2]),
    refused(boto3.client("sts").get_caller_identity),
]))
