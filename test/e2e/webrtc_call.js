// One call between two peers of webrtc.js: an RTCPeerConnection with what is sent and seen.

import { Screen } from '/webrtc_media.js';

// only keeps the codecs of a kind that are asked for, and what repairs losses.
function only(transceiver, kind, wanted) {
  if (!wanted) return;
  const { codecs } = RTCRtpReceiver.getCapabilities(kind);
  transceiver.setCodecPreferences(codecs.filter((c) => c.mimeType === wanted || c.mimeType === `${kind}/rtx`));
}

export class Call {
  screen = new Screen();
  said = []; // texts that came by the data channel
  states = [];
  candidates = { sent: 0, received: 0, failed: [] };

  // ask is that of the peer; send tells the other side: an offer, an answer or a candidate.
  constructor(ask, iceServers, camera, send, lost) {
    Object.assign(this, { ask, send });
    this.connection = new RTCPeerConnection({ iceServers, iceTransportPolicy: ask.nat === 'relay' ? 'relay' : 'all' });
    this.connection.onicecandidate = ({ candidate }) => {
      if (!ask.trickle || !candidate?.candidate) return;
      this.candidates.sent++;
      send('iceCandidate', candidate);
    };
    this.connection.ontrack = ({ track }) => this.screen.add(track);
    this.connection.ondatachannel = ({ channel }) => this.talk(channel);
    this.connection.onconnectionstatechange = () => {
      const state = this.connection.connectionState;
      this.states.push(state);
      if (state === 'disconnected' || state === 'failed') lost();
    };
    if (camera && ask.send.includes('video')) this.video = camera.video;
    if (camera && ask.send.includes('audio')) this.audio = camera.audio;
  }

  // offer asks for what there is, as a viewer does.
  async offer() {
    for (const kind of ['video', 'audio']) {
      const transceiver = this.connection.addTransceiver(this[kind] ?? kind, { direction: this[kind] ? 'sendrecv' : 'recvonly' });
      only(transceiver, kind, this.ask[`${kind}Codec`]);
    }
    if (this.ask.data) this.talk(this.connection.createDataChannel('kvsDataChannel'));
    await this.describe('sdpOffer');
  }

  // answer answers an offer with what is sent, as a master does.
  async answer(offer) {
    await this.connection.setRemoteDescription(offer);
    for (const transceiver of this.connection.getTransceivers()) {
      const { kind } = transceiver.receiver.track;
      if (this[kind]) {
        await transceiver.sender.replaceTrack(this[kind]);
        transceiver.direction = 'sendrecv';
      }
      only(transceiver, kind, this.ask[`${kind}Codec`]);
    }
    await this.describe('sdpAnswer');
    for (const { sender } of this.connection.getTransceivers()) await this.encode(sender);
  }

  // encode sends the codec that is asked for, if the other side has it.
  async encode(sender) {
    const wanted = this.ask[`${sender.track?.kind}Codec`];
    const parameters = sender.getParameters();
    const codec = parameters.codecs?.find((c) => c.mimeType === wanted);
    if (!codec || !parameters.encodings.length) return;
    const { mimeType, clockRate, channels, sdpFmtpLine } = codec;
    parameters.encodings[0].codec = { mimeType, clockRate, channels, sdpFmtpLine };
    await sender.setParameters(parameters);
  }

  async describe(type) {
    await this.connection.setLocalDescription();
    if (!this.ask.trickle) await this.gathered();
    this.send(type, this.connection.localDescription);
  }

  gathered() {
    return new Promise((resolve) => {
      const look = () => {
        if (this.connection.iceGatheringState === 'complete') resolve();
      };
      this.connection.onicegatheringstatechange = look;
      look();
    });
  }

  async add(candidate) {
    this.candidates.received++;
    try {
      await this.connection.addIceCandidate(candidate);
    } catch (e) {
      this.candidates.failed.push(`${e.message}: ${JSON.stringify(candidate)}`);
    }
  }

  // talk says who is there and repeats what is said, once. Who was not heard says it again: a text
  // that comes just ahead of the channel's opening is lost in Chromium now and then.
  talk(channel) {
    const text = `hello from ${this.ask.clientId || 'the master'}`;
    let tries = 0, heard = false;
    const hello = () => {
      if (heard || tries === 5 || channel.readyState !== 'open') return;
      tries++;
      channel.send(text);
      setTimeout(hello, 3000);
    };
    hello();
    channel.onopen = () => { if (tries === 0) hello(); };
    channel.onmessage = ({ data }) => {
      this.said.push(data);
      heard ||= data === `heard: ${text}`;
      if (data.startsWith('hello')) channel.send(`heard: ${data}`);
    };
  }

  // pair is how the media go, and what they are: the chosen candidates and the codecs.
  async pair() {
    const stats = await this.connection.getStats();
    const all = [...stats.values()];
    const chosen = stats.get(all.find((s) => s.type === 'transport')?.selectedCandidatePairId);
    const candidate = (id) => (({ candidateType, protocol, relayProtocol, address, port }) => ({ type: candidateType, protocol, relayProtocol, address, port }))(stats.get(id) ?? {});
    const codec = (type, kind) => stats.get(all.find((s) => s.type === type && s.kind === kind)?.codecId)?.mimeType ?? '';
    return {
      pair: chosen && { state: chosen.state, local: candidate(chosen.localCandidateId), remote: candidate(chosen.remoteCandidateId) },
      decoded: all.find((s) => s.type === 'inbound-rtp' && s.kind === 'video')?.framesDecoded ?? 0,
      received: { video: codec('inbound-rtp', 'video'), audio: codec('inbound-rtp', 'audio') },
      sent: { video: codec('outbound-rtp', 'video'), audio: codec('outbound-rtp', 'audio') },
    };
  }

  async report() {
    const { screen: { frames, unreadable, tones }, said, states, candidates } = this;
    return { state: this.connection.connectionState, states, frames, unreadable, tones, said, candidates, ...await this.pair() };
  }

  close() {
    this.connection.onconnectionstatechange = null;
    this.connection.close();
    this.screen.close();
  }
}
