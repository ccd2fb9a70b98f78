// The number of a frame as film_test.go draws it into the picture: a row of black and white
// blocks along the top.

const blocks = 20; // white, black, 16 bits, their parity, white
const canvas = document.createElement('canvas');
canvas.width = 320;
canvas.height = 1;
const context = canvas.getContext('2d', { willReadFrequently: true });

// indexOf reads the number from a VideoFrame, -1 if there is none.
export function indexOf(frame) {
  context.drawImage(frame, 0, 16 * frame.displayHeight / 180, frame.displayWidth, 1, 0, 0, 320, 1);
  const row = context.getImageData(0, 0, 320, 1).data;
  const bit = (n) => (row[4 * Math.floor((n + 0.5) * 320 / blocks)] > 127 ? 1 : 0);
  let index = 0, parity = 0;
  for (let n = 2; n < 18; n++) {
    index = index * 2 + bit(n);
    parity ^= bit(n);
  }
  return bit(0) && !bit(1) && bit(19) && bit(18) === parity ? index : -1;
}

// draw paints the frame of a number on a canvas of 320 by 180.
export function draw(target, index) {
  target.fillStyle = `rgb(96, 96, ${index % 128})`;
  target.fillRect(0, 32, 320, 148);
  target.fillStyle = 'gray';
  target.fillRect(index * 4 % 320, 96, 16, 16);
  const bits = [...(index & 0xFFFF).toString(2).padStart(16, '0')].map(Number);
  [1, 0, ...bits, bits.reduce((a, b) => a ^ b), 1].forEach((bit, n) => {
    target.fillStyle = bit ? 'white' : 'black';
    target.fillRect(n * 320 / blocks, 0, 320 / blocks, 32);
  });
}
