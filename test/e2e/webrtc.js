// A master or a viewer of a signaling channel, with the official SDK and the AWS SDK, that does
// what the SDK's sample page does. webrtc.mjs calls what is said of window here.

import { Camera } from '/webrtc_media.js';
import { Call } from '/webrtc_call.js';

// What the SDK does not tell: types of messages that came, and how connections ended.
const types = {}, endings = [];
window.WebSocket = class extends WebSocket {
  constructor(url) {
    super(url);
    this.addEventListener('message', ({ data }) => {
      const { messageType } = JSON.parse(data);
      types[messageType] = (types[messageType] ?? 0) + 1;
    });
    this.addEventListener('close', ({ code, reason }) => endings.push({ code, reason }));
  }
};

const pause = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

// along leaves one way to the relay of all that ICE servers name, such as 'turns tcp'. TCP without
// TLS the server does not name; its port takes both all the same.
function along(way, servers) {
  const [scheme, transport] = way.split(' ');
  const named = (url) => url.startsWith(`${scheme}:`) && url.endsWith(`?transport=${transport}`);
  return servers.map(({ urls, ...server }) => {
    const plain = urls.filter((url) => url.startsWith('turn:')).map((url) => url.replace('=udp', '=tcp'));
    return { ...server, urls: (way === 'turn tcp' ? plain : urls).filter(named) };
  });
}

class Peer {
  calls = new Map(); // by client id; a viewer's is that to ''
  opened = 0;
  closed = 0;
  offers = 0; // sent by a viewer, received by a master
  began = 0; // calls that were made
  errors = [];
  statuses = []; // STATUS_RESPONSE
  leaving = false;

  constructor(ask) {
    this.ask = ask;
    if (ask.send.length) this.camera = new Camera(ask);
  }

  // prepare makes the calls of the control plane.
  async prepare() {
    const { ask } = this;
    const client = { region: ask.region, credentials: ask.credentials, maxAttempts: 1 };
    const video = new AWS.KinesisVideo({ ...client, endpoint: ask.endpoint });
    if (ask.create) await video.createSignalingChannel({ ChannelName: ask.channel });
    const { ChannelInfo } = await video.describeSignalingChannel({ ChannelName: ask.channel });
    this.arn = ChannelInfo.ChannelARN;
    const { ResourceEndpointList } = await video.getSignalingChannelEndpoint({
      ChannelARN: this.arn,
      SingleMasterChannelEndpointConfiguration: { Protocols: ['WSS', 'HTTPS'], Role: ask.endpointRole || ask.role },
    });
    this.endpoints = Object.fromEntries(ResourceEndpointList.map((e) => [e.Protocol, e.ResourceEndpoint]));
    this.iceServers = [];
    if (ask.nat === 'disabled') return;
    const signaling = new AWS.KinesisVideoSignaling({ ...client, endpoint: this.endpoints.HTTPS });
    const { IceServerList } = await signaling.getIceServerConfig({ ChannelARN: this.arn });
    this.iceServers = (IceServerList ?? []).map((s) => ({ urls: s.Uris, username: s.Username, credential: s.Password }));
    if (ask.way) this.iceServers = along(ask.way, this.iceServers);
  }

  // open joins the channel and resolves when it is open, or is not going to be.
  open() {
    const { ask } = this;
    const { SignalingClient, SigV4RequestSigner } = window.KVSWebRTC;
    const signer = new SigV4RequestSigner(ask.region, ask.credentials);
    this.signaling = new SignalingClient({
      channelARN: this.arn, channelEndpoint: this.endpoints.WSS, role: ask.role, region: ask.region,
      clientId: ask.role === 'VIEWER' ? ask.clientId : undefined,
      requestSigner: { getSignedURL: (url, query, date) => signer.getSignedURL(url, query, new Date(date.getTime() - ask.age * 1000)) },
    });
    const client = this.signaling;
    return new Promise((resolve) => {
      client.on('open', () => {
        this.opened++;
        if (ask.role === 'VIEWER' && !this.alive()) this.offer().catch((e) => this.errors.push(`offer: ${e.message}`));
        resolve();
      });
      client.on('close', async () => {
        this.closed++;
        resolve();
        await pause(100);
        if (!this.leaving && ask.reconnect) client.open();
      });
      client.on('error', (e) => this.errors.push(e.message ?? e.type));
      client.on('statusResponse', (s) => this.statuses.push(s));
      client.on('sdpOffer', (offer, from) => this.answer(offer, from).catch((e) => this.errors.push(`answer: ${e.message}`)));
      client.on('sdpAnswer', (answer) => this.call().connection.setRemoteDescription(answer).catch((e) => this.errors.push(`answered: ${e.message}`)));
      client.on('iceCandidate', (candidate, from) => this.call(from)?.add(candidate));
      client.open();
    });
  }

