// Writes sigv4/testdata/js.json: requests signed by the signer of the AWS SDK for
// JavaScript v3. Keys and clock are fixed and nothing is sent:
//
//     npm ci && node gen_js.mjs > ../../sigv4/testdata/js.json
import { readFileSync } from "node:fs";
import { SignatureV4 } from "@smithy/signature-v4";
import { Sha256 } from "@aws-crypto/sha256-js";

const credentials = {
  accessKeyId: "AKIDRECORDEDEXAMPLE0",
  secretAccessKey: "recorded/Secret+0123456789abcdefghijklmn",
};
const token = "FwoGZXIvYXdzEBYaDExample+Token/With=Signs==";
const time = "20260517T083015Z";
const signingDate = new Date("2026-05-17T08:30:15Z");
const region = "ap-southeast-2";
const host = "kinesisvideo.ap-southeast-2.amazonaws.com";
const requests = [];

function signer(options = {}) {
  return new SignatureV4({
    credentials: { ...credentials, sessionToken: options.token },
    region,
    service: "kinesisvideo",
    sha256: Sha256,
    applyChecksum: options.applyChecksum ?? true,
  });
}

function escape(text) {
  return encodeURIComponent(text).replace(/[!'()*]/g, (c) => "%" + c.charCodeAt(0).toString(16).toUpperCase());
}

// target writes path and query as the SDK's HTTP handler does.
function target({ path, query }) {
  const parts = Object.keys(query).sort().flatMap((k) => [query[k]].flat().map((v) => `${escape(k)}=${escape(v)}`));
  return path + (parts.length ? "?" + parts.join("&") : "");
}

function request(method, path, { query = {}, headers = {}, body = "" } = {}) {
  const all = { host, ...headers };
  if (body) all["content-length"] = String(Buffer.byteLength(body));
  return { method, protocol: "https:", hostname: host, path, query, headers: all, body: body || undefined };
}

function record(name, signed, options) {
  requests.push({
    name,
    method: signed.method,
    target: target(signed),
    headers: Object.entries(signed.headers),
    body: signed.body ?? "",
    token: options.token ?? "",
  });
}

async function sign(name, unsigned, options = {}) {
  record(name, await signer(options).sign(unsigned, { signingDate, ...options.sign }), options);
}

async function presign(name, unsigned, options = {}) {
  record(name, await signer(options).presign(unsigned, { signingDate, expiresIn: 299, ...options.sign }), options);
}

const json = { "content-type": "application/json" };
const sdk = { "amz-sdk-invocation-id": "0", "amz-sdk-request": "attempt=1; max=3", "x-amz-user-agent": "aws-sdk-js/3", "user-agent": "x" };

await sign("control call", request("POST", "/createStream", { headers: { ...json, ...sdk }, body: '{"StreamName":"door"}' }));
await sign("with token", request("POST", "/listStreams", { headers: json, body: "{}" }), { token });
await sign("without checksum header", request("POST", "/listStreams", { headers: json, body: "{}" }), { applyChecksum: false });
await sign("host with port", request("POST", "/getMedia", { headers: { ...json, host: "localhost:8443" }, body: "{}" }));
await sign("unsigned payload", request("POST", "/x", { headers: { "x-amz-content-sha256": "UNSIGNED-PAYLOAD" }, body: "hello" }));
await sign("two slashes", request("POST", "//putMedia", { body: "hello" }));
await sign("many slashes", request("GET", "//a///b/"));
await sign("escaped path", request("GET", "/a%20b/c%2Fd/%C3%A9~"));
await sign("bare signs in the path", request("GET", "/v1/arn:aws:x/(a)=b@c,d;e!"));
await sign("query", request("GET", "/x", { query: { b: "2", a: ["1", "/", " "], B: "é", empty: "", "a:b": "!'()*+" } }));
await sign("folded header", request("POST", "/x", { headers: { "x-amzn-stream-name": "  a   b\tc  " }, body: "hello" }));
await sign("transfer encoding signed", request("POST", "/x", { headers: { "content-type": "a/b", "user-agent": "kvs/1 (a, b)", connection: "keep-alive" }, body: "hello" }),
  { sign: { signableHeaders: new Set(["host", "content-type", "user-agent", "connection"]) } });
await presign("presigned", request("GET", "/", { query: { "X-Amz-ChannelARN": "arn:aws:kinesisvideo:ap-southeast-2:111122223333:channel/c/1", "X-Amz-ClientId": "viewer-1" } }));
await presign("presigned with token", request("GET", "/"), { token });
await presign("presigned with hoisted hash", request("GET", "/x", { headers: { "x-amz-content-sha256": "UNSIGNED-PAYLOAD" } }));
await presign("presigned for a week", request("GET", "//a%20b/"), { sign: { expiresIn: 604800 } });

const version = JSON.parse(readFileSync(new URL("node_modules/@smithy/signature-v4/package.json", import.meta.url))).version;
console.log(JSON.stringify({
  signer: "@smithy/signature-v4 " + version, access_key: credentials.accessKeyId, secret: credentials.secretAccessKey,
  region, service: "kinesisvideo", time, requests,
}, null, 1));
