#!/usr/bin/env python3
"""Writes sigv4/testdata/botocore.json and crt.json: requests signed by botocore.

botocore has two signers, one in Python and one in C (the AWS Common Runtime). The keys
and the clock are fixed and nothing is sent, so the same versions write the same files
again:

    /usr/bin/python3 test/signers/gen_botocore.py > sigv4/testdata/botocore.json
    /usr/bin/python3 test/signers/gen_botocore.py --crt > sigv4/testdata/crt.json
"""

import datetime
import json
import logging
import os
import sys
import types
import uuid
from urllib.parse import urlsplit

CRT = "--crt" in sys.argv
if not CRT:
    os.environ["BOTO_DISABLE_CRT"] = "true"

import botocore.auth
import botocore.session
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

KEY = "AKIDRECORDEDEXAMPLE0"
SECRET = "recorded/Secret+0123456789abcdefghijklmn"
TOKEN = "FwoGZXIvYXdzEBYaDExample+Token/With=Signs=="
NOW = datetime.datetime(2026, 5, 17, 8, 30, 15)
REGION = "eu-central-1"
HOST = "kinesisvideo.eu-central-1.amazonaws.com"


class FixedClock(datetime.datetime):
    @classmethod
    def utcnow(cls):
        return NOW

    @classmethod
    def now(cls, tz=None):
        return NOW if tz is None else NOW.replace(tzinfo=tz)


# Older versions read the clock through the module, newer ones through a function.
botocore.auth.datetime = types.SimpleNamespace(datetime=FixedClock, timezone=datetime.timezone)
botocore.auth.get_current_datetime = lambda **_: NOW
SIGNER, HEADER, QUERY, S3_QUERY = ("botocore " + botocore.__version__, botocore.auth.SigV4Auth,
                                   botocore.auth.SigV4QueryAuth, botocore.auth.S3SigV4QueryAuth)
if CRT:
    import awscrt
    import botocore.crt.auth as crt

    crt.datetime = types.SimpleNamespace(datetime=FixedClock, timezone=datetime.timezone)
    SIGNER, HEADER, QUERY, S3_QUERY = ("awscrt " + awscrt.__version__, crt.CrtSigV4Auth,
                                       crt.CrtSigV4QueryAuth, crt.CrtS3SigV4QueryAuth)
uuid.uuid4 = lambda: uuid.UUID(int=7)
recorded = []


def record(name, prepared, token=""):
    url = urlsplit(prepared.url)
    # The path that is sent is the URL's, with "//" kept and an empty one written "/".
    target = (url.path or "/") + ("?" + url.query if url.query else "")
    headers = [[k, v.decode() if isinstance(v, bytes) else str(v)] for k, v in prepared.headers.items()]
    if not any(k.lower() == "host" for k, _ in headers):
        headers.insert(0, ["Host", url.netloc])
    body = prepared.body or b""
    body = body if isinstance(body, str) else body.decode()
    if body and not any(k.lower() == "content-length" for k, _ in headers):
        headers.append(["Content-Length", str(len(body))])
    recorded.append({"name": name, "method": prepared.method, "target": target, "headers": headers,
                     "body": body, "token": token})


def call(name, service, operation, token=None, endpoint=None, **arguments):
    session = botocore.session.get_session()
    client = session.create_client(service, region_name=REGION, aws_access_key_id=KEY, aws_secret_access_key=SECRET,
                                   aws_session_token=token, endpoint_url=endpoint, verify=False,
                                   config=Config(user_agent="botocore/recorded"))
    stop = types.SimpleNamespace(prepared=None)

    class Sent(Exception):
        pass

    def capture(request, **_):
        stop.prepared = request
        raise Sent

    client.meta.events.register("before-send.*.*", capture)
    try:
        getattr(client, operation)(**arguments)
    except Sent:
        pass
    record(name, stop.prepared, token or "")


def sign(name, method, url, auth=HEADER, token=None, headers=None, body=None, params=None,
         context=None, **options):
    request = AWSRequest(method=method, url=url, headers=headers or {}, data=body, params=params)
    request.context.update(context or {})
    auth(Credentials(KEY, SECRET, token), "kinesisvideo", REGION, **options).add_auth(request)
    record(name, request.prepare(), token or "")


logging.disable(logging.CRITICAL)
call("client CreateStream", "kinesisvideo", "create_stream", StreamName="door", DataRetentionInHours=24,
     Tags={"room": "hall & stairs"})
call("client DescribeStream with token", "kinesisvideo", "describe_stream", token=TOKEN, StreamName="door")
call("client ListStreams", "kinesisvideo", "list_streams")
call("client GetMedia", "kinesis-video-media", "get_media", StreamName="door", StartSelector={"StartSelectorType": "NOW"})
call("client ListFragments to a port", "kinesis-video-archived-media", "list_fragments", token=TOKEN,
     endpoint="https://localhost:8443", StreamName="door", MaxResults=10)
call("client GetDataEndpoint over http", "kinesisvideo", "get_data_endpoint", endpoint="http://127.0.0.1:8080",
     StreamName="door", APIName="PUT_MEDIA")
call("client endpoint with a path", "kinesisvideo", "list_streams", endpoint="https://localhost:8443/kvs/")

base = "https://" + HOST
sign("two slashes", "POST", base + "//putMedia")
sign("many slashes", "GET", base + "//a///b/")
sign("escaped path", "GET", base + "/a%20b/c%2Fd/%C3%A9+~")
sign("bare signs in the path", "GET", base + "/v1/arn:aws:x/(a)=b@c,d;e!")
sign("empty path", "GET", base)
sign("query", "GET", base + "/x?b=2&a=1&a=%2F&c&B=%C3%A9&empty=")
sign("query parameters", "GET", base + "/x", params={"z": "a b+c/d", "a:b": "~-_."})
if not CRT:  # which refuses to sign such a URL
    sign("query of a signed header", "POST", base + "/putMedia?X-Amz-Expires=600")
sign("folded header", "POST", base + "/x", headers={"X-Amzn-Stream-Name": "  a   b\tc  ", "Content-Type": "text/plain"}, body=b"hello")
sign("date header", "GET", base + "/x", headers={"Date": "set by the signer"})
sign("unsigned payload", "POST", base + "/x", body=b"hello", context={"payload_signing_enabled": False})
sign("hash in header", "POST", base + "/x", headers={
    "X-Amz-Content-SHA256": "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"}, body=b"hello")
sign("user agent and connection", "POST", base + "/x", headers={"User-Agent": "a/1 b/2", "Connection": "keep-alive"}, body=b"hello")
sign("presigned", "GET", "https://v-1a2b3c4d.kinesisvideo.eu-central-1.amazonaws.com/", auth=QUERY, expires=299,
     params={"X-Amz-ChannelARN": "arn:aws:kinesisvideo:eu-central-1:111122223333:channel/c/1", "X-Amz-ClientId": "viewer-1"})
sign("presigned with token", "GET", base + "//a%20b/%7E?x=%2f", auth=QUERY, token=TOKEN, expires=604800)
sign("presigned for S3", "GET", base + "/x", auth=S3_QUERY, expires=60)

json.dump({"signer": SIGNER, "access_key": KEY, "secret": SECRET, "region": REGION,
           "service": "kinesisvideo", "time": NOW.strftime("%Y%m%dT%H%M%SZ"), "requests": recorded},
          sys.stdout, indent=1, ensure_ascii=False)
print()
