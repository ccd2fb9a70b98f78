// Makes calls with the AWS SDK for JavaScript v3, as the Go tests ask for them.
//
// Each line of standard input is a request, each line of standard output an answer with
// the request's id: what the SDK decoded, and the bytes it decoded that from. The body of
// a media answer goes to the TCP port that the request names, as it arrives.

import { createInterface } from 'node:readline';
import { connect } from 'node:net';
import { Agent } from 'node:https';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import * as video from '@aws-sdk/client-kinesis-video';
import * as media from '@aws-sdk/client-kinesis-video-media';
import * as archived from '@aws-sdk/client-kinesis-video-archived-media';
import * as signaling from '@aws-sdk/client-kinesis-video-signaling';

const services = {
  video: [video, video.KinesisVideoClient],
  media: [media, media.KinesisVideoMediaClient],
  archived: [archived, archived.KinesisVideoArchivedMediaClient],
  signaling: [signaling, signaling.KinesisVideoSignalingClient],
};

const clients = new Map();
const running = new Map(); // request id -> AbortController

// client makes one client for each caller and service.
function client(service, who) {
  const key = JSON.stringify([service, who]);
  if (!clients.has(key)) {
    clients.set(key, new services[service][1]({
      endpoint: who.endpoint,
      region: who.region,
      credentials: { accessKeyId: who.key, secretAccessKey: who.secret, sessionToken: who.token },
      maxAttempts: 1,
      systemClockOffset: who.clockOffset ?? 0,
      requestHandler: { httpsAgent: new Agent({ ca: who.ca, keepAlive: true, maxSockets: 256 }) },
    }));
  }
  return clients.get(key);
}

// revive turns {"$date": seconds} into a Date.
const revive = (_, v) => (v && typeof v === 'object' && '$date' in v ? new Date(Math.round(v.$date * 1000)) : v);

// plain shows what the SDK decoded with its types: Dates are {"$date": text}.
function plain(v) {
  if (v instanceof Date) return { $date: v.toISOString() };
  if (Array.isArray(v)) return v.map(plain);
  if (v && typeof v === 'object') {
    return Object.fromEntries(Object.entries(v)
      .filter(([k, x]) => k !== '$metadata' && x !== undefined && typeof x?.pipe !== 'function')
      .map(([k, x]) => [k, plain(x)]));
  }
  return v;
}

// recorder notes the answer as it came, below the SDK's decoder.
const recorder = (note) => (next) => async (args) => {
  const result = await next(args);
  const { statusCode, headers, body } = result.response;
  Object.assign(note, { status: statusCode, type: headers['content-type'] ?? '', errorType: headers['x-amzn-errortype'] ?? '' });
  if (!note.type.startsWith('video/')) {
    const chunks = [];
    for await (const c of body) chunks.push(c);
    const raw = Buffer.concat(chunks);
    note.raw = raw.toString('utf8');
    result.response.body = Readable.from(raw.length ? [raw] : []);
  }
  return result;
};

const answer = (o) => process.stdout.write(JSON.stringify(o) + '\n');

async function run({ id, service, operation, who, input, port }) {
  const note = { id };
  const abort = new AbortController();
  running.set(id, abort);
  try {
    const command = new services[service][0][operation + 'Command'](input);
    command.middlewareStack.add(recorder(note), { step: 'deserialize', priority: 'low', name: 'recorder' });
    const output = await client(service, who).send(command, { abortSignal: abort.signal });
    answer({ ...note, output: plain(output) });
    if (port) {
      const out = connect(port, '127.0.0.1');
      out.on('error', () => {}); // pipeline reports what matters; a reader may leave at any time
      await pipeline(output.Payload, out, { signal: abort.signal });
      answer({ id, ended: true });
    } else {
      output.Payload?.destroy();
    }
  } catch (e) {
    answer({ ...note, ended: true, error: { name: e.name, message: e.message, fault: e.$fault ?? '', status: e.$metadata?.httpStatusCode ?? 0 } });
  } finally {
    running.delete(id);
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line, revive);
  if (request.abort) running.get(request.abort)?.abort();
  else run(request);
}
process.exit(0);