  call(from = '') { return this.calls.get(from); }

  alive() { return this.call()?.connection.connectionState === 'connected'; }

  // begin makes a call; it takes the place of another one with the same peer.
  begin(from, lost) {
    this.call(from)?.close();
    const send = (type, what) => {
      const method = { sdpOffer: 'sendSdpOffer', sdpAnswer: 'sendSdpAnswer', iceCandidate: 'sendIceCandidate' }[type];
      if (this.call(from) === call) this.signaling[method](what, from || undefined, `${type}-${++this.began}`);
    };
    const call = new Call(this.ask, this.iceServers, this.camera, send, lost);
    this.calls.set(from, call);
    return call;
  }

  async offer() {
    this.offers++;
    await this.begin('', () => { // the master is lost
      if (this.ask.reconnect && !this.leaving) this.offer().catch((e) => this.errors.push(`offer: ${e.message}`));
    }).offer();
  }

  async answer(offer, from) {
    this.offers++;
    await this.begin(from, () => {}).answer(offer);
  }

  async report() {
    const { arn, endpoints, iceServers, opened, closed, offers, errors, statuses } = this;
    const calls = {};
    for (const [from, call] of this.calls) calls[from] = await call.report();
    return { arn, endpoints, iceServers, opened, closed, offers, errors, statuses, types, endings, calls };
  }

  leave() {
    this.leaving = true;
    this.signaling?.close();
    for (const call of this.calls.values()) call.close();
    this.camera?.stop();
  }
}

let peer;

// start joins a channel.
window.start = async (ask) => {
  peer = new Peer(ask);
  await peer.prepare();
  await peer.open();
  return peer.report();
};

// enough reports whether a call has what is wanted of it: so many frames, seconds of a tone, texts.
function enough({ screen, said, connection }, want) {
  if (connection.connectionState !== 'connected') return false;
  return screen.frames.length >= want.frames && said.length >= want.said &&
    (!want.tone || (screen.tones[want.tone] ?? 0) >= 5);
}

// first joins a channel as a viewer and says how many milliseconds it took to show a frame.
window.first = async (ask) => {
  const began = performance.now(), marks = {};
  const mark = (name) => { marks[name] = performance.now() - began; };
  peer = new Peer(ask);
  await peer.prepare();
  mark('prepared');
  await peer.open();
  mark('opened');
  const { connection, screen } = peer.call();
  connection.addEventListener('signalingstatechange', () => mark(connection.signalingState));
  connection.addEventListener('connectionstatechange', () => mark(connection.connectionState));
  while (!screen.first) await pause(1);
  return { ...marks, first: screen.first - began };
};

// until waits until the peer has what is wanted, and says how it is then.
window.until = async (want) => {
  const deadline = performance.now() + want.patience;
  const done = () => peer.opened >= want.opened && peer.closed >= want.closed && peer.errors.length >= want.errors &&
    want.calls.every((from) => peer.call(from) && enough(peer.call(from), want));
  while (!done() && performance.now() < deadline) await pause(20);
  return { ...await peer.report(), missing: !done() };
};

// forget makes what was seen so far as if it had not been.
window.forget = () => {
  for (const { screen, said } of peer.calls.values()) {
    Object.assign(screen, { frames: [], tones: {}, unreadable: 0 });
    said.length = 0;
  }
};

// settle has the peer stay where it is when it loses the server or the master.
window.settle = () => { peer.ask.reconnect = false; };

window.leave = () => peer.leave();
