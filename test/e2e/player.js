// Plays a session URL with one of the players and notes which frames are shown and when.
// player.mjs calls window.play in a browser; the frames carry their index.

import { indexOf } from '/barcode.js';

const script = (src) => new Promise((resolve, reject) => {
  const s = document.createElement('script');
  Object.assign(s, { src, onload: resolve, onerror: () => reject(new Error(src)) });
  document.head.append(s);
});

// Each player plays url in the video element and returns the element that shows it. What
// goes wrong for good is told to failed.
const players = {
  async hlsjs(video, { url, sync, container }, failed) {
    await script('/node_modules/hls.js/dist/hls.js');
    const hls = new Hls(sync ? { liveSyncDurationCount: sync, maxLiveSyncPlaybackRate: 1.5 } : {});
    hls.on(Hls.Events.ERROR, (_, e) => failed(`${e.type} ${e.details} ${e.error?.message ?? ''} ${e.response?.code ?? ''}`, e.fatal));
    hls.loadSource(url);
    hls.attachMedia(video);
    return video;
  },
  async videojs(video, { url }, failed) {
    await script('/node_modules/video.js/dist/video.js');
    const player = videojs(video, { muted: true, html5: { vhs: { overrideNative: true } } });
    player.on('error', () => failed(`${player.error()?.code} ${player.error()?.message}`, true));
    player.src({ src: url, type: 'application/x-mpegURL' });
    return player.tech({ IWillNotUseThisInPlugins: true }).el();
  },
  async dashjs(video, { url }, failed) {
    await script('/node_modules/dashjs/dist/modern/umd/dash.all.debug.js');
    const player = dashjs.MediaPlayer().create();
    player.updateSettings({ debug: { logLevel: dashjs.Debug.LOG_LEVEL_NONE } });
    player.on(dashjs.MediaPlayer.events.ERROR, (e) => failed(`${e.error?.code} ${e.error?.message ?? JSON.stringify(e.error)}`, true));
    player.initialize(video, url, true);
    return video;
  },
  async shaka(video, { url }, failed) {
    await script('/node_modules/shaka-player/dist/shaka-player.compiled.debug.js');
    shaka.polyfill.installAll();
    const player = new shaka.Player();
    player.configure('streaming.rebufferingGoal', 0.1); // it does not seek nearer to the beginning of a live list
    await player.attach(video);
    player.addEventListener('error', (e) => failed(`${e.detail.code} ${e.detail.message}`, e.detail.severity === 2));
    await player.load(url);
    return video;
  },
};

const pause = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

// play shows so many frames (fewer if the video ends) and looks up those that passed between
// two readings, then seeks to each of the times, in seconds from where the seekable range
// begins, and where asked plays on to the end.
window.play = async (ask) => {
  const result = { samples: [], looked: [], seeks: [], past: 0, errors: [], fatal: '' };
  const failed = (text, fatal) => {
    result.errors.push(text);
    if (fatal) result.fatal ||= text;
  };
  let video;
  try {
    video = await players[ask.player](document.getElementById('video'), ask, failed);
  } catch (e) {
    failed(`${e.code ?? ''} ${e.message ?? ''} ${JSON.stringify(e.data?.slice(0, 4)) ?? ''}`, true);
    return result;
  }
  video.muted = true;
  video.addEventListener('error', () => failed(`video: ${video.error?.code} ${video.error?.message}`, true));
  let last;
  const watch = () => {
    video.requestVideoFrameCallback(watch);
    const frame = new VideoFrame(video); // a later one than the callback is about, where the page is late
    last = { index: indexOf(frame), media: frame.timestamp / 1e6, at: performance.timeOrigin + performance.now() };
    frame.close();
    if (!video.paused && !video.seeking && last.media !== result.samples.at(-1)?.media) result.samples.push(last);
  };
  video.requestVideoFrameCallback(watch);
  // dash.js plays by itself and would not see that somebody else began.
  if (ask.player !== 'dashjs') video.play().catch((e) => failed(`play: ${e.message}`, false));

  const until = async (what, done) => {
    const deadline = performance.now() + ask.patience;
    while (!done()) {
      if (result.fatal) return false;
      if (performance.now() > deadline) {
        const buffered = [...Array(video.buffered.length).keys()].map((i) => [video.buffered.start(i), video.buffered.end(i)]);
        result.fatal = `${what}: not within ${ask.patience} ms; at ${video.currentTime}, ready ${video.readyState}, ` +
          `paused ${video.paused}, buffered ${JSON.stringify(buffered)}, ${result.samples.length} frames read`;
        return false;
      }
      await pause(20);
    }
    return true;
  };
  const begin = () => (video.seekable.length ? video.seekable.start(0) : 0);
  const look = async (seconds) => { // at the paused picture of another moment
    last = undefined;
    video.currentTime = seconds;
    if (!await until(`seeking to ${seconds}`, () => last && !video.seeking)) return false;
    await pause(100); // the frame that was asked for may come after one that was there
    return true;
  };
  await until('playing', () => video.ended || result.samples.length && last.index - result.samples[0].index >= ask.frames);
  const played = result.samples.slice();
  video.pause();
  await until('pausing', () => video.paused);
  for (const [i, s] of played.entries()) {
    for (let index = s.index + 1; index < played[i + 1]?.index && result.looked.length < 200; index++) {
      const seconds = s.media + (index - s.index + 0.5) / ask.rate;
      if (seconds < begin()) { // it has left what the player seeks in
        result.past += 1;
        continue;
      }
      if (!await look(seconds)) return result;
      result.looked.push({ asked: index, index: last.index, media: last.media });
    }
  }
  for (const seconds of ask.seeks) {
    if (!await look(begin() + seconds)) return result;
    result.seeks.push({ asked: seconds, index: last.index, media: last.media, begin: begin() });
  }
  if (ask.end && !result.fatal) {
    video.play().catch((e) => failed(`play: ${e.message}`, false));
    await until('the end', () => video.ended);
    result.final = last?.index ?? -1;
  }
  result.samples = played;
  return result;
};
