// Joins the channel that the page names as a viewer and shows its master. A call that ends is
// begun again.
'use strict';

const video = document.querySelector('video');
const state = document.getElementById('state');
const again = 2000; // milliseconds until the next try
const patience = 20000; // milliseconds for an answer and a connection

function say(text) {
  state.textContent = text;
}

async function invitation() {
  const answer = await fetch('/demo/webrtc/join?channel=' + encodeURIComponent(video.dataset.channel), { method: 'POST' });
  if (!answer.ok) {
    throw new Error(await answer.text());
  }
  return answer.json();
}

// call resolves with the reason for which it ended.
async function call() {
  const card = await invitation();
  return new Promise((resolve) => {
    const peer = new RTCPeerConnection({ iceServers: card.iceServers });
    const signaling = new KVSWebRTC.SignalingClient({
      role: KVSWebRTC.Role.VIEWER,
      clientId: card.clientId,
      channelARN: 'in the signed URL',
      channelEndpoint: 'in the signed URL',
      region: 'in the signed URL',
      requestSigner: { getSignedURL: async () => card.url },
    });
    let connected = false;
    const limit = setTimeout(() => end('no master has answered yet'), patience);

    function end(why) {
      clearTimeout(limit);
      peer.close();
      signaling.close();
      resolve(why);
    }

    peer.addTransceiver('video', { direction: 'recvonly' });
    peer.addTransceiver('audio', { direction: 'recvonly' });
    peer.addEventListener('track', (event) => {
      if (!video.srcObject || !video.srcObject.active) {
        video.srcObject = new MediaStream();
      }
      video.srcObject.addTrack(event.track);
    });
    peer.addEventListener('icecandidate', (event) => {
      if (event.candidate) {
        signaling.sendIceCandidate(event.candidate);
      }
    });
    peer.addEventListener('connectionstatechange', () => {
      switch (peer.connectionState) {
        case 'connected':
          connected = true;
          clearTimeout(limit);
          break;
        case 'failed':
        case 'closed':
          end('the connection to the master is lost');
      }
    });

    signaling.on('open', async () => {
      say('waiting for the master');
      await peer.setLocalDescription(await peer.createOffer());
      signaling.sendSdpOffer(peer.localDescription);
    });
    signaling.on('sdpAnswer', (answer) => peer.setRemoteDescription(answer).catch((err) => end(err.message)));
    signaling.on('iceCandidate', (candidate) => peer.addIceCandidate(candidate).catch(() => {}));
    signaling.on('close', () => {
      if (!connected) {
        end('the server closed the connection');
      }
    });
    signaling.on('error', (err) => {
      if (!connected) {
        end(err.message || 'the server refused the connection');
      }
    });
    signaling.open();
  });
}

async function stay() {
  for (;;) {
    say(await call().catch((err) => err.message));
    await new Promise((resolve) => setTimeout(resolve, again));
  }
}

video.addEventListener('playing', () => say('playing'));
stay();
