// What a peer of webrtc.js sends, and how it looks at what it gets.

import { draw, indexOf } from '/barcode.js';

let audio; // the page's; it plays to nobody
function sound() {
  audio ??= new AudioContext({ sampleRate: 48000, sinkId: { type: 'none' } });
  return audio;
}

// Camera is a canvas with the number of each frame, and a tone.
export class Camera {
  constructor({ rate = 25, tone = 440, first = 0 }) {
    const canvas = Object.assign(document.createElement('canvas'), { width: 320, height: 180 });
    const context = canvas.getContext('2d');
    this.index = first;
    const paint = () => {
      draw(context, this.index++);
      this.video.requestFrame?.();
    };
    const stream = canvas.captureStream(0);
    [this.video] = stream.getVideoTracks();
    this.video.contentHint = 'detail'; // rather fewer frames than smaller ones
    paint();
    this.timer = setInterval(paint, 1000 / rate);
    this.oscillator = new OscillatorNode(sound(), { frequency: tone });
    const out = new MediaStreamAudioDestinationNode(sound(), { channelCount: 1 });
    this.oscillator.connect(out);
    this.oscillator.start();
    [this.audio] = out.stream.getAudioTracks();
  }

  stop() {
    clearInterval(this.timer);
    this.oscillator.stop();
    this.video.stop();
    this.audio.stop();
  }
}

// Screen shows the media of another peer, and notes the numbers of the frames and the tones.
export class Screen {
  frames = []; // numbers, in the order in which they were shown
  unreadable = 0;
  first = 0; // when the first frame was shown, in milliseconds of performance.now
  tones = {}; // how often each frequency was the loudest, by Hz rounded to 20

  constructor() {
    this.video = Object.assign(document.createElement('video'), { muted: true, autoplay: true, playsInline: true });
    this.video.srcObject = new MediaStream();
    document.getElementById('place')?.append(this.video);
    const watch = (now) => {
      this.first ||= now;
      this.video.requestVideoFrameCallback(watch);
      this.look();
    };
    this.video.requestVideoFrameCallback(watch);
  }

  add(track) {
    this.video.srcObject.addTrack(track);
    if (track.kind !== 'audio') return;
    this.analyser = new AnalyserNode(sound(), { fftSize: 4096 });
    this.source = new MediaStreamAudioSourceNode(sound(), { mediaStream: new MediaStream([track]) });
    this.source.connect(this.analyser);
    this.timer = setInterval(() => this.listen(), 100);
  }

  look() {
    let frame;
    try {
      frame = new VideoFrame(this.video);
    } catch {
      return; // the picture went away
    }
    const index = indexOf(frame);
    frame.close();
    if (index < 0) this.unreadable++;
    else if (index !== this.frames.at(-1)) this.frames.push(index);
  }

  listen() {
    const levels = new Float32Array(this.analyser.frequencyBinCount);
    this.analyser.getFloatFrequencyData(levels);
    const loudest = levels.indexOf(Math.max(...levels));
    if (levels[loudest] < -60) return; // dB; silence, and noise of the codec
    const tone = 20 * Math.round(loudest * 48000 / 4096 / 20);
    this.tones[tone] = (this.tones[tone] ?? 0) + 1;
  }

  close() {
    clearInterval(this.timer);
    this.source?.disconnect();
    this.video.srcObject = null;
    this.video.remove();
  }
}
