// Runs window.play of player.js in a headless browser. Standard input is what to do,
// standard output what came of it, both JSON.

import { text } from 'node:stream/consumers';
import { chromium } from 'playwright-core';

const ask = JSON.parse(await text(process.stdin));
const browser = await chromium.launch({
  executablePath: ask.browser,
  args: ['--autoplay-policy=no-user-gesture-required'],
  env: { ...process.env, HOME: ask.home },
});
try {
  const page = await browser.newPage();
  const said = [], refused = [], protocols = {};
  page.on('console', (m) => said.push(`${m.type()}: ${m.text()}`));
  page.on('pageerror', (e) => said.push(`error: ${e.message}`));
  const network = await page.context().newCDPSession(page);
  await network.send('Network.enable');
  network.on('Network.responseReceived', ({ response }) => {
    const url = new URL(response.url);
    if (url.origin === ask.origin) return;
    protocols[response.protocol] = (protocols[response.protocol] ?? 0) + 1;
    if (response.status >= 400) refused.push(`${response.status} ${url.pathname}`);
  });
  await page.goto(`${ask.origin}/player.html`);
  await page.waitForFunction(() => window.play);
  const result = await page.evaluate((a) => window.play(a), ask);
  process.stdout.write(JSON.stringify({ ...result, said: said.slice(-30), refused, protocols }));
} finally {
  await browser.close();
}
