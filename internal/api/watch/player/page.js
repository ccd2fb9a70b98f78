// Plays the stream that the page names, live. A session that ends is begun again.
'use strict';

const video = document.querySelector('video');
const state = document.getElementById('state');
const again = 3000; // milliseconds until the next try

function say(text) {
  state.textContent = text;
}

async function session() {
  const answer = await fetch('/demo/play/session?stream=' + encodeURIComponent(video.dataset.stream), { method: 'POST' });
  const text = await answer.text();
  if (!answer.ok) {
    throw new Error(text);
  }
  return text;
}

function later(why) {
  say(why);
  setTimeout(play, again);
}

async function play() {
  let path;
  try {
    path = await session();
  } catch (err) {
    later(err.message);
    return;
  }
  say('loading');
  if (!Hls.isSupported()) { // Safari on telephones plays HLS by itself
    video.src = path;
    return;
  }
  const hls = new Hls({ liveSyncDurationCount: 2 });
  let mended = 0;
  hls.on(Hls.Events.ERROR, (_, data) => {
    if (!data.fatal) {
      return;
    }
    if (data.type === Hls.ErrorTypes.MEDIA_ERROR && mended++ < 3) {
      hls.recoverMediaError();
      return;
    }
    clearInterval(clock);
    hls.destroy();
    later(data.details);
  });
  const clock = setInterval(() => {
    if (hls.latency > 0) {
      say(hls.latency.toFixed(1) + ' s behind the end of the list');
    }
  }, 1000);
  hls.loadSource(path);
  hls.attachMedia(video);
}

video.addEventListener('playing', () => say('playing'));
play();
